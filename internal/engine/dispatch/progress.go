package dispatch

import (
	"fmt"
	"time"

	"github.com/messaging-kafka/messaging-kafka/internal/observe/status"
	"github.com/messaging-kafka/messaging-kafka/internal/record"
)

// uncommitted is what of a partition has been finished since the last commit.
type uncommitted struct {
	since time.Time // when the first of it was finished; zero where there is none
	stamp int64     // that record's timestamp in milliseconds; 0 where it has none
}

// stampOf is a record's timestamp in milliseconds, 0 where it has none: Kafka gives -1 then.
func stampOf(r *record.Record) int64 {
	if r.Timestamp.IsZero() {
		return 0
	}
	return max(r.Timestamp.UnixMilli(), 0)
}

// noteFinished notes that the committable offset has moved over a record. p.d.mu is held.
func (p *Partition) noteFinished(stamp int64) {
	if p.uncommitted.since.IsZero() {
		p.uncommitted = uncommitted{since: time.Now(), stamp: stamp}
	}
	p.lastStamp = stamp
}

// Committed notes that Kafka has taken an offset, for [Partition.Describe]. Records that were finished while it was on
// its way count as finished now.
func (p *Partition) Committed(offset int64) {
	p.d.mu.Lock()
	defer p.d.mu.Unlock()
	switch {
	case p.committable.Offset <= offset:
		p.uncommitted = uncommitted{}
	case !p.uncommitted.since.IsZero():
		p.uncommitted = uncommitted{since: time.Now(), stamp: p.lastStamp}
	}
}

// Describe writes into to how old what the partition has not got done is, what that takes in memory, and why the
// partition stands still. It returns since when what is not committed waits for that, as far as the partition knows:
// since the first such record was written, by its timestamp, or else was finished or read. It is for those who look now
// and then.
func (p *Partition) Describe(to *status.Partition, now time.Time) (waits time.Time) {
	p.d.mu.Lock()
	defer p.d.mu.Unlock()
	to.BufferedBytes = p.buffered
	if p.held != nil {
		to.Held = fmt.Sprintf("on_reject=stop: %v", p.held)
	}
	waits = p.uncommitted.since
	stamp := p.uncommitted.stamp
	to.UncommittedSeconds = secondsSince(now, waits)
	if p.items.len() > 0 {
		oldest := p.items.peek()
		to.OldestUnfinishedSeconds = secondsSince(now, oldest.added)
		if waits.IsZero() {
			waits, stamp = oldest.added, oldest.stamp
		}
	}
	if stamp > 0 {
		waits = time.UnixMilli(stamp)
	}
	return waits
}

// secondsSince is the time from then to now, 0 where then is zero or, by another machine's clock, to come.
func secondsSince(now, then time.Time) float64 {
	if then.IsZero() {
		return 0
	}
	return max(0, now.Sub(then)).Seconds()
}

// Held is why the partition stands still until its link is put anew; nil where it does not.
func (p *Partition) Held() error {
	p.d.mu.Lock()
	defer p.d.mu.Unlock()
	return p.held
}
