package consume

import (
	"context"
	"errors"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/messaging-kafka/messaging-kafka/internal/engine/kafka"
	"github.com/messaging-kafka/messaging-kafka/internal/record"
)

const (
	// maxPoll bounds the records of one poll. Records that the client has fetched beyond them stay in the client, bounded
	// by kafka.Fetched.
	maxPoll = 500
	// minShare is the least that a partition may have in the buffer, however many partitions share it, and
	// maxPartitionFetch the most that one fetch may bring of it.
	minShare          = 64 << 10
	maxPartitionFetch = 1 << 20
	// maxSpan bounds the records of a partition from the lowest unfinished one on: what a stuck key can let the others run
	// ahead. As many bits go with a commit.
	maxSpan = 10_000
)

// poll moves records from Kafka to the dispatcher for as long as there is room.
func (s *session) poll(ctx context.Context) {
	for s.waitForRoom(ctx) {
		polling, cancel := s.untilRetry(ctx)
		fetches := s.cl.PollRecords(polling, s.pollSize())
		cancel()
		s.take(ctx, fetches)
		records := int64(fetches.NumRecords())
		if cost := s.fetched.Taken(fetches, s.cl.BufferedFetchRecords()); records > 0 {
			s.recordSize = cost / records
		}
		s.retry(ctx)
		s.cl.AllowRebalance()
		s.fitFetches()
		if fetches.IsClientClosed() {
			return
		}
	}
}

// waitForRoom returns true when there is room for more records, or a partition to be tried again, false when ctx ends.
func (s *session) waitForRoom(ctx context.Context) bool {
	for ctx.Err() == nil {
		if s.affords() && s.room() {
			return true
		}
		waiting, cancel := s.untilRetry(ctx)
		select {
		case <-s.progress:
		case <-s.cfg.Memory.Freed():
		case <-waiting.Done():
		}
		cancel()
	}
	return false
}

// room tells whether to poll, and pauses the partitions that have their share of the buffer while others have not.
// Not to poll at all is better where it can be had: the client throws away what it has fetched of a paused partition
// and fetches it again.
//
// There is no look at the sum: what all partitions hold together is bounded by their shares, and one that a large
// batch has filled beyond its share must not stop the others.
func (s *session) room() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	share, now := s.share(), time.Now()
	var full []topicPartition
	for tp, a := range s.assigned {
		if a.standsStill() || a.full(share) || a.backingOff(now) {
			full = append(full, tp)
		}
	}
	if len(full) > 0 && len(full) == len(s.assigned) {
		return false
	}
	pause := make(map[string][]int32)
	for _, tp := range full {
		if a := s.assigned[tp]; !a.paused {
			a.paused = true
			pause[tp.topic] = append(pause[tp.topic], tp.partition)
		}
	}
	if len(pause) > 0 {
		s.cl.PauseFetchPartitions(pause)
		s.paused.Store(true)
		signal(s.freed) // what was full may have been finished before the pacer was asked to look
	}
	return true
}

// finished is called whenever the dispatcher has finished something.
func (s *session) finished() {
	signal(s.progress)
	if s.paused.Load() || s.transactor != nil {
		signal(s.freed)
	}
}

// pace resumes paused partitions as soon as half their share is free, and lets outputs be committed that take as much.
// It is a loop of its own, since the poll loop may be waiting for records of the others.
func (s *session) pace(ctx context.Context) {
	for {
		select {
		case <-s.freed:
			s.resume()
		case <-ctx.Done():
			return
		}
	}
}

func (s *session) resume() {
	s.mu.Lock()
	defer s.mu.Unlock()
	share := s.share()
	resume := make(map[string][]int32)
	paused := false
	for tp, a := range s.assigned {
		if a.Load().Outputs >= share/2 {
			signal(s.early)
		}
		if a.paused && a.retryAt.IsZero() && !a.standsStill() && !a.full(share/2) {
			a.paused = false
			resume[tp.topic] = append(resume[tp.topic], tp.partition)
		}
		paused = paused || a.paused
	}
	s.paused.Store(paused)
	if len(resume) > 0 {
		s.cl.ResumeFetchPartitions(resume)
	}
}

// share is the part of the buffer from which on a partition is full. s.mu is held.
//
// The shares add up to half the buffer, and one fetch brings no more of a partition than its share (see resize). So a
// partition whose records are stuck holds no more than twice its share, or its share and one batch where that is more.
func (s *session) share() int64 {
	return max(s.cfg.Settings.Delivery.MaxBuffer/2/max(int64(len(s.assigned)), 1), minShare)
}

// resize fits the fetches to the shares when the number of partitions has changed. s.mu is held.
func (s *session) resize() {
	s.mostBytes = mostFetch(s.cfg, len(s.cl.DiscoveredBrokers()))
	s.fetchBytes = min(s.fetchBytes, s.mostBytes)
	most := s.fetchBytes
	s.cl.UpdateFetchMaxBytes(most, min(most, int32(min(s.share(), maxPartitionFetch))))
}

// full tells whether a partition has its share of the buffer. The bound on the span shrinks with the share, so that
// a partition is resumed at half of both. One that has records whose time has not come needs no more of them: those
// behind them come due later.
func (a *assignment) full(share int64) bool {
	load := a.Load()
	span := maxSpan
	if a.paused {
		span /= 2
	}
	return load.Bytes >= share || load.Span >= span || load.Parked > 0
}

// standsStill tells whether a partition waits for the operator.
func (a *assignment) standsStill() bool { return a.stopped != nil || a.Held() != nil }

// take hands fetched records to the dispatcher.
//
// The client appends what it has found out about a partition behind the records of the same poll, and gives the error
// of a batch together with the records before that batch. A loss comes first: the partition was not read until its
// place was set back, so all of its records were read after that. Records come before all other errors: the client
// goes on behind them, and whoever does not take them now never gets them.
func (s *session) take(ctx context.Context, fetches kgo.Fetches) {
	fetches.EachPartition(func(f kgo.FetchTopicPartition) {
		if lost, ok := errors.AsType[*kgo.ErrDataLoss](f.Err); ok {
			s.lost(topicPartition{f.Topic, f.FetchPartition.Partition}, lost)
		}
	})
	fetches.EachPartition(func(f kgo.FetchTopicPartition) {
		if f.Topic == "" {
			return // the end of ctx or of the client, or a group error, which the client's hook has told us already
		}
		tp := topicPartition{f.Topic, f.FetchPartition.Partition}
		s.mu.Lock()
		a := s.assigned[tp]
		if end := s.fetchedEnd(&f.FetchPartition); a != nil && end >= 0 {
			a.setEnd(end)
		}
		s.mu.Unlock()
		if a == nil {
			return
		}
		if n := len(f.Records); n > 0 {
			s.add(a, f.Records)
			s.mu.Lock()
			a.epoch, a.noMemory = f.Records[n-1].LeaderEpoch, 0
			s.mu.Unlock()
		}
		_, lost := errors.AsType[*kgo.ErrDataLoss](f.Err)
		switch {
		case lost:
		case f.Err != nil:
			s.fetchFailed(ctx, tp, a, kafka.ReadError(&f.FetchPartition, f.Err, a.Next()))
		default:
			s.readable(tp, a)
		}
	})
}

// lost sets a partition back to where its log ends: what was read beyond that is gone, and what comes from there on are
// other records at offsets that were read already.
func (s *session) lost(tp topicPartition, lost *kgo.ErrDataLoss) {
	s.mu.Lock()
	a := s.assigned[tp]
	s.mu.Unlock()
	if a == nil {
		return
	}
	s.log.Warn("the broker lost records that were read already, as an unclean election does: reading goes on from where its log ended",
		"topic", tp.topic, "partition", tp.partition, "read_to", lost.ConsumedTo, "read_epoch", lost.ConsumedToEpoch,
		"resumed_at", lost.ResetTo, "resumed_epoch", lost.ResetToEpoch, "records_lost", lost.ConsumedTo-lost.ResetTo)
	a.StartAt(lost.ResetTo)
	s.mu.Lock()
	a.epoch = lost.ResetToEpoch
	s.mu.Unlock()
}

// add copies records and queues them: otherwise max_buffer would not be the whole truth about what waiting records
// cost.
func (s *session) add(a *assignment, fetched []*kgo.Record) {
	batch := make([]*record.Record, 0, len(fetched))
	records, bytes := 0, 0
	for _, f := range fetched {
		if f.Attrs.IsControl() {
			a.Add(batch, s.cfg.history)
			batch = batch[:0]
			a.Skip(f.Offset, f.LeaderEpoch)
			continue
		}
		r := kafka.CopyRecord(f)
		records++
		bytes += r.Size()
		batch = append(batch, r)
	}
	a.Add(batch, s.cfg.history)
	s.cfg.Observer.Fetched(records, bytes)
}
