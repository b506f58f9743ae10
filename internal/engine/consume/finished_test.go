package consume

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/messaging-kafka/messaging-kafka/internal/record"
	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

// keyedNumbers are records with keys and values from 0 to n-1.
func keyedNumbers(topic string, partition int32, n int) []*kgo.Record {
	rs := make([]*kgo.Record, n)
	for i := range rs {
		rs[i] = &kgo.Record{Topic: topic, Partition: partition, Key: fmt.Append(nil, i), Value: fmt.Append(nil, i)}
	}
	return rs
}

// failing is a component that fails with some records and is done with all others.
func failing(name string, values ...string) *handler {
	return &handler{name: name, do: func(_ context.Context, r *record.Record) (record.Kind, error) {
		if slices.Contains(values, string(r.Value)) {
			return record.Retry, errors.New("not yet")
		}
		return record.Done, nil
	}}
}

// waitToldOf waits until n records are finished and the group has been told of all of them.
func (c *copyOf) waitToldOf(n int64) {
	c.t.Helper()
	testkit.Eventually(c.t, patience, func() error {
		if done := c.counts.done.Load(); done < n {
			return fmt.Errorf("%d records are finished, want %d", done, n)
		}
		s := c.session()
		s.committing.Lock()
		defer s.committing.Unlock()
		if going := s.uncommitted(nil); len(going) > 0 {
			return fmt.Errorf("still to be committed: %v", going)
		}
		return nil
	})
}

// sawOnly fails the test where the component was called with anything but these records, each once.
func (c *copyOf) sawOnly(values ...string) {
	c.t.Helper()
	got := c.h.values()
	slices.Sort(got)
	slices.Sort(values)
	if !slices.Equal(got, values) {
		c.t.Errorf("copy %s was called with %d records, want %v: %v", c.h.name, len(got), values, got)
	}
}

// soonForgotten has a broker wait not long for members of KIP-848 groups that have crashed.
var soonForgotten = kfake.BrokerConfigs(map[string]string{
	"group.consumer.session.timeout.ms": "6000", "group.consumer.heartbeat.interval.ms": "500",
})

func TestAfterAStopOnlyTheUnfinishedComeAgain(t *testing.T) {
	t.Parallel()
	for _, protocol := range []string{"classic", "consumer"} {
		for name, crash := range map[string]bool{"a stop": false, "a crash after a commit": true} {
			t.Run(protocol+", "+name, func(t *testing.T) {
				t.Parallel()
				k := testkit.Kfake(t, soonForgotten)
				k.Topic("t", 1)
				cl := testkit.NewClient(t, k.Brokers())
				cl.Produce(keyedNumbers("t", 0, 200)...)
				config := map[string]string{"topic": "t", "group_protocol": protocol, "retry_backoff": "1m", "retry_backoff_max": "1m", "commit_interval": "5m", "session_timeout": "6s"}
				ctx, cancel := context.WithTimeout(t.Context(), patience)
				defer cancel()
				if crash {
					config["commit_interval"] = "20ms"
				}
				// Twice, so that what the second life has not seen itself is kept, too.
				for _, name := range []string{"a", "b"} {
					c := start(t, k.Brokers(), failing(name, "0", "77", "199"), config)
					if name == "a" {
						c.h.waitCalls(t, 200)
					} else {
						c.h.waitCalls(t, 3)
						c.sawOnly("0", "77", "199")
					}
					if crash {
						if name == "a" {
							c.waitToldOf(197)
						}
						cancel() // no time for a last commit, nor for leaving
					}
					c.Stop(ctx)
				}
				last := start(t, k.Brokers(), &handler{name: "c"}, config)
				last.h.waitCalls(t, 3)
				testkit.Eventually(t, patience, func() error {
					if p := last.Partitions(); len(p) != 1 || p[0].OldestUnfinishedSeconds > 0 {
						return errors.New("not all is finished")
					}
					return nil
				})
				last.stop()
				last.sawOnly("0", "77", "199")
				cl.WaitDrained("g", "t")
			})
		}
	}
}

func TestWhoGetsAPartitionGetsOnlyTheUnfinished(t *testing.T) {
	t.Parallel()
	for _, protocol := range []string{"classic", "consumer"} {
		t.Run(protocol, func(t *testing.T) {
			t.Parallel()
			k := testkit.Kfake(t, soonForgotten)
			k.Topic("t", 2)
			cl := testkit.NewClient(t, k.Brokers(), kgo.RecordPartitioner(kgo.ManualPartitioner()))
			for p := range int32(2) {
				cl.Produce(keyedNumbers("t", p, 100)...)
			}
			config := map[string]string{"topic": "t", "group_protocol": protocol, "retry_backoff": "1m", "retry_backoff_max": "1m", "commit_interval": "5m"}
			first := start(t, k.Brokers(), failing("first", "3", "50"), config)
			first.h.waitCalls(t, 200)
			second := start(t, k.Brokers(), &handler{name: "second"}, config)
			waitOwned(t, "t", 1, first, second)
			second.h.waitCalls(t, 2)
			second.stop()
			second.sawOnly("3", "50")
		})
	}
}

// TestWithTransactionsWhatHasOutputsComesAgain: they are stored with the offset that moves over their record, in order,
// and a record counts as finished before that only where it has none.
func TestWithTransactionsWhatHasOutputsComesAgain(t *testing.T) {
	t.Parallel()
	k := testkit.Kfake(t)
	k.Topic("in", 1)
	k.Topic("out", 1)
	cl := testkit.NewClient(t, k.Brokers())
	cl.Produce(keyedNumbers("in", 0, 100)...)
	config := map[string]string{"retry_backoff": "1m", "retry_backoff_max": "1m", "batch_max_records": "10"}
	var again atomic.Bool
	var repeated atomic.Int32 // records without outputs
	outcome := func(r *record.Record, o *record.Outcome) {
		silent := len(r.Value) == 2 && r.Value[1] == '5'
		if silent && again.Load() {
			repeated.Add(1)
		}
		switch {
		case string(r.Value) == "2" && !again.Load():
			*o = record.Outcome{Kind: record.Retry, Err: errors.New("not yet")}
		case silent:
			o.Outputs = nil
		}
	}
	for _, name := range []string{"a", "b"} {
		c := startProcessor(t, k.Brokers(), &doubler{name: name, outcome: outcome}, config)
		if name == "a" {
			c.waitToldOf(99)
		} else {
			cl.WaitDrained("g", "in")
		}
		c.stop()
		again.Store(true)
	}
	if n := repeated.Load(); n > 0 {
		t.Errorf("%d records without outputs came again", n)
	}
	var want []string
	for i := range 100 {
		if s := fmt.Sprint(i); len(s) != 2 || s[1] != '5' {
			want = append(want, s+"a", s+"b")
		}
	}
	var got []string // in the order of the partition
	for _, r := range committedReader(t, k.Brokers()).Read("out", len(want)) {
		got = append(got, string(r.Value))
	}
	if !slices.Equal(got, want) {
		t.Errorf("%d outputs, want %d, each once and in order: %v", len(got), len(want), got)
	}
}

func TestWhatWasFinishedOfATopicSaysNothingOfItsSuccessor(t *testing.T) {
	t.Parallel()
	k := testkit.Kfake(t)
	k.Topic("t", 1)
	cl := testkit.NewClient(t, k.Brokers())
	cl.Produce(keyedNumbers("t", 0, 50)...)
	config := map[string]string{"topic": "t", "retry_backoff": "1m", "retry_backoff_max": "1m"}
	c := start(t, k.Brokers(), failing("a", "0"), config)
	c.h.waitCalls(t, 50)
	c.stop()
	cl.DeleteTopic("t")
	k.Topic("t", 1)
	cl = testkit.NewClient(t, k.Brokers()) // the other one knows the old topic
	cl.Produce(keyedNumbers("t", 0, 50)...)
	next := start(t, k.Brokers(), &handler{name: "b"}, config)
	cl.WaitDrained("g", "t")
	if n := len(next.h.seen()); n != 50 {
		t.Errorf("%d records of the new topic came, want 50", n)
	}
}

// There are tools that change the offset of a commit and leave its text as it is.
func TestAnOffsetThatIsSetWithTheTextOfTheOneBeforeHasAllDelivered(t *testing.T) {
	t.Parallel()
	for _, protocol := range []string{"classic", "consumer"} {
		for _, at := range []int64{2, 8} {
			t.Run(fmt.Sprintf("%s, to %d", protocol, at), func(t *testing.T) {
				t.Parallel()
				k := testkit.Kfake(t)
				k.Topic("t", 1)
				cl := testkit.NewClient(t, k.Brokers())
				cl.Produce(keyedNumbers("t", 0, 10)...)
				config := map[string]string{"topic": "t", "group_protocol": protocol, "retry_backoff": "1m", "retry_backoff_max": "1m"}
				first := start(t, k.Brokers(), failing("first", "5"), config)
				first.h.waitCalls(t, 10)
				first.stop()
				adm := kadm.NewClient(cl.Client)
				offsets, err := adm.FetchOffsets(t.Context(), "g")
				if err != nil {
					t.Fatal(err)
				}
				was, _ := offsets.Lookup("t", 0)
				if was.At != 5 || !strings.Contains(was.Metadata, aheadField) {
					t.Fatalf("the link left %+v", was)
				}
				was.At = at
				var set kadm.Offsets
				set.Add(was.Offset)
				if err := adm.CommitAllOffsets(t.Context(), "g", set); err != nil {
					t.Fatal(err)
				}
				second := start(t, k.Brokers(), &handler{name: "second"}, config)
				cl.Produce(&kgo.Record{Topic: "t", Key: []byte("10"), Value: []byte("10")})
				cl.WaitDrained("g", "t")
				second.stop()
				var want []string
				for n := at; n <= 10; n++ {
					want = append(want, fmt.Sprint(n))
				}
				second.sawOnly(want...)
			})
		}
	}
}

func TestABrokerThatTakesLittleMetadataStillTakesOffsets(t *testing.T) {
	t.Parallel()
	for name, transactions := range map[string]string{"with transactions": "true", "without": "false"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := testkit.Kfake(t)
			k.Topic("in", 1)
			k.Topic("out", 1)
			var refused atomic.Int32
			k.ControlKey(kmsg.OffsetCommit.Int16(), func(kreq kmsg.Request) (kmsg.Response, error, bool) {
				k.KeepControl()
				req := kreq.(*kmsg.OffsetCommitRequest)
				if m := req.Topics[0].Partitions[0].Metadata; m == nil || !strings.Contains(*m, aheadField) {
					return nil, nil, false
				}
				refused.Add(1)
				return refusedCommit(req, kerr.OffsetMetadataTooLarge), nil, true
			})
			cl := testkit.NewClient(t, k.Brokers())
			cl.Produce(keyedNumbers("in", 0, 50)...)
			c := startProcessor(t, k.Brokers(), &doubler{name: "a", outcome: func(r *record.Record, o *record.Outcome) {
				o.Outputs = nil
				if string(r.Value) == "20" {
					*o = record.Outcome{Kind: record.Retry, Err: errors.New("not yet")}
				}
			}}, map[string]string{"transactions": transactions, "retry_backoff": "1m", "retry_backoff_max": "1m", "batch_max_records": "50"})
			cl.WaitCommitted("g", "in", map[int32]int64{0: 20})
			testkit.Eventually(t, patience, func() error {
				if !c.log.Contains("offset.metadata.max.bytes") {
					return errors.New("nothing is told of it")
				}
				return nil
			})
			c.waitToldOf(49)
			if n := refused.Load(); n != 1 {
				t.Errorf("%d commits were refused, want 1", n)
			}
		})
	}
}
