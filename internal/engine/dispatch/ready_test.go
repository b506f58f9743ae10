package dispatch

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/messaging-kafka/messaging-kafka/internal/record"
	"github.com/messaging-kafka/messaging-kafka/internal/settings"
)

func TestTheOldestRecordGoesFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p *Partition
		var mu sync.Mutex // protects spread
		spread := int64(0)
		s := &script{handle: func(_ context.Context, r *record.Record) (record.Kind, error) {
			committed, _, ok := lowestUnfinished(p)
			if !ok {
				committed = 0
			}
			mu.Lock()
			spread = max(spread, r.Offset-committed)
			mu.Unlock()
			time.Sleep(time.Millisecond)
			return record.Done, nil
		}}
		cfg, _ := config(s)
		cfg.Delivery.MaxInFlight = 2
		d := New(cfg)
		p = d.Open("t", 0, 0)
		// Twenty records of one key, then one each of a hundred others.
		var records []*record.Record
		for i := range 120 {
			key := "busy"
			if i >= 20 {
				key = fmt.Sprint(i)
			}
			records = append(records, &record.Record{Topic: "t", Offset: int64(i), Key: []byte(key)})
		}
		p.Add(records, first)
		time.Sleep(time.Second)
		mustCommit(t, p, 120)
		// The busy key has one slot and the others share one; nobody takes both from it.
		mu.Lock()
		defer mu.Unlock()
		if spread > 40 {
			t.Errorf("a record was called %d offsets beyond the lowest unfinished one", spread)
		}
		d.Close(t.Context())
	})
}

func TestARecordThatFailedGoesBehindThoseThatWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{handle: func(_ context.Context, r *record.Record) (record.Kind, error) {
			time.Sleep(time.Second)
			if r.Offset < 2 && r.Attempt < 4 {
				return record.Retry, errors.New("not now")
			}
			return record.Done, nil
		}}
		cfg, _ := config(s)
		cfg.Delivery.MaxInFlight, cfg.Delivery.Order = 2, settings.OrderNone
		d := New(cfg)
		p := d.Open("t", 0, 0)
		p.Add(keyed(10, "a"), first)
		time.Sleep(time.Minute)
		mustCommit(t, p, 10)
		calls := s.called()
		if again := slices.Index(calls[2:], "a:0") + 2; again < 10 {
			t.Errorf("a record that failed kept others waiting: %v", calls)
		}
		d.Close(t.Context())
	})
}

func TestADeadLetterThatTookLongSaysNothingAboutTheComponent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{handle: func(_ context.Context, r *record.Record) (record.Kind, error) {
			if r.Offset == 0 {
				return record.Reject, errors.New("never")
			}
			time.Sleep(time.Second)
			return record.Unavailable, errors.New("nobody")
		}}
		cfg, _ := config(s)
		cfg.DeadLetter = func(context.Context, *record.Record, int, error) error {
			time.Sleep(2 * time.Second) // until after the component went away
			return nil
		}
		var log strings.Builder
		cfg.Log = slog.New(slog.NewTextHandler(&log, nil))
		d := New(cfg)
		p := d.Open("t", 0, 0)
		p.Add(keyed(2, "a", "b"), first)
		time.Sleep(2500 * time.Millisecond)
		synctest.Wait()
		mustCommit(t, p, 1)
		if d.Status().Unavailable.Cause == nil || strings.Contains(log.String(), "calls are taken again") {
			t.Errorf("a dead letter opened the gate: %+v\n%s", d.Status(), log.String())
		}
		d.Close(t.Context())
	})
}
