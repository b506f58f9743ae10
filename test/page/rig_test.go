package page

import (
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
	"github.com/messaging-kafka/messaging-kafka/internal/wasmcloud/hostdata"
	"github.com/messaging-kafka/messaging-kafka/internal/wasmcloud/provider"
)

// rig is a provider at work: three links, of which one is well, one has dead letters and one cannot work, and records
// that flow until the test ends.
type rig struct {
	t     *testing.T
	url   string // of the page
	nats  *testkit.NATSServer
	kafka *testkit.FakeKafka
	host  *testkit.FakeHost
}

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{t: t, nats: testkit.NATS(t, testkit.NATSOptions{}), kafka: testkit.Kfake(t)}
	r.host = testkit.NewFakeHost(t, r.nats, testkit.FakeHostOptions{})
	for _, topic := range []string{"orders", "payments", "payments.failed", "orders.reply", "payments.reply"} {
		r.kafka.Topic(topic, 3)
	}
	page := make(chan net.Addr, 1)
	p := r.host.StartProvider(testkit.ProviderSpec{
		Config: map[string]string{"admin_address": "0"},
		Run: func(ctx context.Context, stdin io.Reader) error {
			data, err := hostdata.Read(ctx, stdin)
			if err != nil {
				return err
			}
			return provider.Run(ctx, data, provider.Options{
				Logger: testkit.Logger(t), IgnoreParent: true, OnAdmin: func(a net.Addr) { page <- a },
			})
		},
	})
	p.WaitHealthy()
	r.url = "http://" + (<-page).String() + "/"

	testkit.NewComponent(t, r.nats, testkit.ComponentOptions{ID: "shop-orders", Handler: slowly(testkit.Echo)})
	testkit.NewComponent(t, r.nats,
		testkit.ComponentOptions{ID: "payments",
			Handler: slowly(func(ctx context.Context, c *testkit.Component, call testkit.Call) error {
				if strings.HasSuffix(string(call.Body), "7") {
					return fmt.Errorf("payment %s: the card has expired", call.Body)
				}
				return testkit.Echo(ctx, c, call)
			})})
	config := func(topic string, more ...string) map[string]string {
		c := map[string]string{"hosts": strings.Join(r.kafka.Brokers(), ","), "topic": topic, "start": "earliest"}
		for i := 0; i < len(more); i += 2 {
			c[more[i]] = more[i+1]
		}
		return c
	}
	r.host.PutLink(testkit.TargetLink("shop-orders", "kafka", config("orders")))
	r.host.PutLink(testkit.TargetLink("payments", "kafka",
		config("payments", "dead_letter_topic", "payments.failed", "max_attempts", "1")))
	r.host.PutLink(testkit.SourceLink("kafka", "audit", config("audit-log")))
	r.flow()
	return r
}

// slowly has a handler take some milliseconds, now more and now less, as real ones do.
func slowly(handler testkit.HandlerFunc) testkit.HandlerFunc {
	return func(ctx context.Context, c *testkit.Component, call testkit.Call) error {
		took := 2 + len(call.Body)*7%11
		select {
		case <-time.After(time.Duration(took) * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
		return handler(ctx, c, call)
	}
}

// flow produces records, by a rhythm that shows in a chart, until the test ends.
func (r *rig) flow() {
	client := testkit.NewClient(r.t, r.kafka.Brokers())
	ctx, cancel := context.WithCancel(context.Background())
	var done sync.WaitGroup
	done.Go(func() {
		for n := 0; ; n++ {
			select {
			case <-time.After(rhythm(n)):
			case <-ctx.Done():
				return
			}
			client.ProduceText("orders", fmt.Sprint("order ", n), fmt.Sprint("order ", n, " again"))
			if n%20 == 0 {
				client.ProduceText("payments", fmt.Sprint(n/20))
			}
		}
	})
	r.t.Cleanup(func() { cancel(); done.Wait() })
}

// rhythm is the pause before the nth record: waves of about a minute, with a lull in each.
func rhythm(n int) time.Duration {
	const wave = 600
	at := n % wave
	if at > wave/2 {
		at = wave - at
	}
	return time.Duration(20+at/2) * time.Millisecond
}
