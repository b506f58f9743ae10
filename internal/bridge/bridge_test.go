package bridge

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/messaging-kafka/messaging-kafka/internal/observe/status"
	"github.com/messaging-kafka/messaging-kafka/internal/payload/wit"
	"github.com/messaging-kafka/messaging-kafka/internal/record"
	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// application is one behind HTTP, which keeps what it was sent.
type application struct {
	*httptest.Server
	handle func(*record.Record) record.Outcome

	mu     sync.Mutex
	got    []*record.Record
	header []http.Header
}

// newApplication serves messages of deliver=http-records. handle may be nil.
func newApplication(t *testing.T, handle func(*record.Record) record.Outcome) *application {
	t.Helper()
	a := &application{handle: handle}
	a.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return // the bridge gave the request up
		}
		batch, err := wit.DecodeBatch(wit.NewBytesDecoder(body))
		if err != nil {
			t.Errorf("a request that is none: %v", err)
		}
		a.mu.Lock()
		a.header = append(a.header, r.Header.Clone())
		a.mu.Unlock()
		outcomes := make([]record.Outcome, len(batch))
		for i, one := range batch {
			outcomes[i] = record.Outcome{Kind: record.Done}
			if a.handle != nil {
				outcomes[i] = a.handle(one)
			}
			a.mu.Lock()
			a.got = append(a.got, one)
			a.mu.Unlock()
		}
		w.Header().Set("Content-Type", wit.RecordsType)
		_, _ = w.Write(wit.AppendProcessed(nil, outcomes)) // a bridge that went does not read it
	}))
	t.Cleanup(a.Close)
	return a
}

func (a *application) records() []*record.Record {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.got)
}

// values are those of the records that came.
func (a *application) values() []string {
	var values []string
	for _, r := range a.records() {
		values = append(values, string(r.Value))
	}
	return values
}

// await waits until so many records have come, and returns their values.
func (a *application) await(t *testing.T, n int) []string {
	t.Helper()
	testkit.Eventually(t, testkit.DefaultTimeout, func() error {
		if got := len(a.records()); got < n {
			return fmt.Errorf("%d records of %d have come", got, n)
		}
		return nil
	})
	return a.values()
}

// bench is a running bridge.
type bench struct {
	t     *testing.T
	path  string
	log   *testkit.Log
	admin string

	end   context.CancelFunc
	ended chan struct{}
	err   error // once it has ended
}

// write writes a file as a whole, as those who deploy do.
func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path+".new", []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

// start runs a bridge with a file, to which an admin address is added, until the test ends.
func start(t *testing.T, content string, env map[string]string) *bench {
	t.Helper()
	return startWith(t, content, env, Options{})
}

// startWith does so with further options.
func startWith(t *testing.T, content string, env map[string]string, o Options) *bench {
	t.Helper()
	b := &bench{t: t, path: filepath.Join(t.TempDir(), "bridge.yaml"), log: new(testkit.Log), ended: make(chan struct{})}
	write(t, b.path, withAdmin(content))
	ctx, end := context.WithCancel(context.Background())
	b.end = end
	admin := make(chan net.Addr, 1)
	o.Path, o.Log, o.OnAdmin = b.path, b.log.Logger(), func(a net.Addr) { admin <- a }
	o.Lookup = func(name string) (string, bool) {
		value, set := env[name]
		return value, set
	}
	go func() {
		b.err = Run(ctx, o)
		close(b.ended)
	}()
	t.Cleanup(func() { _ = b.stop() }) // tests that care look themselves
	select {
	case a := <-admin:
		b.admin = "http://" + a.String()
	case <-b.ended:
		if len(admin) == 0 {
			t.Fatalf("the bridge did not begin: %v", b.err)
		}
	}
	return b
}

func withAdmin(content string) string { return "admin_address: 127.0.0.1:0\n" + content }

// stop has the bridge end, and returns how that went.
func (b *bench) stop() error {
	b.end()
	err := b.wait()
	if b.t.Failed() {
		b.t.Log(b.log.String())
	}
	return err
}

// wait waits for the bridge to end, and returns how that went.
func (b *bench) wait() error {
	<-b.ended
	return b.err
}

func (b *bench) get(path string) (code int, body string) {
	b.t.Helper()
	resp, err := http.Get(b.admin + path)
	if err != nil {
		b.t.Fatal(err)
	}
	defer resp.Body.Close()
	content, err := io.ReadAll(resp.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return resp.StatusCode, string(content)
}

func (b *bench) status() *status.Provider {
	b.t.Helper()
	_, body := b.get("/links")
	var s status.Provider
	if err := json.Unmarshal([]byte(body), &s); err != nil {
		b.t.Fatalf("%v: %s", err, body)
	}
	return &s
}

// await waits until the status is as check wants it.
func (b *bench) await(check func(*status.Provider) error) {
	b.t.Helper()
	testkit.Eventually(b.t, testkit.DefaultTimeout, func() error { return check(b.status()) })
}

func healthy(s *status.Provider) error {
	if !s.Healthy {
		return fmt.Errorf("it is not healthy: %s", s.Message)
	}
	return nil
}

// file is one with routes that read a topic of their name from the beginning, in groups that are left soon.
func file(brokers []string, routes ...string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "hosts: [%s]\nstart: earliest\nsession_timeout: 6s\nrebalance_timeout: 6s\nroutes:\n", strings.Join(brokers, ", "))
	for _, r := range routes {
		name, rest, _ := strings.Cut(r, "\n")
		fmt.Fprintf(&b, "  %s:\n", name)
		for line := range strings.Lines(rest) {
			fmt.Fprintf(&b, "    %s", line)
		}
		b.WriteString("\n")
	}
	return b.String()
}

func TestRecordsFlowInOrderAndOutputsAreProduced(t *testing.T) {
	t.Parallel()
	k := testkit.Kfake(t)
	k.Topic("orders", 2)
	k.Topic("bills", 1)
	client := testkit.NewClient(t, k.Brokers())
	app := newApplication(t, func(r *record.Record) record.Outcome {
		return record.Outcome{Kind: record.Done, Outputs: []record.Outgoing{
			{Topic: "bills", Partition: record.AnyPartition, Key: r.Key, Value: append([]byte("bill for "), r.Value...)},
		}}
	})
	b := start(t, file(k.Brokers(), "orders\ntopic: orders\ndeliver: http-records\nurl: "+app.URL), nil)
	const n = 200
	var want []string
	for i := range n {
		value := fmt.Sprintf("order %03d", i)
		want = append(want, value)
		client.Produce(&kgo.Record{Topic: "orders", Key: []byte("one customer"), Value: []byte(value)})
	}
	if got := app.await(t, n); !slices.Equal(got, want) {
		t.Errorf("they came as %q", got)
	}
	if bills := client.Read("bills", n); string(bills[n-1].Value) != "bill for "+want[n-1] {
		t.Errorf("the last bill is %q", bills[n-1].Value)
	}
	client.WaitDrained("bridge.orders", "orders")
	b.await(healthy)
	if s := b.status(); len(s.Links) != 1 || s.Links[0].Component != "bridge" || s.Links[0].Name != "orders" {
		t.Errorf("the status is %+v", s)
	}
	if err := b.stop(); err != nil {
		t.Error(err)
	}
}
