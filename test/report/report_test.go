package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// lines are events as go test -json prints them.
func lines(events ...string) string { return strings.Join(events, "\n") + "\n" }

const (
	okLine      = `{"Action":"output","Package":"m/a","Output":"ok  \tm/a\t0.1s\n"}`
	passPackage = `{"Action":"pass","Package":"m/a","Elapsed":0.1}`
)

func TestAReportHoldsWhatAReaderNeeds(t *testing.T) {
	for name, test := range map[string]struct {
		in      string
		noSkips bool
		perTest bool
		want    []string
		without []string
		passed  int
		failed  []string
		skipped []skip
	}{
		"what passed is one line": {
			in: lines(`{"Action":"output","Package":"m/a","Test":"TestX","Output":"    x.go:1: chatter\n"}`,
				`{"Action":"pass","Package":"m/a","Test":"TestX"}`, `{"Action":"output","Package":"m/a","Output":"PASS\n"}`, okLine, passPackage),
			want: []string{"ok  \tm/a\t0.1s\n"}, without: []string{"chatter", "PASS", "TestX"}, passed: 1,
		},
		"slow packages tell of each test": {
			in:      lines(`{"Action":"pass","Package":"m/a","Test":"TestX","Elapsed":2.25}`, `{"Action":"pass","Package":"m/a","Test":"TestX/part"}`, passPackage),
			perTest: true, want: []string{"--- PASS: TestX (2.2s)\n"}, without: []string{"TestX/part"}, passed: 2,
		},
		"what failed is there with its words": {
			in: lines(`{"Action":"output","Package":"m/a","Test":"TestX","Output":"    x.go:1: want 1\n"}`,
				`{"Action":"fail","Package":"m/a","Test":"TestX"}`, `{"Action":"output","Package":"m/a","Output":"FAIL\tm/a\t0.1s\n"}`,
				`{"Action":"fail","Package":"m/a"}`),
			want: []string{"x.go:1: want 1", "FAIL\tm/a"}, failed: []string{"m/a.TestX", "m/a"},
		},
		"a test that never ended is there with its words": {
			in:   lines(`{"Action":"output","Package":"m/a","Test":"TestX","Output":"panic: test timed out\n"}`, `{"Action":"fail","Package":"m/a"}`),
			want: []string{"TestX had not ended", "panic: test timed out"}, failed: []string{"m/a"},
		},
		"a package that does not compile fails": {
			in: lines(`{"ImportPath":"m/a","Action":"build-output","Output":"a.go:1: undefined: x\n"}`, `{"ImportPath":"m/a","Action":"build-fail"}`,
				`{"Action":"output","Package":"m/a","Output":"FAIL\tm/a [build failed]\n"}`, `{"Action":"fail","Package":"m/a"}`),
			want: []string{"undefined: x", "[build failed]"}, failed: []string{"m/a"},
		},
		"what was skipped is kept with its reason": {
			in: lines(`{"Action":"output","Package":"m/a","Test":"TestX","Output":"=== RUN   TestX\n"}`,
				`{"Action":"output","Package":"m/a","Test":"TestX","Output":"    need.go:12: java is missing: install a JRE\n"}`,
				`{"Action":"output","Package":"m/a","Test":"TestX","Output":"--- SKIP: TestX (0.00s)\n"}`,
				`{"Action":"skip","Package":"m/a","Test":"TestX"}`, okLine, passPackage),
			skipped: []skip{{"m/a.TestX", "java is missing: install a JRE"}},
		},
		"what was skipped fails where nothing may be": {
			in:      lines(`{"Action":"output","Package":"m/a","Test":"TestX","Output":"    need.go:12: no java\n"}`, `{"Action":"skip","Package":"m/a","Test":"TestX"}`, okLine, passPackage),
			noSkips: true, want: []string{"no java", "may be left out"}, failed: []string{"m/a.TestX"},
		},
		"words of go itself come through": {in: "go: no such module\n", want: []string{"go: no such module\n"}},
	} {
		t.Run(name, func(t *testing.T) {
			var out strings.Builder
			r := &report{out: &out, perTest: test.perTest, noSkips: test.noSkips}
			state := filepath.Join(t.TempDir(), "state")
			ok, err := run(state, false, r, strings.NewReader(test.in))
			if err != nil {
				t.Fatal(err)
			}
			if ok != (len(test.failed) == 0) {
				t.Errorf("ok is %v", ok)
			}
			for _, want := range test.want {
				if !strings.Contains(out.String(), want) {
					t.Errorf("no %q in\n%s", want, &out)
				}
			}
			for _, not := range test.without {
				if strings.Contains(out.String(), not) {
					t.Errorf("%q in\n%s", not, &out)
				}
			}
			sum, err := readState(state)
			if err != nil {
				t.Fatal(err)
			}
			if sum.Passed != test.passed || strings.Join(sum.Failed, " ") != strings.Join(test.failed, " ") {
				t.Errorf("%d passed and %v failed, want %d and %v", sum.Passed, sum.Failed, test.passed, test.failed)
			}
			if len(sum.Skipped) != len(test.skipped) || len(sum.Skipped) > 0 && sum.Skipped[0] != test.skipped[0] {
				t.Errorf("skipped %q, want %q", sum.Skipped, test.skipped)
			}
		})
	}
}

func TestTheTotalSumsAllRuns(t *testing.T) {
	state := filepath.Join(t.TempDir(), "state")
	total := func() (string, bool) {
		var out strings.Builder
		ok, err := run(state, true, &report{out: &out}, nil)
		if err != nil {
			t.Fatal(err)
		}
		return out.String(), ok
	}
	if text, ok := total(); ok || text != "0 passed, 0 failed, 0 skipped\n" {
		t.Errorf("no test at all is well: %v, %q", ok, text)
	}
	for _, c := range []counts{{Passed: 2}, {Passed: 3, Skipped: []skip{{"m/a.TestX", "no java"}}}} {
		if err := appendState(state, &c); err != nil {
			t.Fatal(err)
		}
	}
	if text, ok := total(); !ok || text != "skipped: m/a.TestX: no java\n5 passed, 0 failed, 1 skipped\n" {
		t.Errorf("%v, %q", ok, text)
	}
	if err := appendState(state, &counts{Failed: []string{"m/b.TestY"}}); err != nil {
		t.Fatal(err)
	}
	if text, ok := total(); ok || !strings.Contains(text, "failed: m/b.TestY\n5 passed, 1 failed, 1 skipped\n") {
		t.Errorf("%v, %q", ok, text)
	}
	if err := os.WriteFile(state, []byte("{nonsense"), 0o666); err != nil {
		t.Fatal(err)
	}
	if _, err := run(state, true, &report{out: &strings.Builder{}}, nil); err == nil {
		t.Error("a broken file of counts is well")
	}
}
