package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// change is one that has the Go runtime do the same thing each time. Nothing of it goes into a program that is shipped:
// it is laid over the sources for the building of the test's program alone.
type change struct {
	file, what, with string
	why              string
}

// changes are all that a run depends on besides its seed. What is left is set by the environment (see program.command).
var changes = []change{
	{
		file: "runtime/rand.go",
		what: "if len(startupRand) >= 16 &&",
		with: "if seed[0] = 1; seed[0] == 1 {\n\t} else if len(startupRand) >= 16 &&",
		why:  "the case that select takes, where ranges over maps begin and what math/rand draws by itself begin from the same number",
	},
	{
		file: "runtime/synctest.go",
		what: "\tgp := getg()\n\tif gp.bubble != nil {\n\t\tpanic(\"synctest.Run called",
		with: "\tgp := getg()\n\tgp.m.cheaprand = 1\n\tgp.m.chacha8.Init64([4]uint64{1})\n\tgp.m.p.ptr().schedtick = 0\n" +
			"\tif gp.bubble != nil {\n\t\tpanic(\"synctest.Run called",
		why: "what the thread has drawn before a run, and which thread that is, says nothing",
	},
	{
		file: "runtime/proc.go",
		what: "\tlockOSThread()\n\n\tif mp != &m0 {",
		with: "\tmp.lockedInt++\n\n\tif mp != &m0 {",
		why:  "one thread runs all goroutines from the start; how many there are changes where things lie in memory, and so the order of maps",
	},
	{
		file: "runtime/proc.go",
		what: "\tif haveSysmon {\n",
		with: "\tif haveSysmon && gomaxprocs != 1 {\n",
		why: "the thread that watches interrupts goroutines that have run for ten milliseconds of the machine's time; and where it " +
			"holds a lock of the scheduler in the moment in which the other thread wants it, that one draws a number more",
	},
	{
		file: "runtime/symtab.go",
		what: "ci := cheaprandn(uint32(len(cache.entries[ck])))",
		with: "ci := 0",
		why:  "what this cache holds comes from before the run, and says nothing: no number is drawn for what it does not hold",
	},
	{
		file: "runtime/iface.go",
		what: "if cheaprand()&1023 != 0 {\n\t\t// Only bother updating the cache ~1 in 1000 times.\n\t\treturn tab\n",
		with: "if true {\n\t\treturn tab\n",
		why:  "nor for what the cache of type assertions does not hold",
	},
	{
		file: "runtime/iface.go",
		what: "if cheaprand()&1023 != 0 {\n\t\t// Only bother updating the cache ~1 in 1000 times.\n\t\t// This ensures",
		with: "if true {\n\t\t// This ensures",
		why:  "nor for what that of type switches does not hold",
	},
	{
		file: "runtime/sema.go",
		what: "func internal_sync_nanotime() int64 {\n\treturn nanotime()",
		with: "func internal_sync_nanotime() int64 {\n\treturn 1",
		why:  "a lock is handed over by who waits for it and not by for how long",
	},
}

// overlay writes the changed sources, and returns the file that tells the go command of them.
func overlay(ctx context.Context, folder string) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "env", "GOROOT").Output()
	if err != nil {
		return "", fmt.Errorf("asking for Go's folder: %w", err)
	}
	root := filepath.Join(strings.TrimSpace(string(out)), "src")
	sources := make(map[string]string)
	for _, c := range changes {
		if sources[c.file] == "" {
			source, err := os.ReadFile(filepath.Join(root, c.file))
			if err != nil {
				return "", fmt.Errorf("reading Go's runtime: %w", err)
			}
			sources[c.file] = string(source)
		}
		if n := strings.Count(sources[c.file], c.what); n != 1 {
			return "", fmt.Errorf("%s of this Go has %q %d times and not once: see how it does now what this is about (%s), and adapt %s",
				c.file, c.what, n, c.why, "test/simulation/simulate/overlay.go")
		}
		sources[c.file] = strings.Replace(sources[c.file], c.what, c.with, 1)
	}
	replace := make(map[string]string)
	for file, source := range sources {
		changed := filepath.Join(folder, strings.ReplaceAll(file, "/", "_"))
		if err := os.WriteFile(changed, []byte(source), 0o600); err != nil {
			return "", err
		}
		replace[filepath.Join(root, file)] = changed
	}
	text, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	path := filepath.Join(folder, "overlay.json")
	return path, os.WriteFile(path, text, 0o600)
}
