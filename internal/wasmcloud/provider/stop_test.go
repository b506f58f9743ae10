package provider

import (
	"context"
	"io"
	"log/slog"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
	"github.com/messaging-kafka/messaging-kafka/internal/wasmcloud/hostdata"
)

// whenLogged closes a channel at the first line with a certain text.
type whenLogged struct {
	slog.Handler
	text string
	seen chan struct{}
}

func (w *whenLogged) Handle(ctx context.Context, r slog.Record) error {
	if r.Message == w.text {
		close(w.seen)
	}
	return w.Handler.Handle(ctx, r)
}

// TestHandlersThatFinishDuringAStopCanPublish: by the link that reads, and by another one of the component, which has
// nothing to finish itself and must not end sooner.
func TestHandlersThatFinishDuringAStopCanPublish(t *testing.T) {
	const publishes = 100 // so many that the stop has begun in earnest before the last
	for name, links := range map[string]func(b *bench) []testkit.Link{
		"by the link that reads": func(b *bench) []testkit.Link {
			return []testkit.Link{testkit.TargetLink("echo", "kafka", b.config("in", "drain_timeout", "20s"))}
		},
		"by a link that only publishes": func(b *bench) []testkit.Link {
			return []testkit.Link{
				testkit.TargetLink("echo", "kafka", b.config("")),
				testkit.SourceLink("kafka", "echo", b.config("in", "drain_timeout", "20s")),
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.topics("in", "in.reply")
			begun, stopping := make(chan struct{}), make(chan struct{})
			log := slog.New(&whenLogged{testkit.Logger(t).Handler(), "host asks for shutdown", stopping})
			testkit.NewComponent(t, b.nats,
				testkit.ComponentOptions{Handler: func(ctx context.Context, c *testkit.Component, call testkit.Call) error {
					close(begun)
					<-stopping
					for i := range publishes {
						if err := c.Publish(ctx, testkit.Message{Subject: *call.ReplyTo, Body: call.Body}); err != nil {
							t.Errorf("publish %d during the stop: %v", i, err)
							return err
						}
					}
					return nil
				}})
			for _, link := range links(b) {
				b.host.PutLink(link)
			}
			p := b.host.StartProvider(testkit.ProviderSpec{Run: func(ctx context.Context, stdin io.Reader) error {
				data, err := hostdata.Read(ctx, stdin)
				if err != nil {
					return err
				}
				return Run(ctx, data, Options{Logger: log, IgnoreParent: true, ShutdownTimeout: testkit.DefaultTimeout})
			}})
			p.WaitHealthy()
			b.kc.ProduceText("in", "a")
			<-begun
			if !p.RequestShutdown(b.host.ID(), testkit.DefaultTimeout+time.Second) {
				t.Error("the shutdown was not answered")
			}
			// The record is done, and every copy of it is there: nothing is left for the next owner.
			b.kc.Read("in.reply", publishes)
			var committed int64
			for _, offset := range b.kc.Committed("wasmcloud.default.echo.default", "in") {
				committed += offset
			}
			if committed != 1 {
				t.Errorf("%d records are committed, want 1", committed)
			}
		})
	}
}

// TestAShutdownEndsTheReadingOfALinkThatWasDeletedBefore: the link has 15 s for its end, and then only the shutdown's
// time.
func TestAShutdownEndsTheReadingOfALinkThatWasDeletedBefore(t *testing.T) {
	b := newBench(t)
	b.topics("in")
	stuck := make(chan struct{})
	testkit.NewComponent(t, b.nats,
		testkit.ComponentOptions{Handler: func(ctx context.Context, _ *testkit.Component, call testkit.Call) error {
			if string(call.Body) == "stuck" {
				close(stuck)
				<-ctx.Done()
			}
			return ctx.Err()
		}})
	l := testkit.TargetLink("echo", "kafka",
		b.config("in", "drain_timeout", "14s", "commit_interval", "5m", "order", "none"))
	b.host.PutLink(l)
	p := b.host.StartProvider(testkit.ProviderSpec{Run: func(ctx context.Context, stdin io.Reader) error {
		data, err := hostdata.Read(ctx, stdin)
		if err != nil {
			return err
		}
		return Run(ctx, data, Options{Logger: testkit.Logger(t), IgnoreParent: true, ShutdownTimeout: 3 * time.Second})
	}})
	p.WaitHealthy()
	b.kc.Produce(&kgo.Record{Topic: "in", Value: []byte("done")})
	b.kc.Produce(&kgo.Record{Topic: "in", Value: []byte("stuck")})
	<-stuck
	b.host.DeleteLink(l)
	if !p.RequestShutdown(b.host.ID(), testkit.DefaultTimeout) {
		t.Error("the shutdown was not answered")
	}
	const group = "wasmcloud.default.echo.default"
	if ms := b.kc.MemberIDs(group); len(ms) > 0 {
		t.Errorf("the group still has the members %v", ms)
	}
	var committed int64
	for _, offset := range b.kc.Committed(group, "in") {
		committed += offset
	}
	if committed != 1 {
		t.Errorf("%d records are committed, want 1", committed)
	}
}
