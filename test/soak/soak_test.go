package soak

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
	"github.com/messaging-kafka/messaging-kafka/test/fleet"
	"github.com/messaging-kafka/messaging-kafka/test/ledger"
)

func TestMain(m *testing.M) { testkit.Main(m) }

const providerKey = "kafka"

// world is everything that takes part in a run.
type world struct {
	t    *testing.T
	cfg  config
	told fleet.Told

	kafka    *testkit.Kafka
	client   *testkit.Client
	silence  *testkit.Proxy // takes connections and says nothing
	nats     *testkit.NATSServer
	lattice  *testkit.Proxy // before the NATS server
	host     *testkit.FakeHost
	provider *testkit.Provider
	admin    string // address of the provider's metrics
	http     http.Client

	worker, asker *testkit.Component
	batches       []*batchComponent
	guests        []*guest
	lasting       []testkit.Link

	tally *tally
	turns [3]int       // faults of each lane so far
	links atomic.Int64 // puts so far
	// gate is held by whoever cuts the provider off from the lattice, and shared by those who tell it of links.
	gate sync.RWMutex

	mu      sync.Mutex
	run     Run
	names   int
	inPlace map[string]bool // links
	last    []string        // series of metrics without a link
}

// deeds are what has to happen to the provider in every run, besides all kinds of links.
var deeds = []string{
	"links replaced", "links deleted", "resets of the lattice", "cuts of the lattice", "resets of Kafka", "cuts of Kafka",
	"components stopped", "calls that hang", "calls that trap", "calls that are refused", "batches", "requests answered",
	"publishes of guests", "requests of guests", "sends of guests",
}

// TestSoak is the whole of it.
func TestSoak(t *testing.T) {
	cfg := configure(t)
	w := newWorld(t, cfg)
	w.told = fleet.Told(time.Now())
	w.told.Say("seed %d, %v: %v of warm-up, %v of load in cycles of %v up to %.0f records/s, %d guests, a sample every %v",
		cfg.seed, cfg.duration, cfg.warmUp, cfg.load, cfg.cycle, cfg.rate, cfg.guests, cfg.every)
	ctx, cancel := context.WithCancel(context.Background())
	var background sync.WaitGroup
	defer background.Wait()
	defer cancel()
	background.Go(func() { w.sample(ctx) })
	background.Go(func() { w.witness(ctx, w.reader()) })
	background.Go(func() { w.report(ctx) })

	w.fillPool()
	w.begin(Bare)
	bare := w.rest(Bare, 0, nil)
	for _, l := range w.lasting {
		w.put(l)
	}
	w.provider.WaitHealthy()
	w.underLoad(WarmUp, cfg.warmUp, Baseline)
	baseline := w.rest(Baseline, cfg.reaping, nil)
	w.underLoad(Load, cfg.load, Settled)
	settled := w.rest(Settled, 0, &baseline)
	w.healthy()
	w.lookForGone(`"` + passingLink)
	w.begin(Stripped)
	for _, l := range w.lasting {
		w.delete(l)
	}
	stripped := w.rest(Stripped, 0, &bare)
	w.lookForGone(`component="`)
	leaks := slices.ContainsFunc(compared, func(g Gauge) bool { return settled[g] > baseline[g] || stripped[g] > bare[g] })
	cancel()
	background.Wait()
	w.end(leaks)

	w.mu.Lock()
	defer w.mu.Unlock()
	w.run.Counts = w.tally.counts()
	findings := Judge(&w.run)
	fmt.Println()
	if err := errors.Join(WriteText(os.Stdout, &w.run), ledger.Print(os.Stdout, findings)); err != nil {
		t.Fatal(err)
	}
	if !ledger.Hold(findings) {
		t.Errorf("rules are broken; SOAK_DURATION=%v SOAK_SEED=%d gives the same links and faults again", cfg.duration,
			cfg.seed)
	}
	w.keep(findings)
}

func newWorld(t *testing.T, cfg config) *world {
	// One connection to the metrics, which then counts each time.
	transport := &http.Transport{MaxConnsPerHost: 1}
	w := &world{t: t, cfg: cfg, told: fleet.Told(time.Now()), http: http.Client{Transport: transport}, tally: newTally(),
		inPlace: make(map[string]bool), run: Run{
			Every: cfg.every, Cycle: cfg.cycle, Rest: make(map[Phase]Amounts), Deeds: make(map[string]int),
		}}
	binary := testkit.Program(t)
	w.kafka = testkit.StartKafka(t, testkit.KafkaOptions{Proxied: true, NoAutoCreate: true, Properties: map[string]string{
		"log.retention.check.interval.ms": "30000",
		"share.auto.offset.reset":         "latest",
	}})
	w.client = testkit.NewClient(t, w.kafka.Brokers(), kgo.MaxBufferedRecords(100_000))
	for topic, partitions := range map[string]int32{
		orders: 6, parcels: 3, lines: 3, sums: 2, questions: 2, deadOrders: 1, shipped: 2, enriched: 2, totals: 2, answers: 2,
		flyers: 3, void: 2,
	} {
		// Hours of records need not stay: nothing of the load lags by as much as this.
		configs := map[string]string{"retention.bytes": "33554432", "segment.bytes": "8388608"}
		if topic == flyers {
			// Groups of guests read now and then: what they find then is to be as much after hours as after minutes.
			configs = map[string]string{"retention.bytes": "2097152", "segment.bytes": "1048576"}
		}
		w.client.Topic(topic, partitions, configs)
	}
	w.silence = testkit.NewProxy(t, w.kafka.Brokers()[0])
	w.silence.Pause()
	w.nats = testkit.NATS(t, testkit.NATSOptions{})
	w.lattice = testkit.NewProxy(t, w.nats.Addr())

	component := func(id string, h testkit.HandlerFunc) *testkit.Component {
		return testkit.NewComponent(t, w.nats,
			testkit.ComponentOptions{ID: id, Provider: providerKey, Count: 1000, Handler: h})
	}
	w.worker, w.asker = component("worker", w.handleOrder), component("asker", nil)
	component("answerer", testkit.Echo)
	w.batches = []*batchComponent{
		newBatchComponent(t, w.nats, "packer", w.answerBatch(parcels, "")),
		newBatchComponent(t, w.nats, "enricher", w.answerBatch(lines, enriched)),
		newBatchComponent(t, w.nats, "totaller", w.answerBatch(sums, totals)),
	}
	for i := range cfg.guests {
		id := fmt.Sprintf("guest%d", i+1)
		w.guests = append(w.guests,
			&guest{id, component(id, w.handleFlyer), newBatchComponent(t, w.nats, id, w.answerFlyers)})
	}
	w.lasting = w.lastingLinks()
	for _, deed := range deeds {
		w.run.Deeds[deed] = 0
	}
	for _, k := range w.kinds("", "", "") {
		w.run.Deeds[k.name] = 0
	}

	base, err := testkit.FreePorts(1)
	if err != nil {
		t.Fatal(err)
	}
	w.admin = net.JoinHostPort("127.0.0.1", strconv.Itoa(base))
	t.Cleanup(w.http.CloseIdleConnections)
	w.host = testkit.NewFakeHost(t, w.nats, testkit.FakeHostOptions{ShutdownDelay: 5 * time.Second})
	w.provider = w.host.StartProvider(testkit.ProviderSpec{
		Key: providerKey, Binary: binary,
		Config: map[string]string{"admin_address": w.admin, "provider_shutdown_timeout": "4s"},
		HostData: func(data map[string]any) {
			data["lattice_rpc_url"] = "nats://" + natsUser + ":none@" + w.lattice.Addr()
			data["log_level"] = "info"
		},
	})
	w.provider.WaitHealthy()
	return w
}

// lastingLinks are there all the time and get the load.
func (w *world) lastingLinks() []testkit.Link {
	config := func(pairs ...string) map[string]string {
		c := linkConfig(strings.Join(w.kafka.ProxiedBrokers(), ","))
		c["start"] = "earliest"
		for i := 0; i < len(pairs); i += 2 {
			c[pairs[i]] = pairs[i+1]
		}
		return c
	}
	batches := func(id, face string, config map[string]string) testkit.Link {
		l := testkit.SourceLink(providerKey, id, config)
		l.Namespace, l.Package, _ = strings.Cut(recordsPackage, ":")
		l.Interfaces = []string{face}
		return l
	}
	return []testkit.Link{
		testkit.SourceLink(providerKey, "worker",
			config("topic", orders, "dead_letter_topic", deadOrders, "max_attempts", "0")),
		testkit.TargetLink("worker", providerKey, config()),
		testkit.TargetLink("asker", providerKey, config("request_reply_topic", answers)),
		testkit.TargetLink("answerer", providerKey, config("topic", questions, "reply_topics_from_records", answers)),
		batches("packer", "handler", config("topic", parcels)),
		batches("enricher", "processor", config("topic", lines)),
		batches("totaller", "processor", config("topic", sums, "transactions", "true")),
	}
}

// reader reads all outputs as far as they are committed.
func (w *world) reader() *testkit.Client {
	return testkit.NewClient(w.t, w.kafka.Brokers(), kgo.ConsumeTopics(deadOrders, shipped, enriched, totals),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchIsolationLevel(kgo.ReadCommitted()))
}

// underLoad does everything to the provider for a time, then lets the records run dry. The next phase begins when
// the load ends.
func (w *world) underLoad(p Phase, duration time.Duration, next Phase) {
	w.begin(p)
	ctx, cancel := context.WithTimeout(context.Background(), duration)
	defer cancel()
	hosts := strings.Join(w.kafka.ProxiedBrokers(), ",")
	base, err := testkit.FreePorts(1)
	if err != nil {
		w.t.Fatal(err)
	}
	nobody := net.JoinHostPort("127.0.0.1", strconv.Itoa(base))
	kinds := w.kinds(hosts, nobody, w.silence.Addr())
	var lanes sync.WaitGroup
	lanes.Go(func() { w.produce(ctx, w.client) })
	for range 2 {
		lanes.Go(func() { w.ask(ctx) })
	}
	for i, g := range w.guests {
		r := rand.New(rand.NewPCG(w.cfg.seed, uint64(100+i)))
		lanes.Go(func() { w.churn(ctx, g, r, kinds) })
	}
	lanes.Go(func() { w.faults(ctx, 0, 8*time.Second, 25*time.Second, w.cutLattice) })
	lanes.Go(func() { w.faults(ctx, 1, 10*time.Second, 35*time.Second, w.cutKafka) })
	lanes.Go(func() { w.faults(ctx, 2, 5*time.Second, 20*time.Second, w.stopComponent) })
	<-ctx.Done()
	w.begin(next)
	lanes.Wait()
	w.runDry()
}

// runDry waits until every record has come where it had to. What does not come is for the judge to tell.
func (w *world) runDry() {
	if err := fleet.RunDry(context.Background(), func(context.Context) error {
		counts := w.tally.counts()
		if slices.ContainsFunc(counts, func(c Count) bool { return c.Got < c.Want }) {
			return fmt.Errorf("%+v", counts)
		}
		return nil
	}); err != nil {
		w.told.Say("the records do not run dry: %v", err)
	}
}

// healthy waits until the provider says that it is well again.
func (w *world) healthy() {
	message := "it never answered"
	if fleet.Until(context.Background(), time.Minute, func(ctx context.Context) error {
		h, err := w.provider.Health(ctx)
		if err == nil && !h.Healthy {
			message = h.Message
			err = errors.New(message)
		}
		return err
	}) != nil {
		w.complain("the provider is not healthy although all that was bad has gone: %s", message)
	}
}

// lookForGone looks for metrics of links that are gone: those that have part in them.
func (w *world) lookForGone(part string) {
	ctx, cancel := context.WithTimeout(context.Background(), testkit.DefaultTimeout)
	defer cancel()
	s, err := w.scrape(ctx)
	if err != nil {
		w.complain("looking for metrics of links that are gone: %v", err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.run.GoneSeries = append(w.run.GoneSeries, s.of(part)...)
	w.last = s.series
}

// end stops the provider as a host does, or, where it leaks, with a dump of its goroutines.
func (w *world) end(leaks bool) {
	if leaks {
		before := len(w.provider.Output())
		w.provider.Signal(syscall.SIGQUIT)
		_ = w.provider.WaitExit() // the status that goes with a dump
		for origin, n := range fleet.Origins(w.provider.Output()[before:]) {
			w.told.Say("%6d goroutines without a link that %s has started", n, origin)
		}
		return
	}
	if result := w.provider.Shutdown(); !result.Replied || result.Err != nil {
		w.complain("the provider did not stop in good order: %+v", result)
	}
}

// keep writes what was seen to SOAK_OUT, and of a bad run in any case.
func (w *world) keep(findings []ledger.Row) {
	if w.cfg.out == "" && !w.t.Failed() {
		return
	}
	var text, svg, table strings.Builder
	if err := errors.Join(WriteText(&text, &w.run), WriteSVG(&svg, &w.run), WriteCSV(&table, &w.run),
		ledger.Print(&text, findings), WriteDeeds(&text, &w.run)); err != nil {
		w.t.Errorf("writing what was seen: %v", err)
	}
	fleet.Keep(w.t, w.cfg.out, "soak", map[string]string{
		"soak.txt": text.String(), "soak.svg": svg.String(), "samples.csv": table.String(),
		"provider.log": w.provider.Output(), "metrics.txt": strings.Join(w.last, "\n") + "\n",
	})
}

// report prints a line of progress now and then.
func (w *world) report(ctx context.Context) {
	for fleet.Sleep(ctx, max(10*time.Second, w.cfg.duration/60)) {
		handled, waiting := w.tally.handled()
		w.mu.Lock()
		line := "no sample yet"
		if n := len(w.run.Samples); n > 0 {
			line = restLine(w.run.Samples[n-1].Amounts)
		}
		w.mu.Unlock()
		w.told.Say("%d handled, %d waiting, %d puts; %s", handled, waiting, w.links.Load(), line)
	}
}

// did counts something that was done to the provider.
func (w *world) did(what string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.run.Deeds[what]++
}

// complain notes something that must not be.
func (w *world) complain(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	w.told.Say("%s", text)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.run.Complaints = append(w.run.Complaints, text)
}
