package bench

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// tick is the unit of the times in /proc, USER_HZ: 10 ms on every Linux (proc(5)).
const tick = 10 * time.Millisecond

// Processes are the processes whose CPU time is told apart, by what they are.
type Processes map[string]int

// CPU is the time that processors have worked.
type CPU struct {
	// Of is the CPU time of each process, its threads that have ended included.
	Of map[string]time.Duration
	// Machine is that of the whole machine, kernel and hypervisor included.
	Machine time.Duration
}

// Used reads the CPU time that the processes have used since their start. It needs Linux.
func (p Processes) Used() (CPU, error) {
	used := CPU{Of: make(map[string]time.Duration, len(p))}
	for name, pid := range p {
		stat, err := readStat(pid)
		if err != nil {
			return CPU{}, fmt.Errorf("reading the CPU time of %s: %w", name, err)
		}
		used.Of[name] = stat.cpu
	}
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return CPU{}, fmt.Errorf("reading the CPU time of the machine: %w", err)
	}
	if used.Machine, err = parseMachine(string(text)); err != nil {
		return CPU{}, fmt.Errorf("reading the CPU time of the machine: %w", err)
	}
	return used, nil
}

// Since returns what was used after an earlier reading of the same processes.
func (c CPU) Since(earlier CPU) CPU {
	d := CPU{Of: make(map[string]time.Duration, len(c.Of)), Machine: c.Machine - earlier.Machine}
	for name, used := range c.Of {
		d.Of[name] = used - earlier.Of[name]
	}
	return d
}

// Others is what processes used that are not among those told apart.
func (c CPU) Others() time.Duration {
	others := c.Machine
	for _, used := range c.Of {
		others -= used
	}
	return max(others, 0)
}

// ChildOf returns the one child process of a process.
func ChildOf(parent int) (int, error) {
	paths, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return 0, err
	}
	var children []int
	for _, path := range paths {
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		if err != nil {
			continue // no process
		}
		stat, err := readStat(pid)
		if err != nil {
			continue // it has ended since
		}
		if stat.parent == parent {
			children = append(children, pid)
		}
	}
	if len(children) != 1 {
		return 0, fmt.Errorf("process %d has %d children, not the one that is looked for", parent, len(children))
	}
	return children[0], nil
}

type stat struct {
	parent int
	cpu    time.Duration
}

func readStat(pid int) (stat, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return stat{}, err
	}
	return parseStat(text)
}

// parseStat reads /proc/PID/stat (proc_pid_stat(5)): fields 4 (ppid), 14 (utime) and 15 (stime). The second is the
// program's name in parentheses, in which anything may stand.
func parseStat(text []byte) (stat, error) {
	end := bytes.LastIndex(text, []byte(") "))
	if end < 0 {
		return stat{}, fmt.Errorf("%q is no status of a process", text)
	}
	fields := strings.Fields(string(text[end+2:]))
	if len(fields) < 13 {
		return stat{}, fmt.Errorf("%q is no status of a process", text)
	}
	parent, err := strconv.Atoi(fields[1])
	if err != nil {
		return stat{}, fmt.Errorf("reading a parent's id: %w", err)
	}
	cpu, err := ticks(fields[11:13])
	if err != nil {
		return stat{}, err
	}
	return stat{parent: parent, cpu: cpu}, nil
}

// parseMachine reads the first line of /proc/stat (proc_stat(5)): user, nice, system, idle, iowait, irq, softirq,
// steal, and two that are part of the first.
func parseMachine(text string) (time.Duration, error) {
	line, _, _ := strings.Cut(text, "\n")
	fields := strings.Fields(line)
	if len(fields) < 9 || fields[0] != "cpu" {
		return 0, fmt.Errorf("%q is not what a Linux kernel says", line)
	}
	return ticks(append(fields[1:4:4], fields[6:9]...))
}

func ticks(fields []string) (time.Duration, error) {
	var sum int64
	for _, field := range fields {
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("reading a CPU time: %w", err)
		}
		sum += n
	}
	return time.Duration(sum) * tick, nil
}
