package consume

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/messaging-kafka/messaging-kafka/internal/engine/kafka"
	"github.com/messaging-kafka/messaging-kafka/internal/observe/status"
	"github.com/messaging-kafka/messaging-kafka/internal/record"
	"github.com/messaging-kafka/messaging-kafka/internal/settings"
	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

// shared is a session of a share group without a broker: what becomes of a record that it has been given.
func shared(t *testing.T, h *handler, change func(*settings.Delivery)) (*shareSession, *counts, *testkit.Log) {
	t.Helper()
	c, log := &counts{}, &testkit.Log{}
	link, _, err := settings.ParseLink(settings.Input{
		Config:   map[string]string{"hosts": "127.0.0.1:1", "topic": "in", "group_protocol": "share", "handle_timeout": "1s", "retry_backoff": "1ms"},
		Identity: settings.Identity{Lattice: "l", Component: "echo", LinkName: "default"},
	})
	if err != nil {
		t.Fatal(err)
	}
	change(&link.Delivery)
	access, err := kafka.NewAccess(link.Cluster, log.Logger())
	if err != nil {
		t.Fatal(err)
	}
	cfg := &Config{Settings: link, Access: access, Deliverer: h, Component: "echo", Observer: c, Log: log.Logger()}
	s := &shareSession{cfg: cfg, log: cfg.Log}
	s.problems.access = access
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

func TestAShareGroupTellsOfAComponentThatFailsOnEveryCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &handler{do: func(context.Context, *record.Record) (record.Verdict, error) {
			return record.Retry, errors.New("no database")
		}}
		s, _, _ := shared(t, h, func(*settings.Delivery) {})
		for range 10 {
			if got := s.decide(t.Context(), &kgo.Record{}, &record.Record{Topic: "in", Partition: 2, Offset: 7}); got != kgo.AckRelease {
				t.Fatalf("the broker is told %v", got)
			}
		}
		st := s.status()
		if !st.Problems.Has(status.ProblemFailing) || !strings.Contains(st.Problems.String(), "failing: 10 of the last 10 calls: no database (in/2, offset 7") {
			t.Errorf("problems: %s", st.Problems)
		}
		h.do = nil
		s.decide(t.Context(), &kgo.Record{}, &record.Record{Topic: "in"})
		if st := s.status(); st.Problems.Has(status.ProblemFailing) || !st.Dispatch.OldestCall.IsZero() {
			t.Errorf("problems: %s, oldest call %s", st.Problems, st.Dispatch.OldestCall)
		}
	})
}

func TestCallsThatHangAreAProblemWhenMostOfTheirTimeIsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &handler{do: func(ctx context.Context, _ *record.Record) (record.Verdict, error) {
			<-ctx.Done()
			return record.Retry, ctx.Err()
		}}
		s, _, _ := shared(t, h, func(d *settings.Delivery) { d.HandleTimeout = 2 * time.Minute })
		done := make(chan kgo.AckStatus, 1)
		go func() { done <- s.decide(t.Context(), &kgo.Record{}, &record.Record{Topic: "in", Offset: 7}) }()
		time.Sleep(time.Minute)
		if st := s.status(); st.Problems.Has(status.ProblemFailing) || st.Dispatch.Hanging == nil {
			t.Errorf("after a minute: %s, %+v", st.Problems, st.Dispatch.Hanging)
		}
		time.Sleep(31 * time.Second)
		if st := s.status(); !st.Problems.Has(status.ProblemFailing) || !strings.Contains(st.Problems.String(), "hanging: 1 calls are under way") {
			t.Errorf("problems: %s", st.Problems)
		}
		if got := <-done; got != kgo.AckRelease {
			t.Errorf("the broker is told %v", got)
		}
	})
}
