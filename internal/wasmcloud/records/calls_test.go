package records

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/messaging-kafka/messaging-kafka/internal/payload/wit"
	"github.com/messaging-kafka/messaging-kafka/internal/record"
	"github.com/messaging-kafka/messaging-kafka/internal/testkit/rpc"
	"github.com/messaging-kafka/messaging-kafka/internal/wasmcloud/guest"
	"github.com/messaging-kafka/messaging-kafka/internal/wasmcloud/wrpc"
)

type lattice struct{ *rpc.Pair }

func newLattice(t *testing.T, id string) *lattice {
	t.Helper()
	return &lattice{rpc.NewPair(t, id)}
}

// call calls a function of the provider as a host does.
func (l *lattice) call(t *testing.T, instance, function string, h nats.Header, params []byte,
	result func(*wit.Decoder) error) error {
	t.Helper()
	return l.Client.Invoke(rpc.WithPatience(t), wrpc.Invocation{
		Target: "lattice.kafka", Instance: "messaging-kafka:records/" + instance + "@0.1.0", Function: function,
		Header: h, Params: params,
	}, result)
}

// component serves a function of a stand-in component: answer gives the encoded result for a batch.
func (l *lattice) component(t *testing.T, instance, function string,
	answer func(nats.Header, []*record.Record) ([]byte, error)) {
	t.Helper()
	err := l.Server.Handle("messaging-kafka:records/"+instance+"@0.1.0", function,
		func(_ context.Context, h nats.Header, d *wit.Decoder) ([]byte, error) {
			batch, err := wit.DecodeBatch(d)
			if err != nil {
				return nil, err
			}
			return answer(h, batch)
		})
	if err != nil {
		t.Fatal(err)
	}
}

// fields are records with each kind of field, of some 5 MiB: several messages each way.
func ms(n int64) time.Time { return time.UnixMilli(n) }

func fields() []*record.Record {
	many := make([]record.Header, 100)
	for i := range many {
		many[i] = record.Header{Key: fmt.Sprint("h", i%7), Value: []byte(fmt.Sprint(i))}
	}
	return []*record.Record{
		{Topic: "t", Offset: 1, Timestamp: ms(1), Key: nil, Value: nil, Attempt: 1},
		{Topic: "t", Offset: 2, Timestamp: ms(2), Key: []byte{}, Value: []byte{}, Attempt: 2},
		{Topic: "t", Partition: 7, Offset: 3, Timestamp: ms(3), Key: []byte{0xff}, Value: value(3<<20, true), Attempt: 1, Headers: many},
		{Topic: "u", Partition: 7, Offset: 4, Timestamp: ms(4), Key: []byte("ü"), Value: value(2<<20, false), Attempt: 1,
			Headers: []record.Header{{Key: "null"}, {Key: "empty", Value: []byte{}}, {Key: "raw", Value: []byte{0xc3}}}},
	}
}

func withoutEpoch(batch []*record.Record) []*record.Record {
	for _, r := range batch {
		r.LeaderEpoch = -1
	}
	return batch
}

func TestHandleGivesAComponentWholeRecords(t *testing.T) {
	l := newLattice(t, "echo")
	var header nats.Header
	var got []*record.Record
	l.component(t, "handler", "handle", func(h nats.Header, batch []*record.Record) ([]byte, error) {
		header, got = h, batch
		return wit.AppendHandled(nil, []record.Outcome{
			{Kind: record.Done},
			{Kind: record.Retry, Err: errors.New("not yet")},
			{Kind: record.Reject, Err: errors.New(strings.Repeat("x", 5000))},
			{Kind: record.Done},
		}), nil
	})
	c := NewHandlerClient(l.Client, "lattice", "kafka")
	ctx := guest.WithTraceHeaders(rpc.WithPatience(t), nats.Header{"traceparent": {"00-1"}, "other": {"x"}})
	batch := withoutEpoch(fields())
	outcomes := c.Handle(ctx, "echo", "orders", batch)
	if !reflect.DeepEqual(got, batch) {
		t.Errorf("the component got other records than were sent")
	}
	wantHeader := nats.Header{"source-id": {"kafka"}, "target-id": {"echo"}, "link-name": {"orders"},
		"traceparent": {"00-1"}}
	if !reflect.DeepEqual(header, wantHeader) {
		t.Errorf("headers %v, want %v", header, wantHeader)
	}
	for i, want := range []record.Kind{record.Done, record.Retry, record.Reject, record.Done} {
		if o := outcomes[i]; o.Kind != want || (o.Err == nil) != (want == record.Done) || o.Outputs != nil {
			t.Errorf("outcome %d is %+v", i, o)
		}
	}
	if text := outcomes[1].Err.Error(); text != "not yet" {
		t.Errorf("the reason is %q", text)
	}
	if n := len(outcomes[2].Err.Error()); n != 4<<10 {
		t.Errorf("a reason of 5,000 bytes has %d", n)
	}
}

func TestProcessReturnsWhatTheComponentMade(t *testing.T) {
	l := newLattice(t, "echo")
	l.component(t, "processor", "process", func(_ nats.Header, batch []*record.Record) ([]byte, error) {
		outcomes := make([]record.Outcome, len(batch))
		for i, r := range batch {
			if i == 1 {
				outcomes[i] = record.Outcome{Kind: record.Reject, Err: errors.New("no")}
				continue
			}
			outcomes[i].Kind = record.Done
			for range i {
				outcomes[i].Outputs = append(outcomes[i].Outputs, record.Outgoing{
					Topic: r.Topic, Partition: r.Partition, Key: r.Key, Value: r.Value, Headers: r.Headers, Timestamp: r.Timestamp})
			}
		}
		return wit.AppendProcessed(nil, outcomes), nil
	})
	c := NewHandlerClient(l.Client, "lattice", "kafka")
	batch := fields()
	outcomes := c.Process(rpc.WithPatience(t), "echo", "default", batch)
	for i, o := range outcomes {
		if i == 1 {
			if o.Kind != record.Reject || o.Err == nil || o.Outputs != nil {
				t.Errorf("the outcome of the rejected record is %+v", o)
			}
			continue
		}
		if o.Kind != record.Done || o.Err != nil || len(o.Outputs) != i {
			t.Errorf("outcome %d is %v (%v) with %d outputs", i, o.Kind, o.Err, len(o.Outputs))
		}
		for _, out := range o.Outputs {
			r := batch[i]
			want := record.Outgoing{Topic: r.Topic, Partition: r.Partition, Key: r.Key, Value: r.Value, Headers: r.Headers,
				Timestamp: r.Timestamp}
			if !reflect.DeepEqual(out, want) {
				t.Errorf("an output of record %d differs from the record", i)
			}
		}
	}
}

func TestCallsThatFailAsAWhole(t *testing.T) {
	l := newLattice(t, "echo")
	var result []byte
	var fail error
	for instance, function := range map[string]string{"handler": "handle", "processor": "process"} {
		l.component(t, instance, function, func(nats.Header, []*record.Record) ([]byte, error) { return result, fail })
	}
	c := NewHandlerClient(l.Client, "lattice", "kafka")
	batch := fields()[:3]
	ended, cancel := context.WithCancel(rpc.WithPatience(t))
	cancel()
	for _, c2 := range []struct {
		name      string
		ctx       context.Context
		component string
		result    string
		fail      error
		want      error
		kind      record.Kind
		mention   string
	}{
		{name: "no such component", component: "nobody", want: wrpc.ErrNoResponders, kind: record.Unavailable, mention: "nobody"},
		{name: "a trap", kind: record.Unanswered, component: "echo", fail: errors.New("trap"), want: wrpc.ErrIncomplete, mention: "trapped"},
		{name: "too few results", kind: record.Unanswered, component: "echo", result: "\x02\x00\x00", mention: "2 results for a batch of 3"},
		{name: "too many results", kind: record.Unanswered, component: "echo", result: "\x04\x00\x00\x00\x00\x00\x00\x00\x00", mention: "4 results for a batch of 3"},
		{name: "an unknown case", kind: record.Unanswered, component: "echo", result: "\x03\x01\x02\x00\x00\x00\x00\x00\x00", want: wrpc.ErrMalformed, mention: "result 0"},
		{name: "an ended context", ctx: ended, component: "echo", result: "\x03\x00\x00\x00", want: context.Canceled, kind: record.Unavailable},
	} {
		for function, call := range map[string]func(context.Context, string, string, []*record.Record) []record.Outcome{
			"handle": c.Handle, "process": c.Process,
		} {
			t.Run(c2.name+" of "+function, func(t *testing.T) {
				result, fail = []byte(c2.result), c2.fail
				ctx := c2.ctx
				if ctx == nil {
					ctx = rpc.WithPatience(t)
				}
				outcomes := call(ctx, c2.component, "default", batch)
				if len(outcomes) != len(batch) {
					t.Fatalf("%d outcomes", len(outcomes))
				}
				for _, o := range outcomes {
					if o.Kind != c2.kind || o.Err == nil || c2.want != nil && !errors.Is(o.Err, c2.want) {
						t.Fatalf("got %+v", o)
					}
					if text := o.Err.Error(); !strings.Contains(text, c2.mention) || !strings.Contains(text, c2.component) {
						t.Errorf("%q does not tell", text)
					}
				}
			})
		}
	}
}

// kafka is a producer whose methods a test sets.
type kafka struct {
	send    func(context.Context, guest.Caller, []record.Outgoing) []record.Result
	request func(context.Context, guest.Caller, record.Outgoing, time.Duration) (*record.Record, error)
}

func (k *kafka) Send(ctx context.Context, c guest.Caller, list []record.Outgoing) []record.Result {
	return k.send(ctx, c, list)
}

func (k *kafka) Request(ctx context.Context, c guest.Caller, r record.Outgoing,
	d time.Duration) (*record.Record, error) {
	return k.request(ctx, c, r, d)
}

func TestSendIsServed(t *testing.T) {
	l := newLattice(t, "kafka")
	var caller guest.Caller
	var got []record.Outgoing
	var left time.Duration
	var results []record.Result
	k := &kafka{send: func(ctx context.Context, c guest.Caller, list []record.Outgoing) []record.Result {
		caller, got = c, list
		deadline, _ := ctx.Deadline()
		left = time.Until(deadline)
		return results
	}}
	if err := Register(l.Server, k); err != nil {
		t.Fatal(err)
	}
	var list []record.Outgoing
	for _, r := range fields() {
		list = append(list, record.Outgoing{Topic: "enriched", Partition: record.AnyPartition, Key: r.Key, Value: r.Value,
			Headers: r.Headers})
	}
	header := nats.Header{"source-id": {"echo"}, "link-name": {"orders"}, "traceparent": {"00-1"}, "other": {"x"}}
	var gotResults []record.Result
	send := func() error {
		return l.call(t, "producer", "send", header, wit.AppendOutgoings(nil, list), func(d *wit.Decoder) (err error) {
			gotResults, err = wit.DecodeSent(d)
			return err
		})
	}
	position := record.Position{Topic: "t", Partition: 3, Offset: 1000}
	tooLarge := &wit.SendError{Case: wit.TooLarge, Size: 2, Limit: 1}
	results = []record.Result{
		{Position: position}, {Err: fmt.Errorf("publishing: %w", tooLarge)},
		{Err: fmt.Errorf("waiting: %w", context.DeadlineExceeded)}, {Err: errors.New("what \xff")},
	}
	if err := send(); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, list) {
		t.Error("other records came than were sent")
	}
	if want := (guest.Caller{ComponentID: "echo", LinkName: "orders",
		Header: nats.Header{"traceparent": {"00-1"}}}); !reflect.DeepEqual(caller, want) {
		t.Errorf("the caller is %+v, want %+v", caller, want)
	}
	if left <= 0 || left > guest.MaxCall {
		t.Errorf("the call has %v left", left)
	}
	want := []record.Result{{Position: position}, {Err: tooLarge},
		{Err: &wit.SendError{Case: wit.TimedOut, Text: "waiting: context deadline exceeded"}}, {Err: &wit.SendError{Case: wit.Other, Text: "what \uFFFD"}}}
	if !reflect.DeepEqual(gotResults, want) {
		t.Errorf("the component gets %v", gotResults)
	}
	results = results[:3]
	if err := send(); !errors.Is(err, wrpc.ErrIncomplete) {
		t.Errorf("results of another number are %v", err)
	}
	if err := l.call(t, "producer", "send", header, []byte("\x01\xff"), nil); err != nil {
		t.Errorf("parameters that are no records are %v, not an end without a value", err)
	}
}

func TestRequestIsServed(t *testing.T) {
	l := newLattice(t, "kafka")
	var timeout, left time.Duration
	var bounded bool
	k := &kafka{request: func(ctx context.Context, c guest.Caller, r record.Outgoing,
		d time.Duration) (*record.Record, error) {
		timeout = d
		deadline, ok := ctx.Deadline()
		left, bounded = time.Until(deadline), ok
		switch r.Topic {
		case "orders":
			return &record.Record{Topic: "answers", Partition: 1, Offset: 2, LeaderEpoch: -1, Timestamp: ms(3), Attempt: 1,
				Key: []byte(c.ComponentID), Value: r.Value, Headers: r.Headers}, nil
		case "nothing":
			return nil, nil
		default:
			return nil, &wit.SendError{Case: wit.TimedOut, Text: "no answer from " + r.Topic}
		}
	}}
	if err := Register(l.Server, k); err != nil {
		t.Fatal(err)
	}
	var answer *record.Record
	var failure error
	request := func(r record.Outgoing, ms uint32) error {
		params := wit.AppendU32(wit.AppendOutgoing(nil, &r), ms)
		return l.call(t, "requester", "request", nats.Header{"source-id": {"echo"}}, params,
			func(d *wit.Decoder) (err error) {
				answer, failure, err = wit.DecodeAnswer(d)
				return err
			})
	}
	headers := []record.Header{{Key: "kafka_correlationId", Value: []byte{0xff, 1}}}
	if err := request(record.Outgoing{Topic: "orders", Value: []byte("hi"), Headers: headers}, 1000); err != nil ||
		failure != nil {
		t.Fatal(failure, err)
	}
	want := &record.Record{Topic: "answers", Partition: 1, Offset: 2, LeaderEpoch: -1, Timestamp: ms(3), Attempt: 1,
		Key: []byte("echo"), Value: []byte("hi"), Headers: headers}
	if !reflect.DeepEqual(answer, want) {
		t.Errorf("the answer is %+v, want %+v", answer, want)
	}
	if timeout != time.Second || !bounded || left > time.Second+guest.RequestGrace {
		t.Errorf("the time-out is %v, the context has %v left", timeout, left)
	}
	if err := request(record.Outgoing{Topic: "x"}, 1<<32-1); err != nil ||
		!reflect.DeepEqual(failure, error(&wit.SendError{Case: wit.TimedOut, Text: "no answer from x"})) {
		t.Errorf("the failure is %v (%v)", failure, err)
	}
	if timeout > guest.MaxCall || left > guest.MaxCall {
		t.Errorf("a request of 49 days has %v", timeout)
	}
	if err := request(record.Outgoing{Topic: "nothing"}, 1); !errors.Is(err, wrpc.ErrIncomplete) {
		t.Errorf("neither answer nor error is %v", err)
	}
}

func value(n int, text bool) []byte {
	v := bytes.Repeat([]byte("the quick brown fox jumps over the lazy dog. "), n/45+1)[:n]
	if !text {
		v[0] = 0xff
	}
	return v
}
