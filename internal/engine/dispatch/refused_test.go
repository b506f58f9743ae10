package dispatch

import (
	"context"
	"errors"
	"fmt"
	"math/rand"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/messaging-kafka/messaging-kafka/internal/record"
	"github.com/messaging-kafka/messaging-kafka/internal/settings"
)

// transacting is a dispatcher with transactions whose component makes an output of each record: its offset.
func transacting(t *testing.T, order settings.Order, handle func(r *record.Record, o *record.Outcome)) (*Dispatcher, *Partition, *batchScript) {
	t.Helper()
	s := &batchScript{handle: func(_ context.Context, batch []*record.Record) []record.Outcome {
		outcomes := make([]record.Outcome, len(batch))
		for i, r := range batch {
			outcomes[i] = record.Outcome{Kind: record.Done, Outputs: []record.Outgoing{{Topic: "out", Value: fmt.Append(nil, r.Offset)}}}
			if handle != nil {
				handle(r, &outcomes[i])
			}
		}
		return outcomes
	}}
	cfg, _ := batchConfig(s)
	cfg.Transactional, cfg.Delivery.Order, cfg.Delivery.MaxBuffer, cfg.Delivery.Batch.MaxRecords = true, order, 1<<20, 1
	cfg.Delivery.DeadLetterTopic = "dead"
	cfg.MakeDeadLetter = func(r *record.Record, _ int, _ error) record.Outgoing {
		return record.Outgoing{Topic: "dead", Value: fmt.Append(nil, r.Offset)}
	}
	d := New(cfg)
	return d, d.Open("t", 0, 0), s
}

// offsetsOf are the offsets that outputs tell, dead letters with a dagger.
func offsetsOf(f *Finished) string {
	var all []string
	for _, out := range f.AppendOutputs(nil) {
		text := string(out.Value)
		if out.Topic == "dead" {
			text = "†" + text
		}
		all = append(all, text)
	}
	return strings.Join(all, " ")
}

// called are the offsets of calls, in their order.
func (s *batchScript) called() string {
	var all []string
	for _, b := range s.seen() {
		all = append(all, strings.Trim(fmt.Sprint(b), "[]"))
	}
	return strings.Join(all, " ")
}

var errRefused = errors.New("there is no such topic")

// refuse refuses the first output behind the nth, and commits what is before it.
func refuse(t *testing.T, p *Partition, n int) {
	t.Helper()
	f, ok := p.TakeFinished()
	if !ok {
		t.Fatal("nothing is finished")
	}
	head, tail := f.Split(n)
	head.Committed()
	if !tail.Refuse(errRefused) {
		t.Fatal("it is not taken back")
	}
}

// TestARecordWhoseOutputsAreRefusedComesAgainAndThoseBehindItAfterIt, and nothing else of its partition before.
func TestARecordWhoseOutputsAreRefusedComesAgainAndThoseBehindItAfterIt(t *testing.T) {
	for order, want := range map[settings.Order]string{
		settings.OrderKey: "1 3 5", settings.OrderPartition: "1 2 3 4 5", settings.OrderNone: "1",
	} {
		t.Run(string(order), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d, p, s := transacting(t, order, nil)
				p.Add(keyed(6, "even", "odd"), first)
				synctest.Wait()
				before := len(s.seen())
				refuse(t, p, 1)
				mustCommit(t, p, 1)
				p.Add([]*record.Record{{Topic: "t", Offset: 6, Key: []byte("even")}, {Topic: "t", Offset: 7, Key: []byte("other")}}, first)
				for again := 1; again <= 3; again++ {
					time.Sleep(time.Minute)
					synctest.Wait()
					if got := s.seen()[before:]; len(got) != again || !slices.Equal(got[again-1], []int64{1}) {
						t.Fatalf("called again with %v, want the refused one alone", got)
					}
					if st := d.Status(); st.Outputs == nil || st.Outputs.String() != "there is no such topic (t/0, offset 1)" {
						t.Errorf("the status says %v", st.Outputs)
					}
					f, _ := p.TakeFinished()
					first, rest := f.Split(1)
					if got := offsetsOf(&first); got != "1" {
						t.Errorf("what is taken begins with %q", got)
					}
					if again < 3 {
						if !f.Refuse(errRefused) {
							t.Fatal("it is not taken back")
						}
						continue
					}
					first.Committed()
					synctest.Wait()
					if st := d.Status(); st.Outputs != nil {
						t.Errorf("the status still says %v", st.Outputs)
					}
					last, _ := p.TakeFinished()
					if got := strings.TrimSpace(offsetsOf(&rest) + " " + offsetsOf(&last)); got != "2 3 4 5 6 7" {
						t.Errorf("then come %q", got)
					}
					rest.Committed()
					last.Committed()
				}
				mustCommit(t, p, 8)
				got := s.called()[len("0 1 2 3 4 5 1 1 "):]
				for offset := range strings.FieldsSeq(want) {
					if !slices.Contains(strings.Fields(got), offset) {
						t.Errorf("called with %q from the refusal on, want %s again", got, want)
					}
				}
				if n := len(strings.Fields(got)); n != len(strings.Fields(want))+2 {
					t.Errorf("called with %q from the refusal on, want only %s again", got, want)
				}
				if st := d.Status(); st.Buffered != 0 || p.unsettled != 0 {
					t.Errorf("%d bytes are still held, %d records unsettled", st.Buffered, p.unsettled)
				}
				d.Close(t.Context())
			})
		})
	}
}

func TestWhatRunsWhenOutputsAreRefusedIsFinishedBehindThem(t *testing.T) {
	for name, kind := range map[string]record.Kind{"it is done": record.Done, "it fails": record.Retry} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var mu sync.Mutex
				release, held := make(chan struct{}), false
				d, p, s := transacting(t, settings.OrderKey, func(r *record.Record, o *record.Outcome) {
					mu.Lock()
					wait := r.Offset == 2 && !held
					held = held || wait
					mu.Unlock()
					if wait {
						<-release
						if o.Kind = kind; kind != record.Done {
							o.Outputs, o.Err = nil, errors.New("not yet")
						}
					}
				})
				p.Add(keyed(4, "odd", "even"), first)
				synctest.Wait()
				f, _ := p.TakeFinished() // 0 and 1; 2 is being called, 3 is done behind it
				if got := offsetsOf(&f); got != "0 1" {
					t.Fatalf("finished are %q", got)
				}
				if !f.Refuse(errRefused) {
					t.Fatal("it is not taken back")
				}
				time.Sleep(time.Minute)
				synctest.Wait()
				mustCommit(t, p, -1)
				if got := s.called(); len(strings.Fields(got)) != 4 {
					t.Errorf("called with %q while the call runs that began before", got)
				}
				close(release)
				time.Sleep(time.Minute)
				synctest.Wait()
				if got := s.called()[len("0 1 2 3"):]; got != " 0" {
					t.Errorf("called again with%q", got)
				}
				f, _ = p.TakeFinished()
				if got := offsetsOf(&f); got != "0 1" {
					t.Errorf("finished are %q, want what is before the lane's next", got)
				}
				f.Committed()
				time.Sleep(time.Minute)
				synctest.Wait()
				f, _ = p.TakeFinished()
				if got := offsetsOf(&f); got != "2 3" {
					t.Errorf("finished are %q at last", got)
				}
				if got := s.called()[len("0 1 2 3 0"):]; got != " 2" {
					t.Errorf("called at last with%q", got)
				}
				f.Committed()
				mustCommit(t, p, 4)
				d.Close(t.Context())
			})
		})
	}
}

// TestWhatIsPutAsideIsOfferedAgainWithoutACall where Kafka refuses it: its record has its verdict.
func TestWhatIsPutAsideIsOfferedAgainWithoutACall(t *testing.T) {
	for name, outcome := range map[string]record.Outcome{
		"dead letters": {Kind: record.Reject, Err: errors.New("no")}, "retry topics": {Kind: record.Retry, Err: errors.New("not yet")},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d, p, s := transacting(t, settings.OrderKey, func(r *record.Record, o *record.Outcome) {
					if r.Offset == 1 {
						*o = outcome
					}
				})
				if outcome.Kind == record.Retry {
					d.cfg.Delivery.RetryTopics = []settings.RetryTopic{{Topic: "later", Delay: time.Minute}}
					d.cfg.MakeRetry = func(r *record.Record, to *settings.RetryTopic, _ int, _ error) record.Outgoing {
						return record.Outgoing{Topic: "dead", Value: fmt.Append(nil, r.Offset)}
					}
				}
				p.Add(keyed(3, "a"), first)
				synctest.Wait()
				f, _ := p.TakeFinished()
				if got := offsetsOf(&f); got != "0 †1 2" {
					t.Fatalf("finished are %q", got)
				}
				head, tail := f.Split(1)
				head.Committed()
				for range 3 {
					if !tail.Refuse(errRefused) {
						t.Fatal("it is not taken back")
					}
					p.Add([]*record.Record{{Topic: "t", Offset: 3, Key: []byte("b")}}, first)
					mustCommit(t, p, 1)
					st := d.Status()
					if told := map[record.Kind]error{record.Reject: st.DeadLetter, record.Retry: st.RetryTopic}[outcome.Kind]; !errors.Is(told, errRefused) ||
						st.Outputs != nil || st.DeadLetter != nil && st.RetryTopic != nil {
						t.Errorf("the status says %+v", st)
					}
					time.Sleep(time.Minute)
					synctest.Wait()
					if tail, _ = p.TakeFinished(); offsetsOf(&tail) != "†1 2" {
						t.Fatalf("finished are %q", offsetsOf(&tail))
					}
				}
				if got := s.called(); got != "0 1 2" {
					t.Errorf("called with %q", got)
				}
				tail.Committed()
				synctest.Wait()
				if st := d.Status(); st.DeadLetter != nil || st.RetryTopic != nil || s.called() != "0 1 2 3" {
					t.Errorf("the status says %+v, called with %q", st, s.called())
				}
				d.Close(t.Context())
			})
		})
	}
}

// TestAnEndOfThePartitionEndsARefusal: nothing of it is committed from the record on.
func TestAnEndOfThePartitionEndsARefusal(t *testing.T) {
	for name, end := range map[string]func(p *Partition){
		"in order": func(p *Partition) { p.Close(context.Background()) }, "lost": func(p *Partition) { p.Abandon() },
	} {
		for _, letter := range []bool{true, false} {
			t.Run(fmt.Sprint(name, ", dead letter ", letter), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					d, p, _ := transacting(t, settings.OrderPartition, func(r *record.Record, o *record.Outcome) {
						if letter && r.Offset == 1 {
							*o = record.Outcome{Kind: record.Reject, Err: errors.New("no")}
						}
					})
					p.Add(keyed(3), first)
					synctest.Wait()
					refuse(t, p, 1)
					end(p)
					if st := d.Status(); st.Outputs != nil || st.DeadLetter != nil || st.Buffered != 0 {
						t.Errorf("the status still says %v and %v, %d bytes are held", st.Outputs, st.DeadLetter, st.Buffered)
					}
					at, ok := p.Position()
					if lost := name == "lost"; ok == lost || !lost && (at.Offset != 1 || len(at.Ahead) > 0) {
						t.Errorf("%+v, %t can be committed", at, ok)
					}
					if f, ok := p.TakeFinished(); ok && f.Makers() > 0 {
						t.Errorf("%q can be committed", offsetsOf(&f))
					}
					time.Sleep(time.Hour)
				})
			})
		}
	}
}

// TestNoHistoryOfRefusalsBreaksTheRules: outputs are committed once and in the order of offsets, what is committed of a
// key was made in order, and all comes to its end.
func TestNoHistoryOfRefusalsBreaksTheRules(t *testing.T) {
	for seed := range int64(100) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { refusals(t, rand.New(rand.NewSource(seed))) })
		})
	}
}

func refusals(t *testing.T, rng *rand.Rand) {
	const records = 60
	order := []settings.Order{settings.OrderKey, settings.OrderPartition, settings.OrderNone}[rng.Intn(3)]
	var mu sync.Mutex
	clock, made := 0, map[int64]int{} // when the outputs of a record were made last
	dice := func(n int) int {
		mu.Lock()
		defer mu.Unlock()
		return rng.Intn(n)
	}
	d, p, _ := transacting(t, order, func(r *record.Record, o *record.Outcome) {
		time.Sleep(time.Duration(dice(50)) * time.Millisecond)
		mu.Lock()
		defer mu.Unlock()
		clock++
		made[r.Offset] = clock
		switch rng.Intn(8) {
		case 0:
			*o = record.Outcome{Kind: record.Retry, Err: errors.New("not yet")}
		case 1:
			*o = record.Outcome{Kind: record.Reject, Err: errors.New("no")}
		case 2:
			o.Outputs = nil
		case 3:
			*o = record.Outcome{Kind: record.Unavailable, Err: errors.New("nobody")}
		}
	})
	d.cfg.Delivery.RetryBackoffMax = 200 * time.Millisecond
	defer d.Close(t.Context())
	all := keyed(records, "a", "b", "c", "d", "e")
	var committed []string
	lastOf := map[string]int{}
	bad := map[int64]int{} // how often outputs of a record are refused still
	for i := range records {
		if rng.Intn(6) == 0 {
			bad[int64(i)] = 1 + rng.Intn(3)
		}
	}
	added, at := 0, int64(0)
	commit := func(f Finished) {
		f.Committed()
		p.Committed(f.Offset)
		if f.Offset < at {
			t.Fatalf("the offset went back from %d to %d", at, f.Offset)
		}
		texts := strings.Fields(offsetsOf(&f))
		mu.Lock()
		defer mu.Unlock()
		for offset := at; offset < f.Offset; offset++ {
			if slices.Contains(texts, fmt.Sprint("†", offset)) {
				continue // it had its verdict before, and is not called again
			}
			r := all[offset]
			lane := map[settings.Order]string{settings.OrderKey: string(r.Key), settings.OrderNone: fmt.Sprint(offset)}[order]
			if made[offset] < lastOf[lane] {
				t.Fatalf("what was committed of offset %d was made before that of a record before it in its lane", offset)
			}
			lastOf[lane] = made[offset]
		}
		committed, at = append(committed, texts...), f.Offset
	}
	for turn := 0; at < records; turn++ {
		if turn > 5000 {
			t.Fatalf("it does not come to an end: committed up to %d, %+v", at, d.Status())
		}
		if n := min(dice(10), records-added); n > 0 {
			p.Add(all[added:added+n], first)
			added += n
		}
		time.Sleep(time.Duration(dice(100)) * time.Millisecond)
		f, ok := p.TakeFinished()
		if !ok || f.Offset < 0 {
			continue
		}
		time.Sleep(time.Duration(dice(100)) * time.Millisecond) // the transaction takes its time
		for {
			n := 0
			refused := false
			for i := range f.records {
				if len(f.records[i].outputs) == 0 {
					continue
				}
				if offset := f.records[i].rec.Offset; bad[offset] > 0 {
					bad[offset]--
					refused = true
					break
				}
				n++
			}
			if !refused {
				commit(f)
				break
			}
			head, tail := f.Split(n)
			if n > 0 {
				commit(head)
			}
			if dice(2) == 0 {
				time.Sleep(time.Duration(dice(50)) * time.Millisecond)
			}
			if !tail.Refuse(errRefused) {
				t.Fatal("it is not taken back")
			}
			break
		}
	}
	seen := map[string]bool{}
	last := -1
	for _, text := range committed {
		offset := 0
		if _, err := fmt.Sscan(strings.TrimPrefix(text, "†"), &offset); err != nil {
			t.Fatal(err)
		}
		if seen[text] || offset <= last {
			t.Fatalf("committed are %v", committed)
		}
		seen[text], last = true, offset
	}
	if st := d.Status(); st.Buffered != 0 || st.Outputs != nil || st.DeadLetter != nil || p.unsettled != 0 || d.keptBytes != 0 {
		t.Errorf("at the end the status is %+v, %d unsettled, %d bytes kept", st, p.unsettled, d.keptBytes)
	}
}
