package messaging

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/messaging-kafka/messaging-kafka/internal/payload/wit"
	"github.com/messaging-kafka/messaging-kafka/internal/wasmcloud/guest"
	"github.com/messaging-kafka/messaging-kafka/internal/wasmcloud/wrpc"
)

// Caller is the component that a call came from.
type Caller = guest.Caller

// Consumer does what components ask of the interface consumer. An error is what the guest gets as result::err, so
// its text is for the author of the component. The contexts have a deadline. Calls come from many goroutines.
type Consumer interface {
	// Publish publishes msg and returns when the broker has acknowledged it.
	Publish(ctx context.Context, caller Caller, msg BrokerMessage) error
	// Request publishes body on subject and returns the answer to it that comes within timeout.
	Request(ctx context.Context, caller Caller, subject string, body []byte, timeout time.Duration) (BrokerMessage, error)
}

// Register serves consumer@0.2.0 with c.
func Register(server *wrpc.Server, c Consumer) error {
	if err := server.Handle(consumerInstance, "publish", servePublish(c)); err != nil {
		return err
	}
	return server.Handle(consumerInstance, "request", serveRequest(c))
}

func servePublish(c Consumer) wrpc.Handler {
	return func(ctx context.Context, h nats.Header, params *wit.Decoder) ([]byte, error) {
		msg, err := DecodeBrokerMessage(params)
		if err != nil {
			return nil, fmt.Errorf("decoding the parameters of publish: %w", err)
		}
		ctx, cancel := context.WithTimeout(ctx, guest.MaxCall)
		defer cancel()
		if err := c.Publish(ctx, guest.CallerOf(h), msg); err != nil {
			return appendFailure(nil, err), nil
		}
		return wit.AppendResult(nil, true), nil
	}
}

func serveRequest(c Consumer) wrpc.Handler {
	return func(ctx context.Context, h nats.Header, params *wit.Decoder) ([]byte, error) {
		subject, body, timeout, err := decodeRequest(params)
		if err != nil {
			return nil, fmt.Errorf("decoding the parameters of request: %w", err)
		}
		timeout = min(timeout, guest.MaxCall-guest.RequestGrace)
		ctx, cancel := context.WithTimeout(ctx, timeout+guest.RequestGrace)
		defer cancel()
		answer, err := c.Request(ctx, guest.CallerOf(h), subject, body, timeout)
		if err != nil {
			return appendFailure(nil, err), nil
		}
		b := make([]byte, 0, 1+answer.size())
		return AppendBrokerMessage(wit.AppendResult(b, true), answer), nil
	}
}

// decodeRequest reads the parameters of consumer.request: subject, body, timeout-ms.
func decodeRequest(d *wit.Decoder) (subject string, body []byte, timeout time.Duration, err error) {
	if subject, err = d.String(); err != nil {
		return "", nil, 0, fmt.Errorf("subject: %w", err)
	}
	if body, err = d.Bytes(); err != nil {
		return "", nil, 0, fmt.Errorf("body: %w", err)
	}
	ms, err := d.U32()
	if err != nil {
		return "", nil, 0, fmt.Errorf("timeout-ms: %w", err)
	}
	return subject, body, time.Duration(ms) * time.Millisecond, nil
}
