package chaos

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
	"github.com/messaging-kafka/messaging-kafka/test/fleet"
	"github.com/messaging-kafka/messaging-kafka/test/ledger"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// world is everything that takes part in a run.
type world struct {
	t    *testing.T
	cfg  config
	told fleet.Told

	kafka     *testkit.Kafka
	admin     *kadm.Client
	nats      *testkit.NATSServer
	host      *testkit.FakeHost
	copies    []*providerCopy
	component *testkit.Component
	witness   *witness
	producer  *ledger.Producer
	cemetery  *cemetery
	callers   callers
	bridges   *bridges
	origins   map[string]int // of the goroutines of a copy without a link

	late counter // stops that the host lost patience with

	faults fleet.Broken

	mu       sync.Mutex
	restarts []time.Time
	badStops []string
}

func (w *world) badStop(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.badStops = append(w.badStops, fmt.Sprintf(format, args...))
}

// TestLedger is the whole of it.
func TestLedger(t *testing.T) {
	cfg := configure(t)
	w := newWorld(t, cfg)
	w.told.Say("seed %d (CHAOS_SEED=%d gives the same schedule), form %s: %d records over %v, %d copies, group_protocol=%s",
		cfg.seed, cfg.seed, cfg.form, cfg.records, cfg.duration, cfg.copies, cfg.protocol)

	ctx, cancel := context.WithCancel(context.Background())
	var background sync.WaitGroup
	defer background.Wait()
	defer cancel()
	background.Go(func() { w.cemetery.run(ctx, w.deadReader()) })
	background.Go(func() { w.report(ctx) })
	background.Go(func() {
		if err := w.callers.run(ctx, w.nats.Server()); err != nil {
			t.Error(err)
		}
	})

	w.link(0)
	producers := map[*ledger.Producer]int{w.producer: cfg.records, w.bridges.producer: cfg.records / 2}
	produced := make(chan error, len(producers))
	for p, records := range producers {
		background.Go(func() { produced <- p.Run(ctx, records, cfg.duration) })
	}
	if err := fleet.Until(ctx, testkit.DefaultTimeout, w.flows); err != nil {
		t.Fatalf("nothing flows although nothing is broken yet: %v%s", err, w.health())
	}
	w.breakThings(ctx)
	if err := fleet.Until(ctx, 2*time.Minute, w.replicated); err != nil {
		t.Fatalf("Kafka did not recover from the faults: %v", err)
	}
	// A host sends links and deletions once: a copy that still starts would not hear of what follows.
	if err := fleet.Until(ctx, 2*time.Minute, w.allServe); err != nil {
		t.Fatalf("a copy did not come back after the faults: %v", err)
	}
	w.told.Say("all is mended; the rest must run dry")
	// A copy that was starting or cut off when the link was changed last did not hear of it. All of them have the
	// same settings from here on.
	w.link(0)
	for range producers {
		select {
		case err := <-produced:
			if err != nil {
				t.Fatalf("producing: %v", err)
			}
		case <-time.After(2 * time.Minute):
			t.Fatal("Kafka has not acknowledged all records 2 minutes after the last fault")
		}
	}
	if err := w.runDry(ctx); err != nil {
		t.Errorf("the rest does not run dry: %v%s", err, w.health())
	}
	l := w.ledger(ctx)
	w.told.Say("%s", w.summary(l))
	fmt.Println()
	rows := l.Check()
	more, err := w.bridges.check(ctx)
	if err != nil {
		t.Fatalf("looking at what the bridges did: %v", err)
	}
	rows = append(rows, more...)
	if err := ledger.Print(os.Stdout, rows); err != nil {
		t.Fatal(err)
	}
	holds := ledger.Hold(rows)
	if !holds || os.Getenv("CHAOS_KEEP") != "" {
		w.keep(l)
	}
	if !holds {
		t.Errorf("rules were broken; CHAOS=%s CHAOS_SEED=%d gives the same schedule again", cfg.form, cfg.seed)
	}
}

func newWorld(t *testing.T, cfg config) *world {
	w := &world{t: t, cfg: cfg, told: fleet.Told(time.Now())}
	binary := testkit.Program(t)
	w.kafka = testkit.StartKafka(t, testkit.KafkaOptions{Nodes: brokers, Proxied: true, NoAutoCreate: true,
		Properties: map[string]string{
			"group.consumer.session.timeout.ms": fmt.Sprint(sessionTime.Milliseconds()),
			// A broker that was cut off or paused comes back into the set soon.
			"replica.lag.time.max.ms": "5000",
		}})
	client := testkit.NewClient(t, w.kafka.Brokers(), kgo.RequestTimeoutOverhead(5*time.Second))
	w.admin = kadm.NewClient(client.Client)
	client.Topic(topic, partitions, nil)
	// The broker's own clock, so that it is known when a dead letter was there.
	client.Topic(deadTopic, 3, map[string]string{"message.timestamp.type": "LogAppendTime"})
	w.producer = &ledger.Producer{Client: client.Client, Topic: topic, Keys: keys, Seed: cfg.seed}
	w.cemetery = &cemetery{buried: make(map[ledger.ID]bool), next: make(map[int32]int64)}
	w.nats = testkit.NATS(t, testkit.NATSOptions{})
	w.callers.inboxes = make(map[string]Life)
	w.witness = newWitness(cfg.seed)
	w.component = testkit.NewComponent(t, w.nats, testkit.ComponentOptions{
		ID: componentID, Provider: providerKey, Count: 10_000, Handler: w.witness.handle,
	})
	w.host = testkit.NewFakeHost(t, w.nats, testkit.FakeHostOptions{ShutdownDelay: testkit.HostShutdownDelay})
	for i, address := range fleet.FreeAddresses(t, cfg.copies) {
		host := w.host
		if i > 0 {
			host = w.host.Peer()
		}
		c := &providerCopy{w: w, number: i + 1, admin: address, lattice: testkit.NewProxy(t, w.nats.Addr())}
		c.start(host, binary)
		w.copies = append(w.copies, c)
	}
	first := w.copies[0]
	first.settleGoroutines()
	var err error
	if w.origins, err = first.origins(); err != nil {
		t.Fatalf("looking for the goroutines of a copy without a link: %v", err)
	}
	first.provider.Restart()
	for _, c := range w.copies {
		c.baseline = c.settleGoroutines()
	}
	w.bridges = newBridges(w, client)
	return w
}

func (w *world) deadReader() *testkit.Client {
	return testkit.NewClient(w.t, w.kafka.Brokers(), kgo.ConsumeTopics(deadTopic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchMaxWait(500*time.Millisecond))
}

func (w *world) linkOf(variant int) testkit.Link {
	return testkit.SourceLink(providerKey, componentID,
		w.cfg.linkConfig(strings.Join(w.kafka.ProxiedBrokers(), ","), variant))
}

func (w *world) link(variant int) { w.host.PutLink(w.linkOf(variant)) }

// breakThings carries the schedule out and returns when the last fault has been mended.
func (w *world) breakThings(ctx context.Context) {
	schedule := fleet.Schedule(w.cfg.seed, w.cfg.duration, lanes(w.cfg.copies, brokers))
	fleet.Carry(ctx, schedule, w.cfg.duration, w.t.Failed, w.carryOut)
}

// carryOut breaks one thing, holds, and mends it.
func (w *world) carryOut(ctx context.Context, f fleet.Fault) {
	w.told.Say("%v", f)
	w.faults.Note(f)
	switch f.Kind {
	case KillCopy, StopCopy, TermCopy:
		c := w.copies[f.Target-1]
		c.end(f.Kind)
		fleet.Sleep(ctx, f.Hold)
		c.provider.Restart()
	case ResetLattice:
		w.copies[f.Target-1].lattice.Cut()
	case CutLattice:
		fleet.CutOff(ctx, f.Hold, w.copies[f.Target-1].lattice)
	case NoComponent:
		w.mu.Lock()
		w.restarts = append(w.restarts, time.Now())
		w.mu.Unlock()
		w.component.Stop()
		fleet.Sleep(ctx, f.Hold)
		w.component.Start()
	case KillBridge, TermBridge, PauseBridge, KillApp:
		w.bridges.carryOut(ctx, f)
	case ReplaceLink:
		w.link(f.Target - 1)
	case DeleteLink:
		w.host.DeleteLink(w.linkOf(0))
		fleet.Sleep(ctx, f.Hold)
		w.link(f.Target - 1)
	default:
		fleet.BreakKafka(ctx, w.t, w.kafka, w.admin, f)
	}
}

func (w *world) replicated(ctx context.Context) error { return fleet.Replicated(ctx, w.admin) }

// allServe tells of a copy that does not serve, or not yet.
func (w *world) allServe(context.Context) error {
	for _, c := range w.copies {
		if !c.up() {
			return fmt.Errorf("copy %d does not run", c.number)
		}
		if _, err := c.get("/healthz"); err != nil {
			return fmt.Errorf("copy %d: %w", c.number, err)
		}
	}
	return nil
}

// flows returns nil once records come through.
func (w *world) flows(context.Context) error {
	if _, _, finished := w.finished(); finished == 0 {
		return errors.New("no record is finished yet")
	}
	return w.bridges.flows()
}

// finished counts the records that were done or dead-lettered.
func (w *world) finished() (done, dead, both int) {
	w.witness.mu.Lock()
	defer w.witness.mu.Unlock()
	w.cemetery.mu.Lock()
	defer w.cemetery.mu.Unlock()
	done, dead = len(w.witness.finished), len(w.cemetery.buried)
	for id := range w.cemetery.buried {
		if w.witness.finished[id] {
			both++
		}
	}
	return done, dead, done + dead - both
}

// runDry waits until every record is finished and every offset committed. It gives up when nothing has moved for a
// long time.
func (w *world) runDry(ctx context.Context) error {
	return fleet.RunDry(ctx, func(ctx context.Context) error {
		_, acknowledged := w.producer.Counts()
		calls, _, _ := w.witness.counts()
		_, _, finished := w.finished()
		state := fmt.Sprintf("%d of %d records finished in %d calls", finished, acknowledged, calls)
		ends, committed, err := fleet.Offsets(ctx, w.admin, group, topic)
		switch {
		case err != nil:
			return fmt.Errorf("%s, %w", state, err)
		case finished != acknowledged || !maps.Equal(ends, committed):
			return fmt.Errorf("%s, committed %v of %v", state, committed, ends)
		}
		return w.bridges.drained(ctx)
	})
}

// report prints a line of progress now and then.
func (w *world) report(ctx context.Context) {
	for fleet.Sleep(ctx, 5*time.Second) {
		sent, acknowledged := w.producer.Counts()
		calls, _, open := w.witness.counts()
		done, dead, _ := w.finished()
		up := 0
		for _, c := range w.copies {
			if c.up() {
				up++
			}
		}
		w.told.Say("sent %d, acknowledged %d, calls %d (%d open), done %d, dead %d, copies %d", sent, acknowledged, calls,
			open, done, dead, up)
	}
}

// health is what the copies say of themselves.
func (w *world) health() string {
	var b strings.Builder
	for _, c := range w.copies {
		page, err := c.get("/readyz")
		fmt.Fprintf(&b, "\n%v: %s", c, cmp.Or(strings.TrimSpace(page), fmt.Sprint(err)))
	}
	return b.String()
}

// ledger ends everything in order and returns what was seen.
func (w *world) ledger(ctx context.Context) *Ledger {
	l := &Ledger{HandleTimeout: handleTimeout, MaxAttempts: maxAttempts, MaxInFlight: maxInFlight,
		Lives: make(map[Life]*History)}
	var err error
	if err = fleet.Until(ctx, testkit.DefaultTimeout, func(ctx context.Context) error {
		l.End, l.Committed, err = fleet.Offsets(ctx, w.admin, group, topic)
		return err
	}); err != nil {
		w.t.Fatal(err)
	}
	w.told.Say("the link is deleted and the copies are stopped")
	w.end(ctx, l)
	if err := fleet.Until(ctx, testkit.DefaultTimeout, w.cemeteryRead); err != nil {
		w.t.Fatal(err)
	}
	w.component.Stop()

	for _, c := range w.copies {
		complaints, err := c.history(l.Lives)
		if err != nil {
			w.t.Fatalf("reading the log of copy %d: %v", c.number, err)
		}
		l.BadStops = append(l.BadStops, complaints...)
	}
	if err := connections(w.nats.Server(), l.Lives); err != nil {
		w.t.Fatal(err)
	}
	if l.Produced, err = w.producer.Places(); err != nil {
		w.t.Fatal(err)
	}
	w.cemetery.mu.Lock()
	defer w.cemetery.mu.Unlock()
	w.witness.mu.Lock()
	defer w.witness.mu.Unlock()
	w.mu.Lock()
	defer w.mu.Unlock()
	l.Dead, l.Restarts = w.cemetery.dead, w.restarts
	l.BadStops = append(l.BadStops, w.badStops...)
	l.Strangers = slices.Concat(w.witness.strangers, w.cemetery.strangers)
	for _, c := range w.witness.calls {
		life, known := w.callers.of(c.inbox)
		if _, ours := l.Produced[c.ID]; !known || !ours {
			l.Strangers = append(l.Strangers, fmt.Sprintf("a call of %v at %s by %s", c.ID, clock(c.Begin), c.inbox))
			continue
		}
		c.Life = life
		l.Calls = append(l.Calls, c.Call)
	}
	w.checkOrderOfPlaces(l)
	return l
}

// checkOrderOfPlaces makes sure that the records are in the log in the order of their numbers, without which the
// rules on order would mean nothing.
func (w *world) checkOrderOfPlaces(l *Ledger) {
	for id, place := range l.Produced {
		if next, ok := l.Produced[ledger.ID{Key: id.Key, Seq: id.Seq + 1}]; ok &&
			(next.Partition != place.Partition || next.Offset <= place.Offset) {
			w.t.Fatalf("the producer has put %v at %v and its successor at %v", id, place, next)
		}
	}
}

// end deletes the link, sees the group empty and the goroutines gone, then stops the copies and sees the processes
// gone.
func (w *world) end(ctx context.Context, l *Ledger) {
	w.host.DeleteLink(w.linkOf(0))
	// The error is the ledger's to tell, by the number.
	_ = fleet.Until(ctx, testkit.DefaultTimeout, func(ctx context.Context) error {
		n, err := fleet.Members(ctx, w.admin, group)
		if err != nil {
			n = -1
		}
		l.MembersLeft = n
		if n != 0 {
			return fmt.Errorf("the group has %d members: %w", n, err)
		}
		return nil
	})
	for _, c := range w.copies {
		if c.settleGoroutines() > c.baseline {
			l.GoroutinesLeft = append(l.GoroutinesLeft, w.leftovers(c)...)
		}
	}
	for _, c := range w.copies {
		if !c.up() {
			continue // it was ended for a look at its goroutines
		}
		if c.provider.Exited() {
			w.badStop("%v had ended before it was stopped: %v", c, c.provider.Err())
			c.gone()
			continue
		}
		pid := c.provider.PID()
		c.stop()
		c.gone()
		if _, err := os.Stat(fmt.Sprintf("/proc/%d", pid)); err == nil {
			l.ProcessesLeft = append(l.ProcessesLeft, fmt.Sprintf("process %d of %v is still there", pid, c))
		}
	}
}

// leftovers tells which goroutines of a copy without a link were not there before its first link. It costs the copy
// its process; that the number alone is larger may be Go's runtime.
func (w *world) leftovers(c *providerCopy) []string {
	found, err := c.origins()
	if err != nil {
		return []string{fmt.Sprintf("%v: %v", c, err)}
	}
	var left []string
	for _, origin := range slices.Sorted(maps.Keys(found)) {
		if n := found[origin]; n > w.origins[origin] {
			left = append(left, fmt.Sprintf("%v has %d goroutines without a link that %s has started, %d before its first", c, n,
				origin, w.origins[origin]))
		}
	}
	return left
}

// cemeteryRead returns nil when the dead-letter topic has been read to its end.
func (w *world) cemeteryRead(ctx context.Context) error {
	ends, err := w.admin.ListEndOffsets(ctx, deadTopic)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		return err
	}
	w.cemetery.mu.Lock()
	defer w.cemetery.mu.Unlock()
	ends.Each(func(o kadm.ListedOffset) {
		if o.Offset != w.cemetery.next[o.Partition] {
			err = fmt.Errorf("dead letters of partition %d were read to %d of %d", o.Partition,
				w.cemetery.next[o.Partition], o.Offset)
		}
	})
	return err
}

// summary says what happened, for those who ask whether the run was hard enough.
func (w *world) summary(l *Ledger) string {
	answers := make(map[Answer]int)
	for _, c := range l.Calls {
		answers[c.Answer]++
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%d records, %d calls (", len(l.Produced), len(l.Calls))
	for a := Silent; a <= Trapped; a++ {
		fmt.Fprintf(&b, "%d %v%s", answers[a], a, map[bool]string{true: ")", false: ", "}[a == Trapped])
	}
	fmt.Fprintf(&b, ", %d dead letters, %d lives of copies, %d stops that were too slow for the host; faults: %v",
		len(l.Dead), len(l.Lives), w.late.get(), &w.faults)
	return b.String()
}

// keep leaves the ledger and the copies' logs, for whoever looks for a cause.
func (w *world) keep(l *Ledger) {
	files := w.bridges.logs()
	files["ledger.txt"] = l.dump()
	for _, c := range w.copies {
		files[fmt.Sprintf("copy-%d.log", c.number)] = c.provider.Output()
	}
	fleet.Keep(w.t, "", "chaos", files)
}
