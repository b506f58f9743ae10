package consume

import (
	"context"
	"fmt"
	"testing"

	"github.com/messaging-kafka/messaging-kafka/internal/record"
	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

func TestATopicThatIsCreatedAgainDoesNotStopTheOthers(t *testing.T) {
	t.Parallel()
	for name, topics := range map[string]string{"by its name": "t,other", "by a pattern": "/t|other/"} {
		for _, protocol := range allProtocols {
			t.Run(name+", "+protocol, func(t *testing.T) {
				t.Parallel()
				k := testkit.Kfake(t)
				k.Topic("t", 1)
				k.Topic("other", 1)
				cl := testkit.NewClient(t, k.Brokers())
				release := make(chan struct{})
				h := &handler{name: "a", do: func(ctx context.Context, r *record.Record) (record.Kind, error) {
					if r.Topic == "t" || protocol == "share" { // where a poll ends with its slowest call
						return record.Done, nil
					}
					select {
					case <-release:
						return record.Done, nil
					case <-ctx.Done():
						t.Error("a call for a record of the other topic was cut off")
						return record.Unanswered, ctx.Err()
					}
				}}
				c := start(t, k.Brokers(), h, map[string]string{
					"topic": topics, "group_protocol": protocol, "metadata_max_age": "1s", "reply_topic": "none",
				})
				cl.ProduceText("t", "old")
				cl.ProduceText("other", "other")
				h.waitCalls(t, 2)
				c.waitHealthy()
				times := 2
				if protocol == "share" {
					times = 1 // its client takes 10 seconds to tell
				}
				for i := range times {
					cl.DeleteTopic("t")
					k.Topic("t", 1)
					testkit.NewClient(t, k.Brokers()).ProduceText("t", fmt.Sprint("new ", i))
					calls := h.waitCalls(t, 3+i)
					if got := calls[2+i]; got.topic != "t" || got.value != fmt.Sprint("new ", i) || got.offset != 0 {
						t.Errorf("of the new topic came %+v", got)
					}
				}
				close(release)
				if protocol != "share" {
					cl.WaitDrained("g", "other")
				}
				c.waitHealthy()
				if n := len(h.seen()); n != 2+times {
					t.Errorf("%d calls for %d records: %+v", n, 2+times, h.seen())
				}
				if c.log.Contains("consuming is begun anew") {
					t.Error("the session was begun anew")
				}
			})
		}
	}
}
