package bridge

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/messaging-kafka/messaging-kafka/internal/record"
	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

// member joins a group beside the bridge, as another copy does, and reads nothing: it has some of the partitions, or
// all where there is one of them.
func member(t *testing.T, k *testkit.FakeKafka, group, topic string) *kgo.Client {
	t.Helper()
	joined := make(chan struct{}, 1)
	cl, err := kgo.NewClient(kgo.SeedBrokers(k.Brokers()...), kgo.ConsumerGroup(group), kgo.ConsumeTopics(topic),
		kgo.DisableAutoCommit(), kgo.Balancers(kgo.CooperativeStickyBalancer()),
		kgo.SessionTimeout(time.Minute), kgo.OnPartitionsAssigned(
			func(_ context.Context, _ *kgo.Client, given map[string][]int32) {
				if len(given[topic]) > 0 {
					select {
					case joined <- struct{}{}:
					default:
					}
				}
			}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	<-joined
	return cl
}

// onceFails runs a bridge that ends by itself until it gives the error that it must come to, with ever more patience:
// on a busy machine a bridge has only begun when its patience is over.
func onceFails(t *testing.T, content, want string) {
	t.Helper()
	for patience := onceSettled; ; patience *= 2 {
		b := startWith(t, content, nil, Options{Once: true, Patience: patience})
		err := b.wait()
		switch {
		case err != nil && strings.Contains(err.Error(), want):
			return
		case err == nil || !strings.Contains(err.Error(), "nothing has moved for") || patience > testkit.DefaultTimeout:
			t.Fatalf("it ended with %v, without %q\n%s", err, want, b.log)
		}
	}
}

// TestOnceAsksForTheWholeGroup: a copy that has finished what it was given, or was given nothing, does not end well
// while other members of its group have records before them, and ends well when they have read these.
func TestOnceAsksForTheWholeGroup(t *testing.T) {
	t.Parallel()
	for name, partitions := range map[string]int32{"a copy that gets no partition": 1, "a copy that gets some": 3} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := testkit.Kfake(t)
			k.Topic("orders", partitions)
			client := testkit.NewClient(t, k.Brokers())
			const n = 60
			for i := range n { // enough keys for each partition to have some
				client.Produce(&kgo.Record{Topic: "orders", Key: []byte(fmt.Sprint("key ", i)), Value: []byte("one")})
			}
			other := member(t, k, "bridge.orders", "orders")
			app := newApplication(t, nil)
			content := file(k.Brokers(), reads("orders", app.URL))
			onceFails(t, content, ": route orders has finished what it was given, and its group is")
			other.Close()
			b := startWith(t, content, nil, Options{Once: true})
			if err := b.wait(); err != nil {
				t.Fatalf("the next one ended with %v\n%s", err, b.log)
			}
			if got := len(app.records()); got != n {
				t.Errorf("%d records of %d came", got, n)
			}
		})
	}
}

// TestOnceWaitsForOtherMembers: what others of the group get done is something that moves.
func TestOnceWaitsForOtherMembers(t *testing.T) {
	t.Parallel()
	k := testkit.Kfake(t)
	k.Topic("orders", 1)
	client := testkit.NewClient(t, k.Brokers())
	client.ProduceText("orders", "one")
	other := member(t, k, "bridge.orders", "orders")
	app := newApplication(t, nil)
	b := startWith(t, file(k.Brokers(), reads("orders", app.URL)), nil, Options{Once: true})
	b.await(healthy)
	if err := other.CommitRecords(t.Context(), &kgo.Record{Topic: "orders", LeaderEpoch: -1}); err != nil {
		t.Fatal(err)
	}
	if err := b.wait(); err != nil {
		t.Errorf("it ended with %v\n%s", err, b.log)
	}
}

// TestOnceEndsWhereNoRecordIsLast: the log is at its end where nothing was ever in it, and where what is last in it is
// no record.
func TestOnceEndsWhereNoRecordIsLast(t *testing.T) {
	t.Parallel()
	for name, transaction := range map[string]kgo.TransactionEndTry{"committed": kgo.TryCommit, "aborted": kgo.TryAbort} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := testkit.Kfake(t)
			k.Topic("orders", 2)
			k.Topic("empty", 3)
			writer, err := kgo.NewClient(kgo.SeedBrokers(k.Brokers()...), kgo.TransactionalID("writer"))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(writer.Close)
			if err := writer.BeginTransaction(); err != nil {
				t.Fatal(err)
			}
			if err := writer.ProduceSync(t.Context(), &kgo.Record{Topic: "orders", Value: []byte("one")}).FirstErr(); err != nil {
				t.Fatal(err)
			}
			if err := writer.EndTransaction(t.Context(), transaction); err != nil {
				t.Fatal(err)
			}
			app := newApplication(t, nil)
			b := startWith(t, file(k.Brokers(), reads("orders", app.URL), reads("empty", app.URL)), nil, Options{Once: true})
			if err := b.wait(); err != nil {
				t.Fatalf("it ended with %v\n%s", err, b.log)
			}
			want := []string(nil)
			if transaction {
				want = []string{"one"}
			}
			if got := app.values(); !slices.Equal(got, want) {
				t.Errorf("%q came, not %q", got, want)
			}
		})
	}
}

// TestOnceThatIsStoppedHasNotFinished: whoever starts it must hear that there is something left.
func TestOnceThatIsStoppedHasNotFinished(t *testing.T) {
	k := testkit.Kfake(t)
	k.Topic("orders", 1)
	testkit.NewClient(t, k.Brokers()).ProduceText("orders", "one")
	came := make(chan struct{}, 1)
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case came <- struct{}{}:
		default:
		}
		_, _ = io.Copy(io.Discard, r.Body) // only then the server sees that the client is gone
		<-r.Context().Done()
	}))
	t.Cleanup(app.Close)
	b := startWith(t, file(k.Brokers(), reads("orders", app.URL, "drain_timeout: 100ms")), nil, Options{Once: true})
	<-came
	if err := b.stop(); err == nil || !strings.Contains(err.Error(), "it was stopped before all was read and finished: ") {
		t.Errorf("it ended with %v", err)
	}
}

func TestOnceThatIsStoppedWhenAllIsFinishedEndsWell(t *testing.T) {
	if err := stopped(nil); err != nil {
		t.Error(err)
	}
}

// TestOnceEndsWellWhenAnAnswerIsMended: what was wrong with the outputs of a record is over with its verdict.
func TestOnceEndsWellWhenAnAnswerIsMended(t *testing.T) {
	t.Parallel()
	for name, then := range map[string]record.Outcome{
		"it is rejected": {Kind: record.Reject, Err: errors.New("no")}, "nothing is made of it": {Kind: record.Done},
		"it goes elsewhere": {Kind: record.Done, Outputs: []record.Outgoing{{Topic: "bills", Partition: 0}}},
	} {
		for _, transactions := range []bool{false, true} {
			t.Run(fmt.Sprint(name, ", transactions ", transactions), func(t *testing.T) {
				t.Parallel()
				k := testkit.Kfake(t)
				k.Topic("orders", 1)
				k.Topic("bills", 1)
				testkit.NewClient(t, k.Brokers()).ProduceText("orders", "one", "two", "three")
				var asked atomic.Int32
				app := newApplication(t, func(r *record.Record) record.Outcome {
					if string(r.Value) != "two" || asked.Add(1) > 5 {
						return then
					}
					return record.Outcome{Kind: record.Done, Outputs: []record.Outgoing{{Topic: "bills", Partition: 7}}}
				})
				route := fmt.Sprintf("%s\ntransactions: %t\nretry_backoff: 10ms\nretry_backoff_max: 50ms\n", strings.TrimSpace(reads("orders", app.URL)), transactions)
				b := startWith(t, file(k.Brokers(), route), nil, Options{Once: true})
				if err := b.wait(); err != nil {
					t.Errorf("it ended with %v\n%s", err, b.log)
				}
				if n := asked.Load(); n < 6 {
					t.Errorf("the application was asked %d times", n)
				}
			})
		}
	}
}

// TestOnceEndsWhereAnOutputIsNeverStored: a record that comes again because Kafka does not take one of its outputs
// moves nothing, though another output of it is stored each time.
func TestOnceEndsWhereAnOutputIsNeverStored(t *testing.T) {
	t.Parallel()
	for _, transactions := range []bool{false, true} {
		t.Run(fmt.Sprint("transactions ", transactions), func(t *testing.T) {
			t.Parallel()
			k := testkit.Kfake(t)
			k.Topic("orders", 1)
			k.Topic("bills", 1)
			testkit.NewClient(t, k.Brokers()).ProduceText("orders", "one", "two", "three")
			app := newApplication(t, func(r *record.Record) record.Outcome {
				if string(r.Value) != "two" {
					return record.Outcome{Kind: record.Done}
				}
				return record.Outcome{Kind: record.Done, Outputs: []record.Outgoing{
					{Topic: "bills", Partition: 0}, {Topic: "bills", Partition: 7}}}
			})
			route := fmt.Sprintf("%s\ntransactions: %t\nretry_backoff: 10ms\nretry_backoff_max: 50ms\n", strings.TrimSpace(reads("orders", app.URL)), transactions)
			onceFails(t, file(k.Brokers(), route), "outputs cannot be produced")
		})
	}
}
