package lattice

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

// controlled is a Handler whose links may be acted on.
type controlled struct {
	*recorder
	may   bool
	asked chan string
	act   func(ctx context.Context, request string) []byte
}

func (c *controlled) MayControl() bool { return c.may }

func (c *controlled) Control(ctx context.Context, request []byte) []byte {
	c.asked <- string(request)
	return c.act(ctx, string(request))
}

func newControlled(
	t *testing.T, may bool, act func(ctx context.Context, request string) []byte,
) (*controlled, *testkit.Provider, *nats.Conn) {
	t.Helper()
	handler := &controlled{recorder: newRecorder(), may: may, asked: make(chan string, 1000), act: act}
	ns := testkit.NATS(t, testkit.NATSOptions{})
	host := testkit.NewFakeHost(t, ns, testkit.FakeHostOptions{})
	p := host.StartProvider(testkit.ProviderSpec{Run: runner(handler, new(atomic.Pointer[Session]))})
	p.WaitHealthy()
	return handler, p, ns.Connect()
}

const controlSubject = "wasmbus.rpc.default.kafka.control"

func TestLinksAreActedOnWhereThatIsAllowed(t *testing.T) {
	_, _, nc := newControlled(t, true, func(_ context.Context, request string) []byte { return []byte("done " + request) })
	msg, err := nc.Request(controlSubject, []byte("it"), testkit.DefaultTimeout)
	if err != nil || string(msg.Data) != "done it" {
		t.Errorf("got %v, %v", msg, err)
	}
	_, _, nc = newControlled(t, false, nil)
	if _, err := nc.Request(controlSubject, []byte("it"), testkit.DefaultTimeout); !errors.Is(err, nats.ErrNoResponders) {
		t.Errorf("where it is not allowed: %v", err)
	}
}

// TestARequestForAnotherCopyIsNotAnswered, and one whose answer would go elsewhere than to an inbox, or that is too
// large, is not carried out.
func TestARequestForAnotherCopyIsNotAnswered(t *testing.T) {
	handler, p, nc := newControlled(t, true, func(context.Context, string) []byte { return nil })
	answers, err := nc.SubscribeSync("wasmbus.rpc.default.other.default.shutdown")
	if err != nil {
		t.Fatal(err)
	}
	if err := nc.Publish(controlSubject, []byte("b")); err != nil {
		t.Fatal(err)
	}
	for _, request := range []struct {
		reply string
		data  []byte
	}{{answers.Subject, []byte("a")}, {nats.NewInbox(), make([]byte, maxControlBytes+1)}, {nats.NewInbox(), []byte("c")}} {
		if err := nc.PublishRequest(controlSubject, request.reply, request.data); err != nil {
			t.Fatal(err)
		}
	}
	if got := <-handler.asked; got != "c" {
		t.Errorf("%q is carried out", got)
	}
	p.WaitHealthy()
	if n, _, err := answers.Pending(); err != nil || n != 0 {
		t.Errorf("%d answers, %v", n, err)
	}
}

// TestWhatActsOnLinksIsBoundedAndEnds: what comes beyond the bound is dropped, health is answered meanwhile, and a
// shutdown waits for the end of what runs, which its context brings.
func TestWhatActsOnLinksIsBoundedAndEnds(t *testing.T) {
	var running, ended atomic.Int64
	handler, p, nc := newControlled(t, true, func(ctx context.Context, _ string) []byte {
		running.Add(1)
		<-ctx.Done()
		ended.Add(1)
		return []byte("cut off")
	})
	handler.onShutdown = func(context.Context) {
		if n := ended.Load(); n != maxControls {
			t.Errorf("the shutdown begins when %d of %d have ended", n, maxControls)
		}
	}
	for range maxControls + 5 {
		if err := nc.PublishRequest(controlSubject, nats.NewInbox(), []byte("it")); err != nil {
			t.Fatal(err)
		}
	}
	testkit.Eventually(t, testkit.DefaultTimeout, func() error {
		if n := running.Load(); n != maxControls {
			return fmt.Errorf("%d are carried out", n)
		}
		return nil
	})
	p.WaitHealthy()
	if r := p.Shutdown(); !r.Replied {
		t.Errorf("the shutdown: %+v", r)
	}
	if n := running.Load(); n != maxControls {
		t.Errorf("%d were carried out", n)
	}
}
