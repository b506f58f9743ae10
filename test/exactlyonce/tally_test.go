package exactlyonce

import (
	"slices"
	"strings"
	"testing"

	"github.com/messaging-kafka/messaging-kafka/test/ledger"
)

// seed draws the fates.
const seed = 5

// idWith finds a record with a fate.
func idWith(t *testing.T, want Fate, not ...ledger.ID) ledger.ID {
	t.Helper()
	for seq := 1; seq < 100_000; seq++ {
		if id := (ledger.ID{Key: 1, Seq: seq}); FateOf(seed, id) == want && !slices.Contains(not, id) {
			return id
		}
	}
	t.Fatalf("no record has the fate %+v", want)
	return ledger.ID{}
}

func TestATallyFindsWhatIsWrong(t *testing.T) {
	a := idWith(t, Fate{Outputs: 1})
	b := idWith(t, Fate{Outputs: 1}, a)
	three, none, reject := idWith(t, Fate{Outputs: 3}), idWith(t, Fate{}), idWith(t, Fate{Reject: true})
	good := func() *Tally {
		return &Tally{
			Seed: seed,
			Produced: map[ledger.ID]ledger.Place{
				a: ledger.At(0, 1), b: ledger.At(0, 2), three: ledger.At(0, 3), none: ledger.At(1, 1), reject: ledger.At(1, 2),
			},
			Outputs: []Output{
				{a, 1, ledger.At(0, 1), ledger.At(0, 0)}, {b, 1, ledger.At(0, 2), ledger.At(0, 1)},
				{three, 1, ledger.At(0, 3), ledger.At(0, 2)}, {three, 2, ledger.At(0, 3), ledger.At(0, 3)}, {three, 3,
					ledger.At(0, 3), ledger.At(0, 4)},
			},
			Dead: []ledger.ID{reject},
			End:  map[int32]int64{0: 4, 1: 3}, Committed: map[int32]int64{0: 4, 1: 3},
		}
	}
	for name, tc := range map[string]struct {
		change func(*Tally)
		want   func(Count) bool
		detail string
	}{
		"nothing": {func(*Tally) {}, func(c Count) bool { return c.Records == 5 }, ""},
		"an output is missing": {func(l *Tally) { l.Outputs = l.Outputs[1:] },
			func(c Count) bool { return slices.Equal(c.Lost, []ledger.ID{a}) }, "0 of 1 outputs"},
		"one of three is missing": {func(l *Tally) { l.Outputs = l.Outputs[:4] },
			func(c Count) bool { return slices.Equal(c.Lost, []ledger.ID{three}) }, "2 of 3 outputs"},
		"a dead letter is missing": {func(l *Tally) { l.Dead = nil },
			func(c Count) bool { return slices.Equal(c.Lost, []ledger.ID{reject}) }, "no dead letter"},
		"a dead letter is there twice":  {func(l *Tally) { l.Dead = append(l.Dead, reject) }, func(c Count) bool { return c.Twice == 1 }, "2 times"},
		"an unlucky record":             {func(l *Tally) { l.Dead = append(l.Dead, a); l.Outputs = l.Outputs[1:] }, func(c Count) bool { return c.Failed == 1 && c.Twice+c.Both+len(c.Lost) == 0 }, ""},
		"outputs and a dead letter":     {func(l *Tally) { l.Dead = append(l.Dead, a) }, func(c Count) bool { return c.Both == 1 }, "and a dead letter"},
		"a stranger":                    {func(l *Tally) { l.Strangers = []string{"who?"} }, func(c Count) bool { return c.Twice == 1 }, "who?"},
		"a record of another place":     {func(l *Tally) { l.Outputs[4].From.Offset = 7 }, func(c Count) bool { return c.Twice == 1 }, "0@7"},
		"an offset that is not its end": {func(l *Tally) { l.Committed[1] = 2 }, func(c Count) bool { return c.Uncommitted == 1 }, "2 of 3"},
		"an output that is there twice": {func(l *Tally) {
			l.Outputs = append(l.Outputs,
				Output{three, 3, ledger.At(0, 3), ledger.At(0, 9)})
		},
			func(c Count) bool { return c.Twice == 1 && c.Disorder == 0 }, "0@4, 0@9"},
		"outputs out of order": {func(l *Tally) {
			l.Outputs[0], l.Outputs[1] = Output{b, 1, ledger.At(0, 2), ledger.At(0, 0)}, Output{a, 1, ledger.At(0, 1),
				ledger.At(0, 1)}
		}, func(c Count) bool { return c.Disorder == 1 }, "stands behind"},
	} {
		t.Run(name, func(t *testing.T) {
			l := good()
			tc.change(l)
			c := l.Check(true)
			if !tc.want(c) || !strings.Contains(strings.Join(c.Details, "\n"), tc.detail) {
				t.Errorf("%+v", c)
			}
			if bad := len(c.Lost) + c.Twice + c.Both + c.Disorder + c.Uncommitted; (bad > 0) != (tc.detail != "") {
				t.Errorf("%d things are wrong: %+v", bad, c)
			}
		})
	}
}

func TestWithoutTransactionsOnlyFirstOccurrencesOfAKeyAreInOrder(t *testing.T) {
	a := idWith(t, Fate{Outputs: 1})
	b := idWith(t, Fate{Outputs: 1}, a)
	l := &Tally{Seed: seed, Produced: map[ledger.ID]ledger.Place{a: ledger.At(0, 1), b: ledger.At(0, 2)},
		Outputs: []Output{
			{a, 1, ledger.At(0, 1), ledger.At(0, 0)}, {b, 1, ledger.At(0, 2), ledger.At(0, 1)}, {a, 1, ledger.At(0, 1),
				ledger.At(0, 2)},
		}}
	if c := l.Check(false); c.Disorder != 0 || c.Twice != 1 {
		t.Errorf("%+v", c)
	}
	if c := l.Check(true); c.Disorder != 1 {
		t.Errorf("%+v", c)
	}
}
