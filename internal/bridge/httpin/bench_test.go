package httpin

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strings"
	"testing"

	"github.com/messaging-kafka/messaging-kafka/internal/base/memory"
	"github.com/messaging-kafka/messaging-kafka/internal/base/redact"
	"github.com/messaging-kafka/messaging-kafka/internal/engine/route"
	"github.com/messaging-kafka/messaging-kafka/internal/observe/status"
	"github.com/messaging-kafka/messaging-kafka/internal/observe/telemetry"
	"github.com/messaging-kafka/messaging-kafka/internal/settings"
	"github.com/messaging-kafka/messaging-kafka/internal/settings/role"
	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// ordersToken is that of the caller "shop".
const ordersToken = "shop-token-0123456789"

// bench is a server before routes and a fake Kafka.
type bench struct {
	t      *testing.T
	kafka  *testkit.FakeKafka
	kc     *testkit.Client
	log    testkit.Log
	set    *route.Set
	routes map[string]*route.Route
	memory *memory.Budget
	server *Server
	client *http.Client
}

// newBench has the route "orders" with further settings; change may do something to the server's options.
func newBench(t *testing.T, config map[string]string, change func(*Options)) *bench {
	t.Helper()
	return newBenchWith(t, map[string]int32{"orders": 3}, config, change)
}

// newBenchWith has topics with so many partitions.
func newBenchWith(t *testing.T, topics map[string]int32, config map[string]string, change func(*Options)) *bench {
	t.Helper()
	b := &bench{t: t, kafka: testkit.Kfake(t), routes: map[string]*route.Route{}, memory: memory.New(64 << 20)}
	b.kc = testkit.NewClient(t, b.kafka.Brokers())
	for topic, partitions := range topics {
		b.kafka.Topic(topic, partitions)
	}
	b.set = route.NewSet(route.Options{Log: b.log.Logger(), Metrics: telemetry.NewMetrics(), Secrets: new(redact.Redactor), Process: []string{"bridge"}})
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), testkit.DefaultTimeout)
		defer cancel()
		b.set.Stop(ctx)
		b.set.Close()
		if t.Failed() {
			t.Logf("the log:\n%s", &b.log)
		}
	})
	b.route("orders", config)
	b.serve(change)
	return b
}

// route opens a route that is published by.
func (b *bench) route(name string, config map[string]string) {
	b.t.Helper()
	all := map[string]string{"hosts": strings.Join(b.kafka.Brokers(), ",")}
	maps.Copy(all, config)
	parsed, _, err := settings.ParseLink(settings.Input{Config: all, Identity: settings.Identity{Lattice: "bridge", Component: "bridge", LinkName: name}})
	if err != nil {
		b.t.Fatal(err)
	}
	r := b.set.Open(route.ID{Peer: "bridge", Name: name}, route.Label{Package: role.MessagingPackage, Direction: status.Target})
	r.Apply(route.Wanted{Role: role.Messaging, Settings: parsed})
	b.routes[name] = r
}

func (b *bench) serve(change func(*Options)) {
	b.t.Helper()
	o := Options{
		Address: "0",
		Callers: []Caller{{Name: "shop", Tokens: []settings.Secret{settings.NewSecret(ordersToken)}, Routes: []string{"orders"}}},
		Routes: func(name string) (Sender, bool) {
			r, ok := b.routes[name]
			return r, ok
		},
		Memory: b.memory, Log: b.log.Logger(),
	}
	if change != nil {
		change(&o)
	}
	var err error
	if b.server, err = Start(o); err != nil {
		b.t.Fatal(err)
	}
	transport := &http.Transport{}
	b.client = &http.Client{Transport: transport, Timeout: testkit.DefaultTimeout}
	b.t.Cleanup(func() {
		transport.CloseIdleConnections()
		testkit.Eventually(b.t, testkit.DefaultTimeout, func() error {
			if used := o.Memory.Status().Used; used != 0 {
				return fmt.Errorf("%d bytes are held at the end", used)
			}
			return nil
		})
		b.stop()
	})
}

func (b *bench) stop() {
	ctx, cancel := context.WithTimeout(context.Background(), testkit.DefaultTimeout)
	defer cancel()
	b.server.Stop(ctx)
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   string
}

// ask sends a request with the token of "shop", unless headers say otherwise; they are names and values.
func (b *bench) ask(method, path, media string, body []byte, headers ...string) answer {
	b.t.Helper()
	request, err := http.NewRequest(method, "http://"+b.server.Addr().String()+path, bytes.NewReader(body))
	if err != nil {
		b.t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+ordersToken)
	if media != "" {
		request.Header.Set("Content-Type", media)
	}
	for i := 0; i < len(headers); i += 2 {
		if request.Header.Del(headers[i]); headers[i+1] != "" {
			request.Header.Set(headers[i], headers[i+1])
		}
		if headers[i] == "Host" {
			request.Host = headers[i+1]
		}
	}
	return b.do(request)
}

func (b *bench) do(request *http.Request) answer {
	b.t.Helper()
	response, err := b.client.Do(request)
	if err != nil {
		b.t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return answer{response.StatusCode, response.Header, string(body)}
}

func (b *bench) post(path, media, body string, headers ...string) answer {
	b.t.Helper()
	return b.ask(http.MethodPost, path, media, []byte(body), headers...)
}

// want fails the test unless the answer has the status and, where it is a failure, its form with a text in it.
func (a answer) want(t *testing.T, status int, mention string) {
	t.Helper()
	if a.status != status || !strings.Contains(a.body, mention) {
		t.Errorf("answered %d %.300s, want %d and %q", a.status, a.body, status, mention)
	}
	if status < 400 {
		return
	}
	var f failed
	if err := json.Unmarshal([]byte(a.body), &f); err != nil || f.ErrorCode != status || f.Message == "" ||
		a.header.Get("Content-Type") != "application/json" {
		t.Errorf("the failure has the form %s %s (%v)", a.header.Get("Content-Type"), a.body, err)
	}
	if (a.header.Get("Retry-After") != "") != (status == 429 || status == 503) {
		t.Errorf("%d has Retry-After %q", status, a.header.Get("Retry-After"))
	}
}

func show(b []byte) string {
	if b == nil {
		return "null"
	}
	return fmt.Sprintf("%q", b)
}
