package consume

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/messaging-kafka/messaging-kafka/internal/record"
	"github.com/messaging-kafka/messaging-kafka/internal/settings"
	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

func numbered(n int) []string {
	vs := make([]string, n)
	for i := range vs {
		vs[i] = fmt.Sprint(i)
	}
	return vs
}

func TestEveryRecordIsHandledAndTheLagIsZero(t *testing.T) {
	t.Parallel()
	k := testkit.Kfake(t)
	k.Topic("t", 3)
	cl := testkit.NewClient(t, k.Brokers())
	cl.ProduceText("t", numbered(500)...)
	h := &handler{name: "a"}
	c := start(t, k.Brokers(), h, map[string]string{"topic": "t"})
	c.waitHealthy()
	cl.WaitDrained("g", "t")
	got := h.values()
	slices.SortFunc(got, func(a, b string) int { return len(a)*10000 - len(b)*10000 + cmpText(a, b) })
	if !slices.Equal(got, numbered(500)) {
		t.Errorf("handled %d records: %v", len(got), got)
	}
	c.stop()
	// Whoever comes next finds nothing to do.
	h2 := &handler{name: "b"}
	start(t, k.Brokers(), h2, map[string]string{"topic": "t"}).waitHealthy()
	cl.ProduceText("t", "last")
	if calls := h2.waitCalls(t, 1); len(calls) != 1 || calls[0].value != "last" {
		t.Errorf("after a restart: %v", calls)
	}
}

func cmpText(a, b string) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

func TestTheStartIsPinnedByACommit(t *testing.T) {
	t.Parallel()
	k := testkit.Kfake(t)
	k.Topic("t", 2)
	cl := testkit.NewClient(t, k.Brokers())
	cl.ProduceText("t", "old", "older", "oldest")
	ends := cl.EndOffsets("t")
	h := &handler{name: "a"}
	c := start(t, k.Brokers(), h, map[string]string{"topic": "t", "start": "latest"})
	c.waitHealthy()
	cl.WaitCommitted("g", "t", ends)
	c.stop()
	cl.ProduceText("t", "while away")
	start(t, k.Brokers(), h, map[string]string{"topic": "t", "start": "latest"})
	if calls := h.waitCalls(t, 1); calls[0].value != "while away" {
		t.Errorf("calls = %v", calls)
	}
}

func TestStartAtATimeAndBack(t *testing.T) {
	t.Parallel()
	k := testkit.Kfake(t)
	cl := testkit.NewClient(t, k.Brokers())
	now := time.Now().Truncate(time.Millisecond)
	for name, at := range map[string]string{"time": now.Add(-90 * time.Minute).UTC().Format(time.RFC3339), "back": "90m"} {
		k.Topic(name, 1)
		for _, age := range []int{3, 2, 1, 0} {
			at := now.Add(-time.Duration(age) * time.Hour)
			cl.Produce(&kgo.Record{Topic: name, Value: fmt.Append(nil, age), Timestamp: at})
		}
		h := &handler{name: name}
		start(t, k.Brokers(), h, map[string]string{"topic": name, "start": at, "consumer_group": name, "max_in_flight": "1"})
		h.waitCalls(t, 2)
		cl.WaitDrained(name, name)
		if got := h.values(); !slices.Equal(got, []string{"1", "0"}) {
			t.Errorf("start=%s delivers %v", at, got)
		}
	}
}

func TestAPartitionAddedLaterIsReadFromItsStart(t *testing.T) {
	t.Parallel()
	k := testkit.Kfake(t)
	k.Topic("t", 1)
	cl := testkit.NewClient(t, k.Brokers())
	h := &handler{name: "a"}
	c := start(t, k.Brokers(), h, map[string]string{"topic": "t", "start": "latest", "metadata_max_age": "1s"})
	c.waitHealthy()
	cl.WaitCommitted("g", "t", map[int32]int64{0: 0})
	cl.AddPartitions("t", 1)
	testkit.NewClient(t, k.Brokers(), kgo.RecordPartitioner(kgo.ManualPartitioner())).Produce(&kgo.Record{Topic: "t", Partition: 1, Value: []byte("early")})
	if calls := h.waitCalls(t, 1); calls[0].value != "early" || calls[0].part != 1 {
		t.Errorf("calls = %v", calls)
	}
}

func TestDeadLettersKeepTheRecordAndItsHistory(t *testing.T) {
	t.Parallel()
	k := testkit.Kfake(t)
	k.Topic("t", 1)
	k.Topic("t.dlq", 1)
	k.Topic("t.dlq.dlq", 1)
	cl := testkit.NewClient(t, k.Brokers())
	at := time.UnixMilli(1_700_000_000_000)
	cl.Produce(&kgo.Record{Topic: "t", Key: []byte("k"), Value: nil, Timestamp: at, Headers: []kgo.RecordHeader{
		{Key: "h", Value: []byte("1")}, {Key: "h", Value: nil}, {Key: "h", Value: []byte{}},
	}})
	bad := func(context.Context, *record.Record) (record.Kind, error) {
		return record.Retry, errors.New("schmutz")
	}
	h := &handler{name: "a", do: bad}
	c := start(t, k.Brokers(), h, map[string]string{"topic": "t", "dead_letter_topic": "t.dlq", "max_attempts": "3"})
	letter := cl.Read("t.dlq", 1)[0]
	cl.WaitDrained("g", "t")
	if c.counts.buried.Load() != 1 || len(h.seen()) != 3 {
		t.Errorf("buried %d, calls %v", c.counts.buried.Load(), h.seen())
	}
	if string(letter.Key) != "k" || letter.Value != nil || !letter.Timestamp.Equal(at) {
		t.Errorf("letter = %+v", letter)
	}
	for i, want := range [][]byte{[]byte("1"), nil, {}} {
		if got := letter.Headers[i]; got.Key != "h" || string(got.Value) != string(want) || (got.Value == nil) != (want == nil) {
			t.Errorf("header %d = %+v, want h=%q", i, got, want)
		}
	}
	header := func(r *kgo.Record, key string) []byte {
		for _, h := range r.Headers {
			if h.Key == key {
				return h.Value
			}
		}
		t.Errorf("no header %s", key)
		return make([]byte, 8)
	}
	if got := string(header(letter, HeaderOriginalTopic)); got != "t" {
		t.Errorf("origin topic = %q", got)
	}
	if got := binary.BigEndian.Uint64(header(letter, HeaderOriginalTimestamp)); got != uint64(at.UnixMilli()) {
		t.Errorf("origin timestamp = %d", got)
	}
	if got := string(header(letter, HeaderError)); got != "schmutz" {
		t.Errorf("error = %q", got)
	}
	if got := binary.BigEndian.Uint32(header(letter, HeaderAttempts)); got != 3 {
		t.Errorf("attempts = %d", got)
	}

	// Redrive: the count goes on, the origin stays, and nothing is there twice.
	h2 := &handler{name: "b", do: bad}
	start(t, k.Brokers(), h2, map[string]string{"topic": "t.dlq", "dead_letter_topic": "t.dlq.dlq", "max_attempts": "2", "consumer_group": "g2"})
	again := cl.Read("t.dlq.dlq", 1)[0]
	if calls := h2.seen(); len(calls) != 2 || calls[0].attempt != 4 || calls[1].attempt != 5 {
		t.Errorf("calls of the redrive = %v", calls)
	}
	if got := binary.BigEndian.Uint32(header(again, HeaderAttempts)); got != 5 {
		t.Errorf("attempts after the redrive = %d", got)
	}
	if got := string(header(again, HeaderOriginalTopic)); got != "t" {
		t.Errorf("origin after the redrive = %q", got)
	}
	if len(again.Headers) != len(letter.Headers) {
		t.Errorf("headers after the redrive: %v", again.Headers)
	}
}

func TestTransactionMarkersLeaveNoLag(t *testing.T) {
	t.Parallel()
	k := testkit.Kfake(t)
	k.Topic("t", 1)
	cl := testkit.NewClient(t, k.Brokers())
	tx := testkit.NewClient(t, k.Brokers(), kgo.TransactionalID("tx"))
	for i, commit := range []kgo.TransactionEndTry{kgo.TryCommit, kgo.TryAbort, kgo.TryCommit} {
		if err := tx.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		tx.ProduceText("t", fmt.Sprint(i))
		if err := tx.EndTransaction(t.Context(), commit); err != nil {
			t.Fatal(err)
		}
	}
	h := &handler{name: "a"}
	start(t, k.Brokers(), h, map[string]string{"topic": "t", "order": "partition"})
	cl.WaitCommitted("g", "t", map[int32]int64{0: 6})
	if got := h.values(); !slices.Equal(got, []string{"0", "2"}) {
		t.Errorf("handled %v, want the committed ones", got)
	}
}

func TestOutOfRange(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		policy settings.OutOfRange
		want   []string
		missed int64
	}{
		{settings.OutOfRangeEarliest, []string{"7", "8", "9", "new"}, 4},
		{settings.OutOfRangeLatest, []string{"new"}, 7},
		{settings.OutOfRangeStop, nil, 0},
	} {
		t.Run(string(tc.policy), func(t *testing.T) {
			t.Parallel()
			k := testkit.Kfake(t)
			k.Topic("t", 1)
			cl := testkit.NewClient(t, k.Brokers())
			cl.ProduceText("t", numbered(10)...)
			cl.CommitOffset("g", "t", 0, 3)
			cl.DeleteRecords("t", 0, 7)
			h := &handler{name: "a"}
			c := start(t, k.Brokers(), h, map[string]string{"topic": "t", "on_offset_out_of_range": string(tc.policy), "max_in_flight": "1"})
			if tc.policy == settings.OutOfRangeStop {
				c.waitProblem("t/0 is not read", "offset 3 is not in the log (7 to 10)")
				return
			}
			testkit.Eventually(t, patience, func() error {
				if !c.log.Contains("records_lost=" + fmt.Sprint(tc.missed)) {
					return errors.New("no word of the lost records")
				}
				return nil
			})
			testkit.InRunbook(t, "Records were skipped: offset out of range", c.log.String())
			cl.WaitDrained("g", "t") // what was lost is behind the group even when no record comes after it
			cl.ProduceText("t", "new")
			cl.WaitDrained("g", "t")
			if got := h.values(); !slices.Equal(got, tc.want) {
				t.Errorf("handled %v, want %v", got, tc.want)
			}
			if c.counts.missed.Load() != tc.missed {
				t.Errorf("missed = %d, want %d", c.counts.missed.Load(), tc.missed)
			}
			c.waitHealthy()
		})
	}
}

func TestAnOffsetBeyondTheEndOfTheLog(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		policy settings.OutOfRange
		want   []string
		says   []string
	}{
		{settings.OutOfRangeEarliest, append(numbered(10), "new"), []string{"beyond the end of the log", "offsets_beyond_end=50", "records_again=10", "everything that the log holds is delivered", "on_offset_out_of_range=latest"}},
		{settings.OutOfRangeLatest, []string{"new"}, []string{"beyond the end of the log", "offsets_beyond_end=50", "reading goes on from the end"}},
		{settings.OutOfRangeStop, nil, []string{"the partition stands still", "kafka-consumer-groups.sh --reset-offsets"}},
	} {
		for _, group := range []string{"classic", "consumer"} {
			t.Run(string(tc.policy)+" "+group, func(t *testing.T) {
				t.Parallel()
				k := testkit.Kfake(t)
				k.Topic("t", 1)
				cl := testkit.NewClient(t, k.Brokers())
				cl.ProduceText("t", numbered(10)...)
				cl.CommitOffset("g", "t", 0, 60)
				h := &handler{name: "a"}
				c := start(t, k.Brokers(), h, map[string]string{
					"topic": "t", "on_offset_out_of_range": string(tc.policy), "max_in_flight": "1", "group_protocol": group,
				})
				if tc.policy == settings.OutOfRangeStop {
					c.waitProblem("t/0 is not read", "offset 60 is not in the log (0 to 10) but beyond the end", "--reset-offsets")
				} else {
					cl.WaitCommitted("g", "t", map[int32]int64{0: 10})
					cl.ProduceText("t", "new")
					cl.WaitCommitted("g", "t", map[int32]int64{0: 11})
					c.waitHealthy()
				}
				if got := h.values(); !slices.Equal(got, tc.want) {
					t.Errorf("handled %v, want %v", got, tc.want)
				}
				for _, part := range tc.says {
					if !c.log.Contains(part) {
						t.Errorf("the log does not say %q", part)
					}
				}
				if c.log.Contains("records were lost") || c.counts.missed.Load() != 0 {
					t.Error("it says that records were lost")
				}
			})
		}
	}
}

// A replica that is behind refuses an offset that the log has: nothing is lost, and nothing is to be read again.
func TestAnOffsetThatTheLogHoldsIsKept(t *testing.T) {
	t.Parallel()
	k := testkit.Kfake(t)
	k.Topic("t", 1)
	cl := testkit.NewClient(t, k.Brokers())
	cl.ProduceText("t", numbered(10)...)
	cl.CommitOffset("g", "t", 0, 3)
	fault := k.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Topic: "t", Err: kerr.OffsetOutOfRange, Count: -1})
	h := &handler{name: "a"}
	c := start(t, k.Brokers(), h, map[string]string{"topic": "t", "order": "partition"})
	c.waitProblem("reading t/0", "the broker refuses offset 3, though the log holds it (0 to 10)")
	fault.Remove()
	cl.WaitCommitted("g", "t", map[int32]int64{0: 10})
	if got := h.values(); !slices.Equal(got, numbered(10)[3:]) {
		t.Errorf("handled %v", got)
	}
	c.waitHealthy()
}

func TestAMissingTopicIsNamedAndFoundWhenItComes(t *testing.T) {
	t.Parallel()
	k := testkit.Kfake(t)
	cl := testkit.NewClient(t, k.Brokers())
	h := &handler{name: "a"}
	c := start(t, k.Brokers(), h, map[string]string{"topic": "late"})
	c.waitProblem("late", "create_topics")
	k.Topic("late", 1)
	cl.ProduceText("late", "x")
	h.waitCalls(t, 1)
	c.waitHealthy()
}

func TestCreateTopicsCreatesWhatIsMissing(t *testing.T) {
	t.Parallel()
	k := testkit.Kfake(t)
	cl := testkit.NewClient(t, k.Brokers())
	c := start(t, k.Brokers(), &handler{name: "a"}, map[string]string{"topic": "new", "create_topics": "true", "create_topics_partitions": "3"})
	c.waitHealthy()
	waitOwned(t, "new", 3, c)
	if n := len(cl.EndOffsets("new")); n != 3 {
		t.Errorf("%d partitions", n)
	}
}

func TestATopicDeletedAndCreatedAgainIsReadFromItsStart(t *testing.T) {
	t.Parallel()
	for _, away := range []bool{false, true} {
		t.Run(fmt.Sprint("while away: ", away), func(t *testing.T) {
			t.Parallel()
			k := testkit.Kfake(t)
			k.Topic("t", 1)
			cl := testkit.NewClient(t, k.Brokers())
			cl.ProduceText("t", numbered(5)...)
			h := &handler{name: "a"}
			c := start(t, k.Brokers(), h, map[string]string{"topic": "t", "metadata_max_age": "1s"})
			cl.WaitDrained("g", "t")
			if away {
				c.stop()
			}
			cl.DeleteTopic("t")
			k.Topic("t", 1)
			fresh := testkit.NewClient(t, k.Brokers())
			fresh.ProduceText("t", "n0", "n1", "n2", "n3", "n4", "n5", "n6")
			if away {
				c = start(t, k.Brokers(), h, map[string]string{"topic": "t"})
			}
			h.waitCalls(t, 12)
			fresh.WaitDrained("g", "t")
			if got := h.values()[5:]; len(got) != 7 || !slices.Contains(got, "n0") {
				t.Errorf("of the new topic came %v", got)
			}
			c.waitHealthy()
		})
	}
}

func TestAPatternFollowsTopics(t *testing.T) {
	t.Parallel()
	k := testkit.Kfake(t)
	k.Topic("orders.eu", 1)
	k.Topic("other", 1)
	cl := testkit.NewClient(t, k.Brokers())
	cl.ProduceText("orders.eu", "eu")
	cl.ProduceText("other", "no")
	h := &handler{name: "a"}
	c := start(t, k.Brokers(), h, map[string]string{"topic": `/orders\..*/`, "metadata_max_age": "1s", "reply_topic": "none"})
	h.waitCalls(t, 1)
	k.Topic("orders.us", 1)
	cl.ProduceText("orders.us", "us")
	h.waitCalls(t, 2)
	if got := h.values(); !slices.Equal(got, []string{"eu", "us"}) {
		t.Errorf("handled %v", got)
	}
	c.waitHealthy()
}

func TestWithoutABrokerTheStatusSaysWhyAndItMendsItself(t *testing.T) {
	t.Parallel()
	k := testkit.KfakeProxied(t)
	k.Topic("t", 1)
	cl := testkit.NewClient(t, k.Brokers())
	k.Proxies()[0].Down()
	h := &handler{name: "a"}
	c := start(t, k.Brokers(), h, map[string]string{"topic": "t"})
	c.waitProblem("refused", k.Brokers()[0])
	k.Proxies()[0].Up()
	c.waitHealthy()
	cl.ProduceText("t", "x")
	h.waitCalls(t, 1)
	k.Proxies()[0].Down()
	c.waitProblem("refused")
	k.Proxies()[0].Up()
	c.waitHealthy()
	cl.ProduceText("t", "y")
	h.waitCalls(t, 2)
}
