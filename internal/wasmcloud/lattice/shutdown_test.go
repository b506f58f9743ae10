package lattice

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
	"github.com/messaging-kafka/messaging-kafka/internal/wasmcloud/hostdata"
)

func TestShutdownDrainsBeforeItReplies(t *testing.T) {
	r := newRecorder()
	var left time.Duration
	var bounded bool
	begun, release := make(chan struct{}), make(chan struct{})
	r.onShutdown = func(ctx context.Context) {
		deadline, ok := ctx.Deadline()
		left, bounded = time.Until(deadline), ok
		close(begun)
		<-release
	}
	f := newFixture(t, fixtureOptions{recorder: r})
	reply := f.host.Conn().NewRespInbox()
	replies, err := f.host.Conn().SubscribeSync(reply)
	if err != nil {
		t.Fatal(err)
	}
	body := []byte(`{"host_id":"` + f.host.ID() + `"}`)
	for range 2 { // a second one changes nothing
		if err := f.host.Conn().PublishRequest("wasmbus.rpc.default.kafka.default.shutdown", reply, body); err != nil {
			t.Fatal(err)
		}
	}
	<-begun
	// A health check that goes to and fro shows that a reply would have been here by now.
	f.request(t, "health", "")
	if n, _, err := replies.Pending(); err != nil || n != 0 {
		t.Errorf("%d replies came before the drain was over, %v", n, err)
	}
	close(release)
	if _, err := replies.NextMsg(testkit.DefaultTimeout); err != nil {
		t.Errorf("waiting for the reply: %v", err)
	}
	if err := f.provider.WaitExit(); err != nil {
		t.Errorf("the session ends with %v", err)
	}
	if n := f.shutdownCount(); n != 1 {
		t.Errorf("shut down %d times", n)
	}
	if !bounded || left > DefaultShutdownTimeout {
		t.Errorf("the drain may take %v", left)
	}
}

func TestShutdownRepliesWhenTheDrainRunsOutOfTime(t *testing.T) {
	r := newRecorder()
	r.onShutdown = func(ctx context.Context) { <-ctx.Done() }
	f := newFixture(t, fixtureOptions{recorder: r,
		session: Options{ShutdownTimeout: 20 * time.Millisecond}})
	if got := f.provider.Shutdown(); !got.Replied || got.Err != nil {
		t.Errorf("got %+v", got)
	}
}

func TestShutdownsForOtherHostsAreIgnored(t *testing.T) {
	f := newFixture(t, fixtureOptions{})
	for _, body := range []string{`{"host_id":"NOTHER"}`, `{"host_id":""}`, `{}`, ``, `no JSON`, `{"host_id":7}`} {
		if err := f.host.Conn().Publish("wasmbus.rpc.default.kafka.default.shutdown", []byte(body)); err != nil {
			t.Fatal(err)
		}
	}
	// The real one comes last over the same subscription, so all others have been looked at when it is answered. The
	// first to be taken for real would be the one without a reply.
	if got := f.provider.Shutdown(); !got.Replied || got.Err != nil {
		t.Errorf("got %+v", got)
	}
	if n := f.shutdownCount(); n != 1 {
		t.Errorf("shut down %d times", n)
	}
}

func TestOneOfTwoCopiesIsShutDownAlone(t *testing.T) {
	f := newFixture(t, fixtureOptions{})
	second := newRecorder()
	other := f.host.Peer()
	var session atomic.Pointer[Session]
	p := other.StartProvider(testkit.ProviderSpec{Run: runner(second, &session)})
	testkit.Eventually(t, testkit.DefaultTimeout, func() error {
		if session.Load() == nil {
			return errors.New("the second copy is not connected")
		}
		return nil
	})
	f.ns.WaitInterest(session.Load().putSubject())
	f.host.PutLink(testkit.TargetLink("echo", "kafka", nil))
	second.wait(t, 1)
	f.wait(t, 1)
	if got := p.Shutdown(); !got.Replied || got.Err != nil {
		t.Errorf("the second copy's shutdown: %+v", got)
	}
	f.host.DeleteLink(testkit.TargetLink("echo", "kafka", nil))
	f.wait(t, 2)
	if f.shutdownCount() != 0 || second.shutdownCount() != 1 {
		t.Errorf("shutdowns: %d and %d", f.shutdownCount(), second.shutdownCount())
	}
}

func TestAProviderOfAHostWithoutAnIDTakesAnyEmptyShutdown(t *testing.T) {
	f := newFixture(t, fixtureOptions{spec: testkit.ProviderSpec{HostData: func(d map[string]any) {
		delete(d,
			"host_id")
	}}})
	f.request(t, "default.shutdown", "")
	if err := f.provider.WaitExit(); err != nil {
		t.Error(err)
	}
}

func TestAHangingLinkDoesNotHoldUpTheShutdown(t *testing.T) {
	release := make(chan struct{})
	r := newRecorder()
	r.onPut = func(Link) { <-release }
	f := newFixture(t, fixtureOptions{
		recorder: r,
		session:  Options{ShutdownTimeout: 50 * time.Millisecond},
		before:   []testkit.Link{testkit.TargetLink("echo", "kafka", nil)},
	})
	defer close(release)
	f.wait(t, 1)
	if got := f.provider.Shutdown(); !got.Replied || !errors.Is(got.Err, ErrStuck) {
		t.Errorf("got %+v", got)
	}
	if n := f.shutdownCount(); n != 1 {
		t.Errorf("shut down %d times", n)
	}
}

func TestNoLinkIsHandledOnceTheShutdownHasBegun(t *testing.T) {
	r := newRecorder()
	entered, release := make(chan struct{}, 1), make(chan struct{})
	r.onPut = func(Link) { entered <- struct{}{}; <-release }
	r.onShutdown = func(context.Context) {}
	f := newFixture(t, fixtureOptions{recorder: r,
		session: Options{ShutdownTimeout: testkit.DefaultTimeout},
		before:  []testkit.Link{testkit.TargetLink("one", "kafka", nil), testkit.TargetLink("two", "kafka", nil)}})
	<-entered
	f.host.PutLink(testkit.TargetLink("three", "kafka", nil))
	done := make(chan testkit.ShutdownResult, 1)
	go func() { done <- f.provider.Shutdown() }()
	// The session gives up its subscriptions before it waits for the worker.
	f.ns.WaitNoInterest(f.current().putSubject())
	close(release)
	if got := <-done; !got.Replied || got.Err != nil {
		t.Errorf("got %+v", got)
	}
	// It had begun with "one"; whether the end or "two" was seen first is decided while it was busy.
	if n := len(f.all()); n > 2 {
		t.Errorf("events: %v", f.all())
	}
}

func TestTheContextsEndIsAnOrderlyEnd(t *testing.T) {
	ns := testkit.NATS(t, testkit.NATSOptions{})
	r := newRecorder()
	var left time.Duration
	r.onShutdown = func(ctx context.Context) {
		deadline, _ := ctx.Deadline()
		left = time.Until(deadline)
	}
	data := &hostdata.Data{Lattice: "default", ProviderKey: "kafka", LatticeURL: ns.URL()}
	stop := runSession(t, data, Options{StopTimeout: time.Hour}, r)
	ns.WaitInterest("wasmbus.rpc.default.kafka.health")
	if err := stop(); err != nil {
		t.Errorf("got %v", err)
	}
	if n := r.shutdownCount(); n != 1 {
		t.Errorf("shut down %d times", n)
	}
	if left < time.Minute {
		t.Errorf("the drain may take %v, though nobody waits", left)
	}
}

func TestTheParentsDeathIsAnOrderlyEnd(t *testing.T) {
	var id atomic.Int64
	id.Store(4711)
	watched := parent{id: func() int { return int(id.Load()) }, every: time.Millisecond}
	f := newFixture(t, fixtureOptions{session: Options{parent: watched}})
	id.Store(1)
	if err := f.provider.WaitExit(); err != nil {
		t.Errorf("got %v", err)
	}
	if n := f.shutdownCount(); n != 1 {
		t.Errorf("shut down %d times", n)
	}
	if !f.log.Contains(ErrParentGone.Error()) {
		t.Error("the log does not say why")
	}
}

func TestTheParentIsWatchedEverySecondUnlessIgnored(t *testing.T) {
	for _, ignore := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			var id atomic.Int64
			o := Options{IgnoreParent: ignore, parent: parent{id: func() int { return int(id.Load()) }}}.withDefaults()
			ctx, stop := o.watchParent(t.Context())
			defer stop()
			time.Sleep(time.Minute)
			synctest.Wait()
			if ctx.Err() != nil {
				t.Fatal("the parent is taken for dead while it lives")
			}
			id.Store(1)
			time.Sleep(time.Second)
			synctest.Wait()
			if got := errors.Is(context.Cause(ctx), ErrParentGone); got == ignore {
				t.Errorf("ignoring is %t, but the end is seen: %t", ignore, got)
			}
		})
	}
}

func TestAClosedConnectionIsAnErrorAndStillShutsDown(t *testing.T) {
	f := newFixture(t, fixtureOptions{})
	f.current().Conn().Close()
	if err := f.provider.WaitExit(); !errors.Is(err, ErrClosed) {
		t.Errorf("got %v", err)
	}
	if n := f.shutdownCount(); n != 1 {
		t.Errorf("shut down %d times", n)
	}
}

func TestASessionThatCannotSubscribeStillShutsDown(t *testing.T) {
	ns := testkit.NATS(t, testkit.NATSOptions{})
	data := &hostdata.Data{Lattice: "default", ProviderKey: "kafka", LatticeURL: ns.URL()}
	s, err := Connect(t.Context(), data, Options{})
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
	r := newRecorder()
	if err := s.Run(t.Context(), r); err == nil {
		t.Error("no error")
	}
	if err := s.Run(t.Context(), r); err == nil {
		t.Error("it runs twice")
	}
	if n := r.shutdownCount(); n != 1 {
		t.Errorf("shut down %d times", n)
	}
}

func TestAnEndedContextEndsBeforeItBegins(t *testing.T) {
	ns := testkit.NATS(t, testkit.NATSOptions{})
	data := &hostdata.Data{Lattice: "default", ProviderKey: "kafka", LatticeURL: ns.URL(),
		Links: []hostdata.Link{{SourceID: "echo", Target: "kafka"}}}
	s, err := Connect(t.Context(), data, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	r := newRecorder()
	if err := s.Run(ctx, r); err != nil {
		t.Error(err)
	}
	if r.shutdownCount() != 1 || len(r.all()) != 0 {
		t.Errorf("shut down %d times, events %v", r.shutdownCount(), r.all())
	}
}
