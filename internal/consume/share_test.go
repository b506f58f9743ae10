package consume

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"messaging-kafka/internal/record"
	"messaging-kafka/internal/settings"
	"messaging-kafka/internal/testkit"
)

// shared is a session of a share group without a broker: what becomes of a record that it has been given.
func shared(t *testing.T, h *handler, change func(*settings.Delivery)) (*shareSession, *counts, *testkit.Log) {
	t.Helper()
	c, log := &counts{}, &testkit.Log{}
	cfg := &Config{Deliverer: h, Component: "echo", Observer: c, Log: log.Logger()}
	cfg.Settings.Delivery = settings.Delivery{HandleTimeout: time.Second, RetryBackoff: time.Millisecond, RetryBackoffMax: time.Second}
	change(&cfg.Settings.Delivery)
	s := &shareSession{cfg: cfg, log: cfg.Log}
	s.problems.joined()
	s.calls, s.giveUp = context.WithCancel(t.Context())
	t.Cleanup(s.giveUp)
	return s, c, log
}

// TestAShareGroupHoldsARecordWhoseCallNobodyTook: releasing it would count a delivery, and dead-lettering it would lose it.
func TestAShareGroupHoldsARecordWhoseCallNobodyTook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var thawed atomic.Bool
		h := &handler{do: func(ctx context.Context, _ *record.Record) (record.Verdict, error) {
			if thawed.Load() {
				return record.Done, nil
			}
			<-ctx.Done()
			return record.Retry, fmt.Errorf("%w: %w", record.ErrUnavailable, ctx.Err())
		}}
		s, c, _ := shared(t, h, func(d *settings.Delivery) { d.MaxAttempts = 1 })
		s.bury = func(context.Context, *record.Record, int, error) error { return errors.New("there is nothing to bury") }
		got := make(chan kgo.AckStatus, 1)
		go func() { got <- s.decide(t.Context(), &kgo.Record{}, &record.Record{Topic: "in"}) }()
		time.Sleep(10 * time.Second)
		if st := s.status(); st.Dispatch.Unavailable == nil {
			t.Error("the status does not say so")
		}
		thawed.Store(true)
		if status := <-got; status != kgo.AckAccept {
			t.Errorf("the broker is told %v", status)
		}
		if n := c.buried.Load(); n != 0 {
			t.Errorf("%d dead letters", n)
		}
	})
}
