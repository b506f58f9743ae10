package provider

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

func TestRecordsWithoutAKeyComeBackInTheOrderInWhichTheyWereSent(t *testing.T) {
	b := newBench(t)
	b.kafka.Topic("in", 1)
	b.kafka.Topic("in.reply", 1)
	testkit.NewComponent(t, b.nats,
		testkit.ComponentOptions{Handler: func(ctx context.Context, c *testkit.Component, call testkit.Call) error {
			if string(call.Body) == "one" {
				time.Sleep(100 * time.Millisecond) // the later ones would overtake it
			}
			return testkit.Echo(ctx, c, call)
		}})
	p := b.start()
	b.host.PutLink(testkit.TargetLink("echo", "kafka", b.config("in")))
	p.WaitHealthy()
	sent := []string{"one", "two", "three"}
	b.kc.ProduceText("in", sent...)
	var got []string
	for _, r := range b.kc.Read("in.reply", len(sent)) {
		got = append(got, string(r.Value))
	}
	if !slices.Equal(got, sent) {
		t.Errorf("came back as %v", got)
	}
	s := b.askStatus()
	if !linkOf(&s, "echo/default").KeylessOnly {
		t.Error("the status does not know that no record has a key")
	}
}
