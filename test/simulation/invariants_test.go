package simulation

import (
	"context"
	"encoding/base64"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/messaging-kafka/messaging-kafka/internal/record"
)

// judge checks the invariants, when all is over.
func (w *world) judge() {
	truth := w.readAll(input, kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	buried := w.readDead()
	w.judgeLoss(truth, buried)
	w.judgeCommits(truth, buried)
	w.judgeOwners()
	w.judgeGivenUp(truth, buried)
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
	if len(truth) < w.plan.records && !w.gone.Load() {
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
	id := topicField(w.kafka.TopicInfo(input).TopicID)
	for _, c := range w.commits {
		for _, r := range truth {
			at := storedAt(r)
			if r.Partition != c.partition || r.Offset >= c.offset || buried[at] || w.skipped(at) || !c.about(r, id) {
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

// about tells whether a commit says anything of a record: it does not where it is of another topic of the name, or of
// the log of an earlier leader.
func (c commit) about(r *kgo.Record, topic string) bool {
	return r.LeaderEpoch <= c.epoch && (c.metadata == "" || strings.Contains(c.metadata, topic))
}

// topicField is how the text of a commit names its topic.
func topicField(id [16]byte) string { return "t=" + base64.RawURLEncoding.EncodeToString(id[:]) }

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

const (
	// silence is how long a partition may stand with records to be read before a copy must say so, calm for how long all
	// copies must have been well at a stretch for that to be missing: one that joins anew is well for a moment.
	silence = 3 * time.Minute
	calm    = time.Minute
)

// watchHealth is the invariant health-tells: while a partition has had something to commit and nothing was committed
// for some minutes, a copy says that something is wrong.
func (w *world) watchHealth(ctx context.Context) {
	if w.plan.protocol == "share" {
		return // the broker keeps what is decided to itself
	}
	ill := time.Now() // when a copy last said that something is wrong
	moved, last := make(map[int32]time.Time), make(map[int32]int64)
	for sleep(ctx, 5*time.Second) {
		now, info := time.Now(), w.kafka.GroupInfo(group)
		if !w.allWellFor(silence) {
			ill = now
		}
		for _, p := range w.kafka.PartitionInfos(input) {
			committed := int64(-1)
			if info != nil {
				if c, ok := info.Commits[input][p.Partition]; ok {
					committed = c.Offset
				}
			}
			if committed >= p.HighWatermark || p.HighWatermark == 0 || committed != last[p.Partition] || moved[p.Partition].IsZero() {
				moved[p.Partition], last[p.Partition] = now, committed
			}
			if stood := now.Sub(moved[p.Partition]); stood > silence && now.Sub(ill) > calm {
				w.fail("health-tells", "partition %d stands at %d of %d for %s, and all copies are well", p.Partition, committed, p.HighWatermark, stood)
				return
			}
		}
	}
}

// allWellFor tells whether copies live, all for so long at least, and are well.
func (w *world) allWellFor(span time.Duration) bool {
	lives := false
	for _, r := range w.copies {
		r.mu.Lock()
		routes, since := r.routes, r.since
		r.mu.Unlock()
		if routes == nil {
			continue
		}
		if lives = true; time.Since(since) < span || len(routes.Problems()) > 0 {
			return false
		}
	}
	return lives && len(w.theLinks()) > 0
}

// unheard is for how long a member may not hear that it is none any more.
const unheard = time.Minute

// evicted notes that members were thrown out of the group which it had no reason to give up.
func (w *world) evicted() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.evictions = append(w.evictions, time.Now())
}

func (w *world) evictedBefore(at time.Time) bool {
	return slices.ContainsFunc(w.evictions, func(e time.Time) bool { return !e.After(at) && at.Sub(e) < unheard })
}

// judgeOwners is the invariant one-owner: no copy is called with a record while another one is still at work on it.
// Where only the broker knows how long a member is taken for alive, one that it gave up may be; and so may one that the
// group has forgotten before its time, until it hears of that.
func (w *world) judgeOwners() {
	if w.plan.protocol != "classic" {
		return
	}
	busy := make(map[place]visit)
	for _, v := range w.guest.calls {
		before, ok := busy[v.place]
		if ok && before.copy != v.copy && (before.end.IsZero() || before.end.After(v.began)) && !w.evictedBefore(v.began) {
			w.fail("one-owner", "%v is with %s from %s on, and %s is at work on it until %s", v.place, v.copy, v.began.Sub(w.began), before.copy,
				before.end.Sub(w.began))
			return
		}
		if !ok || v.end.After(before.end) {
			busy[v.place] = v
		}
	}
}

// judgeGivenUp is the invariant given-up-by-rule: a dead letter is of a record that was rejected, or has had its
// attempts. In a share group the broker counts deliveries that no call came of.
func (w *world) judgeGivenUp(truth []*kgo.Record, buried map[place]bool) {
	limit, err := strconv.Atoi(w.plan.config["max_attempts"])
	if w.plan.protocol == "share" || err != nil {
		return
	}
	rejected := make(map[place]bool)
	for _, v := range w.guest.calls {
		rejected[v.place] = rejected[v.place] || v.outcome == record.Reject
	}
	for _, r := range truth {
		if at := storedAt(r); buried[at] && !rejected[at] && w.guest.tries[at] < limit {
			w.fail("given-up-by-rule", "%v is a dead letter after fewer than %d attempts: %s", at, limit, w.tellVisits(at))
			return
		}
	}
}
