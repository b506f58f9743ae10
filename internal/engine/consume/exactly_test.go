package consume

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/messaging-kafka/messaging-kafka/internal/base/backoff"
	"github.com/messaging-kafka/messaging-kafka/internal/observe/status"
	"github.com/messaging-kafka/messaging-kafka/internal/record"
	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

func TestADeadLetterIsPartOfTheTransaction(t *testing.T) {
	t.Parallel()
	k := testkit.Kfake(t)
	for _, topic := range []string{"in", "out", "dead"} {
		k.Topic(topic, 1)
	}
	cl := testkit.NewClient(t, k.Brokers())
	k.RefuseTransactionOffsets(3, kerr.UnknownMemberID)
	d := &doubler{name: "a", outcome: func(r *record.Record, o *record.Outcome) {
		if string(r.Value) == "1" {
			*o = record.Outcome{Kind: record.Reject, Err: errors.New("no")}
		}
	}}
	c := startProcessor(t, k.Brokers(), d, map[string]string{"dead_letter_topic": "dead"})
	cl.ProduceText("in", numbered(3)...)
	cl.WaitDrained("g", "in")
	reader := committedReader(t, k.Brokers())
	if got := values(reader.Read("out", 4)); !slices.Equal(got, []string{"0a", "0b", "2a", "2b"}) {
		t.Errorf("outputs %v", got)
	}
	if got := values(reader.Read("dead", 1)); !slices.Equal(got, []string{"1"}) {
		t.Errorf("dead letters %v", got)
	}
	// What comes behind shows that there is no second one before it.
	cl.ProduceText("dead", "last")
	if got := values(reader.ReadUntil("dead", patience, func(rs []*kgo.Record) bool { return slices.Contains(values(rs), "last") })); len(got) != 2 {
		t.Errorf("dead letters %v", got)
	}
	if n := c.counts.buried.Load(); n != 1 {
		t.Errorf("buried %d", n)
	}
}

func TestOutputsThatFillTheBufferAreCommittedBeforeTheInterval(t *testing.T) {
	t.Parallel()
	k := testkit.Kfake(t)
	k.Topic("in", 1)
	k.Topic("out", 1)
	cl := testkit.NewClient(t, k.Brokers())
	cl.ProduceText("in", numbered(200)...)
	fat := strings.Repeat("x", 10_000)
	d := &doubler{name: "a", outcome: func(_ *record.Record, o *record.Outcome) {
		for i := range o.Outputs {
			o.Outputs[i].Value = append(o.Outputs[i].Value, fat...)
		}
	}}
	// 200 records make 4 MB, and the buffer holds 1: nothing more is read until there was a commit.
	startProcessor(t, k.Brokers(), d, map[string]string{"max_buffer": "1MiB", "batch_max_records": "10", "commit_interval": "5m"})
	committedReader(t, k.Brokers()).Read("out", 300)
}

func TestReadingGoesOnWhenOutputsHaveLeftTheBuffer(t *testing.T) {
	t.Parallel()
	k := testkit.Kfake(t)
	k.Topic("in", 1)
	k.Topic("out", 1)
	cl := testkit.NewClient(t, k.Brokers())
	cl.ProduceText("in", numbered(100)...)
	fat := strings.Repeat("x", 500_000)
	d := &doubler{name: "a", outcome: func(_ *record.Record, o *record.Outcome) { o.Outputs[0].Value = append(o.Outputs[0].Value, fat...) }}
	startProcessor(t, k.Brokers(), d, map[string]string{"max_buffer": "1MiB", "batch_max_records": "1", "fetch_max_bytes": "4KiB"})
	cl.WaitDrained("g", "in")
}

func TestAnOutputThatKafkaRefusesHoldsUpItsOwnPartitionAlone(t *testing.T) {
	t.Parallel()
	k := testkit.Kfake(t)
	k.Topic("in", 2)
	k.Topic("out", 1)
	cl := testkit.NewClient(t, k.Brokers(), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	d := &doubler{name: "a", outcome: func(r *record.Record, o *record.Outcome) {
		if r.Partition == 0 {
			o.Outputs[0].Topic = "nowhere"
		}
	}}
	c := startProcessor(t, k.Brokers(), d, nil)
	cl.Produce(&kgo.Record{Topic: "in", Partition: 0, Value: []byte("stuck")})
	for i := range 5 {
		cl.Produce(&kgo.Record{Topic: "in", Partition: 1, Value: []byte(fmt.Sprint(i))})
	}
	if got := values(committedReader(t, k.Brokers()).Read("out", 10)); !slices.Equal(got, doubled(5)) {
		t.Errorf("outputs %v", got)
	}
	testkit.Eventually(t, patience, func() error {
		if problems := c.Status().Problems.String(); !strings.Contains(problems, "does not exist") {
			return fmt.Errorf("health says %q", problems)
		}
		return nil
	})
	k.Topic("nowhere", 1)
	cl.WaitDrained("g", "in")
	c.waitHealthy()
}

func TestTopicsOfOutputsAreCreated(t *testing.T) {
	t.Parallel()
	k := testkit.Kfake(t)
	k.Topic("in", 1)
	cl := testkit.NewClient(t, k.Brokers())
	cl.ProduceText("in", numbered(5)...)
	c := startProcessor(t, k.Brokers(), &doubler{name: "a"}, map[string]string{"create_topics": "true", "create_topics_partitions": "3"})
	cl.WaitDrained("g", "in")
	if n := len(cl.EndOffsets("out")); n != 3 {
		t.Errorf("the topic has %d partitions", n)
	}
	committedReader(t, k.Brokers()).Read("out", 10)
	c.waitHealthy()
}

func TestARightThatIsMissingForTransactionsIsTold(t *testing.T) {
	t.Parallel()
	k := testkit.Kfake(t)
	k.Topic("in", 1)
	k.ControlKey(kmsg.InitProducerID.Int16(), func(kreq kmsg.Request) (kmsg.Response, error, bool) {
		req := kreq.(*kmsg.InitProducerIDRequest)
		k.KeepControl()
		resp := req.ResponseKind().(*kmsg.InitProducerIDResponse)
		resp.ErrorCode = kerr.TransactionalIDAuthorizationFailed.Code
		return resp, nil, true
	})
	c := startProcessor(t, k.Brokers(), &doubler{name: "a"}, nil)
	c.waitProblem("not authorised for the transactional id")
}

// TestATransactionThatKafkaDoesNotEndIsToldUntilOneIsCommitted: sessions that follow each other do not say in between
// that all is well.
func TestATransactionThatKafkaDoesNotEndIsToldUntilOneIsCommitted(t *testing.T) {
	t.Parallel()
	k := testkit.Kfake(t)
	k.Topic("in", 1)
	k.Topic("out", 1)
	var refuses atomic.Bool
	refuses.Store(true)
	k.ControlKey(kmsg.EndTxn.Int16(), func(kreq kmsg.Request) (kmsg.Response, error, bool) {
		k.KeepControl()
		if !refuses.Load() {
			return nil, nil, false
		}
		resp := kreq.ResponseKind().(*kmsg.EndTxnResponse)
		resp.ErrorCode = kerr.InvalidTxnState.Code
		return resp, nil, true
	})
	// A call takes long enough for a look at what is told while there is nothing to commit yet.
	d := &doubler{name: "a", do: func(ctx context.Context, _ []*record.Record) error {
		backoff.Sleep(ctx, 100*time.Millisecond)
		return nil
	}}
	c := startProcessor(t, k.Brokers(), d, nil)
	c.waitHealthy()
	cl := testkit.NewClient(t, k.Brokers())
	cl.ProduceText("in", numbered(10)...)
	c.waitProblem("INVALID_TXN_STATE")
	var again int
	testkit.Eventually(t, patience, func() error {
		c.mu.Lock()
		again = c.restarts
		c.mu.Unlock()
		if ps := c.Status().Problems; !strings.Contains(ps.String(), "INVALID_TXN_STATE") {
			t.Errorf("after %d restarts, with nothing committed, it says %q", again, ps)
			return nil
		}
		if again < 3 {
			return fmt.Errorf("it was begun anew %d times", again)
		}
		return nil
	})
	refuses.Store(false)
	cl.WaitDrained("g", "in")
	c.waitHealthy()
	if got := values(committedReader(t, k.Brokers()).Read("out", 20)); !slices.Equal(got, doubled(10)) {
		t.Errorf("outputs %v", got)
	}
}

func TestWhatAnEarlierLifeHasLeftOpenIsSettledBeforeThereAreRecords(t *testing.T) {
	t.Parallel()
	k := testkit.Kfake(t)
	k.Topic("in", 1)
	began := make(chan struct{}, 1)
	k.ControlKey(kmsg.InitProducerID.Int16(), func(req kmsg.Request) (kmsg.Response, error, bool) {
		k.KeepControl()
		if id := req.(*kmsg.InitProducerIDRequest).TransactionalID; id != nil && *id == "tx-a" {
			select {
			case began <- struct{}{}:
			default:
			}
		}
		return nil, nil, false
	})
	startProcessor(t, k.Brokers(), &doubler{name: "a"}, nil)
	select {
	case <-began:
	case <-t.Context().Done():
	}
}

func TestAMemberThatTheGroupHasForgottenCommitsNothingAsAnother(t *testing.T) {
	t.Parallel()
	for name, transactions := range map[string]string{"with transactions": "true", "without": "false"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := testkit.Kfake(t)
			k.Topic("in", 4)
			k.Topic("out", 1)
			cl := testkit.NewClient(t, k.Brokers())
			forgotten := new(forgetMember)
			k.ControlKey(kmsg.JoinGroup.Int16(), func(req kmsg.Request) (kmsg.Response, error, bool) {
				k.KeepControl()
				return forgotten.join(req)
			})
			d := &doubler{name: "a"}
			settings := map[string]string{"transactions": transactions, "group_protocol": "classic", "session_timeout": "6s"}
			c := startProcessor(t, k.Brokers(), d, settings)
			cl.ProduceText("in", numbered(40)...)
			cl.WaitDrained("g", "in")
			forgotten.id.Store(cl.MemberIDs("g")[0])
			// Another member makes the group rebalance; the first one finds itself forgotten when it joins.
			other := startProcessor(t, k.Brokers(), &doubler{name: "b"}, settings)
			testkit.Eventually(t, patience, func() error {
				if !forgotten.done.Load() {
					return errors.New("the member has not joined again yet")
				}
				return nil
			})
			cl.ProduceText("in", numbered(400)[40:]...)
			cl.WaitDrained("g", "in")
			testkit.Eventually(t, patience, func() error {
				if !c.log.Contains("taken it in again as another") {
					return errors.New("the session goes on")
				}
				return nil
			})
			other.waitHealthy()
			if transactions == "true" {
				if got := values(committedReader(t, k.Brokers()).Read("out", 800)); !slices.Equal(got, doubled(400)) {
					t.Errorf("%d outputs", len(got))
				}
			}
		})
	}
}

// forgetMember answers the next request of a member to join, once, as a coordinator does that has forgotten it.
type forgetMember struct {
	id   atomic.Value
	done atomic.Bool
	once sync.Once
}

func (f *forgetMember) join(kreq kmsg.Request) (resp kmsg.Response, err error, handled bool) {
	req := kreq.(*kmsg.JoinGroupRequest)
	if id, _ := f.id.Load().(string); id == "" || req.MemberID != id {
		return nil, nil, false
	}
	f.once.Do(func() {
		refusal := req.ResponseKind().(*kmsg.JoinGroupResponse)
		refusal.ErrorCode = kerr.UnknownMemberID.Code
		resp, handled = refusal, true
		f.done.Store(true)
	})
	return resp, nil, handled
}

func TestAStopEndsInTimeWhileATransactionHangs(t *testing.T) {
	t.Parallel()
	k := testkit.Kfake(t)
	k.Topic("in", 1)
	k.Topic("out", 1)
	cl := testkit.NewClient(t, k.Brokers())
	asked, hold := make(chan struct{}, 100), make(chan struct{})
	k.ControlKey(kmsg.EndTxn.Int16(), func(kmsg.Request) (kmsg.Response, error, bool) {
		k.KeepControl()
		asked <- struct{}{}
		k.SleepControl(func() { <-hold })
		return nil, nil, false
	})
	t.Cleanup(func() { close(hold) })
	c := startProcessor(t, k.Brokers(), &doubler{name: "a"}, nil)
	cl.ProduceText("in", "x")
	<-asked
	hurry, cancel := context.WithCancel(t.Context())
	cancel()
	c.Stop(hurry)
}

// TestACommitThatIsTriedAgainGoesOutAsNoOtherMember: the client can take a new membership between two tries of one
// commit.
func TestACommitThatIsTriedAgainGoesOutAsNoOtherMember(t *testing.T) {
	t.Parallel()
	silent := &doubler{name: "silent", outcome: func(_ *record.Record, o *record.Outcome) { o.Outputs = nil }}
	for name, transactions := range map[string]string{"offsets alone with transactions": "true", "without transactions": "false"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := testkit.Kfake(t)
			k.Topic("in", 1)
			cl := testkit.NewClient(t, k.Brokers())
			c := startProcessor(t, k.Brokers(), silent, map[string]string{"transactions": transactions, "group_protocol": "classic", "session_timeout": "6s"})
			waitOwned(t, "in", 1, c)
			s := c.session()
			member, _ := s.cl.GroupMetadata()

			forgotten := new(forgetMember)
			forgotten.id.Store(member)
			k.ControlKey(kmsg.JoinGroup.Int16(), func(req kmsg.Request) (kmsg.Response, error, bool) {
				k.KeepControl()
				return forgotten.join(req)
			})
			var between, asAnother atomic.Int32
			k.ControlKey(kmsg.OffsetCommit.Int16(), func(kreq kmsg.Request) (kmsg.Response, error, bool) {
				k.KeepControl()
				now, _ := s.cl.GroupMetadata()
				switch req := kreq.(*kmsg.OffsetCommitRequest); {
				case req.MemberID == member:
					// The group is between two generations, of which the second has the client as another member.
					between.Add(1)
					s.cl.ForceRebalance()
					return refusedCommit(req, kerr.RebalanceInProgress), nil, true
				case req.MemberID == now:
					asAnother.Add(1)
				}
				return nil, nil, false
			})
			cl.ProduceText("in", numbered(3)...)
			cl.WaitDrained("g", "in")
			if !c.log.Contains("taken it in again as another") || between.Load() == 0 {
				t.Errorf("the session goes on after %d refusals", between.Load())
			}
			if n := asAnother.Load(); n > 0 {
				t.Errorf("%d commits went out as a member that the partition was not given to", n)
			}
		})
	}
}

// TestOneOfManyInATransactionIsFoundThatKafkaRefuses: what is before it is committed, it waits, and goes on when what
// is wrong with its topic is mended.
func TestOneOfManyInATransactionIsFoundThatKafkaRefuses(t *testing.T) {
	t.Parallel()
	const many, bad = 40, 17
	for name, c := range map[string]struct {
		output  record.Outgoing
		config  map[string]string
		kind    status.ProblemKind
		says    string
		refuses func(k *testkit.FakeKafka, cl *testkit.Client) (mend func())
	}{
		"a topic that takes less": {
			output: record.Outgoing{Topic: "small", Partition: record.AnyPartition, Value: make([]byte, 5000)},
			kind:   status.ProblemOutputs, says: "an output for topic small is refused",
			refuses: func(k *testkit.FakeKafka, cl *testkit.Client) func() {
				k.Topic("small", 1)
				limit := func(bytes string) {
					change := []kadm.AlterConfig{{Name: "max.message.bytes", Value: &bytes}}
					if _, err := kadm.NewClient(cl.Client).AlterTopicConfigs(t.Context(), change, "small"); err != nil {
						t.Error(err)
					}
				}
				limit("1000")
				return func() { limit("100000") }
			},
		},
		"a topic without the right": {
			output: record.Outgoing{Topic: "closed", Partition: record.AnyPartition},
			kind:   status.ProblemOutputs, says: "an output for one of the topics closed, out is refused", // kfake has no ACL that tells
			refuses: func(k *testkit.FakeKafka, _ *testkit.Client) func() {
				k.Topic("closed", 1)
				var granted atomic.Bool
				k.RefuseTopicOfTransactions("closed", func() bool { return !granted.Load() })
				return func() { granted.Store(true) }
			},
		},
		"a missing topic for dead letters": {
			config: map[string]string{"dead_letter_topic": "dead"},
			kind:   status.ProblemDeadLetters, says: "dead letters cannot be written to dead: an output for topic dead is refused",
			refuses: func(k *testkit.FakeKafka, _ *testkit.Client) func() { return func() { k.Topic("dead", 1) } },
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := testkit.Kfake(t)
			k.Topic("in", 1)
			k.Topic("out", 1)
			cl := testkit.NewClient(t, k.Brokers())
			mend := c.refuses(k, cl)
			cl.ProduceText("in", numbered(many)...)
			calls := &handler{name: "a"}
			d := &doubler{name: "a", do: func(ctx context.Context, batch []*record.Record) error {
				calls.Receive(ctx, batch)
				return nil
			}, outcome: func(r *record.Record, o *record.Outcome) {
				switch {
				case r.Offset != bad:
				case c.output.Topic != "":
					o.Outputs = append(o.Outputs, c.output)
				default:
					*o = record.Outcome{Kind: record.Reject, Err: errors.New("no")}
				}
			}}
			config := map[string]string{"commit_interval": "500ms", "retry_backoff_max": "1s", "order": "none"}
			maps.Copy(config, c.config)
			copyOf := startProcessor(t, k.Brokers(), d, config)
			cl.WaitCommitted("g", "in", map[int32]int64{0: bad})
			testkit.Eventually(t, patience, func() error {
				for _, p := range copyOf.Status().Problems {
					if p.Kind == c.kind && strings.Contains(p.Text, c.says) {
						if p.Kind == status.ProblemDeadLetters {
							testkit.InRunbook(t, "Dead letters cannot be written", p.Text)
						}
						return nil
					}
				}
				return fmt.Errorf("the problems are %+v", copyOf.Status().Problems)
			})
			mend()
			cl.WaitCommitted("g", "in", map[int32]int64{0: many})
			copyOf.waitHealthy()
			want := doubled(many)
			if c.output.Topic == "" {
				want = slices.DeleteFunc(want, func(v string) bool { return v == fmt.Sprint(bad, "a") || v == fmt.Sprint(bad, "b") })
			}
			if got := values(committedReader(t, k.Brokers()).Read("out", len(want))); !slices.Equal(got, want) {
				t.Errorf("outputs %v", got)
			}
			others := 0
			for _, call := range calls.seen() {
				if call.offset != bad {
					others++
				} else if c.output.Topic == "" {
					others++
				}
			}
			if most := map[bool]int{true: many, false: many - 1}[c.output.Topic == ""]; others != most {
				t.Errorf("%d calls of records that nothing is wrong with, want %d", others, most)
			}
		})
	}
}
