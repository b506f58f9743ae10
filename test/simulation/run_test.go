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

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/messaging-kafka/messaging-kafka/internal/observe/status"
	"github.com/messaging-kafka/messaging-kafka/internal/settings/role"
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
			if t.Failed() && !w.failed() {
				w.fail("world", "the run has ended before its time")
			}
			if err := errors.Join(w.events.write(), tell(w.result())); err != nil {
				t.Error(err)
			}
			if t.Failed() && os.Getenv(logFile) == "" {
				t.Logf("the story:\n%s", strings.Join(w.events.told(replay.Story), "\n"))
			}
		}()
		defer w.kafka.Close()
		w.fill()
		for _, r := range w.copies {
			r.start()
		}
		w.warmUp()
		trouble, end := context.WithTimeout(t.Context(), p.trouble)
		watching, stopWatching := context.WithCancel(t.Context())
		var actors, watchers sync.WaitGroup
		watchers.Go(func() { w.watchCommits(watching) })
		watchers.Go(func() { w.watchHealth(watching) })
		actors.Go(func() { w.feed(trouble) })
		if p.publishes {
			actors.Go(func() { w.publish(trouble) })
			watchers.Go(func() { w.answer(watching) })
		}
		for _, e := range p.events {
			actors.Go(func() { w.happen(trouble, e) })
		}
		actors.Wait()
		end()
		w.calm()
		w.calls.Wait()
		w.drain()
		if p.publishes && !w.failed() {
			w.judgePublished()
		}
		stopWatching()
		watchers.Wait()
		w.layer.late.Wait()
		w.judge()
		w.epilogue()
		for _, r := range w.copies {
			r.stop(30 * time.Second)
		}
		if w.issuer != nil {
			w.issuer.serving.Wait()
		}
	})
}

// fill has Kafka's own topics hold what nobody may read, and that of a link that begins at the end what it passes over.
func (w *world) fill() {
	topics := []string{internal, unmarked}
	if w.plan.latest {
		topics = append(topics, input)
	}
	cl := w.client()
	defer cl.Close()
	for _, topic := range topics {
		for range 10 {
			cl.Produce(context.Background(), &kgo.Record{Topic: topic, Value: []byte("of nobody")}, nil)
		}
	}
	if err := cl.Flush(context.Background()); err != nil {
		w.fail("world", "filling %v: %v", topics, err)
	}
}

// warmUp waits until a link that begins at the end of its topic is well in all copies: what comes from then on is read.
func (w *world) warmUp() {
	if !w.plan.latest {
		return
	}
	for deadline := time.Now().Add(time.Minute); !w.allWellFor(0); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			w.fail("health-tells", "without any fault not all copies are well after a minute")
			return
		}
	}
	w.tell("all copies are well")
	w.began = time.Now()
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
	w.quiet.Store(true)
	w.layer.clear()
	w.evicted()
	w.guest.setAway(false)
	if w.issuer != nil {
		w.issuer.set(well)
		w.issuer.trust(true)
	}
	if w.plan.leavesMembers() {
		w.forgetMembers()
	}
	if w.plan.changesTopics() {
		w.topicsChange()
	}
	for i := range w.links {
		l := w.change(i, func(l *link) { l.there = l.there || i == 0 || l.role == role.Produce })
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
		if w.plan.protocol == "share" && w.layer.bombed() {
			r.stop(15 * time.Second) // a batch that is too large is looked at no more until the link is put anew
		}
		r.start()
	}
}

// topicsChange has the broker look at what its groups are to read. The fake one may give out nothing of a topic that
// was made while the members of a group joined.
func (w *world) topicsChange() {
	const nobodys = "nobodys"
	err := w.kafka.CreateTopic(nobodys, 1, nil)
	if err == nil {
		err = w.kafka.DeleteTopic(nobodys)
	}
	if err != nil {
		w.fail("world", "making a topic for nobody: %v", err)
	}
}

// leavesMembers tells whether there may be members that nobody is any more.
func (p *plan) leavesMembers() bool {
	return slices.ContainsFunc(p.events, func(e event) bool {
		return slices.Contains([]string{"killed", "ends at an election", "stranger joins", "instance fenced", "forgotten at a request", "forgotten as it joins", "handed over in a commit"}, e.what)
	})
}

// changesTopics tells whether topics may have been made while members joined.
func (p *plan) changesTopics() bool {
	return p.creates || slices.ContainsFunc(p.events, func(e event) bool {
		return slices.Contains([]string{"topic made anew", "topic made anew twice", "partitions added"}, e.what)
	})
}

// forgetMembers has the group forget all members; those that live join anew. Nobody waits for the session of another
// program that died just before to end, and the fake broker does not by itself forget classic members that were killed
// while it waits for them to join.
func (w *world) forgetMembers() {
	info := w.kafka.GroupInfo(group)
	if info == nil {
		return
	}
	cl := w.client()
	defer cl.Close()
	for _, m := range info.Members {
		err := w.leaveFor(context.Background(), cl, m.MemberID, m.InstanceID)
		if err != nil && !errors.Is(err, kerr.UnknownMemberID) { // it has left meanwhile
			w.fail("world", "forgetting members: %v", err)
		}
	}
}

// feed produces the records, some in transactions that are aborted.
func (w *world) feed(ctx context.Context) {
	rng := newRand(w.plan.seed, "feed")
	plain := w.client(kgo.DefaultProduceTopic(input))
	defer plain.Close()
	var failed atomic.Bool
	left := 0 // of a burst
	for i := range w.plan.records {
		number := fmt.Appendf(nil, "%d", i)
		r := &kgo.Record{Value: number, Headers: []kgo.RecordHeader{{Key: numberHeader, Value: number}}}
		if k := rng.IntN(w.plan.keys + 1); k > 0 {
			r.Key = fmt.Appendf(nil, "k%d", k)
			if rng.IntN(30) == 0 {
				r.Value = nil // a tombstone
			}
		}
		if failed.Swap(false) {
			plain.PurgeTopicsFromProducing(input) // it is another topic, which the client finds no more by itself
		}
		plain.Produce(context.Background(), r, func(_ *kgo.Record, err error) {
			if err != nil {
				failed.Store(true)
			}
		})
		if !w.plan.bursts {
			if rng.IntN(20) > 0 {
				sleep(ctx, time.Duration(rng.Int64N(int64(2*w.plan.pause))))
			}
			continue
		}
		if left--; left > 0 {
			if rng.IntN(2) == 0 {
				_ = plain.Flush(ctx) // what comes next is of another batch, as long as there is time
			}
			continue
		}
		left = 1 + rng.IntN(40)
		sleep(ctx, time.Duration(rng.Int64N(int64(time.Duration(2*left)*w.plan.pause))))
	}
	if err := plain.Flush(context.Background()); err != nil {
		w.fail("world", "feeding: %v", err)
	}
}

// watchCommits notes what the group has committed, while it happens.
func (w *world) watchCommits(ctx context.Context) {
	last, members := make(map[int32]int64), ""
	for sleep(ctx, 50*time.Millisecond) {
		info := w.kafka.GroupInfo(group)
		if info == nil {
			continue
		}
		now := time.Now()
		if is := membersOf(info); is != members {
			members = is
			w.mu.Lock()
			w.changes = append(w.changes, now)
			w.mu.Unlock()
		}
		for partition, c := range info.Commits[input] {
			if old, ok := last[partition]; !ok || old != c.Offset {
				last[partition] = c.Offset
				w.commits = append(w.commits, commit{partition, c.Offset, c.LeaderEpoch, c.Metadata, now})
			}
		}
	}
}

// membersOf tells who has what in a group.
func membersOf(info *kfake.GroupInfo) string {
	text := fmt.Sprint(info.Epoch)
	for _, m := range info.Members {
		text += fmt.Sprint(" ", m.MemberID, m.Assignment)
	}
	return text
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
		if ps := w.lasting(r); len(ps) > 0 {
			return fmt.Errorf("%s says %q", r.name, ps.Texts())
		}
	}
	if v, ok := w.guest.atWork(""); ok { // one that was thrown out of the group hears of it when its call is over
		return fmt.Errorf("%s is at work on %v", v.copy, v.place)
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
		c := kfake.GroupCommit{Offset: -1}
		if info != nil {
			c = info.Commits[input][p.Partition]
		}
		if w.unheardElection(p.Partition, c.LeaderEpoch) {
			return fmt.Errorf("partition %d: committed %+v before an election", p.Partition, c)
		}
		if info == nil || c.Offset < p.HighWatermark {
			return fmt.Errorf("partition %d: committed %d, of %d", p.Partition, c.Offset, p.HighWatermark)
		}
	}
	return w.undelivered()
}

// lasting are a copy's problems. That the component fails may be said for minutes by who was called in vain and has had
// nothing to do since: when all goes well, that is none.
func (w *world) lasting(r *replica) status.Problems {
	return slices.DeleteFunc(r.problems(), func(p status.Problem) bool {
		return p.Kind == status.ProblemFailing && !w.guest.called(r.name)
	})
}

// undecided tells of records of a share group that are neither done nor dead letters.
func (w *world) undecided() error {
	left := w.readAll(input, kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	buried := buriedBy(w.readLetters())
	w.guest.mu.Lock()
	defer w.guest.mu.Unlock()
	left = slices.DeleteFunc(left, func(r *kgo.Record) bool {
		_, done := w.guest.done[storedAt(r)]
		return done || buried[storedAt(r)] || w.skipped(r)
	})
	if len(left) > 0 {
		return fmt.Errorf("%d records are neither done nor dead letters, the first is %v", len(left), storedAt(left[0]))
	}
	return nil
}

// readLetters reads the dead letters.
func (w *world) readLetters() []*kgo.Record {
	return w.readAll(dead, kgo.FetchIsolationLevel(kgo.ReadCommitted()))
}

// buriedBy are the records that some dead letters are of.
func buriedBy(letters []*kgo.Record) map[place]bool {
	buried := make(map[place]bool)
	for _, l := range letters {
		buried[originOf(l)] = true
	}
	return buried
}

// originOf is the place of the record that a dead letter is of.
func originOf(letter *kgo.Record) place {
	at := storedAt(letter)
	for _, h := range letter.Headers {
		switch {
		case h.Key == "kafka_dlt-original-partition" && len(h.Value) == 4:
			at.partition = int32(binary.BigEndian.Uint32(h.Value))
		case h.Key == "kafka_dlt-original-offset" && len(h.Value) == 8:
			at.offset = int64(binary.BigEndian.Uint64(h.Value))
		}
	}
	return at
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
	if run.Theme != "" && !slices.ContainsFunc(themes, func(th theme) bool { return th.name == run.Theme }) {
		t.Fatalf("there is no theme %q", run.Theme)
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

// The suite runs the first seeds, as many more of those that have a little of everything as it takes to have all
// happen, and one with batches that are too large for anybody.
const (
	firstSeeds = 12
	usualSeeds = 24
	bombSeed   = 375
)

func TestSeeds(t *testing.T) {
	all := true // unless some were asked for
	usuals := 0
	for seed := uint64(0); usuals < usualSeeds || seed <= bombSeed; seed++ {
		run := replay.Of(seed)
		p := draw(run)
		switch {
		case p.theme.name == usual && usuals < usualSeeds:
			usuals++
		case seed >= firstSeeds && seed != bombSeed:
			continue
		}
		ran := false
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			ran = true
			simulate(t, run, toNobody)
		})
		all = all && ran
	}
	if missing := covered.missing(); all && len(missing) > 0 {
		t.Errorf("no seed of the suite has had these happen: %q", missing)
	}
}

// TestFreshSeeds runs seeds that nobody has chosen for as long as SIMULATE_FOR says.
func TestFreshSeeds(t *testing.T) {
	span, err := time.ParseDuration(cmp.Or(os.Getenv(freshFor), "20s"))
	if err != nil {
		t.Fatalf("%s: %v", freshFor, err)
	}
	for began := time.Now(); time.Since(began) < span; {
		seed := 1000 + rand.Uint64N(1<<32)
		if !t.Run(fmt.Sprint(seed), func(t *testing.T) { simulate(t, replay.Of(seed), toNobody) }) {
			t.Fatalf("make simulate SEED=%d runs it again", seed)
		}
	}
}
