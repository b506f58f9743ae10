package simulation

import (
	"cmp"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/cryptotest"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/messaging-kafka/messaging-kafka/test/simulation/replay"
)

// patience is how long, of virtual time, everything may take to drain after the last fault.
const patience = 15 * time.Minute

// simulate runs what a seed draws, as far as the run has it. What comes of it is told before t ends, as it does when
// the run fails.
func simulate(t *testing.T, run replay.Run, tell func(replay.Result) error) {
	cryptotest.SetGlobalRandom(t, run.Seed)
	synctest.Test(t, func(t *testing.T) {
		shuffle(run.Seed)
		p := draw(run)
		w := newWorld(t, p)
		w.events.add(replay.Detail, fmt.Sprintf("memory begins at %p", p.events))
		for _, line := range p.describe() {
			w.tell("%s", line)
		}
		defer func() {
			if err := errors.Join(w.events.write(), tell(w.result())); err != nil {
				t.Error(err)
			}
			if t.Failed() && os.Getenv(logFile) == "" {
				t.Logf("the story:\n%s", strings.Join(w.events.told(replay.Story), "\n"))
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
		watchers.Go(func() { w.watchHealth(watching) })
		actors.Go(func() { w.feed(trouble) })
		for _, e := range p.events {
			actors.Go(func() { w.happen(trouble, e) })
		}
		actors.Wait()
		end()
		w.calm()
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

// shuffle has the runtime's own choices, such as which of several ready cases a select takes, differ from seed to seed
// where they are the same in each process.
func shuffle(seed uint64) {
	ready := make(chan struct{})
	close(ready)
	for range seed % 1021 {
		select {
		case <-ready:
		case <-ready:
		}
	}
}

// calm ends all faults.
func (w *world) calm() {
	w.tell("calm")
	w.layer.clear()
	w.guest.setAway(false)
	w.forgetMembers()
	for i := range w.links {
		l := w.change(i, func(l *link) { l.there = l.there || i == 0 })
		for _, r := range w.copies {
			if l.there {
				r.put(&l)
			}
		}
	}
	for _, r := range w.copies {
		r.mu.Lock()
		n := r.net
		r.mu.Unlock()
		n.mend()
		r.start()
	}
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
		w.fail("world", "forgetting members: %v", err)
	}
}

// feed produces the records, some in transactions that are aborted.
func (w *world) feed(ctx context.Context) {
	rng := newRand(w.plan.seed, "feed")
	plain := w.client(kgo.DefaultProduceTopic(input))
	defer plain.Close()
	var failed atomic.Bool
	for i := range w.plan.records {
		number := fmt.Appendf(nil, "%d", i)
		r := &kgo.Record{Value: number, Headers: []kgo.RecordHeader{{Key: numberHeader, Value: number}}}
		if k := rng.IntN(w.plan.keys + 1); k > 0 {
			r.Key = fmt.Appendf(nil, "k%d", k)
		}
		if failed.Swap(false) {
			plain.PurgeTopicsFromProducing(input) // it is another topic, which the client finds no more by itself
		}
		plain.Produce(context.Background(), r, func(_ *kgo.Record, err error) {
			if err != nil {
				failed.Store(true)
			}
		})
		if rng.IntN(20) > 0 {
			sleep(ctx, time.Duration(rng.Int64N(int64(2*w.plan.pause))))
		}
	}
	if err := plain.Flush(context.Background()); err != nil {
		w.fail("world", "feeding: %v", err)
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
				w.commits = append(w.commits, commit{partition, c.Offset, c.LeaderEpoch, c.Metadata, now})
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
			w.fail("drains", "%s after the last fault: %v; the group is %+v", patience, err, w.kafka.GroupInfo(group))
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
	for _, p := range w.kafka.PartitionInfos(input) {
		if p.LastStableOffset < p.HighWatermark {
			return fmt.Errorf("partition %d has an open transaction", p.Partition)
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
	left := w.readAll(input, kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	buried := w.readDead()
	w.guest.mu.Lock()
	defer w.guest.mu.Unlock()
	left = slices.DeleteFunc(left, func(r *kgo.Record) bool {
		_, done := w.guest.done[storedAt(r)]
		return done || buried[storedAt(r)]
	})
	if len(left) > 0 {
		return fmt.Errorf("%d records are neither done nor dead letters, the first is %v", len(left), storedAt(left[0]))
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
		if p.LastStableOffset > p.LogStartOffset {
			left[p.Partition] = p.LastStableOffset
		}
	}
	var all []*kgo.Record
	for begun := time.Now(); len(left) > 0; {
		if time.Since(begun) > 5*time.Minute {
			w.fail("world", "reading %s: %v are missing", topic, left)
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
			w.fail("world", "reading %s: %v", topic, err)
			return all
		}
	}
	return all
}

// What the environment says: which run, where its result and all that happened are to be written, and for how long
// seeds that nobody has chosen are run.
const (
	runName    = "SIMULATE_RUN"
	resultFile = "SIMULATE_RESULT"
	logFile    = "SIMULATE_LOG"
	freshFor   = "SIMULATE_FOR"
)

// TestRun runs what SIMULATE_RUN names, for those who repeat one run in a process of its own: make simulate.
func TestRun(t *testing.T) {
	run, err := replay.Parse(cmp.Or(os.Getenv(runName), "0"))
	if err != nil {
		t.Fatal(err)
	}
	simulate(t, run, func(r replay.Result) error {
		path := os.Getenv(resultFile)
		if path == "" {
			return nil
		}
		text, err := json.Marshal(r)
		if err != nil {
			return err
		}
		return os.WriteFile(path, text, 0o600)
	})
}

func toNobody(replay.Result) error { return nil }

// seeds is how many fixed seeds the suite runs.
const seeds = 60

func TestSeeds(t *testing.T) {
	for seed := range uint64(seeds) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { simulate(t, replay.Of(seed), toNobody) })
	}
}

// TestFreshSeeds runs seeds that nobody has chosen for as long as SIMULATE_FOR says. Where it says nothing, seeds of
// share groups are left out: see "What is known to be red" in docs/simulation.md.
func TestFreshSeeds(t *testing.T) {
	asked := os.Getenv(freshFor)
	span, err := time.ParseDuration(cmp.Or(asked, "20s"))
	if err != nil {
		t.Fatalf("%s: %v", freshFor, err)
	}
	for began := time.Now(); time.Since(began) < span; {
		seed := seeds + rand.Uint64N(1<<32)
		if plan := draw(replay.Of(seed)); asked == "" && plan.protocol == "share" {
			continue
		}
		if !t.Run(fmt.Sprint(seed), func(t *testing.T) { simulate(t, replay.Of(seed), toNobody) }) {
			t.Fatalf("make simulate SEED=%d runs it again", seed)
		}
	}
}
