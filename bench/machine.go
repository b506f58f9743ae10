package bench

import (
	"os"
	"runtime"
	"strconv"
	"strings"
)

// Machine describes where something was measured. Texts that the system does not give are empty.
type Machine struct {
	CPU    string `json:"cpu"`
	Cores  int    `json:"cores"`
	Memory string `json:"memory"`
	System string `json:"system"` // distribution
	Kernel string `json:"kernel"`
	// Load is the load average over the last minute when the measurement began: what else the machine was doing.
	Load float64 `json:"load"`
}

// ThisMachine describes this machine as well as its /proc does.
func ThisMachine() Machine {
	m := Machine{
		CPU:    field("/proc/cpuinfo", "model name", ":"),
		Cores:  runtime.NumCPU(),
		Memory: field("/proc/meminfo", "MemTotal", ":"),
		System: strings.Trim(field("/etc/os-release", "PRETTY_NAME", "="), `"`),
		Kernel: strings.TrimSpace(read("/proc/sys/kernel/osrelease")),
	}
	if fields := strings.Fields(read("/proc/loadavg")); len(fields) > 0 {
		m.Load, _ = strconv.ParseFloat(fields[0], 64) // a figure for the reader alone; 0 where there is none
	}
	return m
}

// field returns the value of the first line of a file that begins with key.
func field(path, key, separator string) string {
	for line := range strings.Lines(read(path)) {
		if name, value, found := strings.Cut(line, separator); found && strings.TrimSpace(name) == key {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

func read(path string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	return string(text)
}
