//go:build brokers

package request

import (
	"context"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

// TestRequestsOverARealKafka is the sum of the other tests where a broker's own behaviour counts.
func TestRequestsOverARealKafka(t *testing.T) {
	brokers := testkit.RealKafka(t, testkit.KafkaOptions{NoAutoCreate: true}).Brokers()
	client := testkit.NewClient(t, brokers)
	client.Topic("requests", 4, nil)
	t.Cleanup(func() { // the tests share this Kafka, and a test can run again
		if _, err := kadm.NewClient(client.Client).DeleteTopics(context.Background(), "requests", "answers"); err != nil {
			t.Errorf("deleting the topics: %v", err)
		}
	})

	t.Run("the reply topic is created", func(t *testing.T) {
		cfg, seen := config(t, brokers)
		cfg.Create.Enabled, cfg.Create.Partitions, cfg.Create.Replication = true, 4, 1
		newReplier(t, brokers, echo)
		mustAnswer(t, start(t, cfg), "a")
		seen.want(t, 1, 0, 0)
		if n := len(client.EndOffsets("answers")); n != 4 {
			t.Errorf("the topic has %d partitions", n)
		}
	})
	t.Run("one partition is asked for", func(t *testing.T) {
		cfg, seen := config(t, brokers)
		cfg.Settings.ReplyPartition = 2
		newReplier(t, brokers, func(rp *replier, r *kgo.Record) {
			if string(r.Value) == "b" {
				echo(rp, r)
			}
		})
		if got := mustAnswer(t, start(t, cfg), "b"); got.Partition != 2 {
			t.Errorf("the answer is from partition %d", got.Partition)
		}
		seen.want(t, 1, 0, 0)
	})
	t.Run("the reply topic is created anew", func(t *testing.T) {
		cfg, seen := config(t, brokers)
		newReplier(t, brokers, func(rp *replier, r *kgo.Record) {
			switch string(r.Value) {
			case "c":
				echo(rp, r)
			case "d":
				if _, err := kadm.NewClient(client.Client).DeleteTopic(context.Background(), "answers"); err != nil {
					t.Errorf("deleting the topic: %v", err)
				}
				client.Topic("answers", 4, nil)
				client.Produce(answer(r))
			}
		})
		r := start(t, cfg)
		mustAnswer(t, r, "c")
		mustAnswer(t, r, "d")
		seen.want(t, 2, 0, 0)
	})
	t.Run("two thousand callers are in flight", func(t *testing.T) {
		// The replier counts requests, so those of before must be gone.
		if _, err := kadm.NewClient(client.Client).DeleteTopic(t.Context(), "requests"); err != nil {
			t.Fatal(err)
		}
		client.Topic("requests", 4, nil)
		inFlight(t, brokers)
	})
}
