//go:build exactlyonce

package exactlyonce

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
	"github.com/messaging-kafka/messaging-kafka/test/fleet"
)

const providerKey = "kafka"

// world is everything that takes part in a run.
type world struct {
	t    *testing.T
	cfg  config
	told fleet.Told

	binary    string
	kafka     *testkit.Kafka
	client    *testkit.Client
	admin     *kadm.Client
	nats      *testkit.NATSServer
	host      *testkit.FakeHost
	copies    []*instance
	pipelines []*pipeline

	faults fleet.Broken

	mu   sync.Mutex
	logs []*testkit.Provider
}

// instance is one copy of the provider. Only the lane of the copies changes it.
type instance struct {
	host    *testkit.FakeHost
	lattice *testkit.Proxy

	mu       sync.Mutex
	admin    string
	provider *testkit.Provider
}

func newWorld(t *testing.T, cfg config) *world {
	w := &world{t: t, cfg: cfg, told: fleet.Told(time.Now()), binary: testkit.Program(t)}
	w.kafka = testkit.StartKafka(t, testkit.KafkaOptions{Nodes: brokers, Proxied: true, NoAutoCreate: true,
		Properties: map[string]string{
			"group.consumer.session.timeout.ms": fmt.Sprint(sessionTime.Milliseconds()),
			"replica.lag.time.max.ms":           "5000",
		}})
	w.client = testkit.NewClient(t, w.kafka.Brokers(), kgo.RequestTimeoutOverhead(5*time.Second),
		kgo.ProducerLinger(5*time.Millisecond))
	w.admin = kadm.NewClient(w.client.Client)
	w.nats = testkit.NATS(t, testkit.NATSOptions{})
	for _, protocol := range []string{"classic", "consumer"} {
		for _, transactions := range []bool{true, false} {
			p := newPipeline(w.client, cfg.seed, protocol, transactions)
			fleet.StartProcessor(t, w.nats, p.name, p.process)
			w.pipelines = append(w.pipelines, p)
		}
	}
	w.createTopics()
	w.host = testkit.NewFakeHost(t, w.nats, testkit.FakeHostOptions{ShutdownDelay: testkit.HostShutdownDelay})
	w.link(0)
	for range copies {
		c := &instance{host: w.host.Peer(), lattice: testkit.NewProxy(t, w.nats.Addr())}
		c.provider = w.start(c)
		w.copies = append(w.copies, c)
	}
	return w
}

// createTopics creates the topics of all pipelines side by side.
func (w *world) createTopics() {
	var creating sync.WaitGroup
	for _, p := range w.pipelines {
		for topic, partitions := range map[string]int32{p.in: inPartitions, p.out: outPartitions, p.deadTopic: 2} {
			creating.Go(func() {
				if _, err := w.admin.CreateTopic(w.t.Context(), partitions, -1, nil, topic); err != nil {
					w.t.Errorf("creating topic %s: %v", topic, err)
				}
			})
		}
	}
	creating.Wait()
	if err := fleet.Until(w.t.Context(), testkit.DefaultTimeout,
		func(ctx context.Context) error { return fleet.Replicated(ctx, w.admin) }); err != nil {
		w.t.Fatalf("the topics are not there: %v", err)
	}
}

// start starts a process of a copy on its host.
func (w *world) start(c *instance) *testkit.Provider {
	admin := fleet.FreeAddresses(w.t, 1)[0]
	p := c.host.StartProvider(testkit.ProviderSpec{
		Key: providerKey, Binary: w.binary, Config: map[string]string{"admin_address": admin},
		HostData: func(data map[string]any) {
			data["lattice_rpc_url"] = "nats://" + c.lattice.Addr()
			data["structured_logging"], data["log_level"] = true, "debug"
		},
	})
	c.mu.Lock()
	c.admin = admin
	c.mu.Unlock()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.logs = append(w.logs, p)
	return p
}

func (w *world) link(variant int) {
	for _, p := range w.pipelines {
		w.host.PutLink(w.linkOf(p, variant))
	}
}

func (w *world) linkOf(p *pipeline, variant int) testkit.Link {
	return fleet.ProcessorLink(providerKey, p.name, p.linkConfig(strings.Join(w.kafka.ProxiedBrokers(), ","), variant))
}

// breakThings carries the schedule out and returns when the last fault has been mended.
func (w *world) breakThings(ctx context.Context) {
	schedule := fleet.Schedule(w.cfg.seed, w.cfg.duration, lanes())
	fleet.Carry(ctx, schedule, w.cfg.duration, w.t.Failed, w.carryOut)
}

// carryOut breaks one thing, holds, and mends it.
func (w *world) carryOut(ctx context.Context, f fleet.Fault) {
	w.told.Say("%v", f)
	w.faults.Note(f)
	switch f.Kind {
	case killCopy, moveCopy, pauseCopy, doubleCopy, stopCopy:
		w.carryOutOnCopy(ctx, w.copies[f.Target-1], f)
	case resetLattice:
		w.copies[f.Target-1].lattice.Cut()
	case replaceLinks:
		w.link(f.Target - 1)
	case deleteLinks:
		for _, p := range w.pipelines {
			w.host.DeleteLink(w.linkOf(p, 0))
		}
		fleet.Sleep(ctx, f.Hold)
		w.link(f.Target - 1)
	default:
		fleet.BreakKafka(ctx, w.t, w.kafka, w.admin, f)
	}
}

func (w *world) carryOutOnCopy(ctx context.Context, c *instance, f fleet.Fault) {
	if c.provider.Exited() {
		w.t.Errorf("a copy had ended by itself: %v", c.provider.Err())
		return
	}
	switch f.Kind {
	case killCopy:
		c.provider.Kill()
		fleet.Sleep(ctx, f.Hold)
		c.provider.Restart()
	case moveCopy:
		c.provider.Kill()
		fleet.Sleep(ctx, f.Hold)
		c.host = w.host.Peer()
		c.provider = w.start(c)
	case stopCopy:
		c.provider.Shutdown()
		fleet.Sleep(ctx, f.Hold)
		c.provider.Restart()
	case pauseCopy:
		c.provider.Signal(syscall.SIGSTOP)
		fleet.Sleep(ctx, f.Hold)
		c.provider.Signal(syscall.SIGCONT)
	case doubleCopy:
		// The host takes the silent one for gone and starts another, which has the same ids; then the first one goes on.
		first := c.provider
		first.Signal(syscall.SIGSTOP)
		fleet.Sleep(ctx, f.Hold/2)
		c.provider = w.start(c)
		fleet.Sleep(ctx, f.Hold/2)
		first.Signal(syscall.SIGCONT)
		fleet.Sleep(ctx, 3*time.Second)
		first.Kill()
	default:
		panic("this fault is for no copy: " + string(f.Kind))
	}
}

// runDry waits until every record of every pipeline is committed. It gives up when nothing has moved for a long time.
func (w *world) runDry(ctx context.Context) error {
	return fleet.RunDry(ctx, func(ctx context.Context) error {
		var errs []error
		for _, p := range w.pipelines {
			errs = append(errs, p.drained(ctx, w.admin))
		}
		return errors.Join(errs...)
	})
}

// health is what the copies say of themselves.
func (w *world) health() string {
	client := http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	var b strings.Builder
	for i, c := range w.copies {
		c.mu.Lock()
		admin := c.admin
		c.mu.Unlock()
		var page string
		var err error
		if resp, getErr := client.Get("http://" + admin + "/healthz"); getErr != nil {
			err = getErr
		} else {
			body, readErr := io.ReadAll(resp.Body)
			resp.Body.Close()
			page, err = string(body), readErr
		}
		fmt.Fprintf(&b, "\ncopy %d: %s", i+1, cmp.Or(strings.TrimSpace(page), fmt.Sprint(err)))
	}
	return b.String()
}

// keep leaves the copies' logs, for whoever looks for a cause.
func (w *world) keep() {
	w.mu.Lock()
	defer w.mu.Unlock()
	files := make(map[string]string)
	for i, p := range w.logs {
		files[fmt.Sprintf("copy-%d.log", i+1)] = p.Output()
	}
	fleet.Keep(w.t, "", "exactlyonce", files)
}
