package provider

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/messaging-kafka/messaging-kafka/internal/observe/status"
	"github.com/messaging-kafka/messaging-kafka/internal/record"
	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

func TestALinkWhoseComponentFailsOnEveryCallIsFailing(t *testing.T) {
	for _, kind := range []string{"wasmcloud:messaging", "messaging-kafka:records"} {
		t.Run(kind, func(t *testing.T) {
			b := newBench(t)
			b.kafka.Topic("in", 1)
			var mended atomic.Bool
			fail := func() error {
				if mended.Load() {
					return nil
				}
				return errors.New("no database")
			}
			if kind == "wasmcloud:messaging" {
				testkit.NewComponent(t, b.nats,
					testkit.ComponentOptions{Handler: func(context.Context, *testkit.Component, testkit.Call) error { return fail() }})
				b.host.PutLink(testkit.SourceLink("kafka", "echo", b.config("in")))
			} else {
				newRecordsComponent(t, b.nats, "echo", func(batch []*record.Record) []record.Outcome {
					return outcomes(batch, func(*record.Record) record.Outcome {
						if err := fail(); err != nil {
							return record.Outcome{Err: err}
						}
						return record.Outcome{Kind: record.Done}
					})
				})
				b.host.PutLink(recordsLink("kafka", "echo", "handler", b.config("in")))
			}
			p := b.start()
			b.kc.ProduceText("in", "a")
			text := p.WaitUnhealthy("failing: ", " of the last ", " calls: ", "no database", "in/0, offset 0")
			testkit.InRunbook(t, "The component fails", text)
			var failed, of int
			_, rest, _ := strings.Cut(text, "failing: ")
			if _, err := fmt.Sscanf(rest, "%d of the last %d calls", &failed, &of); err != nil || failed != of || failed < 10 {
				t.Errorf("health says %q (%v)", text, err)
			}
			b.awaitStatus(func(s *status.Provider) error {
				if l := s.Links[0]; l.State != status.Failing || !l.Problems.Has(status.ProblemFailing) ||
					!strings.Contains(l.Reason, "no database") ||
					len(l.RecentErrors) == 0 || !strings.Contains(l.RecentErrors[0].Text, "not healthy") {
					return fmt.Errorf("the status tells %+v", l)
				}
				return nil
			})
			mended.Store(true)
			b.kc.WaitDrained("wasmcloud.default.echo.default", "in")
			p.WaitHealthy()
		})
	}
}
