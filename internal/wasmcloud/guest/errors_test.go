package guest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/messaging-kafka/messaging-kafka/internal/record"
	"github.com/messaging-kafka/messaging-kafka/internal/wasmcloud/wrpc"
)

func TestWhatTheEndOfACallMeans(t *testing.T) {
	other := errors.New("other")
	for _, c := range []struct {
		name        string
		err         error
		unavailable bool
		mention     string
	}{
		{"nobody took the call", wrpc.ErrNoResponders, true, ""},
		{"the connection was lost", wrpc.ErrDisconnected, true, ""},
		{"the client has been closed", wrpc.ErrClosed, true, ""},
		{"its time was over before anybody took it", fmt.Errorf("%w: %w", wrpc.ErrNotAccepted, context.DeadlineExceeded), true, "nobody took the call"},
		{"NATS refused it", wrpc.ErrRefused, true, "refuses"},
		{"its host is gone", wrpc.ErrCut, true, "host stopped"},
		{"its host ended it when it was scaled", fmt.Errorf("%w: %w", wrpc.ErrCut, wrpc.ErrIncomplete), true, "host stopped"},
		{"nobody answered in time", context.DeadlineExceeded, false, ""},
		{"a trap is the record's attempt", wrpc.ErrIncomplete, false, "trapped"},
		{"so is any other end", other, false, "other"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := Unanswered(fmt.Errorf("calling: %w", c.err))
			if !errors.Is(got, c.err) || errors.Is(got, record.ErrUnavailable) != c.unavailable || !strings.Contains(got.Error(), c.mention) {
				t.Errorf("got %v", got)
			}
		})
	}
}
