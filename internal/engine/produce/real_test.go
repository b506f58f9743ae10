package produce

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/messaging-kafka/messaging-kafka/internal/record"
	"github.com/messaging-kafka/messaging-kafka/internal/settings"
	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

func TestPublishingToApacheKafka(t *testing.T) {
	if testing.Short() {
		t.Skip("starting Apache Kafka takes long")
	}
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
