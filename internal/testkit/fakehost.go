package testkit

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"
	"github.com/nats-io/nuid"
)

// FakeHostOptions describe a fake host.
type FakeHostOptions struct {
	Lattice string // default "default"
	// ShutdownDelay is how long a provider may take to answer a shutdown before it is killed, default [DefaultTimeout]:
	// a real host's [HostShutdownDelay] may be over before a loaded machine has done what it has to.
	ShutdownDelay time.Duration
	// RPCTimeout is the host data's default_rpc_timeout_ms, default 2s.
	RPCTimeout time.Duration
}

// HostShutdownDelay is how long a real host waits for the answer to a shutdown where nobody has set anything else.
const HostShutdownDelay = 300 * time.Millisecond

// FakeHost plays the wasmCloud host towards providers: it starts them with host data, puts and deletes links, seals
// secrets, updates config, asks for health and shuts down, on the subjects and with the payloads of a real 1.9 host.
// Several fake hosts of one lattice ([FakeHost.Peer]) know the same links.
type FakeHost struct {
	t       testing.TB
	ns      *NATSServer
	nc      *nats.Conn
	opts    FakeHostOptions
	id      string
	xkey    nkeys.KeyPair
	xpub    string
	lattice *fakeLattice
}

// fakeLattice is what the hosts of one lattice share.
type fakeLattice struct {
	mu        sync.Mutex
	links     []Link
	providers []*Provider // those that were started and not stopped
}

// NewFakeHost makes a host on a connection of its own. It is gone when the test ends.
func NewFakeHost(t testing.TB, ns *NATSServer, opts FakeHostOptions) *FakeHost {
	t.Helper()
	if opts.Lattice == "" {
		opts.Lattice = "default"
	}
	if opts.ShutdownDelay == 0 {
		opts.ShutdownDelay = DefaultTimeout
	}
	if opts.RPCTimeout == 0 {
		opts.RPCTimeout = 2 * time.Second
	}
	return newFakeHost(t, ns, opts, &fakeLattice{})
}

func newFakeHost(t testing.TB, ns *NATSServer, opts FakeHostOptions, lattice *fakeLattice) *FakeHost {
	t.Helper()
	server, err := nkeys.CreateServer()
	if err != nil {
		t.Fatalf("making a host key: %v", err)
	}
	id, err := server.PublicKey()
	if err != nil {
		t.Fatalf("making a host key: %v", err)
	}
	xkey, xpub := newXKey(t)
	return &FakeHost{t: t, ns: ns, nc: ns.Connect(), opts: opts, id: id, xkey: xkey, xpub: xpub, lattice: lattice}
}

func newXKey(t testing.TB) (nkeys.KeyPair, string) {
	t.Helper()
	kp, err := nkeys.CreateCurveKeys()
	if err != nil {
		t.Fatalf("making an xkey: %v", err)
	}
	pub, err := kp.PublicKey()
	if err != nil {
		t.Fatalf("making an xkey: %v", err)
	}
	return kp, pub
}

// Peer makes another host of the same lattice, as for a second copy of a provider.
func (h *FakeHost) Peer() *FakeHost {
	h.t.Helper()
	return newFakeHost(h.t, h.ns, h.opts, h.lattice)
}

// ID is the host's public key.
func (h *FakeHost) ID() string { return h.id }

// Lattice is the lattice's name.
func (h *FakeHost) Lattice() string { return h.opts.Lattice }

// Conn is the host's connection, for messages that no method here sends.
func (h *FakeHost) Conn() *nats.Conn { return h.nc }

// Link is a link as a host sends it to a provider. An empty Name is "default", an empty Namespace "wasmcloud", an
// empty Package "messaging".
type Link struct {
	Source, Target, Name, Namespace, Package string
	Interfaces                               []string
	SourceConfig, TargetConfig               map[string]string
	SourceSecrets, TargetSecrets             map[string]SecretValue
}

// TargetLink is the link over which component calls provider's consumer; with a topic in config the provider also
// reads for the component.
func TargetLink(component, provider string, config map[string]string) Link {
	return Link{Source: component, Target: provider, Interfaces: []string{"consumer"}, TargetConfig: config}
}

// SourceLink is the link over which provider calls component's handler.
func SourceLink(provider, component string, config map[string]string) Link {
	return Link{Source: provider, Target: component, Interfaces: []string{"handler"}, SourceConfig: config}
}

func (l Link) withDefaults() Link {
	for field, value := range map[*string]string{&l.Name: "default", &l.Namespace: "wasmcloud", &l.Package: "messaging"} {
		if *field == "" {
			*field = value
		}
	}
	return l
}

// same tells whether l and o are the same link to the host, whatever their contents.
func (l Link) same(o Link) bool {
	return l.Source == o.Source && l.Target == o.Target && l.Name == o.Name &&
		l.Namespace == o.Namespace && l.Package == o.Package
}

// SecretValue is a secret as a host hands it to a provider.
type SecretValue struct{ value any }

// SecretText is a secret of kind String.
func SecretText(text string) SecretValue { return SecretValue{text} }

// SecretBytes is a secret of kind Bytes.
func SecretBytes(b []byte) SecretValue { return SecretValue{b} }

// MarshalJSON writes {"kind":…,"value":…}; bytes are an array of numbers, as serde writes a Vec<u8>.
func (s SecretValue) MarshalJSON() ([]byte, error) {
	if b, ok := s.value.([]byte); ok {
		return json.Marshal(map[string]any{"kind": "Bytes", "value": numbers(b)})
	}
	return json.Marshal(map[string]any{"kind": "String", "value": s.value})
}

// numbers makes encoding/json write bytes as an array of numbers instead of base64.
func numbers(b []byte) []int {
	ints := make([]int, len(b))
	for i, c := range b {
		ints[i] = int(c)
	}
	return ints
}

// linkJSON is l on the wire, with secrets sealed for the provider with the public xkey.
func (h *FakeHost) linkJSON(l Link, providerXKey string) map[string]any {
	h.t.Helper()
	return map[string]any{
		"source_id": l.Source, "target": l.Target, "name": l.Name,
		"wit_namespace": l.Namespace, "wit_package": l.Package, "interfaces": orEmpty(l.Interfaces),
		"source_config": orEmptyMap(l.SourceConfig), "target_config": orEmptyMap(l.TargetConfig),
		"source_secrets": h.seal(l.SourceSecrets, providerXKey), "target_secrets": h.seal(l.TargetSecrets, providerXKey),
	}
}

// seal returns nil for no secrets: a host never seals an empty set.
func (h *FakeHost) seal(secrets map[string]SecretValue, providerXKey string) any {
	h.t.Helper()
	if len(secrets) == 0 {
		return nil
	}
	plain, err := json.Marshal(secrets)
	if err != nil {
		h.t.Fatalf("writing secrets: %v", err)
	}
	sealed, err := h.xkey.Seal(plain, providerXKey)
	if err != nil {
		h.t.Fatalf("sealing secrets: %v", err)
	}
	return numbers(sealed)
}

func orEmpty(s []string) []string {
	if s == nil {
		return []string{}
	}
	return s
}

func orEmptyMap(m map[string]string) map[string]string {
	if m == nil {
		return map[string]string{}
	}
	return m
}

// PutLink makes or changes a link: the providers of the lattice that take part in it hear of it, and those that start
// later find it in their host data. Unlike a real host it also sends a put that changes nothing.
func (h *FakeHost) PutLink(l Link) {
	h.t.Helper()
	l = l.withDefaults()
	h.lattice.mu.Lock()
	defer h.lattice.mu.Unlock()
	if i := slices.IndexFunc(h.lattice.links, l.same); i >= 0 {
		h.lattice.links[i] = l
	} else {
		h.lattice.links = append(h.lattice.links, l)
	}
	for _, p := range h.lattice.providers {
		if l.Source == p.spec.Key || l.Target == p.spec.Key {
			p.host.publish("wasmbus.rpc."+h.opts.Lattice+"."+p.xpub+".linkdefs.put", p.host.linkJSON(l, p.xpub))
		}
	}
	// Hosts still send the copies that providers without an xkey listen to.
	if len(l.SourceSecrets) == 0 && len(l.TargetSecrets) == 0 {
		for _, id := range []string{l.Source, l.Target} {
			h.publish("wasmbus.rpc."+h.opts.Lattice+"."+id+".linkdefs.put", h.linkJSON(l, ""))
		}
	}
	h.flush()
}

// DeleteLink deletes a link; source and target hear of it once each, whether they know it or not.
func (h *FakeHost) DeleteLink(l Link) {
	h.t.Helper()
	l = l.withDefaults()
	h.lattice.mu.Lock()
	defer h.lattice.mu.Unlock()
	h.lattice.links = slices.DeleteFunc(h.lattice.links, l.same)
	l.SourceConfig, l.TargetConfig, l.SourceSecrets, l.TargetSecrets = nil, nil, nil, nil
	for _, id := range []string{l.Source, l.Target} {
		h.publish("wasmbus.rpc."+h.opts.Lattice+"."+id+".linkdefs.del", h.linkJSON(l, ""))
	}
	h.flush()
}

func (h *FakeHost) publish(subject string, payload any) {
	h.t.Helper()
	b, err := json.Marshal(payload)
	if err == nil {
		err = h.nc.Publish(subject, b)
	}
	if err != nil {
		h.t.Fatalf("publishing to %s: %v", subject, err)
	}
}

// flush makes sure that the server has what was published, so that a test may go on with another connection.
func (h *FakeHost) flush() {
	h.t.Helper()
	if err := h.nc.FlushTimeout(DefaultTimeout); err != nil {
		h.t.Fatalf("flushing the host's messages: %v", err)
	}
}

// hostData is the line that a provider finds on its standard input.
func (h *FakeHost) hostData(p *Provider) []byte {
	h.t.Helper()
	seed, err := p.xkey.Seed()
	if err != nil {
		h.t.Fatalf("writing host data: %v", err)
	}
	links := []map[string]any{}
	for _, l := range h.lattice.links {
		if l.Source == p.spec.Key || l.Target == p.spec.Key {
			links = append(links, h.linkJSON(l, p.xpub))
		}
	}
	secrets := p.spec.Secrets
	if secrets == nil {
		secrets = map[string]SecretValue{}
	}
	data := map[string]any{
		"host_id": h.id, "lattice_rpc_prefix": h.opts.Lattice, "link_name": "default",
		"lattice_rpc_user_jwt": "", "lattice_rpc_user_seed": "", "lattice_rpc_url": h.ns.URL(),
		"provider_key": p.spec.Key, "env_values": map[string]string{}, "instance_id": nuid.Next(),
		"link_definitions": links, "cluster_issuers": []string{},
		"config": orEmptyMap(p.Config()), "secrets": secrets,
		"host_xkey_public_key": h.xpub, "provider_xkey_private_key": string(seed),
		"default_rpc_timeout_ms": h.opts.RPCTimeout.Milliseconds(),
		"structured_logging":     false, "log_level": "debug",
		"otel_config": map[string]any{"enable_observability": false, "protocol": "Http",
			"additional_ca_paths": []string{}, "trace_level": "info"},
	}
	if p.spec.HostData != nil {
		p.spec.HostData(data)
	}
	text, err := json.Marshal(data)
	if err != nil {
		h.t.Fatalf("writing host data: %v", err)
	}
	return append([]byte(base64.StdEncoding.EncodeToString(text)), "\r\n"...)
}

// Health is a provider's answer to a health request.
type Health struct {
	Healthy bool   `json:"healthy"`
	Message string `json:"message"`
}

// Health asks for health once, as the host does.
func (p *Provider) Health(ctx context.Context) (Health, error) {
	m, err := p.host.nc.RequestWithContext(ctx, p.subject("health"), nil)
	if err != nil {
		return Health{}, fmt.Errorf("asking provider %s for its health: %w", p.spec.Key, err)
	}
	var health Health
	if err := json.Unmarshal(m.Data, &health); err != nil {
		return Health{}, fmt.Errorf("reading the health of provider %s: %w", p.spec.Key, err)
	}
	return health, nil
}

// WaitHealthy waits until the provider says that it is healthy. Any of several providers with one key may answer.
func (p *Provider) WaitHealthy() {
	p.host.t.Helper()
	p.waitHealth(func(health Health) error {
		if !health.Healthy {
			return fmt.Errorf("unhealthy: %s", health.Message)
		}
		return nil
	})
}

// WaitUnhealthy waits until the provider says that it is unhealthy, with a message that contains all parts, and
// returns the message.
func (p *Provider) WaitUnhealthy(parts ...string) string {
	p.host.t.Helper()
	var message string
	p.waitHealth(func(health Health) error {
		if health.Healthy {
			return errors.New("healthy")
		}
		message = health.Message
		for _, part := range parts {
			if !strings.Contains(message, part) {
				return fmt.Errorf("the message %q does not contain %q", message, part)
			}
		}
		return nil
	})
	return message
}

func (p *Provider) waitHealth(check func(Health) error) {
	p.host.t.Helper()
	Eventually(p.host.t, DefaultTimeout, func() error {
		select {
		case <-p.exited():
			p.host.t.Fatalf("provider %s has ended: %v", p.spec.Key, p.Err())
		default:
		}
		ctx, cancel := context.WithTimeout(context.Background(), p.host.opts.RPCTimeout)
		defer cancel()
		health, err := p.Health(ctx)
		if err != nil {
			return err
		}
		return check(health)
	})
}

// UpdateConfig changes the provider's own config and tells it.
func (p *Provider) UpdateConfig(config map[string]string) {
	p.host.t.Helper()
	p.mu.Lock()
	p.config = maps.Clone(config)
	p.mu.Unlock()
	p.host.publish(p.subject("config.update"), orEmptyMap(config))
	p.host.flush()
}

// Config is the provider's own config as the host has it.
func (p *Provider) Config() map[string]string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return maps.Clone(p.config)
}

func (p *Provider) subject(name string) string {
	return "wasmbus.rpc." + p.host.opts.Lattice + "." + p.spec.Key + "." + name
}
