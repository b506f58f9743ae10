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
		name    string
		err     error
		kind    record.Kind
		mention string
	}{
		{"nobody took the call", wrpc.ErrNoResponders, record.Unavailable, ""},
		{"the connection was lost", wrpc.ErrDisconnected, record.Unavailable, ""},
		{"the client has been closed", wrpc.ErrClosed, record.Unavailable, ""},
		{"its time was over before anybody took it", fmt.Errorf("%w: %w", wrpc.ErrNotAccepted, context.DeadlineExceeded), record.Unavailable, "nobody took the call"},
		{"NATS refused it", wrpc.ErrRefused, record.Unavailable, "refuses"},
		{"its host is gone", wrpc.ErrCut, record.Unavailable, "host stopped"},
		{"its host ended it when it was scaled", fmt.Errorf("%w: %w", wrpc.ErrCut, wrpc.ErrIncomplete), record.Unavailable, "host stopped"},
		{"nobody answered in time", context.DeadlineExceeded, record.Unanswered, ""},
		{"a trap is the record's attempt", wrpc.ErrIncomplete, record.Unanswered, "trapped"},
		{"so is any other end", other, record.Unanswered, "other"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := Failed(fmt.Errorf("calling: %w", c.err))
			if got.Kind != c.kind || !errors.Is(got.Err, c.err) || !strings.Contains(got.Err.Error(), c.mention) {
				t.Errorf("got %+v", got)
			}
		})
	}
}
