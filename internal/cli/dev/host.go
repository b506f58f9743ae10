package dev

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"
	"github.com/nats-io/nuid"

	"github.com/messaging-kafka/messaging-kafka/internal/observe/otlp"
	"github.com/messaging-kafka/messaging-kafka/internal/wasmcloud/hostdata"
	"github.com/messaging-kafka/messaging-kafka/internal/wasmcloud/provider"
)

const (
	// rpcTimeout is a host's patience with a health check.
	rpcTimeout = 2 * time.Second
	// healthPoll is the time between two health checks while starting; hosts take 30 s.
	healthPoll = 10 * time.Millisecond
	// slowStart is how long the wait for a healthy link needs no explanation.
	slowStart = 3 * time.Second
)

var errProviderEnded = errors.New("the provider has ended")

// host plays a wasmCloud host with one provider, on the subjects and with the payloads of a 1.9 host.
type host struct {
	nc      *nats.Conn
	id      string
	lattice string
	// linkKey is the provider's public curve key, to which links are put.
	linkKey string

	// page has room for the address of the provider's page, which is known before the provider answers.
	page chan net.Addr

	kill context.CancelFunc
	done chan struct{} // closed when the provider has returned
	err  error         // what it returned; valid then
}

// startHost starts the component and the provider, and waits until the provider listens.
func (r *runner) startHost(ctx context.Context, url string) error {
	nc, err := r.connectNATS(url)
	if err != nil {
		return err
	}
	h := &host{nc: nc, lattice: r.opts.Lattice, page: make(chan net.Addr, 1), done: make(chan struct{})}
	// Two of one name would share the calls: records would be handled by one and their answers published by the
	// other, into another Kafka.
	if _, err := h.health(ctx); !errors.Is(err, nats.ErrNoResponders) {
		if err != nil {
			return err
		}
		return fmt.Errorf("a provider %s runs in the lattice %s already: choose another lattice", providerKey, h.lattice)
	}
	if err := r.startEcho(nc); err != nil {
		return err
	}
	line, err := h.hostData(url, r.level(), map[string]string{"admin_address": r.opts.Admin})
	if err != nil {
		return fmt.Errorf("making host data: %w", err)
	}
	data, err := hostdata.Read(ctx, bytes.NewReader(line))
	if err != nil {
		return err
	}
	if r.opts.NATSURL == "" {
		if err := h.serveControl(); err != nil {
			return err
		}
	}
	h.run(ctx, data, r.log)
	r.host = h
	r.onStop("the provider", h.stop)
	if err := h.await(ctx, func(health) bool { return true }); err != nil {
		return fmt.Errorf("starting the provider: %w", err)
	}
	r.screen.say("provider   %s, started as by a wasmCloud host\n", providerKey)
	select {
	case address := <-h.page:
		r.screen.say("page       http://%s/\n", address)
	default: // it could not be served, which the provider's health tells
	}
	return nil
}

// run runs the provider. Its end is for stop to order, so that it drains and commits first: the end of ctx is not
// passed on.
func (h *host) run(ctx context.Context, data *hostdata.Data, log *slog.Logger) {
	ctx, h.kill = context.WithCancel(context.WithoutCancel(ctx))
	go func() {
		defer close(h.done)
		// Whoever started this program is no host, whose death would leave the provider orphaned.
		h.err = provider.Run(ctx, data,
			provider.Options{Logger: log, IgnoreParent: true, OnAdmin: func(a net.Addr) { h.page <- a }, Getenv: os.Getenv})
	}()
}

// startLink links the component to the provider and waits until the provider says that all is well.
func (r *runner) startLink(ctx context.Context, config map[string]string) error {
	if err := r.host.putLink(r.opts.StandIn.link(config)); err != nil {
		return err
	}
	from, to := componentID, providerKey
	if r.opts.StandIn.Processor {
		from, to = to, from
	}
	r.screen.say("link       %s to %s: hosts=%s topic=%s\n", from, to, config["hosts"], config["topic"])
	began, told := time.Now(), ""
	err := r.host.await(ctx, func(h health) bool {
		if !h.Healthy && h.Message != told && time.Since(began) > slowStart {
			told = h.Message
			r.screen.warn("waiting: %s\n", told)
		}
		// A provider that has not taken the link from its connection yet is healthy too, and begins behind what is
		// produced before it has joined. The group shows when it has.
		return h.Healthy && r.begun(ctx, Topic)
	})
	if err != nil {
		return fmt.Errorf("waiting for the link to work: %w", err)
	}
	return nil
}

func (h *host) hostData(url, level string, config map[string]string) ([]byte, error) {
	server, err := nkeys.CreateServer()
	if err != nil {
		return nil, err
	}
	if h.id, err = server.PublicKey(); err != nil {
		return nil, err
	}
	_, own, err := curveKey()
	if err != nil {
		return nil, err
	}
	seed, public, err := curveKey()
	if err != nil {
		return nil, err
	}
	h.linkKey = public
	data, err := json.Marshal(map[string]any{
		"host_id": h.id, "lattice_rpc_prefix": h.lattice, "provider_key": providerKey, "instance_id": nuid.Next(),
		"link_name":       linkName,
		"config":          config,
		"lattice_rpc_url": url, "host_xkey_public_key": own, "provider_xkey_private_key": seed,
		"default_rpc_timeout_ms": rpcTimeout.Milliseconds(), "log_level": level,
		"otel_config": otlp.HostConfig{Protocol: "Http", TraceLevel: "info"},
	})
	return []byte(base64.StdEncoding.EncodeToString(data) + "\r\n"), err
}

func curveKey() (seed, public string, err error) {
	pair, err := nkeys.CreateCurveKeys()
	if err != nil {
		return "", "", err
	}
	text, err := pair.Seed()
	if err != nil {
		return "", "", err
	}
	public, err = pair.PublicKey()
	return string(text), public, err
}

func (h *host) subject(name string) string {
	return "wasmbus.rpc." + h.lattice + "." + providerKey + "." + name
}

func (h *host) putLink(definition map[string]any) error {
	link, err := json.Marshal(definition)
	if err != nil {
		return fmt.Errorf("writing the link: %w", err)
	}
	if err := h.nc.Publish("wasmbus.rpc."+h.lattice+"."+h.linkKey+".linkdefs.put", link); err != nil {
		return fmt.Errorf("putting the link: %w", err)
	}
	return nil
}

// health is a provider's answer to a health check.
type health struct {
	Healthy bool   `json:"healthy"`
	Message string `json:"message"`
}

func (h *host) health(ctx context.Context) (health, error) {
	ctx, cancel := context.WithTimeout(ctx, rpcTimeout)
	defer cancel()
	m, err := h.nc.RequestWithContext(ctx, h.subject("health"), nil)
	if err != nil {
		return health{}, fmt.Errorf("asking the provider for its health: %w", err)
	}
	var answer health
	if err := json.Unmarshal(m.Data, &answer); err != nil {
		return health{}, fmt.Errorf("reading the provider's health: %w", err)
	}
	return answer, nil
}

// await asks for the provider's health until the answer is enough.
func (h *host) await(ctx context.Context, enough func(health) bool) error {
	poll := time.NewTicker(healthPoll)
	defer poll.Stop()
	last := errors.New("it has not answered yet")
	for {
		answer, err := h.health(ctx)
		switch {
		case err == nil && enough(answer):
			return nil
		case err == nil:
			last = errors.New(answer.Message)
		case ctx.Err() == nil:
			last = err
		}
		select {
		case <-h.done:
			return h.ended()
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", ctx.Err(), last)
		case <-poll.C:
		}
	}
}

// ended is the error of a provider that has ended without having been told to.
func (h *host) ended() error {
	if h.err == nil {
		return errProviderEnded
	}
	return fmt.Errorf("%w: %w", errProviderEnded, h.err)
}

// stop shuts the provider down as a host does: it asks, waits for the answer, and ends what has not ended by then.
func (h *host) stop(ctx context.Context) error {
	defer h.kill()
	select {
	case <-h.done:
		return nil // what it ended with is known already
	default:
	}
	body, err := json.Marshal(map[string]string{"host_id": h.id})
	if err != nil {
		return err
	}
	patience, cancel := context.WithTimeout(ctx, stopTimeout/2)
	defer cancel()
	_, err = h.nc.RequestWithContext(patience, h.subject("default.shutdown"), body)
	if err == nil {
		select {
		case <-h.done:
			return h.err
		case <-patience.Done():
			err = errors.New("it answered the shutdown but did not end")
		}
	}
	h.kill()
	select {
	case <-h.done:
		return errors.Join(err, h.err)
	case <-ctx.Done():
		return errors.Join(err, errors.New("it does not end"))
	}
}
