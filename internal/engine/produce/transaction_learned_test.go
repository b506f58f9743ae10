package produce

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/messaging-kafka/messaging-kafka/internal/record"
	"github.com/messaging-kafka/messaging-kafka/internal/settings"
	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

// held is the context of a record that keeps the client's partitioner waiting, which asks it for a partition that the
// topic does not have.
type held struct {
	context.Context
	release chan struct{}
}

func (h *held) Value(key any) any {
	if key == (recordContextKey{}) {
		<-h.release
	}
	return h.Context.Value(key)
}

// learning has the client of a transaction that is under way hear of a topic's partitions, and give on the records that
// have waited for them, one by one, before it has noted the partitions itself: it does that when release is closed. The
// last of these records is the test's, which keeps the partitioner waiting. Between the two a transaction can be
// produced whole.
func learning(t *testing.T, k *testkit.FakeKafka, tx *Transactor, topic string) (release chan struct{}) {
	t.Helper()
	release = make(chan struct{})
	var asked atomic.Bool
	k.ControlKey(kmsg.Metadata.Int16(), func(kreq kmsg.Request) (kmsg.Response, error, bool) {
		k.KeepControl()
		is := func(t kmsg.MetadataRequestTopic) bool { return t.Topic != nil && *t.Topic == topic }
		if slices.ContainsFunc(kreq.(*kmsg.MetadataRequest).Topics, is) && asked.CompareAndSwap(false, true) {
			// The transaction's record waits, so this one waits behind it.
			tx.client().Produce(context.Background(), &kgo.Record{
				Topic: topic, Partition: 99, Context: &held{Context: context.Background(), release: release},
			}, nil)
		}
		return nil, nil, false
	})
	return release
}

func committedReader(t *testing.T, k *testkit.FakeKafka) *testkit.Client {
	return testkit.NewClient(t, k.Brokers(), kgo.FetchIsolationLevel(kgo.ReadCommitted()))
}

// A client that has just learned of a topic's partitions takes a transaction that was stored there within the moment
// before it has noted them for empty, and ends it well without a word to a broker. What was produced is then part of
// the next one, and is aborted or committed with it.
func TestATransactionIsEndedThoughTheClientHasJustLearnedOfItsTopic(t *testing.T) {
	for _, c := range []struct {
		name    string
		outputs []record.Outgoing
		fails   error // of the group's member, which has the transaction aborted
		want    []string
	}{
		{"committed", many("out", 1, 1), nil, []string{"0-v", "next"}},
		{"aborted", many("out", 1, 1), errors.New("not a member"), []string{"next"}},
		{"committed beside another topic", append(many("known", 1, 1), many("out", 1, 1)...), nil, []string{"0-v", "next"}},
		{"aborted beside another topic", append(many("known", 1, 1), many("out", 1, 1)...), errors.New("not a member"), []string{"next"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			k := testkit.Kfake(t)
			for _, topic := range []string{"in", "out", "known"} {
				k.Topic(topic, 1)
			}
			m := joinGroup(t, k.Brokers(), "g").member("g")
			tx := newTransactor(t, "tx", settings.Cluster{Hosts: k.Brokers(), Security: settings.Security{Protocol: settings.Plaintext}})
			if err := tx.Commit(within(t), m, many("known", 1, 1), offsetOf(1)); err != nil {
				t.Fatal(err)
			}
			var added atomic.Int32 // requests that make "out" part of a transaction
			k.ControlKey(kmsg.AddPartitionsToTxn.Int16(), func(kreq kmsg.Request) (kmsg.Response, error, bool) {
				k.KeepControl()
				if slices.ContainsFunc(kreq.(*kmsg.AddPartitionsToTxnRequest).Topics, func(t kmsg.AddPartitionsToTxnRequestTopic) bool {
					return t.Topic == "out"
				}) {
					added.Add(1)
				}
				return nil, nil, false
			})
			var ends atomic.Int32
			k.ControlKey(kmsg.EndTxn.Int16(), func(kmsg.Request) (kmsg.Response, error, bool) {
				k.KeepControl()
				ends.Add(1)
				return nil, nil, false
			})
			release := learning(t, k, tx, "out")
			stored := make(chan struct{})
			member := func() (Member, error) {
				select {
				case <-stored:
				default:
					close(stored) // the outputs are
				}
				if c.fails != nil {
					return Member{}, c.fails
				}
				return m()
			}
			ended := make(chan error, 1)
			go func() { ended <- tx.Commit(within(t), member, c.outputs, offsetOf(2)) }()
			select {
			case <-stored: // though the client has not noted where
			case <-time.After(200 * time.Millisecond): // it waits, or will
				close(release)
				release = nil
			}
			var err error
			select {
			case err = <-ended: // without a word to a broker, which is seen below
			case <-time.After(testkit.DefaultTimeout):
				t.Fatal("it does not end")
			}
			if c.fails == nil && err != nil || !errors.Is(err, c.fails) {
				t.Errorf("it says: %v", err)
			}
			if ends.Load() != 1 {
				t.Errorf("it was over after %d requests to end it", ends.Load())
			}
			if release != nil {
				close(release)
			}
			if err := tx.Commit(within(t), m, []record.Outgoing{outgoing("out", "next")}, offsetOf(3)); err != nil {
				t.Errorf("the next one: %v", err)
			}
			if added.Load() != 2 {
				t.Errorf("out was made part of a transaction %d times, want once in each", added.Load())
			}
			reader := committedReader(t, k)
			var got []string
			for _, r := range reader.Read("out", len(c.want)) {
				got = append(got, string(r.Value))
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("read: %q, want %q", got, c.want)
			}
		})
	}
}

// Whatever else makes the client take a transaction for empty, it is not taken for committed, nor is the next one begun
// in it.
func TestATransactionThatTheClientTakesForEmptyIsNotOver(t *testing.T) {
	for name, fails := range map[string]error{"to be committed": nil, "to be aborted": errors.New("not a member")} {
		t.Run(name, func(t *testing.T) {
			k := testkit.Kfake(t)
			k.Topic("in", 1)
			k.Topic("out", 1)
			m := joinGroup(t, k.Brokers(), "g").member("g")
			tx := newTransactor(t, "tx", settings.Cluster{Hosts: k.Brokers(), Security: settings.Security{Protocol: settings.Plaintext}})
			err := tx.Commit(within(t), func() (Member, error) {
				tx.client().PurgeTopicsFromProducing("out")
				if fails != nil {
					return Member{}, fails
				}
				return m()
			}, []record.Outgoing{outgoing("out", "first")}, offsetOf(1))
			switch {
			case fails == nil && (!errors.Is(err, ErrNotAborted) || errors.Is(err, ErrMaybeCommitted)):
				t.Fatalf("it says %v, want that it is not aborted, and was not committed", err)
			case fails != nil && !errors.Is(err, fails):
				t.Fatalf("it says %v", err)
			}
			if errors.Is(err, ErrNotAborted) {
				tx.Close()
				tx = newTransactor(t, "tx", settings.Cluster{Hosts: k.Brokers(), Security: settings.Security{Protocol: settings.Plaintext}})
			}
			if err := tx.Commit(within(t), m, []record.Outgoing{outgoing("out", "next")}, offsetOf(2)); err != nil {
				t.Fatalf("the next one: %v", err)
			}
			reader := committedReader(t, k)
			if got := reader.Read("out", 1); string(got[0].Value) != "next" {
				t.Errorf("%s was committed", got[0].Value)
			}
		})
	}
}

func TestATransactionWithoutOutputsIsRefused(t *testing.T) {
	k := testkit.Kfake(t)
	tx := newTransactor(t, "tx", settings.Cluster{Hosts: k.Brokers(), Security: settings.Security{Protocol: settings.Plaintext}})
	err := tx.Commit(within(t), func() (Member, error) { return Alone("g"), nil }, nil, offsetOf(1))
	if !errors.Is(err, errNoOutputs) {
		t.Errorf("it says %v", err)
	}
}

// A refusal fails all records of the transaction, also those of a topic that the client has just learned of, which it
// did not find before: nobody was told of them until the time of the transaction was over.
func TestARefusalIsToldThoughTheClientHasJustLearnedOfTheTopic(t *testing.T) {
	k := testkit.Kfake(t)
	k.Topic("in", 1)
	k.Topic("out", 1)
	m := joinGroup(t, k.Brokers(), "g").member("g")
	tx := newTransactor(t, "tx", settings.Cluster{Hosts: k.Brokers(), Security: settings.Security{Protocol: settings.Plaintext}})
	refused := make(chan struct{}, 100)
	k.RefuseTopicOfTransactions("out", func() bool {
		refused <- struct{}{}
		return true
	})
	release := learning(t, k, tx, "out")
	go func() {
		select {
		case <-refused: // though the client has not noted where
			time.Sleep(100 * time.Millisecond) // for it to fail what it finds
		case <-time.After(200 * time.Millisecond): // it waits, or will
		}
		close(release)
	}()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := tx.Commit(ctx, m, many("out", 1, 1), offsetOf(1)); !errors.Is(err, ErrOutput) || errors.Is(err, ErrNotAborted) {
		t.Errorf("it says %v", err)
	}
}

// Kafka takes the topics of a transaction together or not at all, and the client fails the records of all of them with
// one error: a topic that may be written to must not be said to be the one that is refused.
func TestATopicThatIsRefusedIsNotTakenForAnother(t *testing.T) {
	k := testkit.Kfake(t)
	k.Topic("in", 1)
	k.Topic("a", 1)
	k.Topic("b", 1)
	m := joinGroup(t, k.Brokers(), "g").member("g")
	tx := newTransactor(t, "tx", settings.Cluster{Hosts: k.Brokers(), Security: settings.Security{Protocol: settings.Plaintext}})
	both := append(many("a", 1, 1), many("b", 1, 1)...)
	if err := tx.Commit(within(t), m, both, offsetOf(1)); err != nil {
		t.Fatal(err)
	}
	topics := []string{"a", "b"}
	var refused atomic.Int32 // which of them
	for i, topic := range topics {
		k.RefuseTopicOfTransactions(topic, func() bool { return int(refused.Load()) == i })
	}
	for range 20 {
		topic := topics[refused.Load()]
		err := tx.Commit(within(t), m, both, offsetOf(1))
		output, found := errors.AsType[*OutputError](err)
		if !found || !errors.Is(err, ErrOutput) {
			t.Fatalf("it says %v, want that an output is refused", err)
		}
		if output.Topic != topic && !strings.Contains(output.Error(), "a, b") {
			t.Errorf("topic %s is refused, and it says %v", topic, output)
		}
		refused.Store(1 - refused.Load())
	}
}
