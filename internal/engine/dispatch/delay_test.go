package dispatch

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/messaging-kafka/messaging-kafka/internal/observe/status"
	"github.com/messaging-kafka/messaging-kafka/internal/record"
	"github.com/messaging-kafka/messaging-kafka/internal/settings"
)

var errStoreAway = errors.New("broker away")

// shelf plays the retry topics: it stores what is moved, after it has refused that a few times.
type shelf struct {
	refuse int
	stored []record.Outgoing
}

func (s *shelf) into(cfg *Config, delays ...time.Duration) {
	for _, delay := range delays {
		cfg.Delivery.RetryTopics = append(cfg.Delivery.RetryTopics, settings.RetryTopic{Topic: "retry-" + settings.DelayName(delay), Delay: delay})
	}
	cfg.MakeRetry = func(r *record.Record, to *settings.RetryTopic, attempts int, cause error) record.Outgoing {
		return record.Outgoing{Topic: to.Topic, Key: r.Key, Value: fmt.Appendf(nil, "%d failed %d times: %v", r.Offset, attempts, cause)}
	}
	cfg.Send = func(ctx context.Context, records ...record.Outgoing) []record.Result {
		results := make([]record.Result, len(records))
		for i := range records {
			switch {
			case ctx.Err() != nil:
				results[i].Err = ctx.Err()
			case s.refuse > 0:
				s.refuse--
				results[i].Err = errStoreAway
			default:
				s.stored = append(s.stored, records[i])
			}
		}
		return results
	}
}

// shelved is a config with a retry topic, whose shelf refuses the first records, of a component that fails all.
func shelved(refuse int) (Config, *counts, *script, *shelf) {
	s := &script{handle: func(context.Context, *record.Record) (record.Kind, error) {
		return record.Retry, errors.New("no")
	}}
	cfg, c := config(s)
	sh := &shelf{refuse: refuse}
	sh.into(&cfg, time.Second)
	return cfg, c, s, sh
}

func (s *shelf) texts() (list []string) {
	for i := range s.stored {
		list = append(list, fmt.Sprintf("%s: %s", s.stored[i].Topic, s.stored[i].Value))
	}
	return list
}

func TestARecordThatFailsMakesRoomForThoseOfItsKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{handle: func(_ context.Context, r *record.Record) (record.Kind, error) {
			if r.Offset%2 == 0 {
				return record.Retry, errors.New("no")
			}
			return record.Done, nil
		}}
		cfg, c := config(s)
		cfg.Delivery.MaxAttempts = 3
		sh := &shelf{}
		sh.into(&cfg, time.Second, time.Minute)
		d := New(cfg)
		p := d.Open("t", 0, 0)
		p.Add(keyed(4, "k"), first)
		synctest.Wait()
		if got := s.called(); !slices.Equal(got, []string{"k:0", "k:1", "k:2", "k:3"}) {
			t.Errorf("called %v", got)
		}
		if got := sh.texts(); !slices.Equal(got, []string{"retry-1s: 0 failed 1 times: no", "retry-1s: 2 failed 1 times: no"}) {
			t.Errorf("stored %q", got)
		}
		mustCommit(t, p, 4)
		if !slices.Equal(c.delayed, []time.Duration{time.Second, time.Second}) || c.letters+c.skipped > 0 {
			t.Errorf("counted %v, given up %d", c.delayed, c.letters+c.skipped)
		}
		d.Close(t.Context())
	})
}

func TestARecordGoesFromOneRetryTopicToTheNextAndIsGivenUpThen(t *testing.T) {
	for name, c := range map[string]struct {
		attempts, limit int // before it comes, and in all
		want            string
	}{
		"the first time":               {0, 3, "retry-1s: 7 failed 1 times: no"},
		"the second time":              {1, 3, "retry-1m: 7 failed 2 times: no"},
		"the last time":                {2, 3, "dead: 7 of 3"},
		"the last topic is used again": {5, 9, "retry-1m: 7 failed 6 times: no"},
		"without end":                  {100, 0, "retry-1m: 7 failed 101 times: no"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var seen []int
				s := &script{handle: func(_ context.Context, r *record.Record) (record.Kind, error) {
					seen = append(seen, r.Attempt)
					return record.Retry, errors.New("no")
				}}
				cfg, _ := config(s)
				cfg.Delivery.MaxAttempts = c.limit
				sh := &shelf{}
				sh.into(&cfg, time.Second, time.Minute)
				cfg.DeadLetter = func(_ context.Context, r *record.Record, attempts int, _ error) error {
					sh.stored = append(sh.stored, record.Outgoing{Topic: "dead", Value: fmt.Appendf(nil, "%d of %d", r.Offset, attempts)})
					return nil
				}
				d := New(cfg)
				p := d.Open("retry", 0, 7)
				p.Add([]*record.Record{{Topic: "retry", Offset: 7}}, func(*record.Record) History { return History{Attempts: c.attempts} })
				synctest.Wait()
				if got := sh.texts(); !slices.Equal(got, []string{c.want}) {
					t.Errorf("stored %q", got)
				}
				if !slices.Equal(seen, []int{c.attempts + 1}) {
					t.Errorf("delivered as %v", seen)
				}
				mustCommit(t, p, 8)
				d.Close(t.Context())
			})
		})
	}
}

// A receiver that says when it wants a record again is not asked before, as far as there is a topic for that.
func TestARecordWaitsAsLongAsItsReceiverSays(t *testing.T) {
	topics := []settings.RetryTopic{{Topic: "a", Delay: time.Second}, {Topic: "b", Delay: time.Minute}, {Topic: "c", Delay: time.Hour}}
	for _, c := range []struct {
		failures int
		after    time.Duration
		want     string
	}{{1, 0, "a"}, {2, 0, "b"}, {3, 0, "c"}, {4, 0, "c"}, {1, 2 * time.Second, "b"}, {1, 2 * time.Hour, "c"}, {2, time.Second, "b"}, {0, 0, "a"}} {
		if got := retryTopic(topics, c.failures, c.after).Topic; got != c.want {
			t.Errorf("after %d failures and %s: %s", c.failures, c.after, got)
		}
	}
}

func TestARejectedRecordWaitsInNoRetryTopic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{handle: func(context.Context, *record.Record) (record.Kind, error) { return record.Reject, errors.New("never") }}
		cfg, c := config(s)
		sh := &shelf{}
		sh.into(&cfg, time.Second)
		d := New(cfg)
		p := d.Open("t", 0, 0)
		p.Add(keyed(1, "k"), first)
		synctest.Wait()
		if len(sh.stored) > 0 || c.skipped != 1 {
			t.Errorf("stored %q, skipped %d", sh.texts(), c.skipped)
		}
		mustCommit(t, p, 1)
		d.Close(t.Context())
	})
}

func TestARecordWhoseRetryTopicCannotBeWrittenWaitsAndSaysSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg, _, _, sh := shelved(3)
		d := New(cfg)
		p := d.Open("t", 0, 0)
		p.Add(keyed(2, "k"), first)
		synctest.Wait()
		mustCommit(t, p, -1)
		if err := d.Status().RetryTopic; !errors.Is(err, errStoreAway) {
			t.Errorf("status says %v", err)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		mustCommit(t, p, 2)
		if err := d.Status().RetryTopic; err != nil {
			t.Errorf("status still says %v", err)
		}
		if got := len(sh.stored); got != 2 {
			t.Errorf("stored %q", sh.texts())
		}
		d.Close(t.Context())
	})
}

// Of many records that fail together, those that could not be stored are stored again, and no others.
func TestWhatFailsTogetherIsStoredTogetherAndOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg, c, _, sh := shelved(4)
		cfg.Batches, cfg.Delivery.Batch = true, settings.Batch{MaxRecords: 10, MaxBytes: 1 << 20}
		d := New(cfg)
		p := d.Open("t", 0, 0)
		p.Add(keyed(10, "a", "b", "c"), first)
		time.Sleep(time.Minute)
		synctest.Wait()
		mustCommit(t, p, 10)
		got := sh.texts()
		slices.Sort(got)
		if len(slices.Compact(got)) != 10 || len(sh.stored) != 10 || len(c.delayed) != 10 {
			t.Errorf("stored %q, counted %v", sh.texts(), c.delayed)
		}
		d.Close(t.Context())
	})
}

func TestAStopLeavesWhatCouldNotBeStored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg, _, s, _ := shelved(1 << 30)
		d := New(cfg)
		p := d.Open("t", 0, 0)
		p.Add(keyed(3, "k"), first)
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		d.Close(ctx)
		mustCommit(t, p, -1)
		if got := s.called(); !slices.Equal(got, []string{"k:0"}) {
			t.Errorf("called %v", got)
		}
	})
}

func TestWithTransactionsTheMoveIsAnOutputOfTheRecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg, c, _, sh := shelved(0)
		cfg.Transactional, cfg.Delivery.MaxBuffer = true, 1<<20
		d := New(cfg)
		p := d.Open("t", 0, 0)
		p.Add(keyed(2, "k"), first)
		synctest.Wait()
		f, ok := p.TakeFinished()
		if !ok || f.Offset != 2 || len(f.AppendOutputs(nil)) != 2 || f.AppendOutputs(nil)[0].Topic != "retry-1s" || len(sh.stored) > 0 {
			t.Errorf("finished %+v, stored %q", f, sh.texts())
		}
		if len(c.delayed) > 0 {
			t.Errorf("counted %v before the commit", c.delayed)
		}
		f.Committed()
		if len(c.delayed) != 2 {
			t.Errorf("counted %v", c.delayed)
		}
		d.Close(t.Context())
	})
}

// later has records come due so long after the beginning as their values say.
func later(from time.Time) func(*record.Record) History {
	return func(r *record.Record) History {
		wait, _ := time.ParseDuration(string(r.Value))
		return History{Due: from.Add(wait)}
	}
}

func TestARecordIsCalledWhenItsTimeComes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		var mu sync.Mutex // two lanes call at once
		var at []string
		s := &script{handle: func(_ context.Context, r *record.Record) (record.Kind, error) {
			mu.Lock()
			defer mu.Unlock()
			at = append(at, fmt.Sprintf("%s at %s", r.Value, time.Since(began)))
			return record.Done, nil
		}}
		var progress atomic.Int64
		cfg, _ := config(s)
		cfg.Progress = func() { progress.Add(1) }
		d := New(cfg)
		p := d.Open("t", 0, 0)
		rs := keyed(5, "a", "b")
		for i, wait := range []string{"-1s", "2s", "1s", "3s", "3s"} {
			rs[i].Value = []byte(wait)
		}
		p.Add(rs, later(began))
		synctest.Wait()
		if l := p.Load(); l.Parked != 4 || l.Span != 4 || l.Bytes == 0 {
			t.Errorf("load %+v", l)
		}
		if st := d.Status(); st.Waiting != 0 {
			t.Errorf("%d wait for a call", st.Waiting)
		}
		mustCommit(t, p, 1)
		before := progress.Load()
		time.Sleep(2500 * time.Millisecond)
		synctest.Wait()
		if progress.Load() == before || p.Load().Parked != 2 {
			t.Errorf("progress was told %d times, load %+v", progress.Load()-before, p.Load())
		}
		time.Sleep(time.Second)
		synctest.Wait()
		// Those behind one that waits longer come with it.
		slices.Sort(at[1:])
		if want := []string{"-1s at 0s", "1s at 2s", "2s at 2s", "3s at 3s", "3s at 3s"}; !reflect.DeepEqual(at, want) {
			t.Errorf("called %q", at)
		}
		mustCommit(t, p, 5)
		if l := p.Load(); l != (Load{}) {
			t.Errorf("load %+v", l)
		}
		d.Close(t.Context())
	})
}

// What waits for its time says nothing of a copy that is behind: neither does its age.
func TestARecordIsOldWhenItsTimeHasCome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{handle: func(ctx context.Context, r *record.Record) (record.Kind, error) {
			<-ctx.Done()
			return record.Unanswered, ctx.Err()
		}}
		cfg, _ := config(s)
		cfg.Delivery.HandleTimeout = time.Hour
		d := New(cfg)
		p := d.Open("t", 0, 0)
		rs := keyed(1, "a")
		rs[0].Value, rs[0].Timestamp = []byte("1m"), time.Now()
		p.Add(rs, later(time.Now()))
		age := func() (oldest, lag float64) {
			var to status.Partition
			now := time.Now()
			waits := p.Describe(&to, now)
			return to.OldestUnfinishedSeconds, max(0, now.Sub(waits).Seconds())
		}
		time.Sleep(50 * time.Second)
		if oldest, lag := age(); oldest != 0 || lag != 0 {
			t.Errorf("after 50 s it is %v s old, %v s late", oldest, lag)
		}
		time.Sleep(20 * time.Second)
		if oldest, lag := age(); oldest != 10 || lag != 10 {
			t.Errorf("after 70 s it is %v s old, %v s late", oldest, lag)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		d.Close(ctx)
	})
}

func TestTheEndOfAPartitionForgetsWhatWaitsForItsTime(t *testing.T) {
	for name, end := range map[string]func(*Dispatcher, *Partition, context.Context){
		"closed":    func(d *Dispatcher, _ *Partition, ctx context.Context) { d.Close(ctx) },
		"abandoned": func(_ *Dispatcher, p *Partition, _ context.Context) { p.Abandon() },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &script{handle: func(context.Context, *record.Record) (record.Kind, error) { return record.Done, nil }}
				cfg, _ := config(s)
				d := New(cfg)
				p := d.Open("t", 0, 0)
				rs := keyed(3, "a")
				for i, wait := range []string{"-1s", "1s", "2s"} {
					rs[i].Value = []byte(wait)
				}
				p.Add(rs, later(time.Now()))
				synctest.Wait()
				end(d, p, t.Context())
				time.Sleep(time.Minute)
				synctest.Wait()
				if got := strings.Join(s.called(), " "); got != "a:0" {
					t.Errorf("called %s", got)
				}
				if d.Buffered() != 0 {
					t.Errorf("%d bytes are left", d.Buffered())
				}
				d.Close(t.Context())
			})
		})
	}
}

// What is told of a record that comes from a retry topic is told of it as of the record that it was: a filter that
// keeps it from its component asks for that place, and seek sets none in retry topics.
func TestARecordFromARetryTopicIsToldOfByItsFirstPlace(t *testing.T) {
	came := func(r *record.Record) History {
		return History{Attempts: 1, Due: time.Unix(1, 0), As: &record.Record{Topic: "orders", Partition: 3, Offset: 42, Key: r.Key}}
	}
	run := func(t *testing.T, outcome record.Outcome, check func(*Dispatcher, *Partition, string)) {
		synctest.Test(t, func(t *testing.T) {
			s := &batchScript{handle: func(context.Context, []*record.Record) []record.Outcome { return []record.Outcome{outcome} }}
			cfg, _ := batchConfig(s)
			cfg.Delivery.OnReject = settings.RejectStop
			cfg.Outputs.Produce = func(context.Context, []record.Outgoing) error { return errStoreAway }
			var log strings.Builder
			cfg.Log = slog.New(slog.NewTextHandler(&log, nil))
			d := New(cfg)
			p := d.Open("retry", 1, 0)
			p.Add([]*record.Record{{Topic: "retry", Partition: 1}}, came)
			synctest.Wait()
			check(d, p, log.String())
			d.Close(t.Context())
		})
	}
	const place = "topic=orders partition=3 offset=42"
	t.Run("rejected", func(t *testing.T) {
		run(t, record.Outcome{Kind: record.Reject, Err: errors.New("bad")}, func(_ *Dispatcher, p *Partition, log string) {
			if held := fmt.Sprint(p.Held()); held != "offset 0, which came from orders/3, offset 42, was rejected: bad" {
				t.Errorf("held: %s", held)
			}
			if !strings.Contains(log, place+" retry_topic=retry") {
				t.Error(log)
			}
		})
	})
	t.Run("its outputs cannot be stored", func(t *testing.T) {
		run(t, record.Outcome{Kind: record.Done, Outputs: []record.Outgoing{{Topic: "out"}}}, func(d *Dispatcher, _ *Partition, log string) {
			if outputs := d.Status().Outputs.String(); outputs != "broker away (orders/3, offset 42)" {
				t.Errorf("status: %s", outputs)
			}
			if !strings.Contains(log, place) {
				t.Error(log)
			}
		})
	})
}
