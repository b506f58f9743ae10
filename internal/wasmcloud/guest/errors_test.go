package guest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/messaging-kafka/messaging-kafka/internal/record"
	"github.com/messaging-kafka/messaging-kafka/internal/wasmcloud/wrpc"
)

func TestErrorTextIsShortAndUTF8(t *testing.T) {
	for _, c := range []struct{ name, in, want string }{
		{"a plain text stays", "producing to orders: timed out", "producing to orders: timed out"},
		{"bad bytes are replaced", "a\xffb", "a\uFFFDb"},
		{"the longest text stays", strings.Repeat("x", maxErrorText), strings.Repeat("x", maxErrorText)},
		{"a longer one is cut", strings.Repeat("x", maxErrorText+1), strings.Repeat("x", maxErrorText-3) + "…"},
		{"no character is cut apart", strings.Repeat("€", maxErrorText), strings.Repeat("€", (maxErrorText-3)/3) + "…"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := ErrorText(c.in); got != c.want {
				t.Errorf("got %d bytes %.40q…, want %d bytes", len(got), got, len(c.want))
			}
		})
	}
}

// FuzzErrorText: whatever the text, a guest gets valid UTF-8 of bounded length.
func FuzzErrorText(f *testing.F) {
	f.Add("boom", 1)
	f.Add("€\xff", 3000)
	f.Fuzz(func(t *testing.T, s string, times int) {
		got := ErrorText(strings.Repeat(s, max(0, min(times, 5000/(len(s)+1)))))
		if len(got) > maxErrorText || !utf8.ValidString(got) {
			t.Fatalf("%d bytes, valid %v", len(got), utf8.ValidString(got))
		}
	})
}

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
