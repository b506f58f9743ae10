package bench

import (
	"testing"
	"time"
)

func TestTheStatusOfAProcessIsRead(t *testing.T) {
	const numbers = " S 12 5 5 0 -1 4194560 1 0 0 0 150 25 7 9 20 0 1 0 8 1 1"
	for _, test := range []struct {
		name, text string
		want       stat
		bad        bool
	}{
		{name: "an ordinary one", text: "5 (cat)" + numbers, want: stat{parent: 12, cpu: 1750 * time.Millisecond}},
		{name: "with parentheses and spaces in its name", text: "5 (a) S 99 (b)" + numbers, want: stat{parent: 12, cpu: 1750 * time.Millisecond}},
		{name: "an empty one", text: "", bad: true},
		{name: "one that is cut", text: "5 (cat) S 12 5", bad: true},
		{name: "one without numbers", text: "5 (cat)" + " x x x x x x x x x x x x x x", bad: true},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := parseStat([]byte(test.text))
			if got != test.want || (err != nil) != test.bad {
				t.Errorf("%v, %v", got, err)
			}
		})
	}
}

func TestTheMachinesTimeIsAllButIdling(t *testing.T) {
	for _, test := range []struct {
		name, text string
		want       time.Duration
		bad        bool
	}{
		{name: "user, nice, system, irq, softirq and steal", text: "cpu  1 2 4 1000 2000 8 16 32 64 128\ncpu0 9", want: 630 * time.Millisecond},
		{name: "another system's", text: "page 1 2", bad: true},
		{name: "no number", text: "cpu a b c d e f g h", bad: true},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := parseMachine(test.text)
			if got != test.want || (err != nil) != test.bad {
				t.Errorf("%v, %v", got, err)
			}
		})
	}
}

func TestWhatOthersUsedIsTheRest(t *testing.T) {
	before := CPU{Of: map[string]time.Duration{"a": 5, "b": 1}, Machine: 100}
	after := CPU{Of: map[string]time.Duration{"a": 8, "b": 2}, Machine: 120}
	d := after.Since(before)
	if d.Of["a"] != 3 || d.Of["b"] != 1 || d.Machine != 20 || d.Others() != 16 {
		t.Errorf("%+v, others %v", d, d.Others())
	}
}
