package produce

import (
	"context"
	"errors"
	"fmt"
	"strings"
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

func newTransactor(t *testing.T, id string, cluster settings.Cluster) *Transactor {
	t.Helper()
	access, err := kafka.NewAccess(cluster, testkit.Logger(t))
	if err != nil {
		t.Fatal(err)
	}
	tx, err := NewTransactor(id, access, cluster, producerSettings(), testkit.Logger(t))
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

func TestTransactionsOnApacheKafka(t *testing.T) {
	if testing.Short() {
		t.Skip("starting Apache Kafka takes long")
	}
	for _, version := range []string{testkit.Kafka4, testkit.Kafka3} {
		t.Run("Kafka "+version, func(t *testing.T) {
			k := testkit.RealKafka(t, testkit.KafkaOptions{Version: version, Auth: true, ACL: true, NoAutoCreate: true})
			cluster := settings.Cluster{
				Hosts: k.Brokers(), ClientID: "test", DialTimeout: 5 * time.Second, RequestTimeout: 10 * time.Second,
				Security: settings.Security{Protocol: settings.Plaintext},
			}
			cl := testkit.NewClient(t, k.Brokers(), kgo.FetchIsolationLevel(kgo.ReadCommitted()))
			cl.Topic("in", 1, nil)
			cl.Topic("out", 1, nil)
			cl.Topic("little", 1, map[string]string{"max.message.bytes": "4000"})

			t.Run("one that is taken over cannot commit", func(t *testing.T) {
				m := joinGroup(t, k.Brokers(), "taken").member("taken")
				first, second := newTransactor(t, "taken", cluster), newTransactor(t, "taken", cluster)
				if err := first.Commit(within(t), m, many("out", 2, 1), offsetOf(2)); err != nil {
					t.Fatal(err)
				}
				if err := second.Init(within(t)); err != nil {
					t.Fatal(err)
				}
				if err := first.Commit(within(t), m, many("out", 2, 1), offsetOf(4)); err == nil {
					t.Error("the first one can commit all the same")
				}
				if err := first.Commit(within(t), m, many("out", 2, 1), offsetOf(4)); !errors.Is(err, ErrNotAborted) {
					t.Errorf("the first one does not know that it is of no more use: %v", err)
				}
				if err := second.Commit(within(t), m, many("out", 1, 1), offsetOf(3)); err != nil {
					t.Fatal(err)
				}
				cl.WaitCommitted("taken", "in", map[int32]int64{0: 3})
				if n := len(cl.Read("out", 3)); n != 3 {
					t.Errorf("%d outputs", n)
				}
			})

			t.Run("offsets of somebody who is no member are not even sent", func(t *testing.T) {
				joinGroup(t, k.Brokers(), "strict")
				tx := newTransactor(t, "strict", cluster)
				nobody := func() (Member, error) { return Member{Group: "strict", Generation: -1}, nil }
				if err := tx.Commit(within(t), nobody, many("out", 1, 1), offsetOf(9)); !errors.Is(err, errNoMember) {
					t.Errorf("nobody: %v", err)
				}
				stranger := func() (Member, error) { return Member{Group: "strict", MemberID: "stranger", Generation: 1}, nil }
				if err := tx.Commit(within(t), stranger, many("out", 1, 1), offsetOf(9)); !errors.Is(err, kerr.UnknownMemberID) {
					t.Errorf("a stranger: %v", err)
				}
			})

			t.Run("a topic that takes only small batches gets them", func(t *testing.T) {
				m := joinGroup(t, k.Brokers(), "little").member("little")
				tx := newTransactor(t, "little", cluster)
				outs := append(many("little", 100, 500), many("out", 1, 1)...)
				failures := 0
				for err := tx.Commit(within(t), m, outs, offsetOf(1)); err != nil; err = tx.Commit(within(t), m, outs, offsetOf(1)) {
					if failures++; errors.Is(err, ErrOutput) || errors.Is(err, ErrNotAborted) || failures > 10 {
						t.Fatal(err)
					}
				}
				if failures == 0 {
					t.Error("the batch was taken as a whole: the test shows nothing")
				}
				for i, r := range cl.Read("little", 100) {
					if !strings.HasPrefix(string(r.Value), fmt.Sprint(i, "-")) {
						t.Errorf("record %d is %.10s", i, r.Value)
					}
				}
			})

			t.Run("a record that is never taken is told apart, and harms no transaction after it", func(t *testing.T) {
				m := joinGroup(t, k.Brokers(), "never").member("never")
				tx := newTransactor(t, "never", cluster)
				for name, outs := range map[string][]record.Outgoing{
					"too large": many("little", 1, 9000), "no topic": many("missing", 1, 1),
				} {
					if err := tx.Commit(within(t), m, append(outs, many("out", 1, 1)...), offsetOf(1)); !errors.Is(err, ErrOutput) || errors.Is(err, ErrNotAborted) {
						t.Errorf("%s: %v", name, err)
					}
				}
				if err := tx.Commit(within(t), m, many("little", 1, 10), offsetOf(7)); err != nil {
					t.Fatal(err)
				}
				cl.WaitCommitted("never", "in", map[int32]int64{0: 7})
			})
		})
	}
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
			case <-time.After(testkit.DefaultTimeout):
				t.Fatal("it goes on")
			}
		})
	}
}
