//go:build brokers

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

	"github.com/messaging-kafka/messaging-kafka/internal/record"
	"github.com/messaging-kafka/messaging-kafka/internal/settings"
	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

func TestPublishingToApacheKafka(t *testing.T) {
	for _, version := range []string{testkit.Kafka4, testkit.Kafka3} {
		t.Run("Kafka "+version, func(t *testing.T) {
			kafka := testkit.RealKafka(t, testkit.KafkaOptions{Version: version, Auth: true, ACL: true, NoAutoCreate: true})
			cluster := settings.Cluster{
				Hosts: kafka.Brokers(), ClientID: "test", DialTimeout: 5 * time.Second, RequestTimeout: 10 * time.Second,
				Security: settings.Security{Protocol: settings.Plaintext},
			}
			client := producerSettings()
			client.MaxMessageBytes = 1 << 20
			pool := NewPool(quiet())
			create := settings.CreateTopics{Enabled: true, Partitions: 3, Replication: -1}
			super := limited(acquire(t, pool, cluster, client), settings.Producer{}, create)

			out := outgoing("made", "v")
			out.Key = []byte("key")
			at, err := publish(t.Context(), super, out)
			if err != nil {
				t.Fatal(err)
			}
			if want := int32(keyPartition(out.Key, 3)); at.Partition != want || at.Offset != 0 {
				t.Errorf("the first record is at %+v, want partition %d", at, want)
			}
			out.Partition = 3
			_, err = publish(t.Context(), super, out)
			wantError(t, err, ClassInvalid, "has 3 (0 to 2)")

			_, err = publish(t.Context(), super, outgoing("made", strings.Repeat("v", 1<<20)))
			wantError(t, err, ClassTooLarge, "1048576 bytes", "1048588")

			t.Run("a topic with a small limit takes many small records at once", func(t *testing.T) {
				kafka.Tool(t, "topics", "--create", "--topic", "small", "--config", "max.message.bytes=2000")
				var records []record.Outgoing
				for range 20 {
					records = append(records, outgoing("small", strings.Repeat("v", 1000)))
				}
				if _, err := produceAll(t.Context(), super, records...); err != nil {
					t.Error(err)
				}
			})

			t.Run("a missing topic is named soon", func(t *testing.T) {
				none := limited(super, settings.Producer{}, settings.CreateTopics{})
				ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
				defer cancel()
				_, err := publish(ctx, none, outgoing("nowhere", "v"))
				wantError(t, err, ClassUnknownTopic, "nowhere")
			})

			t.Run("a user without rights is told which are missing", func(t *testing.T) {
				restricted := cluster
				restricted.Hosts = kafka.SASLBrokers()
				restricted.Security = settings.Security{
					Protocol: settings.SASLPlaintext, Mechanism: settings.ScramSHA256, Username: "app", Password: settings.NewSecret("app-secret"),
				}
				_, err := publish(t.Context(), acquire(t, pool, restricted, client), outgoing("made", "v"))
				wantError(t, err, ClassNotAuthorised, `"app"`, "ACL Write")
				kafka.Tool(t, "acls", "--add", "--allow-principal", "User:app", "--operation", "Write", "--operation", "Describe", "--topic", "made")
				// Write on a topic is enough for an idempotent producer since Kafka 3.0 (KIP-679).
				granted := acquire(t, NewPool(quiet()), restricted, client)
				// The broker takes the new right up a moment after the tool has ended.
				deadline, cancel := context.WithTimeout(t.Context(), 20*time.Second)
				defer cancel()
				for {
					if _, err = publish(deadline, granted, outgoing("made", "v")); err == nil || deadline.Err() != nil {
						break
					}
				}
				if err != nil {
					t.Error(err)
				}
			})
		})
	}
}

func TestTransactionsOnApacheKafka(t *testing.T) {
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

			t.Run("of several topics the one is named that may not be written to", func(t *testing.T) {
				cl.Topic("open", 1, nil)
				cl.Topic("shut", 1, nil)
				allow := func(what, name, operation string) {
					k.Tool(t, "acls", "--add", "--allow-principal", "User:app", "--operation", operation, what, name)
				}
				allow("--topic", "open", "Write")
				allow("--topic", "shut", "Describe")
				allow("--topic", "in", "Read")
				allow("--group", "rights", "Read")
				allow("--transactional-id", "rights", "Write")
				app := cluster
				app.Hosts = k.SASLBrokers()
				app.Security = settings.Security{
					Protocol: settings.SASLPlaintext, Mechanism: settings.ScramSHA256, Username: "app", Password: settings.NewSecret("app-secret"),
				}
				m := joinGroup(t, k.Brokers(), "rights").member("rights")
				tx := newTransactor(t, "rights", app)
				for range 10 {
					err := tx.Commit(within(t), m, append(many("open", 1, 1), many("shut", 1, 1)...), offsetOf(1))
					output, found := errors.AsType[*OutputError](err)
					if !found || !errors.Is(err, ErrOutput) || output.Topic != "shut" || output.Index != 1 || output.Among != nil {
						t.Errorf("it says %v", err)
					}
				}
				if err := tx.Commit(within(t), m, many("open", 1, 1), offsetOf(5)); err != nil {
					t.Fatal(err)
				}
				cl.WaitCommitted("rights", "in", map[int32]int64{0: 5})
			})
		})
	}
}
