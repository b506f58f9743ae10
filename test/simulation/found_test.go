package simulation

import (
	_ "embed"
	"fmt"
	"strings"
	"testing"

	"github.com/messaging-kafka/messaging-kafka/test/simulation/replay"
)

// foundRuns has the runs that have found a fault of the engine, one each line, with what it was behind it.
//
//go:embed found.txt
var foundRuns string

// TestFoundRuns runs again what has found something.
func TestFoundRuns(t *testing.T) {
	n := 0
	for line := range strings.SplitSeq(foundRuns, "\n") {
		name, what, _ := strings.Cut(line, " ")
		if name == "" || name == "#" {
			continue
		}
		if what == "" {
			t.Errorf("of %s it is not said what it has found", name)
		}
		run, err := replay.Parse(name)
		if err != nil {
			t.Errorf("%s: %v", line, err)
			continue
		}
		n++
		t.Run(fmt.Sprint(run.Seed), func(t *testing.T) { simulate(t, run, toNobody) })
	}
	if n == 0 {
		t.Error("there is no run")
	}
}
