package lattice

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/messaging-kafka/messaging-kafka/internal/base/reply"
	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

// places are where a question's answer must not go.
var places = []string{
	"wasmbus.rpc.default.victim.default.shutdown", "wasmbus.rpc.default.victim.linkdefs.put",
	"wasmbus.rpc.default.victim.linkdefs.del",
	"wasmbus.rpc.default.victim.config.update", "wasmbus.rpc.default.victim.health", "wasmbus.rpc.default.victim.status",
	"wasmbus.ctl.v1.default.host.ping", "wasmbus.evt.default.x", "$SYS.REQ.SERVER.PING", "default.victim.wrpc.0.0.1.i.f",
	"_INBOX.x.wrpc.0.0.1.i.f", "orders", "mine.inbox.x", "_INBOXES.x",
}

func TestQuestionsAreAnsweredToInboxesAlone(t *testing.T) {
	for _, operation := range []string{"health", "status"} {
		t.Run(operation, func(t *testing.T) {
			_, p, nc := newTeller(t)
			all := listen(t, nc)
			subject := "wasmbus.rpc.default.kafka." + operation
			for _, place := range places {
				if err := nc.PublishRequest(subject, place, nil); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := nc.Request(subject, nil, testkit.DefaultTimeout); err != nil {
				t.Fatal(err) // it comes after them
			}
			p.WaitHealthy()
			expectSilence(t, nc, all)
		})
	}
}

func TestAShutdownIsAnsweredToAnInboxAlone(t *testing.T) {
	for _, place := range places[:4] {
		f := newFixture(t, fixtureOptions{})
		nc := f.ns.Connect()
		all := listen(t, nc)
		if err := nc.PublishRequest("wasmbus.rpc.default.kafka.default.shutdown", place,
			[]byte(`{"host_id":"`+f.host.ID()+`"}`)); err != nil {
			t.Fatal(err)
		}
		if err := f.provider.WaitExit(); err != nil {
			t.Fatal(err)
		}
		expectSilence(t, nc, all)
	}
}

// listen hears all that goes over the wire.
func listen(t *testing.T, nc *nats.Conn) *nats.Subscription {
	t.Helper()
	all, err := nc.SubscribeSync(">")
	if err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	return all
}

func expectSilence(t *testing.T, nc *nats.Conn, all *nats.Subscription) {
	t.Helper()
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	heard := 0
	for {
		m, err := all.NextMsg(0)
		if err != nil {
			break
		}
		heard++
		if slices.Contains(places, m.Subject) {
			t.Errorf("%q was sent to %s", m.Data, m.Subject)
		}
	}
	if heard == 0 {
		t.Error("nothing was heard at all")
	}
}

func TestInboxesOfOnesOwnAreAnswered(t *testing.T) {
	inboxes, err := reply.New("mine.inbox")
	if err != nil {
		t.Fatal(err)
	}
	f := newFixture(t, fixtureOptions{session: Options{Inboxes: inboxes}})
	for prefix, want := range map[string]bool{"mine.inbox": true, "_INBOX": true} {
		nc := f.ns.Connect(nats.CustomInboxPrefix(prefix))
		if _, err := nc.Request("wasmbus.rpc.default.kafka.health", nil, testkit.DefaultTimeout); (err == nil) != want {
			t.Errorf("asked from %s: %v", prefix, err)
		}
	}
	if err := f.host.Conn().PublishRequest("wasmbus.rpc.default.kafka.health", "yours.inbox."+strings.Repeat("x", 900),
		nil); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, testkit.DefaultTimeout, func() error {
		if text := f.log.String(); !strings.Contains(text, "reply subject is no inbox") ||
			strings.Contains(text, strings.Repeat("x", 200)) {
			return errors.New(text)
		}
		return nil
	})
}
