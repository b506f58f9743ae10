package testkit

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"
)

// ProviderSpec says which provider a [FakeHost] is to start. One of Run and Binary is given.
type ProviderSpec struct {
	Key     string // the provider's id in the lattice, default "kafka"
	Config  map[string]string
	Secrets map[string]SecretValue

	// Run is the provider inside the test's process. It reads host data from stdin, which then ends, and is told to
	// stop as a process would be killed by the end of ctx; it has to return soon after.
	Run func(ctx context.Context, stdin io.Reader) error
	// Binary is the provider's executable; it gets the environment Env and nothing else, as from a host.
	Binary string
	Env    []string

	// HostData, if not nil, may change the host data before each start.
	HostData func(map[string]any)
}

// Provider is a provider that a [FakeHost] started.
type Provider struct {
	host *FakeHost
	spec ProviderSpec
	xkey nkeys.KeyPair
	xpub string

	// output is what the process wrote to stdout and stderr, over all its runs.
	output Log

	mu     sync.Mutex
	config map[string]string
	run    *providerRun
}

// providerRun is one life of a provider, from start to end.
type providerRun struct {
	cancel context.CancelFunc
	cmd    *exec.Cmd // nil inside the test's process
	done   chan struct{}
	err    error // valid once done is closed
}

// StartProvider starts a provider and returns without waiting for it, as a host does: see [Provider.WaitHealthy]. The
// provider is killed when the test ends, if it still runs.
func (h *FakeHost) StartProvider(spec ProviderSpec) *Provider {
	h.t.Helper()
	if (spec.Run == nil) == (spec.Binary == "") {
		h.t.Fatal("a provider is either a function or a binary")
	}
	if spec.Key == "" {
		spec.Key = "kafka"
	}
	p := &Provider{host: h, spec: spec, config: maps.Clone(spec.Config)}
	p.xkey, p.xpub = newXKey(h.t)
	h.t.Cleanup(func() {
		p.kill()
		if spec.Binary != "" && h.t.Failed() {
			h.t.Logf("output of provider %s:\n%s", spec.Key, p.output.String())
		}
	})
	p.start()
	return p
}

func (p *Provider) start() {
	h := p.host
	h.t.Helper()
	// Under the lattice's lock the snapshot of the links and the first put to this provider leave no gap between them
	// on the host's side. On the provider's side there is one: it may subscribe later than a put is sent.
	h.lattice.mu.Lock()
	defer h.lattice.mu.Unlock()
	data := h.hostData(p)

	ctx, cancel := context.WithCancel(context.Background())
	run := &providerRun{cancel: cancel, done: make(chan struct{})}
	if p.spec.Run != nil {
		go func() {
			defer close(run.done)
			run.err = p.spec.Run(ctx, bytes.NewReader(data))
		}()
	} else {
		cmd := exec.Command(p.spec.Binary)
		cmd.Env = p.spec.Env
		if cmd.Env == nil {
			cmd.Env = []string{} // nil would mean the test's own
		}
		cmd.Stdin = bytes.NewReader(data)
		cmd.Stdout, cmd.Stderr = &p.output, &p.output
		if err := cmd.Start(); err != nil {
			cancel()
			h.t.Fatalf("starting provider %s: %v", p.spec.Key, err)
		}
		run.cmd = cmd
		go func() {
			defer close(run.done)
			run.err = cmd.Wait()
		}()
	}
	p.mu.Lock()
	p.run = run
	p.mu.Unlock()
	h.lattice.providers = append(h.lattice.providers, p)
	// A host sends the config once more at once, mostly before anybody listens.
	h.publish(p.subject("config.update"), orEmptyMap(p.Config()))
	h.flush()
}

func (p *Provider) current() *providerRun {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.run
}

func (p *Provider) exited() <-chan struct{} { return p.current().done }

// Key is the provider's id in the lattice.
func (p *Provider) Key() string { return p.spec.Key }

// PID is the number of the provider's process, 0 inside the test's own.
func (p *Provider) PID() int {
	if run := p.current(); run.cmd != nil {
		return run.cmd.Process.Pid
	}
	return 0
}

// Output is what the provider's process wrote to its standard output and error so far.
func (p *Provider) Output() string { return p.output.String() }

// Exited tells whether the provider has ended by now.
func (p *Provider) Exited() bool {
	select {
	case <-p.exited():
		return true
	default:
		return false
	}
}

// WaitExit waits until the provider ends by itself and returns its error: what Run returned or the process's status.
func (p *Provider) WaitExit() error {
	p.host.t.Helper()
	select {
	case <-p.exited():
	case <-time.After(DefaultTimeout):
		p.host.t.Fatalf("provider %s did not end within %v", p.spec.Key, DefaultTimeout)
	}
	p.forget()
	return p.Err()
}

// Err is the error that the provider ended with, nil while it runs.
func (p *Provider) Err() error {
	run := p.current()
	select {
	case <-run.done:
		return run.err
	default:
		return nil
	}
}

// ShutdownResult is how a provider took a shutdown.
type ShutdownResult struct {
	// Replied tells whether the answer came before the host lost its patience.
	Replied bool
	// Took is the time to the answer or to the end of the patience.
	Took time.Duration
	// Err is what Run returned, or the status of a process that ended by itself: a process that was still there
	// when the host had its answer was killed, which is no error.
	Err error
}

// Shutdown stops the provider as a host does: it asks, waits for the answer for the shutdown delay, and kills.
func (p *Provider) Shutdown() ShutdownResult {
	p.host.t.Helper()
	begin := time.Now()
	replied := p.RequestShutdown(p.host.id, p.host.opts.ShutdownDelay)
	result := ShutdownResult{Replied: replied, Took: time.Since(begin)}
	if run := p.current(); run.cmd == nil && replied {
		// Inside the test's process there is no kill: the provider is to end by itself once it has answered, so that
		// what it leaves behind can be seen.
		select {
		case <-run.done:
		case <-time.After(DefaultTimeout):
			p.host.t.Errorf("provider %s answered its shutdown but did not end", p.spec.Key)
		}
	}
	killed := p.kill()
	if !killed {
		result.Err = p.Err()
	}
	return result
}

// RequestShutdown sends a shutdown for the host with the given id and tells whether an answer came within patience. A
// provider that has only just been started may not listen yet: until it does, the shutdown is sent again. The provider
// is left alone otherwise.
func (p *Provider) RequestShutdown(hostID string, patience time.Duration) bool {
	p.host.t.Helper()
	body, err := json.Marshal(map[string]string{"host_id": hostID})
	if err != nil {
		p.host.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for {
		_, err = p.host.nc.RequestWithContext(ctx, p.subject("default.shutdown"), body)
		if !errors.Is(err, nats.ErrNoResponders) {
			break
		}
		select {
		case <-p.exited():
			return false
		case <-ctx.Done():
			return false
		case <-time.After(time.Millisecond):
		}
	}
	if err != nil && !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, nats.ErrTimeout) {
		p.host.t.Errorf("asking provider %s to shut down: %v", p.spec.Key, err)
	}
	return err == nil
}

// Kill ends the provider at once: a process by SIGKILL, a function by the end of its context, for which it waits.
func (p *Provider) Kill() {
	p.host.t.Helper()
	p.kill()
}

// Signal sends a signal to the provider's process.
func (p *Provider) Signal(sig os.Signal) {
	p.host.t.Helper()
	run := p.current()
	if run.cmd == nil {
		p.host.t.Fatalf("provider %s is no process of its own", p.spec.Key)
	}
	if err := run.cmd.Process.Signal(sig); err != nil {
		p.host.t.Fatalf("sending %v to provider %s: %v", sig, p.spec.Key, err)
	}
}

// kill tells whether there was something to kill, and waits until it is gone.
func (p *Provider) kill() bool {
	run := p.current()
	if run == nil {
		return false
	}
	p.forget()
	select {
	case <-run.done:
		run.cancel()
		return false
	default:
	}
	run.cancel()
	if run.cmd != nil {
		// The process may end by itself in this moment, which is as good.
		if err := run.cmd.Process.Signal(syscall.SIGKILL); err != nil && !errors.Is(err, os.ErrProcessDone) {
			p.host.t.Errorf("killing provider %s: %v", p.spec.Key, err)
		}
	}
	select {
	case <-run.done:
	case <-time.After(DefaultTimeout):
		p.host.t.Errorf("provider %s did not end; all goroutines:\n%s", p.spec.Key, allStacks())
	}
	return true
}

// forget takes the provider out of the lattice: it hears of no more links.
func (p *Provider) forget() {
	l := p.host.lattice
	l.mu.Lock()
	defer l.mu.Unlock()
	l.providers = slices.DeleteFunc(l.providers, func(o *Provider) bool { return o == p })
}

// Restart starts the provider again after it has ended or was killed, with fresh host data and the same keys, as a
// host does with a provider that exited.
func (p *Provider) Restart() {
	p.host.t.Helper()
	if !p.Exited() {
		p.host.t.Fatalf("restarting provider %s, which runs", p.spec.Key)
	}
	p.forget()
	p.start()
}

func allStacks() string {
	buf := make([]byte, 1<<20)
	return string(buf[:runtime.Stack(buf, true)])
}
