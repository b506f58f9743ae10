package consume

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kversion"

	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

func TestABrokerThatIsTooOldForAGroupProtocolIsNamed(t *testing.T) {
	t.Parallel()
	for protocol, needs := range map[string]string{"consumer": "4.0", "share": "4.2"} {
		t.Run(protocol, func(t *testing.T) {
			t.Parallel()
			k := testkit.Kfake(t, kfake.MaxVersions(kversion.V3_9_0()))
			k.Topic("t", 1)
			c := start(t, k.Brokers(), &handler{name: "a"}, map[string]string{"topic": "t", "group_protocol": protocol})
			c.waitProblem("too old", "group_protocol", needs)
		})
	}
}
