package route

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/messaging-kafka/messaging-kafka/internal/base/redact"
	"github.com/messaging-kafka/messaging-kafka/internal/record"
)

// saying returns the same outcomes each time.
type saying []record.Outcome

func (s saying) Receive(context.Context, []*record.Record) []record.Outcome { return s }

// TestReasonsAreMadeFitForAllFrontEnds, of components of a lattice as well: without secrets, then cut, in outcomes that
// the front-end may return again.
func TestReasonsAreMadeFitForAllFrontEnds(t *testing.T) {
	const secret = "Zq7-canary/of.the+route=19"
	var secrets redact.Redactor
	secrets.Add(secret)
	across := errors.New(strings.Repeat("z", maxReason-len(secret)/2) + secret + " and more")
	said := saying{
		{Kind: record.Done}, {Kind: record.Reject, Err: errors.New("what is " + secret)}, {Kind: record.Retry, Err: across},
		{Kind: record.Retry, Err: across}, {Kind: record.Unavailable, Err: io.EOF},
	}
	got := fitReceiver{said, &secrets}.Receive(t.Context(), nil)
	if got[0].Err != nil || got[1].Err.Error() != "what is "+redact.Mark || got[1].Kind != record.Reject || !errors.Is(got[4].Err, io.EOF) {
		t.Errorf("they are %+v", got)
	}
	for _, o := range got[2:4] {
		if text := o.Err.Error(); strings.Contains(text, secret[:4]) || len(text) > maxReason || !strings.HasSuffix(text, "…") {
			t.Errorf("%d bytes that end with %q", len(text), text[max(0, len(text)-40):])
		}
	}
	if !errors.Is(said[2].Err, across) {
		t.Error("the front-end's own outcomes were changed")
	}
}
