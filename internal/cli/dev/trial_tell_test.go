package dev

import (
	"testing"

	"github.com/messaging-kafka/messaging-kafka/internal/observe/status"
)

// TestAPersonIsToldOnceWhatIsWrong, and that it is over.
func TestAPersonIsToldOnceWhatIsWrong(t *testing.T) {
	link := func(seconds float64, problems ...status.Problem) []status.Link {
		return []status.Link{{OldestCallSeconds: seconds, Problems: problems}}
	}
	failing := func(text string) status.Problem { return status.Problem{Kind: status.ProblemFailing, Text: text} }
	var was told
	for i, step := range []struct {
		links []status.Link
		want  string
	}{
		{nil, ""},
		{link(4.9), ""},
		{link(5.2), "mine.wasm has been at work on a call for 5s"},
		{link(5.7), ""},
		{link(0), ""},
		{link(0, status.Problem{Kind: status.ProblemStarting, Text: "starting"}), ""},
		{link(0, failing("failing: 1 of the last 1 calls: it traps")), "mine.wasm: failing: 1 of the last 1 calls: it traps"},
		{link(6, failing("failing: 2 of the last 2 calls: it traps")), "mine.wasm has been at work on a call for 6s"},
		{link(6.5, failing("failing: 2 of the last 2 calls: it traps")), ""},
		{link(0), "mine.wasm is well again"},
		{link(0, status.Problem{Kind: status.ProblemUnavailable, Text: "takes no calls"}), "mine.wasm: takes no calls"},
	} {
		now, text := was.next("mine.wasm", step.links)
		if text != step.want {
			t.Errorf("step %d: it says %q, want %q", i, text, step.want)
		}
		was = now
	}
}

func TestATrapIsFoundInWhatWasmtimeWrites(t *testing.T) {
	for line, want := range map[string]string{
		"    1: wasm trap: wasm `unreachable` instruction executed": "wasm `unreachable` instruction executed",
		"wasm trap: out of bounds memory access\r":                  "out of bounds memory access",
		"stdout [0] :: a trap":                                      "",
	} {
		if got := trapOf(line); got != want {
			t.Errorf("%q: %q, want %q", line, got, want)
		}
	}
}
