package provider

import (
	"context"
	"encoding/json"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/messaging-kafka/messaging-kafka/internal/record"
	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

// eachPackage runs a test with a link of each WIT package to a component, which counts what it handles.
func eachPackage(t *testing.T,
	test func(t *testing.T, b *bench, put func(more ...string), component func() (handled *atomic.Int64))) {
	t.Run("wasmcloud:messaging", func(t *testing.T) {
		b := newBench(t)
		test(t, b, func(more ...string) {
			b.host.PutLink(testkit.SourceLink("kafka", "echo", b.config("in", more...)))
		}, func() *atomic.Int64 {
			var handled atomic.Int64
			testkit.NewComponent(t, b.nats,
				testkit.ComponentOptions{Handler: func(context.Context, *testkit.Component, testkit.Call) error {
					handled.Add(1)
					return nil
				}})
			return &handled
		})
	})
	t.Run("messaging-kafka:records", func(t *testing.T) {
		b := newBench(t)
		test(t, b, func(more ...string) {
			b.host.PutLink(recordsLink("kafka", "echo", "handler", b.config("in", more...)))
		}, func() *atomic.Int64 {
			var handled atomic.Int64
			newRecordsComponent(t, b.nats, "echo", func(batch []*record.Record) []record.Outcome {
				handled.Add(int64(len(batch)))
				return outcomes(batch, func(*record.Record) record.Outcome { return record.Outcome{Kind: record.Done} })
			})
			return &handled
		})
	})
}

func outcomes(batch []*record.Record, of func(*record.Record) record.Outcome) []record.Outcome {
	list := make([]record.Outcome, len(batch))
	for i, r := range batch {
		list[i] = of(r)
	}
	return list
}

func (b *bench) noDeadLetters(topic string) {
	b.t.Helper()
	for partition, end := range b.kc.EndOffsets(topic) {
		if end > 0 {
			b.t.Errorf("%d dead letters in partition %d", end, partition)
		}
	}
}

// deafHost subscribes to the calls of echo and takes none, as a host does that is stopped by a signal.
func (b *bench) deafHost() (calls chan *nats.Msg, gone func()) {
	b.t.Helper()
	nc := b.nats.Connect()
	calls = make(chan *nats.Msg, 1000)
	sub, err := nc.ChanQueueSubscribe("default.echo.wrpc.>", "default.echo", calls)
	if err != nil {
		b.t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		b.t.Fatal(err)
	}
	return calls, func() {
		_ = sub.Unsubscribe()
		_ = nc.Flush()
	}
}

func TestACallThatAFrozenHostDoesNotTakeIsHeldAndNotCounted(t *testing.T) {
	eachPackage(t, func(t *testing.T, b *bench, put func(...string), component func() *atomic.Int64) {
		b.topics("in", "dlq")
		_, thaw := b.deafHost()
		p := b.start()
		put("handle_timeout", "100ms", "max_attempts", "1", "dead_letter_topic", "dlq")
		p.WaitHealthy()
		b.kc.ProduceText("in", "a", "b")
		p.WaitUnhealthy("component echo takes no calls", "handle_timeout (100ms)", "nobody took the call")
		// From now on it is long enough for a call that is taken, however loaded the machine is.
		put("handle_timeout", "1m", "max_attempts", "1", "dead_letter_topic", "dlq")
		thaw()
		handled := component()
		b.kc.WaitDrained("wasmcloud.default.echo.default", "in")
		p.WaitHealthy()
		if n := handled.Load(); n != 2 {
			t.Errorf("%d records were handled", n)
		}
		b.noDeadLetters("dlq")
	})
}

// scaled tells the lattice that a host has scaled a component, as a host does.
func (b *bench) scaled(component string, to int) {
	b.t.Helper()
	event, err := json.Marshal(map[string]any{
		"type": "com.wasmcloud.lattice.component_scaled",
		"data": map[string]any{"component_id": component, "host_id": b.host.ID(), "max_instances": to, "image_ref": "x",
			"annotations": map[string]string{}},
	})
	if err != nil {
		b.t.Fatal(err)
	}
	if err := b.host.Conn().Publish("wasmbus.evt.default.component_scaled", event); err != nil {
		b.t.Fatal(err)
	}
}

func TestAScalingEndsTheWaitOfCallsThatItHasCutOff(t *testing.T) {
	eachPackage(t, func(t *testing.T, b *bench, put func(...string), component func() *atomic.Int64) {
		b.topics("in", "dlq")
		calls, stop := b.deafHost()
		p := b.start()
		put("handle_timeout", "10m", "max_attempts", "1", "dead_letter_topic", "dlq")
		p.WaitHealthy()
		b.kc.ProduceText("in", "a")
		<-calls
		stop()
		handled := component()
		b.scaled("echo", 1)
		b.kc.WaitDrained("wasmcloud.default.echo.default", "in")
		if n := handled.Load(); n != 1 {
			t.Errorf("%d records were handled", n)
		}
		b.noDeadLetters("dlq")
	})
}

func TestACallThatAScalingEndedIsNoTrap(t *testing.T) {
	eachPackage(t, func(t *testing.T, b *bench, put func(...string), component func() *atomic.Int64) {
		b.topics("in", "dlq")
		calls, stop := b.deafHost()
		p := b.start()
		put("handle_timeout", "10m", "max_attempts", "1", "dead_letter_topic", "dlq")
		p.WaitHealthy()
		b.kc.ProduceText("in", "a")
		m := <-calls
		stop()
		b.scaled("echo", 0)
		nc := b.host.Conn() // in the order of the host
		if err := nc.PublishRequest(m.Reply, nats.NewInbox(), nil); err != nil {
			t.Fatal(err)
		}
		if err := nc.Publish(m.Reply+".results", nil); err != nil {
			t.Fatal(err)
		}
		p.WaitUnhealthy("component echo takes no calls")
		handled := component()
		b.kc.WaitDrained("wasmcloud.default.echo.default", "in")
		if n := handled.Load(); n != 1 {
			t.Errorf("%d records were handled", n)
		}
		b.noDeadLetters("dlq")
	})
}

func TestACallOfAHostThatIsKilledIsMadeAgainSoonAndNotCounted(t *testing.T) {
	b := newBench(t)
	b.topics("in", "dlq")
	begun := make(chan struct{}, 100)
	hang := testkit.NewComponent(t, b.nats,
		testkit.ComponentOptions{Handler: func(ctx context.Context, _ *testkit.Component, call testkit.Call) error {
			if string(call.Body) == "hangs" {
				begun <- struct{}{}
				return testkit.ErrHang
			}
			return nil
		}})
	p := b.start()
	b.host.PutLink(testkit.SourceLink("kafka", "echo",
		b.config("in", "handle_timeout", "10m", "max_attempts", "1", "dead_letter_topic", "dlq")))
	p.WaitHealthy()
	b.kc.ProduceText("in", "hangs")
	<-begun
	b.waitAsked()
	hang.Stop()
	p.WaitUnhealthy("component echo takes no calls")
	var handled atomic.Int64
	testkit.NewComponent(t, b.nats,
		testkit.ComponentOptions{Handler: func(context.Context, *testkit.Component, testkit.Call) error {
			handled.Add(1)
			return nil
		}})
	b.kc.WaitDrained("wasmcloud.default.echo.default", "in")
	if n := handled.Load(); n != 1 {
		t.Errorf("%d records were handled", n)
	}
	b.noDeadLetters("dlq")
}

// waitAsked waits until the provider has asked twice whether the peer of a call is there.
func (b *bench) waitAsked() {
	b.t.Helper()
	sub, err := b.host.Conn().SubscribeSync("_INBOX.*.alive")
	if err != nil {
		b.t.Fatal(err)
	}
	for range 2 {
		if _, err := sub.NextMsg(testkit.DefaultTimeout); err != nil {
			b.t.Fatal(err)
		}
	}
	if err := sub.Unsubscribe(); err != nil { // or it would answer for a peer that is gone
		b.t.Fatal(err)
	}
	if err := b.host.Conn().Flush(); err != nil {
		b.t.Fatal(err)
	}
}

func TestAMissingNATSRightHoldsRecordsAndIsNamed(t *testing.T) {
	subscribe, publish := documentedPermissions(t)
	without := func(list []string, part string) (left []string) {
		for _, one := range list {
			if !strings.Contains(one, part) {
				left = append(left, one)
			}
		}
		return left
	}
	for name, lists := range map[string][2][]string{
		"to call the component": {subscribe, without(publish, "handle-message")},
		"to hear the answer":    {without(subscribe, "_INBOX"), publish},
	} {
		t.Run(name, func(t *testing.T) {
			b, spec := restrictedBench(t, lists[0], lists[1])
			b.topics("in", "dlq")
			c := testkit.NewComponent(t, b.nats, testkit.ComponentOptions{})
			p := b.host.StartProvider(spec)
			p.WaitHealthy()
			b.host.PutLink(testkit.SourceLink("kafka", "echo",
				b.config("in", "max_attempts", "1", "dead_letter_topic", "dlq", "handle_timeout", "10m")))
			b.kc.ProduceText("in", "a", "b", "c")
			p.WaitUnhealthy("component echo takes no calls", "the lattice refuses the call", "Permissions Violation")
			b.noDeadLetters("dlq")
			if n := c.Calls(); n > 3 {
				t.Errorf("the component was called %d times: nobody hears its answers", n)
			}
		})
	}
}
