package consume

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/messaging-kafka/messaging-kafka/internal/engine/dispatch"
	"github.com/messaging-kafka/messaging-kafka/internal/engine/kafka"
	"github.com/messaging-kafka/messaging-kafka/internal/engine/produce"
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
	cfg := &Config{Settings: link, Access: access, Receiver: h, Component: "echo", Observer: c, Log: log.Logger()}
	s := &shareSession{cfg: cfg, log: cfg.Log}
	s.problems.access = access
	s.problems.joined()
	s.readyCalls(t.Context())
	t.Cleanup(s.giveUp)
	return s, c, log
}

// TestAShareGroupHoldsARecordWhoseCallNobodyTook: releasing it would count a delivery, and dead-lettering it would lose
// it.
func TestAShareGroupHoldsARecordWhoseCallNobodyTook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var thawed atomic.Bool
		h := &handler{do: func(ctx context.Context, _ *record.Record) (record.Kind, error) {
			if thawed.Load() {
				return record.Done, nil
			}
			<-ctx.Done()
			return record.Unavailable, fmt.Errorf("nobody: %w", ctx.Err())
		}}
		s, c, _ := shared(t, h, func(d *settings.Delivery) { d.MaxAttempts = 1 })
		s.letters.Store = func(context.Context, *record.Record, int, error) error {
			return errors.New("there is nothing to give up")
		}
		got := make(chan kgo.AckStatus, 1)
		go func() { got <- s.decide(t.Context(), &kgo.Record{}, &record.Record{Topic: "in"}) }()
		time.Sleep(10 * time.Second)
		if st := s.status(); st.Dispatch.Unavailable.Cause == nil {
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

// TestAHoldTellsSinceWhenItsReasonHolds, with the kind of that reason, and since when it is one.
func TestAHoldTellsSinceWhenItsReasonHolds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _, _ := shared(t, &handler{}, func(*settings.Delivery) {})
		refused := func(status string) error {
			return &record.Refusal{Reason: record.BadCredentials, Err: errors.New(status)}
		}
		const began = "component echo takes no calls since 2000-01-01T00:00:01Z, 0 records wait: "
		for _, step := range []struct {
			cause error
			kind  status.ProblemKind
			text  string
		}{
			{errors.New("503"), status.ProblemUnavailable, began + "503"},
			{errors.New("503"), status.ProblemUnavailable, began + "503"},
			{errors.New("404"), status.ProblemUnavailable, began + "404 (for this reason since 2000-01-01T00:00:03Z)"},
			{refused("401"), status.ProblemCredentials, "credentials are refused since 2000-01-01T00:00:04Z, 0 records wait: 401 (no calls are taken since 2000-01-01T00:00:01Z)"},
			{refused("401 again"), status.ProblemCredentials, "credentials are refused since 2000-01-01T00:00:04Z, 0 records wait: 401 again (no calls are taken since 2000-01-01T00:00:01Z)"},
			{nil, "", ""},
			{refused("401"), status.ProblemCredentials, "credentials are refused since 2000-01-01T00:00:07Z, 0 records wait: 401"},
		} {
			time.Sleep(time.Second)
			s.setUnavailable(step.cause)
			var want status.Problems
			if step.cause != nil {
				want = status.Problems{{Kind: step.kind, Text: step.text}}
			}
			if got := s.status().Problems; !slices.Equal(got, want) {
				t.Errorf("after %v: %q, want %q", step.cause, got, want)
			}
		}
	})
}

func TestAShareGroupTellsOfAComponentThatFailsOnEveryCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &handler{do: func(context.Context, *record.Record) (record.Kind, error) {
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
		h := &handler{do: func(ctx context.Context, _ *record.Record) (record.Kind, error) {
			<-ctx.Done()
			return record.Unanswered, ctx.Err()
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
		} else {
			testkit.InRunbook(t, "The component fails", st.Problems.String())
		}
		if got := <-done; got != kgo.AckRelease {
			t.Errorf("the broker is told %v", got)
		}
	})
}

// TestAShareGroupHoldsARecordUntilItsOutputsAreStored: giving it back would count a delivery, and bring it to its end.
func TestAShareGroupHoldsARecordUntilItsOutputsAreStored(t *testing.T) {
	start := func(t *testing.T, s *shareSession) (stop func(), got chan kgo.AckStatus) {
		soft, stop := context.WithCancel(t.Context())
		got = make(chan kgo.AckStatus, 1)
		go func() { got <- s.decide(soft, &kgo.Record{}, &record.Record{Topic: "in"}) }()
		return stop, got
	}
	process := func(t *testing.T, produce func() error) (*shareSession, *doubler, *counts) {
		d := &doubler{name: "a"}
		s, c, _ := shared(t, nil, func(d *settings.Delivery) { d.MaxAttempts = 1 })
		s.cfg.Receiver, s.cfg.Batches = d, true
		s.cfg.Outputs = &dispatch.Outputs{
			Prepare: func(to []record.Outgoing, out record.Outgoing) ([]record.Outgoing, error) {
				return append(to, out), nil
			},
			Produce: func(_ context.Context, outputs []record.Outgoing) error {
				if len(outputs) != 2 {
					t.Errorf("%d outputs are produced", len(outputs))
				}
				return produce()
			},
		}
		s.readyCalls(t.Context())
		t.Cleanup(s.giveUp)
		return s, d, c
	}
	t.Run("Kafka comes back", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			var away atomic.Bool
			away.Store(true)
			s, d, c := process(t, func() error {
				if away.Load() {
					return errors.New("no broker")
				}
				return nil
			})
			_, got := start(t, s)
			time.Sleep(10 * time.Minute)
			if st := s.status(); !strings.Contains(st.Problems.String(), "outputs cannot be produced: no broker") {
				t.Errorf("problems: %s", st.Problems)
			}
			away.Store(false)
			if status := <-got; status != kgo.AckAccept {
				t.Errorf("the broker is told %v", status)
			}
			if d.calls != 1 || c.done.Load() != 1 || c.failed.Load() != 0 || c.buried.Load()+c.skipped.Load() != 0 {
				t.Errorf("%d calls, counts %+v", d.calls, c)
			}
			if st := s.status(); st.Dispatch.Outputs != nil {
				t.Errorf("problems: %s", st.Problems)
			}
		})
	})
	t.Run("the component makes others", func(t *testing.T) {
		for name, then := range map[string]record.Outcome{
			"": {Kind: record.Done}, "and rejects its record": {Kind: record.Reject, Err: errors.New("no")},
			"and wants it again": {Kind: record.Retry, Err: errors.New("not yet")},
		} {
			synctest.Test(t, func(t *testing.T) {
				s, d, c := process(t, func() error {
					return &produce.Error{Class: produce.ClassUnknownTopic, Topic: "out", Text: "it does not exist"}
				})
				s.cfg.Settings.Delivery.MaxAttempts = 0
				_, got := start(t, s)
				time.Sleep(10 * time.Minute)
				problems := s.status().Problems
				if len(problems) != 1 || problems[0].Kind != status.ProblemOutputs || problems[0].Text !=
					"outputs cannot be produced: publishing to out: it does not exist (in/0, offset 0)" {
					t.Errorf("%s: problems: %s", name, problems)
				}
				d.mu.Lock()
				before := d.calls
				d.outcome = func(_ *record.Record, o *record.Outcome) { *o = then }
				d.mu.Unlock()
				want := map[record.Kind]kgo.AckStatus{record.Done: kgo.AckAccept, record.Reject: kgo.AckReject, record.Retry: kgo.AckRelease}[then.Kind]
				if status := <-got; status != want {
					t.Errorf("%s: the broker is told %v", name, status)
				}
				if before < 20 || before > 1000 || c.buried.Load() != 0 {
					t.Errorf("%s: %d calls, counts %+v", name, before, c)
				}
				if st := s.status(); len(st.Problems) > 0 {
					t.Errorf("%s: problems: %s", name, st.Problems)
				}
			})
		}
	})
	t.Run("the link is stopped", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s, _, _ := process(t, func() error { return errors.New("no broker") })
			stop, got := start(t, s)
			time.Sleep(time.Minute)
			stop()
			synctest.Wait()
			select {
			case status := <-got:
				if status != kgo.AckRelease {
					t.Errorf("the broker is told %v", status)
				}
			default:
				t.Error("a stop waits for Kafka")
			}
		})
	})
}

func TestAShareGroupWaitsAsLongAsItIsTold(t *testing.T) {
	for kind, want := range map[record.Kind]kgo.AckStatus{record.Retry: kgo.AckRelease, record.Unanswered: kgo.AckRelease, record.Unavailable: kgo.AckAccept} {
		t.Run(kind.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				s, _, _ := shared(t, nil, func(*settings.Delivery) {})
				s.cfg.Receiver = receive(func() record.Outcome {
					if time.Since(began) > time.Second {
						return record.Outcome{Kind: record.Done}
					}
					return record.Outcome{Kind: kind, Err: errors.New("busy"), After: 90 * time.Second}
				})
				s.readyCalls(t.Context())
				t.Cleanup(s.giveUp)
				if got := s.decide(t.Context(), &kgo.Record{}, &record.Record{Topic: "in"}); got != want {
					t.Errorf("the broker is told %v, want %v", got, want)
				}
				if took := time.Since(began); took != 90*time.Second {
					t.Errorf("it waited for %s", took)
				}
			})
		})
	}
}

// receive is a receiver that says the same of every record.
type receive func() record.Outcome

func (f receive) Receive(_ context.Context, batch []*record.Record) []record.Outcome {
	return record.Each(len(batch), f())
}
