package consume

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/messaging-kafka/messaging-kafka/internal/engine/kafka"
	"github.com/messaging-kafka/messaging-kafka/internal/observe/control"
	"github.com/messaging-kafka/messaging-kafka/internal/record"
	"github.com/messaging-kafka/messaging-kafka/internal/settings"
	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

// finished takes every record.
type finished struct{}

func (finished) Receive(_ context.Context, batch []*record.Record) []record.Outcome {
	return record.Each(len(batch), record.Outcome{Kind: record.Done})
}

// TestARealKafkaTakesOffsetsOfAnEmptyGroupAlone: of both protocols, and at once also where a static member was in it.
func TestARealKafkaTakesOffsetsOfAnEmptyGroupAlone(t *testing.T) {
	brokers := testkit.RealKafka(t, testkit.KafkaOptions{}).Brokers()
	kc := testkit.NewClient(t, brokers)
	for _, member := range []string{"classic", "consumer", "classic static", "consumer static"} {
		name := fmt.Sprintf("seek-%s-%d", strings.ReplaceAll(member, " ", "-"), time.Now().UnixNano()) // others may have run it on this Kafka
		kc.Topic(name, 1, nil)
		kc.Produce(&kgo.Record{Topic: name, Value: []byte("a")}, &kgo.Record{Topic: name, Value: []byte("b")})
		protocol, static, _ := strings.Cut(member, " ")
		config := map[string]string{
			"hosts": strings.Join(brokers, ","), "topic": name, "start": "earliest", "group_protocol": protocol,
			"consumer_group": name, "commit_interval": "20ms",
		}
		if static != "" {
			config["group_instance_id"] = "one"
		}
		link, _, err := settings.ParseLink(settings.Input{Config: config})
		if err != nil {
			t.Fatal(err)
		}
		log := slog.New(slog.DiscardHandler)
		access, err := kafka.NewAccess(link.Cluster, log)
		if err != nil {
			t.Fatal(err)
		}
		c := Start(Config{
			Settings: link, Access: access, Receiver: finished{}, Component: "echo", Observer: new(counts), Log: log,
		})
		kc.WaitDrained(name, name)
		try := func(patience time.Duration, dry bool, leaving []string) error {
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			_, err := Seek(ctx, access, &link.Consumer, &control.Target{To: control.ToStart}, dry, leaving)
			return err
		}
		seek := func(patience time.Duration) error { return try(patience, false, nil) }
		refused := seek(2 * time.Second)
		if !errors.Is(refused, ErrMembers) {
			t.Errorf("%s: while it reads it says %v", member, refused)
		}
		if err := try(2*time.Second, true, []string{"another"}); err == nil || err.Error() != refused.Error() {
			t.Errorf("%s: a dry run says %v, not %v", member, err, refused)
		}
		if err := try(testkit.DefaultTimeout, true, []string{"another", c.Member()}); err != nil {
			t.Errorf("%s: a dry run for when it has left says %v", member, err)
		}
		c.LeaveForGood()
		stop, cancel := context.WithTimeout(t.Context(), testkit.DefaultTimeout)
		c.Stop(stop)
		cancel()
		// Less than a session, in which a static member would be waited for.
		if err := seek(link.Consumer.SessionTimeout / 2); err != nil {
			t.Errorf("%s: %v", member, err)
		}
		if got := kc.Committed(name, name); !maps.Equal(got, map[int32]int64{0: 0}) {
			t.Errorf("%s: the group goes on from %v", member, got)
		}
	}
}
