package memory

import (
	"fmt"
	"io/fs"
	"os"
	"path"
	"runtime/debug"
	"strconv"
	"strings"
)

const (
	// minProcessLimit is the least that is taken for the process where nobody says how much it may have.
	minProcessLimit = 128 << 20
	// goPart is the part of the process's memory that Go may fill before it collects garbage harder, and goRest what it
	// leaves in any case but for half of a small limit: the program itself, which Go does not count, and what is made
	// while garbage is being collected.
	goPart = 0.9
	goRest = 64 << 20
	// budgetPart is the part that what comes from others may take: records, calls, changes of links. The rest is for
	// garbage that has not been collected, for what is made of it for a moment, and for the provider itself.
	budgetPart = 0.5
)

// ProcessLimit is how much memory the process may take.
type ProcessLimit struct {
	Bytes int64
	// From says where that comes from, for people.
	From string
}

// FindProcessLimit is what has been set, or else half of the limit that the process's control group has (the host and
// other providers live under the same), or else half of the machine's memory. It is nobody's word, 0, where none can be
// read.
func FindProcessLimit(set int64) ProcessLimit { return findProcessLimit(set, os.DirFS("/")) }

func findProcessLimit(set int64, root fs.FS) ProcessLimit {
	if set > 0 {
		return ProcessLimit{set, "provider_max_memory"}
	}
	if n := groupLimit(root); n > 0 {
		return ProcessLimit{max(n/2, min(n, minProcessLimit)), "half of the control group's limit"}
	}
	if n := machineMemory(root); n > 0 {
		return ProcessLimit{max(n/2, min(n, minProcessLimit)), "half of the machine's memory"}
	}
	return ProcessLimit{From: "nothing: neither a control group nor the machine's memory could be read"}
}

// Budget is a budget of what the limit leaves for what comes from others; nil where there is no limit.
func (l ProcessLimit) Budget() *Budget {
	if l.Bytes <= 0 {
		return nil
	}
	return New(int64(float64(l.Bytes) * budgetPart))
}

// Part is a part of the limit that something may have which counts for itself: the limit divided by n, within least and
// most.
func (l ProcessLimit) Part(n, least, most int64) int64 {
	if l.Bytes <= 0 {
		return most
	}
	return min(max(l.Bytes/n, least), most)
}

// Set has Go keep its memory below the limit as far as it can. The function that it returns sets back what was before.
func (l ProcessLimit) Set() (undo func()) {
	if l.Bytes <= 0 {
		return func() {}
	}
	before := debug.SetMemoryLimit(max(min(int64(float64(l.Bytes)*goPart), l.Bytes-goRest), l.Bytes/2))
	return func() { debug.SetMemoryLimit(before) }
}

// groupLimit is the lowest limit of the process's control group and those above it, 0 where there is none.
func groupLimit(root fs.FS) int64 {
	b, err := fs.ReadFile(root, "proc/self/cgroup")
	if err != nil {
		return 0
	}
	least := int64(0)
	for line := range strings.Lines(string(b)) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(parts) != 3 {
			continue
		}
		base, file := "sys/fs/cgroup", "memory.max"
		if parts[1] != "" {
			if !strings.Contains(","+parts[1]+",", ",memory,") {
				continue
			}
			base, file = "sys/fs/cgroup/memory", "memory.limit_in_bytes"
		}
		// In a container the path may be the one outside; its own group is at the root of the mount then.
		for at := path.Join("/", parts[2]); ; at = path.Dir(at) {
			if n := readLimit(root, path.Join(base, at, file)); n > 0 && (least == 0 || n < least) {
				least = n
			}
			if at == "/" {
				break
			}
		}
	}
	return least
}

// unlimited is from where on a limit is none: version 1 says so with a number near the greatest.
const unlimited = 1 << 60

func readLimit(root fs.FS, name string) int64 {
	b, err := fs.ReadFile(root, name)
	if err != nil {
		return 0
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64)
	if err != nil || n <= 0 || n >= unlimited {
		return 0 // "max", for one
	}
	return n
}

func machineMemory(root fs.FS) int64 {
	b, err := fs.ReadFile(root, "proc/meminfo")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(b)) {
		var kilobytes int64
		if _, err := fmt.Sscanf(line, "MemTotal: %d kB", &kilobytes); err == nil {
			return kilobytes << 10
		}
	}
	return 0
}

// Resident is what the process has taken, 0 where the system does not tell.
func Resident() int64 {
	b, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	var size, resident int64
	if _, err := fmt.Sscan(string(b), &size, &resident); err != nil {
		return 0
	}
	return resident * int64(os.Getpagesize())
}
