//go:build bench

package bench_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/messaging-kafka/messaging-kafka/bench"
	"github.com/messaging-kafka/messaging-kafka/bench/rig"
	"github.com/messaging-kafka/messaging-kafka/internal/settings"
	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

var (
	duration = flag.Duration("duration", 5*time.Second, "how long each round is measured")
	rounds   = flag.Int("rounds", 5, "rounds of each kind, which alternate")
	inFlight = flag.String("in-flight", "1,16,64", "numbers of values under way")
	size     = flag.Int("size", 1024, "bytes of each value")
	out      = flag.String("out", "results/host.json", "`file` for the results; - for none")
	profile  = flag.String("profile", "",
		"`folder` for profiles of the provider; what is measured then is one with profiling")
	link = rig.Settings{}
)

func init() { flag.Var(link, "link", "`key=value`, a setting of the link; may be given several times") }

const (
	// instances bounds the calls that the host runs at once. With fewer than are in flight, values would wait for the
	// component; with just as many, a call would wait whenever it comes before the host has cleared up the last one.
	instances  = 100
	partitions = 1
	topic      = "bench.echo"
	aloneTopic = "bench.alone"
	ramp       = 300 * time.Millisecond
	// patience is long enough for one retry after the link's handle_timeout of 60 s.
	patience = 90 * time.Second
	// warmUp is how long each way runs before anything counts. A broker gets several times faster while its compiler
	// finds out what is worth compiling.
	warmUp = 5 * time.Second
)

// TestHost is no test of how fast anything is: it fails when values are lost or something breaks.
func TestHost(t *testing.T) {
	numbers := rig.Numbers(t, *inFlight)
	if *size < rig.IDLen || *rounds < 1 || *duration <= 0 {
		t.Fatalf("want -size from %d, -rounds from 1 and a positive -duration", rig.IDLen)
	}
	report := newReport(t)
	b := setUp(t)
	defer b.check()

	b.say("warming up")
	ways := []string{bench.Bare, bench.Kafka, bench.Alone}
	for _, way := range []string{bench.Alone, bench.Kafka, bench.Bare, bench.Alone, bench.Kafka} {
		b.round(way, slices.Max(numbers), 0, warmUp)
	}
	for _, n := range numbers {
		for round := 1; round <= *rounds; round++ {
			for _, way := range ways {
				r := b.round(way, n, round, *duration)
				b.say("round %d of %d, %2d in flight, %5s: %5.0f/s, p50 %.2f ms, p99 %.2f ms", round, *rounds, n, way,
					r.PerSecond, r.P50, r.P99)
				report.Rounds = append(report.Rounds, r)
			}
			// What drifts over time, such as a machine that others use, falls on both ways alike.
			slices.Reverse(ways)
		}
		report.Summary = append(report.Summary, bench.Summarise(n, report.Rounds))
	}
	if err := report.Print(os.Stdout); err != nil {
		t.Error(err)
	}
	if *out == "-" {
		return
	}
	if err := bench.WriteJSON(*out, report); err != nil {
		t.Error(err)
	} else {
		b.say("\nwritten: %s", *out)
	}
}

func newReport(t *testing.T) *bench.EchoReport {
	t.Helper()
	software := rig.Software(t)
	software["host"] = filepath.Base(testkit.HostBinary(t))
	started, machine := rig.Began()
	return &bench.EchoReport{
		Started: started, Version: rig.Version(t), Machine: machine, Software: software,
		Setup: bench.EchoSetup{
			ValueBytes: *size, Seconds: duration.Seconds(), Rounds: *rounds,
			Instances: instances, Partitions: partitions, Link: link,
		},
	}
}

// echoBench is all that runs.
type echoBench struct {
	t         *testing.T
	bare      *bare
	kafka     *rig.KafkaEcho
	alone     *rig.KafkaEcho
	value     func(id uint64) []byte
	processes bench.Processes
	profiler  *profiler
	ids       atomic.Uint64
}

func (b *echoBench) say(format string, args ...any) { fmt.Printf(format+"\n", args...) }

// setUp starts a Kafka, a nats-server, a host with two copies of the component, and the provider for one of them.
func setUp(t *testing.T) *echoBench {
	t.Helper()
	testkit.HostBinary(t)
	wasm := testkit.EchoWasm(t)
	b := &echoBench{t: t, profiler: newProfiler(t, *profile)}
	profiles := ""
	if b.profiler != nil {
		profiles = b.profiler.address
	}
	archive := rig.Archive(t, profiles)
	kafka := testkit.StartKafka(t, testkit.KafkaOptions{})
	ns, natsPID := rig.NATS(t)
	host := testkit.StartHost(t, ns, testkit.HostOptions{})
	b.value = rig.Values(*size)

	// The same component by two names: one publishes to the provider, the other to what plays one here.
	host.PutLink(testkit.ControlLink{Source: "echo-bare", Target: "bare", Interface: "consumer"})
	host.Scale("echo-bare", wasm, instances)
	b.bare = startBare(t, ns, host.Lattice(), "bare", "echo-bare", b.value)

	admin := testkit.NewClient(t, kafka.Brokers())
	replies := topic + ".reply"
	for _, name := range []string{topic, replies, aloneTopic} {
		admin.Topic(name, partitions, nil)
	}
	config := map[string]string{"hosts": kafka.Brokers()[0], "topic": topic, "order": "none"} // records have no key
	maps.Copy(config, link)
	host.PutConfig("link", config)
	host.PutLink(testkit.ControlLink{Source: "echo", Target: "kafka", Interface: "consumer",
		TargetConfig: []string{"link"}})
	host.Scale("echo", wasm, instances)
	host.StartProvider("kafka", archive)
	host.WaitHealthy("kafka")
	waitBegun(admin, groupOf(t, host.Lattice(), config))
	b.kafka = rig.StartKafkaEcho(t, kafka.Brokers(), replies)
	b.alone = rig.StartKafkaEcho(t, kafka.Brokers(), aloneTopic)

	provider, err := bench.ChildOf(host.PID())
	if err != nil {
		t.Fatal(err)
	}
	b.processes = bench.Processes{
		bench.Provider: provider, bench.Host: host.PID(), bench.Broker: kafka.PID(t, 1), bench.NATS: natsPID,
		bench.Client: os.Getpid(),
	}
	return b
}

// groupOf returns the group that the link reads in, by the rules of the provider itself.
func groupOf(t *testing.T, lattice string, config map[string]string) string {
	t.Helper()
	parsed, warnings, err := settings.ParseLink(settings.Input{
		Config: config, Identity: settings.Identity{Lattice: lattice, Component: "echo", LinkName: "default", HostID: "host",
			ProviderKey: "kafka"},
	})
	if err != nil {
		t.Fatalf("the link's settings: %v", err)
	}
	for _, w := range warnings {
		t.Fatalf("the link's settings: %s: %s", w.Key, w.Text)
	}
	if parsed.Consumer.GroupProtocol == settings.GroupShare {
		t.Fatal("a share group notes no offsets to wait for: it cannot be measured here")
	}
	return parsed.Consumer.Group
}

// waitBegun waits until the group has noted where it begins: what is produced from then on is read.
func waitBegun(admin *testkit.Client, group string) {
	begun := map[int32]int64{}
	for partition := range int32(partitions) {
		begun[partition] = 0
	}
	admin.WaitCommitted(group, topic, begun)
}

// round runs one load. It fails the test when values are lost.
func (b *echoBench) round(way string, inFlight, round int, during time.Duration) bench.EchoRound {
	b.t.Helper()
	echo := map[string]bench.Echo{
		bench.Bare: b.bare.echo,
		bench.Kafka: func(ctx context.Context, id uint64) (time.Duration, error) {
			return b.kafka.Send(ctx, topic, id, b.value(id))
		},
		bench.Alone: func(ctx context.Context, id uint64) (time.Duration, error) {
			return b.alone.Send(ctx, aloneTopic, id, b.value(id))
		},
	}[way]
	var readings []bench.CPU
	load := bench.Load{
		InFlight: inFlight, Ramp: ramp, Duration: during, Patience: patience,
		Measure: func() error {
			used, err := b.processes.Used()
			readings = append(readings, used)
			return err
		},
	}
	profiled := make(chan error, 1)
	if b.profiler != nil && way == bench.Kafka && round == 1 {
		go func() { profiled <- b.profiler.take(fmt.Sprintf("echo-%d", inFlight), during) }()
	} else {
		profiled <- nil
	}
	sample, err := load.Run(b.t.Context(), &b.ids, echo)
	if err := errors.Join(err, <-profiled); err != nil {
		b.t.Fatal(err)
	}
	r := bench.NewEchoRound(way, inFlight, round, sample, readings[1].Since(readings[0]))
	if way == bench.Kafka {
		r.Repeated = b.kafka.TakeRepeated()
	}
	if r.Lost > 0 {
		b.t.Errorf("%d of %d values lost, %s, %d in flight: %v", r.Lost, r.Sent, way, inFlight, sample.Err)
	}
	if r.Echoes == 0 {
		b.t.Fatalf("no value came back, %s, %d in flight", way, inFlight)
	}
	return r
}

// check holds what the bare way has counted on its two sides against each other.
func (b *echoBench) check() {
	b.t.Helper()
	calls, failed, published := b.bare.calls.Load(), b.bare.failed.Load(), b.bare.published.Load()
	if failed == 0 && published != calls {
		b.t.Errorf("%d publishes for %d calls of the component", published, calls)
	}
}
