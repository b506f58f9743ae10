package consume

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/messaging-kafka/messaging-kafka/internal/engine/kafka"
	"github.com/messaging-kafka/messaging-kafka/internal/record"
	"github.com/messaging-kafka/messaging-kafka/internal/settings"
	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// patience is how long a test waits for what happens at once where nothing is wrong, on a machine where many tests run.
const patience = testkit.DefaultTimeout

// call is what a component of a test was called with.
type call struct {
	copy    string
	topic   string
	part    int32
	offset  int64
	key     string
	value   string
	attempt int
}

// handler is a component played by the test.
type handler struct {
	name string
	do   func(ctx context.Context, r *record.Record) (record.Kind, error)

	mu      sync.Mutex
	calls   []call
	running int
}

func (h *handler) Receive(ctx context.Context, batch []*record.Record) []record.Outcome {
	outcomes := make([]record.Outcome, len(batch))
	for i, r := range batch {
		outcomes[i].Kind, outcomes[i].Err = h.call(ctx, r)
	}
	return outcomes
}

func (h *handler) call(ctx context.Context, r *record.Record) (record.Kind, error) {
	h.mu.Lock()
	h.calls = append(h.calls, call{h.name, r.Topic, r.Partition, r.Offset, string(r.Key), string(r.Value), r.Attempt})
	h.running++
	h.mu.Unlock()
	defer func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.running--
	}()
	if h.do == nil {
		return record.Done, nil
	}
	return h.do(ctx, r)
}

func (h *handler) seen() []call {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]call(nil), h.calls...)
}

func (h *handler) values() []string {
	var vs []string
	for _, c := range h.seen() {
		vs = append(vs, c.value)
	}
	return vs
}

// waitCalls waits until the component has been called n times.
func (h *handler) waitCalls(t *testing.T, n int) []call {
	t.Helper()
	testkit.Eventually(t, patience, func() error {
		if got := len(h.seen()); got < n {
			return fmt.Errorf("%d calls, want %d", got, n)
		}
		return nil
	})
	return h.seen()
}

// counts implements Observer.
type counts struct {
	fetched, rebalanced, missed, buried, skipped, commitErrors atomic.Int64
	done, failed, repeated, delayed                            atomic.Int64
	transactions, transacted                                   atomic.Int64
}

func (c *counts) Redelivered() { c.repeated.Add(1) }
func (c *counts) Batched(int)  {}
func (c *counts) Transaction(err error, _ time.Duration, records, _ int) {
	if err == nil {
		c.transactions.Add(1)
		c.transacted.Add(int64(records))
	}
}

func (c *counts) GivenUp(time.Duration) { c.failed.Add(1) }
func (c *counts) Delivered(o record.Kind, _ time.Duration) {
	if o == record.Done {
		c.done.Add(1)
	} else {
		c.failed.Add(1)
	}
}
func (c *counts) RecordGivenUp(dead bool) {
	if dead {
		c.buried.Add(1)
	} else {
		c.skipped.Add(1)
	}
}
func (c *counts) RecordDelayed(time.Duration) { c.delayed.Add(1) }
func (c *counts) Fetched(records, _ int)      { c.fetched.Add(int64(records)) }
func (c *counts) Rebalanced()                 { c.rebalanced.Add(1) }
func (c *counts) Missed(n int64)              { c.missed.Add(n) }
func (c *counts) Committed(err error) {
	if err != nil {
		c.commitErrors.Add(1)
	}
}

// copyOf is one copy of the provider, as far as this package goes.
type copyOf struct {
	*Consumer
	t      *testing.T
	h      *handler
	counts *counts
	log    *testkit.Log
	link   settings.Link
}

// start starts a consumer with link settings as a user writes them. Unless a test is about it, no time of the group is
// over while other tests have the processors.
func start(t *testing.T, brokers []string, h *handler, config map[string]string) *copyOf {
	t.Helper()
	return startWith(t, brokers, h, config, func(*Config) {})
}

// startWith starts a consumer whose Config the test may change.
func startWith(t *testing.T, brokers []string, h *handler, config map[string]string, change func(*Config)) *copyOf {
	t.Helper()
	full := map[string]string{
		"hosts": strings.Join(brokers, ","), "consumer_group": "g", "start": "earliest", "commit_interval": "20ms",
		"fetch_max_wait": "100ms", "session_timeout": "30s", "rebalance_timeout": "30s", "retry_backoff": "5ms",
	}
	maps.Copy(full, config)
	link, warnings, err := settings.ParseLink(settings.Input{Config: full, Identity: settings.Identity{
		Lattice: "l", Component: "echo", LinkName: "default", HostID: "N" + h.name,
	}})
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range warnings {
		t.Log("warning:", w)
	}
	c := &copyOf{t: t, h: h, counts: &counts{}, log: &testkit.Log{}, link: link}
	access, err := kafka.NewAccess(link.Cluster, c.log.Logger())
	if err != nil {
		t.Fatal(err)
	}
	producer := testkit.NewClient(t, brokers)
	cfg := Config{
		Settings: link, Access: access, Receiver: h, Component: "echo", Observer: c.counts, Log: c.log.Logger(),
		Send: func(ctx context.Context, records ...record.Outgoing) []record.Result {
			results := make([]record.Result, len(records))
			for i, out := range records {
				r := &kgo.Record{Topic: out.Topic, Key: out.Key, Value: out.Value, Timestamp: out.Timestamp}
				for _, h := range out.Headers {
					r.Headers = append(r.Headers, kgo.RecordHeader{Key: h.Key, Value: h.Value})
				}
				results[i].Err = producer.ProduceSync(ctx, r).FirstErr()
			}
			return results
		},
	}
	change(&cfg)
	c.Consumer = Start(cfg)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("status of copy %s: %+v", h.name, c.Status())
		}
		c.stop()
		if t.Failed() {
			t.Logf("log of copy %s:\n%s", h.name, c.log)
		}
	})
	return c
}

// stop stops the consumer as a shutdown with time enough does.
func (c *copyOf) stop() {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c.Stop(ctx)
}

// session returns the session that the consumer has at the moment.
func (c *copyOf) session() *session {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.current.(*session)
}

// refusedCommit is the answer of a broker that takes none of a request's offsets.
func refusedCommit(req *kmsg.OffsetCommitRequest, with *kerr.Error) *kmsg.OffsetCommitResponse {
	resp := req.ResponseKind().(*kmsg.OffsetCommitResponse)
	for _, topic := range req.Topics {
		t := kmsg.NewOffsetCommitResponseTopic()
		t.Topic, t.TopicID = topic.Topic, topic.TopicID
		for _, partition := range topic.Partitions {
			p := kmsg.NewOffsetCommitResponseTopicPartition()
			p.Partition, p.ErrorCode = partition.Partition, with.Code
			t.Partitions = append(t.Partitions, p)
		}
		resp.Topics = append(resp.Topics, t)
	}
	return resp
}

// waitHealthy waits until no problem is left.
func (c *copyOf) waitHealthy() {
	c.t.Helper()
	testkit.Eventually(c.t, patience, func() error {
		if ps := c.Status().Problems; len(ps) > 0 {
			return fmt.Errorf("problems: %q", ps)
		}
		return nil
	})
}

// waitProblem waits until the status names a problem with all the parts.
func (c *copyOf) waitProblem(parts ...string) {
	c.t.Helper()
	testkit.Eventually(c.t, patience, func() error {
		all := c.Status().Problems.String()
		for _, part := range parts {
			if !strings.Contains(all, part) {
				return fmt.Errorf("problems are %q, want one with %q", all, part)
			}
		}
		return nil
	})
}

// owned returns the partitions of a topic that the copy has.
func (c *copyOf) owned(topic string) []int32 {
	var ids []int32
	for _, p := range c.Partitions() {
		if p.Topic == topic {
			ids = append(ids, p.Partition)
		}
	}
	return ids
}

// waitOwned waits until the copies own n partitions of the topic each.
func waitOwned(t *testing.T, topic string, n int, copies ...*copyOf) {
	t.Helper()
	testkit.Eventually(t, patience, func() error {
		for _, c := range copies {
			if got := c.owned(topic); len(got) != n {
				return fmt.Errorf("copy %s owns %v, want %d partitions", c.h.name, got, n)
			}
		}
		return nil
	})
}
