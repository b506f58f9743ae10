package provider

import (
	"context"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
	"github.com/messaging-kafka/messaging-kafka/internal/wasmcloud/hostdata"
)

// TestSettingsThatAreWrongAreInTheRunbook, both what health says of them and what the log does.
func TestSettingsThatAreWrongAreInTheRunbook(t *testing.T) {
	b := newBench(t)
	var log testkit.Log
	p := b.host.StartProvider(testkit.ProviderSpec{Run: func(ctx context.Context, stdin io.Reader) error {
		data, err := hostdata.Read(ctx, stdin)
		if err != nil {
			return err
		}
		return Run(ctx, data, Options{Logger: log.Logger(), IgnoreParent: true})
	}})
	p.WaitHealthy()
	b.host.PutLink(testkit.TargetLink("echo", "kafka", b.config("in", "max_in_flight", "many")))
	const heading = "The settings are wrong"
	testkit.InRunbook(t, heading, p.WaitUnhealthy("link echo/default: ", "max_in_flight"))
	testkit.Eventually(t, testkit.DefaultTimeout, func() error {
		for line := range strings.Lines(log.String()) {
			if _, said, found := strings.Cut(line, "level=ERROR msg="); found && strings.Contains(line, "component=echo") {
				// What is behind it is health's text.
				said, _, _ = strings.Cut(said, " link=")
				testkit.InRunbook(t, heading, said)
				return nil
			}
		}
		return fmt.Errorf("the log has no error of the link:\n%s", &log)
	})
}
