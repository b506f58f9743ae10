package kafka

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

func newTopicReader(t *testing.T, brokers []string, topic string, committed bool, largest int64) *TopicReader {
	t.Helper()
	r, err := NewTopicReader(testkit.NewClient(t, brokers).Client, topic, committed, largest)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Look(t.Context()); err != nil {
		t.Fatal(err)
	}
	return r
}

// readAll reads from places to ends.
func readAll(t *testing.T, r *TopicReader, places, ends map[int32]int64) (values []string) {
	t.Helper()
	for {
		for id, at := range places {
			if at >= ends[id] {
				delete(places, id)
			}
		}
		if len(places) == 0 {
			slices.Sort(values)
			return values
		}
		records, err := r.Fetch(t.Context(), time.Second, places)
		if err != nil {
			t.Fatal(err)
		}
		for _, rec := range records {
			values = append(values, string(rec.Value))
		}
	}
}

func TestATopicReaderPassesWhatHoldsNoRecord(t *testing.T) {
	t.Parallel()
	k := testkit.Kfake(t, kfake.NumBrokers(2))
	k.Topic("t", 3)
	cl := testkit.NewClient(t, k.Brokers())
	cl.ProduceText("t", "a", "b")
	tx := testkit.NewClient(t, k.Brokers(), kgo.TransactionalID("x"), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	for i, commit := range []kgo.TransactionEndTry{kgo.TryAbort, kgo.TryCommit, kgo.TryAbort} {
		if err := tx.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		for p := range int32(3) {
			tx.Client.Produce(t.Context(), &kgo.Record{Topic: "t", Partition: p, Value: fmt.Appendf(nil, "%d", i)}, nil)
		}
		if err := tx.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := tx.EndTransaction(t.Context(), commit); err != nil {
			t.Fatal(err)
		}
	}
	for committed, want := range map[bool][]string{
		true: {"1", "1", "1", "a", "b"}, false: {"0", "0", "0", "1", "1", "1", "2", "2", "2", "a", "b"},
	} {
		r := newTopicReader(t, k.Brokers(), "t", committed, 1<<20)
		places, ends, err := r.Bounds(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if got := readAll(t, r, places, ends); !slices.Equal(got, want) {
			t.Errorf("committed %v: read %q, want %q", committed, got, want)
		}
	}
}

func TestATopicReaderFollowsLeaders(t *testing.T) {
	t.Parallel()
	k := testkit.Kfake(t, kfake.NumBrokers(2))
	k.Topic("t", 1)
	cl := testkit.NewClient(t, k.Brokers())
	cl.ProduceText("t", "a", "b")
	r := newTopicReader(t, k.Brokers(), "t", true, 1<<20)
	if err := k.MoveTopicPartition("t", 0, 1-k.LeaderFor("t", 0)); err != nil {
		t.Fatal(err)
	}
	if got := readAll(t, r, map[int32]int64{0: 1}, map[int32]int64{0: 2}); !slices.Equal(got, []string{"b"}) {
		t.Errorf("read %q", got)
	}
}

func TestATopicReaderSaysWhatItCannotRead(t *testing.T) {
	t.Parallel()
	k := testkit.Kfake(t)
	k.Topic("t", 1)
	cl := testkit.NewClient(t, k.Brokers(), kgo.ProducerBatchCompression(kgo.GzipCompression()))
	cl.ProduceText("t", "a")
	cl.Produce(&kgo.Record{Topic: "t", Value: bytes.Repeat([]byte("x"), 100_000)})
	cl.DeleteRecords("t", 0, 1)
	r := newTopicReader(t, k.Brokers(), "t", true, 10_000)

	_, err := r.Fetch(t.Context(), time.Second, map[int32]int64{0: 0})
	if gone, ok := errors.AsType[*GoneError](err); !ok || *gone != (GoneError{"t", 0, 0}) {
		t.Errorf("a place that was deleted: %v", err)
	}
	_, err = r.Fetch(t.Context(), time.Second, map[int32]int64{0: 1})
	if large, ok := errors.AsType[*BatchTooLargeError](err); !ok || large.Limit != 10_000 {
		t.Errorf("a batch that is too large: %v", err)
	}
	if _, err := r.Fetch(t.Context(), time.Millisecond, map[int32]int64{0: 2}); err != nil {
		t.Errorf("at the end: %v", err)
	}
	cl.DeleteTopic("t")
	cl.Topic("t", 1, nil)
	if _, err = r.Fetch(t.Context(), time.Second, map[int32]int64{0: 2}); !errors.Is(err, ErrTopicMadeAnew) {
		t.Errorf("a topic that was made anew: %v", err)
	}
	k.ControlKey(kmsg.Fetch.Int16(), func(kreq kmsg.Request) (kmsg.Response, error, bool) {
		resp := kreq.ResponseKind().(*kmsg.FetchResponse)
		resp.ErrorCode = kerr.TopicAuthorizationFailed.Code
		return resp, nil, true
	})
	r = newTopicReader(t, k.Brokers(), "t", true, 10_000)
	if _, err = r.Fetch(t.Context(), time.Second, map[int32]int64{0: 0}); !errors.Is(err, kerr.TopicAuthorizationFailed) {
		t.Errorf("a topic that may not be read: %v", err)
	}
	missing, err := NewTopicReader(cl.Client, "none", true, 1)
	if err != nil {
		t.Fatal(err)
	}
	if err := missing.Look(t.Context()); !errors.Is(err, kerr.UnknownTopicOrPartition) {
		t.Errorf("a topic that is not there: %v", err)
	}
}
