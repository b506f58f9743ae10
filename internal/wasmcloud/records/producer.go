package records

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/messaging-kafka/messaging-kafka/internal/payload/wit"
	"github.com/messaging-kafka/messaging-kafka/internal/record"
	"github.com/messaging-kafka/messaging-kafka/internal/wasmcloud/guest"
	"github.com/messaging-kafka/messaging-kafka/internal/wasmcloud/wrpc"
)

// Producer does what components ask of the interfaces producer and requester. The contexts have a deadline. Calls
// come from many goroutines. The records' bytes share memory with the messages that they came in and must not be
// changed.
//
// An error that is or wraps a [*wit.SendError] reaches the component as that; a [context.DeadlineExceeded] does as
// [wit.TimedOut], any other one as [wit.Other].
type Producer interface {
	// Send produces records and returns when each of them is acknowledged or has failed, with a result for each, in
	// their order.
	Send(ctx context.Context, caller guest.Caller, records []record.Outgoing) []record.Result
	// Request produces a request and returns the record that answers it within timeout.
	Request(ctx context.Context, caller guest.Caller, request record.Outgoing,
		timeout time.Duration) (*record.Record, error)
}

// Register serves producer@0.1.0 and requester@0.1.0 with p.
func Register(server *wrpc.Server, p Producer) error {
	if err := server.Handle(producerInstance, "send", serveSend(p)); err != nil {
		return err
	}
	return server.Handle(requesterInstance, "request", serveRequest(p))
}

func serveSend(p Producer) wrpc.Handler {
	return func(ctx context.Context, h nats.Header, params *wit.Decoder) ([]byte, error) {
		list, err := wit.DecodeOutgoings(params)
		if err != nil {
			return nil, fmt.Errorf("decoding the parameters of send: %w", err)
		}
		ctx, cancel := context.WithTimeout(ctx, guest.MaxCall)
		defer cancel()
		results := p.Send(ctx, guest.CallerOf(h), list)
		if len(results) != len(list) {
			return nil, fmt.Errorf("sending %d records gave %d results", len(list), len(results))
		}
		return wit.AppendSent(results), nil
	}
}

func serveRequest(p Producer) wrpc.Handler {
	return func(ctx context.Context, h nats.Header, params *wit.Decoder) ([]byte, error) {
		request, timeout, err := decodeRequest(params)
		if err != nil {
			return nil, fmt.Errorf("decoding the parameters of request: %w", err)
		}
		timeout = min(timeout, guest.MaxCall-guest.RequestGrace)
		ctx, cancel := context.WithTimeout(ctx, timeout+guest.RequestGrace)
		defer cancel()
		answer, err := p.Request(ctx, guest.CallerOf(h), request, timeout)
		switch {
		case err != nil:
			return wit.AppendAnswer(nil, err), nil
		case answer == nil:
			return nil, errors.New("a request gave neither an answer nor an error")
		}
		return wit.AppendAnswer(answer, nil), nil
	}
}

// decodeRequest reads the parameters of requester.request: request, timeout-ms.
func decodeRequest(d *wit.Decoder) (record.Outgoing, time.Duration, error) {
	request, err := wit.DecodeOutgoing(d)
	if err != nil {
		return request, 0, err
	}
	ms, err := d.U32()
	if err != nil {
		return request, 0, fmt.Errorf("timeout-ms: %w", err)
	}
	return request, time.Duration(ms) * time.Millisecond, nil
}
