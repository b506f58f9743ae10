package consume

import (
	"slices"
	"testing"

	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

// allProtocols are the values of group_protocol.
var allProtocols = []string{"classic", "consumer", "share"}

func TestAPatternNeverMatchesInternalTopics(t *testing.T) {
	t.Parallel()
	for _, protocol := range allProtocols {
		t.Run(protocol, func(t *testing.T) {
			t.Parallel()
			k := testkit.Kfake(t)
			cl := testkit.NewClient(t, k.Brokers())
			flagged := map[string]string{"kfake.is_internal": "true"}
			topics := map[string]map[string]string{"a": nil, "b": nil, "told": flagged}
			for _, name := range []string{"__consumer_offsets", "__transaction_state", "__share_group_state", "__remote_log_metadata"} {
				topics[name] = nil // known by its name, whatever the broker tells
			}
			for name, configs := range topics {
				if err := k.CreateTopic(name, 1, configs); err != nil {
					t.Fatal(err)
				}
				cl.ProduceText(name, name)
			}
			h := &handler{name: "a"}
			c := start(t, k.Brokers(), h, map[string]string{
				"topic": "/.*/", "group_protocol": protocol, "metadata_max_age": "1s", "reply_topic": "none",
			})
			h.waitCalls(t, 2)
			// What comes later is found by the same rule, and behind it all that there is has been looked at.
			if err := k.CreateTopic("later.told", 1, flagged); err != nil {
				t.Fatal(err)
			}
			k.Topic("later", 1)
			cl.ProduceText("later.told", "later.told")
			cl.ProduceText("later", "later")
			h.waitCalls(t, 3)
			c.waitHealthy()
			got := h.values()
			slices.Sort(got)
			if want := []string{"a", "b", "later"}; !slices.Equal(got, want) {
				t.Errorf("handled %q, want %q", got, want)
			}
		})
	}
}
