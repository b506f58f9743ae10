package lattice

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
	"github.com/messaging-kafka/messaging-kafka/internal/wasmcloud/hostdata"
)

// teller is a Handler that tells its status.
type teller struct {
	*recorder
	told atomic.Int64
	fail atomic.Bool
}

func (t *teller) AnswerStatus(limit int) ([]byte, error) {
	n := t.told.Add(1)
	if t.fail.Load() {
		return nil, errors.New("no words")
	}
	return fmt.Appendf(nil, `{"told":%d,"limit":%d}`, n, limit), nil
}

// newTeller runs a session whose handler tells its status.
func newTeller(t *testing.T) (*teller, *testkit.Provider, *nats.Conn) {
	t.Helper()
	handler := &teller{recorder: newRecorder()}
	ns := testkit.NATS(t, testkit.NATSOptions{})
	host := testkit.NewFakeHost(t, ns, testkit.FakeHostOptions{})
	p := host.StartProvider(testkit.ProviderSpec{Run: runner(handler, new(atomic.Pointer[Session]))})
	p.WaitHealthy()
	return handler, p, ns.Connect()
}

const statusSubject = "wasmbus.rpc.default.kafka.status"

func TestTheStatusIsToldWithinWhatAMessageMayHold(t *testing.T) {
	_, _, nc := newTeller(t)
	msg, err := nc.Request(statusSubject, nil, testkit.DefaultTimeout)
	if err != nil {
		t.Fatal(err)
	}
	var got struct{ Told, Limit int }
	if err := json.Unmarshal(msg.Data, &got); err != nil || got.Limit != int(nc.MaxPayload()) {
		t.Errorf("got %s, %v", msg.Data, err)
	}
}

func TestManyWhoAskForTheStatusCostNoMoreThanOne(t *testing.T) {
	handler, _, nc := newTeller(t)
	inbox, err := nc.SubscribeSync(nats.NewInbox())
	if err != nil {
		t.Fatal(err)
	}
	const questions = 500
	for range questions {
		if err := nc.PublishRequest(statusSubject, inbox.Subject, nil); err != nil {
			t.Fatal(err)
		}
	}
	for range questions {
		if _, err := inbox.NextMsg(testkit.DefaultTimeout); err != nil {
			t.Fatal(err)
		}
	}
	if n := handler.told.Load(); n > questions/10 {
		t.Errorf("the status was made %d times for %d questions", n, questions)
	}
}

func TestAStatusThatCannotBeToldIsNotAnswered(t *testing.T) {
	handler, p, nc := newTeller(t)
	handler.fail.Store(true)
	inbox, err := nc.SubscribeSync(nats.NewInbox())
	if err != nil {
		t.Fatal(err)
	}
	if err := nc.PublishRequest(statusSubject, inbox.Subject, nil); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, testkit.DefaultTimeout, func() error {
		if handler.told.Load() == 0 {
			return errors.New("nobody has asked yet")
		}
		return nil
	})
	p.WaitHealthy()
	if n, _, err := inbox.Pending(); err != nil || n != 0 {
		t.Errorf("%d answers, %v", n, err)
	}
}

func TestAHandlerWithoutAStatusIsNotAsked(t *testing.T) {
	f := newFixture(t, fixtureOptions{})
	if _, err := f.host.Conn().Request(statusSubject, nil, testkit.DefaultTimeout); !errors.Is(err, nats.ErrNoResponders) {
		t.Errorf("got %v", err)
	}
}

func TestAUserWithoutTheRightToBeAskedForTheStatusIsHealthy(t *testing.T) {
	ns := testkit.NATS(t, testkit.NATSOptions{Configure: func(o *server.Options) {
		o.Users = []*server.User{{Username: "host", Password: "h"}, {Username: "provider", Password: "p",
			Permissions: &server.Permissions{Subscribe: &server.SubjectPermission{Deny: []string{"wasmbus.rpc.*.*.status"}}}}}
	}})
	var log testkit.Log
	data := &hostdata.Data{Lattice: "default", ProviderKey: "kafka", LatticeURL: "nats://provider:p@" + ns.Addr()}
	stop := runSession(t, data, Options{Logger: log.Logger()}, &teller{recorder: newRecorder()})
	defer func() { _ = stop() }()
	host := ns.Connect(nats.UserInfo("host", "h"))
	testkit.Eventually(t, testkit.DefaultTimeout, func() error {
		if !log.Contains("level=WARN") || !log.Contains("does not let the provider be asked for its status") {
			return fmt.Errorf("the log says\n%s", log.String())
		}
		return nil
	})
	testkit.Eventually(t, testkit.DefaultTimeout, func() error {
		msg, err := host.Request("wasmbus.rpc.default.kafka.health", nil, testkit.DefaultTimeout)
		if err != nil {
			return err
		}
		if text := string(msg.Data); text != `{"healthy":true}` {
			t.Fatal(text)
		}
		return nil
	})
	if strings.Contains(log.String(), "level=ERROR") {
		t.Errorf("the log says\n%s", log.String())
	}
}
