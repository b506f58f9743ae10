//go:build e2e

package e2e

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/messaging-kafka/messaging-kafka/internal/record"
	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
	"github.com/messaging-kafka/messaging-kafka/internal/wasmcloud/guest"
	"github.com/messaging-kafka/messaging-kafka/internal/wasmcloud/records"
	"github.com/messaging-kafka/messaging-kafka/internal/wasmcloud/wrpc"
)

// sending is one call of producer.send that reached the test.
type sending struct {
	caller guest.Caller
	list   []record.Outgoing
}

// kafkaDouble answers what components send and request.
type kafkaDouble struct {
	sent    chan sending
	fail    func(record.Outgoing) error // nil: nothing fails
	request func(request record.Outgoing, timeout time.Duration) (*record.Record, error)
}

// Send implements records.Producer. The nth record of a call gets the offset n.
func (k *kafkaDouble) Send(_ context.Context, caller guest.Caller, list []record.Outgoing) []record.Result {
	results := make([]record.Result, len(list))
	for i, r := range list {
		results[i].Position = record.Position{Topic: r.Topic, Offset: int64(i)}
		if k.fail != nil {
			results[i].Err = k.fail(r)
		}
	}
	k.sent <- sending{caller, list}
	return results
}

// Request implements records.Producer.
func (k *kafkaDouble) Request(_ context.Context, _ guest.Caller, request record.Outgoing,
	timeout time.Duration) (*record.Record, error) {
	return k.request(request, timeout)
}

// nextSending returns the call that a component has made.
func (k *kafkaDouble) nextSending(t *testing.T) sending {
	t.Helper()
	select {
	case s := <-k.sent:
		return s
	default:
		t.Fatal("nothing was sent")
		return sending{}
	}
}

// guestCalls calls one component.
type guestCalls struct {
	t         *testing.T
	calls     *records.HandlerClient
	component string
}

// callRecords plays the provider for the component of this name.
func callRecords(t *testing.T, ns *testkit.NATSServer, host *testkit.Host, component string,
	k *kafkaDouble) guestCalls {
	t.Helper()
	// As in the provider, one connection serves both directions.
	nc := ns.Connect()
	k.sent = make(chan sending, 10)
	if err := records.Register(newServer(t, nc, host.Lattice()), k); err != nil {
		t.Fatal(err)
	}
	return guestCalls{t, records.NewHandlerClient(newClient(t, nc), host.Lattice(), providerKey), component}
}

func (g guestCalls) process(batch ...*record.Record) ([]record.Outcome, error) {
	g.t.Helper()
	return g.call(g.calls.Process, batch)
}

func (g guestCalls) handle(batch ...*record.Record) ([]record.Outcome, error) {
	g.t.Helper()
	return g.call(g.calls.Handle, batch)
}

// call waits for a component that was scaled up a moment ago. An error is the end of a call without an answer.
func (g guestCalls) call(
	function func(ctx context.Context, component, link string, batch []*record.Record) []record.Outcome,
	batch []*record.Record,
) ([]record.Outcome, error) {
	g.t.Helper()
	ctx, cancel := context.WithTimeout(g.t.Context(), testkit.DefaultTimeout)
	defer cancel()
	for {
		outcomes := function(ctx, g.component, "default", batch)
		first := outcomes[0]
		switch {
		case first.Kind != record.Unavailable && first.Kind != record.Unanswered:
			return outcomes, nil
		case !errors.Is(first.Err, wrpc.ErrNoResponders) || ctx.Err() != nil:
			return nil, first.Err
		}
		select {
		case <-time.After(5 * time.Millisecond):
		case <-ctx.Done():
		}
	}
}

// incoming makes a record of the topic in with a value and nothing else.
func incoming(value []byte) *record.Record {
	return &record.Record{Topic: "in", Timestamp: time.UnixMilli(1), Attempt: 1, Value: value}
}

// texts makes a batch of records with these values.
func texts(values ...string) []*record.Record {
	var batch []*record.Record
	for _, v := range values {
		batch = append(batch, incoming([]byte(v)))
	}
	return batch
}

// said writes outcomes without outputs as a test wants them.
func said(outcomes []record.Outcome) string {
	var b strings.Builder
	for _, o := range outcomes {
		fmt.Fprintf(&b, "%v", o.Kind)
		if o.Err != nil {
			fmt.Fprintf(&b, " (%v)", o.Err)
		}
		b.WriteString("; ")
	}
	return strings.TrimSuffix(b.String(), "; ")
}
