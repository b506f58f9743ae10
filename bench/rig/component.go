package rig

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/messaging-kafka/messaging-kafka/bench"
	"github.com/messaging-kafka/messaging-kafka/internal/payload/wit"
	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
	"github.com/messaging-kafka/messaging-kafka/internal/wasmcloud/messaging"
	"github.com/messaging-kafka/messaging-kafka/internal/wasmcloud/wrpc"
)

// Component is a process that stands in for components and the host that they run in. What it does by itself is told
// by a component's id: see [EchoID], [SinkID] and [GateID]. It also answers plain NATS requests on [BareSubject]. What
// it does on request is a [Job].
type Component struct {
	t   testing.TB
	nc  *nats.Conn
	PID int
}

const (
	jobSubject = "bench.component.job"
	// BareSubject is where requests come back with their own payload.
	BareSubject = "bench.component.bare"
)

// EchoID names a component that publishes each message to its reply-to.
func EchoID(name string) string { return "echo-" + name }

// SinkID names a component that takes each message at once.
func SinkID(name string) string { return "sink-" + name }

// GateID names a component that takes a message only while a job opens its gate.
func GateID(name string) string { return "gate-" + name }

// StartComponent starts the process for components of a lattice: their ids, each with the provider that it publishes
// to.
func StartComponent(t testing.TB, ns *testkit.NATSServer, lattice string, components map[string]string) *Component {
	t.Helper()
	args := []string{ns.URL(), lattice}
	for id, provider := range components {
		args = append(args, id, provider)
	}
	pid, _ := start(t, "component", args...)
	return &Component{t: t, nc: ns.Connect(), PID: pid}
}

// Do has the component do a job and waits for its end.
func (c *Component) Do(job Job) Result {
	c.t.Helper()
	body, err := json.Marshal(job)
	if err != nil {
		c.t.Fatal(err)
	}
	m, err := c.nc.Request(jobSubject, body, job.Ramp+job.Duration+job.Patience+testkit.DefaultTimeout)
	if err != nil {
		c.t.Fatalf("asking the component to %s: %v", job.Do, err)
	}
	var r Result
	if err := json.Unmarshal(m.Data, &r); err != nil {
		c.t.Fatalf("reading what the component did: %v", err)
	}
	return r
}

// world is all that runs in the component's process.
type world struct {
	nc      *nats.Conn
	client  *wrpc.Client
	lattice string
	guests  map[string]*guest
}

// guest is one component.
type guest struct {
	id, provider string
	handled      atomic.Int64
	gate         gate
}

// gate holds calls back while it is closed.
type gate struct {
	mu   sync.Mutex
	shut chan struct{} // closed while the gate is open
	open bool
}

func (g *gate) set(open bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case open && !g.open:
		close(g.shut)
	case !open && g.open:
		g.shut = make(chan struct{})
	}
	g.open = open
}

func (g *gate) wait(ctx context.Context) error {
	g.mu.Lock()
	shut := g.shut
	g.mu.Unlock()
	select {
	case <-shut:
		return nil
	default:
	}
	select {
	case <-shut:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// serveComponent is the component's process.
func serveComponent(args []string, in io.Reader, out io.Writer) (err error) {
	w := &world{lattice: args[1], guests: map[string]*guest{}}
	if w.nc, err = nats.Connect(args[0]); err != nil {
		return err
	}
	defer w.nc.Close()
	if w.client, err = wrpc.NewClient(w.nc, wrpc.ClientOptions{}); err != nil {
		return err
	}
	for pair := range slices.Chunk(args[2:], 2) {
		if err := w.serve(pair[0], pair[1]); err != nil {
			return err
		}
	}
	if _, err := w.nc.Subscribe(BareSubject, func(m *nats.Msg) { _ = m.Respond(m.Data) }); err != nil {
		return err
	}
	if _, err := w.nc.Subscribe(jobSubject, func(m *nats.Msg) {
		answer, err := json.Marshal(w.do(m.Data))
		if err == nil {
			err = m.Respond(answer)
		}
		if err != nil {
			fmt.Fprintln(out, "answering:", err) // nobody reads it, but the asker's wait ends with an error
		}
	}); err != nil {
		return err
	}
	if err := w.nc.FlushTimeout(natsTimeout); err != nil {
		return err
	}
	return untilEnd(in, out, "ready")
}

func (w *world) serve(id, provider string) error {
	server, err := wrpc.NewServer(w.nc, wrpc.ServerOptions{Prefix: w.lattice + "." + id})
	if err != nil {
		return err
	}
	g := &guest{id: id, provider: provider, gate: gate{shut: make(chan struct{})}}
	w.guests[id] = g
	kind, _, _ := strings.Cut(id, "-")
	return server.Handle("wasmcloud:messaging/handler@0.2.0", "handle-message",
		func(ctx context.Context, _ nats.Header, params *wit.Decoder) ([]byte, error) {
			msg, err := messaging.DecodeBrokerMessage(params)
			if err != nil {
				return nil, err
			}
			switch kind {
			case "echo":
				if msg.ReplyTo == nil {
					return nil, errors.New("a message without a reply-to")
				}
				reply := messaging.BrokerMessage{Subject: *msg.ReplyTo, Body: msg.Body}
				if err := w.publish(ctx, g, reply); err != nil {
					return nil, err
				}
			case "gate":
				if err := g.gate.wait(ctx); err != nil {
					return nil, err
				}
			}
			g.handled.Add(1)
			return wit.AppendResult(nil, true), nil
		})
}

// call calls the provider's consumer and reads the result.
func (w *world) call(ctx context.Context, g *guest, function string, params []byte, ok func(*wit.Decoder) error) error {
	return w.client.Invoke(ctx, wrpc.Invocation{
		Target: w.lattice + "." + g.provider, Instance: "wasmcloud:messaging/consumer@0.2.0", Function: function,
		Header: nats.Header{"source-id": {g.id}, "link-name": {"default"}},
		Params: params,
	}, func(d *wit.Decoder) error {
		fine, err := d.Result()
		if err != nil {
			return err
		}
		if fine {
			return ok(d)
		}
		text, err := d.String()
		if err != nil {
			return err
		}
		return errors.New(text)
	})
}

func (w *world) publish(ctx context.Context, g *guest, msg messaging.BrokerMessage) error {
	params := messaging.AppendBrokerMessage(make([]byte, 0, len(msg.Body)+len(msg.Subject)+16), msg)
	return w.call(ctx, g, "publish", params, func(*wit.Decoder) error { return nil })
}

func (w *world) request(ctx context.Context, g *guest, subject string, body []byte, patience time.Duration) error {
	params := wit.AppendBytes(wit.AppendString(make([]byte, 0, len(body)+len(subject)+16), subject), body)
	params = wit.AppendU32(params, uint32(patience.Milliseconds()))
	return w.call(ctx, g, "request", params, func(d *wit.Decoder) error {
		answer, err := messaging.DecodeBrokerMessage(d)
		if err == nil && len(answer.Body) != len(body) {
			err = fmt.Errorf("an answer of %d bytes to %d", len(answer.Body), len(body))
		}
		return err
	})
}

// do does a job.
func (w *world) do(body []byte) Result {
	var job Job
	if err := json.Unmarshal(body, &job); err != nil {
		return Result{Err: err.Error()}
	}
	if job.Do == Count {
		r := Result{Handled: map[string]int64{}}
		for id, g := range w.guests {
			r.Handled[id] = g.handled.Load()
		}
		return r
	}
	r, err := w.perform(job)
	if err != nil {
		r.Err = err.Error()
	}
	return r
}

func (w *world) perform(job Job) (Result, error) {
	g := w.guests[job.Component]
	if g == nil {
		return Result{}, fmt.Errorf("there is no component %q", job.Component)
	}
	switch job.Do {
	case Open, Shut:
		g.gate.set(job.Do == Open)
		return Result{}, nil
	case Handle:
		return w.handle(job, g)
	}
	value := make([]byte, job.Size)
	for i := range value {
		value[i] = byte('a' + i*7%26)
	}
	calls := map[string]func(context.Context) error{
		Publish: func(ctx context.Context) error {
			return w.publish(ctx, g, messaging.BrokerMessage{Subject: job.Subject, Body: value})
		},
		Request: func(ctx context.Context) error {
			return w.request(ctx, g, job.Subject, value, job.Patience)
		},
	}
	call := calls[job.Do]
	if call == nil {
		return Result{}, fmt.Errorf("there is no job %q", job.Do)
	}
	return Drive(job, call)
}

// Drive makes the calls of a job's load.
func Drive(job Job, call func(context.Context) error) (Result, error) {
	var readings []bench.Reading
	load := bench.Load{
		InFlight: job.InFlight, Ramp: job.Ramp, Duration: job.Duration, Patience: job.Patience,
		Measure: func() error {
			reading, err := job.Gauge.Read()
			readings = append(readings, reading)
			return err
		},
	}
	var ids atomic.Uint64
	sample, err := load.Run(context.Background(), &ids, func(ctx context.Context, _ uint64) (time.Duration, error) {
		begin := time.Now()
		err := call(ctx)
		return time.Since(begin), err
	})
	if err != nil {
		return Result{}, err
	}
	return ResultOf(sample, readings), nil
}

// handle opens the gate for the time of a load.
func (*world) handle(job Job, g *guest) (Result, error) {
	g.gate.set(true)
	defer g.gate.set(false)
	time.Sleep(job.Ramp)
	before, err := job.Gauge.Read()
	if err != nil {
		return Result{}, err
	}
	begin, first := time.Now(), g.handled.Load()
	time.Sleep(job.Duration)
	took, done := time.Since(begin), g.handled.Load()-first
	after, err := job.Gauge.Read()
	if err != nil {
		return Result{}, err
	}
	return Result{
		Took: took, Done: int(done), Used: after.Since(before),
		Handled: map[string]int64{g.id: g.handled.Load()},
	}, nil
}
