//go:build bench

package alone

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"net"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/messaging-kafka/messaging-kafka/bench"
	"github.com/messaging-kafka/messaging-kafka/bench/rig"
	"github.com/messaging-kafka/messaging-kafka/internal/record"
	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
	"github.com/messaging-kafka/messaging-kafka/internal/wasmcloud/messaging"
	"github.com/messaging-kafka/messaging-kafka/internal/wasmcloud/wrpc"
)

// bed is all that runs: a Kafka, a nats-server, the components' process, and one provider or two to compare.
type bed struct {
	t         *testing.T
	component *rig.Component
	providers []*provider
	processes bench.Processes

	nc       *nats.Conn
	bare     *messaging.HandlerClient
	producer *kgo.Client // for the limits, and for what lies there before a load
	readBack *rig.KafkaEcho
	bridge   *bridge // nil where it is not measured
	ids      atomic.Uint64
}

// bridge is one with a program behind HTTP, and a route for each number in flight.
type bridge struct {
	gauge  bench.Gauge
	echoes *rig.KafkaEcho
}

// httpKeys are how many keys the records through the bridge have.
const httpKeys = 1000

// provider is one that is measured, with what it is measured by.
type provider struct {
	key     string
	gauge   bench.Gauge
	echoes  *rig.KafkaEcho
	backlog map[string]*backlog // by topic
}

// backlog is what lies in a topic whose component has a gate.
type backlog struct {
	produced int64
	handled  int64
	rate     float64 // records a second that it went at, or is thought to go at most
}

const (
	lattice    = "default"
	bareSink   = "sink-bare" // the component that is called without a provider
	limitTopic = "limit.produce"
	readTopic  = "limit.readback"
)

func handleTopic(key string, inFlight int) string { return fmt.Sprintf("%s.handle.%d", key, inFlight) }
func httpTopic(inFlight int) string               { return fmt.Sprintf("http.%d", inFlight) }
func echoTopic(key string, inFlight int) string   { return fmt.Sprintf("%s.echo.%d", key, inFlight) }
func gateID(key string, inFlight int) string      { return rig.GateID(fmt.Sprintf("%s-%d", key, inFlight)) }
func callerID(key string) string                  { return rig.SinkID(key) }

// topicConfig makes topics take values of 1 MiB, and forget them soon: a run writes gigabytes.
var topicConfig = map[string]string{
	"max.message.bytes": strconv.Itoa(rig.Largest), "segment.bytes": strconv.Itoa(128 << 20),
	"file.delete.delay.ms": "1000",
}

var forgetful = func() map[string]string {
	config := maps.Clone(topicConfig)
	config["retention.bytes"] = strconv.Itoa(512 << 20)
	return config
}()

// subject names a provider's program.
type subject struct {
	key, binary string
	settings    map[string]string // of its links
	env         []string
}

// setUp starts everything. inFlight are the values of max_in_flight for which there are links.
func setUp(t *testing.T, inFlight []int, subjects ...subject) *bed {
	t.Helper()
	// 64 records of 1 MiB that are produced while others are fetched do not fit into the heap of the tests' brokers.
	kafka := testkit.StartKafka(t, testkit.KafkaOptions{
		Heap: "1g", Properties: map[string]string{"log.retention.check.interval.ms": "5000"},
	})
	ns, natsPID := rig.NATS(t)
	b := &bed{t: t, nc: ns.Connect(), producer: testkit.NewClient(t, kafka.Brokers(), rig.ClientOptions()...).Client}
	admin := testkit.NewClient(t, kafka.Brokers())
	host := testkit.NewFakeHost(t, ns, testkit.FakeHostOptions{Lattice: lattice})

	components := map[string]string{bareSink: "nobody"}
	for _, s := range subjects {
		components[callerID(s.key)] = s.key
		for _, n := range inFlight {
			components[gateID(s.key, n)] = s.key
			components[rig.EchoID(fmt.Sprintf("%s-%d", s.key, n))] = s.key
		}
	}
	b.component = rig.StartComponent(t, ns, lattice, components)
	client, err := wrpc.NewClient(b.nc, wrpc.ClientOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), testkit.DefaultTimeout)
		defer cancel()
		if err := client.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	b.bare = messaging.NewHandlerClient(client, lattice, "load")

	for _, topic := range []string{limitTopic, readTopic} {
		admin.Topic(topic, 1, forgetful)
	}
	b.readBack = rig.StartKafkaEcho(t, kafka.Brokers(), readTopic)
	b.processes = bench.Processes{
		Component: b.component.PID, bench.NATS: natsPID, bench.Broker: kafka.PID(t, 1), bench.Client: os.Getpid(),
	}
	for _, s := range subjects {
		b.providers = append(b.providers, b.start(s, host, kafka.Brokers(), admin, inFlight))
	}
	return b
}

// start starts a provider with its topics and links.
func (b *bed) start(s subject, host *testkit.FakeHost, brokers []string, admin *testkit.Client,
	inFlight []int) *provider {
	t := b.t
	p := &provider{key: s.key, backlog: map[string]*backlog{}}
	link := func(more map[string]string) map[string]string {
		config := map[string]string{"hosts": brokers[0], "max_message_bytes": strconv.Itoa(rig.Largest * 3 / 4)}
		if more["topic"] != "" {
			// Calls wait at a gate for as long as something else is measured. Records have no key, and are to go at once.
			maps.Copy(config, map[string]string{"order": "none", "start": "earliest", "max_buffer": "256MiB",
				"handle_timeout": "1h", "rebalance_timeout": "1h"})
		}
		maps.Copy(config, more)
		maps.Copy(config, s.settings)
		return config
	}
	requests, answers := s.key+".requests", s.key+".answers"
	for _, topic := range []string{s.key + ".publish", requests, answers} {
		admin.Topic(topic, 1, forgetful)
	}
	host.PutLink(testkit.TargetLink(callerID(s.key), s.key, link(map[string]string{"request_reply_topic": answers})))
	var replies []string
	for _, n := range inFlight {
		calls := strconv.Itoa(n)
		admin.Topic(handleTopic(s.key, n), 1, topicConfig)
		host.PutLink(testkit.TargetLink(gateID(s.key, n), s.key,
			link(map[string]string{"topic": handleTopic(s.key, n), "max_in_flight": calls})))
		p.backlog[handleTopic(s.key, n)] = &backlog{}
		topic := echoTopic(s.key, n)
		admin.Topic(topic, 1, forgetful)
		admin.Topic(topic+".reply", 1, forgetful)
		replies = append(replies, topic+".reply")
		id := rig.EchoID(fmt.Sprintf("%s-%d", s.key, n))
		host.PutLink(testkit.TargetLink(id, s.key, link(map[string]string{"topic": topic, "max_in_flight": calls})))
	}
	p.echoes = rig.StartKafkaEcho(t, brokers, replies...)
	b.answer(brokers, requests)

	port, err := testkit.FreePorts(1)
	if err != nil {
		t.Fatal(err)
	}
	address := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	env := []string{"MESSAGING_KAFKA_BENCH_ADDRESS=" + address}
	if *profile != "" {
		env = append(env, "MESSAGING_KAFKA_BENCH_WAITS=1")
	}
	run := host.StartProvider(testkit.ProviderSpec{
		Key: s.key, Binary: s.binary, Env: append(env, s.env...),
		HostData: func(data map[string]any) { data["log_level"] = "info" },
	})
	run.WaitHealthy()
	p.gauge = bench.Gauge{Processes: maps.Clone(b.processes), Runtimes: map[string]string{bench.Provider: address}}
	p.gauge.Processes[bench.Provider] = run.PID()
	testkit.Eventually(t, testkit.DefaultTimeout, func() error {
		_, err := p.gauge.Read()
		return err
	})
	return p
}

// startBridge starts a bridge with its topics and routes. Its settings are those that it has by itself.
func (b *bed) startBridge(program string, inFlight []int) {
	b.t.Helper()
	brokers := b.seeds()
	admin := testkit.NewClient(b.t, brokers)
	url, pid := rig.Application(b.t)
	routes := make(map[string]map[string]string)
	var replies []string
	for _, n := range inFlight {
		topic := httpTopic(n)
		admin.Topic(topic, 1, forgetful)
		admin.Topic(topic+".reply", 1, forgetful)
		replies = append(replies, topic+".reply")
		routes[topic] = map[string]string{
			"hosts": brokers[0], "max_message_bytes": strconv.Itoa(rig.Largest * 3 / 4), "topic": topic, "start": "earliest",
			"deliver": "http-records", "url": url,
		}
	}
	b.bridge = &bridge{echoes: rig.StartKafkaEcho(b.t, brokers, replies...)}
	b.bridge.gauge.Processes = maps.Clone(b.processes)
	b.bridge.gauge.Processes[Component] = pid
	b.bridge.gauge.Processes[bench.Provider] = rig.Bridge(b.t, program, routes)
	delete(b.bridge.gauge.Processes, bench.NATS) // it has no part in it
}

// answer answers requests as a plain client does, until the test ends.
func (b *bed) answer(brokers []string, requests string) {
	cl := testkit.NewClient(b.t, brokers, append(rig.ClientOptions(),
		kgo.ConsumeTopics(requests), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))...).Client
	ctx, cancel := context.WithCancel(context.Background())
	var answering sync.WaitGroup
	answering.Go(func() {
		for ctx.Err() == nil {
			cl.PollFetches(ctx).EachRecord(func(r *kgo.Record) {
				reply := &kgo.Record{Value: r.Value}
				for _, h := range r.Headers {
					switch h.Key {
					case record.ReplyTopicHeader:
						reply.Topic = string(h.Value)
					case record.CorrelationHeader:
						reply.Headers = append(reply.Headers, h)
					}
				}
				// A lost answer shows as a lost request.
				cl.Produce(ctx, reply, nil)
			})
		}
	})
	b.t.Cleanup(func() { cancel(); answering.Wait() })
}

// load is one run of a way through a provider, or of a limit.
func (b *bed) load(way string, p *provider, shape Shape, during time.Duration) rig.Result {
	b.t.Helper()
	job := rig.Job{
		InFlight: shape.InFlight, Size: shape.Size, Ramp: ramp, Duration: during, Patience: patience, Gauge: p.gauge,
	}
	var r rig.Result
	switch way {
	case Publish, Request:
		job.Do, job.Component = rig.Publish, callerID(p.key)
		job.Subject = p.key + ".publish"
		if way == Request {
			job.Do, job.Subject = rig.Request, p.key+".requests"
		}
		r = b.component.Do(job)
	case Handle:
		r = b.handle(p, shape, job)
	case HTTP:
		job.Gauge = b.bridge.gauge
		r = b.drive(job, b.caller(way, p, shape))
	default:
		r = b.drive(job, b.caller(way, p, shape))
	}
	if err := r.Failure(); err != nil {
		b.t.Fatalf("%s, %d in flight, %d B: %d of %d lost: %v", way, shape.InFlight, shape.Size, r.Lost, r.Sent, err)
	}
	if r.Done == 0 {
		b.t.Fatalf("%s, %d in flight, %d B: nothing came in %s", way, shape.InFlight, shape.Size, during)
	}
	return r
}

func (b *bed) drive(job rig.Job, call func(context.Context) error) rig.Result {
	r, err := rig.Drive(job, call)
	if err != nil {
		r.Err = cmp.Or(r.Err, err.Error())
	}
	return r
}

// caller returns what this process itself does again and again.
func (b *bed) caller(way string, p *provider, shape Shape) func(context.Context) error {
	values := rig.Values(shape.Size)
	value := values(0)
	switch way {
	case NATS:
		return func(ctx context.Context) error {
			m, err := b.nc.RequestWithContext(ctx, rig.BareSubject, value)
			if err == nil && len(m.Data) != len(value) {
				err = fmt.Errorf("an answer of %d bytes to %d", len(m.Data), len(value))
			}
			return err
		}
	case WRPC:
		return func(ctx context.Context) error {
			return b.bare.Component(bareSink, "default").HandleMessage(ctx,
				messaging.BrokerMessage{Subject: "bare", Body: value})
		}
	case Produce:
		return func(ctx context.Context) error {
			return b.producer.ProduceSync(ctx, &kgo.Record{Topic: limitTopic, Value: value}).FirstErr()
		}
	case ReadBack:
		return func(ctx context.Context) error {
			id := b.ids.Add(1)
			_, err := b.readBack.Send(ctx, readTopic, id, values(id))
			return err
		}
	case Echo:
		topic := echoTopic(p.key, shape.InFlight)
		return func(ctx context.Context) error {
			id := b.ids.Add(1)
			_, err := p.echoes.Send(ctx, topic, id, values(id))
			return err
		}
	case HTTP:
		topic := httpTopic(shape.InFlight)
		return func(ctx context.Context) error {
			id := b.ids.Add(1)
			_, err := b.bridge.echoes.SendKeyed(ctx, topic, strconv.AppendUint(nil, id%httpKeys, 10), id, values(id))
			return err
		}
	default:
		b.t.Fatalf("there is no way %q", way)
		return nil
	}
}
