package simulation

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/messaging-kafka/messaging-kafka/internal/record"
)

// judge checks the invariants, when all is over.
func (w *world) judge() {
	truth := w.readAll(input)
	buried := w.readDead()
	w.judgeLoss(truth, buried)
	w.judgeCommits(truth, buried)
	if order := w.plan.config["order"]; order == "key" || order == "partition" {
		w.judgeOrder(truth, order == "key")
	}
	if w.plan.exactly {
		w.judgeOutputs(truth, buried)
	}
}

// judgeLoss is the invariant nothing-lost: each record that a reader can see is done or dead-lettered, or skipped by
// rule.
func (w *world) judgeLoss(truth []*kgo.Record, buried map[place]bool) {
	if len(truth) < w.plan.records {
		w.fail("world", "the feeder has stored %d of %d", len(truth), w.plan.records)
	}
	lost := 0
	for _, r := range truth {
		at := storedAt(r)
		if _, done := w.guest.done[at]; done || buried[at] || w.skipped(at) {
			continue
		}
		if lost++; lost <= 5 {
			w.fail("nothing-lost", "%v was neither done nor dead-lettered: %s", at, w.tellVisits(at))
		}
	}
}

// skipped tells whether a record was passed over by rule: it was rejected, or had its last attempt, and there is no
// topic for dead letters.
func (w *world) skipped(at place) bool {
	if w.plan.config["dead_letter_topic"] != "" {
		return false
	}
	limit, _ := strconv.Atoi(w.plan.config["max_attempts"])
	return limit > 0 && w.guest.tries[at] >= limit
}

func (w *world) visitsOf(at place) (list []visit) {
	for _, v := range w.guest.calls {
		if v.place == at {
			list = append(list, v)
		}
	}
	return list
}

// tellVisits is what became of a record, for a person.
func (w *world) tellVisits(at place) string {
	text := fmt.Sprint(at, ":")
	for _, v := range w.visitsOf(at) {
		text += fmt.Sprintf(" [%s call %d %s..%s %s]", v.copy, v.call, v.began.Sub(w.began), v.end.Sub(w.began), v.outcome)
	}
	return text
}

// judgeCommits is the invariant commit-behind-finished: no offset is committed beyond a record that is not finished.
func (w *world) judgeCommits(truth []*kgo.Record, buried map[place]bool) {
	for _, c := range w.commits {
		for _, r := range truth {
			at := storedAt(r)
			if r.Partition != c.partition || r.Offset >= c.offset || buried[at] || w.skipped(at) {
				continue
			}
			if done, ok := w.guest.done[at]; !ok || done.After(c.at) {
				w.fail("commit-behind-finished", "%d was committed in partition %d at %s, but %v was done at %s",
					c.offset, c.partition, c.at.Sub(w.began), at, done.Sub(w.began))
				return
			}
		}
	}
}

// judgeOrder is the invariant order: no record is called while one before it, of its key or partition, was never
// finished.
func (w *world) judgeOrder(truth []*kgo.Record, byKey bool) {
	lanes := make(map[string][]place)
	for _, r := range truth {
		lane := fmt.Sprint(r.Partition)
		if byKey && r.Key == nil && os.Getenv("NILKEYS") == "" {
			continue
		}
		if byKey {
			lane += fmt.Sprintf("/%q", r.Key)
		}
		lanes[lane] = append(lanes[lane], storedAt(r))
	}
	first, calls := make(map[place]time.Time), make(map[place]int)
	with := make(map[int][]place)      // what else was in a call
	given := make(map[place]time.Time) // when a record may first have been given up: rejected, or out of attempts
	limited := w.plan.config["max_attempts"] != "" || w.plan.config["dead_letter_topic"] != ""
	for _, v := range w.guest.calls {
		with[v.call] = append(with[v.call], v.place)
		if _, ok := first[v.place]; !ok {
			first[v.place], calls[v.place] = v.began, v.call
		}
		if _, ok := given[v.place]; !ok && (v.outcome == record.Reject || (v.outcome == record.Retry || v.outcome == record.Unanswered) && limited) {
			given[v.place] = v.end
		}
	}
	for lane, places := range lanes {
		slices.SortFunc(places, func(a, b place) int { return int(a.offset - b.offset) })
		for i := 1; i < len(places); i++ {
			before, at := places[i-1], places[i]
			began, called := first[at]
			if !called || slices.Contains(with[calls[at]], before) {
				continue // a batch has records of one key behind each other
			}
			finished, ok := w.guest.done[before]
			if end, gave := given[before]; gave && (!ok || end.Before(finished)) {
				finished, ok = end, true
			}
			if !ok || finished.After(began) {
				w.fail("order", "in lane %s %v was called at %s, before %v was finished (%s): %s; %s", lane, at, began.Sub(w.began),
					before, finished.Sub(w.began), w.tellVisits(before), w.tellVisits(at))
				return
			}
		}
	}
}

// judgeOutputs is the invariant exactly-once: a reader of what is committed sees one output of each record.
func (w *world) judgeOutputs(truth []*kgo.Record, buried map[place]bool) {
	seen := make(map[string]int)
	for _, r := range w.readAll(output, kgo.FetchIsolationLevel(kgo.ReadCommitted())) {
		seen[string(r.Value)]++
	}
	for _, r := range truth {
		at := storedAt(r)
		want := 1
		if buried[at] || w.skipped(at) {
			want = 0
		}
		if got := seen[at.String()]; got != want {
			w.fail("exactly-once", "%v has %d outputs, want %d: %s", at, got, want, w.tellVisits(at))
			return
		}
	}
}
