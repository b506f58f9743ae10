package dispatch

import (
	"time"

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

// Committed notes that Kafka has taken an offset, for [Partition.Progress]. What was finished while it was on its way
// is put down as finished now.
func (p *Partition) Committed(offset int64) {
	p.d.mu.Lock()
	defer p.d.mu.Unlock()
	switch {
	case p.committable.offset <= offset:
		p.uncommitted = uncommitted{}
	case !p.uncommitted.since.IsZero():
		p.uncommitted = uncommitted{since: time.Now(), stamp: p.lastStamp}
	}
}

// Progress says how old what a partition has not got done is.
type Progress struct {
	// Next is the offset of the next record that is to be read; [NotYet] before the first is known.
	Next int64
	// OldestRead is when the lowest unfinished record was read; zero if there is none.
	OldestRead time.Time
	// OldestWritten is the timestamp of the lowest record that is not committed, of those that have been read. It is
	// zero where there is no such record, and where it has no timestamp.
	OldestWritten time.Time
	// FinishedSince is when the lowest record was finished that is not committed yet; zero where there is none.
	FinishedSince time.Time
	// Bytes is what the records that wait or are being handled take in memory.
	Bytes int64
	// Held is why the partition stands still; nil where it does not.
	Held error
}

// Progress returns how old what the partition has not got done is. It is for those who look now and then.
func (p *Partition) Progress() Progress {
	p.d.mu.Lock()
	defer p.d.mu.Unlock()
	g := Progress{Next: p.next, FinishedSince: p.uncommitted.since, Bytes: p.buffered, Held: p.held}
	stamp := p.uncommitted.stamp
	if p.items.len() > 0 {
		oldest := p.items.peek()
		g.OldestRead = oldest.added
		if g.FinishedSince.IsZero() {
			stamp = oldest.stamp
		}
	}
	if stamp > 0 {
		g.OldestWritten = time.UnixMilli(stamp)
	}
	return g
}
