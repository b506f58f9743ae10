package consume

import (
	"testing"

	"github.com/messaging-kafka/messaging-kafka/internal/observe/status"
	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

func TestPartitionsThatATopicDoesNotHaveAreNamed(t *testing.T) {
	t.Parallel()
	for list, text := range map[string]string{
		"7":   "topic t: there is no partition 7: it has 3 (0 to 2)",
		"0,7": "topic t: there is no partition 7: it has 3 (0 to 2)",
	} {
		t.Run(list, func(t *testing.T) {
			t.Parallel()
			k := testkit.Kfake(t)
			k.Topic("t", 3)
			cl := testkit.NewClient(t, k.Brokers())
			h := &handler{name: "a"}
			c := start(t, k.Brokers(), h, map[string]string{"topic": "t", "consumer_partitions": list})
			c.waitProblem(text)
			testkit.InRunbook(t, "A partition or a topic of the link does not exist", text)
			if ps := c.Status().Problems; !ps.Has(status.ProblemTopic) || ps.State() != status.Unhealthy {
				t.Errorf("problems are %v (%s)", ps, ps.State())
			}
			cl.AddPartitions("t", 5)
			c.waitHealthy()
			if owned, want := len(c.owned("t")), map[string]int{"7": 1, "0,7": 2}[list]; owned != want {
				t.Errorf("it is healthy and has %v", c.owned("t"))
			}
		})
	}
}

func TestAPatternThatMatchesNothingIsNamed(t *testing.T) {
	t.Parallel()
	for _, protocol := range allProtocols {
		t.Run(protocol, func(t *testing.T) {
			t.Parallel()
			k := testkit.Kfake(t)
			k.Topic("other", 1)
			k.Topic("__consumer_offsets", 1)
			cl := testkit.NewClient(t, k.Brokers())
			h := &handler{name: "a"}
			c := start(t, k.Brokers(), h, map[string]string{
				"topic": "/orders|__.*/", "group_protocol": protocol, "reply_topic": "none", "metadata_max_age": "1s", "start": "earliest",
			})
			const text = "the pattern matches no topic that exists and that this user may see (ACL Describe); one is waited for"
			c.waitProblem(text)
			testkit.InRunbook(t, "A partition or a topic of the link does not exist", text)
			if ps := c.Status().Problems; !ps.Has(status.ProblemTopic) {
				t.Errorf("problems are %v", ps)
			}
			k.Topic("orders", 1)
			cl.ProduceText("orders", "x")
			h.waitCalls(t, 1)
			c.waitHealthy()
			cl.DeleteTopic("orders")
			c.waitProblem("the pattern matches no topic")
		})
	}
}
