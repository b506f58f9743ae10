package messaging

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/messaging-kafka/messaging-kafka/internal/payload/wit"
	"github.com/messaging-kafka/messaging-kafka/internal/testkit/rpc"
	"github.com/messaging-kafka/messaging-kafka/internal/wasmcloud/guest"
	"github.com/messaging-kafka/messaging-kafka/internal/wasmcloud/wrpc"
)

type lattice struct{ *rpc.Pair }

func newLattice(t *testing.T, id string) *lattice {
	t.Helper()
	return &lattice{rpc.NewPair(t, id)}
}

// call calls a function of the consumer as a host does and returns the encoded result.
func (l *lattice) call(t *testing.T, function string, h nats.Header, params string,
	result func(*wit.Decoder) error) error {
	t.Helper()
	return l.Client.Invoke(rpc.WithPatience(t), wrpc.Invocation{
		Target: "lattice.kafka", Instance: "wasmcloud:messaging/consumer@0.2.0", Function: function,
		Header: h, Params: []byte(params),
	}, result)
}

// resultOf reads a result whose ok arm ok reads.
func resultOf(failure *string, ok func(*wit.Decoder) error) func(*wit.Decoder) error {
	return func(d *wit.Decoder) error {
		fine, err := d.Result()
		if err != nil {
			return err
		}
		if fine {
			*failure = ""
			return ok(d)
		}
		*failure, err = d.String()
		return err
	}
}

func nothing(*wit.Decoder) error { return nil }

// broker is a consumer whose methods a test sets.
type broker struct {
	publish func(context.Context, Caller, BrokerMessage) error
	request func(context.Context, Caller, string, []byte, time.Duration) (BrokerMessage, error)
}

func (b *broker) Publish(ctx context.Context, c Caller, m BrokerMessage) error {
	return b.publish(ctx, c, m)
}

func (b *broker) Request(ctx context.Context, c Caller, subject string, body []byte,
	timeout time.Duration) (BrokerMessage, error) {
	return b.request(ctx, c, subject, body, timeout)
}

func TestPublishIsServed(t *testing.T) {
	l := newLattice(t, "kafka")
	var caller Caller
	var msg BrokerMessage
	var left time.Duration
	var result error
	b := &broker{publish: func(ctx context.Context, c Caller, m BrokerMessage) error {
		caller, msg = c, m
		deadline, _ := ctx.Deadline()
		left = time.Until(deadline)
		return result
	}}
	if err := Register(l.Server, b); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name   string
		header nats.Header
		result error
		caller Caller
		text   string
	}{
		{
			name:   "with the headers of a host",
			header: nats.Header{"source-id": {"echo"}, "link-name": {"orders"}, "traceparent": {"00-1"}, "other": {"x"}},
			caller: Caller{ComponentID: "echo", LinkName: "orders", Header: nats.Header{"traceparent": {"00-1"}}},
		},
		{
			name:   "without a link name",
			header: nats.Header{"source-id": {"echo"}},
			caller: Caller{ComponentID: "echo", LinkName: "default"},
		},
		{
			name:   "with headers in another case",
			header: nats.Header{"Source-Id": {"echo"}, "Link-Name": {"x"}, "Tracestate": {"s"}},
			caller: Caller{ComponentID: "echo", LinkName: "x", Header: nats.Header{"tracestate": {"s"}}},
		},
		{
			name:   "with an error",
			result: errors.New("publishing to orders: \xff not authorised"),
			caller: Caller{LinkName: "default"},
			text:   "publishing to orders: \uFFFD not authorised",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			result = c.result
			text := "unset"
			if err := l.call(t, "publish", c.header, "\x06orders\x02hi\x01\x01r", resultOf(&text, nothing)); err != nil {
				t.Fatal(err)
			}
			if text != c.text {
				t.Errorf("the guest gets %q, want %q", text, c.text)
			}
			if !reflect.DeepEqual(caller, c.caller) {
				t.Errorf("the caller is %+v, want %+v", caller, c.caller)
			}
			if want := (BrokerMessage{Subject: "orders", Body: []byte("hi"), ReplyTo: new("r")}); !reflect.DeepEqual(msg, want) {
				t.Errorf("the message is %+v, want %+v", msg, want)
			}
			if left <= 0 || left > guest.MaxCall {
				t.Errorf("the call has %v left", left)
			}
		})
	}
	t.Run("but not with parameters that are no message", func(t *testing.T) {
		var text string
		err := l.call(t, "publish", nil, "\x01\xff", resultOf(&text, nothing))
		if !errors.Is(err, wrpc.ErrIncomplete) {
			t.Errorf("error %v, text %q", err, text)
		}
	})
}

func TestRequestIsServed(t *testing.T) {
	l := newLattice(t, "kafka")
	var timeout, left time.Duration
	var bounded bool
	b := &broker{request: func(ctx context.Context, c Caller, subject string, body []byte,
		d time.Duration) (BrokerMessage, error) {
		timeout = d
		deadline, ok := ctx.Deadline()
		left, bounded = time.Until(deadline), ok
		if subject != "orders" {
			return BrokerMessage{}, errors.New("requesting " + subject + ": no answer")
		}
		return BrokerMessage{Subject: "orders.reply", Body: append([]byte(c.ComponentID+":"), body...)}, nil
	}}
	if err := Register(l.Server, b); err != nil {
		t.Fatal(err)
	}
	header := nats.Header{"source-id": {"echo"}}
	var text string
	var answer BrokerMessage
	decode := resultOf(&text, func(d *wit.Decoder) (err error) {
		answer, err = DecodeBrokerMessage(d)
		return err
	})
	if err := l.call(t, "request", header, "\x06orders\x02hi\xe8\x07", decode); err != nil || text != "" {
		t.Fatalf("%v %q", err, text)
	}
	if want := (BrokerMessage{Subject: "orders.reply", Body: []byte("echo:hi")}); !reflect.DeepEqual(answer, want) {
		t.Errorf("the answer is %+v, want %+v", answer, want)
	}
	if timeout != time.Second || !bounded || left > time.Second+guest.RequestGrace {
		t.Errorf("the time-out is %v, the context has %v left", timeout, left)
	}
	if err := l.call(t, "request", header, "\x01x\x00\xff\xff\xff\xff\x0f", decode); err != nil ||
		text != "requesting x: no answer" {
		t.Errorf("%v %q", err, text)
	}
	if timeout > guest.MaxCall || left > guest.MaxCall {
		t.Errorf("a request of 49 days has %v", timeout)
	}
}

func TestHandleMessageCallsTheComponent(t *testing.T) {
	l := newLattice(t, "echo")
	var header nats.Header
	var msg BrokerMessage
	result, fail := []byte{0}, error(nil)
	handle := func(_ context.Context, h nats.Header, d *wit.Decoder) (_ []byte, err error) {
		header = h
		if msg, err = DecodeBrokerMessage(d); err != nil {
			return nil, err
		}
		return result, fail
	}
	if err := l.Server.Handle("wasmcloud:messaging/handler@0.2.0", "handle-message", handle); err != nil {
		t.Fatal(err)
	}
	c := NewHandlerClient(l.Client, "lattice", "kafka")
	want := BrokerMessage{Subject: "orders", Body: make([]byte, 3<<20), ReplyTo: new("orders.reply")}

	ctx := guest.WithTraceHeaders(rpc.WithPatience(t),
		nats.Header{"Traceparent": {"00-1"}, "tracestate": {"s"}, "other": {"x"}})
	if err := c.Component("echo", "orders").HandleMessage(ctx, want); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(msg, want) {
		t.Errorf("the component got subject %q and %d bytes", msg.Subject, len(msg.Body))
	}
	wantHeader := nats.Header{"source-id": {"kafka"}, "target-id": {"echo"}, "link-name": {"orders"},
		"traceparent": {"00-1"}, "tracestate": {"s"}}
	if !reflect.DeepEqual(header, wantHeader) {
		t.Errorf("headers %v, want %v", header, wantHeader)
	}

	result = []byte("\x01\x04boom")
	var failure *GuestError
	if err := c.Component("echo", "default").HandleMessage(rpc.WithPatience(t), want); !errors.As(err, &failure) ||
		failure.Text != "boom" {
		t.Errorf("the component's error is %v", err)
	}
	fail = errors.New("trap")
	if err := c.Component("echo", "default").HandleMessage(rpc.WithPatience(t), want); !errors.Is(err,
		wrpc.ErrIncomplete) || !strings.Contains(err.Error(), "echo") {
		t.Errorf("a trap is %v", err)
	}
	if err := c.Component("nobody", "default").HandleMessage(rpc.WithPatience(t), want); !errors.Is(err,
		wrpc.ErrNoResponders) {
		t.Errorf("no component is %v", err)
	}
}
