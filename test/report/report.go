package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
)

// event is one line of go test -json (go doc cmd/test2json; the build events are those of go help buildjson).
type event struct {
	Action  string
	Package string
	Test    string
	Output  string
	Elapsed float64 // seconds
}

// report reads events and prints what is worth it.
type report struct {
	out     io.Writer
	perTest bool
	noSkips bool
	counts
	// output is what each test and package (the test "") has said and that is not printed yet.
	output map[testID]*strings.Builder
}

type testID struct{ pkg, test string }

func (id testID) String() string {
	if id.test == "" {
		return id.pkg
	}
	return id.pkg + "." + id.test
}

func (r *report) read(in io.Reader) error {
	r.output = make(map[testID]*strings.Builder)
	lines := bufio.NewReader(in)
	for {
		line, err := lines.ReadString('\n')
		if line != "" {
			r.line(line)
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("reading the output of go test: %w", err)
		}
	}
}

func (r *report) line(line string) {
	var e event
	if !strings.HasPrefix(line, "{") || json.Unmarshal([]byte(line), &e) != nil {
		fmt.Fprint(r.out, line) // go's own word, such as that of a module that cannot be fetched
		return
	}
	id := testID{e.Package, e.Test}
	switch e.Action {
	case "build-output": // of a package that did not compile; the end of the package follows as an event of its own
		fmt.Fprint(r.out, e.Output)
	case "output":
		if r.output[id] == nil {
			r.output[id] = &strings.Builder{}
		}
		r.output[id].WriteString(e.Output)
	case "pass", "fail", "skip":
		if e.Test == "" {
			r.endPackage(id, e.Action)
		} else {
			r.endTest(id, e.Action, e.Elapsed)
		}
	}
}

func (r *report) endTest(id testID, action string, seconds float64) {
	said := r.take(id)
	switch {
	case action == "pass":
		r.Passed++
	case action == "fail":
		r.Failed = append(r.Failed, id.String())
		fmt.Fprint(r.out, said)
	case r.noSkips:
		r.Failed = append(r.Failed, id.String())
		fmt.Fprintf(r.out, "%sFAIL: %s was skipped, and nothing may be left out here\n", said, id)
	default:
		r.Skipped = append(r.Skipped, skip{id.String(), reason(said)})
	}
	if r.perTest && !strings.Contains(id.test, "/") && action != "fail" {
		fmt.Fprintf(r.out, "--- %s: %s (%.1fs)\n", strings.ToUpper(action), id.test, seconds)
	}
}

// endPackage prints the closing line of a package, and of one that failed everything that is left: what tests said
// that were still running, and what was said outside of tests.
func (r *report) endPackage(id testID, action string) {
	said := r.take(id)
	if action == "skip" {
		return // it has no tests
	}
	if action == "fail" {
		r.Failed = append(r.Failed, id.String())
		for other := range r.output {
			if other.pkg == id.pkg {
				fmt.Fprintf(r.out, "=== %s had not ended:\n%s", other.test, r.take(other))
			}
		}
		fmt.Fprint(r.out, said)
		return
	}
	for line := range strings.Lines(said) {
		if strings.HasPrefix(line, "ok ") {
			fmt.Fprint(r.out, line)
		}
	}
}

func (r *report) take(id testID) string {
	b := r.output[id]
	if b == nil {
		return ""
	}
	delete(r.output, id)
	return b.String()
}

// where is the place that testing puts before what a test says.
var where = regexp.MustCompile(`^\s*[\w.-]+\.go:\d+: `)

// reason takes what the test itself said out of its output.
func reason(said string) string {
	var texts []string
	for line := range strings.Lines(said) {
		line = strings.TrimSpace(where.ReplaceAllString(line, ""))
		if line != "" && !strings.HasPrefix(line, "=== ") && !strings.HasPrefix(line, "--- ") {
			texts = append(texts, line)
		}
	}
	return strings.Join(texts, " ")
}
