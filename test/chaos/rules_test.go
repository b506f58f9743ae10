package chaos

import (
	"strings"
	"testing"
	"time"

	"github.com/messaging-kafka/messaging-kafka/test/fleet"
	"github.com/messaging-kafka/messaging-kafka/test/ledger"
)

var (
	one, two       = Life{1, 1}, Life{2, 1}
	day            = time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)
	first, second  = ledger.ID{Key: 1, Seq: 1}, ledger.ID{Key: 1, Seq: 2}
	third, another = ledger.ID{Key: 1, Seq: 3}, ledger.ID{Key: 2, Seq: 1}
)

// at is a moment so many milliseconds into the run.
func at(ms int) time.Time { return day.Add(time.Duration(ms) * time.Millisecond) }

func call(id ledger.ID, life Life, begin, end int, answer Answer) Call {
	return Call{ID: id, Life: life, Begin: at(begin), End: at(end), Answer: answer}
}

// goodLedger is a run in which all went well: two keys of one partition, which copy 1 owns from the start.
func goodLedger() *Ledger {
	return &Ledger{
		HandleTimeout: time.Second, MaxAttempts: 2, MaxInFlight: 4,
		Produced: map[ledger.ID]ledger.Place{first: ledger.At(0, 0), second: ledger.At(0, 1), third: ledger.At(0, 3),
			another: ledger.At(0, 2)},
		Calls: []Call{
			call(first, one, 100, 110, Done), call(another, one, 101, 120, Done), call(second, one, 130, 140, Done),
			call(third, one, 150, 160, Done),
		},
		Lives: map[Life]*History{
			one: {Assigned: map[int32][]time.Time{0: {at(50)}}, GivenUp: map[ledger.Place][]time.Time{},
				TimedOut: map[ledger.Place][]Span{}},
			two: {Assigned: map[int32][]time.Time{}, GivenUp: map[ledger.Place][]time.Time{},
				TimedOut: map[ledger.Place][]Span{}},
		},
		End: map[int32]int64{0: 4}, Committed: map[int32]int64{0: 4},
	}
}

// handOver gives the partition to copy 2.
func handOver(l *Ledger, ms int) { l.Lives[two].Assigned[0] = append(l.Lives[two].Assigned[0], at(ms)) }

func TestRules(t *testing.T) {
	const (
		lost, stranger    = "1 records lost", "1 records and callers that nobody knows"
		overall, within   = "2 records begun before their predecessor's verdict", "2 calls out of order within one ownership"
		together          = "3 calls inside one record at once"
		again, lag        = "4 records done again", "5 lag at the end"
		undeserved, after = "6 dead letters without a cause of the component's", "6 members, processes and goroutines left"
	)
	for name, c := range map[string]struct {
		change func(*Ledger)
		broken []string
	}{
		"all went well": {func(*Ledger) {}, nil},
		"a record that nobody was called with is lost": {func(l *Ledger) {
			l.Calls = l.Calls[:3]
		}, []string{lost}},
		"a record whose answer came after its caller's end is lost": {func(l *Ledger) {
			l.Lives[one].Gone = at(155)
		}, []string{lost}},
		"a dead letter is as good as done": {func(l *Ledger) {
			l.Calls[3].Answer = Rejected
			l.Dead = []DeadLetter{{ID: third, At: at(161)}}
		}, nil},
		"a call of nobody is a stranger": {func(l *Ledger) {
			l.Strangers = []string{"a call of k9/9"}
		}, []string{stranger}},
		"the successor overtakes": {func(l *Ledger) {
			l.Calls[2].Begin = at(105)
		}, []string{overall, within}},
		"the successor overtakes in the hands of another copy": {func(l *Ledger) {
			handOver(l, 102)
			l.Calls[2].Life, l.Calls[2].Begin, l.Calls[3].Life = two, at(105), two
		}, []string{overall}},
		"the successor comes after a failure without another attempt": {func(l *Ledger) {
			l.Calls[0].Answer = Failed
		}, []string{lost, overall, within}},
		"a failed record is tried again": {func(l *Ledger) {
			l.Calls[0].Answer = Failed
			l.Calls = append(l.Calls[:1:1], append([]Call{call(first, one, 112, 128, Done)}, l.Calls[1:]...)...)
			l.Calls[1], l.Calls[2] = l.Calls[2], l.Calls[1]
		}, nil},
		"a rejected record's successor does not wait for its dead letter": {func(l *Ledger) {
			l.Calls[0].Answer = Rejected
			l.Dead = []DeadLetter{{ID: first, At: at(135)}}
		}, []string{overall, within}},
		"a record is left out within one ownership, though it was done before": {func(l *Ledger) {
			handOver(l, 145)
			l.Calls = append(l.Calls[:3:3], call(first, two, 150, 151, Done), call(third, two, 160, 161, Done))
		}, []string{within}},
		"a step back within one ownership": {func(l *Ledger) {
			l.Calls = append(l.Calls, call(second, one, 170, 171, Done))
		}, []string{within, again}},
		"a step back because the copy lost the partition and got it back": {func(l *Ledger) {
			l.Lives[one].Assigned[0] = append(l.Lives[one].Assigned[0], at(165))
			l.Calls = append(l.Calls, call(second, one, 170, 171, Done), call(third, one, 172, 173, Done))
		}, nil},
		"a call of a copy that never owned the partition": {func(l *Ledger) {
			l.Calls[3].Life = two
		}, []string{within}},
		"two copies are inside one record": {func(l *Ledger) {
			handOver(l, 145)
			l.Calls = append(l.Calls, call(third, two, 155, 170, Done))
		}, []string{together}},
		"one copy is inside a record twice": {func(l *Ledger) {
			l.Calls = append(l.Calls, call(third, one, 155, 170, Done))
		}, []string{within, together, again}},
		"a done record is tried again": {func(l *Ledger) {
			l.Lives[one].Offline = []Span{{at(10), at(20)}}
			l.Calls = append(l.Calls, call(third, one, 165, 170, Done))
		}, []string{within}},
		"a done record is tried again because the answer was lost": {func(l *Ledger) {
			l.Lives[one].Offline = []Span{{at(161), at(164)}}
			l.Calls = append(l.Calls, call(third, one, 165, 170, Done))
		}, nil},
		"the second copy came when the process of the first was gone": {func(l *Ledger) {
			handOver(l, 145)
			l.Lives[one].Gone = at(152)
			l.Calls = append(l.Calls, call(third, two, 155, 170, Done))
		}, nil},
		"the second copy came when the first was cut off": {func(l *Ledger) {
			handOver(l, 145)
			l.Lives[one].Offline = []Span{{at(152), at(300)}}
			l.Calls = append(l.Calls, call(third, two, 155, 170, Done))
		}, nil},
		"the second copy came before the first was cut off": {func(l *Ledger) {
			handOver(l, 145)
			l.Lives[one].Offline = []Span{{at(156), at(300)}}
			l.Calls = append(l.Calls, call(third, two, 155, 170, Done))
		}, []string{together}},
		"the first copy was cut off at another time": {func(l *Ledger) {
			handOver(l, 145)
			l.Lives[one].Offline = []Span{{at(90), at(100)}}
			l.Calls = append(l.Calls, call(third, two, 155, 170, Done))
		}, []string{together}},
		"the second copy came when the first had given the call up": {func(l *Ledger) {
			handOver(l, 145)
			l.Lives[one].GivenUp[ledger.At(0, 3)] = []time.Time{at(154)}
			l.Calls = append(l.Calls, call(third, two, 155, 170, Done))
		}, nil},
		"the first copy had given another call up": {func(l *Ledger) {
			handOver(l, 145)
			l.Lives[one].GivenUp[ledger.At(0, 2)] = []time.Time{at(154)}
			l.Calls = append(l.Calls, call(third, two, 155, 170, Done))
		}, []string{together}},
		"the next attempt came after handle_timeout": {func(l *Ledger) {
			l.Calls[3].End, l.Calls[3].Answer = at(3000), Silent
			l.Lives[one].TimedOut[ledger.At(0, 3)] = []Span{{at(148), at(1149)}}
			l.Calls = append(l.Calls, call(third, one, 1160, 1170, Done))
		}, nil},
		"the next attempt came before handle_timeout": {func(l *Ledger) {
			l.Calls[3].End, l.Calls[3].Answer = at(3000), Silent
			l.Lives[one].TimedOut[ledger.At(0, 3)] = []Span{{at(148), at(1149)}}
			l.Calls = append(l.Calls, call(third, one, 1140, 1145, Done))
		}, []string{within, together}},
		"the next attempt came after what was no handle_timeout": {func(l *Ledger) {
			l.Calls[3].End, l.Calls[3].Answer = at(3000), Silent
			l.Lives[one].TimedOut[ledger.At(0, 3)] = []Span{{at(148), at(800)}}
			l.Calls = append(l.Calls, call(third, one, 1160, 1170, Done))
		}, []string{within, together}},
		"another record's call timed out": {func(l *Ledger) {
			l.Calls[3].End, l.Calls[3].Answer = at(3000), Silent
			l.Lives[one].TimedOut[ledger.At(0, 2)] = []Span{{at(148), at(1149)}}
			l.Calls = append(l.Calls, call(third, one, 1160, 1170, Done))
		}, []string{within, together}},
		"as many are done again as were in flight when the partition moved": {func(l *Ledger) {
			handOver(l, 165)
			for i, id := range []ledger.ID{first, second, third, another} {
				l.Calls = append(l.Calls, call(id, two, 170+10*i, 175+10*i, Done))
			}
		}, nil},
		"more are done again than were in flight when the partition moved": {func(l *Ledger) {
			handOver(l, 165)
			l.MaxInFlight = 3
			for i, id := range []ledger.ID{first, second, third, another} {
				l.Calls = append(l.Calls, call(id, two, 170+10*i, 175+10*i, Done))
			}
		}, []string{again}},
		"the group has not committed all": {func(l *Ledger) { l.Committed[0] = 3 }, []string{lag}},
		"the group has committed nothing": {func(l *Ledger) { delete(l.Committed, 0) }, []string{lag}},
		"a dead letter after max_attempts failures": {func(l *Ledger) {
			l.Calls[3].Answer = Trapped
			l.Calls = append(l.Calls, call(third, one, 170, 180, Failed))
			l.Dead = []DeadLetter{{ID: third, At: at(181)}}
		}, nil},
		"a dead letter after fewer failures": {func(l *Ledger) {
			l.Calls[3].Answer = Failed
			l.Dead = []DeadLetter{{ID: third, At: at(181)}}
		}, []string{undeserved}},
		"a dead letter after failures in two ownerships": {func(l *Ledger) {
			handOver(l, 165)
			l.Calls[3].Answer = Trapped
			l.Calls = append(l.Calls, call(third, two, 170, 180, Failed))
			l.Dead = []DeadLetter{{ID: third, At: at(181)}}
		}, []string{undeserved}},
		"a dead letter for a call that a stop gave up": {func(l *Ledger) {
			l.Calls[3].Answer = Failed
			l.Lives[one].GivenUp[ledger.At(0, 3)] = []time.Time{at(175)}
			l.Calls = append(l.Calls, call(third, one, 170, 180, Silent))
			l.Dead = []DeadLetter{{ID: third, At: at(181)}}
		}, []string{undeserved}},
		"a dead letter for calls that timed out": {func(l *Ledger) {
			l.Calls[3].End, l.Calls[3].Answer = at(5000), Silent
			l.Lives[one].TimedOut[ledger.At(0, 3)] = []Span{{at(148), at(1149)}, {at(1155), at(2156)}}
			l.Calls = append(l.Calls, call(third, one, 1160, 5000, Silent))
			l.Dead = []DeadLetter{{ID: third, At: at(2165)}}
		}, nil},
		"a member is left":                      {func(l *Ledger) { l.MembersLeft = 1 }, []string{after}},
		"nobody knows whether members are left": {func(l *Ledger) { l.MembersLeft = -1 }, []string{after}},
		"a goroutine is left":                   {func(l *Ledger) { l.GoroutinesLeft = []string{"copy 1"} }, []string{after}},
		"a process is left":                     {func(l *Ledger) { l.ProcessesLeft = []string{"copy 1"} }, []string{after}},
		"a copy crashed":                        {func(l *Ledger) { l.BadStops = []string{"copy 1"} }, []string{after}},
	} {
		t.Run(name, func(t *testing.T) {
			l := goodLedger()
			c.change(l)
			rows := l.Check()
			var broken []string
			for _, r := range rows {
				if r.N > 0 {
					broken = append(broken, r.Rule)
				}
			}
			if got, want := strings.Join(broken, "; "), strings.Join(c.broken, "; "); got != want {
				t.Errorf("broken: %q, want %q\n%+v", got, want, rows)
			}
		})
	}
}

func TestBrokenRulesAreToldInDetailAndCounted(t *testing.T) {
	l := goodLedger()
	l.Calls = nil
	for n := range 20 {
		l.Produced[ledger.ID{Key: 7, Seq: n + 1}] = ledger.At(0, int64(10+n))
	}
	var table strings.Builder
	if err := ledger.Print(&table, l.Check()); err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{"k1/1 at 0@0 was neither done nor dead-lettered", "and 14 more"} {
		if !strings.Contains(table.String(), part) {
			t.Errorf("%q is not in the table:\n%s", part, table.String())
		}
	}
}

func TestScheduleDependsOnItsSeedAlone(t *testing.T) {
	a, b := fleet.Schedule(7, 20*time.Minute, lanes(3, 3)), fleet.Schedule(7, 20*time.Minute, lanes(3, 3))
	other := fleet.Schedule(8, 20*time.Minute, lanes(3, 3))
	seen := make(map[fleet.Kind]bool)
	for name, faults := range a {
		if len(faults) != len(b[name]) {
			t.Fatalf("lane %s has %d and %d faults", name, len(faults), len(b[name]))
		}
		for i, f := range faults {
			seen[f.Kind] = true
			if f != b[name][i] {
				t.Errorf("fault %d of lane %s is %v and %v", i, name, f, b[name][i])
			}
			if f.Target < 1 || f.Wait <= 0 || f.Hold < 0 {
				t.Errorf("fault %d of lane %s cannot be carried out: %+v", i, name, f)
			}
		}
		if len(other[name]) > 0 && len(faults) > 0 && other[name][0] == faults[0] {
			t.Errorf("lane %s begins alike with another seed", name)
		}
	}
	for _, l := range lanes(3, 3) {
		for _, c := range l.Choices {
			if !seen[c.Kind] {
				t.Errorf("%q does not happen in 20 minutes", c.Kind)
			}
		}
	}
}
