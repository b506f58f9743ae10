package main

import (
	"fmt"
	"strings"

	"github.com/messaging-kafka/messaging-kafka/test/simulation/replay"
)

// readable is how many lines of a story a person reads, details included.
const readable = 150

// tellStory prints what happened as a timeline, with as much as fits: the calls and warnings of a short run, too.
func tellStory(o *outcome) {
	for _, levels := range []string{string(replay.Story) + string(replay.Call) + string(replay.Warning), string(replay.Story) + string(replay.Call)} {
		if lines := linesOf(o.log, levels); len(lines) <= readable {
			fmt.Println(strings.Join(lines, "\n"))
			return
		}
	}
	fmt.Println(strings.Join(linesOf(o.log, string(replay.Story)), "\n"))
}

// linesOf are the lines of a log that have one of some levels.
func linesOf(log, levels string) (lines []string) {
	for line := range strings.SplitSeq(log, "\n") {
		if line != "" && strings.IndexByte(levels, line[0]) >= 0 {
			lines = append(lines, line[2:])
		}
	}
	return lines
}

func tellFailures(r replay.Result) {
	for _, f := range r.Failures {
		fmt.Printf("%s does not hold: %s\n", f.Invariant, f.Text)
	}
}
