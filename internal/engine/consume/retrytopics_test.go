package consume

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/messaging-kafka/messaging-kafka/internal/observe/status"
	"github.com/messaging-kafka/messaging-kafka/internal/record"
	"github.com/messaging-kafka/messaging-kafka/internal/settings"
	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

// failingBad fails the records whose value begins with "bad", so often.
func failingBad(times int) func(context.Context, *record.Record) (record.Kind, error) {
	return func(_ context.Context, r *record.Record) (record.Kind, error) {
		if strings.HasPrefix(string(r.Value), "bad") && r.Attempt <= times {
			return record.Retry, errors.New("no")
		}
		return record.Done, nil
	}
}

const always = 1 << 30

func TestARecordThatFailsComesBackFromRetryTopics(t *testing.T) {
	for _, protocol := range []string{"classic", "consumer"} {
		for source, topic := range map[string]string{"a topic": "in", "a pattern": "/i.*/"} {
			t.Run(protocol+", "+source, func(t *testing.T) {
				t.Parallel()
				k := testkit.Kfake(t)
				k.Topic("in", 1)
				k.Topic("dead", 1)
				cl := testkit.NewClient(t, k.Brokers())
				var mu sync.Mutex
				var came []time.Time
				var bad []*record.Record
				fails := failingBad(always)
				h := &handler{name: "a", do: func(ctx context.Context, r *record.Record) (record.Kind, error) {
					mu.Lock()
					defer mu.Unlock()
					if string(r.Value) == "bad" {
						bad, came = append(bad, r), append(came, time.Now())
					}
					return fails(ctx, r)
				}}
				stamp := time.UnixMilli(1_700_000_000_000)
				send := func(value string) {
					cl.Produce(&kgo.Record{Topic: "in", Key: []byte("k"), Value: []byte(value), Timestamp: stamp,
						Headers: []kgo.RecordHeader{{Key: "h", Value: []byte("1")}}})
				}
				c := start(t, k.Brokers(), h, map[string]string{
					"topic": topic, "retry_topics": "200ms,400ms", "dead_letter_topic": "dead", "create_topics": "true", "group_protocol": protocol, "reply_topic": "none",
				})
				send("good 0")
				send("bad")
				send("good 2")
				h.waitCalls(t, 5)
				dead := cl.Read("dead", 1)[0]
				cl.WaitDrained("g", "in")
				cl.WaitDrained("g", "g-retry-200ms")
				cl.WaitDrained("g", "g-retry-400ms")
				if got := h.values(); !slices.Equal(got, []string{"good 0", "bad", "good 2", "bad", "bad"}) {
					t.Errorf("called with %q", got)
				}
				for i, r := range bad {
					want := &record.Record{Topic: "in", Partition: 0, Offset: 1, LeaderEpoch: r.LeaderEpoch, Timestamp: stamp, Key: []byte("k"), Value: []byte("bad"),
						Headers: []record.Header{{Key: "h", Value: []byte("1")}}, Attempt: i + 1}
					if fmt.Sprint(r) != fmt.Sprint(want) {
						t.Errorf("delivery %d was of %+v, want %+v", i+1, r, want)
					}
				}
				for i, least := range []time.Duration{200 * time.Millisecond, 400 * time.Millisecond} {
					if waited := came[i+1].Sub(came[i]); waited < least {
						t.Errorf("delivery %d came %s after the one before", i+2, waited)
					}
				}
				headers := make(map[string]string)
				for _, h := range dead.Headers {
					headers[h.Key] = string(h.Value)
				}
				for name, want := range map[string]string{
					HeaderOriginalTopic: "in", HeaderOriginalOffset: string(binary.BigEndian.AppendUint64(nil, 1)), "h": "1",
					HeaderOriginalTimestamp: string(binary.BigEndian.AppendUint64(nil, uint64(stamp.UnixMilli()))),
					HeaderAttempts:          string(binary.BigEndian.AppendUint32(nil, 3)), HeaderError: "no", HeaderRetryFrom: "", HeaderRetryReason: "",
				} {
					if headers[name] != want {
						t.Errorf("the dead letter has %s=%q, want %q", name, headers[name], want)
					}
				}
				if !dead.Timestamp.Equal(stamp) || c.counts.delayed.Load() != 2 || c.counts.buried.Load() != 1 {
					t.Errorf("the dead letter is of %s; %d delayed, %d buried", dead.Timestamp, c.counts.delayed.Load(), c.counts.buried.Load())
				}
				c.waitHealthy()
			})
		}
	}
}

func TestARetryTopicHoldsWhatANewRecordNeeds(t *testing.T) {
	t.Parallel()
	cfg := &Config{}
	r := &record.Record{Topic: "in", Partition: 3, Offset: 1 << 40, Timestamp: time.UnixMilli(1_700_000_000_123), Key: []byte("k"), Value: []byte("v"),
		Headers: []record.Header{{Key: "h"}, {Key: HeaderRetryFrom, Value: []byte("of another group")}, {Key: HeaderAttempts, Value: []byte{0, 0, 0, 4}}}}
	out := cfg.newRetry(r, &settings.RetryTopic{Topic: "g-retry-5s", Delay: 5 * time.Second}, 2, errors.New("no"))
	read := &record.Record{Topic: out.Topic, Partition: 0, Offset: 9, LeaderEpoch: 7, Timestamp: time.UnixMilli(1_800_000_000_000), Key: out.Key, Value: out.Value, Headers: out.Headers}
	was, attempts := beforeRetry(read)
	want := &record.Record{Topic: "in", Partition: 3, Offset: 1 << 40, LeaderEpoch: -1, Timestamp: r.Timestamp, Key: r.Key, Value: r.Value,
		Headers: []record.Header{{Key: "h"}, {Key: HeaderAttempts, Value: []byte{0, 0, 0, 4}}}}
	if fmt.Sprint(was) != fmt.Sprint(want) || attempts != 2 {
		t.Errorf("%+v after %d attempts, want %+v", was, attempts, want)
	}
	cfg.Settings.Delivery.RetryTopics = []settings.RetryTopic{{Topic: "g-retry-5s", Delay: 5 * time.Second}}
	if h := cfg.history(read); h.Earlier != 4 || h.Attempts != 2 {
		t.Errorf("its history is %+v", h)
	}
	read.Topic = "another" // where nobody takes its word
	if h := cfg.history(read); h.Earlier != 4 || h.Attempts != 0 || h.As != nil || !h.Due.IsZero() {
		t.Errorf("its history is %+v", h)
	}
}

func TestWhatOthersWriteToARetryTopicIsDeliveredAsItIs(t *testing.T) {
	t.Parallel()
	header := func(key, value string) record.Header { return record.Header{Key: key, Value: []byte(value)} }
	good := []record.Header{header(HeaderRetryFrom, "in/0/5"), header(HeaderRetryTimestamp, "7"), header(HeaderRetryAttempts, "1")}
	for name, headers := range map[string][]record.Header{
		"no headers":            nil,
		"no place":              good[1:],
		"no time":               {good[0], good[2]},
		"no attempts":           good[:2],
		"no name of a topic":    append([]record.Header{header(HeaderRetryFrom, "a b/0/5")}, good[1:]...),
		"a place with more":     append([]record.Header{header(HeaderRetryFrom, "in/0/5/6")}, good[1:]...),
		"a partition below 0":   append([]record.Header{header(HeaderRetryFrom, "in/-1/5")}, good[1:]...),
		"an offset below 0":     append([]record.Header{header(HeaderRetryFrom, "in/0/-5")}, good[1:]...),
		"too many attempts":     {good[0], good[1], header(HeaderRetryAttempts, "99999999")},
		"attempts that are not": {good[0], good[1], header(HeaderRetryAttempts, "-1")},
	} {
		r := &record.Record{Topic: "g-retry-1s", Partition: 2, Offset: 3, LeaderEpoch: 4, Timestamp: time.UnixMilli(5), Headers: headers}
		if was, attempts := beforeRetry(r); fmt.Sprint(was) != fmt.Sprint(r) || attempts != 0 {
			t.Errorf("%s: %+v after %d attempts", name, was, attempts)
		}
	}
}

// The clock of the copy that stored a record may be ahead of that of the one that reads it.
func TestARecordOfTheFutureWaitsNoLongerThanItsDelay(t *testing.T) {
	t.Parallel()
	cfg := &Config{}
	cfg.Settings.Delivery.RetryTopics = []settings.RetryTopic{{Topic: "r", Delay: time.Minute}}
	now := time.Now()
	for stamp, want := range map[time.Time]time.Time{now.Add(-time.Hour): now.Add(-59 * time.Minute), now.Add(-time.Second): now.Add(59 * time.Second)} {
		if got := cfg.history(&record.Record{Topic: "r", Timestamp: stamp}).Due; !got.Equal(want.Add(time.Millisecond)) {
			t.Errorf("due at %s, want %s", got, want)
		}
	}
	if got := cfg.history(&record.Record{Topic: "r", Timestamp: now.Add(time.Hour)}).Due; got.After(time.Now().Add(time.Minute)) {
		t.Errorf("due at %s", got)
	}
}

// Those that wait hold up nobody: neither their key, nor their partition, nor the reading of others.
func TestARecordThatWaitsHoldsUpNothing(t *testing.T) {
	t.Parallel()
	k := testkit.Kfake(t)
	k.Topic("in", 1)
	cl := testkit.NewClient(t, k.Brokers())
	h := &handler{name: "a", do: failingBad(always)}
	c := start(t, k.Brokers(), h, map[string]string{
		"topic": "in", "retry_topics": "1h", "create_topics": "true", "create_topics_partitions": "1", "order": "partition", "max_in_flight": "1", "max_buffer": "64KiB",
	})
	const bad, all = 600, 1200
	for i := range all {
		value := "good"
		if i%2 == 0 {
			value = "bad" + strings.Repeat("x", 1000)
		}
		cl.Produce(&kgo.Record{Topic: "in", Key: []byte("k"), Value: fmt.Appendf(nil, "%s %d", value, i)})
	}
	h.waitCalls(t, all)
	cl.WaitDrained("g", "in")
	testkit.Eventually(t, patience, func() error {
		for _, p := range c.Partitions() {
			if p.Topic == "g-retry-1h" && (p.Lag != bad || p.LagSeconds == nil || *p.LagSeconds != 0 || p.BufferedBytes == 0) {
				return fmt.Errorf("the retry topic is at %+v", p)
			}
		}
		if len(c.owned("g-retry-1h")) != 1 {
			return errors.New("nobody has the retry topic")
		}
		return nil
	})
	// Of what waits, little is in memory.
	s := c.session()
	s.mu.Lock()
	a := s.assigned[topicPartition{"g-retry-1h", 0}]
	parked, held, paused := a.Load().Parked, a.Load().Bytes, a.paused
	s.mu.Unlock()
	if parked == 0 || parked == bad || held > 2*minShare+pollBytes || !paused {
		t.Errorf("%d of %d are in memory with %d bytes; paused: %v", parked, bad, held, paused)
	}
	if got := len(h.seen()); got != all {
		t.Errorf("%d calls", got)
	}
	c.waitHealthy()
	if st := c.Status().Dispatch; st.Waiting != 0 || st.InFlight != 0 {
		t.Errorf("%+v", st)
	}
}

// A long retry topic is read bit by bit as the times of its records come, by whoever has its partition.
func TestCopiesShareRetryTopicsAndTakeThemOver(t *testing.T) {
	t.Parallel()
	k := testkit.Kfake(t)
	k.Topic("in", 4)
	cl := testkit.NewClient(t, k.Brokers())
	const all = 2000
	var mu sync.Mutex
	done := make(map[string]int)
	do := func(_ context.Context, r *record.Record) (record.Kind, error) {
		if r.Attempt == 1 {
			return record.Retry, errors.New("no")
		}
		mu.Lock()
		defer mu.Unlock()
		done[string(r.Value)]++
		return record.Done, nil
	}
	config := map[string]string{"topic": "in", "retry_topics": "300ms", "create_topics": "true", "create_topics_partitions": "4"}
	a := start(t, k.Brokers(), &handler{name: "a", do: do}, config)
	b := start(t, k.Brokers(), &handler{name: "b", do: do}, config)
	// None of them has retry topics alone, which would leave it idle while nothing fails.
	waitOwned(t, "in", 2, a, b)
	waitOwned(t, "g-retry-300ms", 2, a, b)
	for i := range all {
		cl.Produce(&kgo.Record{Topic: "in", Key: fmt.Append(nil, i%50), Value: fmt.Append(nil, i)})
		if i == all/2 {
			a.h.waitCalls(t, 1)
			a.stop()
		}
	}
	cl.WaitDrained("g", "in")
	cl.WaitDrained("g", "g-retry-300ms")
	mu.Lock()
	defer mu.Unlock()
	if len(done) != all {
		t.Errorf("%d of %d records are done", len(done), all)
	}
	b.waitHealthy()
}

func TestWithTransactionsARecordIsMovedOnce(t *testing.T) {
	t.Parallel()
	k := testkit.Kfake(t)
	for _, topic := range []string{"in", "out", "dead", "g-retry-100ms"} {
		k.Topic(topic, 1)
	}
	cl := testkit.NewClient(t, k.Brokers())
	d := &doubler{name: "a", outcome: func(r *record.Record, o *record.Outcome) {
		if v := string(r.Value); v == "1" || v == "3" && r.Attempt == 1 {
			*o = record.Outcome{Kind: record.Retry, Err: errors.New("no")}
		}
	}}
	c := startProcessor(t, k.Brokers(), d, map[string]string{"retry_topics": "100ms", "dead_letter_topic": "dead"})
	c.waitHealthy()
	cl.ProduceText("in", numbered(5)...)
	reader := committedReader(t, k.Brokers())
	if got := values(reader.Read("out", 8)); !slices.Equal(got, []string{"0a", "0b", "2a", "2b", "3a", "3b", "4a", "4b"}) {
		t.Errorf("outputs %v", got)
	}
	if got := values(reader.Read("dead", 1)); !slices.Equal(got, []string{"1"}) {
		t.Errorf("dead letters %v", got)
	}
	if got := values(reader.Read("g-retry-100ms", 2)); !slices.Equal(got, []string{"1", "3"}) {
		t.Errorf("moved %v", got)
	}
	cl.WaitDrained("g", "in")
	cl.WaitDrained("g", "g-retry-100ms")
	if n := c.counts.delayed.Load(); n != 2 {
		t.Errorf("counted %d", n)
	}
	c.waitHealthy()
}

// What waits in a retry topic is the group's own, whatever start says and whoever has put it there.
func TestARetryTopicIsReadFromItsStart(t *testing.T) {
	t.Parallel()
	k := testkit.Kfake(t)
	k.Topic("in", 1)
	k.Topic("g-retry-1s", 1)
	cl := testkit.NewClient(t, k.Brokers())
	cl.ProduceText("in", "before")
	cl.Produce(&kgo.Record{Topic: "g-retry-1s", Value: []byte("waits"), Timestamp: time.Now().Add(-time.Minute), Headers: []kgo.RecordHeader{
		{Key: HeaderRetryFrom, Value: []byte("in/0/9")}, {Key: HeaderRetryTimestamp, Value: []byte("5")}, {Key: HeaderRetryAttempts, Value: []byte("2")}}})
	h := &handler{name: "a"}
	start(t, k.Brokers(), h, map[string]string{"topic": "in", "retry_topics": "1s", "start": "latest"})
	if got := h.waitCalls(t, 1); got[0] != (call{"a", "in", 0, 9, "", "waits", 3}) {
		t.Errorf("called with %+v", got)
	}
}

func TestARetryTopicThatIsMissingOrCannotBeWrittenIsTold(t *testing.T) {
	t.Parallel()
	k := testkit.Kfake(t)
	k.Topic("in", 1)
	cl := testkit.NewClient(t, k.Brokers())
	h := &handler{name: "a", do: failingBad(1)}
	c := startWith(t, k.Brokers(), h, map[string]string{"topic": "in", "retry_topics": "100ms"}, func(cfg *Config) {
		send := cfg.Send
		cfg.Send = func(ctx context.Context, records ...record.Outgoing) []record.Result {
			ctx, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
			defer cancel()
			return send(ctx, records...)
		}
	})
	c.waitProblem("topic g-retry-100ms", "does not exist")
	cl.ProduceText("in", "bad")
	c.waitProblem("records that failed cannot be written to their retry topics")
	if !c.Status().Problems.Has(status.ProblemRetryTopics) {
		t.Errorf("problems %v", c.Status().Problems)
	}
	testkit.InRunbook(t, "Dead letters cannot be written", c.Status().Problems.String())
	k.Topic("g-retry-100ms", 1)
	cl.WaitDrained("g", "in")
	h.waitCalls(t, 2)
	cl.WaitDrained("g", "g-retry-100ms")
	c.waitHealthy()
}

func TestTheLagOfAGroupIsThatOfItsRetryTopicsToo(t *testing.T) {
	t.Parallel()
	k := testkit.Kfake(t)
	k.Topic("in", 1)
	k.Topic("g-retry-1h", 1)
	cl := testkit.NewClient(t, k.Brokers())
	h := &handler{name: "a", do: failingBad(always)}
	c := start(t, k.Brokers(), h, map[string]string{"topic": "in", "retry_topics": "1h"})
	c.waitHealthy()
	cl.ProduceText("in", "good", "bad")
	cl.WaitDrained("g", "in")
	testkit.Eventually(t, patience, func() error {
		lags, err := c.GroupLag(t.Context())
		if err != nil {
			return err
		}
		got := make(map[string]int64)
		for _, l := range lags {
			got[l.Topic] = l.Lag
		}
		if want := map[string]int64{"in": 0, "g-retry-1h": 1}; !maps.Equal(got, want) {
			return fmt.Errorf("lag is %v", got)
		}
		return nil
	})
}
