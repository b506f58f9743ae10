package dispatch

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/messaging-kafka/messaging-kafka/internal/record"
	"github.com/messaging-kafka/messaging-kafka/internal/settings"
	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// script is a component whose verdicts and durations the test gives. It records what it was called with.
type script struct {
	handle func(ctx context.Context, r *record.Record) (record.Kind, error)

	mu      sync.Mutex
	calls   []string // key:offset in the order of the calls
	running map[string]int
	most    int
	now     int
	overlap []string // keys that were called while another call of the key ran
}

func (s *script) Receive(ctx context.Context, batch []*record.Record) []record.Outcome {
	outcomes := make([]record.Outcome, len(batch))
	for i, r := range batch {
		outcomes[i].Kind, outcomes[i].Err = s.call(ctx, r)
	}
	return outcomes
}

func (s *script) call(ctx context.Context, r *record.Record) (record.Kind, error) {
	key := string(r.Key)
	s.mu.Lock()
	s.calls = append(s.calls, fmt.Sprintf("%s:%d", key, r.Offset))
	if s.running == nil {
		s.running = map[string]int{}
	}
	if s.running[key] > 0 {
		s.overlap = append(s.overlap, key)
	}
	s.running[key]++
	s.now++
	s.most = max(s.most, s.now)
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.running[key]--
		s.now--
	}()
	return s.handle(ctx, r)
}

// called returns the calls so far.
func (s *script) called() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.calls)
}

// runs returns how many calls run now.
func (s *script) runs() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now
}

type counts struct {
	mu       sync.Mutex
	outcomes map[record.Kind]int
	givenUp  int // deliveries
	letters  int // dead letters
	skipped  int
	repeated int
	batched  int // records in batches
	delayed  []time.Duration
}

func (c *counts) Redelivered() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.repeated++
}

func (c *counts) Batched(records int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.batched += records
}

func (c *counts) Delivered(o record.Kind, _ time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.outcomes == nil {
		c.outcomes = map[record.Kind]int{}
	}
	c.outcomes[o]++
}

func (c *counts) GivenUp(time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.givenUp++
}

func (c *counts) RecordGivenUp(deadLettered bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if deadLettered {
		c.letters++
	} else {
		c.skipped++
	}
}

func (c *counts) RecordDelayed(delay time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.delayed = append(c.delayed, delay)
}

func config(s *script) (Config, *counts) {
	c := &counts{}
	return Config{
		Delivery: settings.Delivery{
			Order: settings.OrderKey, MaxInFlight: 64, HandleTimeout: time.Minute,
			RetryBackoff: 100 * time.Millisecond, RetryBackoffMax: 30 * time.Second, OnReject: settings.RejectSkip,
		},
		Receiver: s,
		Outputs: &Outputs{Prepare: func(to []record.Outgoing, out record.Outgoing) ([]record.Outgoing, error) {
			return append(to, out), nil
		}},
		Observer: c,
		Log:      slog.New(slog.DiscardHandler),
	}, c
}

// keyed makes records at offsets 0, 1, … whose keys go round.
func keyed(n int, keys ...string) []*record.Record {
	rs := make([]*record.Record, n)
	for i := range rs {
		rs[i] = &record.Record{Topic: "t", Offset: int64(i), Value: []byte("value")}
		if len(keys) > 0 {
			rs[i].Key = []byte(keys[i%len(keys)])
		}
	}
	return rs
}

func first(*record.Record) History { return History{} }

// lowestUnfinished is the lowest offset that is not finished. ok is false where nothing has been finished yet.
func lowestUnfinished(p *Partition) (offset int64, epoch int32, ok bool) {
	at, ok := p.Position()
	return at.Offset, at.Epoch, ok && at.Offset >= 0
}

func mustCommit(t *testing.T, p *Partition, want int64) {
	t.Helper()
	got, _, ok := lowestUnfinished(p)
	if !ok {
		got = -1
	}
	if got != want {
		t.Errorf("committable offset = %d, want %d", got, want)
	}
}

func TestRecordsOfOneKeyGoOneAfterAnotherAndKeysAtOnce(t *testing.T) {
	for _, tc := range []struct {
		order      settings.Order
		wantMost   int
		wantLength time.Duration
	}{
		{settings.OrderKey, 10, time.Second},
		{settings.OrderPartition, 1, 10 * time.Second},
		{settings.OrderNone, 64, 200 * time.Millisecond},
	} {
		t.Run(string(tc.order), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &script{handle: func(context.Context, *record.Record) (record.Kind, error) {
					time.Sleep(100 * time.Millisecond)
					return record.Done, nil
				}}
				cfg, _ := config(s)
				cfg.Delivery.Order = tc.order
				d := New(cfg)
				p := d.Open("t", 0, 0)
				began := time.Now()
				done := make(chan time.Duration, 1)
				d.cfg.Progress = func() {
					if o, _, _ := lowestUnfinished(p); o == 100 {
						select {
						case done <- time.Since(began):
						default:
						}
					}
				}
				p.Add(keyed(100, "a", "b", "c", "d", "e", "f", "g", "h", "i", "j"), first)
				// Virtual time: the figures are exact, not measured.
				if took := <-done; took != tc.wantLength {
					t.Errorf("100 records of 10 keys took %s, want %s", took, tc.wantLength)
				}
				if s.most != tc.wantMost {
					t.Errorf("at most %d calls at once, want %d", s.most, tc.wantMost)
				}
				if tc.order == settings.OrderKey && len(s.overlap) > 0 {
					t.Errorf("keys called twice at once: %v", s.overlap)
				}
				d.Close(t.Context())
			})
		})
	}
}

// TestKeylessRecordsKeepTheirOrder: those of a partition wait for each other and for no record with a key, be it the
// empty one, until order=none frees them.
func TestKeylessRecordsKeepTheirOrder(t *testing.T) {
	for order, atOnce := range map[settings.Order]int{settings.OrderKey: 4, settings.OrderPartition: 2, settings.OrderNone: 20} {
		t.Run(string(order), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var failed atomic.Bool
				var mu sync.Mutex
				var finished []int64 // of the keyless records of the first partition
				s := &script{}
				s.handle = func(_ context.Context, r *record.Record) (record.Kind, error) {
					time.Sleep(time.Second)
					if r.Key != nil || r.Partition != 0 {
						return record.Done, nil
					}
					if r.Offset == 3 && failed.CompareAndSwap(false, true) {
						return record.Retry, errors.New("not yet")
					}
					mu.Lock()
					defer mu.Unlock()
					finished = append(finished, r.Offset)
					return record.Done, nil
				}
				cfg, _ := config(s)
				cfg.Delivery.Order = order
				d := New(cfg)
				one, two := d.Open("t", 0, 0), d.Open("t", 1, 0)
				rs, others := keyed(10), keyed(10)
				for i := range rs {
					if i%3 != 0 {
						rs[i].Key = [][]byte{{}, []byte("k")}[i%3-1]
					}
					others[i].Partition = 1
				}
				// No keys, the empty key and k go at once, and two partitions.
				one.Add(rs, first)
				two.Add(others, first)
				synctest.Wait()
				if n := s.runs(); n != atOnce {
					t.Errorf("%d calls at once, want %d", n, atOnce)
				}
				time.Sleep(time.Minute)
				synctest.Wait()
				mustCommit(t, one, 10)
				mustCommit(t, two, 10)
				mu.Lock()
				if order != settings.OrderNone && !slices.Equal(finished, []int64{0, 3, 6, 9}) {
					t.Errorf("finished in the order %v", finished)
				}
				mu.Unlock()
				d.Close(t.Context())
			})
		})
	}
}

func TestTheCommittableOffsetIsTheLowestUnfinishedOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := map[int64]chan struct{}{}
		for i := range int64(12) {
			release[i] = make(chan struct{})
		}
		s := &script{handle: func(_ context.Context, r *record.Record) (record.Kind, error) {
			<-release[r.Offset]
			return record.Done, nil
		}}
		cfg, _ := config(s)
		d := New(cfg)
		p := d.Open("t", 0, 0)
		rs := keyed(4)
		rs[2].Offset, rs[3].Offset = 7, 11 // compaction and transactions leave gaps
		p.Add(rs, first)
		p.Skip(12, 3) // a transaction marker
		mustCommit(t, p, -1)
		close(release[7])
		synctest.Wait()
		mustCommit(t, p, -1)
		close(release[0])
		synctest.Wait()
		mustCommit(t, p, 1)
		close(release[1])
		synctest.Wait()
		mustCommit(t, p, 8)
		close(release[11])
		synctest.Wait()
		mustCommit(t, p, 13)
		if _, epoch, _ := lowestUnfinished(p); epoch != 3 {
			t.Errorf("epoch = %d, want that of the last offset passed", epoch)
		}
		p.Add(keyed(2), first) // read again after a reconnect: ignored
		synctest.Wait()
		if len(s.called()) != 4 {
			t.Errorf("%d calls, want 4", len(s.called()))
		}
		d.Close(t.Context())
	})
}

func TestAJumpOfTheLogIsCommittedWhenAllBeforeItIsFinished(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		s := &script{handle: func(context.Context, *record.Record) (record.Kind, error) {
			<-release
			return record.Done, nil
		}}
		cfg, _ := config(s)
		d := New(cfg)
		p := d.Open("t", 0, NotYet)
		p.StartAt(5)
		mustCommit(t, p, -1) // no jump: that is where the group is
		p.StartAt(40)
		mustCommit(t, p, 40)
		r := keyed(1)
		r[0].Offset = 40
		p.Add(r, first)
		p.StartAt(80)
		mustCommit(t, p, 40)
		close(release)
		synctest.Wait()
		mustCommit(t, p, 80)
		p.StartAt(20) // the log has become shorter
		mustCommit(t, p, 20)
		d.Close(t.Context())
		p.StartAt(60)
		mustCommit(t, p, 20)
	})
}

// A leader without the newest records takes over: what was read from the old one waits still when other records come at
// its offsets, and a batch takes both.
func TestABatchHasTheOrderOfItsLanesWhenALogWasSetBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		goOn := make(chan struct{})
		s := &script{handle: func(context.Context, *record.Record) (record.Kind, error) {
			<-goOn
			return record.Done, nil
		}}
		cfg, _ := config(s)
		cfg.Batches = true
		cfg.Delivery.Order, cfg.Delivery.Batch.MaxRecords, cfg.Delivery.Batch.MaxBytes = settings.OrderKey, 10, 1<<20
		d := New(cfg)
		p := d.Open("t", 0, 0)
		p.Add(keyed(1, "k"), first)
		synctest.Wait() // the first is with the component
		read := keyed(4, "k", "k", "k", "k")
		p.Add(read[1:], first)
		p.StartAt(2)
		p.Add(keyed(4, "k", "k", "k", "k")[2:], first)
		close(goOn)
		synctest.Wait()
		want := []string{"k:0", "k:1", "k:2", "k:3", "k:2", "k:3"}
		if got := s.called(); !slices.Equal(got, want) {
			t.Errorf("called with %v, want %v", got, want)
		}
		mustCommit(t, p, 4)
		d.Close(context.Background())
	})
}

func TestAFailingRecordIsRetriedInItsPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		attempts := []int{}
		s := &script{}
		s.handle = func(_ context.Context, r *record.Record) (record.Kind, error) {
			if r.Offset == 0 {
				attempts = append(attempts, r.Attempt)
				if len(attempts) < 4 {
					return record.Retry, errors.New("not yet")
				}
			}
			return record.Done, nil
		}
		cfg, c := config(s)
		d := New(cfg)
		p := d.Open("t", 0, 0)
		p.Add(keyed(4, "a", "b"), first)
		synctest.Wait()
		mustCommit(t, p, -1) // b is through, a's first record holds the offset
		time.Sleep(time.Minute)
		synctest.Wait()
		mustCommit(t, p, 4)
		if fmt.Sprint(attempts) != "[1 2 3 4]" {
			t.Errorf("attempts = %v", attempts)
		}
		if last := s.called()[len(s.called())-1]; last != "a:2" {
			t.Errorf("last call %s, want the record behind the failing one", last)
		}
		if c.outcomes[record.Retry] != 3 || c.outcomes[record.Done] != 4 {
			t.Errorf("outcomes = %v", c.outcomes)
		}
		d.Close(t.Context())
	})
}

func TestBackOffDoublesUpToItsMaximumWithJitter(t *testing.T) {
	cfg, _ := config(&script{})
	for n, want := range map[int]time.Duration{1: 100 * time.Millisecond, 2: 200 * time.Millisecond, 5: 1600 * time.Millisecond, 9: 25600 * time.Millisecond, 10: 30 * time.Second, 1000: 30 * time.Second} {
		for range 100 {
			if got := Backoff(&cfg.Delivery, n, 0); got < want/2 || got > want {
				t.Fatalf("back-off after failure %d = %s, want %s to %s", n, got, want/2, want)
			}
		}
	}
}

func TestDeadLetters(t *testing.T) {
	type letter struct {
		offset   int64
		attempts int
		cause    string
	}
	run := func(t *testing.T, verdict record.Kind, maxAttempts int, failFirst int) ([]letter, *counts) {
		var letters []letter
		var c *counts
		synctest.Test(t, func(t *testing.T) {
			s := &script{handle: func(_ context.Context, r *record.Record) (record.Kind, error) {
				if r.Offset == 1 {
					return verdict, errors.New("bad record")
				}
				return record.Done, nil
			}}
			var cfg Config
			cfg, c = config(s)
			cfg.Delivery.MaxAttempts = maxAttempts
			fails := 0
			cfg.DeadLetter = func(_ context.Context, r *record.Record, attempts int, cause error) error {
				if fails++; fails <= failFirst {
					return errors.New("broker away")
				}
				letters = append(letters, letter{r.Offset, attempts, cause.Error()})
				return nil
			}
			d := New(cfg)
			p := d.Open("t", 0, 0)
			p.Add(keyed(3, "k"), first)
			synctest.Wait()
			if failFirst > 0 {
				mustCommit(t, p, 1)
				if d.Status().DeadLetter == nil {
					t.Error("status says nothing of the dead letter that cannot be written")
				}
			}
			time.Sleep(time.Hour)
			synctest.Wait()
			mustCommit(t, p, 3)
			if d.Status().DeadLetter != nil {
				t.Error("status still complains of dead letters")
			}
			d.Close(t.Context())
		})
		return letters, c
	}
	t.Run("a rejected record goes at once", func(t *testing.T) {
		letters, c := run(t, record.Reject, 5, 0)
		if len(letters) != 1 || letters[0] != (letter{1, 1, "bad record"}) || c.letters != 1 {
			t.Errorf("letters = %v, counts = %+v", letters, c)
		}
	})
	t.Run("a failing record goes after its attempts", func(t *testing.T) {
		letters, c := run(t, record.Retry, 5, 0)
		if len(letters) != 1 || letters[0] != (letter{1, 5, "bad record"}) || c.outcomes[record.Retry] != 5 {
			t.Errorf("letters = %v, counts = %+v", letters, c)
		}
	})
	t.Run("the offset waits for the broker's acknowledgement", func(t *testing.T) {
		if letters, _ := run(t, record.Reject, 5, 3); len(letters) != 1 {
			t.Errorf("letters = %v", letters)
		}
	})
}

func TestRejectWithoutADeadLetterTopic(t *testing.T) {
	for _, mode := range []settings.OnReject{settings.RejectSkip, settings.RejectStop} {
		t.Run(string(mode), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &script{handle: func(_ context.Context, r *record.Record) (record.Kind, error) {
					if r.Partition == 0 && r.Offset == 1 {
						return record.Reject, errors.New("bad record")
					}
					return record.Done, nil
				}}
				cfg, c := config(s)
				cfg.Delivery.OnReject, cfg.Delivery.Order = mode, settings.OrderPartition
				d := New(cfg)
				p, other := d.Open("t", 0, 0), d.Open("t", 1, 0)
				p.Add(keyed(3, "k"), first)
				sound := keyed(3, "k")
				for _, r := range sound {
					r.Partition = 1
				}
				other.Add(sound, first)
				synctest.Wait()
				mustCommit(t, other, 3)
				if mode == settings.RejectSkip {
					mustCommit(t, p, 3)
					if c.skipped != 1 {
						t.Errorf("skipped = %d", c.skipped)
					}
				} else {
					mustCommit(t, p, 1)
					if p.Held() == nil || other.Held() != nil {
						t.Errorf("held by %v, and the other partition by %v", p.Held(), other.Held())
					}
				}
				d.Close(t.Context())
			})
		})
	}
}

func TestWithoutAComponentRecordsWaitAndNothingCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var away atomic.Bool
		away.Store(true)
		s := &script{}
		s.handle = func(_ context.Context, r *record.Record) (record.Kind, error) {
			if away.Load() {
				return record.Unavailable, errors.New("nobody")
			}
			if r.Attempt != 1 {
				t.Errorf("attempt = %d: a call that reached nobody was counted", r.Attempt)
			}
			return record.Done, nil
		}
		cfg, c := config(s)
		cfg.Delivery.MaxAttempts, cfg.Delivery.Order = 2, settings.OrderNone
		cfg.DeadLetter = func(context.Context, *record.Record, int, error) error {
			t.Error("a record was dead-lettered for want of a component")
			return nil
		}
		d := New(cfg)
		p := d.Open("t", 0, 0)
		p.Add(keyed(100), first)
		synctest.Wait()
		if got := len(s.called()); got != 64 {
			t.Errorf("%d calls before the gate closed, want max_in_flight", got)
		}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if got := len(s.called()) - 64; got < 10 || got > 16 {
			t.Errorf("%d calls in 10 s, want about one a second", got)
		}
		if d.Status().Unavailable.Cause == nil {
			t.Error("status does not say that no component is there")
		}
		mustCommit(t, p, -1)
		away.Store(false)
		time.Sleep(time.Second)
		synctest.Wait()
		mustCommit(t, p, 100)
		if d.Status().Unavailable.Cause != nil || c.outcomes[record.Done] != 100 || c.outcomes[record.Retry] != 0 {
			t.Errorf("status %+v, outcomes %v", d.Status(), c.outcomes)
		}
		d.Close(t.Context())
	})
}

func TestASkippedRecordIsFinishedAndSaysNothingOfTheComponent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{handle: func(_ context.Context, r *record.Record) (record.Kind, error) {
			if r.Value == nil {
				time.Sleep(time.Second)
				return record.Skipped, nil
			}
			return record.Unavailable, errors.New("nobody")
		}}
		cfg, c := config(s)
		cfg.Delivery.MaxInFlight = 11
		d := New(cfg)
		p := d.Open("t", 0, 0)
		add := func(offset int64, value []byte) {
			p.Add([]*record.Record{{Topic: "t", Offset: offset, Key: fmt.Append(nil, offset), Value: value}}, first)
		}
		add(0, nil)
		time.Sleep(2 * time.Second)
		mustCommit(t, p, 1)
		if d.Status().Unavailable.Cause != nil || c.outcomes[record.Skipped] != 1 || len(c.outcomes) != 1 {
			t.Errorf("status %+v, outcomes %v", d.Status(), c.outcomes)
		}
		// Ten that are being skipped when another finds no component.
		for offset := range int64(10) {
			add(1+offset, nil)
		}
		add(11, []byte("v"))
		synctest.Wait()
		since := d.Status().Unavailable.Since
		for range 100 {
			time.Sleep(100 * time.Millisecond)
			synctest.Wait()
			// A gate that opens closes again at the next call, so that only the time tells.
			if s := d.Status(); s.Unavailable.Cause == nil || !s.Unavailable.Since.Equal(since) {
				t.Fatal("a skipped record made the component seem to be there")
			}
		}
		if c.outcomes[record.Skipped] != 11 || c.outcomes[record.Unavailable] < 5 {
			t.Errorf("outcomes %v, want the others finished and the first still tried", c.outcomes)
		}
		mustCommit(t, p, 11)
		p.Close(t.Context())
	})
}

func TestAGateClosesNoLongerThanRecordsWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{handle: func(context.Context, *record.Record) (record.Kind, error) {
			return record.Unavailable, errors.New("nobody")
		}}
		cfg, _ := config(s)
		d := New(cfg)
		p, idle := d.Open("t", 0, 0), d.Open("t", 1, 0)
		p.Add(keyed(1), first)
		synctest.Wait()
		if d.Status().Unavailable.Cause == nil {
			t.Error("the gate is open")
		}
		p.Close(t.Context())
		if d.Status().Unavailable.Cause != nil {
			t.Error("the gate is closed although no record waits")
		}
		idle.Close(t.Context())
	})
}

func TestAFailureDuringACloseGivesNothingUpAndARejectDoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{handle: func(_ context.Context, r *record.Record) (record.Kind, error) {
			time.Sleep(100 * time.Millisecond)
			if r.Offset == 0 {
				return record.Reject, errors.New("no")
			}
			return record.Retry, errors.New("publishing: the link is being shut down")
		}}
		cfg, _ := config(s)
		cfg.Delivery.MaxAttempts, cfg.Delivery.Order = 1, settings.OrderNone
		var letters []int64
		cfg.DeadLetter = func(_ context.Context, r *record.Record, _ int, _ error) error {
			letters = append(letters, r.Offset) // by one call alone, if all is well
			return nil
		}
		d := New(cfg)
		p := d.Open("t", 0, 0)
		p.Add(keyed(2), first)
		synctest.Wait()
		p.Close(t.Context())
		if !slices.Equal(letters, []int64{0}) {
			t.Errorf("dead letters of %v, want one of the rejected record alone", letters)
		}
		mustCommit(t, p, 1)
	})
}

// TestWhatIsGivenUpInATransactionIsToldWhenItIsCommitted: before, the record may be delivered again.
func TestWhatIsGivenUpInATransactionIsToldWhenItIsCommitted(t *testing.T) {
	for name, letters := range map[string]bool{"dead letters": true, "skipped records": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var log strings.Builder
				s := &script{handle: func(context.Context, *record.Record) (record.Kind, error) {
					return record.Reject, errors.New("no")
				}}
				cfg, c := config(s)
				cfg.Transactional, cfg.Delivery.MaxBuffer, cfg.Log = true, 1<<20, slog.New(slog.NewTextHandler(&log, nil))
				told := "is skipped"
				if letters {
					told = "a record was dead-lettered"
					cfg.MakeDeadLetter = func(r *record.Record, _ int, _ error) record.Outgoing {
						return record.Outgoing{Topic: "dead", Value: r.Value}
					}
				}
				d := New(cfg)
				p, lost := d.Open("t", 0, 0), d.Open("t", 1, 0)
				p.Add(keyed(2), first)
				lost.Add(keyed(2), first)
				synctest.Wait()
				f, ok := p.TakeFinished()
				if !ok || f.Offset != 2 || len(f.AppendOutputs(nil)) != map[bool]int{true: 2}[letters] {
					t.Fatalf("finished %+v, %t", f, ok)
				}
				if strings.Contains(log.String(), told) || c.letters+c.skipped != 0 {
					t.Errorf("told before the commit:\n%s", &log)
				}
				lost.Abandon()
				f.Committed()
				if strings.Count(log.String(), told) != 2 || c.letters+c.skipped != 2 {
					t.Errorf("told of %d and %d records after the commit of 2:\n%s", c.letters, c.skipped, &log)
				}
				testkit.InRunbook(t, "Dead letters arrive", log.String())
				d.Close(t.Context())
			})
		})
	}
}

func TestCloseLetsRunningCallsFinishAndStartsNone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{handle: func(ctx context.Context, r *record.Record) (record.Kind, error) {
			hold := 100 * time.Millisecond
			if r.Offset == 1 {
				hold = time.Hour
			}
			select {
			case <-time.After(hold):
				return record.Done, nil
			case <-ctx.Done():
				return record.Unanswered, ctx.Err()
			}
		}}
		cfg, c := config(s)
		cfg.Delivery.MaxInFlight, cfg.Delivery.MaxAttempts, cfg.Delivery.Order = 2, 1, settings.OrderNone
		cfg.DeadLetter = func(context.Context, *record.Record, int, error) error {
			t.Error("a stop dead-lettered a record")
			return nil
		}
		var log strings.Builder
		cfg.Log = slog.New(slog.NewTextHandler(&log, nil))
		d := New(cfg)
		p := d.Open("t", 0, 0)
		p.Add(keyed(10), first)
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), 250*time.Millisecond)
		defer cancel()
		began := time.Now()
		p.Close(ctx)
		if took := time.Since(began); took != 250*time.Millisecond {
			t.Errorf("close took %s, want the drain timeout", took)
		}
		mustCommit(t, p, 1)
		if len(s.called()) != 2 || c.givenUp != 1 || c.outcomes[record.Done] != 1 {
			t.Errorf("calls %v, outcomes %v", s.called(), c.outcomes)
		}
		if p.Close(ctx); strings.Count(log.String(), "offsets=[1]") != 1 {
			t.Errorf("the log does not name the record whose call was given up, once:\n%s", log.String())
		}
		if st := d.Status(); st.InFlight != 0 || st.Buffered != 0 || st.Waiting != 0 {
			t.Errorf("status after close: %+v", st)
		}
	})
}

func TestAbandonCommitsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{handle: func(ctx context.Context, r *record.Record) (record.Kind, error) {
			if r.Offset == 0 {
				return record.Done, nil
			}
			<-ctx.Done()
			return record.Done, nil // finished, but too late
		}}
		cfg, _ := config(s)
		d := New(cfg)
		p := d.Open("t", 0, 0)
		p.Add(keyed(3), first)
		synctest.Wait()
		mustCommit(t, p, 1)
		p.Abandon()
		mustCommit(t, p, -1)
	})
}

func TestACallEndsAtHandleTimeoutAndCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{}
		s.handle = func(ctx context.Context, r *record.Record) (record.Kind, error) {
			if r.Attempt == 1 {
				<-ctx.Done()
				return record.Unanswered, ctx.Err()
			}
			return record.Done, nil
		}
		cfg, c := config(s)
		d := New(cfg)
		p := d.Open("t", 0, 0)
		p.Add(keyed(1), first)
		time.Sleep(61 * time.Second)
		synctest.Wait()
		mustCommit(t, p, 1)
		if c.outcomes[record.Unanswered] != 1 {
			t.Errorf("outcomes = %v", c.outcomes)
		}
		d.Close(t.Context())
	})
}

// TestNoHistoryBreaksTheRules runs random verdicts over random keys and partitions, with partitions closed in the
// middle, and checks the histories: order within a key, no two calls of a key at once, no offset passed over.
// TestACallThatNobodyTookIsHeldAndDoesNotCount: handle_timeout that is over before anybody has taken the call says
// nothing of the record.
func TestACallThatNobodyTookIsHeldAndDoesNotCount(t *testing.T) {
	for _, batches := range []bool{false, true} {
		t.Run(fmt.Sprintf("batches %t", batches), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var thawed atomic.Bool
				var attempts []int
				one := &script{handle: func(ctx context.Context, r *record.Record) (record.Kind, error) {
					attempts = append(attempts, r.Attempt)
					if thawed.Load() {
						return record.Done, nil
					}
					<-ctx.Done()
					return record.Unavailable, fmt.Errorf("nobody: %w", ctx.Err())
				}}
				cfg, c := config(one)
				if batches {
					cfg, c = batchConfig(&batchScript{handle: func(ctx context.Context, batch []*record.Record) []record.Outcome {
						kind, err := one.handle(ctx, batch[0])
						return record.Each(len(batch), record.Outcome{Kind: kind, Err: err})
					}})
				}
				cfg.Delivery.HandleTimeout, cfg.Delivery.MaxAttempts = time.Second, 1
				cfg.DeadLetter = func(context.Context, *record.Record, int, error) error {
					t.Error("a record was dead-lettered")
					return nil
				}
				d := New(cfg)
				p := d.Open("t", 0, 0)
				p.Add(keyed(1, "k"), first)
				time.Sleep(10 * time.Second)
				synctest.Wait()
				if cause := d.Status().Unavailable.Cause; cause == nil || !strings.Contains(cause.Error(), "handle_timeout (1s)") {
					t.Errorf("unavailable because %v", cause)
				}
				if c.outcomes[record.Unavailable] < 4 || len(c.outcomes) != 1 {
					t.Errorf("outcomes %v", c.outcomes)
				}
				thawed.Store(true)
				time.Sleep(3 * time.Second)
				synctest.Wait()
				mustCommit(t, p, 1)
				if last := attempts[len(attempts)-1]; last != 1 {
					t.Errorf("the delivery that worked was attempt %d", last)
				}
				d.Close(t.Context())
			})
		})
	}
}

// TestACallThatWasUnderWayDoesNotOpenTheGate: it says nothing about whether the next one is taken, and a busy host
// would get all that wait at once, behind those that it has not come to yet.
func TestACallThatWasUnderWayDoesNotOpenTheGate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var back atomic.Bool
		s := &script{handle: func(_ context.Context, r *record.Record) (record.Kind, error) {
			if string(r.Key) == "slow" {
				time.Sleep(10 * time.Second)
				return record.Done, nil
			}
			time.Sleep(time.Second)
			if back.Load() {
				return record.Done, nil
			}
			return record.Unavailable, errors.New("nobody")
		}}
		cfg, _ := config(s)
		d := New(cfg)
		p := d.Open("t", 0, 0)
		p.Add(keyed(21, "slow", "a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n", "o", "p", "q", "r", "s", "t"), first)
		time.Sleep(10*time.Second + time.Millisecond)
		before := len(s.called())
		time.Sleep(500 * time.Millisecond)
		if more := len(s.called()) - before; more > 1 {
			t.Errorf("%d calls began when the slow one had ended", more)
		}
		if d.Status().Unavailable.Cause == nil {
			t.Error("the component counts as available")
		}
		back.Store(true)
		time.Sleep(10 * time.Second)
		synctest.Wait()
		mustCommit(t, p, 21)
		d.Close(t.Context())
	})
}

func TestAnAnswerThatComesWithTheDeadlineCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{handle: func(ctx context.Context, _ *record.Record) (record.Kind, error) {
			<-ctx.Done()
			return record.Reject, errors.New("said no")
		}}
		cfg, _ := config(s)
		var cause error
		cfg.DeadLetter = func(_ context.Context, _ *record.Record, _ int, why error) error { cause = why; return nil }
		d := New(cfg)
		p := d.Open("t", 0, 0)
		p.Add(keyed(1), first)
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if cause == nil || cause.Error() != "said no" {
			t.Errorf("the dead letter says %v", cause)
		}
		d.Close(t.Context())
	})
}

func TestNoHistoryBreaksTheRules(t *testing.T) {
	for seed := range int64(30) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				rng := rand.New(rand.NewSource(seed))
				var mu sync.Mutex
				finished := map[int32]map[int64]bool{}
				lastOfKey := map[string]int64{}
				s := &script{}
				s.handle = func(ctx context.Context, r *record.Record) (record.Kind, error) {
					mu.Lock()
					hold, dice := time.Duration(rng.Intn(50))*time.Millisecond, rng.Intn(10)
					mu.Unlock()
					select {
					case <-time.After(hold):
					case <-ctx.Done():
						return record.Unanswered, ctx.Err()
					}
					mu.Lock()
					defer mu.Unlock()
					switch {
					case dice == 0:
						return record.Retry, errors.New("failed")
					case dice == 1:
						return record.Unavailable, errors.New("nobody")
					}
					if r.Key != nil {
						k := fmt.Sprintf("%d/%s", r.Partition, r.Key)
						if last, seen := lastOfKey[k]; seen && r.Offset <= last {
							t.Errorf("key %s: offset %d after %d", k, r.Offset, last)
						}
						lastOfKey[k] = r.Offset
					}
					finished[r.Partition][r.Offset] = true
					if dice == 2 {
						return record.Reject, errors.New("rejected")
					}
					return record.Done, nil
				}
				cfg, _ := config(s)
				cfg.Delivery.MaxInFlight = 1 + rng.Intn(16)
				d := New(cfg)
				parts := make([]*Partition, 4)
				for i := range parts {
					mu.Lock()
					finished[int32(i)] = map[int64]bool{}
					mu.Unlock()
					parts[i] = d.Open("t", int32(i), 0)
					rs := make([]*record.Record, 200)
					for o := range rs {
						rs[o] = &record.Record{Topic: "t", Partition: int32(i), Offset: int64(o)}
						mu.Lock()
						k := rng.Intn(8)
						mu.Unlock()
						if k > 0 {
							// Keys are told apart by partition: script looks at the key alone.
							rs[o].Key = fmt.Appendf(nil, "%d-%d", i, k)
						}
					}
					parts[i].Add(rs, first)
				}
				mu.Lock()
				until := time.Duration(rng.Intn(3000)) * time.Millisecond
				mu.Unlock()
				time.Sleep(until)
				ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
				defer cancel()
				parts[0].Close(ctx)
				time.Sleep(time.Hour)
				synctest.Wait()
				for i, p := range parts {
					upTo, _, _ := lowestUnfinished(p)
					mu.Lock()
					for o := range upTo {
						if !finished[int32(i)][o] {
							t.Errorf("partition %d: offset %d committed but never finished", i, o)
						}
					}
					mu.Unlock()
					if i > 0 && upTo != 200 {
						t.Errorf("partition %d stopped at %d", i, upTo)
					}
				}
				for _, k := range s.overlap {
					if k != "" {
						t.Errorf("two calls of key %s at once", k)
					}
				}
				d.Close(t.Context())
			})
		})
	}
}

func BenchmarkDispatch(b *testing.B) {
	s := &script{handle: func(context.Context, *record.Record) (record.Kind, error) { return record.Done, nil }}
	cfg, _ := config(s)
	cfg.Receiver = instant{}
	progress := make(chan struct{}, 1)
	cfg.Progress = func() {
		select {
		case progress <- struct{}{}:
		default:
		}
	}
	d := New(cfg)
	p := d.Open("t", 0, 0)
	keys := make([][]byte, 1000)
	for i := range keys {
		keys[i] = fmt.Appendf(nil, "key-%d", i)
	}
	b.ReportAllocs()
	b.ResetTimer()
	const batch = 500
	for o := 0; o < b.N; o += batch {
		rs := make([]*record.Record, 0, batch)
		for i := o; i < min(o+batch, b.N); i++ {
			rs = append(rs, &record.Record{Offset: int64(i), Key: keys[i%len(keys)]})
		}
		p.Add(rs, first)
		for p.Load().Span > 10*batch {
			<-progress
		}
	}
	for p.Load().Span > 0 {
		<-progress
	}
	b.StopTimer()
	d.Close(b.Context())
}

type instant struct{}

func (instant) Receive(_ context.Context, batch []*record.Record) []record.Outcome {
	return record.Each(len(batch), record.Outcome{Kind: record.Done})
}
