package consume

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/messaging-kafka/messaging-kafka/internal/engine/kafka"
	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

func TestAnOpenTransactionThatHoldsTheLinkIsTold(t *testing.T) {
	t.Parallel()
	for _, group := range []string{"classic", "consumer", "share"} {
		t.Run(group, func(t *testing.T) {
			t.Parallel()
			k := testkit.Kfake(t)
			k.Topic("t", 1)
			hanging := testkit.NewClient(t, k.Brokers(), kgo.TransactionalID("hanging"), kgo.TransactionTimeout(10*time.Minute))
			cl := testkit.NewClient(t, k.Brokers())
			cl.ProduceText("t", "before")
			h := &handler{name: "a"}
			c := start(t, k.Brokers(), h, map[string]string{"topic": "t", "group_protocol": group})
			h.waitCalls(t, 1)
			if err := hanging.BeginTransaction(); err != nil {
				t.Fatal(err)
			}
			hanging.ProduceText("t", "open")
			cl.ProduceText("t", "behind it")
			testkit.Eventually(t, kafka.OpenAfter+patience, func() error {
				all := c.Status().Problems.String()
				for _, part := range []string{"the last stable offset of t/0 stands at 1 since ", "producer id", "2 offsets behind it"} {
					if !strings.Contains(all, part) {
						return fmt.Errorf("problems are %q", all)
					}
				}
				return nil
			})
			testkit.InRunbook(t, "Nothing comes, the lag is 0: an open transaction", c.Status().Problems.String())
			if err := hanging.EndTransaction(t.Context(), kgo.TryAbort); err != nil {
				t.Fatal(err)
			}
			c.waitHealthy()
		})
	}
}
