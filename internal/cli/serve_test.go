package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"testing"

	"github.com/messaging-kafka/messaging-kafka/internal/wasmcloud/hostdata"
)

func TestTheEndIsReportedInTheShapeTheHostAskedFor(t *testing.T) {
	cause := errors.New("the cause")
	var out bytes.Buffer
	reportEnd(&out, &hostdata.Data{StructuredLogging: true}, cause)
	var record map[string]any
	if err := json.Unmarshal(out.Bytes(), &record); err != nil || record["error"] != "the cause" ||
		record["level"] != "ERROR" {
		t.Errorf("structured: %v in %s", err, out.String())
	}
	for name, data := range map[string]*hostdata.Data{"without data": nil, "with data": {}} {
		out.Reset()
		if reportEnd(&out, data, cause); out.String() != "messaging-kafka: the cause\n" {
			t.Errorf("%s: %q", name, out.String())
		}
	}
}

func TestOnlyAnEndThatWasAskedForIsNoFailure(t *testing.T) {
	asked, cancel := context.WithCancelCause(context.Background())
	reason := errors.New("terminated")
	cancel(reason)
	for name, test := range map[string]struct {
		ctx  context.Context
		err  error
		want bool
	}{
		"the context's error after a signal":  {asked, fmt.Errorf("reading host data: %w", context.Canceled), true},
		"the context's cause after a signal":  {asked, fmt.Errorf("reading host data: %w", reason), true},
		"another error after a signal":        {asked, errors.New("committing offsets: lost"), false},
		"a cancelled part without any signal": {context.Background(), context.Canceled, false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := endedBySignal(test.ctx, test.err); got != test.want {
				t.Errorf("got %t", got)
			}
		})
	}
}
