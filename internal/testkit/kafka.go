package testkit

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// The versions of Apache Kafka that the tests run on.
const (
	Kafka4 = "4.4.0"
	Kafka3 = "3.9.2"
)

// KafkaOptions say which Apache Kafka a test wants. The zero value is one broker of [Kafka4] without authentication.
type KafkaOptions struct {
	Version string // default Kafka4
	Nodes   int    // 1 (default) or 3; with 3, topics have three replicas and min.insync.replicas=2
	// Auth adds listeners with SASL and TLS: see [Kafka.SASLBrokers] and its neighbours.
	Auth bool
	// Password of the user "app", default "app-secret". Any text will do.
	Password string
	// IPv6 adds, with Auth, the listener of [Kafka.IPv6Brokers].
	IPv6 bool
	// ACL lets only the plaintext listener do what no ACL allows.
	ACL bool
	// NoAutoCreate makes topics appear only when they are created.
	NoAutoCreate bool
	// Proxied adds a listener whose clients all come through proxies: see [Kafka.ProxiedBrokers].
	Proxied bool
	// Heap is the most memory of each node's heap, as Java writes it; default 256m.
	Heap string
	// Properties go to the brokers' server.properties.
	Properties map[string]string
}

// Kafka is a running Apache Kafka of processes of their own.
type Kafka struct {
	opts    KafkaOptions
	dir     string
	port    int // of the first broker; see test/kafka/README.md for the others
	env     []string
	proxies []*Proxy

	stopOnce sync.Once
	stopErr  error
}

// kafkas are the clusters that tests of one package share, by their options.
var kafkas struct {
	mu sync.Mutex
	m  map[string]*Kafka
}

// RealKafka returns an Apache Kafka that all tests of the package share when they ask for the same options. It starts
// with the first of them and is stopped by [Main]. A test that breaks brokers should take [StartKafka] instead, or
// mend what it broke. Tests keep out of each other's way by the names of their topics and groups.
func RealKafka(t testing.TB, opts KafkaOptions) *Kafka {
	t.Helper()
	if opts.Proxied {
		t.Fatal("proxies break connections: a test that wants them starts a Kafka of its own")
	}
	requireKafka(t, opts)
	key := opts.key()
	kafkas.mu.Lock()
	defer kafkas.mu.Unlock()
	if k := kafkas.m[key]; k != nil {
		return k
	}
	k := startKafka(t, opts)
	AtExit(t, k.stop)
	if kafkas.m == nil {
		kafkas.m = map[string]*Kafka{}
	}
	kafkas.m[key] = k
	return k
}

// StartKafka starts an Apache Kafka for this test alone and stops it when the test ends.
func StartKafka(t testing.TB, opts KafkaOptions) *Kafka {
	t.Helper()
	requireKafka(t, opts)
	k := startKafka(t, opts)
	t.Cleanup(func() {
		if t.Failed() {
			k.logTails(t)
		}
		if err := k.stop(); err != nil {
			t.Errorf("stopping Kafka: %v", err)
		}
	})
	return k
}

func (o KafkaOptions) version() string { return cmp.Or(o.Version, Kafka4) }

func (o KafkaOptions) nodes() int { return cmp.Or(o.Nodes, 1) }

func (o KafkaOptions) key() string {
	o.Version, o.Nodes = o.version(), o.nodes()
	return fmt.Sprintf("%+v", o) // fmt sorts the keys of maps
}

func requireKafka(t testing.TB, opts KafkaOptions) {
	t.Helper()
	needs := []Need{Bash, Java}
	if opts.Auth {
		needs = append(needs, OpenSSL)
	}
	Require(t, needs...)
	requireScript(t, []string{"KAFKA_VERSION=" + opts.version()}, "test/kafka/kafka-lib")
}

func startKafka(t testing.TB, opts KafkaOptions) *Kafka {
	t.Helper()
	const tries = 3
	for try := 1; ; try++ {
		// Not the test's own folder: a shared Kafka outlives the test that started it.
		dir, err := os.MkdirTemp("", "messaging-kafka-test-")
		if err != nil {
			t.Fatalf("starting Kafka: %v", err)
		}
		k := &Kafka{opts: opts, dir: dir, env: []string{"KAFKA_VERSION=" + opts.version()}}
		var properties []string
		for _, key := range slices.Sorted(maps.Keys(opts.Properties)) {
			properties = append(properties, key+"="+opts.Properties[key])
		}
		k.env = append(k.env, "KAFKA_PROPS="+strings.Join(properties, "\n"),
			"KAFKA_PASS="+cmp.Or(opts.Password, "app-secret"))
		if k.port, err = FreePorts(10 * opts.nodes()); err != nil {
			t.Fatalf("starting Kafka: %v", err)
		}
		if opts.Proxied {
			k.startProxies(t)
		}
		_, err = runScript(k.env, "test/kafka/kafka-up", k.upArgs("--watch", strconv.Itoa(os.Getpid()))...)
		if err == nil {
			return k
		}
		_ = k.stop() // what matters is why it did not start
		// Another process may have taken one of the ports since they were found free.
		if try == tries || !strings.Contains(err.Error(), "Address already in use") {
			t.Fatalf("starting Kafka: %v", err)
		}
		t.Logf("starting Kafka again on other ports: %v", err)
	}
}

// startProxies starts the proxies before the nodes, because a node has to be told where its proxy is.
func (k *Kafka) startProxies(t testing.TB) {
	t.Helper()
	base, err := FreePorts(k.opts.nodes())
	if err != nil {
		t.Fatalf("starting proxies for Kafka: %v", err)
	}
	for i := range k.opts.nodes() {
		k.proxies = append(k.proxies, newProxyAt(t, loopback(base+i), loopback(k.port+10*i+4)))
	}
}

func loopback(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

func (k *Kafka) upArgs(more ...string) []string {
	args := []string{"-d", k.dir, "-p", strconv.Itoa(k.port), "-n", strconv.Itoa(k.opts.nodes())}
	for flag, on := range map[string]bool{"--auth": k.opts.Auth, "--acl": k.opts.ACL,
		"--no-auto-create": k.opts.NoAutoCreate, "--ipv6": k.opts.IPv6} {
		if on {
			args = append(args, flag)
		}
	}
	if k.opts.Heap != "" {
		args = append(args, "-m", k.opts.Heap)
	}
	if k.opts.Proxied {
		_, port, _ := net.SplitHostPort(k.proxies[0].Addr()) // it is an address that we made
		args = append(args, "--proxied", port)
	}
	return append(args, more...)
}

func (k *Kafka) stop() error {
	k.stopOnce.Do(func() {
		_, err := runScript(nil, "test/kafka/kafka-down", "-d", k.dir, "-9", "--wipe")
		k.stopErr = errors.Join(err, os.RemoveAll(k.dir))
	})
	return k.stopErr
}

func (k *Kafka) brokers(offset int) []string {
	var brokers []string
	for i := range k.opts.nodes() {
		brokers = append(brokers, loopback(k.port+10*i+offset))
	}
	return brokers
}

// Brokers are the plaintext listeners.
func (k *Kafka) Brokers() []string { return k.brokers(0) }

// SASLBrokers are the listeners SASL_PLAINTEXT, with the mechanisms PLAIN, SCRAM-SHA-256 and SCRAM-SHA-512 for user
// "app" with the password of the options.
func (k *Kafka) SASLBrokers() []string { return k.brokers(1) }

// TLSBrokers are the listeners SSL, which ask for a client certificate: see [Kafka.Cert].
func (k *Kafka) TLSBrokers() []string { return k.brokers(2) }

// SASLTLSBrokers are the listeners SASL_SSL.
func (k *Kafka) SASLTLSBrokers() []string { return k.brokers(3) }

// IPv6Brokers are listeners of TLS at [::1], which ask for no client certificate.
func (k *Kafka) IPv6Brokers() []string {
	var brokers []string
	for i := range k.opts.nodes() {
		brokers = append(brokers, net.JoinHostPort("::1", strconv.Itoa(k.port+10*i+5)))
	}
	return brokers
}

// ProxiedBrokers are the listeners whose traffic all goes through [Kafka.Proxies].
func (k *Kafka) ProxiedBrokers() []string {
	var brokers []string
	for _, p := range k.proxies {
		brokers = append(brokers, p.Addr())
	}
	return brokers
}

// Proxies are the proxies before the nodes, in their order.
func (k *Kafka) Proxies() []*Proxy { return k.proxies }

// Cert is the path of a PEM file of a cluster with Auth: "ca.crt", "client.crt" or "client.key".
func (k *Kafka) Cert(name string) string { return filepath.Join(k.dir, "certs", name) }

// Restart stops all nodes in good order and starts them again with their data.
func (k *Kafka) Restart(t testing.TB) {
	t.Helper()
	k.run(t, "test/kafka/kafka-down", "-d", k.dir)
	k.run(t, "test/kafka/kafka-up", k.upArgs()...)
}

// StopNode stops one node (1, 2, …) in good order.
func (k *Kafka) StopNode(t testing.TB, node int) {
	t.Helper()
	k.run(t, "test/kafka/kafka-down", "-d", k.dir, "--node", strconv.Itoa(node))
}

// KillNode kills one node (1, 2, …) as a crash would.
func (k *Kafka) KillNode(t testing.TB, node int) {
	t.Helper()
	k.run(t, "test/kafka/kafka-down", "-d", k.dir, "-9", "--node", strconv.Itoa(node))
}

// StartNode starts a node that was stopped or killed, with its data, and waits until it serves.
func (k *Kafka) StartNode(t testing.TB, node int) {
	t.Helper()
	k.run(t, "test/kafka/kafka-up", k.upArgs("--node", strconv.Itoa(node))...)
}

// PauseNode stops a node's process without ending it (SIGSTOP): its connections stay open and nothing answers. On Linux
// it waits for the last thread to stop, which may still answer for a moment.
func (k *Kafka) PauseNode(t testing.TB, node int) {
	t.Helper()
	k.signal(t, node, syscall.SIGSTOP)
	if runtime.GOOS != "linux" {
		return
	}
	pid := k.PID(t, node)
	Eventually(t, DefaultTimeout, func() error { return allStopped(pid) })
}

// allStopped returns an error while a thread of a process runs: the state stands behind the name, which is in
// parentheses (proc_pid_stat(5)).
func allStopped(pid int) error {
	stats, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
	if err != nil {
		return err
	}
	if len(stats) == 0 {
		return fmt.Errorf("process %d has no threads", pid)
	}
	for _, path := range stats {
		text, err := os.ReadFile(path)
		if errors.Is(err, os.ErrNotExist) {
			continue // it has ended
		}
		if err != nil {
			return err
		}
		if !bytes.Contains(text, []byte(") T")) {
			return fmt.Errorf("a thread still runs: %.60s", text)
		}
	}
	return nil
}

// ResumeNode lets a paused node go on.
func (k *Kafka) ResumeNode(t testing.TB, node int) {
	t.Helper()
	k.signal(t, node, syscall.SIGCONT)
}

func (k *Kafka) signal(t testing.TB, node int, sig syscall.Signal) {
	t.Helper()
	if err := syscall.Kill(k.PID(t, node), sig); err != nil {
		t.Fatalf("sending %v to Kafka node %d: %v", sig, node, err)
	}
}

// PID is the id of the process that a node (1, 2, …) runs in, or ran in last.
func (k *Kafka) PID(t testing.TB, node int) int {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(k.dir, fmt.Sprintf("node%d", node), "pid"))
	if err != nil {
		t.Fatalf("finding the process of Kafka node %d: %v", node, err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatalf("finding the process of Kafka node %d: %v", node, err)
	}
	return pid
}

// KafkaTool runs one of Kafka's own command-line tools of the default version, for a Kafka that the test has from
// elsewhere, and returns what it printed.
func KafkaTool(t testing.TB, name, brokers string, args ...string) string {
	t.Helper()
	requireKafka(t, KafkaOptions{})
	k := &Kafka{env: []string{"KAFKA_VERSION=" + KafkaOptions{}.version()}}
	return k.run(t, "test/kafka/kafka-tool", append([]string{name, "--bootstrap-server", brokers}, args...)...)
}

// Tool runs one of Kafka's own command-line tools (see test/kafka/kafka-tool) and returns what it printed. The
// plaintext brokers are given to it as --bootstrap-server.
func (k *Kafka) Tool(t testing.TB, name string, args ...string) string {
	t.Helper()
	all := append([]string{name, "--bootstrap-server", strings.Join(k.Brokers(), ",")}, args...)
	return k.run(t, "test/kafka/kafka-tool", all...)
}

func (k *Kafka) run(t testing.TB, script string, args ...string) string {
	t.Helper()
	out, err := runScript(k.env, script, args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// logTails shows what the brokers complained about last.
func (k *Kafka) logTails(t testing.TB) {
	t.Helper()
	for node := 1; node <= k.opts.nodes(); node++ {
		text, err := os.ReadFile(filepath.Join(k.dir, fmt.Sprintf("node%d", node), "server.log"))
		if err != nil {
			continue // a node that never ran
		}
		lines := slices.DeleteFunc(strings.Split(string(text), "\n"), func(line string) bool {
			return !strings.Contains(line, "] WARN ") && !strings.Contains(line, "] ERROR ")
		})
		t.Logf("warnings of Kafka node %d:\n%s", node, strings.Join(lines[max(0, len(lines)-20):], "\n"))
	}
}
