//go:build bench

package batches

import (
	"context"
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/messaging-kafka/messaging-kafka/bench"
	"github.com/messaging-kafka/messaging-kafka/bench/rig"
	"github.com/messaging-kafka/messaging-kafka/internal/settings"
	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

var (
	duration = flag.Duration("duration", 5*time.Second, "how long each round is measured")
	rounds   = flag.Int("rounds", 5, "rounds of each way, which alternate")
	size     = flag.Int("size", 1024, "bytes of each value")
	only     = flag.String("ways", "", "only the ways whose names hold one of these words, separated by |")
	out      = flag.String("out", "", "`file` for the results")
	profiles = flag.String("profiles", "",
		"`address` at which the provider serves its profiles; what is measured then is one with profiling")
	settled = rig.Settings{}
)

func init() {
	flag.Var(settled, "link", "`key=value`, a setting of all links; may be given several times")
}

const (
	partitions = 4
	ramp       = time.Second
	warmUp     = 4 * time.Second
	patience   = 90 * time.Second
)

func TestMain(m *testing.M) { rig.Main(m) }

// TestBatches is no test of how fast anything is: it fails when records are lost or something breaks.
func TestBatches(t *testing.T) {
	if *size <= idLen || *rounds < 1 || *duration <= 0 {
		t.Fatalf("want -size above %d, -rounds from 1 and a positive -duration", idLen)
	}
	started, machine := rig.Began()
	report := &Report{
		Started: started, Version: rig.Version(t),
		Machine: machine, ValueBytes: *size, Partitions: partitions, Seconds: duration.Seconds(),
	}
	flows, processes := setUp(t)
	for range 2 {
		for _, f := range flows {
			f.run(t, 0, warmUp, patience, func() {})
		}
	}
	for _, f := range flows {
		report.Ways = append(report.Ways, Result{Way: f.way})
	}
	order := make([]int, len(flows))
	for i := range order {
		order[i] = i
	}
	for round := 1; round <= *rounds; round++ {
		for _, i := range order {
			var readings []bench.CPU
			n, took := flows[i].run(t, ramp, *duration, patience, func() {
				used, err := processes.Used()
				if err != nil {
					t.Fatal(err)
				}
				readings = append(readings, used)
			})
			r := NewRound(n, took, readings[1].Since(readings[0]))
			report.Ways[i].Add(r)
			report.Ways[i].Repeated = flows[i].repeated.Load()
			report.Ways[i].Lost = flows[i].produced.Load() - flows[i].through.Load()
			fmt.Printf("round %d of %d, %-32s %7.0f/s, provider %.1f µs for each record\n", round, *rounds, flows[i].way.Name,
				r.PerSecond, r.CPU[bench.Provider])
		}
		// What drifts over time falls on all ways alike.
		slices.Reverse(order)
	}
	report.Judge()
	if err := report.Print(os.Stdout); err != nil {
		t.Error(err)
	}
	if *out != "" {
		if err := bench.WriteJSON(*out, report); err != nil {
			t.Error(err)
		}
	}
}

func chosen() []Way {
	all := ways()
	if *only == "" {
		return all
	}
	var some []Way
	for _, w := range all {
		for word := range strings.SplitSeq(*only, "|") {
			if strings.Contains(w.Name, word) {
				some = append(some, w)
				break
			}
		}
	}
	return some
}

// setUp starts Kafka, a nats-server, a host with a component for each way, and the provider.
func setUp(t *testing.T) ([]*flow, bench.Processes) {
	t.Helper()
	testkit.HostBinary(t)
	echo, echoes := testkit.EchoWasm(t), testkit.ComponentWasm(t, "records-echo")
	archive := rig.Archive(t, *profiles)
	// Without these a run keeps all that it produces: tens of gigabytes. What lies unread is at most a window of each way.
	kafka := testkit.StartKafka(t, testkit.KafkaOptions{Properties: map[string]string{
		"log.retention.bytes": strconv.Itoa(256 << 20), "log.segment.bytes": strconv.Itoa(64 << 20),
		"log.retention.check.interval.ms": "5000", "log.segment.delete.delay.ms": "1000",
	}})
	ns := testkit.NATS(t, testkit.NATSOptions{JetStream: true})
	host := testkit.StartHost(t, ns, testkit.HostOptions{})
	admin := testkit.NewClient(t, kafka.Brokers())

	host.PutConfig("publish", map[string]string{"hosts": kafka.Brokers()[0]})
	var flows []*flow
	var bridged []*flow
	groups := map[*flow]string{}
	for i, w := range chosen() {
		f := &flow{way: w, seen: make([]uint64, idsMost/64), payload: w.payload(*size - idLen)}
		f.in, f.out = w.topics(i)
		admin.Topic(f.in, partitions, nil)
		admin.Topic(f.out, partitions, nil)
		flows = append(flows, f)
		if w.Behind != "" {
			bridged = append(bridged, f)
		}
		if w.Package == "" {
			continue
		}
		id := fmt.Sprintf("component-%d", i)
		config := map[string]string{"hosts": kafka.Brokers()[0], "topic": f.in, "order": "none"} // records have no key
		maps.Copy(config, w.Link)
		maps.Copy(config, settled)
		name := "default"
		if w.Package == records {
			name = id // a host has one link of a source and a name
		}
		groups[f] = groupOf(t, &w, id, name, config)
		host.PutConfig(id, config)
		link := testkit.ControlLink{Package: w.Package, Interface: w.Interface}
		wasm := echo
		if w.Package == records {
			wasm = echoes
			link.Source, link.Target, link.Name, link.SourceConfig = "kafka", id, name, []string{id}
			host.PutLink(testkit.ControlLink{Source: id, Target: "kafka", Package: records,
				Interface: "producer,requester", TargetConfig: []string{"publish"}})
		} else {
			link.Source, link.Target, link.TargetConfig = id, "kafka", []string{id}
		}
		host.PutLink(link)
		host.Scale(id, wasm, 100)
	}
	host.StartProvider("kafka", archive)
	host.WaitHealthy("kafka")
	begun := map[int32]int64{}
	for partition := range int32(partitions) {
		begun[partition] = 0
	}
	processes := bench.Processes{}
	if len(bridged) > 0 {
		startBridge(t, bridged, kafka.Brokers(), processes, groups)
	}
	for _, f := range flows {
		if group := groups[f]; group != "" {
			admin.WaitCommitted(group, f.in, begun)
		}
		f.start(t, kafka.Brokers(), groups[f])
	}
	provider, err := bench.ChildOf(host.PID())
	if err != nil {
		t.Fatal(err)
	}
	maps.Copy(processes, bench.Processes{
		bench.Provider: provider, bench.Host: host.PID(), bench.Broker: kafka.PID(t, 1), bench.Client: os.Getpid(),
	})
	return flows, processes
}

// startBridge starts a bridge with a route for each of these flows, and what the records go to.
func startBridge(t *testing.T, flows []*flow, brokers []string, processes bench.Processes, groups map[*flow]string) {
	t.Helper()
	urls := make(map[string]string)
	routes := make(map[string]map[string]string)
	for _, f := range flows {
		behind := f.way.Behind
		if urls[behind] == "" {
			if behind == component {
				shim, echo := testkit.ShimWasm(t, "processor"), testkit.ComponentWasm(t, "records-echo")
				inner := testkit.Compose(t, echo, testkit.ShimWasm(t, "producer"))
				host := testkit.StartWasiHost(t, testkit.Compose(t, shim, inner))
				urls[behind], processes["wasmtime"] = host.URL(), host.PID()
			} else {
				urls[behind], processes["application"] = rig.Application(t)
			}
		}
		route := map[string]string{
			"hosts": brokers[0], "topic": f.in, "consumer_group": f.in, "order": "none",
			"deliver": "http-records", "url": urls[behind],
		}
		maps.Copy(route, f.way.Link)
		maps.Copy(route, settled)
		routes[f.in] = route
		groups[f] = f.in
	}
	processes["bridge"] = rig.Bridge(t, rig.Build(t, "./cmd/messaging-kafka"), routes)
}

func groupOf(t *testing.T, w *Way, id, link string, config map[string]string) string {
	t.Helper()
	parsed, warnings, err := settings.ParseLink(settings.Input{
		Config: config, Batches: w.Package == records, Records: w.Package == records,
		Identity: settings.Identity{Lattice: "default", Component: id, LinkName: link, HostID: "host",
			ProviderKey: "kafka"},
	})
	if err != nil || len(warnings) > 0 {
		t.Fatalf("the settings of the link: %v, %v", err, warnings)
	}
	return parsed.Consumer.Group
}

// start begins to keep count, until the test ends.
func (f *flow) start(t *testing.T, brokers []string, group string) {
	t.Helper()
	opts := []kgo.Opt{
		kgo.ProducerLinger(2 * time.Millisecond), kgo.ProducerBatchCompression(kgo.NoCompression()),
		kgo.MaxBufferedRecords(1 << 16), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
	}
	if !f.way.Sink {
		opts = append(opts, kgo.ConsumeTopics(f.out), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	}
	f.cl = testkit.NewClient(t, brokers, opts...)
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { f.watch(ctx, group) })
	if f.way.Package == "" && f.way.Behind == "" {
		cl := testkit.NewClient(t, brokers, kgo.ProducerBatchCompression(kgo.NoCompression()),
			kgo.ConsumeTopics(f.in), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart())).Client
		running.Go(func() { f.copyByHand(ctx, cl) })
	}
	t.Cleanup(func() {
		cancel()
		running.Wait()
	})
}
