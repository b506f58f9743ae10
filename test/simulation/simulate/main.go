// Command simulate runs the simulation in processes of their own, one for each run, in which goroutines run in an order
// that the seed fixes: a run that is repeated is the same to the byte. It looks for seeds that fail and makes the story
// of one that does shorter by itself.
//
//	simulate -for 5m         seeds that nobody has chosen
//	simulate -run 7          one run, with its story
//	simulate -known          the faults of test/simulation/faults, brought back one at a time
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"syscall"
	"time"

	"github.com/messaging-kafka/messaging-kafka/test/simulation/replay"
)

func main() {
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	if err := run(ctx); err != nil {
		cancel()
		fmt.Fprintln(os.Stderr, "simulate:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	span := flag.Duration("for", 5*time.Minute, "how long to run seeds that nobody has chosen")
	name := flag.String("run", "", "one run: a seed, or what a failed one is told to be repeated by")
	first := flag.Uint64("from", 0, "the first seed, of which the next ones are tried; 0 draws each")
	workers := flag.Int("workers", max(1, runtime.NumCPU()), "how many runs at once")
	all := flag.Bool("all", false, "with -run, print everything that happened and not the story alone")
	keep := flag.String("build", "", "build the program to this path, and run nothing")
	check := flag.Bool("check", false, "repeat each run, and not some")
	onward := flag.Bool("on", false, "go on after seeds that fail, and name them")
	table := flag.Bool("table", false, "print what was done to which requests, as a table")
	known := flag.Bool("known", false, "bring back the faults of test/simulation/faults one at a time, and count seeds until each is found")
	only := flag.String("fault", "", "with -known, these alone, with commas between")
	most := flag.Int("seeds", 500, "with -known, how many seeds are tried for each")
	flag.Parse()
	// Its name is of one length, see program.do.
	folder := filepath.Join(os.TempDir(), fmt.Sprintf("simulate%010d", os.Getpid()))
	if err := os.Mkdir(folder, 0o700); err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(folder) }() // what is left over lies among temporary files
	if *known {
		return knownFaults(ctx, folder, *only, *most, *workers)
	}
	program, err := build(ctx, folder, "")
	if err != nil {
		return err
	}
	if *keep != "" {
		return os.Rename(program.path, *keep)
	}
	if *name != "" {
		one, err := replay.Parse(*name)
		if err != nil {
			return err
		}
		return tellOne(ctx, program, one, *all)
	}
	seed := func() uint64 { return 1000 + rand.Uint64N(1<<32) }
	if *first > 0 {
		next := *first - 1
		seed = func() uint64 { next++; return next }
	}
	s := newSearch(program, seed, *workers)
	s.span, s.out, s.onward = *span, os.Stdout, *onward
	if *check {
		s.twice = 1
	}
	failed, err := s.run(ctx)
	fmt.Print(s.summary())
	if *table {
		fmt.Print(s.table())
	}
	switch {
	case err != nil:
		return err
	case failed == nil:
		return nil
	}
	fmt.Printf("\nseed %d fails:\n", failed.run.Seed)
	tellFailures(failed.result)
	short := minimise(ctx, program, failed.run, failed.result, *workers)
	again, err := program.do(ctx, short)
	if err != nil {
		return err
	}
	fmt.Printf("\nThe shortest story that was found:\n\n")
	tellStory(again)
	return fmt.Errorf("make simulate SEED='%s' runs it again", short)
}

// tellOne runs one run and tells of it.
func tellOne(ctx context.Context, program *program, one replay.Run, all bool) error {
	done, err := program.do(ctx, one)
	if err != nil {
		return err
	}
	if all {
		fmt.Print(done.log)
	} else {
		tellStory(done)
	}
	tellFailures(done.result)
	if len(done.result.Failures) > 0 {
		return errors.New("the run fails")
	}
	return nil
}
