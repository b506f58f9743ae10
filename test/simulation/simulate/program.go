package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/messaging-kafka/messaging-kafka/test/simulation/replay"
)

// program is the test's program, built so that a run can be repeated.
type program struct {
	path, folder string
	runs         atomic.Int64
}

// build builds it from the sources in a folder; "" is this one.
func build(ctx context.Context, folder, from string) (*program, error) {
	laid, err := overlay(ctx, folder)
	if err != nil {
		return nil, err
	}
	p := &program{path: filepath.Join(folder, "simulation"), folder: folder}
	// The tag lets virtual time pass the locks of the Kafka client. Without paths, what a patch does not touch is built
	// once for all folders, and the program is the same in each.
	cmd := exec.CommandContext(ctx, "go", "test", "-c", "-trimpath", "-tags", "synctests", "-overlay", laid, "-o", p.path, "./test/simulation")
	cmd.Dir = from
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("building the simulation: %w\n%s", err, out)
	}
	return p, nil
}

// outcome is what came of a run.
type outcome struct {
	run    replay.Run
	result replay.Result
	log    string
}

// stuck is how long, of the machine's time, a run may take. The longest take a few seconds.
const stuck = 3 * time.Minute

// do runs one run.
func (p *program) do(ctx context.Context, run replay.Run) (*outcome, error) {
	// Where things lie in memory depends on how long names are.
	folder := filepath.Join(p.folder, fmt.Sprintf("run%09d", p.runs.Add(1)))
	if err := os.Mkdir(folder, 0o700); err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(folder) }() // the folder above it is removed, too
	ctx, cancel := context.WithTimeout(ctx, stuck)
	defer cancel()
	result, log := filepath.Join(folder, "result"), filepath.Join(folder, "log")
	cmd := exec.CommandContext(ctx, p.path, "-test.run=^TestRun$", "-test.timeout=0")
	cmd.Args[0], cmd.Dir = "simulation", folder
	// Memory is not collected before there is much of it: that would change the order in which goroutines run.
	cmd.Env = []string{
		"GOMAXPROCS=1", "GOGC=off", "GOMEMLIMIT=2GiB", "GODEBUG=asyncpreemptoff=1,memprofilerate=0", "HOME=/", "PWD=/",
		"SIMULATE_RUN=" + run.String(), "SIMULATE_RESULT=result", "SIMULATE_LOG=log",
	}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	ended := cmd.Run()
	o := &outcome{run: run}
	if text, err := os.ReadFile(log); err == nil {
		o.log = string(text)
	}
	text, err := os.ReadFile(result)
	switch {
	case err == nil:
		if err := json.Unmarshal(text, &o.result); err != nil {
			return nil, fmt.Errorf("reading the result of %s: %w", run, err)
		}
		return o, nil
	case !errors.Is(err, os.ErrNotExist):
		return nil, err
	case ctx.Err() != nil && !errors.Is(context.Cause(ctx), context.DeadlineExceeded):
		return nil, ctx.Err()
	}
	// It has not come to its end.
	f := replay.Failure{Invariant: "panic", Text: out.String()}
	switch {
	case ctx.Err() != nil:
		f = replay.Failure{Invariant: "stuck", Text: fmt.Sprintf("the run takes longer than %s", stuck)}
	case strings.Contains(out.String(), "deadlock"):
		f.Invariant = "nobody-left"
	case ended == nil:
		return nil, fmt.Errorf("%s ended without a result:\n%s", run, out.String())
	}
	o.result.Failures = []replay.Failure{f}
	return o, nil
}

// difference is where two logs of one run differ first; "" is that they do not.
func difference(a, b string) string {
	if a == b {
		return ""
	}
	one, two := strings.Split(a, "\n"), strings.Split(b, "\n")
	for i := range min(len(one), len(two)) {
		if one[i] != two[i] {
			return fmt.Sprintf("line %d is\n  %s\nand then\n  %s", i+1, one[i], two[i])
		}
	}
	return fmt.Sprintf("it has %d lines and then %d", len(one), len(two))
}
