package simulation

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/messaging-kafka/messaging-kafka/internal/record"
)

// patience is how long, of virtual time, everything may take to drain after the last fault.
const patience = 15 * time.Minute

// simulate runs one seed.
func simulate(t *testing.T, seed uint64) {
	synctest.Test(t, func(t *testing.T) {
		p := draw(seed)
		w := newWorld(t, p)
		w.tell("seed %d: %+v", seed, p)
		defer func() {
			if t.Failed() || testing.Verbose() && os.Getenv("SIMULATE_SEED") != "" {
				t.Logf("the story:\n%s", strings.Join(w.events.story, "\n"))
			}
			if t.Failed() && os.Getenv("SIMULATE_LOG") != "" {
				t.Logf("all that happened:\n%s", strings.Join(w.events.lines, "\n"))
			}
		}()
		defer w.kafka.Close()
		for _, r := range w.copies {
			r.start()
		}
		trouble, end := context.WithTimeout(t.Context(), p.trouble)
		watching, stopWatching := context.WithCancel(t.Context())
		var actors, watchers sync.WaitGroup
		watchers.Go(func() { w.watchCommits(watching) })
		actors.Go(func() { w.feed(trouble) })
		for _, e := range p.events {
			actors.Go(func() { w.happen(trouble, e) })
		}
		actors.Wait()
		end()
		w.tell("calm")
		w.layer.clear()
		w.guest.setAway(false)
		w.forgetMembers()
		for _, r := range w.copies {
			r.mu.Lock()
			n := r.net
			r.mu.Unlock()
			n.mend()
			r.start()
		}
		w.drain()
		stopWatching()
		watchers.Wait()
		for _, r := range w.copies {
			r.stop(30 * time.Second)
		}
		w.layer.late.Wait()
		w.judge()
	})
}

// forgetMembers has the broker forget all members of a classic group, which join anew. The fake one does not by itself
// forget those that were killed while it waits for them to join.
func (w *world) forgetMembers() {
	info := w.kafka.GroupInfo(group)
	if w.plan.protocol != "classic" || info == nil {
		return
	}
	cl := w.client()
	defer cl.Close()
	req := kmsg.NewPtrLeaveGroupRequest()
	req.Group = group
	for _, m := range info.Members {
		member := kmsg.NewLeaveGroupRequestMember()
		member.MemberID = m.MemberID
		req.Members = append(req.Members, member)
	}
	if _, err := req.RequestWith(context.Background(), cl); err != nil {
		w.t.Errorf("forgetting members: %v", err)
	}
}

// feed produces the records, some in transactions that are aborted.
func (w *world) feed(ctx context.Context) {
	rng := newRand(w.plan.seed, "feed")
	plain := w.client(kgo.DefaultProduceTopic(input))
	defer plain.Close()
	pause := w.plan.trouble / time.Duration(w.plan.records+1)
	for i := range w.plan.records {
		number := fmt.Appendf(nil, "%d", i)
		r := &kgo.Record{Value: number, Headers: []kgo.RecordHeader{{Key: numberHeader, Value: number}}}
		if k := rng.IntN(w.plan.keys + 1); k > 0 {
			r.Key = fmt.Appendf(nil, "k%d", k)
		}
		plain.Produce(context.Background(), r, nil)
		if rng.IntN(20) > 0 {
			sleep(ctx, time.Duration(rng.Int64N(int64(2*pause))))
		}
	}
	if err := plain.Flush(context.Background()); err != nil {
		w.t.Errorf("feeding: %v", err)
	}
}

// watchCommits notes what the group has committed, while it happens.
func (w *world) watchCommits(ctx context.Context) {
	last := make(map[int32]int64)
	for sleep(ctx, 50*time.Millisecond) {
		info := w.kafka.GroupInfo(group)
		if info == nil {
			continue
		}
		now := time.Now()
		for partition, c := range info.Commits[input] {
			if old, ok := last[partition]; !ok || old != c.Offset {
				last[partition] = c.Offset
				w.commits = append(w.commits, commit{partition, c.Offset, now})
			}
		}
	}
}

// drain waits until everything that is in the log is finished and committed, and all copies are well.
func (w *world) drain() {
	deadline := time.Now().Add(patience)
	for {
		err := w.undrained()
		if err == nil {
			w.tell("drained")
			return
		}
		if time.Now().After(deadline) {
			w.t.Errorf("drains: %s after the last fault: %v; the group is %+v", patience, err, w.kafka.GroupInfo(group))
			return
		}
		time.Sleep(time.Second)
	}
}

func (w *world) undrained() error {
	for _, r := range w.copies {
		if ps := r.problems(); len(ps) > 0 {
			return fmt.Errorf("%s says %q", r.name, ps.Texts())
		}
	}
	if w.plan.protocol == "share" {
		return w.undecided()
	}
	info := w.kafka.GroupInfo(group)
	for _, p := range w.kafka.PartitionInfos(input) {
		if p.HighWatermark == 0 {
			continue
		}
		if info == nil || info.Commits[input][p.Partition].Offset < p.HighWatermark {
			return fmt.Errorf("partition %d: committed %+v, of %d", p.Partition,
				info.Commits[input][p.Partition].Offset,
				p.HighWatermark)
		}
	}
	return nil
}

// undecided tells of records of a share group that are neither done nor dead letters.
func (w *world) undecided() error {
	buried := w.readDead()
	w.guest.mu.Lock()
	defer w.guest.mu.Unlock()
	for at := range w.guest.done {
		buried[at] = true
	}
	if decided := len(buried); decided < w.plan.records {
		return fmt.Errorf("%d of %d records are done or dead letters", decided, w.plan.records)
	}
	return nil
}

// readDead reads which records are dead letters.
func (w *world) readDead() map[place]bool {
	buried := make(map[place]bool)
	for _, r := range w.readAll(dead, kgo.FetchIsolationLevel(kgo.ReadCommitted())) {
		at := storedAt(r)
		for _, h := range r.Headers {
			switch h.Key {
			case "kafka_dlt-original-partition":
				at.partition = int32(binary.BigEndian.Uint32(h.Value))
			case "kafka_dlt-original-offset":
				at.offset = int64(binary.BigEndian.Uint64(h.Value))
			}
		}
		buried[at] = true
	}
	return buried
}

// readAll reads a topic from its start to its end.
func (w *world) readAll(topic string, opts ...kgo.Opt) []*kgo.Record {
	cl := w.client(append(opts, kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.KeepControlRecords())...)
	defer cl.Close()
	left := make(map[int32]int64)
	for _, p := range w.kafka.PartitionInfos(topic) {
		if p.HighWatermark > p.LogStartOffset {
			left[p.Partition] = p.HighWatermark
		}
	}
	var all []*kgo.Record
	for begun := time.Now(); len(left) > 0; {
		if time.Since(begun) > 5*time.Minute {
			w.t.Errorf("reading %s: %v are missing", topic, left)
			return all
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		fetches := cl.PollFetches(ctx)
		cancel()
		fetches.EachRecord(func(r *kgo.Record) {
			if !r.Attrs.IsControl() {
				all = append(all, r)
			}
			if r.Offset+1 >= left[r.Partition] {
				delete(left, r.Partition)
			}
		})
		if err := fetches.Err(); err != nil && !errors.Is(err, context.DeadlineExceeded) {
			w.t.Errorf("reading %s: %v", topic, err)
			return all
		}
	}
	return all
}

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
		w.t.Errorf("the feeder has stored %d of %d", len(truth), w.plan.records)
	}
	lost := 0
	for _, r := range truth {
		at := storedAt(r)
		if _, done := w.guest.done[at]; done || buried[at] || w.skipped(at) {
			continue
		}
		if lost++; lost <= 5 {
			w.t.Errorf("nothing-lost: %v was neither done nor dead-lettered: %s", at, w.tellVisits(at))
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
		text += fmt.Sprintf(" [%s call %d %s..%s %s]", v.copy, v.call, v.began.Sub(w.began), v.end.Sub(w.began),
			v.outcome)
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
				w.t.Errorf("commit-behind-finished: %d was committed in partition %d at %s, but %v was done at %s",
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
		if _,
			ok := given[v.place]; !ok && (v.outcome == record.Reject || (v.outcome == record.Retry || v.outcome == record.Unanswered) && limited) {
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
				w.t.Errorf("order: in lane %s %v was called at %s, before %v was finished (%s)", lane, at,
					began.Sub(w.began),
					before, finished.Sub(w.began))
				w.t.Log(w.tellVisits(before), w.tellVisits(at))
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
			w.t.Errorf("exactly-once: %v has %d outputs, want %d: %s", at, got, want, w.tellVisits(at))
			return
		}
	}
}

// TestSeed runs the seed that SIMULATE_SEED names, and tells its story.
func TestSeed(t *testing.T) {
	text := os.Getenv("SIMULATE_SEED")
	if text == "" {
		text = "0"
	}
	seed, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	simulate(t, seed)
}

// seeds is how many fixed seeds the suite runs.
const seeds = 60

func TestSeeds(t *testing.T) {
	for seed := range uint64(seeds) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { simulate(t, seed) })
	}
}

// TestFreshSeeds runs seeds that nobody has chosen for as long as SIMULATE_FOR says.
func TestFreshSeeds(t *testing.T) {
	text := os.Getenv("SIMULATE_FOR")
	if text == "" {
		text = "20s"
	}
	span, err := time.ParseDuration(text)
	if err != nil {
		t.Fatalf("SIMULATE_FOR: %v", err)
	}
	for began := time.Now(); time.Since(began) < span; {
		seed := seeds + rand.Uint64N(1<<32)
		if !t.Run(fmt.Sprint(seed), func(t *testing.T) { simulate(t, seed) }) {
			t.Fatalf("make simulate SEED=%d runs it again", seed)
		}
	}
}
