package provider

import (
	"context"
	"io"
	"strings"
	"testing"

	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
	"github.com/messaging-kafka/messaging-kafka/internal/wasmcloud/hostdata"
)

func TestPayloadsAreInTheLogOnlyWhereTheLinkAllowsIt(t *testing.T) {
	for _, allowed := range []string{"false", "true"} {
		t.Run("log_payloads="+allowed, func(t *testing.T) {
			b := newBench(t)
			b.topics("in", "in.reply")
			testkit.NewComponent(t, b.nats, testkit.ComponentOptions{})
			log := &testkit.Log{}
			p := b.host.StartProvider(testkit.ProviderSpec{Run: func(ctx context.Context, stdin io.Reader) error {
				data, err := hostdata.Read(ctx, stdin)
				if err != nil {
					return err
				}
				return Run(ctx, data, Options{Logger: log.Logger(), IgnoreParent: true})
			}})
			p.WaitHealthy()
			b.host.PutLink(testkit.TargetLink("echo", "kafka", b.config("in", "log_payloads", allowed)))
			p.WaitHealthy()
			const secret = "the customer's number"
			b.kc.ProduceText("in", secret)
			b.kc.Read("in.reply", 1)
			b.kc.WaitDrained("wasmcloud.default.echo.default", "in")
			text := log.String()
			shown := strings.Contains(text, `msg="delivering a record"`) &&
				strings.Contains(text, `msg="publishing a record"`) && strings.Count(text, secret) == 2
			switch warned := strings.Contains(text, "level=WARN msg=\"log_payloads=true"); {
			case allowed == "true" && (!shown || !warned):
				t.Errorf("the log holds the payload %d times, want 2, with a warning: %v", strings.Count(text, secret), warned)
			case allowed == "false" && (strings.Contains(text, secret) || warned):
				t.Error("the log holds a payload")
			}
			for line := range strings.Lines(text) {
				if strings.Contains(line, " a record\"") &&
					(!strings.Contains(line, "link=default") || !strings.Contains(line, "component=echo")) {
					t.Errorf("a line does not say whose it is: %s", line)
				}
			}
		})
	}
}
