package testkit

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// composed are the components that were made of several, once for all tests of a package.
var composed struct {
	mu   sync.Mutex
	dir  string
	made map[string]string
}

// wasiPrograms returns the paths of wasmtime and wac, or skips the test (in CI: fails it) with word of how to build
// them: the first build takes too long for a test.
func wasiPrograms(t testing.TB) (wasmtime, wac string) {
	t.Helper()
	Require(t, Bash)
	paths := strings.Fields(requireScript(t, nil, "test/wasi-host/build", "-n"))
	if len(paths) != 2 {
		t.Fatalf("test/wasi-host/build printed %q, not two paths", paths)
	}
	return paths[0], paths[1]
}

// ShimWasm returns the path of a shim that shims/build knows by this name, and builds it if need be.
func ShimWasm(t testing.TB, name string) string {
	t.Helper()
	Require(t, Bash)
	return requireScript(t, nil, "shims/build", name)
}

// Wac returns the path of wac, or skips the test.
func Wac(t testing.TB) string {
	t.Helper()
	_, wac := wasiPrograms(t)
	return wac
}

// Wasmtime returns the path of wasmtime, or skips the test.
func Wasmtime(t testing.TB) string {
	t.Helper()
	wasmtime, _ := wasiPrograms(t)
	return wasmtime
}

// Compose makes one component of several by wac: what socket imports and a plug exports is linked. It does so once for
// all tests of a package.
func Compose(t testing.TB, socket string, plugs ...string) string {
	t.Helper()
	wac := Wac(t)
	composed.mu.Lock()
	defer composed.mu.Unlock()
	of := socket + " " + strings.Join(plugs, " ")
	if path, ok := composed.made[of]; ok {
		return path
	}
	if composed.dir == "" {
		dir, err := os.MkdirTemp("", "messaging-kafka-test-")
		if err != nil {
			t.Fatal(err)
		}
		AtExit(t, func() error { return os.RemoveAll(dir) })
		composed.dir, composed.made = dir, make(map[string]string)
	}
	path := filepath.Join(composed.dir, fmt.Sprintf("%d.wasm", len(composed.made)))
	args := []string{"plug", socket, "-o", path}
	for _, plug := range plugs {
		args = append(args, "--plug", plug)
	}
	if out, err := exec.Command(wac, args...).CombinedOutput(); err != nil {
		t.Fatalf("composing %s: %v\n%s", of, err, out)
	}
	composed.made[of] = path
	return path
}

// WasiHost is wasmtime, which serves one component of wasi:http on a port that stays the same. Each request has an
// instance of the component to itself. Its methods may be called from any goroutine, one at a time.
type WasiHost struct {
	t      testing.TB
	addr   string
	args   []string
	output Log

	mu     sync.Mutex
	cmd    *exec.Cmd // nil while it does not run
	exited chan struct{}
}

// StartWasiHost serves a component of wasi:http with an environment, of "NAME=value" each, and stops when the test
// ends.
func StartWasiHost(t testing.TB, wasm string, env ...string) *WasiHost {
	t.Helper()
	wasmtime, _ := wasiPrograms(t)
	port, err := FreePorts(1)
	if err != nil {
		t.Fatal(err)
	}
	h := &WasiHost{t: t, addr: fmt.Sprintf("127.0.0.1:%d", port)}
	// The imports of components for wasm32-wasip2 are there with cli.
	h.args = []string{wasmtime, "serve", "--addr", h.addr, "-S", "cli", "-C", "cache=y"}
	for _, variable := range env {
		h.args = append(h.args, "--env", variable)
	}
	h.args = append(h.args, wasm)
	t.Cleanup(func() {
		h.Kill()
		if t.Failed() {
			t.Logf("output of wasmtime:\n%s", h.output.String())
		}
	})
	h.Start()
	return h
}

// URL is where the component is asked.
func (h *WasiHost) URL() string { return "http://" + h.addr }

// PID is the number of the host's process.
func (h *WasiHost) PID() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.cmd.Process.Pid
}

// Output is what the host and its component wrote so far.
func (h *WasiHost) Output() string { return h.output.String() }

// Start starts the host after [WasiHost.Kill] and waits until it answers.
func (h *WasiHost) Start() {
	h.t.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.cmd != nil {
		return
	}
	cmd := exec.Command(h.args[0], h.args[1:]...)
	cmd.Stdout, cmd.Stderr = &h.output, &h.output
	if err := cmd.Start(); err != nil {
		h.t.Fatalf("starting wasmtime: %v", err)
	}
	exited := make(chan struct{})
	go func() {
		defer close(exited)
		_ = cmd.Wait() // how it ends matters to no test; that it ended early shows in what follows
	}()
	h.cmd, h.exited = cmd, exited
	Eventually(h.t, DefaultTimeout, func() error {
		select {
		case <-exited:
			h.t.Fatalf("wasmtime ended at once:\n%s", h.output.String())
		default:
		}
		conn, err := net.DialTimeout("tcp", h.addr, time.Second)
		if err != nil {
			return err
		}
		return conn.Close()
	})
}

// Kill ends the host at once (SIGKILL), whatever its component is doing.
func (h *WasiHost) Kill() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.cmd == nil {
		return
	}
	_ = h.cmd.Process.Kill() // its error says that it has ended already
	<-h.exited
	h.cmd = nil
}
