package dispatch

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/messaging-kafka/messaging-kafka/internal/observe/status"
	"github.com/messaging-kafka/messaging-kafka/internal/record"
	"github.com/messaging-kafka/messaging-kafka/internal/settings"
)

// described is what a partition tells of itself: seconds since the lowest unfinished record was read, and since the
// lowest uncommitted one was finished, and since when a commit is waited for.
func described(p *Partition) (unfinished, uncommitted float64, waits time.Time) {
	var is status.Partition
	waits = p.Describe(&is, time.Now())
	return is.OldestUnfinishedSeconds, is.UncommittedSeconds, waits
}

func TestAPartitionTellsWhatACommitWaitsForAndHowOldItIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		written := began.Add(-time.Hour).Truncate(time.Millisecond)
		release := make(chan struct{})
		cfg, _ := config(&script{handle: func(_ context.Context, r *record.Record) (record.Kind, error) {
			if r.Offset == 1 {
				<-release
			}
			return record.Done, nil
		}})
		cfg.Delivery.Order = settings.OrderPartition
		d := New(cfg)
		p := d.Open("t", 0, 0)
		if unfinished, uncommitted, waits := described(p); unfinished != 0 || uncommitted != 0 || !waits.IsZero() {
			t.Errorf("of nothing: %v, %v, %v", unfinished, uncommitted, waits)
		}
		batch := make([]*record.Record, 3)
		for i := range batch {
			batch[i] = &record.Record{Topic: "t", Offset: int64(i), Value: []byte("v"), Timestamp: written.Add(time.Duration(i) * time.Minute)}
		}
		p.Add(batch, first)
		synctest.Wait()
		time.Sleep(time.Second)
		// 0 is finished and waits for a commit, 1 is with the component, 2 behind it.
		unfinished, uncommitted, waits := described(p)
		if unfinished != 1 || uncommitted != 1 || !waits.Equal(written) || p.Next() != 3 {
			t.Errorf("while the second is handled: %v, %v, %v", unfinished, uncommitted, waits)
		}
		var is status.Partition
		if p.Describe(&is, time.Now()); is.BufferedBytes < 2*300 || is.BufferedBytes != p.Load().Bytes {
			t.Errorf("%d bytes are held, and %d told", p.Load().Bytes, is.BufferedBytes)
		}
		if s := d.Status(); !s.Oldest.Equal(began) {
			t.Errorf("the oldest of all: %v", s.Oldest)
		}
		p.Committed(1)
		if _, uncommitted, waits := described(p); uncommitted != 0 || !waits.Equal(batch[1].Timestamp) {
			t.Errorf("after the commit: %v, %v", uncommitted, waits)
		}
		close(release)
		synctest.Wait()
		time.Sleep(time.Second)
		p.Committed(2) // the third was finished while the second's commit was on its way
		time.Sleep(time.Second)
		if _, uncommitted, waits := described(p); uncommitted != 1 || !waits.Equal(batch[2].Timestamp) {
			t.Errorf("after a commit of less than what is finished: %v, %v", uncommitted, waits)
		}
		p.Committed(3)
		if unfinished, uncommitted, waits := described(p); unfinished != 0 || uncommitted != 0 || !waits.IsZero() {
			t.Errorf("after all: %v, %v, %v", unfinished, uncommitted, waits)
		}
		d.Close(t.Context())
	})
}
