package dispatch

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/messaging-kafka/messaging-kafka/internal/record"
)

// What is to be stored of one record before it is finished, and what of many, is its own affair: the others of its
// batch go on, those too of which something else is to be stored.
func TestWhatCannotBePutAsideHoldsUpNoOtherOfItsBatch(t *testing.T) {
	for name, kind := range map[string]record.Kind{"a dead letter": record.Reject, "a record for a retry topic": record.Retry} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &batchScript{handle: func(_ context.Context, batch []*record.Record) []record.Outcome {
					outcomes := done(batch)
					for i, r := range batch {
						outcomes[i].Outputs = []record.Outgoing{{Topic: "out", Value: fmt.Append(nil, r.Offset)}}
						if o := r.Offset; o == 7 || o == 3 {
							outcomes[i] = record.Outcome{Kind: kind, Err: errors.New("bad")}
						}
					}
					return outcomes
				}}
				cfg, c := batchConfig(s)
				cfg.Delivery.MaxInFlight = 2
				var mu sync.Mutex
				away := true
				tries, aside, outputs := 0, []string(nil), map[string]int{}
				store := func(offset string) error {
					mu.Lock()
					defer mu.Unlock()
					if offset == "7" && away {
						tries++
						return errStoreAway
					}
					aside = append(aside, offset)
					return nil
				}
				(&shelf{}).into(&cfg, time.Second)
				cfg.DeadLetter = func(_ context.Context, r *record.Record, _ int, _ error) error { return store(fmt.Sprint(r.Offset)) }
				cfg.Send = func(_ context.Context, moves ...record.Outgoing) []record.Result {
					results := make([]record.Result, len(moves))
					for i := range moves {
						var offset string
						_, _ = fmt.Sscan(string(moves[i].Value), &offset)
						results[i].Err = store(offset)
					}
					return results
				}
				cfg.Outputs.Produce = func(_ context.Context, made []record.Outgoing) error {
					mu.Lock()
					defer mu.Unlock()
					for _, o := range made {
						outputs[string(o.Value)]++
					}
					return nil
				}
				d := New(cfg)
				defer d.Close(t.Context())
				p := d.Open("t", 0, 0)
				keys := []string{"a", "b", "c", "d", "e", "f", "g", "h", "i", "j"} // 7 and 17 are of h
				p.Add(keyed(30, keys...), first)
				time.Sleep(10 * time.Minute)
				synctest.Wait()
				p.Add(keyed(50, keys...), first)
				time.Sleep(10 * time.Minute)
				synctest.Wait()
				mu.Lock()
				for o := range 50 {
					want := 1
					if o == 3 || o%10 == 7 {
						want = 0
					}
					if got := outputs[fmt.Sprint(o)]; got != want {
						t.Errorf("while the one waits, the output of %d was stored %d times, not %d", o, got, want)
					}
				}
				if !slices.Equal(aside, []string{"3"}) || tries < 10 || tries > 100 {
					t.Errorf("put aside %v, and tried %d times", aside, tries)
				}
				if st := d.Status(); (st.DeadLetter != nil) != (kind == record.Reject) || (st.RetryTopic != nil) != (kind == record.Retry) {
					t.Errorf("status says %v, %v", st.DeadLetter, st.RetryTopic)
				}
				mustCommit(t, p, 7)
				away = false
				mu.Unlock()
				time.Sleep(time.Minute)
				synctest.Wait()
				mustCommit(t, p, 50)
				if st := d.Status(); st.DeadLetter != nil || st.RetryTopic != nil || st.InFlight != 0 {
					t.Errorf("status still says %v, %v, and %d in flight", st.DeadLetter, st.RetryTopic, st.InFlight)
				}
				mu.Lock()
				defer mu.Unlock()
				for o := range 50 {
					if got := outputs[fmt.Sprint(o)]; got != 1 && o != 3 && o != 7 {
						t.Errorf("the output of %d was stored %d times", o, got)
					}
				}
				if !slices.Equal(aside, []string{"3", "7"}) || c.letters+len(c.delayed) != 2 {
					t.Errorf("put aside %v, counted %d and %v", aside, c.letters, c.delayed)
				}
			})
		})
	}
}

// Of those that cannot be put aside either, each goes on when it is its turn, and a stop leaves the rest.
func TestAStopLeavesWhatOfABatchCannotBePutAside(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &batchScript{handle: func(_ context.Context, batch []*record.Record) []record.Outcome {
			outcomes := done(batch)
			for i, r := range batch {
				if r.Offset < 4 {
					outcomes[i] = record.Outcome{Kind: record.Reject, Err: errors.New("bad")}
				}
			}
			return outcomes
		}}
		cfg, _ := batchConfig(s)
		cfg.Delivery.MaxInFlight = 1
		tries, stored := map[int64]int{}, []int64(nil)
		cfg.DeadLetter = func(ctx context.Context, r *record.Record, _ int, _ error) error {
			if tries[r.Offset]++; r.Offset == 0 || tries[r.Offset] < 3 {
				return errStoreAway
			}
			stored = append(stored, r.Offset)
			return ctx.Err()
		}
		d := New(cfg)
		p := d.Open("t", 0, 0)
		p.Add(keyed(8, "a", "b", "c", "d", "e"), first)
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if !slices.Equal(stored, []int64{1, 2, 3}) {
			t.Errorf("stored %v", stored)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		d.Close(ctx)
		mustCommit(t, p, -1)
		if n := p.d.Status().InFlight; n != 0 {
			t.Errorf("%d are in flight", n)
		}
	})
}
