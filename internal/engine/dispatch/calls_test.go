package dispatch

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/messaging-kafka/messaging-kafka/internal/record"
	"github.com/messaging-kafka/messaging-kafka/internal/settings"
)

func TestAComponentThatFailsOnEveryCallIsToldOf(t *testing.T) {
	failures := map[string]func(context.Context, *record.Record) (record.Kind, error){
		"it returns an error": func(context.Context, *record.Record) (record.Kind, error) {
			return record.Retry, errors.New("no database")
		},
		"it rejects everything": func(context.Context, *record.Record) (record.Kind, error) {
			return record.Reject, errors.New("no database")
		},
		"it hangs": func(ctx context.Context, _ *record.Record) (record.Kind, error) {
			<-ctx.Done()
			return record.Unanswered, fmt.Errorf("calling: %w", ctx.Err())
		},
	}
	for name, fail := range failures {
		for _, batches := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, batches %t", name, batches), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					var mended atomic.Bool
					handle := func(ctx context.Context, r *record.Record) (record.Kind, error) {
						if mended.Load() {
							return record.Done, nil
						}
						return fail(ctx, r)
					}
					cfg, c := config(&script{handle: handle})
					if batches {
						cfg, c = batchConfig(&batchScript{handle: func(ctx context.Context, batch []*record.Record) []record.Outcome {
							outcomes := make([]record.Outcome, len(batch))
							for i, r := range batch {
								outcomes[i].Kind, outcomes[i].Err = handle(ctx, r)
							}
							if ctx.Err() != nil {
								return record.Each(len(batch), record.Outcome{Kind: record.Unanswered, Err: ctx.Err()})
							}
							return outcomes
						}})
					}
					cfg.Delivery.HandleTimeout = 10 * time.Second
					cfg.DeadLetter = func(context.Context, *record.Record, int, error) error { return nil }
					d := New(cfg)
					p := d.Open("t", 3, 0)
					add := func(from int) {
						rs := keyed(from+20, "a", "b", "c")[from:]
						for _, r := range rs {
							r.Partition = 3
						}
						p.Add(rs, first)
					}
					add(0)
					for i := range 40 {
						time.Sleep(time.Second)
						if i == 20 {
							add(20)
						}
					}
					f := d.Status().Failing
					if f == nil {
						t.Fatalf("nothing is told after %v", c.outcomes)
					}
					if f.Calls < 2 || f.Err == nil || f.Topic != "t" || f.Partition != 3 || f.Offset >= 40 || f.Since.IsZero() {
						t.Errorf("told %+v", f)
					}
					if want := map[bool]string{true: "handle_timeout", false: "no database"}[name == "it hangs"]; !strings.Contains(f.Err.Error(), want) {
						t.Errorf("the last error is %v", f.Err)
					}
					mended.Store(true)
					add(40)
					time.Sleep(time.Minute)
					synctest.Wait()
					if f := d.Status().Failing; f != nil {
						t.Errorf("still failing: %+v", f)
					}
					d.Close(t.Context())
				})
			})
		}
	}
}

func TestABadRecordBetweenGoodOnesIsNoFailingComponent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{handle: func(_ context.Context, r *record.Record) (record.Kind, error) {
			if string(r.Key) == "bad" {
				return record.Retry, errors.New("poison")
			}
			return record.Done, nil
		}}
		cfg, _ := config(s)
		cfg.Delivery.RetryBackoffMax = time.Second
		d := New(cfg)
		p := d.Open("t", 0, 0)
		rs := keyed(200, "good")
		rs[0].Key = []byte("bad")
		for i := range rs {
			p.Add(rs[i:i+1], first)
			time.Sleep(time.Second)
			if f := d.Status().Failing; f != nil {
				t.Fatalf("after %d records: %+v", i, f)
			}
		}
		d.Close(t.Context())
	})
}

func TestAFailureIsForgottenWhenNothingIsLeftToDo(t *testing.T) {
	var c Calls
	now := time.Now()
	for range failingCalls {
		c.failed(&CallResult{Failed: &record.Record{}, Err: errors.New("no")}, now, now)
	}
	if c.Failing(now.Add(failingForgotten), false) == nil || c.Failing(now.Add(time.Hour), true) == nil {
		t.Error("it is forgotten too early")
	}
	if c.Failing(now.Add(failingForgotten+1), false) != nil {
		t.Error("it is not forgotten")
	}
}

// One bad record that has had its attempts, or went to another copy, with nothing behind it: half a minute later that
// is no failing component.
func TestABadRecordWithNothingBehindItIsNoFailingComponent(t *testing.T) {
	for _, several := range []bool{false, true} {
		var c Calls
		began := time.Now()
		for i := range failingSome + 1 {
			at, r := began.Add(time.Duration(i)*time.Second), &record.Record{Topic: "t"}
			if several {
				r.Offset = int64(i)
			}
			c.failed(&CallResult{Failed: r, Err: errors.New("no")}, at, at)
		}
		later := began.Add(2 * failingFor)
		if fails := c.Failing(later, false) != nil; fails != several {
			t.Errorf("several records: %t; it has nothing to do, and fails: %t", several, fails)
		}
		if c.Failing(later, true) == nil {
			t.Errorf("several records: %t; records wait, none has gone well for long, and it does not fail", several)
		}
	}
}

func TestCallsThatReachNobodyAreNoFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{handle: func(context.Context, *record.Record) (record.Kind, error) {
			return record.Unavailable, errors.New("nobody")
		}}
		cfg, _ := config(s)
		cfg.Delivery.Order = settings.OrderNone
		d := New(cfg)
		p := d.Open("t", 0, 0)
		p.Add(keyed(50), first)
		time.Sleep(5 * time.Minute)
		if f := d.Status().Failing; f != nil {
			t.Errorf("told %+v", f)
		}
		d.Close(t.Context())
	})
}

func TestTheOldestCallIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		end := map[string]chan struct{}{"a": make(chan struct{}), "b": make(chan struct{}), "c": make(chan struct{})}
		s := &script{handle: func(_ context.Context, r *record.Record) (record.Kind, error) {
			<-end[string(r.Key)]
			return record.Done, nil
		}}
		cfg, _ := config(s)
		cfg.Delivery.HandleTimeout = time.Hour
		d := New(cfg)
		p := d.Open("t", 0, 0)
		began := time.Now()
		rs := keyed(3, "a", "b", "c")
		for i := range rs {
			p.Add(rs[i:i+1], first)
			time.Sleep(time.Minute)
		}
		age := func() time.Duration { return d.Status().OldestCall.Sub(began) }
		if age() != 0 {
			t.Errorf("the first call began %s late", age())
		}
		for key, want := range []time.Duration{0, 2 * time.Minute} {
			close(end[[]string{"b", "a"}[key]])
			synctest.Wait()
			if age() != want {
				t.Errorf("the oldest call began at %s, want %s", age(), want)
			}
		}
		close(end["c"])
		synctest.Wait()
		if !d.Status().OldestCall.IsZero() {
			t.Error("a call is told of that is over")
		}
		d.Close(t.Context())
	})
}

func TestCallsThatHangAreToldOf(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mended atomic.Bool
		s := &script{handle: func(ctx context.Context, r *record.Record) (record.Kind, error) {
			if !mended.Load() && string(r.Key) != "well" {
				<-ctx.Done()
				return record.Unanswered, ctx.Err()
			}
			return record.Done, nil
		}}
		cfg, _ := config(s)
		cfg.Delivery.HandleTimeout = 5 * time.Minute
		d := New(cfg)
		p := d.Open("t", 2, 0)
		rs := keyed(5, "a", "b", "c", "well")
		for _, r := range rs {
			r.Partition = 2
		}
		p.Add(rs[:3], first)
		time.Sleep(failingFor - time.Second)
		if h := d.Status().Hanging; h != nil {
			t.Errorf("told of %+v after %s", h, failingFor-time.Second)
		}
		time.Sleep(45 * time.Second)
		h := d.Status().Hanging
		if h == nil || h.Calls != 3 || h.Topic != "t" || h.Partition != 2 || h.Offset != 0 || time.Since(h.Began) < 74*time.Second {
			t.Errorf("told of %+v", h)
		}
		p.Add(rs[3:4], first)
		synctest.Wait()
		if h := d.Status().Hanging; h != nil {
			t.Errorf("told of %+v, though a call went well", h)
		}
		mended.Store(true)
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if h := d.Status().Hanging; h != nil {
			t.Errorf("told of %+v when all is done", h)
		}
		d.Close(t.Context())
	})
}

func TestTheLastFailureOfAComponentStaysWhenItWorksAgain(t *testing.T) {
	var c Calls
	now := time.Now()
	call := func(result CallResult) {
		var r Running
		c.Begin(&r, &record.Record{}, now)
		c.End(&r, &result, now)
	}
	call(CallResult{Reached: true, Worked: true})
	if c.LastFailure() != nil {
		t.Error("a call that went well is a failure")
	}
	call(CallResult{Reached: true, Failed: &record.Record{Topic: "t", Partition: 3, Offset: 42}, Err: errors.New("no database")})
	// One record of a batch, and then none.
	call(CallResult{Reached: true, Worked: true, Failed: &record.Record{Topic: "t", Partition: 3, Offset: 43}, Err: errors.New("no customer")})
	now = now.Add(time.Minute)
	call(CallResult{Reached: true, Worked: true})
	call(CallResult{GivenUp: true})
	f := c.LastFailure()
	if f == nil || f.Topic != "t" || f.Partition != 3 || f.Offset != 43 || f.Err.Error() != "no customer" ||
		!f.At.Equal(now.Add(-time.Minute)) {
		t.Errorf("the last failure is %+v", f)
	}
}
