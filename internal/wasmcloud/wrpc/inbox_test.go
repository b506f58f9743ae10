package wrpc

import (
	"log/slog"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

func TestDroppedMessagesAreLogged(t *testing.T) {
	nc := connect(t, runNATS(t, defaultPayload), nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}))
	blocked := make(chan struct{})
	sub, err := nc.Subscribe("x", func(*nats.Msg) { <-blocked })
	if err != nil {
		t.Fatal(err)
	}
	var log testkit.Log
	w, err := watchSubscription(sub, backlogBytes, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	if err := sub.SetPendingLimits(2, 1<<20); err != nil {
		t.Fatal(err)
	}
	for range 10 {
		if err := nc.Publish("x", nil); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "the log tells", func() bool {
		return strings.Contains(log.String(), "messages dropped") && strings.Contains(log.String(), "subject=x")
	})
	close(blocked)
	w.close()
}

func TestTokensOfAnInbox(t *testing.T) {
	in := &inbox{prefix: "_INBOX.abc.", calls: make(map[uint64]receiver)}
	for _, token := range []uint64{0, 1, 0x0123456789abcdef, 1<<64 - 1} {
		subject := in.subject(token)
		if len(subject) != in.subjectLen() {
			t.Errorf("%s has not the length that is counted for it", subject)
		}
		for _, suffix := range []string{"", ".results", ".params", ".results.0"} {
			got, rest, ok := in.split(subject + suffix)
			if !ok || got != token || rest != suffix {
				t.Errorf("%s is taken apart into %x and %q", subject+suffix, got, rest)
			}
		}
	}
	for _, subject := range []string{"", "_INBOX.abc.", "_INBOX.abc.0123", "_INBOX.abd.0123456789abcdef",
		"_INBOX.abc.0123456789ABCDEF"} {
		if _, _, ok := in.split(subject); ok {
			t.Errorf("%q is taken for a call's", subject)
		}
	}
}
