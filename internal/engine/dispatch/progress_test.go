package dispatch

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/messaging-kafka/messaging-kafka/internal/record"
	"github.com/messaging-kafka/messaging-kafka/internal/settings"
)

func TestProgressTellsWhatACommitWaitsForAndHowOldItIs(t *testing.T) {
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
		if g := p.Progress(); !g.OldestRead.IsZero() || !g.OldestWritten.IsZero() || !g.FinishedSince.IsZero() || g.Next != 0 {
			t.Errorf("of nothing: %+v", g)
		}
		batch := make([]*record.Record, 3)
		for i := range batch {
			batch[i] = &record.Record{Topic: "t", Offset: int64(i), Value: []byte("v"), Timestamp: written.Add(time.Duration(i) * time.Minute)}
		}
		p.Add(batch, first)
		synctest.Wait()
		time.Sleep(time.Second)
		// 0 is finished and waits for a commit, 1 is with the component, 2 behind it.
		g := p.Progress()
		if !g.OldestRead.Equal(began) || !g.OldestWritten.Equal(written) || !g.FinishedSince.Equal(began) || g.Bytes < 2*300 || g.Bytes != p.Load().Bytes || g.Next != 3 {
			t.Errorf("while the second is handled: %+v", g)
		}
		if s := d.Status(); !s.Oldest.Equal(began) {
			t.Errorf("the oldest of all: %v", s.Oldest)
		}
		p.Committed(1)
		if g := p.Progress(); !g.OldestWritten.Equal(batch[1].Timestamp) || !g.FinishedSince.IsZero() {
			t.Errorf("after the commit: %+v", g)
		}
		close(release)
		synctest.Wait()
		finished := time.Now()
		time.Sleep(time.Second)
		p.Committed(2) // the third was finished while the second's commit was on its way
		if g := p.Progress(); !g.OldestWritten.Equal(batch[2].Timestamp) || g.FinishedSince.Before(finished) {
			t.Errorf("after a commit of less than what is finished: %+v", g)
		}
		p.Committed(3)
		if g := p.Progress(); !g.OldestRead.IsZero() || !g.OldestWritten.IsZero() || !g.FinishedSince.IsZero() {
			t.Errorf("after all: %+v", g)
		}
		d.Close(t.Context())
	})
}
