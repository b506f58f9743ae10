package dispatch

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/messaging-kafka/messaging-kafka/internal/record"
)

func TestJudge(t *testing.T) {
	kinds := []record.Kind{record.Done, record.Skipped, record.Retry, record.Reject, record.Unavailable, record.Unanswered}
	if len(kinds) != record.Kinds {
		t.Fatalf("%d of %d kinds are judged", len(kinds), record.Kinds)
	}
	for _, c := range []struct {
		name string
		in   Circumstances
		want []Decision // for kinds
	}{
		{"the first delivery", Circumstances{Attempt: 1, Limit: 3}, []Decision{Finish, Finish, Retry, GiveUp, Wait, Retry}},
		{"the last attempt", Circumstances{Attempt: 3, Limit: 3}, []Decision{Finish, Finish, GiveUp, GiveUp, Wait, GiveUp}},
		{"more deliveries than attempts", Circumstances{Attempt: 4, Limit: 3}, []Decision{Finish, Finish, GiveUp, GiveUp, Wait, GiveUp}},
		{"without a limit", Circumstances{Attempt: 1000}, []Decision{Finish, Finish, Retry, GiveUp, Wait, Retry}},
		{"with others", Circumstances{Attempt: 1, Limit: 1, Many: true}, []Decision{Finish, Finish, GiveUp, GiveUp, Wait, RetryAlone}},
		{"while it is stopped", Circumstances{Attempt: 3, Limit: 3, Stopping: true}, []Decision{Finish, Finish, Leave, GiveUp, Leave, Leave}},
		{"when calls were given up", Circumstances{Attempt: 3, Limit: 3, Stopping: true, GivenUp: true}, []Decision{Finish, Finish, Leave, Leave, Leave, Leave}},
		{"when the calls of one partition were", Circumstances{Attempt: 1, GivenUp: true, Many: true}, []Decision{Finish, Finish, Leave, Leave, Leave, Leave}},
	} {
		for i, kind := range kinds {
			if got := Judge(kind, c.in); got != c.want[i] {
				t.Errorf("%s, %s: decision %d, want %d", c.name, kind, got, c.want[i])
			}
		}
	}
	for d, want := range map[Decision]bool{Finish: false, GiveUp: true, Retry: true, RetryAlone: false, Wait: false, Leave: false} {
		if d.Counts() != want {
			t.Errorf("decision %d counts: %t", d, d.Counts())
		}
	}
}

// receive is a component as a function of the batch.
type receive func(ctx context.Context, batch []*record.Record) []record.Outcome

func (f receive) Receive(ctx context.Context, batch []*record.Record) []record.Outcome {
	return f(ctx, batch)
}

func TestTheNextDeliveryWaitsAsLongAsItIsTold(t *testing.T) {
	for kind, base := range map[record.Kind]time.Duration{record.Retry: 100 * time.Millisecond, record.Unanswered: 100 * time.Millisecond, record.Unavailable: probing.First} {
		for after, want := range map[time.Duration][2]time.Duration{
			0:                {base / 2, base},
			time.Millisecond: {base / 2, base}, // the back-off is longer
			90 * time.Second: {90 * time.Second, 90 * time.Second},
			24 * time.Hour:   {maxAfter, maxAfter},
			-time.Second:     {base / 2, base},
		} {
			t.Run(fmt.Sprint(kind, " after ", after), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					var calls []time.Time
					cfg, c := config(nil)
					cfg.Receiver = receive(func(_ context.Context, batch []*record.Record) []record.Outcome {
						if calls = append(calls, time.Now()); len(calls) > 1 {
							return record.Each(len(batch), record.Outcome{Kind: record.Done})
						}
						return record.Each(len(batch), record.Outcome{Kind: kind, Err: errors.New("busy"), After: after})
					})
					d := New(cfg)
					p := d.Open("t", 0, 0)
					p.Add(keyed(1), first)
					time.Sleep(25 * time.Hour)
					synctest.Wait()
					mustCommit(t, p, 1)
					if waited := calls[1].Sub(calls[0]); waited < want[0] || waited > want[1] {
						t.Errorf("it waited for %s, want %s to %s", waited, want[0], want[1])
					}
					if c.outcomes[kind] != 1 || c.outcomes[record.Done] != 1 {
						t.Errorf("outcomes %v", c.outcomes)
					}
					d.Close(t.Context())
				})
			})
		}
	}
}

// TestAProbeDoesNotComeBeforeItsTime: whichever of the calls that were under way said when.
func TestAProbeDoesNotComeBeforeItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		var mu sync.Mutex
		var later []time.Duration
		cfg, _ := config(nil)
		cfg.Receiver = receive(func(_ context.Context, batch []*record.Record) []record.Outcome {
			at := time.Since(began)
			if at > 0 {
				mu.Lock()
				later = append(later, at)
				mu.Unlock()
			}
			o := record.Outcome{Kind: record.Unavailable, Err: errors.New("busy")}
			switch key := string(batch[0].Key); {
			case at > time.Minute:
				o = record.Outcome{Kind: record.Done}
			case key == "slow":
				time.Sleep(20 * time.Millisecond) // the gate is closed by then, and its timer runs
				o.After = time.Minute
			}
			return record.Each(len(batch), o)
		})
		d := New(cfg)
		p := d.Open("t", 0, 0)
		p.Add(keyed(4, "slow", "a", "b", "c"), first)
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		mu.Lock()
		defer mu.Unlock()
		if len(later) == 0 || later[0] != time.Minute+20*time.Millisecond {
			t.Errorf("calls at %v", later)
		}
		mustCommit(t, p, 4)
		d.Close(t.Context())
	})
}

// TestAnotherNumberOfOutcomesIsNoAnswer: neither too few nor too many say which record is which.
func TestAnotherNumberOfOutcomesIsNoAnswer(t *testing.T) {
	for name, number := range map[string]func(records int) int{
		"none": func(int) int { return 0 }, "one too few": func(n int) int { return n - 1 }, "one too many": func(n int) int { return n + 1 },
	} {
		for _, many := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, batches %t", name, many), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					var sizes []int
					wrong := receive(func(_ context.Context, batch []*record.Record) []record.Outcome {
						sizes = append(sizes, len(batch))
						return record.Each(number(len(batch)), record.Outcome{Kind: record.Done, Outputs: []record.Outgoing{{Topic: "out"}}})
					})
					cfg, c := config(nil)
					if many {
						cfg, c = batchConfig(nil)
					}
					cfg.Receiver = wrong
					cfg.Delivery.MaxAttempts, cfg.Delivery.MaxInFlight = 2, 1
					var causes []string
					cfg.DeadLetter = func(_ context.Context, r *record.Record, attempts int, cause error) error {
						causes = append(causes, fmt.Sprintf("%d: %v", attempts, cause))
						return nil
					}
					cfg.Outputs.Produce = func(context.Context, []record.Outgoing) error {
						t.Error("outputs were produced")
						return nil
					}
					d := New(cfg)
					p := d.Open("t", 0, 0)
					p.Add(keyed(3, "a", "b", "c"), first)
					time.Sleep(time.Hour)
					synctest.Wait()
					mustCommit(t, p, 3)
					want := []int{1, 1, 1, 1, 1, 1}
					if many {
						want = slices.Concat([]int{3}, want) // the call with all of them is nobody's attempt
					}
					if !slices.Equal(sizes, want) {
						t.Errorf("calls of %v records, want %v", sizes, want)
					}
					text := fmt.Sprintf("2: there are %d results for a batch of 1 records", number(1))
					if len(causes) != 3 || slices.ContainsFunc(causes, func(cause string) bool { return cause != text }) {
						t.Errorf("dead letters for %s", strings.Join(causes, ", "))
					}
					if c.outcomes[record.Unanswered] != len(want)+2*(len(want)-6) || c.outcomes[record.Done] != 0 {
						t.Errorf("outcomes %v", c.outcomes)
					}
					d.Close(t.Context())
				})
			})
		}
	}
}

// TestOutcomesStayAsTheReceiverGaveThem: it may give the same ones again and again.
func TestOutcomesStayAsTheReceiverGaveThem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ended := fmt.Errorf("calling: %w", context.DeadlineExceeded)
		given := record.Each(1, record.Outcome{Kind: record.Unanswered, Err: ended})
		cfg, _ := config(nil)
		cfg.Receiver = receive(func(ctx context.Context, _ []*record.Record) []record.Outcome {
			<-ctx.Done()
			return given
		})
		cfg.Delivery.MaxAttempts = 1
		var cause error
		cfg.DeadLetter = func(_ context.Context, _ *record.Record, _ int, why error) error { cause = why; return nil }
		d := New(cfg)
		p := d.Open("t", 0, 0)
		p.Add(keyed(1), first)
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if cause == nil || !strings.Contains(cause.Error(), "handle_timeout (1m0s)") {
			t.Errorf("the dead letter says %v", cause)
		}
		if given[0].Kind != record.Unanswered || !errors.Is(given[0].Err, ended) {
			t.Errorf("the outcome is now %+v", given[0])
		}
		d.Close(t.Context())
	})
}

// TestALetterThatIsWrittenSaysNothingOfTheOthers: each that waits is told until it is written or its time is over.
func TestALetterThatIsWrittenSaysNothingOfTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg, c := config(nil)
		cfg.Delivery.RetryBackoffMax = time.Second
		var away sync.Map // by offset
		l := DeadLetters{Delivery: &cfg.Delivery, Observer: c}
		l.Store = func(_ context.Context, r *record.Record, _ int, _ error) error {
			if _, is := away.Load(r.Offset); is {
				return fmt.Errorf("no leader for %d", r.Offset)
			}
			return nil
		}
		ctx, cancel := context.WithCancel(t.Context())
		written := make(map[int64]chan bool)
		for offset := range int64(3) {
			away.Store(offset, true)
			done := make(chan bool, 1)
			written[offset] = done
			go func() { done <- l.Write(ctx, &record.Record{Offset: offset}, 1, errors.New("no"), cfg.Log) }()
		}
		time.Sleep(time.Minute)
		away.Delete(int64(0))
		if !<-written[0] || l.Err() == nil {
			t.Errorf("when one is written of three: %v", l.Err())
		}
		time.Sleep(time.Minute)
		away.Delete(int64(2))
		if !<-written[2] || l.Err() == nil {
			t.Errorf("when two are written of three: %v", l.Err())
		}
		cancel()
		if <-written[1] || l.Err() != nil {
			t.Errorf("when none waits: %v", l.Err())
		}
		if c.letters != 2 || c.skipped != 0 {
			t.Errorf("counts %+v", c)
		}
	})
}
