package refusal

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// TestWhatAServerRefusesIsRead: by a real one, whose words are not ours.
func TestWhatAServerRefusesIsRead(t *testing.T) {
	deny := &server.SubjectPermission{Deny: []string{"denied.>"}}
	ns := testkit.NATS(t, testkit.NATSOptions{Configure: func(o *server.Options) {
		o.Users = []*server.User{{Username: "u", Password: "u",
			Permissions: &server.Permissions{Publish: deny, Subscribe: deny}}}
	}})
	told := make(chan error, 10)
	nc := ns.Connect(nats.UserInfo("u", "u"),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { told <- err }))
	for want, do := range map[Refusal]func() error{
		{Subject: "denied.a", Subscription: true}: func() error {
			_, err := nc.Subscribe("denied.a", func(*nats.Msg) {})
			return err
		},
		{Subject: "denied.*.b", Subscription: true}: func() error {
			_, err := nc.QueueSubscribe("denied.*.b", "queue", func(*nats.Msg) {})
			return err
		},
		{Subject: "denied.c"}: func() error { return nc.Publish("denied.c", nil) },
	} {
		if err := do(); err != nil {
			t.Fatal(err)
		}
		select {
		case err := <-told:
			if got, ok := Of(err); !ok || got != want {
				t.Errorf("%v is read as %+v, %v; want %+v", err, got, ok, want)
			}
		case <-time.After(testkit.DefaultTimeout):
			t.Fatalf("no error says that %+v is refused", want)
		}
	}
}

func TestWhatElseAConnectionHasIsNoRefusal(t *testing.T) {
	for _, err := range []error{
		nil, nats.ErrSlowConsumer, errors.New(`Permissions Violation for Publish to "a"`),
		fmt.Errorf("%w: of a kind that nobody knows", nats.ErrPermissionViolation),
	} {
		if got, ok := Of(err); ok {
			t.Errorf("%v is read as %+v", err, got)
		}
	}
}
