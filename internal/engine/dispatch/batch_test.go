package dispatch

import (
	"context"
	"errors"
	"fmt"
	"math/rand"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/messaging-kafka/messaging-kafka/internal/record"
	"github.com/messaging-kafka/messaging-kafka/internal/settings"
)

// batchScript is a component that takes batches.
type batchScript struct {
	handle func(ctx context.Context, batch []*record.Record) []record.Outcome

	mu      sync.Mutex
	batches [][]int64
}

func (s *batchScript) Receive(ctx context.Context, batch []*record.Record) []record.Outcome {
	offsets := make([]int64, len(batch))
	for i, r := range batch {
		offsets[i] = r.Offset
	}
	s.mu.Lock()
	s.batches = append(s.batches, offsets)
	s.mu.Unlock()
	return s.handle(ctx, batch)
}

func (s *batchScript) seen() [][]int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.batches)
}

func batchConfig(s *batchScript) (Config, *counts) {
	cfg, c := config(nil)
	cfg.Delivery.MaxInFlight = 4
	cfg.Receiver, cfg.Batches = s, true
	cfg.Delivery.Batch = settings.Batch{MaxRecords: 500, MaxBytes: 1 << 20, MaxWait: 5 * time.Millisecond}
	return cfg, c
}

// done says ok to every record of a batch.
func done(batch []*record.Record) []record.Outcome {
	outcomes := make([]record.Outcome, len(batch))
	for i := range outcomes {
		outcomes[i].Kind = record.Done
	}
	return outcomes
}

func TestBatchesAreSmallUnderLowLoadAndFullUnderHigh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &batchScript{handle: func(_ context.Context, batch []*record.Record) []record.Outcome {
			time.Sleep(20 * time.Millisecond)
			return done(batch)
		}}
		cfg, _ := batchConfig(s)
		cfg.Delivery.MaxInFlight = 1
		d := New(cfg)
		p := d.Open("t", 0, 0)
		all := keyed(1500)
		p.Add(all[:1], first) // an idle component: at once
		synctest.Wait()
		p.Add(all[1:], first)
		time.Sleep(time.Second)
		synctest.Wait()
		mustCommit(t, p, 1500)
		var sizes []int
		for _, b := range s.seen() {
			sizes = append(sizes, len(b))
		}
		if !slices.Equal(sizes, []int{1, 500, 500, 499}) {
			t.Errorf("batches of %v", sizes)
		}
		d.Close(t.Context())
	})
}

func TestARecordWaitsForItsBatchNoLongerThanMaxWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &batchScript{handle: func(ctx context.Context, batch []*record.Record) []record.Outcome {
			select {
			case <-time.After(time.Hour):
			case <-ctx.Done():
			}
			return done(batch)
		}}
		cfg, _ := batchConfig(s)
		cfg.Delivery.Order = settings.OrderNone
		d := New(cfg)
		p := d.Open("t", 0, 0)
		rs := keyed(3)
		p.Add(rs[:1], first)
		p.Add(rs[1:2], first)
		time.Sleep(3 * time.Millisecond)
		p.Add(rs[2:], first)
		synctest.Wait()
		if n := len(s.seen()); n != 1 {
			t.Errorf("%d batches before the wait was over", n)
		}
		time.Sleep(2 * time.Millisecond)
		synctest.Wait()
		if got := fmt.Sprint(s.seen()); got != "[[0] [1 2]]" {
			t.Errorf("batches %s", got)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		p.Close(ctx)
	})
}

func TestABatchIsBoundedInBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &batchScript{handle: func(_ context.Context, batch []*record.Record) []record.Outcome {
			return done(batch)
		}}
		cfg, _ := batchConfig(s)
		cfg.Delivery.Batch.MaxBytes = 1000
		cfg.Delivery.Batch.MaxWait = 0
		cfg.Delivery.Order = settings.OrderPartition
		d := New(cfg)
		p := d.Open("t", 0, 0)
		rs := keyed(7)
		for i, size := range []int{400, 400, 400, 5000, 10, 990, 1} {
			rs[i].Value = make([]byte, size)
		}
		p.Add(rs, first)
		synctest.Wait()
		if got := fmt.Sprint(s.seen()); got != "[[0 1] [2] [3] [4 5] [6]]" {
			t.Errorf("batches %s", got)
		}
		d.Close(t.Context())
	})
}

func TestWhatIsBehindAFailedRecordOfAKeyComesAgainAfterIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		failed := false
		s := &batchScript{}
		s.handle = func(_ context.Context, batch []*record.Record) []record.Outcome {
			mu.Lock()
			defer mu.Unlock()
			outcomes := done(batch)
			for i, r := range batch {
				switch {
				case r.Offset == 2 && !failed: // key a: 0, 2, 4, 6; key b: 1, 3, 5, 7
					failed = true
					outcomes[i] = record.Outcome{Err: errors.New("not yet")}
				case r.Offset == 3:
					outcomes[i] = record.Outcome{Kind: record.Reject, Err: errors.New("never")}
				}
			}
			return outcomes
		}
		cfg, c := batchConfig(s)
		var dead []int64
		cfg.DeadLetter = func(_ context.Context, r *record.Record, _ int, _ error) error {
			dead = append(dead, r.Offset)
			return nil
		}
		d := New(cfg)
		p := d.Open("t", 0, 0)
		p.Add(keyed(8, "a", "b"), first)
		synctest.Wait()
		mustCommit(t, p, 2)
		time.Sleep(time.Second)
		synctest.Wait()
		mustCommit(t, p, 8)
		if got := fmt.Sprint(s.seen()); got != "[[0 1 2 3 4 5 6 7] [2 4 6]]" {
			t.Errorf("batches %s", got)
		}
		if !slices.Equal(dead, []int64{3}) || c.letters != 1 {
			t.Errorf("dead letters %v, counts %+v", dead, c)
		}
		d.Close(t.Context())
	})
}

func TestOneRecordThatMakesTheComponentTrapSpendsNobodyElsesAttempts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &batchScript{handle: func(_ context.Context, batch []*record.Record) []record.Outcome {
			for _, r := range batch {
				if r.Offset == 5 {
					return record.Each(len(batch), record.Outcome{Kind: record.Unanswered, Err: errors.New("the component trapped")})
				}
				if r.Attempt != 1 {
					t.Errorf("offset %d: attempt %d", r.Offset, r.Attempt)
				}
			}
			return done(batch)
		}}
		cfg, c := batchConfig(s)
		cfg.Delivery.MaxAttempts = 3
		var dead []int64
		cfg.DeadLetter = func(_ context.Context, r *record.Record, attempts int, _ error) error {
			dead = append(dead, r.Offset, int64(attempts))
			return nil
		}
		d := New(cfg)
		p := d.Open("t", 0, 0)
		p.Add(keyed(20, "a", "b", "c"), first)
		time.Sleep(time.Minute)
		synctest.Wait()
		mustCommit(t, p, 20)
		if !slices.Equal(dead, []int64{5, 3}) || c.letters != 1 {
			t.Errorf("dead letters %v", dead)
		}
		d.Close(t.Context())
	})
}

// TestWhatNobodyWasCalledForSaysNothingOfTheComponent: records that settings reject or finish open no gate, are no
// failing component and no part of a batch, and what was called alone beside them has an attempt of its own.
func TestWhatNobodyWasCalledForSaysNothingOfTheComponent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var away atomic.Bool
		away.Store(true)
		trap := map[int64]int{}
		s := &batchScript{handle: func(_ context.Context, batch []*record.Record) []record.Outcome {
			outcomes := make([]record.Outcome, len(batch))
			for i, r := range batch {
				switch {
				case r.Offset%4 == 1:
					outcomes[i] = record.Outcome{Kind: record.Reject, Uncalled: true, Err: errors.New("the settings say so")}
				case r.Offset%4 == 2:
					outcomes[i] = record.Outcome{Kind: record.Skipped, Uncalled: true}
				case away.Load():
					outcomes[i] = record.Outcome{Kind: record.Unavailable, Err: errors.New("nobody")}
				case r.Offset == 0:
					trap[r.Offset] = r.Attempt
					outcomes[i] = record.Outcome{Kind: record.Unanswered, Err: errors.New("the component trapped")}
				default:
					outcomes[i].Kind = record.Done
				}
			}
			return outcomes
		}}
		cfg, c := batchConfig(s)
		cfg.Delivery.MaxAttempts = 2
		letters := 0
		cfg.DeadLetter = func(context.Context, *record.Record, int, error) error {
			letters++
			return nil
		}
		d := New(cfg)
		p := d.Open("t", 0, 0)
		p.Add(keyed(3, "a", "b", "c"), first)
		synctest.Wait()
		since := d.Status().Unavailable.Since
		for range 20 {
			time.Sleep(100 * time.Millisecond)
			synctest.Wait()
			if s := d.Status(); s.Unavailable.Cause == nil || !s.Unavailable.Since.Equal(since) || s.Failing != nil || s.LastFailure != nil {
				t.Fatalf("what nobody was called for says of the component %+v", s)
			}
		}
		if c.outcomes[record.Skipped] != 2 || c.outcomes[record.Reject] != 0 || letters != 1 {
			t.Errorf("outcomes %v, %d letters", c.outcomes, letters)
		}
		c.batched = 0
		away.Store(false)
		time.Sleep(time.Minute)
		synctest.Wait()
		mustCommit(t, p, 3)
		if trap[0] != 2 || letters != 2 || c.batched != 2 {
			t.Errorf("%v attempts, %d letters, %d records in batches", trap, letters, c.batched)
		}
		// In one call: the records that nobody was called for count in no batch, and leave the one beside them alone.
		c.batched = 0
		trapped := 0
		s.handle = func(_ context.Context, batch []*record.Record) []record.Outcome {
			outcomes := record.Each(len(batch), record.Outcome{Kind: record.Skipped, Uncalled: true})
			trapped++
			outcomes[0] = record.Outcome{Kind: record.Unanswered, Err: errors.New("the component trapped")}
			return outcomes
		}
		more := keyed(6, "a", "b", "c")
		p.Add(more[3:], first)
		time.Sleep(time.Minute)
		synctest.Wait()
		mustCommit(t, p, 6)
		if trapped != 2 || c.batched != 2 || letters != 3 {
			t.Errorf("a record that was called alone was called %d times; %d records in batches, %d letters", trapped, c.batched, letters)
		}
		d.Close(t.Context())
	})
}

// TestAFailedBatchCostsEachOfItsRecordsAFewDeliveries: whichever records fail, and however.
func TestAFailedBatchCostsEachOfItsRecordsAFewDeliveries(t *testing.T) {
	const n, attempts = 300, 3
	bad := map[string]func(offset int64) bool{
		"the last":  func(o int64) bool { return o == n-1 },
		"the first": func(o int64) bool { return o == 0 },
		"some":      func(o int64) bool { return o%50 == 17 },
		"all":       func(int64) bool { return true },
	}
	for which, isBad := range bad {
		for how, traps := range map[string]bool{"traps": true, "returns an error": false} {
			for name, lanes := range map[string]struct {
				order settings.Order
				keys  []string
			}{
				"one key":    {settings.OrderKey, []string{"k"}},
				"no key":     {settings.OrderKey, nil},
				"some keys":  {settings.OrderKey, []string{"a", "b", "c", "d", "e", "f", "g"}},
				"partitions": {settings.OrderPartition, []string{"a", "b"}},
				"no order":   {settings.OrderNone, nil},
			} {
				t.Run(which+" "+how+", "+name, func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						s := &batchScript{handle: func(_ context.Context, batch []*record.Record) []record.Outcome {
							outcomes := done(batch)
							for i, r := range batch {
								switch {
								case !isBad(r.Offset):
								case traps:
									return record.Each(len(batch), record.Outcome{Kind: record.Unanswered, Err: errors.New("the component trapped")})
								default:
									outcomes[i] = record.Outcome{Err: errors.New("no")}
								}
							}
							return outcomes
						}}
						cfg, c := batchConfig(s)
						cfg.Delivery.Order, cfg.Delivery.MaxAttempts, cfg.Delivery.MaxInFlight = lanes.order, attempts, 1
						cfg.DeadLetter = func(context.Context, *record.Record, int, error) error { return nil }
						d := New(cfg)
						p := d.Open("t", 0, 0)
						p.Add(keyed(n, lanes.keys...), first)
						time.Sleep(time.Hour)
						synctest.Wait()
						mustCommit(t, p, n)
						times, wrong := map[int64]int{}, 0
						for _, batch := range s.seen() {
							for _, o := range batch {
								times[o]++
							}
						}
						for o := range int64(n) {
							// Once in the call that fails, or twice in calls in which one before it fails; and then by itself.
							most := 2
							if !traps {
								most = maxWasted + 1
							}
							if isBad(o) {
								wrong++
								most += attempts - 1
							}
							if times[o] > most {
								t.Errorf("offset %d was handled %d times", o, times[o])
							}
						}
						if c.letters != wrong {
							t.Errorf("%d dead letters, want %d", c.letters, wrong)
						}
						d.Close(t.Context())
					})
				})
			}
		}
	}
}

func TestAnOutputThatCannotBeProducedHoldsUpNoOtherOfItsBatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &batchScript{handle: func(_ context.Context, batch []*record.Record) []record.Outcome {
			outcomes := done(batch)
			for i, r := range batch {
				outcomes[i].Outputs = []record.Outgoing{{Topic: "out", Value: fmt.Append(nil, r.Offset)}}
			}
			return outcomes
		}}
		stored := map[string]int{}
		cfg, _ := batchConfig(s)
		cfg.Delivery.MaxInFlight = 1
		cfg.Outputs.Produce = func(_ context.Context, outputs []record.Outgoing) (err error) {
			for _, o := range outputs {
				if string(o.Value) == "7" {
					err = errors.New("Kafka does not take it")
					continue
				}
				stored[string(o.Value)]++
			}
			return err
		}
		d := New(cfg)
		p := d.Open("t", 0, 0)
		p.Add(keyed(20, "a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k"), first)
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		mustCommit(t, p, 7)
		for o := range 20 {
			least := 1
			if o == 7 {
				least = 0
			}
			if n := stored[fmt.Sprint(o)]; n > 2 || n < least { // in the batch that failed, and alone
				t.Errorf("the output of %d was stored %d times", o, n)
			}
		}
		d.Close(t.Context())
	})
}

// TestARecordHoldsItsPartitionOnlyWhenAllBeforeItIsStored: otherwise nobody would call the one before it again.
func TestARecordHoldsItsPartitionOnlyWhenAllBeforeItIsStored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &batchScript{handle: func(_ context.Context, batch []*record.Record) []record.Outcome {
			outcomes := done(batch)
			for i, r := range batch {
				if outcomes[i].Outputs = []record.Outgoing{{Topic: "out"}}; r.Offset == 1 {
					outcomes[i] = record.Outcome{Kind: record.Reject, Err: errors.New("never")}
				}
			}
			return outcomes
		}}
		cfg, _ := batchConfig(s)
		cfg.Delivery.OnReject = settings.RejectStop
		var back atomic.Bool
		cfg.Outputs.Produce = func(context.Context, []record.Outgoing) error {
			if back.Load() {
				return nil
			}
			return errors.New("no broker")
		}
		d := New(cfg)
		p := d.Open("t", 0, 0)
		p.Add(keyed(3, "k"), first)
		synctest.Wait()
		if err := p.Held(); err != nil {
			t.Errorf("held by %v", err)
		}
		back.Store(true)
		time.Sleep(time.Minute)
		synctest.Wait()
		mustCommit(t, p, 1)
		if p.Held() == nil {
			t.Error("not held")
		}
		d.Close(t.Context())
	})
}

// TestOutputsOfALinkThatProducesNone: who returns them by mistake brings nobody down, and loses nothing in silence.
func TestOutputsOfALinkThatProducesNone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &batchScript{handle: func(_ context.Context, batch []*record.Record) []record.Outcome {
			return record.Each(len(batch), record.Outcome{Kind: record.Done, Outputs: []record.Outgoing{{Topic: "out"}}})
		}}
		cfg, _ := batchConfig(s)
		cfg.Outputs = nil
		var why string
		cfg.DeadLetter = func(_ context.Context, _ *record.Record, _ int, cause error) error {
			why = cause.Error()
			return nil
		}
		d := New(cfg)
		p := d.Open("t", 0, 0)
		p.Add(keyed(1), first)
		synctest.Wait()
		mustCommit(t, p, 1)
		if !strings.Contains(why, "none are produced") {
			t.Errorf("the dead letter says %q", why)
		}
		d.Close(t.Context())
	})
}

func TestOutputs(t *testing.T) {
	process := func(_ context.Context, batch []*record.Record) []record.Outcome {
		outcomes := done(batch)
		for i, r := range batch {
			outcomes[i].Outputs = []record.Outgoing{{Topic: "out", Value: fmt.Append(nil, r.Offset)}}
		}
		return outcomes
	}
	t.Run("are stored before the offset moves on", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			var mu sync.Mutex
			var stored []string
			away := true
			s := &batchScript{handle: process}
			cfg, _ := batchConfig(s)
			cfg.Outputs.Produce = func(_ context.Context, outputs []record.Outgoing) error {
				mu.Lock()
				defer mu.Unlock()
				if away {
					return errors.New("no broker")
				}
				for _, o := range outputs {
					stored = append(stored, string(o.Value))
				}
				return nil
			}
			d := New(cfg)
			p := d.Open("t", 0, 0)
			p.Add(keyed(4, "a", "b"), first)
			time.Sleep(time.Second)
			synctest.Wait()
			mustCommit(t, p, -1)
			if d.Status().Outputs == nil {
				t.Error("status says nothing of the outputs")
			}
			mu.Lock()
			away = false
			mu.Unlock()
			time.Sleep(time.Minute)
			synctest.Wait()
			mustCommit(t, p, 4)
			if slices.Sort(stored); !slices.Equal(stored, []string{"0", "1", "2", "3"}) || d.Status().Outputs != nil {
				t.Errorf("stored %v, status %v", stored, d.Status().Outputs)
			}
			d.Close(t.Context())
		})
	})
	t.Run("of a transaction are those below the offset and no others", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			release := make(chan struct{})
			s := &batchScript{handle: func(ctx context.Context, batch []*record.Record) []record.Outcome {
				if batch[0].Offset == 1 {
					<-release
				}
				return process(ctx, batch)
			}}
			cfg, _ := batchConfig(s)
			cfg.Transactional, cfg.Delivery.Batch.MaxRecords = true, 1
			d := New(cfg)
			p := d.Open("t", 0, 0)
			p.Add(keyed(3, "a", "b", "c"), first)
			synctest.Wait()
			f, ok := p.TakeFinished()
			if !ok || f.Offset != 1 || len(f.AppendOutputs(nil)) != 1 || string(f.AppendOutputs(nil)[0].Value) != "0" {
				t.Errorf("finished %+v, %v", f, ok)
			}
			close(release)
			synctest.Wait()
			f, _ = p.TakeFinished()
			if f.Offset != 3 || len(f.AppendOutputs(nil)) != 2 || string(f.AppendOutputs(nil)[0].Value) != "1" || string(f.AppendOutputs(nil)[1].Value) != "2" {
				t.Errorf("finished %+v", f)
			}
			if st := d.Status(); st.Buffered != 0 {
				t.Errorf("%d bytes are still held", st.Buffered)
			}
			d.Close(t.Context())
		})
	})
}

// TestNoHistoryOfBatchesBreaksTheRules is the batches' counterpart of TestNoHistoryBreaksTheRules.
func TestNoHistoryOfBatchesBreaksTheRules(t *testing.T) {
	for seed := range int64(30) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				rng := rand.New(rand.NewSource(seed))
				var mu sync.Mutex
				effective := map[string]int64{} // per key, the last offset whose Done counted
				finished := map[int64]bool{}
				running := map[string]bool{}
				s := &batchScript{}
				s.handle = func(ctx context.Context, batch []*record.Record) []record.Outcome {
					mu.Lock()
					hold, dice := time.Duration(rng.Intn(50))*time.Millisecond, rng.Intn(10)
					keys := map[string]bool{}
					for i, r := range batch {
						if i > 0 && r.Offset <= batch[i-1].Offset {
							t.Errorf("batch out of order: %d after %d", r.Offset, batch[i-1].Offset)
						}
						if r.Key != nil {
							keys[string(r.Key)] = true
						}
					}
					for k := range keys {
						if running[k] {
							t.Errorf("two calls of key %s at once", k)
						}
						running[k] = true
					}
					mu.Unlock()
					defer func() {
						mu.Lock()
						defer mu.Unlock()
						for k := range keys {
							delete(running, k)
						}
					}()
					select {
					case <-time.After(hold):
					case <-ctx.Done():
						return record.Each(len(batch), record.Outcome{Kind: record.Unanswered, Err: ctx.Err()})
					}
					mu.Lock()
					defer mu.Unlock()
					switch dice {
					case 0:
						return record.Each(len(batch), record.Outcome{Kind: record.Unanswered, Err: errors.New("trapped")})
					case 1:
						return record.Each(len(batch), record.Outcome{Kind: record.Unavailable, Err: errors.New("nobody")})
					}
					outcomes := done(batch)
					failed := map[string]bool{}
					for i, r := range batch {
						key := string(r.Key)
						if rng.Intn(10) == 0 {
							outcomes[i] = record.Outcome{Err: errors.New("failed")}
							if r.Key != nil {
								failed[key] = true
							}
							continue
						}
						if failed[key] {
							continue // its ok does not count
						}
						finished[r.Offset] = true
						if r.Key == nil {
							continue
						}
						if last, seen := effective[key]; seen && r.Offset <= last {
							t.Errorf("key %s: %d took effect after %d", key, r.Offset, last)
						}
						effective[key] = r.Offset
					}
					return outcomes
				}
				cfg, _ := batchConfig(s)
				cfg.Delivery.Batch.MaxRecords = 1 + rng.Intn(20)
				d := New(cfg)
				p := d.Open("t", 0, 0)
				rs := keyed(300)
				mu.Lock()
				for _, r := range rs {
					if k := rng.Intn(8); k > 0 {
						r.Key = fmt.Append(nil, k)
					}
				}
				mu.Unlock()
				p.Add(rs[:100], first)
				time.Sleep(200 * time.Millisecond)
				p.Add(rs[100:], first)
				time.Sleep(time.Hour)
				synctest.Wait()
				mustCommit(t, p, 300)
				mu.Lock()
				if len(finished) != 300 {
					t.Errorf("%d of 300 records took effect", len(finished))
				}
				mu.Unlock()
				d.Close(t.Context())
			})
		})
	}
}

func TestOutputsThatFillTheBufferAreTakenBeforeThereAreMore(t *testing.T) {
	fat := func(_ context.Context, batch []*record.Record) []record.Outcome {
		outcomes := make([]record.Outcome, len(batch))
		for i := range batch {
			outcomes[i] = record.Outcome{Kind: record.Done, Outputs: []record.Outgoing{{Value: make([]byte, 400)}}}
		}
		return outcomes
	}
	start := func() (*Dispatcher, *Partition, *int) {
		calls := 0
		s := &batchScript{handle: func(ctx context.Context, batch []*record.Record) []record.Outcome {
			calls++
			return fat(ctx, batch)
		}}
		cfg, _ := batchConfig(s)
		records := keyed(9, "a", "b", "c", "d", "e", "f", "g", "h", "i")
		one := (&item{cost: records[0].Cost() + laneCost, outputs: fat(t.Context(), records[:1])[0].Outputs}).keptCost()
		cfg.Transactional, cfg.Delivery.Batch.MaxRecords, cfg.Delivery.MaxInFlight, cfg.Delivery.MaxBuffer = true, 1, 1, 2*one+1
		d := New(cfg)
		p := d.Open("t", 0, 0)
		p.Add(records, first)
		synctest.Wait()
		return d, p, &calls
	}
	t.Run("they are taken", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			d, p, calls := start()
			for _, want := range []int{3, 6, 9} {
				if *calls != want {
					t.Fatalf("%d calls, want %d", *calls, want)
				}
				if f, _ := p.TakeFinished(); len(f.AppendOutputs(nil)) != 3 {
					t.Fatalf("%d outputs", len(f.AppendOutputs(nil)))
				}
				synctest.Wait()
			}
			d.Close(t.Context())
		})
	})
	t.Run("their partition is lost", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			d, p, calls := start()
			p.Abandon()
			other := d.Open("t", 1, 0)
			other.Add(keyed(3, "a", "b", "c"), first)
			synctest.Wait()
			if *calls != 6 {
				t.Errorf("%d calls, want 3 of the lost partition and 3 of the other", *calls)
			}
			if st := d.Status(); st.Buffered != other.Load().Bytes {
				t.Errorf("%d bytes are held, %d of them by the one partition that is left", st.Buffered, other.Load().Bytes)
			}
			d.Close(t.Context())
		})
	})
}
