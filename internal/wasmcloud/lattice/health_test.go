package lattice

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/messaging-kafka/messaging-kafka/internal/base/memory"
	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
	"github.com/messaging-kafka/messaging-kafka/internal/wasmcloud/hostdata"
)

func TestHealthIsAnsweredInTheHostsWords(t *testing.T) {
	f := newFixture(t, fixtureOptions{})
	for _, test := range []struct {
		health Health
		want   string
	}{
		{Health{Healthy: true}, `{"healthy":true}`},
		{Health{Healthy: true, Message: "fine"}, `{"healthy":true}`},
		{Health{Message: "link echo/default: <no broker>"}, `{"healthy":false,"message":"link echo/default: <no broker>"}`},
		{Health{}, `{"healthy":false}`},
	} {
		f.setHealth(test.health)
		if got := f.request(t, "health", ""); got != test.want {
			t.Errorf("%+v is answered as %s, want %s", test.health, got, test.want)
		}
	}
}

func TestHealthMessagesAreBoundedAndValid(t *testing.T) {
	for name, message := range map[string]string{
		"long":                  strings.Repeat("x", 10*maxHealthMessage),
		"long in wide letters":  "x" + strings.Repeat("😀", maxHealthMessage),
		"cut at the very bound": strings.Repeat("é", maxHealthMessage/2) + "é",
		"no UTF-8":              strings.Repeat("x\xff", maxHealthMessage),
		"as long as it may be":  strings.Repeat("y", maxHealthMessage),
		"full of control codes": strings.Repeat("\x00\n\"", 10),
	} {
		t.Run(name, func(t *testing.T) {
			var got struct {
				Healthy bool
				Message string
			}
			if err := json.Unmarshal(Health{Message: message}.encode(), &got); err != nil {
				t.Fatal(err)
			}
			if len(got.Message) > maxHealthMessage || len(got.Message) < min(len(message), maxHealthMessage-8) {
				t.Errorf("%d bytes became %d", len(message), len(got.Message))
			}
			if !utf8.ValidString(got.Message) {
				t.Error("no valid UTF-8")
			}
			if len(message) <= maxHealthMessage && utf8.ValidString(message) && got.Message != message {
				t.Errorf("%q became %q", message, got.Message)
			}
		})
	}
}

// The link worker hangs in the very first link, which is there before the session starts: only a health check that
// waits for nothing at all gets an answer.
func TestHealthIsAnsweredWhileALinkHangs(t *testing.T) {
	release := make(chan struct{})
	r := newRecorder()
	r.onPut = func(Link) { <-release }
	begin := time.Now()
	f := newFixture(t, fixtureOptions{recorder: r, before: []testkit.Link{testkit.TargetLink("echo", "kafka", nil)}})
	t.Logf("the first health check was answered %v after the host began", time.Since(begin))
	defer close(release)
	f.wait(t, 1)
	for range 3 {
		f.host.PutLink(testkit.TargetLink("next", "kafka", nil))
		if got := f.request(t, "health", ""); got != `{"healthy":true}` {
			t.Errorf("got %s", got)
		}
	}
	if n := len(f.all()); n != 1 {
		t.Errorf("the worker went on to %d events", n)
	}
}

func TestLostChangesAreCountedInHealth(t *testing.T) {
	release := make(chan struct{})
	r := newRecorder()
	r.onPut = func(l Link) {
		if l.ID.Peer == "hanging" {
			<-release
		}
	}
	f := newFixture(t, fixtureOptions{recorder: r, session: Options{maxChanges: 4}})
	defer close(release)
	f.barrier(t) // what the host sends at the start is out of the queue
	before := len(f.all())
	f.host.PutLink(testkit.TargetLink("hanging", "kafka", nil))
	f.wait(t, before+1)
	for n := range 4 + 3 {
		f.host.PutLink(testkit.TargetLink(fmt.Sprint("peer", n), "kafka", nil))
	}
	got := f.provider.WaitUnhealthy("3 link or config changes")
	if !strings.Contains(got, "restart the provider") {
		t.Errorf("the message %q does not say what to do", got)
	}
	if !f.log.Contains("level=ERROR") || !f.log.Contains("was dropped") {
		t.Error("the log says nothing of it")
	}
	f.setHealth(Health{Message: "link echo/default: no broker"})
	f.provider.WaitUnhealthy("3 link or config changes", "link echo/default: no broker")
}

func TestARefusedSubscriptionShowsInHealth(t *testing.T) {
	ns := testkit.NATS(t, testkit.NATSOptions{Configure: func(o *server.Options) {
		refused := &server.SubjectPermission{Deny: []string{"wasmbus.rpc.*.*.linkdefs.del"}}
		o.Users = []*server.User{{Username: "host", Password: "h"}, {Username: "provider", Password: "p",
			Permissions: &server.Permissions{Subscribe: refused}}}
	}})
	r := newRecorder()
	data := &hostdata.Data{Lattice: "default", ProviderKey: "kafka", LatticeURL: "nats://provider:p@" + ns.Addr()}
	stop := runSession(t, data, Options{}, r)
	defer func() { _ = stop() }()
	host := ns.Connect(nats.UserInfo("host", "h"))
	testkit.Eventually(t, testkit.DefaultTimeout, func() error {
		msg, err := host.Request("wasmbus.rpc.default.kafka.health", nil, testkit.DefaultTimeout)
		if err != nil {
			return err
		}
		if text := string(msg.Data); !strings.Contains(text, "linkdefs.del") || strings.Contains(text, "true") {
			return errors.New(text)
		}
		testkit.InRunbook(t, "NATS refuses something", string(msg.Data))
		return nil
	})
}

// A worker that hangs lets changes wait up to a bound in bytes, not in messages alone; those beyond are told of.
func TestChangesThatWaitAreBoundedInBytes(t *testing.T) {
	release := make(chan struct{})
	r := newRecorder()
	r.onPut = func(l Link) {
		if l.ID.Peer == "hanging" {
			<-release
		}
	}
	account := memory.New(8 << 20).Open("changes") // of which one alone gets 6
	f := newFixture(t, fixtureOptions{recorder: r, session: Options{Memory: account}})
	f.barrier(t)
	before := len(f.all())
	f.host.PutLink(testkit.TargetLink("hanging", "kafka", nil))
	f.wait(t, before+1)
	const puts, size = 60, 256 << 10
	for n := range puts {
		f.host.PutLink(testkit.TargetLink(fmt.Sprint("peer", n), "kafka",
			map[string]string{"topic": strings.Repeat("x", size)}))
	}
	f.provider.WaitUnhealthy("link or config changes", "lost")
	if used := account.Used(); used > 6<<20 || used < 4<<20 {
		t.Errorf("%d KiB wait where there are 6 MiB", used>>10)
	}
	close(release)
	// What waited is carried out, in order.
	testkit.Eventually(t, testkit.DefaultTimeout, func() error {
		if n := len(f.all()) - before - 1; n < 10 {
			return fmt.Errorf("%d changes came", n)
		}
		return nil
	})
	for n := range puts {
		f.host.DeleteLink(testkit.TargetLink(fmt.Sprint("peer", n), "kafka", nil))
	}
	f.host.DeleteLink(testkit.TargetLink("hanging", "kafka", nil))
	f.barrier(t)
	if used := account.Used(); used > 4<<10 { // the host's own links at the start
		t.Errorf("%d bytes are still taken", used)
	}
}

// What links hold stays as long as they do, so that a bound of what waits is none of it.
func TestWhatLinksHoldIsBounded(t *testing.T) {
	r := newRecorder()
	account := memory.New(8 << 20).Open("changes") // of which one alone gets 6
	f := newFixture(t, fixtureOptions{recorder: r, session: Options{Memory: account}})
	f.barrier(t)
	link := func(n, size int) testkit.Link {
		return testkit.TargetLink(fmt.Sprint("peer", n), "kafka", map[string]string{"topic": strings.Repeat("x", size)})
	}
	const large = 20
	for n := range large {
		f.host.PutLink(link(n, 512<<10))
		f.barrier(t)
	}
	f.host.PutLink(link(large, 100)) // one like others always finds a place
	f.barrier(t)
	put, refused := 0, 0
	for _, e := range f.all() {
		switch {
		case !strings.HasPrefix(e.id.Peer, "peer"):
		case e.what == "put":
			put++
		case e.what == "reject" && strings.Contains(e.err.Error(), "no memory"):
			refused++
		}
	}
	if put < 3 || refused < 10 || put+refused != large+1 || account.Used() > 6<<20 {
		t.Errorf("%d links were taken and %d refused; %d KiB are held where there are 6 MiB", put, refused,
			account.Used()>>10)
	}
	for n := range large + 1 {
		f.host.DeleteLink(link(n, 0))
	}
	f.barrier(t)
	if used := account.Used(); used > 4<<10 {
		t.Errorf("%d bytes are still taken when the links are gone", used)
	}
}
