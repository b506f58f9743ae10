package produce

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/messaging-kafka/messaging-kafka/internal/record"
	"github.com/messaging-kafka/messaging-kafka/internal/settings"
)

func TestOfManyRecordsEachHasItsResult(t *testing.T) {
	t.Parallel()
	cluster := startKafka(t, kfake.SeedTopics(3, "t"))
	var stored, bytes int
	link := settings.Producer{AllowedTopics: []string{"t", "made", "answers"}, Partitions: []int32{2, 0},
		Fanout: settings.FanoutCopy}
	handle := acquire(t, NewPool(quiet()), cluster.settings(), producerSettings()).handle.Load()
	create := settings.CreateTopics{Enabled: true, Partitions: 3, Replication: 1}
	publisher := NewPublisher(handle, link, create, func(n, size int) { stored, bytes = stored+n, bytes+size })
	given := outgoing("t", "given")
	given.Partition = 1
	nowhere := outgoing("t", "nowhere")
	nowhere.Partition = 7
	results := publisher.Publish(t.Context(), outgoing("t", "copies"), outgoing("secret", "v"), outgoing("made", "made"),
		outgoing("answers?correlation=00", "v"), nowhere, outgoing("made", strings.Repeat("v", 1_000_001)), given)
	want := []struct {
		at    record.Position
		class Class
	}{
		{at: record.Position{Topic: "t", Partition: 2}, class: ClassOK},
		{at: record.Position{Topic: "secret", Partition: -1, Offset: -1}, class: ClassNotAuthorised},
		{at: record.Position{Topic: "made", Partition: 2}, class: ClassOK},
		{at: record.Position{Topic: "answers", Partition: 2, Offset: -1}, class: ClassUnknownTopic},
		{at: record.Position{Topic: "t", Partition: 7, Offset: -1}, class: ClassInvalid},
		{at: record.Position{Topic: "made", Partition: 2, Offset: -1}, class: ClassTooLarge},
		{at: record.Position{Topic: "t", Partition: 1}, class: ClassOK},
	}
	for i, want := range want {
		if got := results[i]; got.Position != want.at || ClassOf(got.Err) != want.class {
			t.Errorf("record %d: %+v, want %+v and %s", i, got, want.at, want.class)
		}
		if e, ok := errors.AsType[*Error](results[i].Err); ok && e.Answer != (i == 3) {
			t.Errorf("record %d is an answer: %v", i, e.Answer)
		}
	}
	if cluster.TopicInfo("answers") != nil {
		t.Error("a topic that somebody else has chosen was created")
	}
	if stored != 5 || bytes != 2*len("copies")+2*len("made")+len("given") {
		t.Errorf("%d records of %d bytes are said to be stored", stored, bytes)
	}
	for topic, list := range map[string][]string{"t": {"copies", "given", "copies"}, "made": {"made", "", "made"}} {
		for partition, value := range list {
			got := cluster.records(topic, int32(partition))
			if value == "" && len(got) == 0 {
				continue
			}
			if len(got) != 1 || string(got[0].Value) != value {
				t.Errorf("%s/%d holds %v, want %q", topic, partition, got, value)
			}
		}
	}
	if results := publisher.Publish(t.Context()); len(results) != 0 {
		t.Errorf("of no records there are the results %v", results)
	}
}

func TestSentRecordsGoAsTheyAre(t *testing.T) {
	t.Parallel()
	cluster := startKafka(t)
	handle := acquire(t, NewPool(quiet()), cluster.settings(), producerSettings()).handle.Load()
	publisher := NewPublisher(handle, settings.Producer{AllowedTopics: []string{"other"}, Partitions: []int32{0}},
		settings.CreateTopics{Enabled: true, Partitions: 2, Replication: 1},
		func(int, int) { t.Error("it is counted as a publish of the link") })
	// An answer whose handling failed is a dead letter, and no answer.
	letter := outgoing("letters", "v")
	letter.Partition, letter.Headers = 1, []record.Header{{Key: record.CorrelationHeader, Value: []byte("id")}}
	for i, result := range publisher.Send(t.Context(), letter, letter) {
		if want := (record.Result{Position: record.Position{Topic: "letters", Partition: 1, Offset: int64(i)}}); result != want {
			t.Errorf("record %d: %+v, want %+v", i, result, want)
		}
	}
}

func TestPreparedIsWhatIsPublished(t *testing.T) {
	t.Parallel()
	cluster := startKafka(t)
	link := settings.Producer{AllowedTopics: []string{"t"}, Partitions: []int32{2, 0}, Fanout: settings.FanoutCopy}
	publisher := publisherFor(t, cluster, link, settings.CreateTopics{})
	ready, err := publisher.Prepare([]record.Outgoing{{Topic: "before"}}, outgoing("t?correlation=6964", "v"))
	if err != nil || len(ready) != 3 {
		t.Fatalf("prepared are %+v (%v)", ready, err)
	}
	for i, partition := range []int32{2, 0} {
		if r := ready[i+1]; r.Topic != "t" || r.Partition != partition || len(r.Headers) != 1 || string(r.Headers[0].Value) != "id" {
			t.Errorf("copy %d is %+v", i, r)
		}
	}
	for topic, class := range map[string]Class{"": ClassInvalid, "t?x=1": ClassInvalid, "other": ClassNotAuthorised} {
		ready, err := publisher.Prepare(nil, outgoing(topic, "v"))
		if len(ready) != 0 {
			t.Errorf("%q is prepared as %+v", topic, ready)
		}
		wantError(t, err, class)
	}
	_, err = publisher.Prepare(nil, outgoing("t", strings.Repeat("v", 1_000_001)))
	wantError(t, err, ClassTooLarge, "1000001 bytes")
}

// TestPublishesGoOnWhileTheProducerIsExchanged has every publish come through, whichever producer it began with.
func TestPublishesGoOnWhileTheProducerIsExchanged(t *testing.T) {
	t.Parallel()
	const exchanges = 20
	cluster := startKafka(t, kfake.SeedTopics(1, "t"))
	pool := NewPool(quiet())
	publisher := acquire(t, pool, cluster.settings(), producerSettings())
	ctx, cancel := context.WithCancel(t.Context())
	var all sync.WaitGroup
	published := make([]int, 8)
	for i := range published {
		all.Go(func() {
			for ctx.Err() == nil {
				if _, err := publish(context.Background(), publisher, outgoing("t", "v")); err != nil {
					t.Error(err)
					return
				}
				published[i]++
			}
		})
	}
	for i := range exchanges {
		other := producerSettings()
		other.MaxMessageBytes += int32(i + 1) // a producer of its own
		handle, err := pool.Acquire(cluster.settings(), other)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := publish(t.Context(), NewPublisher(handle, settings.Producer{}, settings.CreateTopics{}, nil), outgoing("t", "v")); err != nil {
			t.Error(err)
		}
		if err := publisher.Use(handle).Release(t.Context()); err != nil {
			t.Error(err)
		}
	}
	cancel()
	all.Wait()
	n := exchanges
	for _, each := range published {
		n += each
	}
	if got := len(cluster.records("t", 0)); got != n {
		t.Errorf("%d records are stored, want %d", got, n)
	}
	if err := publisher.Release(t.Context()); err != nil {
		t.Error(err)
	}
	if n := len(pool.clients); n != 0 {
		t.Errorf("%d producers are left", n)
	}
}
