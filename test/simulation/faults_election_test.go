package simulation

import (
	"context"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// election has a leader without the newest records take over, at the next answer that brings the end of a partition:
// behind that end the answer has records more, which the old leader alone had. The brokers of the fake Kafka share one
// log, so nothing need be cut off: these were never in it, and the new leader's own records stand in their places.
type election struct {
	partition int32
	lost      int // records
	rng       *rand.Rand
	// told is called when a copy has got what the old leader alone had, with its network; nil where nobody wants to know.
	told func(n *network)
}

// elected is the epoch of a new leader, in a topic.
type elected struct {
	topic [16]byte
	epoch int32
}

// unheardElection tells whether an offset was committed by who has not heard yet that a partition has another leader,
// of whose records it says nothing, though it may be beyond them.
func (w *world) unheardElection(partition, epoch int32) bool {
	info := w.kafka.TopicInfo(input)
	w.mu.Lock()
	defer w.mu.Unlock()
	e, ok := w.elected[partition]
	return ok && info != nil && e.topic == info.TopicID && epoch >= 0 && epoch < e.epoch
}

// uncleanElection draws one.
func uncleanElection(_ context.Context, w *world, rng *rand.Rand) {
	w.layer.elect(w.drawElection(rng))
}

func (w *world) drawElection(rng *rand.Rand) *election {
	e := &election{partition: w.somePartition(rng), lost: 1 + rng.IntN(5), rng: rng}
	if rng.IntN(2) == 0 {
		e.lost += rng.IntN(40) // it was out of touch for long
	}
	w.tell("the next leader of partition %d will have %d records fewer", e.partition, e.lost)
	return e
}

// endsAtElection has an unclean election be the last that a copy hears of a partition: fetches bring it nothing more,
// and a moment later it is killed or stopped. Its commits reach the group meanwhile, and another owner begins by them.
func endsAtElection(ctx context.Context, w *world, rng *rand.Rand) {
	e, heard := w.drawElection(branch(rng)), make(chan *network, 1)
	e.told = func(n *network) {
		if ctx.Err() == nil { // or it is calm by now
			n.set(func(n *network) {
				if n.deaf == nil {
					n.deaf = make(chan struct{})
				}
			})
			heard <- n
		}
	}
	w.layer.elect(e)
	var n *network
	select {
	case n = <-heard:
	case <-ctx.Done():
		return
	}
	w.tell("nothing that is fetched reaches %s", n.name)
	sleep(ctx, between(rng, 100*time.Millisecond, 4*time.Second))
	i := slices.IndexFunc(w.copies, func(r *replica) bool { return r.has(n) })
	if i < 0 {
		return // it has ended by itself
	}
	if r := w.copies[i]; rng.IntN(2) == 0 {
		r.kill()
	} else {
		r.stop(15 * time.Second)
	}
	sleep(ctx, between(rng, 0, 10*time.Second))
	w.copies[i].start()
}

func (l *layer) elect(e *election) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.elections = append(l.elections, e)
}

// takeElection takes the election of a partition.
func (l *layer) takeElection(partition int32) *election {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, e := range l.elections {
		if e.partition == partition {
			l.elections = append(l.elections[:i:i], l.elections[i+1:]...)
			return e
		}
	}
	return nil
}

func (l *layer) expectsElections() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.elections) > 0
}

// lose does what elections say to an answer; nil is that it stays as it is.
func (a *asked) lose(n *network, frame []byte) []byte {
	l := n.layer
	if a.key != kmsg.Fetch || l.lost == nil || !l.expectsElections() {
		return nil
	}
	decoded, err := a.decodeAnswer(frame)
	if err != nil {
		return nil
	}
	resp := decoded.(*kmsg.FetchResponse)
	changed := false
	for i := range resp.Topics {
		for j := range resp.Topics[i].Partitions {
			p := &resp.Topics[i].Partitions[j]
			if p.ErrorCode != 0 || len(p.RecordBatches) == 0 {
				continue
			}
			e := l.takeElection(p.Partition)
			if e == nil {
				continue
			}
			more, to := l.lost(e, resp.Topics[i].TopicID, endOf(p.RecordBatches))
			if more == nil {
				continue
			}
			if e.told != nil {
				defer e.told(n)
			}
			p.RecordBatches = append(p.RecordBatches, more...)
			p.HighWatermark, p.LastStableOffset = to, to
			changed = true
		}
	}
	if !changed {
		return nil
	}
	return a.encode(resp)
}

// endOf is the offset behind the last of some batches.
func endOf(batches []byte) int64 {
	end := int64(-1)
	for len(batches) > atRecords {
		var b kmsg.RecordBatch
		if b.ReadFrom(batches) != nil || len(batches) < 12+int(b.Length) {
			break
		}
		end = b.FirstOffset + int64(b.LastOffsetDelta) + 1
		batches = batches[12+b.Length:]
	}
	return end
}

// lose moves the lead of a partition that ends at an offset, and makes the batch of what the old leader had beyond
// that: nil where that offset is the end no more.
func (w *world) lose(e *election, topic [16]byte, end int64) (batch []byte, to int64) {
	before, info := w.kafka.PartitionInfo(input, e.partition), w.kafka.TopicInfo(input)
	if before == nil || info == nil || info.TopicID != topic || before.HighWatermark != end || before.LastStableOffset != end {
		w.layer.elect(e) // at another answer
		return nil, 0
	}
	node := e.rng.Int32N(int32(w.plan.brokers))
	if err := w.kafka.MoveTopicPartition(input, e.partition, node); err != nil {
		w.tell("the lead does not move: %v", err)
		return nil, 0
	}
	if after := w.kafka.PartitionInfo(input, e.partition); after == nil || after.HighWatermark != end {
		return nil, 0 // something came in between, and nothing is lost
	}
	cl := w.client(kgo.RecordPartitioner(kgo.ManualPartitioner()))
	defer cl.Close()
	s := w.stray(e.rng)
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	// The fake broker knows an epoch by its first record.
	s.produce(ctx, cl, 3, func(r *kgo.Record) { r.Partition = e.partition })
	if last := w.kafka.PartitionInfo(input, e.partition); last == nil || last.HighWatermark <= end {
		return nil, 0
	}
	w.mu.Lock()
	w.elected[e.partition] = elected{topic, before.Epoch + 1}
	w.mu.Unlock()
	covered.kind("unclean election")
	w.tell("a leader without %d records from offset %d on takes over partition %d", e.lost, end, e.partition)
	var records []byte
	for i := range e.lost {
		number := fmt.Appendf(nil, "lost-%s%d", s.name, i)
		header := kmsg.Header{Key: numberHeader, Value: number}
		r := kmsg.Record{OffsetDelta: int32(i), Key: fmt.Appendf(nil, "k%d", 1+e.rng.IntN(w.plan.keys)), Value: number, Headers: []kmsg.Header{header}}
		r.Length = int32(len(r.AppendTo(nil)) - 1) // without the length itself, which is one byte here
		records = append(records, r.AppendTo(nil)...)
	}
	now := time.Now().UnixMilli()
	b := kmsg.RecordBatch{
		FirstOffset: end, PartitionLeaderEpoch: before.Epoch, Magic: 2, LastOffsetDelta: int32(e.lost - 1), FirstTimestamp: now,
		MaxTimestamp: now, ProducerID: -1, ProducerEpoch: -1, FirstSequence: -1, NumRecords: int32(e.lost), Records: records,
	}
	b.Length = int32(len(b.AppendTo(nil)) - 12)
	b.CRC = int32(crc32.Checksum(b.AppendTo(nil)[atCovered:], crc32.MakeTable(crc32.Castagnoli)))
	return b.AppendTo(nil), end + int64(e.lost)
}

// compaction has the broker keep the last record of each key alone.
func compaction(ctx context.Context, w *world, _ *rand.Rand) {
	w.tell("the topic is compacted")
	w.gone.Store(true)
	w.alterInput(ctx, "cleanup.policy", "compact", w.kafka.Compact)
}
