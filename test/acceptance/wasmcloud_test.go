//go:build acceptance

package acceptance

import (
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

// probe asks a program how it is, at its admin address.
type probe struct {
	t     *testing.T
	admin string
	// ended fails the test where the program has ended; nil where nobody can tell.
	ended func()
}

// ready asks for the health of the program.
func (p *probe) ready() (code int, text string, err error) {
	if p.ended != nil {
		p.ended()
	}
	return get(p.t, "http://"+p.admin+"/readyz")
}

func (p *probe) WaitHealthy() {
	p.t.Helper()
	testkit.Eventually(p.t, testkit.DefaultTimeout, func() error {
		code, text, err := p.ready()
		if err == nil && code != http.StatusOK {
			err = errors.New(text)
		}
		return err
	})
}

func (p *probe) WaitUnhealthy() {
	p.t.Helper()
	testkit.Eventually(p.t, testkit.DefaultTimeout, func() error {
		code, _, err := p.ready()
		if err == nil && code == http.StatusOK {
			err = errors.New("it says that it is well")
		}
		return err
	})
}

func (p *probe) Metrics() string { return scrape(p.t, p.admin) }

// The provider's id in a real host, and the configs there.
const (
	providerID     = "kafka"
	providerConfig = "provider"
	linkConfig     = "link"
)

// wasmCloud is the provider in a real wasmCloud host.
type wasmCloud struct {
	probe
	host    *testkit.Host
	archive string
	link    testkit.ControlLink
}

// hosted is a component in a real wasmCloud host.
type hosted struct {
	host *testkit.Host
	wasm string
}

// Kill scales the component to 0, which gives up what runs without an answer.
func (h *hosted) Kill()  { h.host.Scale(componentID, h.wasm, 0) }
func (h *hosted) Start() { h.host.Scale(componentID, h.wasm, 100) }

// startWasmCloud starts a real host with a component and the provider, and a link between them.
func startWasmCloud(p *place, wasm string, link testkit.ControlLink, settings map[string]string) {
	p.t.Helper()
	testkit.HostBinary(p.t)
	w := &wasmCloud{probe: probe{t: p.t, admin: freeAddress(p.t)}, archive: testkit.ProviderArchive(p.t), link: link}
	w.host = testkit.StartHost(p.t, testkit.NATS(p.t, testkit.NATSOptions{JetStream: true}),
		testkit.HostOptions{ProviderShutdownDelay: 12 * time.Second})
	w.host.PutConfig(providerConfig, map[string]string{"admin_address": w.admin, "provider_shutdown_timeout": "10s"})
	w.host.PutConfig(linkConfig, settings)
	if link.Source == componentID {
		w.link.TargetConfig = []string{linkConfig}
	} else {
		w.link.SourceConfig = []string{linkConfig}
	}
	w.host.PutLink(w.link)
	app := &hosted{w.host, wasm}
	app.Start()
	p.app, p.server = app, w
	w.Start()
}

func (w *wasmCloud) Start() {
	w.t.Helper()
	w.host.StartProvider(providerID, w.archive, providerConfig)
}

func (w *wasmCloud) Stop() {
	w.t.Helper()
	w.host.StopProvider(providerID)
}

// Change puts the link anew: a host keeps a changed config to itself.
func (w *wasmCloud) Change(settings map[string]string) {
	w.t.Helper()
	w.host.DeleteLink(w.link)
	w.host.PutConfig(linkConfig, settings)
	w.host.PutLink(w.link)
}

func startWasmCloudMessages(p *place, settings map[string]string) {
	p.t.Helper()
	startWasmCloud(p, testkit.EchoWasm(p.t),
		testkit.ControlLink{Source: componentID, Target: providerID, Interface: "consumer"}, settings)
}

func startWasmCloudProcessor(p *place, settings map[string]string) {
	p.t.Helper()
	startWasmCloud(p, testkit.ComponentWasm(p.t, "records-echo"), testkit.ControlLink{
		Source: providerID, Target: componentID, Package: "messaging-kafka:records", Interface: "processor",
	}, settings)
}
