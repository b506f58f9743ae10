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

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/messaging-kafka/messaging-kafka/internal/engine/dispatch"
	"github.com/messaging-kafka/messaging-kafka/internal/observe/status"
	"github.com/messaging-kafka/messaging-kafka/internal/record"
	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

// doubler is a processor that makes two outputs of each record.
type doubler struct {
	name string
	do   func(ctx context.Context, batch []*record.Record) error
	// outcome, where it is not nil, changes what becomes of a record.
	outcome func(r *record.Record, o *record.Outcome)

	mu    sync.Mutex
	calls int
}

func (d *doubler) Receive(ctx context.Context, batch []*record.Record) []record.Outcome {
	d.mu.Lock()
	d.calls += len(batch)
	d.mu.Unlock()
	if d.do != nil {
		if err := d.do(ctx, batch); err != nil {
			return record.Each(len(batch), record.Outcome{Kind: record.Unanswered, Err: err})
		}
	}
	outcomes := make([]record.Outcome, len(batch))
	for i, r := range batch {
		outcomes[i].Kind = record.Done
		for _, half := range []string{"a", "b"} {
			outcomes[i].Outputs = append(outcomes[i].Outputs, record.Outgoing{
				Topic: "out", Partition: record.AnyPartition, Key: r.Key, Value: []byte(string(r.Value) + half),
			})
		}
		if d.outcome != nil {
			d.outcome(r, &outcomes[i])
		}
	}
	return outcomes
}

// startProcessor starts a consumer whose component is d, with transactions.
func startProcessor(t *testing.T, brokers []string, d *doubler, config map[string]string) *copyOf {
	full := map[string]string{"topic": "in", "transactions": "true", "commit_interval": "20ms"}
	maps.Copy(full, config)
	return startWith(t, brokers, &handler{name: d.name}, full, func(cfg *Config) { asProcessor(cfg, d) })
}

// asProcessor makes d the component of a consumer.
func asProcessor(cfg *Config, d *doubler) {
	cfg.Receiver, cfg.Batches, cfg.TransactionalID = d, true, "tx-"+d.name
	cfg.Outputs = &dispatch.Outputs{Prepare: func(to []record.Outgoing, out record.Outgoing) ([]record.Outgoing, error) {
		if out.Topic == "forbidden" {
			return nil, errors.New("not allowed")
		}
		return append(to, out), nil
	}, Produce: func(context.Context, []record.Outgoing) error { return nil }}
}

func doubled(n int) []string {
	var vs []string
	for i := range n {
		vs = append(vs, fmt.Sprint(i, "a"), fmt.Sprint(i, "b"))
	}
	slices.Sort(vs)
	return vs
}

func committedReader(t *testing.T, brokers []string) *testkit.Client {
	return testkit.NewClient(t, brokers, kgo.FetchIsolationLevel(kgo.ReadCommitted()))
}

func values(rs []*kgo.Record) []string {
	vs := make([]string, len(rs))
	for i, r := range rs {
		vs[i] = string(r.Value)
	}
	slices.Sort(vs)
	return vs
}

func TestOutputsAndOffsetsAreCommittedTogether(t *testing.T) {
	t.Parallel()
	k := testkit.Kfake(t)
	k.Topic("in", 3)
	k.Topic("out", 2)
	cl := testkit.NewClient(t, k.Brokers())
	cl.ProduceText("in", numbered(300)...)
	c := startProcessor(t, k.Brokers(), &doubler{name: "a"}, nil)
	if got := values(committedReader(t, k.Brokers()).Read("out", 600)); !slices.Equal(got, doubled(300)) {
		t.Errorf("%d outputs", len(got))
	}
	cl.WaitDrained("g", "in")
	c.waitHealthy()
	if n, in := c.counts.transacted.Load(), c.counts.transactions.Load(); n != 600 || in == 0 {
		t.Errorf("%d outputs in %d transactions were counted, want 600", n, in)
	}
}

func TestAFailedTransactionHasNoEffectAndIsRepeated(t *testing.T) {
	t.Parallel()
	k := testkit.Kfake(t)
	k.Topic("in", 1)
	k.Topic("out", 1)
	cl := testkit.NewClient(t, k.Brokers())
	k.RefuseTransactionOffsets(3, kerr.UnknownMemberID)
	d := &doubler{name: "a"}
	startProcessor(t, k.Brokers(), d, nil)
	cl.ProduceText("in", numbered(10)...)
	cl.WaitDrained("g", "in")
	if got := values(committedReader(t, k.Brokers()).Read("out", 20)); !slices.Equal(got, doubled(10)) {
		t.Errorf("outputs %v", got)
	}
	if d.calls != 10 {
		t.Errorf("the component was called for %d records, want 10: what is finished need not be done again", d.calls)
	}
}

func TestAfterACopyIsGoneInTheMiddleEachOutputIsThereOnce(t *testing.T) {
	t.Parallel()
	k := testkit.Kfake(t, kfake.BrokerConfigs(map[string]string{"group.min.session.timeout.ms": "500"}))
	k.Topic("in", 4)
	k.Topic("out", 2)
	cl := testkit.NewClient(t, k.Brokers())
	// Copies come and go while the records flow; none of them ends in order, so the next one waits for the session to be
	// over.
	for i := range 5 {
		cl.ProduceText("in", numbered(400)[80*i:80*(i+1)]...)
		reached := make(chan struct{}, 1)
		d := &doubler{name: fmt.Sprint("copy", i), do: func(ctx context.Context, batch []*record.Record) error {
			select {
			case reached <- struct{}{}:
			default:
			}
			return nil
		}}
		c := startProcessor(t, k.Brokers(), d, map[string]string{"batch_max_records": "7", "session_timeout": "2s"})
		<-reached
		hurry, cancel := context.WithCancel(t.Context())
		cancel()
		c.Stop(hurry)
	}
	startProcessor(t, k.Brokers(), &doubler{name: "last"}, nil)
	cl.WaitDrained("g", "in")
	if got := values(committedReader(t, k.Brokers()).Read("out", 800)); !slices.Equal(got, doubled(400)) {
		t.Errorf("%d outputs, want each of 800 once", len(got))
	}
}

func TestARecordWhoseOutputCannotBeProducedIsDeadLettered(t *testing.T) {
	t.Parallel()
	k := testkit.Kfake(t)
	for _, topic := range []string{"in", "out", "dlq"} {
		k.Topic(topic, 1)
	}
	cl := testkit.NewClient(t, k.Brokers())
	cl.ProduceText("in", "x")
	c := startWith(t, k.Brokers(), &handler{name: "a"}, map[string]string{"topic": "in", "dead_letter_topic": "dlq"}, func(cfg *Config) {
		cfg.Receiver, cfg.Batches = &doubler{name: "a"}, true
		cfg.Outputs = &dispatch.Outputs{
			Prepare: func([]record.Outgoing, record.Outgoing) ([]record.Outgoing, error) {
				return nil, errors.New("not among allowed_topics")
			},
			Produce: func(context.Context, []record.Outgoing) error { t.Error("produced all the same"); return nil },
		}
	})
	cl.Read("dlq", 1)
	cl.WaitDrained("g", "in")
	if c.counts.buried.Load() != 1 {
		t.Errorf("buried %d", c.counts.buried.Load())
	}
}

// What Kafka refuses of one record holds up its partition alone, until either side is mended, and health says what it
// is.
func TestAnOutputThatKafkaRefusesHoldsUpItsPartitionAlone(t *testing.T) {
	t.Parallel()
	missing, few := record.Outgoing{Topic: "missing", Partition: record.AnyPartition}, record.Outgoing{Topic: "few", Partition: 2}
	for name, refused := range map[string]struct {
		output record.Outgoing
		says   string
		mend   func(k *testkit.FakeKafka, cl *testkit.Client) // nil: the component is mended
	}{
		"a topic that is not there": {
			missing, "an output for topic missing is refused: the topic or partition does not exist",
			func(k *testkit.FakeKafka, _ *testkit.Client) { k.Topic("missing", 1) },
		},
		"a topic that the component does not ask for any more": {missing, "an output for topic missing is refused", nil},
		"a partition that its topic does not have": {
			few, "an output for topic few is refused: there is no partition 2: the topic has 1 (0 to 0)",
			func(_ *testkit.FakeKafka, cl *testkit.Client) { cl.AddPartitions("few", 2) },
		},
		"a partition that the component does not ask for any more": {few, "an output for topic few is refused: there is no partition 2", nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := testkit.Kfake(t)
			k.Topic("in", 2)
			k.Topic("out", 1)
			k.Topic("few", 1)
			cl := testkit.NewClient(t, k.Brokers(), kgo.RecordPartitioner(kgo.ManualPartitioner()))
			var mended atomic.Bool
			h := &handler{name: "a"}
			d := &doubler{name: "a", do: func(ctx context.Context, batch []*record.Record) error {
				h.Receive(ctx, batch)
				return nil
			}, outcome: func(r *record.Record, o *record.Outcome) {
				if string(r.Value) == "bad" && !mended.Load() {
					o.Outputs = append(o.Outputs, refused.output)
				}
			}}
			c := startProcessor(t, k.Brokers(), d, map[string]string{"retry_backoff_max": "2s"})
			in := func(partition int32, key, value string) *kgo.Record {
				return &kgo.Record{Topic: "in", Partition: partition, Key: []byte(key), Value: []byte(value)}
			}
			cl.Produce(in(0, "a", "first"), in(0, "a", "bad"), in(1, "", "good"))
			cl.WaitCommitted("g", "in", map[int32]int64{0: 1, 1: 1})
			told := func() error {
				problems := c.Status().Problems
				if len(problems) != 1 || problems[0].Kind != status.ProblemOutputs || !strings.Contains(problems[0].Text, refused.says) ||
					!strings.HasSuffix(problems[0].Text, "(in/0, offset 1)") {
					return fmt.Errorf("the problems are %+v", problems)
				}
				return nil
			}
			testkit.Eventually(t, patience, told)
			cl.Produce(in(0, "a", "behind"), in(0, "b", "beside"), in(1, "", "more"))
			cl.WaitCommitted("g", "in", map[int32]int64{0: 1, 1: 2})
			before := len(h.seen())
			h.waitCalls(t, before+2) // the refused record's
			if err := told(); err != nil {
				t.Error(err)
			}
			if calls := h.values(); slices.Contains(calls, "behind") || slices.Contains(calls, "beside") {
				t.Errorf("its partition does not stand: %v", calls)
			}
			if mended.Store(refused.mend == nil); refused.mend != nil {
				refused.mend(k, cl)
			}
			cl.WaitCommitted("g", "in", map[int32]int64{0: 4, 1: 2})
			var want []string
			for _, v := range []string{"first", "bad", "behind", "beside", "good", "more"} {
				want = append(want, v+"a", v+"b")
			}
			slices.Sort(want)
			if got := values(committedReader(t, k.Brokers()).Read("out", len(want))); !slices.Equal(got, want) {
				t.Errorf("outputs %v", got)
			}
			c.waitHealthy()
		})
	}
}
