//go:build acceptance

package acceptance

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/messaging-kafka/messaging-kafka/internal/payload/wit"
	"github.com/messaging-kafka/messaging-kafka/internal/record"
	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
	"github.com/messaging-kafka/messaging-kafka/internal/wasmcloud/hostdata"
	"github.com/messaging-kafka/messaging-kafka/internal/wasmcloud/provider"
	"github.com/messaging-kafka/messaging-kafka/internal/wasmcloud/wrpc"
)

const componentID = "echo"

// lattice is the provider of a lattice.
type lattice struct {
	*testkit.Provider
	t     *testing.T
	host  *testkit.FakeHost
	admin string
	links linksFunc
}

// linksFunc makes the links of an application.
type linksFunc func(settings map[string]string) []testkit.Link

// startLattice starts a provider inside the test with links. They are there before it is: a put before a provider
// listens is lost.
func startLattice(p *place, ns *testkit.NATSServer, links linksFunc, settings map[string]string) {
	p.t.Helper()
	host := testkit.NewFakeHost(p.t, ns, testkit.FakeHostOptions{ShutdownDelay: 12 * time.Second})
	for _, link := range links(settings) {
		host.PutLink(link)
	}
	log := &testkit.Log{}
	p.t.Cleanup(func() {
		if p.t.Failed() {
			p.t.Logf("log of the provider:\n%s", log.String())
		}
	})
	logger := slog.New(slog.NewTextHandler(log, nil))
	run := func(ctx context.Context, stdin io.Reader) error {
		data, err := hostdata.Read(ctx, stdin)
		if err != nil {
			return err
		}
		return provider.Run(ctx, data, provider.Options{Logger: logger, IgnoreParent: true})
	}
	l := &lattice{t: p.t, host: host, admin: freeAddress(p.t), links: links}
	l.Provider = host.StartProvider(testkit.ProviderSpec{Run: run, Config: map[string]string{
		"admin_address": l.admin, "provider_shutdown_timeout": "10s",
	}})
	p.server = l
}

func (l *lattice) Change(settings map[string]string) {
	l.t.Helper()
	for _, link := range l.links(settings) {
		l.host.PutLink(link)
	}
}

func (l *lattice) Stop() {
	l.t.Helper()
	if result := l.Shutdown(); !result.Replied || result.Err != nil {
		l.t.Errorf("the provider did not stop in good order: %+v", result)
	}
}

func (l *lattice) Start() {
	l.t.Helper()
	l.Restart()
}

func (l *lattice) WaitUnhealthy() {
	l.t.Helper()
	l.Provider.WaitUnhealthy(componentID)
}

func (l *lattice) Metrics() string { return scrape(l.t, l.admin) }

// messagesComponent is a component of wasmcloud:messaging on a lattice.
type messagesComponent struct{ *testkit.Component }

func (c messagesComponent) Kill() { c.Stop() }

func startLatticeMessages(p *place, settings map[string]string) {
	p.t.Helper()
	ns := testkit.NATS(p.t, testkit.NATSOptions{})
	app := &standIn{}
	handler := func(ctx context.Context, c *testkit.Component, call testkit.Call) error {
		request := func(ctx context.Context, topic string, value []byte) ([]byte, error) {
			answer, err := c.Request(ctx, topic, value, 10*time.Second)
			return answer.Body, err
		}
		body, err := app.obey(ctx, call.Body, 0, request)
		switch {
		case errors.Is(err, errTrap):
			return testkit.ErrTrap
		case errors.As(err, new(rejected)):
			return fmt.Errorf("reject:%w", err)
		case err != nil:
			return err
		}
		call.Body = body
		return testkit.Echo(ctx, c, call)
	}
	p.app = messagesComponent{testkit.NewComponent(p.t, ns, testkit.ComponentOptions{ID: componentID, Handler: handler})}
	startLattice(p, ns, func(settings map[string]string) []testkit.Link {
		return []testkit.Link{testkit.TargetLink(componentID, "kafka", settings)}
	}, settings)
}

// recordsComponent is a component of messaging-kafka:records on a lattice.
type recordsComponent struct {
	t      testing.TB
	nc     *nats.Conn
	app    *standIn
	client *wrpc.Client
	server *wrpc.Server // nil while it does not run
}

func startLatticeRecords(p *place, settings map[string]string) {
	p.t.Helper()
	ns := testkit.NATS(p.t, testkit.NATSOptions{})
	c := &recordsComponent{t: p.t, nc: ns.Connect(), app: &standIn{}}
	var err error
	if c.client, err = wrpc.NewClient(c.nc, wrpc.ClientOptions{}); err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() {
		c.Kill()
		ctx, cancel := context.WithTimeout(context.Background(), testkit.DefaultTimeout)
		defer cancel()
		if err := c.client.Close(ctx); err != nil {
			p.t.Error(err)
		}
	})
	c.Start()
	p.app = c
	startLattice(p, ns, func(settings map[string]string) []testkit.Link {
		links := []testkit.Link{recordsLink("kafka", componentID, []string{"processor"}, settings)}
		if topic := settings["request_reply_topic"]; topic != "" {
			links = append(links, recordsLink(componentID, "kafka", []string{"producer", "requester"}, map[string]string{
				"hosts": settings["hosts"], "request_reply_topic": topic,
			}))
		}
		return links
	}, settings)
}

func recordsLink(source, target string, interfaces []string, config map[string]string) testkit.Link {
	l := testkit.Link{
		Source: source, Target: target, Namespace: "messaging-kafka", Package: "records", Interfaces: interfaces,
	}
	if source == componentID {
		l.TargetConfig = config
	} else {
		l.SourceConfig = config
	}
	return l
}

func (c *recordsComponent) Start() {
	c.t.Helper()
	server, err := wrpc.NewServer(c.nc, wrpc.ServerOptions{Prefix: "default." + componentID})
	if err == nil {
		err = server.Handle("messaging-kafka:records/processor@0.1.0", "process",
			func(ctx context.Context, _ nats.Header, params *wit.Decoder) ([]byte, error) {
				batch, err := wit.DecodeBatch(params)
				if err != nil {
					return nil, err
				}
				outcomes, err := c.app.process(ctx, batch, c.request)
				if err != nil {
					return nil, err
				}
				return wit.AppendProcessed(nil, outcomes), nil
			})
	}
	if err == nil {
		err = c.nc.Flush()
	}
	if err != nil {
		c.t.Fatal(err)
	}
	c.server = server
}

// Kill gives up the running calls without an answer, as a host does that scales a component to 0.
func (c *recordsComponent) Kill() {
	if c.server == nil {
		return
	}
	cut, cancel := context.WithCancel(context.Background())
	cancel()
	_ = c.server.Shutdown(cut) // its error says that calls were cut off
	c.server = nil
}

// request calls requester.request of the provider.
func (c *recordsComponent) request(ctx context.Context, topic string, value []byte) ([]byte, error) {
	const patience = 10_000
	params := wit.AppendOutgoing(nil, &record.Outgoing{Topic: topic, Partition: record.AnyPartition, Value: value})
	var answer *record.Record
	var failure error
	err := c.client.Invoke(ctx, wrpc.Invocation{
		Target: "default.kafka", Instance: "messaging-kafka:records/requester@0.1.0", Function: "request",
		Header: nats.Header{"source-id": {componentID}, "link-name": {"default"}},
		Params: wit.AppendU32(params, patience),
	}, func(d *wit.Decoder) (err error) {
		answer, failure, err = wit.DecodeAnswer(d)
		return err
	})
	if err = errors.Join(err, failure); err != nil {
		return nil, err
	}
	return answer.Value, nil
}
