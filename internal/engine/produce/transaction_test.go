package produce

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/messaging-kafka/messaging-kafka/internal/engine/kafka"
	"github.com/messaging-kafka/messaging-kafka/internal/record"
	"github.com/messaging-kafka/messaging-kafka/internal/settings"
	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

func newTransactor(t *testing.T, id string, cluster settings.Cluster) *Transactor {
	t.Helper()
	return transactorOf(t, id, cluster, producerSettings().MaxMessageBytes)
}

func transactorOf(t *testing.T, id string, cluster settings.Cluster, maxMessageBytes int32) *Transactor {
	t.Helper()
	producer := producerSettings()
	producer.MaxMessageBytes = maxMessageBytes
	access, err := kafka.NewAccess(cluster, testkit.Logger(t))
	if err != nil {
		t.Fatal(err)
	}
	tx, err := NewTransactor(id, access, cluster, producer, testkit.Logger(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(tx.Close)
	return tx
}

// groupMember is a member of a group that owns the only partition of the topic "in".
type groupMember struct{ cl *testkit.Client }

func joinGroup(t *testing.T, brokers []string, group string) *groupMember {
	t.Helper()
	assigned := make(chan struct{}, 1)
	cl := testkit.NewClient(t, brokers, kgo.ConsumerGroup(group), kgo.ConsumeTopics("in"), kgo.DisableAutoCommit(),
		kgo.OnPartitionsAssigned(func(_ context.Context, _ *kgo.Client, added map[string][]int32) {
			if len(added) > 0 {
				assigned <- struct{}{}
			}
		}))
	select {
	case <-assigned:
	case <-time.After(testkit.DefaultTimeout):
		t.Fatal("the group does not come about")
	}
	return &groupMember{cl}
}

func (m *groupMember) member(group string) func() (Member, error) {
	return func() (Member, error) {
		id, generation := m.cl.GroupMetadata()
		return Member{Group: group, MemberID: id, Generation: generation}, nil
	}
}

// offsetOf is what a commit of the topic "in" has.
func offsetOf(offset int64) []kmsg.TxnOffsetCommitRequestTopic {
	topic := kmsg.NewTxnOffsetCommitRequestTopic()
	topic.Topic = "in"
	p := kmsg.NewTxnOffsetCommitRequestTopicPartition()
	p.Offset = offset
	topic.Partitions = append(topic.Partitions, p)
	return []kmsg.TxnOffsetCommitRequestTopic{topic}
}

func within(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), testkit.DefaultTimeout)
	t.Cleanup(cancel)
	return ctx
}

func many(topic string, n, bytes int) []record.Outgoing {
	var outs []record.Outgoing
	for i := range n {
		outs = append(outs, outgoing(topic, fmt.Sprintf("%d-%s", i, strings.Repeat("v", bytes))))
	}
	return outs
}

func TestATransactionEndsWithItsContextWhateverKafkaDoes(t *testing.T) {
	for name, swallow := range map[string]kmsg.Key{
		"the producer id": kmsg.InitProducerID, "records": kmsg.Produce, "offsets": kmsg.TxnOffsetCommit, "the end": kmsg.EndTxn,
	} {
		t.Run(name, func(t *testing.T) {
			k := testkit.Kfake(t)
			k.Topic("in", 1)
			k.Topic("out", 1)
			asked, hold := make(chan struct{}, 100), make(chan struct{})
			k.ControlKey(int16(swallow), func(kmsg.Request) (kmsg.Response, error, bool) {
				k.KeepControl()
				asked <- struct{}{}
				k.SleepControl(func() { <-hold })
				return nil, nil, false
			})
			t.Cleanup(func() { close(hold) })
			cluster := settings.Cluster{
				Hosts: k.Brokers(), ClientID: "test", DialTimeout: 5 * time.Second, RequestTimeout: 10 * time.Minute,
				Security: settings.Security{Protocol: settings.Plaintext},
			}
			m := joinGroup(t, k.Brokers(), "g").member("g")
			tx := newTransactor(t, "tx", cluster)
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			go func() { ended <- tx.Commit(ctx, m, many("out", 3, 1), offsetOf(3)) }()
			<-asked
			cancel()
			select {
			case err := <-ended:
				if err == nil {
					t.Error("it says that it was committed")
				}
				// Before that nobody has asked Kafka to commit it.
				if maybe := errors.Is(err, ErrMaybeCommitted); maybe != (swallow == kmsg.EndTxn) {
					t.Errorf("it says %v: that it may have been committed is %t", err, maybe)
				}
			case <-time.After(testkit.DefaultTimeout):
				t.Fatal("it goes on")
			}
		})
	}
}

// A transaction that has to be cut off closes its client. That knows its producer id still and begins the next ones,
// none of which can end: whoever uses it must hear that it is of no more use.
func TestATransactorThatWasClosedIsOfNoMoreUse(t *testing.T) {
	k := testkit.Kfake(t)
	k.Topic("in", 1)
	k.Topic("out", 1)
	m := joinGroup(t, k.Brokers(), "g").member("g")
	tx := newTransactor(t, "tx", settings.Cluster{Hosts: k.Brokers(), Security: settings.Security{Protocol: settings.Plaintext}})
	if err := tx.Commit(within(t), m, many("out", 3, 1), offsetOf(3)); err != nil {
		t.Fatal(err)
	}
	tx.Close()
	for range 2 {
		if err := tx.Commit(within(t), m, many("out", 3, 1), offsetOf(6)); !errors.Is(err, ErrNotAborted) || errors.Is(err, ErrMaybeCommitted) {
			t.Errorf("it says %v, want that its end is not known, and no commit", err)
		}
	}
}

// The next transaction would have the outputs of one that may have been committed a second time, which its user tries
// again as any that failed: at the end of a session, say.
func TestATransactorThatMayHaveCommittedIsOfNoMoreUse(t *testing.T) {
	k := testkit.Kfake(t)
	k.Topic("in", 1)
	k.Topic("out", 1)
	m := joinGroup(t, k.Brokers(), "g").member("g")
	tx := newTransactor(t, "tx", settings.Cluster{Hosts: k.Brokers(), Security: settings.Security{Protocol: settings.Plaintext}})
	var breaks atomic.Bool
	k.ControlKey(kmsg.EndTxn.Int16(), func(kmsg.Request) (kmsg.Response, error, bool) {
		k.KeepControl()
		if breaks.Load() {
			return nil, errors.New("the connection breaks"), true
		}
		return nil, nil, false
	})
	if err := tx.Commit(within(t), m, many("out", 1, 1), offsetOf(1)); err != nil {
		t.Fatal(err)
	}
	breaks.Store(true)
	if err := tx.Commit(within(t), m, many("out", 1, 1), offsetOf(2)); !errors.Is(err, ErrMaybeCommitted) {
		t.Fatalf("it says %v, want that it may have been committed", err)
	}
	breaks.Store(false)
	for range 2 {
		if err := tx.Commit(within(t), m, many("out", 1, 1), offsetOf(2)); !errors.Is(err, ErrNotAborted) || errors.Is(err, ErrMaybeCommitted) {
			t.Errorf("it says %v, want that its end is not known, and no commit", err)
		}
	}
}

// A transaction that takes too long is cut off by closing its client. That is not why it failed.
func TestATransactionThatTakesTooLongSaysSo(t *testing.T) {
	for name, key := range map[string]kmsg.Key{"AddPartitionsToTxn": kmsg.AddPartitionsToTxn, "Produce": kmsg.Produce, "EndTxn": kmsg.EndTxn} {
		t.Run(name, func(t *testing.T) {
			k := testkit.Kfake(t)
			k.Topic("in", 1)
			k.Topic("out", 1)
			m := joinGroup(t, k.Brokers(), "g").member("g")
			hold := make(chan struct{})
			k.ControlKey(key.Int16(), func(kmsg.Request) (kmsg.Response, error, bool) {
				k.KeepControl()
				k.SleepControl(func() { <-hold })
				return nil, nil, false
			})
			t.Cleanup(func() { close(hold) })
			cluster := settings.Cluster{Hosts: k.Brokers(), Security: settings.Security{Protocol: settings.Plaintext}}
			tx := newTransactor(t, "tx", cluster)
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			err := tx.Commit(ctx, m, many("out", 3, 1), offsetOf(3))
			if !errors.Is(err, ErrNotAborted) || errors.Is(err, kgo.ErrClientClosed) || !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("it says %v, want that its end is not known since the time is over", err)
			}
			if maybe := errors.Is(err, ErrMaybeCommitted); maybe != (key == kmsg.EndTxn) {
				t.Errorf("it says %v: that it may have been committed is %t", err, maybe)
			}
		})
	}
}

// A dead letter is larger than its record, and nobody looks at its size before. The client refuses it by itself, and no
// topic's limit has to do with that.
func TestATransactionWithARecordBeyondMaxMessageBytesNamesThatSetting(t *testing.T) {
	k := testkit.Kfake(t)
	k.Topic("in", 1)
	k.Topic("dead", 1)
	tx := newTransactor(t, "tx", settings.Cluster{Hosts: k.Brokers(), Security: settings.Security{Protocol: settings.Plaintext}})
	limit := int(producerSettings().MaxMessageBytes)
	outputs := append(many("dead", 3, 1), outgoing("dead", strings.Repeat("v", limit+1000)))
	err := tx.Commit(within(t), joinGroup(t, k.Brokers(), "g").member("g"), outputs, offsetOf(3))
	if !errors.Is(err, ErrOutput) {
		t.Fatalf("it says %v, want that the record is refused", err)
	}
	refused, found := errors.AsType[*OutputError](err)
	if !found || refused.Topic != "dead" || !strings.Contains(refused.Text, fmt.Sprintf("max_message_bytes is %d", limit)) {
		t.Errorf("it says %v", err)
	}
}

// A record of almost 1 MiB makes a batch that brokers do not take by default, and the client makes none of that size
// unless max_message_bytes is larger than that: however much the topic takes, that is the setting to name.
func TestATransactionWithARecordBeyondTheUsualBatchNamesWhatToSet(t *testing.T) {
	k := testkit.Kfake(t)
	k.Topic("in", 1)
	testkit.NewClient(t, k.Brokers()).Topic("out", 1, map[string]string{"max.message.bytes": "10000000"})
	cluster := settings.Cluster{Hosts: k.Brokers(), Security: settings.Security{Protocol: settings.Plaintext}}
	m := joinGroup(t, k.Brokers(), "g").member("g")
	outputs := many("out", 3, 1)
	outputs = append(outputs, outgoing("out", strings.Repeat("v", 1<<20)))
	err := transactorOf(t, "tx", cluster, 1<<20).Commit(within(t), m, outputs, offsetOf(3))
	refused, found := errors.AsType[*OutputError](err)
	if !errors.Is(err, ErrOutput) || !found || !strings.Contains(refused.Text, fmt.Sprintf("set max_message_bytes to more than %d", brokerDefault)) {
		t.Errorf("it says %v", err)
	}
	if err := transactorOf(t, "tx", cluster, brokerDefault+1).Commit(within(t), m, outputs, offsetOf(3)); err != nil {
		t.Errorf("with a max_message_bytes as the error says: %v", err)
	}
}
