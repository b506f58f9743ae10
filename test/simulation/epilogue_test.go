package simulation

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/messaging-kafka/messaging-kafka/internal/observe/status"
)

const (
	// soon is how long it may take, when nothing is broken, until a copy that was started again is well and all is read,
	// remade the same of a topic that was made anew: one copy after the other finds that it is another topic.
	soon   = 40 * time.Second
	remade = 2 * time.Minute
	// remakings is how often a topic is made anew in a row: no time costs the other topic more than the first.
	remakings = 7
	// aside is how long a record of the other topic may wait meanwhile. Its partition may be handed over.
	aside = 20 * time.Second
)

// epilogue is the invariant goes-on-soon. When all has drained and nothing is broken, each copy is stopped in order and
// started again, and the topic is made anew some times in a row: each time everything is read and well soon after, and
// the link's other topic is read all the time.
func (w *world) epilogue() {
	if w.failed() {
		return
	}
	w.guest.mu.Lock()
	w.guest.plain, w.guest.plainSince = true, time.Now()
	w.guest.mu.Unlock()
	before := len(w.guest.still().calls)
	for _, r := range w.copies {
		r.stop(15 * time.Second)
		r.start()
		if !w.goesOn(soon, nothing, "%s was stopped in order and started again", r.name) {
			return
		}
	}
	if calls := w.guest.still().calls; len(calls) > before && w.plan.protocol != "share" {
		w.fail("repeats-bounded", "%v is called again, though each copy was stopped in order with all that it had committed", calls[before].place)
		return
	}
	if !w.componentGoes() || !w.transactionStaysOpen() {
		return
	}
	if w.issuer != nil && !w.outlastTokens() {
		return
	}
	if w.plan.protocol == "share" && !w.partitionElsewhere() {
		return
	}
	if w.plan.protocol == "share" || w.plan.creates {
		return // where it begins in a new topic is for the broker to say; a copy could make it
	}
	cl := w.client()
	defer cl.Close()
	if !w.fullTopicGoes() {
		return
	}
	for i := range remakings {
		w.remake(time.Duration(i) * 200 * time.Millisecond)
		w.stray(newRand(w.plan.seed, "epilogue")).produce(context.Background(), cl, 10, nil)
		cl.PurgeTopicsFromProducing(input) // it would take the next one for this one
		if !w.goesOn(remade, func() error { return w.feedAside(cl) }, "the topic was made anew, for the %d. time", i+1) {
			return
		}
	}
}

func nothing() error { return nil }

const (
	// back is how soon after its return the component is called.
	back = 1200 * time.Millisecond
	// heldUp is how long a transaction may be open before health says that it holds the link up.
	heldUp = 45 * time.Second
)

// componentGoes has the component be away for a while: a copy says so, and it is called soon when it is back.
func (w *world) componentGoes() bool {
	w.tell("the component is away, without any other fault")
	w.guest.setAway(true)
	cl := w.client()
	defer cl.Close()
	before := len(w.guest.still().calls)
	w.stray(newRand(w.plan.seed, "away")).produce(context.Background(), cl, 10, nil)
	if !w.says(time.Minute, func(p status.Problem) bool { return p.Kind == status.ProblemUnavailable }) {
		w.fail("health-tells", "the component is away for a minute, and no copy says so")
		return false
	}
	time.Sleep(20 * time.Second)
	w.guest.setAway(false)
	for began := time.Now(); len(w.guest.still().calls) == before; time.Sleep(10 * time.Millisecond) {
		if took := time.Since(began); took > back {
			w.fail("goes-on-soon", "the component is back for %s, and is not called", took)
			return false
		}
	}
	return w.goesOn(soon, nothing, "the component is back")
}

// transactionStaysOpen has a transaction of another producer be open for a while: a copy says that it holds the link
// up.
func (w *world) transactionStaysOpen() bool {
	w.tell("a transaction stays open, without any other fault")
	s := w.stray(newRand(w.plan.seed, "open"))
	cl := w.client(kgo.TransactionalID(s.name), kgo.TransactionTimeout(5*time.Minute))
	defer cl.Close()
	if err := cl.BeginTransaction(); err != nil {
		w.fail("world", "beginning a transaction: %v", err)
		return false
	}
	s.produce(context.Background(), cl, 10, nil)
	if !w.says(heldUp, func(p status.Problem) bool { return strings.Contains(p.Text, "transaction") }) {
		w.fail("health-tells", "a transaction is open for %s, and no copy says so", heldUp)
		return false
	}
	if err := cl.EndTransaction(context.Background(), kgo.TryCommit); err != nil {
		w.fail("world", "ending a transaction: %v", err)
		return false
	}
	return w.goesOn(soon, nothing, "the transaction is committed")
}

// partitionElsewhere adds a partition that another broker leads than all others: the copies to which the group does not
// give it ask that broker for nothing, and are well.
func (w *world) partitionElsewhere() bool {
	if w.plan.brokers < 2 {
		return true
	}
	w.tell("a partition is added whose leader leads no other one, without any other fault")
	cl := w.client()
	defer cl.Close()
	for _, p := range w.kafka.PartitionInfos(input) {
		if err := w.kafka.MoveTopicPartition(input, p.Partition, 0); err != nil {
			w.fail("world", "moving partition %d: %v", p.Partition, err)
		}
	}
	added := int32(len(w.kafka.PartitionInfos(input)))
	if _, err := kadm.NewClient(cl).CreatePartitions(context.Background(), 1, input); err != nil {
		w.fail("world", "adding a partition: %v", err)
	}
	if err := w.kafka.MoveTopicPartition(input, added, 1); err != nil {
		w.fail("world", "moving partition %d: %v", added, err)
	}
	w.stray(newRand(w.plan.seed, "elsewhere")).produce(context.Background(), cl, 10, nil)
	time.Sleep(soon) // till all have heard of it
	return w.goesOn(soon, nothing, "all have heard of the partition")
}

// remake deletes the input and makes it anew a while later.
func (w *world) remake(later time.Duration) {
	partitions := int32(len(w.kafka.PartitionInfos(input))) // with fewer than before the client waits for the others
	if err := w.kafka.DeleteTopic(input); err != nil {
		w.fail("world", "deleting the topic: %v", err)
	}
	time.Sleep(later)
	if err := w.kafka.CreateTopic(input, partitions, nil); err != nil {
		w.fail("world", "making the topic anew: %v", err)
	}
}

const (
	// heavy records fill what a copy may hold of a partition; so many of them are more than smallBuffer.
	heavy, heavies = 64 << 10, 20
	smallBuffer    = "1MiB"
)

// fullTopicGoes has the topic be made anew while the copies hold as much of it as they may, since the component is
// away: what they held is gone with it, and they read on when the component is back.
func (w *world) fullTopicGoes() bool {
	if w.plan.config["max_buffer"] != smallBuffer {
		return true
	}
	w.tell("the component is away, and records fill what copies may hold")
	w.guest.setAway(true)
	cl := w.client(kgo.RecordPartitioner(kgo.ManualPartitioner()))
	defer cl.Close()
	s := w.stray(newRand(w.plan.seed, "full"))
	for _, p := range w.kafka.PartitionInfos(input) {
		for range heavies {
			r := s.record()
			r.Partition, r.Value = p.Partition, bytes.Repeat([]byte("x"), heavy)
			cl.Produce(context.Background(), r, nil)
		}
	}
	if err := cl.Flush(context.Background()); err != nil {
		w.fail("world", "filling the topic: %v", err)
	}
	time.Sleep(10 * time.Second) // they have read as much as they may
	w.remake(time.Second)
	cl.PurgeTopicsFromProducing(input)
	s.produce(context.Background(), cl, 10, func(r *kgo.Record) { r.Partition = 0 })
	time.Sleep(10 * time.Second)
	w.guest.setAway(false)
	return w.goesOn(remade, nothing, "the component is back, and the topic was made anew meanwhile")
}

// says waits until a copy says something of a kind.
func (w *world) says(within time.Duration, what func(status.Problem) bool) bool {
	for began := time.Now(); time.Since(began) < within; time.Sleep(time.Second) {
		for _, r := range w.copies {
			if slices.ContainsFunc(r.problems(), what) {
				return true
			}
		}
	}
	return false
}

// goesOn waits until all is read and well, and fails where that takes too long. Meanwhile it does something else again
// and again, which may fail.
func (w *world) goesOn(within time.Duration, meanwhile func() error, format string, args ...any) bool {
	w.tell(format, args...)
	for began := time.Now(); ; time.Sleep(250 * time.Millisecond) {
		err := w.undrained()
		if err == nil {
			return true
		}
		if time.Since(began) > within {
			w.fail("goes-on-soon", "%s later, and without a fault: %v", within, err)
			return false
		}
		if err := meanwhile(); err != nil {
			w.fail("goes-on-soon", "while one topic was made anew, another was not read: %v", err)
			return false
		}
	}
}

// feedAside stores a record in the link's other topic, and looks how long those wait that were stored before.
func (w *world) feedAside(cl *kgo.Client) error {
	g := w.guest
	g.mu.Lock()
	for number, at := range g.aside {
		if waits := time.Since(at); waits > aside {
			g.mu.Unlock()
			return fmt.Errorf("record %s waits for %s", number, waits)
		}
	}
	g.numbered++
	number := fmt.Sprint(g.numbered)
	g.aside[number] = time.Now()
	g.mu.Unlock()
	return cl.ProduceSync(context.Background(), &kgo.Record{Topic: other, Value: []byte(number)}).FirstErr()
}

// still is the guest as it is now, for those who look at what it did while calls may come.
func (g *guest) still() *guest {
	g.mu.Lock()
	defer g.mu.Unlock()
	return &guest{
		w: g.w, done: maps.Clone(g.done), tries: maps.Clone(g.tries), failures: maps.Clone(g.failures), content: maps.Clone(g.content), calls: slices.Clone(g.calls),
	}
}
