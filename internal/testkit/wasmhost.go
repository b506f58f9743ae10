package testkit

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
)

// HostOptions describe a real wasmCloud host. The zero values are the defaults of the wasmcloud binary.
type HostOptions struct {
	Lattice               string
	SecretsTopic          string
	RPCTimeout            time.Duration
	MaxExecutionTime      time.Duration
	ProviderShutdownDelay time.Duration
	Features              []string
	// Traces has the host make spans, and so pass traces on. They are sent nowhere.
	Traces bool
	// Log is the host's RUST_LOG, which providers get too; default "warn".
	Log string
}

// Host is a real wasmCloud host in a process of its own, driven over its control subjects.
type Host struct {
	t       testing.TB
	nc      *nats.Conn
	lattice string
	id      string
	cmd     *exec.Cmd
	stdin   io.Closer
	output  Log
	exited  chan struct{}

	mu     sync.Mutex
	events []Event
}

// HostBinary returns the path of the real host, or skips the test (in CI: fails it) with word of how to build it: the
// first build takes too long for a test.
func HostBinary(t testing.TB) string {
	t.Helper()
	Require(t, Bash)
	return requireScript(t, nil, "test/host/build", "-n")
}

// EchoWasm returns the path of the echo component (test/components/echo), which it builds if need be.
func EchoWasm(t testing.TB) string {
	t.Helper()
	return ComponentWasm(t, "echo")
}

// ComponentWasm returns the path of a component that test/components/build knows by this name, and builds it if need
// be.
func ComponentWasm(t testing.TB, name string) string {
	t.Helper()
	Require(t, Bash)
	return requireScript(t, nil, "test/components/build", name)
}

// StartHost starts a real host on a nats-server with JetStream, waits until it answers, and stops it when the test
// ends. It keeps links and configs in JetStream, so that a second host of the lattice finds them.
func StartHost(t testing.TB, ns *NATSServer, opts HostOptions) *Host {
	t.Helper()
	binary := HostBinary(t)
	if opts.Lattice == "" {
		opts.Lattice = "default"
	}
	if opts.Log == "" {
		opts.Log = "warn"
	}
	args := []string{"--nats-url", ns.URL(), "--lattice", opts.Lattice, "--until-stdin-ends"}
	if opts.SecretsTopic != "" {
		args = append(args, "--secrets-topic", opts.SecretsTopic)
	}
	for _, o := range []struct {
		flag  string
		value time.Duration
	}{
		{"--rpc-timeout-ms", opts.RPCTimeout},
		{"--max-execution-time-ms", opts.MaxExecutionTime},
		{"--provider-shutdown-delay-ms", opts.ProviderShutdownDelay},
	} {
		if o.value > 0 {
			args = append(args, o.flag, strconv.FormatInt(o.value.Milliseconds(), 10))
		}
	}
	if opts.Traces {
		args = append(args, "--traces")
	}
	for _, f := range opts.Features {
		args = append(args, "--feature", f)
	}

	h := &Host{t: t, nc: ns.Connect(), lattice: opts.Lattice, exited: make(chan struct{})}
	sub, err := h.nc.Subscribe("wasmbus.evt."+h.lattice+".>", h.event)
	if err != nil {
		t.Fatalf("subscribing to the lattice's events: %v", err)
	}
	t.Cleanup(func() { _ = sub.Unsubscribe() })
	before := map[string]bool{}
	for _, id := range h.ping(100 * time.Millisecond) {
		before[id] = true
	}

	h.cmd = exec.Command(binary, args...)
	h.cmd.Dir = t.TempDir()
	// Providers are unpacked below TMPDIR; a folder of the test's own keeps hosts apart and is cleared with it.
	h.cmd.Env = append(os.Environ(), "RUST_LOG="+opts.Log, "TMPDIR="+h.cmd.Dir, "RUST_BACKTRACE=0", "NO_COLOR=1")
	h.cmd.Stdout, h.cmd.Stderr = &h.output, &h.output
	// Providers inherit the output's pipe and may outlive the host for a moment.
	h.cmd.WaitDelay = 5 * time.Second
	if h.stdin, err = h.cmd.StdinPipe(); err != nil {
		t.Fatalf("starting the host: %v", err)
	}
	if err := h.cmd.Start(); err != nil {
		t.Fatalf("starting the host: %v", err)
	}
	go func() {
		defer close(h.exited)
		_ = h.cmd.Wait() // how a host ends matters to no test; that it ended early shows in every call
	}()
	t.Cleanup(func() {
		h.Kill()
		if t.Failed() {
			t.Logf("output of the host and its providers:\n%s", h.output.String())
		}
	})
	Eventually(t, DefaultTimeout, func() error {
		select {
		case <-h.exited:
			t.Fatal("the host ended at once")
		default:
		}
		for _, id := range h.ping(200 * time.Millisecond) {
			if !before[id] {
				h.id = id
				return nil
			}
		}
		return errors.New("the host does not answer")
	})
	return h
}

// ping returns the ids of the hosts that answer within patience.
func (h *Host) ping(patience time.Duration) []string {
	h.t.Helper()
	inbox := nats.NewInbox()
	sub, err := h.nc.SubscribeSync(inbox)
	if err == nil {
		defer sub.Unsubscribe()
		err = h.nc.PublishRequest(h.subject("host.ping"), inbox, nil)
	}
	if err != nil {
		h.t.Fatalf("pinging hosts: %v", err)
	}
	var ids []string
	for deadline := time.Now().Add(patience); ; {
		m, err := sub.NextMsg(time.Until(deadline))
		if err != nil {
			return ids // no more answers
		}
		var reply struct {
			Response struct {
				ID string `json:"id"`
			} `json:"response"`
		}
		if err := json.Unmarshal(m.Data, &reply); err != nil {
			h.t.Fatalf("reading the answer to a ping: %v", err)
		}
		ids = append(ids, reply.Response.ID)
	}
}

func (h *Host) subject(op string) string { return "wasmbus.ctl.v1." + h.lattice + "." + op }

// ID is the host's public key.
func (h *Host) ID() string { return h.id }

// Lattice is the lattice's name.
func (h *Host) Lattice() string { return h.lattice }

// PID is the host's process id. Its providers are child processes.
func (h *Host) PID() int { return h.cmd.Process.Pid }

// Output is what the host and its providers wrote to their standard output and error so far.
func (h *Host) Output() string { return h.output.String() }

// Control sends one control request and returns the response part of the answer, which is empty for most. A request
// that the host refuses fails the test.
func (h *Host) Control(op string, body any) json.RawMessage {
	h.t.Helper()
	response, err := h.TryControl(op, body)
	if err != nil {
		h.t.Fatal(err)
	}
	return response
}

// TryControl is [Host.Control] for requests that a host may refuse.
func (h *Host) TryControl(op string, body any) (json.RawMessage, error) {
	var payload []byte
	if body != nil {
		var err error
		if payload, err = json.Marshal(body); err != nil {
			return nil, fmt.Errorf("writing a control request %s: %w", op, err)
		}
	}
	m, err := h.nc.Request(h.subject(op), payload, DefaultTimeout)
	if err != nil {
		return nil, fmt.Errorf("sending a control request %s: %w", op, err)
	}
	var reply struct {
		Success  bool            `json:"success"`
		Message  string          `json:"message"`
		Response json.RawMessage `json:"response"`
	}
	if err := json.Unmarshal(m.Data, &reply); err != nil {
		return nil, fmt.Errorf("reading the answer to %s: %w", op, err)
	}
	if !reply.Success {
		return nil, fmt.Errorf("the host refused %s: %s", op, reply.Message)
	}
	return reply.Response, nil
}

// PutConfig sets a named config, for links and providers to refer to. Values that a link uses reach a running
// provider only when the link is deleted and put again.
func (h *Host) PutConfig(name string, values map[string]string) {
	h.t.Helper()
	h.Control("config.put."+name, values)
}

// ControlLink is a link as it is put on a host: its configs are names given to [Host.PutConfig].
type ControlLink struct {
	Source, Target, Name       string // Name defaults to "default"
	Package                    string // such as "messaging-kafka:records"; default "wasmcloud:messaging"
	Interface                  string // such as "consumer" or "handler"; several are separated by commas
	SourceConfig, TargetConfig []string
}

// PutLink makes a link.
func (h *Host) PutLink(l ControlLink) {
	h.t.Helper()
	if err := h.TryPutLink(l); err != nil {
		h.t.Fatal(err)
	}
}

// TryPutLink is [Host.PutLink] for links that a host may refuse.
func (h *Host) TryPutLink(l ControlLink) error {
	namespace, name := l.pkg()
	_, err := h.TryControl("link.put", map[string]any{
		"source_id": l.Source, "target": l.Target, "name": l.name(),
		"wit_namespace": namespace, "wit_package": name, "interfaces": strings.Split(l.Interface, ","),
		"source_config": orEmpty(l.SourceConfig), "target_config": orEmpty(l.TargetConfig),
	})
	return err
}

// DeleteLink deletes a link. It need not exist.
func (h *Host) DeleteLink(l ControlLink) {
	h.t.Helper()
	namespace, name := l.pkg()
	h.Control("link.del", map[string]any{
		"source_id": l.Source, "name": l.name(), "wit_namespace": namespace, "wit_package": name,
	})
}

func (l ControlLink) pkg() (namespace, name string) {
	if l.Package == "" {
		return "wasmcloud", "messaging"
	}
	namespace, name, _ = strings.Cut(l.Package, ":")
	return namespace, name
}

func (l ControlLink) name() string {
	if l.Name == "" {
		return "default"
	}
	return l.Name
}

// Scale runs up to count instances of a component from a .wasm file, with named configs, and waits for the host's
// word; 0 stops it.
func (h *Host) Scale(id, wasm string, count int, configs ...string) {
	h.t.Helper()
	h.Control("component.scale."+h.id, map[string]any{
		"component_ref": fileRef(h.t, wasm), "component_id": id, "count": count, "host_id": h.id,
		"config": orEmpty(configs), "allow_update": false, "annotations": map[string]string{},
	})
	// Of requests that come close together the host may do the last one first, so each is waited for, by what it asked.
	h.waitOutcome("component_scaled", "component_scale_failed", "component_id", id, func(e Event) bool {
		return e.Data["max_instances"] == float64(count)
	})
}

// StartProvider starts a provider from an archive (.par file) with named configs and waits until its process runs.
// It may not listen yet: see [Host.WaitHealthy].
func (h *Host) StartProvider(id, par string, configs ...string) {
	h.t.Helper()
	h.Control("provider.start."+h.id, map[string]any{
		"provider_id": id, "provider_ref": fileRef(h.t, par), "host_id": h.id,
		"config": orEmpty(configs), "annotations": map[string]string{},
	})
	h.waitOutcome("provider_started", "provider_start_failed", "provider_id", id, func(Event) bool { return true })
}

// StopProvider stops a provider and waits until it is gone.
func (h *Host) StopProvider(id string) {
	h.t.Helper()
	h.Control("provider.stop."+h.id, map[string]any{"provider_id": id, "host_id": h.id})
	h.WaitEvent("provider_stopped", func(e Event) bool { return e.Text("provider_id") == id && e.ours(h) })
}

func fileRef(t testing.TB, path string) string {
	t.Helper()
	abs, err := filepath.Abs(path)
	if err != nil {
		t.Fatal(err)
	}
	return "file://" + abs
}

// WaitHealthy waits until a provider says that it is healthy.
func (h *Host) WaitHealthy(providerID string) {
	h.t.Helper()
	Eventually(h.t, DefaultTimeout, func() error {
		m, err := h.nc.Request("wasmbus.rpc."+h.lattice+"."+providerID+".health", nil, 2*time.Second)
		if err != nil {
			return fmt.Errorf("asking provider %s for its health: %w", providerID, err)
		}
		var health Health
		if err := json.Unmarshal(m.Data, &health); err != nil {
			return fmt.Errorf("reading the health of provider %s: %w", providerID, err)
		}
		if !health.Healthy {
			return fmt.Errorf("unhealthy: %s", health.Message)
		}
		return nil
	})
}

// Event is an event that a host published.
type Event struct {
	Name   string // such as "component_scaled"
	Source string // the id of the host
	Data   map[string]any
}

// Text returns a field of the event's data that is a text, or "".
func (e Event) Text(field string) string {
	s, _ := e.Data[field].(string)
	return s
}

func (e Event) ours(h *Host) bool { return e.Source == h.id }

func (h *Host) event(m *nats.Msg) {
	var e struct {
		Source string         `json:"source"`
		Data   map[string]any `json:"data"`
	}
	if err := json.Unmarshal(m.Data, &e); err != nil {
		h.t.Errorf("reading an event on %s: %v", m.Subject, err)
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	name := m.Subject[strings.LastIndexByte(m.Subject, '.')+1:]
	h.events = append(h.events, Event{Name: name, Source: e.Source, Data: e.Data})
}

// WaitEvent waits for an event that match accepts (any, if match is nil) and returns it. Events are kept from the
// start of the host on, and each is given out once: an event that came before the call is found, and two calls need
// two events.
func (h *Host) WaitEvent(name string, match func(Event) bool) Event {
	h.t.Helper()
	return h.waitEvent(name, func(e Event) bool { return e.Name == name && (match == nil || match(e)) })
}

func (h *Host) waitEvent(what string, match func(Event) bool) Event {
	h.t.Helper()
	var found Event
	Eventually(h.t, DefaultTimeout, func() error {
		h.mu.Lock()
		defer h.mu.Unlock()
		i := slices.IndexFunc(h.events, match)
		if i < 0 {
			return fmt.Errorf("no event %s", what)
		}
		found = h.events[i]
		h.events = slices.Delete(h.events, i, i+1)
		return nil
	})
	return found
}

// waitOutcome waits for one of two events about id, the good one as it is wanted, and fails the test with the host's
// reason for the bad one.
func (h *Host) waitOutcome(good, bad, field, id string, wanted func(Event) bool) {
	h.t.Helper()
	e := h.waitEvent(good, func(e Event) bool {
		return (e.Name == good && wanted(e) || e.Name == bad) && e.Text(field) == id && e.ours(h)
	})
	if e.Name == bad {
		h.t.Fatalf("%s: %s", bad, e.Text("error"))
	}
}

// Kill kills the host's process at once (SIGKILL). Its providers live on until they notice.
func (h *Host) Kill() {
	h.t.Helper()
	if err := h.cmd.Process.Signal(syscall.SIGKILL); err != nil && !errors.Is(err, os.ErrProcessDone) {
		h.t.Errorf("ending the host: %v", err)
	}
	select {
	case <-h.exited:
	case <-time.After(DefaultTimeout):
		h.t.Errorf("the host did not end within %v of being killed", DefaultTimeout)
	}
	_ = h.stdin.Close() // its reader is gone
}
