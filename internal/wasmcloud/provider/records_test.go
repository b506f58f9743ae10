package provider

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/messaging-kafka/messaging-kafka/internal/payload/wit"
	"github.com/messaging-kafka/messaging-kafka/internal/record"
	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
	"github.com/messaging-kafka/messaging-kafka/internal/wasmcloud/wrpc"
)

// recordsComponent is a component of messaging-kafka:records on our own wRPC: what it answers is up to the test.
type recordsComponent struct {
	t      *testing.T
	client *wrpc.Client
	id     string
}

func newRecordsComponent(t *testing.T, ns *testkit.NATSServer, id string,
	outcomes func([]*record.Record) []record.Outcome) *recordsComponent {
	t.Helper()
	nc := ns.Connect()
	client, err := wrpc.NewClient(nc, wrpc.ClientOptions{})
	if err != nil {
		t.Fatal(err)
	}
	server, err := wrpc.NewServer(nc, wrpc.ServerOptions{Prefix: "default." + id})
	if err != nil {
		t.Fatal(err)
	}
	serve := func(name, function string, answer func([]byte, []record.Outcome) []byte) {
		if err := server.Handle("messaging-kafka:records/"+name+"@0.1.0", function,
			func(_ context.Context, _ nats.Header, params *wit.Decoder) ([]byte, error) {
				batch, err := wit.DecodeBatch(params)
				if err != nil {
					return nil, err
				}
				return answer(nil, outcomes(batch)), nil
			}); err != nil {
			t.Fatal(err)
		}
	}
	serve("handler", "handle", wit.AppendHandled)
	serve("processor", "process", wit.AppendProcessed)
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), testkit.DefaultTimeout)
		defer cancel()
		if err := server.Shutdown(ctx); err != nil {
			t.Error(err)
		}
		if err := client.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	return &recordsComponent{t: t, client: client, id: id}
}

// send calls the provider's producer.
func (c *recordsComponent) send(list ...record.Outgoing) []record.Result {
	c.t.Helper()
	var results []record.Result
	err := c.client.Invoke(c.t.Context(), wrpc.Invocation{
		Target: "default.kafka", Instance: "messaging-kafka:records/producer@0.1.0", Function: "send",
		Header: nats.Header{"source-id": {c.id}, "link-name": {"default"}},
		Params: wit.AppendOutgoings(nil, list),
	}, func(d *wit.Decoder) (err error) {
		results, err = wit.DecodeSent(d)
		return err
	})
	if err != nil {
		c.t.Fatal(err)
	}
	return results
}

func recordsLink(source, target, iface string, config map[string]string) testkit.Link {
	l := testkit.Link{Source: source, Target: target, Namespace: "messaging-kafka", Package: "records",
		Interfaces: []string{iface}}
	if source == "kafka" {
		l.SourceConfig = config
	} else {
		l.TargetConfig = config
	}
	return l
}

func TestWholeRecordsGoInAndOut(t *testing.T) {
	b := newBench(t)
	b.topics("in", "out")
	c := newRecordsComponent(t, b.nats, "echo", func(batch []*record.Record) []record.Outcome {
		outcomes := make([]record.Outcome, len(batch))
		for i, r := range batch {
			outcomes[i] = record.Outcome{Kind: record.Done, Outputs: []record.Outgoing{{
				Topic: "out", Partition: record.AnyPartition, Key: r.Key, Value: r.Value, Headers: r.Headers,
				Timestamp: r.Timestamp,
			}}}
		}
		return outcomes
	})
	p := b.start()
	b.host.PutLink(recordsLink("kafka", "echo", "processor", b.config("in")))
	p.WaitHealthy()
	sent := []*kgo.Record{
		{Topic: "in", Key: []byte("k"), Value: []byte("text"), Headers: []kgo.RecordHeader{
			{Key: "h", Value: []byte("1")}, {Key: "h", Value: []byte{0xff, 0}}, {Key: "h", Value: nil}, {Key: "h", Value: []byte{}},
		}},
		{Topic: "in", Key: []byte{}, Value: nil},
		{Topic: "in", Key: nil, Value: []byte{}},
		{Topic: "in", Key: []byte{0xfe}, Value: []byte(strings.Repeat("v", 900_000))},
	}
	b.kc.Produce(sent...)
	got := b.kc.Read("out", len(sent))
	for _, want := range sent {
		if !slices.ContainsFunc(got, func(g *kgo.Record) bool { return sameRecord(g, want) }) {
			t.Errorf("no output like %q=%.20q %v", want.Key, want.Value, want.Headers)
		}
	}
	_ = c
}

func sameRecord(a, b *kgo.Record) bool {
	same := func(x, y []byte) bool { return string(x) == string(y) && (x == nil) == (y == nil) }
	return same(a.Key, b.Key) && same(a.Value, b.Value) && a.Timestamp.Equal(b.Timestamp) &&
		slices.EqualFunc(a.Headers, b.Headers,
			func(x, y kgo.RecordHeader) bool { return x.Key == y.Key && same(x.Value, y.Value) })
}

func TestOutputsBelongToTheTraceOfTheirRecord(t *testing.T) {
	b := newBench(t)
	b.topics("out")
	b.kafka.Topic("in", 1)
	newRecordsComponent(t, b.nats, "echo", func(batch []*record.Record) []record.Outcome {
		outcomes := make([]record.Outcome, len(batch))
		for i, r := range batch {
			out := record.Outgoing{Topic: "out", Partition: record.AnyPartition, Value: r.Value}
			own := out
			own.Headers = []record.Header{{Key: "a"}, {Key: "traceparent", Value: []byte("own")}}
			outcomes[i] = record.Outcome{Kind: record.Done, Outputs: []record.Outgoing{out, own}}
		}
		return outcomes
	})
	trace := func(parent string) []kgo.RecordHeader {
		return []kgo.RecordHeader{{Key: "tracestate", Value: []byte("s")}, {Key: "traceparent", Value: []byte(parent)}}
	}
	b.kc.Produce(
		&kgo.Record{Topic: "in", Value: []byte("first"), Headers: trace("1")},
		&kgo.Record{Topic: "in", Value: []byte("second"), Headers: trace("2")},
		&kgo.Record{Topic: "in", Value: []byte("third")},
	)
	b.start()
	b.host.PutLink(recordsLink("kafka", "echo", "processor", b.config("in")))
	var got []string
	for _, r := range b.kc.Read("out", 6) {
		text := string(r.Value) + ":"
		for _, h := range r.Headers {
			text += fmt.Sprintf(" %s=%s", h.Key, h.Value)
		}
		got = append(got, text)
	}
	slices.Sort(got)
	want := []string{
		"first: a= traceparent=own", "first: traceparent=1 tracestate=s",
		"second: a= traceparent=own", "second: traceparent=2 tracestate=s",
		"third:", "third: a= traceparent=own",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%q, want\n%q", got, want)
	}
}

func TestABatchHasAVerdictForEachRecord(t *testing.T) {
	b := newBench(t)
	b.topics("dlq")
	b.kafka.Topic("in", 1)
	tries := map[string]int{}
	newRecordsComponent(t, b.nats, "echo", func(batch []*record.Record) []record.Outcome {
		outcomes := make([]record.Outcome, len(batch))
		for i, r := range batch {
			v := string(r.Value)
			tries[v]++
			switch {
			case v == "bad":
				outcomes[i] = record.Outcome{Kind: record.Reject, Err: fmt.Errorf("never")}
			case v == "later" && tries[v] < 3:
				outcomes[i] = record.Outcome{Err: fmt.Errorf("not yet")}
			default:
				outcomes[i].Kind = record.Done
			}
		}
		return outcomes
	})
	b.kc.ProduceText("in", "a", "bad", "later", "z")
	p := b.start()
	b.host.PutLink(recordsLink("kafka", "echo", "handler",
		b.config("in", "dead_letter_topic", "dlq", "max_in_flight", "1", "order", "none")))
	if letter := b.kc.Read("dlq", 1)[0]; string(letter.Value) != "bad" {
		t.Errorf("dead letter %q", letter.Value)
	}
	b.kc.WaitDrained("wasmcloud.default.echo.default", "in")
	p.WaitHealthy()
	if tries["later"] != 3 || tries["a"] != 1 || tries["z"] != 1 {
		t.Errorf("deliveries %v", tries)
	}
}

func TestAComponentSendsRecords(t *testing.T) {
	b := newBench(t)
	b.topics("out")
	c := newRecordsComponent(t, b.nats, "echo", nil)
	p := b.start()
	b.host.PutLink(recordsLink("echo", "kafka", "producer",
		b.config("", "max_message_bytes", "1KiB", "allowed_topics", "out,big*")))
	p.WaitHealthy()
	results := c.send(
		record.Outgoing{Topic: "out", Partition: 2, Key: []byte("k"), Value: []byte("v")},
		record.Outgoing{Topic: "out", Partition: record.AnyPartition, Value: make([]byte, 2000)},
		record.Outgoing{Topic: "secret", Partition: record.AnyPartition},
		record.Outgoing{Topic: "big.missing", Partition: record.AnyPartition},
		record.Outgoing{Topic: "out", Partition: 99},
	)
	if results[0] != (record.Result{Position: record.Position{Topic: "out", Partition: 2}}) {
		t.Errorf("the first became of %+v", results[0])
	}
	for i, want := range map[int]string{1: "too-large: 2000 bytes where 1024 are allowed", 2: "not-authorised:",
		3: "unknown-topic:", 4: "invalid:"} {
		if err := results[i].Err; err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("record %d: %v, want %s", i, err, want)
		}
	}
}

func TestLinksThatMakeNoSenseAreRefusedWithTheReason(t *testing.T) {
	b := newBench(t)
	p := b.start()
	for i, tc := range []struct {
		link testkit.Link
		want string
	}{
		{testkit.Link{Source: "kafka", Target: "x", Namespace: "messaging-kafka", Package: "records", Interfaces: []string{"handler", "processor"}}, "two links"},
		{recordsLink("x", "kafka", "producer", b.config("in")), "topic: records reach the component by a link with this provider as source"},
		{recordsLink("kafka", "x", "handler", b.config("in", "transactions", "true")), "transactions: only a link with the interface"},
		{testkit.Link{Source: "x", Target: "kafka", Namespace: "wasi", Package: "keyvalue", Interfaces: []string{"store"}}, "not wasi:keyvalue"},
		{testkit.Link{Source: "x", Target: "kafka", Interfaces: []string{"handler"}}, "cannot have the interface handler"},
	} {
		tc.link.Name = fmt.Sprint("link", i)
		b.host.PutLink(tc.link)
		p.WaitUnhealthy(tc.want)
		b.host.DeleteLink(tc.link)
	}
	p.WaitHealthy()
}
