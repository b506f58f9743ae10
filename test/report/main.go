// Command report makes the output of "go test -json" fit for people: the lines by which go test closes a package, all
// output of what failed and nothing of what passed. It counts, and keeps what was skipped and why, which go test
// itself tells nobody who does not ask for everything.
//
// Usage:
//
//	go test -json ./... | report -state FILE [-tests] [-no-skips]
//	report -state FILE -total
//
// FILE gathers the counts of several runs. -tests also tells of each test as it ends, for packages whose tests take
// minutes. With -no-skips a skipped test counts as failed. -total prints the sum of all runs. The exit status is 1
// where a test or a package failed.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
)

func main() {
	state := flag.String("state", "", "`FILE` that gathers the counts of several runs")
	tests := flag.Bool("tests", false, "tell of each test as it ends")
	noSkips := flag.Bool("no-skips", false, "count a skipped test as failed")
	total := flag.Bool("total", false, "print the sum of all runs in FILE")
	flag.Parse()
	ok, err := run(*state, *total, &report{out: os.Stdout, perTest: *tests, noSkips: *noSkips}, os.Stdin)
	if err != nil {
		fmt.Fprintln(os.Stderr, "report:", err)
		os.Exit(2)
	}
	if !ok {
		os.Exit(1)
	}
}

// run makes one report or the sum, and tells whether nothing failed.
func run(state string, total bool, r *report, in io.Reader) (ok bool, err error) {
	if state == "" {
		return false, errors.New("-state is missing")
	}
	if total {
		sum, err := readState(state)
		if err != nil {
			return false, err
		}
		return sum.print(r.out)
	}
	if err := r.read(in); err != nil {
		return false, err
	}
	return len(r.Failed) == 0, appendState(state, &r.counts)
}

// counts are those of one run, or of several.
type counts struct {
	Passed  int
	Failed  []string
	Skipped []skip
}

type skip struct{ Test, Reason string }

func appendState(path string, c *counts) error {
	line, err := json.Marshal(c)
	if err != nil {
		return fmt.Errorf("writing the counts: %w", err)
	}
	file, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o666)
	if err != nil {
		return fmt.Errorf("writing the counts: %w", err)
	}
	_, err = file.Write(append(line, '\n'))
	if err = errors.Join(err, file.Close()); err != nil {
		return fmt.Errorf("writing the counts: %w", err)
	}
	return nil
}

func readState(path string) (*counts, error) {
	sum := &counts{}
	file, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return sum, nil // no run came so far as to write one
	}
	if err != nil {
		return nil, fmt.Errorf("reading the counts: %w", err)
	}
	defer file.Close()
	lines := json.NewDecoder(bufio.NewReader(file))
	for {
		var c counts
		switch err := lines.Decode(&c); {
		case errors.Is(err, io.EOF):
			return sum, nil
		case err != nil:
			return nil, fmt.Errorf("reading the counts: %w", err)
		}
		sum.Passed += c.Passed
		sum.Failed = append(sum.Failed, c.Failed...)
		sum.Skipped = append(sum.Skipped, c.Skipped...)
	}
}

// print prints what there is to know at the end.
func (c *counts) print(out io.Writer) (ok bool, err error) {
	w := bufio.NewWriter(out)
	for _, s := range c.Skipped {
		fmt.Fprintf(w, "skipped: %s: %s\n", s.Test, s.Reason)
	}
	for _, name := range c.Failed {
		fmt.Fprintf(w, "failed: %s\n", name)
	}
	fmt.Fprintf(w, "%d passed, %d failed, %d skipped\n", c.Passed, len(c.Failed), len(c.Skipped))
	return len(c.Failed) == 0 && c.Passed > 0, w.Flush()
}
