package soak

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/messaging-kafka/messaging-kafka/internal/payload/wit"
	"github.com/messaging-kafka/messaging-kafka/internal/record"
	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
	"github.com/messaging-kafka/messaging-kafka/internal/wasmcloud/wrpc"
	"github.com/messaging-kafka/messaging-kafka/test/fleet"
)

// handleTimeout is the links' setting: hanging calls take longer.
const handleTimeout = 2 * time.Second

var errNotNow = errors.New("not now")

// misbehave hangs, traps or refuses now and then. It returns nil mostly.
func (w *world) misbehave(ctx context.Context) error {
	switch luck := rand.Float64(); {
	case luck < .002:
		w.did("calls that hang")
		fleet.Sleep(ctx, handleTimeout*3/2)
		return testkit.ErrTrap
	case luck < .005:
		w.did("calls that trap")
		return testkit.ErrTrap
	case luck < .02:
		w.did("calls that are refused")
		return errNotNow
	}
	fleet.Sleep(ctx, time.Duration(rand.Int64N(int64(4*time.Millisecond))))
	return nil
}

// handleOrder is the component that takes orders, rejects few, and publishes what comes of some.
func (w *world) handleOrder(ctx context.Context, c *testkit.Component, call testkit.Call) error {
	n, err := number(call.Body)
	if err != nil || call.Subject != orders {
		w.complain("a strange call on %s: %v", call.Subject, err)
		return errors.New("reject: no order")
	}
	if n%500 == 7 {
		w.tally.rejected.Set(n)
		return errors.New("reject: this order is not for us")
	}
	if err := w.misbehave(ctx); err != nil {
		return err
	}
	if n%4 == 0 {
		ctx, cancel := context.WithTimeout(ctx, handleTimeout)
		defer cancel()
		if err := c.Publish(ctx, testkit.Message{Subject: shipped, Body: call.Body}); err != nil {
			w.did("publishes of handlers that failed")
			return err
		}
		w.tally.published.Set(n)
	}
	w.tally.done[orders].Set(n)
	return nil
}

// handleFlyer is the handler of guests, whose records do not count.
func (w *world) handleFlyer(ctx context.Context, _ *testkit.Component, _ testkit.Call) error {
	return w.misbehave(ctx)
}

// batchHandler answers a batch of records; an error ends the call without an answer.
type batchHandler func(ctx context.Context, batch []*record.Record) ([]record.Outcome, error)

// answerBatch answers for each record of a batch by itself, and makes an output of it where out names a topic.
func (w *world) answerBatch(topic, out string) batchHandler {
	return func(ctx context.Context, batch []*record.Record) ([]record.Outcome, error) {
		w.did("batches")
		if err := w.misbehave(ctx); err != nil && !errors.Is(err, errNotNow) {
			return nil, err
		}
		outcomes := make([]record.Outcome, len(batch))
		for i, r := range batch {
			n, err := number(r.Value)
			if err != nil || r.Topic != topic {
				w.complain("a strange record of %s: %v", r.Topic, err)
			}
			if rand.IntN(100) == 0 {
				outcomes[i] = record.Outcome{Kind: record.Retry, Err: errNotNow}
				continue
			}
			outcomes[i].Kind = record.Done
			if out != "" {
				outcomes[i].Outputs = []record.Outgoing{{Topic: out, Partition: record.AnyPartition, Key: r.Key, Value: r.Value}}
			}
			w.tally.done[topic].Set(n)
		}
		return outcomes, nil
	}
}

// answerFlyers is a guest's: outputs of processors go to void.
func (w *world) answerFlyers(ctx context.Context, batch []*record.Record) ([]record.Outcome, error) {
	if err := w.misbehave(ctx); err != nil && !errors.Is(err, errNotNow) {
		return nil, err
	}
	outcomes := make([]record.Outcome, len(batch))
	for i, r := range batch {
		outcomes[i] = record.Outcome{Kind: record.Done,
			Outputs: []record.Outgoing{{Topic: void, Partition: record.AnyPartition, Value: r.Value}}}
	}
	return outcomes, nil
}

// batchComponent stands in for a component of messaging-kafka:records. It speaks by the project's own wRPC.
type batchComponent struct {
	t       *testing.T
	id      string
	nc      *nats.Conn
	client  *wrpc.Client
	handler batchHandler

	mu     sync.Mutex
	server *wrpc.Server // nil while stopped
}

const recordsPackage = "messaging-kafka:records"

func newBatchComponent(t *testing.T, ns *testkit.NATSServer, id string, h batchHandler) *batchComponent {
	t.Helper()
	c := &batchComponent{t: t, id: id, nc: ns.Connect(), handler: h}
	var err error
	if c.client, err = wrpc.NewClient(c.nc, wrpc.ClientOptions{}); err != nil {
		t.Fatal(err)
	}
	c.start()
	t.Cleanup(func() {
		c.stop()
		ctx, cancel := context.WithTimeout(context.Background(), testkit.DefaultTimeout)
		defer cancel()
		if err := c.client.Close(ctx); err != nil {
			t.Errorf("closing component %s: %v", id, err)
		}
	})
	return c
}

// start takes calls again after stop.
func (c *batchComponent) start() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.server != nil {
		return
	}
	server, err := wrpc.NewServer(c.nc, wrpc.ServerOptions{Prefix: "default." + c.id, MaxCalls: 100})
	for _, f := range []struct {
		name, function string
		answer         func([]byte, []record.Outcome) []byte
	}{{"handler", "handle", wit.AppendHandled}, {"processor", "process", wit.AppendProcessed}} {
		if err != nil {
			break
		}
		err = server.Handle(recordsPackage+"/"+f.name+"@0.1.0", f.function,
			func(ctx context.Context, _ nats.Header, d *wit.Decoder) ([]byte, error) {
				batch, err := wit.DecodeBatch(d)
				if err != nil {
					return nil, err
				}
				outcomes, err := c.handler(ctx, batch)
				if err != nil {
					return nil, err
				}
				return f.answer(nil, outcomes), nil
			})
	}
	if err == nil {
		err = c.nc.FlushTimeout(testkit.DefaultTimeout)
	}
	if err != nil {
		c.t.Errorf("starting component %s: %v", c.id, err)
		return
	}
	c.server = server
}

// stop takes no more calls and gives up the running ones soon.
func (c *batchComponent) stop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.server == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	// Its error says that calls were given up, as those of a component are that is scaled to 0.
	_ = c.server.Shutdown(ctx)
	c.server = nil
}

// send calls the provider's producer over the named link and returns the first error of any kind.
func (c *batchComponent) send(ctx context.Context, link string, list []record.Outgoing) error {
	var results []record.Result
	err := c.client.Invoke(ctx, wrpc.Invocation{
		Target: "default." + providerKey, Instance: recordsPackage + "/producer@0.1.0", Function: "send",
		Header: nats.Header{"source-id": {c.id}, "link-name": {link}},
		Params: wit.AppendOutgoings(nil, list),
	}, func(d *wit.Decoder) (err error) {
		results, err = wit.DecodeSent(d)
		return err
	})
	if err != nil {
		return err
	}
	if len(results) != len(list) {
		return fmt.Errorf("%d results for %d records", len(results), len(list))
	}
	for i := range results {
		if results[i].Err != nil {
			return results[i].Err
		}
	}
	return nil
}

// fillPool makes more calls at once than the provider keeps goroutines of, for the next calls: how many it keeps is
// then no matter of chance. There is no link yet, for which the calls wait a moment, and then fail.
func (w *world) fillPool() {
	const calls = 200
	ctx, cancel := context.WithTimeout(context.Background(), testkit.DefaultTimeout)
	defer cancel()
	var all sync.WaitGroup
	for range calls {
		all.Go(func() {
			var refused *testkit.ResultError
			if err := w.asker.Publish(ctx, testkit.Message{Subject: void}); !errors.As(err, &refused) {
				w.complain("a publish without a link: %v", err)
			}
		})
	}
	all.Wait()
}

// ask asks questions over Kafka and compares the answers until ctx ends.
func (w *world) ask(ctx context.Context) {
	for fleet.Sleep(ctx, time.Duration(50+rand.IntN(300))*time.Millisecond) {
		call, cancel := context.WithTimeout(context.Background(), 8*time.Second)
		question := fmt.Sprint(rand.Uint64())
		answer, err := w.asker.Request(call, questions, []byte(question), 5*time.Second)
		cancel()
		switch {
		case err != nil: // what is broken on purpose breaks requests as well
			w.did("requests that failed")
		case string(answer.Body) != question:
			w.complain("the answer to %s is %.40q", question, answer.Body)
		default:
			w.did("requests answered")
		}
	}
}
