//go:build acceptance

package acceptance

import (
	"encoding/binary"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/plain"

	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

// application is who handles records.
type application interface {
	// Kill ends it at once, whatever it is doing: nobody handles records then. Start has it run again.
	Kill()
	Start()
}

// server is the program under test: a front-end with the engine behind it.
type server interface {
	// Change has the settings of its one route changed while it runs.
	Change(settings map[string]string)
	// Stop ends it in good order, within some seconds. Start has it run again.
	Stop()
	Start()
	WaitHealthy()
	WaitUnhealthy()
	// Metrics are what it serves to Prometheus.
	Metrics() string
}

// The topics of a place. What the application makes of a record of in goes to out.
const (
	in     = "in"
	out    = "in.out"
	dead   = "in.dead"
	asked  = "asked"         // where the application requests
	answer = "asked.answers" // where it gets its answers
	group  = "acceptance"
)

// place is a Kafka with a front-end, its program and an application at work, for one test alone.
type place struct {
	t     *testing.T
	fe    *frontEnd
	kafka *testkit.FakeKafka
	kc    *testkit.Client
	users bool // Kafka asks who comes

	// settled, if not nil, tells whether the application has done with all that the program is finished with.
	settled func() error

	app    application
	server server
	// listen is where an application asks a bridge, if it does.
	listen string
}

// The user that the test itself comes as, where Kafka asks.
const testUser, password = "test", "a password"

func newPlace(t *testing.T, fe *frontEnd, users ...string) *place {
	t.Helper()
	p := &place{t: t, fe: fe, users: len(users) > 0, listen: freeAddress(t)}
	var opts []kgo.Opt
	if p.users {
		kafka := []kfake.Opt{kfake.EnableSASL()}
		for _, user := range append(users, testUser) {
			kafka = append(kafka, kfake.Superuser("PLAIN", user, password))
		}
		p.kafka = testkit.KfakeProxied(t, kafka...)
		opts = append(opts, kgo.SASL(plain.Auth{User: testUser, Pass: password}.AsMechanism()))
	} else {
		p.kafka = testkit.Kfake(t)
	}
	p.kc = testkit.NewClient(t, p.kafka.Brokers(), opts...)
	for _, topic := range []string{out, dead, asked, answer} {
		p.kc.Topic(topic, 1, nil)
	}
	return p
}

// start creates the topic to be read and puts the front-end to work with settings, in pairs, besides those that all
// have.
func (p *place) start(partitions int32, more ...string) {
	p.t.Helper()
	p.kc.Topic(in, partitions, nil)
	p.fe.start(p, p.settings(more...))
	p.server.WaitHealthy()
}

func (p *place) settings(more ...string) map[string]string {
	s := map[string]string{
		"hosts": strings.Join(p.kafka.Brokers(), ","), "topic": in, "consumer_group": group, "start": "earliest",
		"commit_interval": "20ms", "retry_backoff": "10ms", "retry_backoff_max": "50ms", "fetch_max_wait": "50ms",
		"drain_timeout": "8s",
	}
	maps.Copy(s, p.fe.settings)
	for i := 0; i < len(more); i += 2 {
		s[more[i]] = more[i+1]
	}
	return s
}

// produce gives the application records without keys and with these values.
func (p *place) produce(values ...string) {
	p.t.Helper()
	records := make([]*kgo.Record, len(values))
	for i, v := range values {
		records[i] = &kgo.Record{Value: []byte(v)}
	}
	p.send(records...)
}

// send gives the application records.
func (p *place) send(records ...*kgo.Record) {
	p.t.Helper()
	for _, r := range records {
		r.Topic = in
		if p.fe.sends { // a handler has to be told where to
			r.Headers = append(r.Headers, kgo.RecordHeader{Key: "send-to", Value: []byte(out)})
		}
	}
	p.kc.Produce(records...)
}

// until waits until a topic has records of all these values.
func (p *place) until(topic string, values ...string) {
	p.t.Helper()
	p.kc.ReadUntil(topic, testkit.DefaultTimeout, func(records []*kgo.Record) bool {
		there := make(map[string]bool)
		for _, v := range valuesOf(records) {
			there[v] = true
		}
		return !slices.ContainsFunc(values, func(v string) bool { return !there[v] })
	})
}

// stored returns what is stored in a topic of one partition, to readers of committed records: all of it, if nobody
// writes there any more.
func (p *place) stored(topic string) []*kgo.Record {
	p.t.Helper()
	const end = "the end of what is stored"
	p.kc.ProduceText(topic, end)
	isEnd := func(r *kgo.Record) bool { return string(r.Value) == end }
	var opts []kgo.Opt
	if p.users {
		opts = append(opts, kgo.SASL(plain.Auth{User: testUser, Pass: password}.AsMechanism()))
	}
	committed := testkit.NewClient(p.t, p.kafka.Brokers(), append(opts, kgo.FetchIsolationLevel(kgo.ReadCommitted()))...)
	records := committed.ReadUntil(topic, testkit.DefaultTimeout, func(records []*kgo.Record) bool {
		return len(records) > 0 && isEnd(records[len(records)-1])
	})
	return slices.DeleteFunc(records, isEnd)
}

// drained waits until all records are finished.
func (p *place) drained() {
	p.t.Helper()
	p.kc.WaitDrained(group, in)
	if p.settled != nil {
		testkit.Eventually(p.t, testkit.DefaultTimeout, p.settled)
	}
}

// once fails the test unless the application's outputs have these values, in whatever order, and each once: or at least
// once, where it publishes by itself and repeats had a cause.
func (p *place) once(repeats bool, values ...string) {
	p.t.Helper()
	p.drained()
	got, want := valuesOf(p.stored(out)), slices.Sorted(slices.Values(values))
	slices.Sort(got)
	if repeats && !p.fe.returns {
		got = slices.Compact(got)
	}
	if !slices.Equal(got, want) {
		p.t.Errorf("the application's outputs are\n%s, want\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// buried fails the test unless the dead letters have these values, in whatever order, and returns them by their values.
func (p *place) buried(values ...string) map[string]*kgo.Record {
	p.t.Helper()
	p.drained()
	if p.settled != nil && len(values) > 0 {
		p.until(dead, values...) // what the application gives up by itself becomes a letter later
	}
	letters := make(map[string]*kgo.Record)
	var got []string
	for _, r := range p.stored(dead) {
		got = append(got, string(r.Value))
		letters[string(r.Value)] = r
	}
	slices.Sort(got)
	if want := slices.Sorted(slices.Values(values)); !slices.Equal(got, want) {
		p.t.Fatalf("the dead letters are %q, want %q", got, want)
	}
	return letters
}

// numbered are n texts that begin with the same.
func numbered(prefix string, n int) []string {
	texts := make([]string, n)
	for i := range texts {
		texts[i] = fmt.Sprintf("%s%02d", prefix, i)
	}
	return texts
}

// each puts the same before each text.
func each(prefix string, texts []string) []string {
	all := make([]string, len(texts))
	for i, text := range texts {
		all[i] = prefix + text
	}
	return all
}

func valuesOf(records []*kgo.Record) []string {
	values := make([]string, len(records))
	for i, r := range records {
		values[i] = string(r.Value)
	}
	return values
}

func headerOf(r *kgo.Record, key string) []byte {
	for _, h := range r.Headers {
		if h.Key == key {
			return h.Value
		}
	}
	return nil
}

// attempts is how often a dead letter's record was delivered.
func attempts(letter *kgo.Record) int {
	b := headerOf(letter, "kafka_deliveryAttempt")
	if len(b) != 4 {
		return -1
	}
	return int(binary.BigEndian.Uint32(b))
}

// freeAddress is an address of this machine that nobody listens on.
func freeAddress(t *testing.T) string {
	t.Helper()
	port, err := testkit.FreePorts(1)
	if err != nil {
		t.Fatal(err)
	}
	return net.JoinHostPort("127.0.0.1", fmt.Sprint(port))
}

// get asks a server that may not be there yet.
func get(t *testing.T, url string) (code int, body string, err error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		return 0, "", err
	}
	resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(text), err
}

// scrape is what is served as /metrics.
func scrape(t *testing.T, address string) string {
	t.Helper()
	code, text, err := get(t, "http://"+address+"/metrics")
	if err != nil || code != http.StatusOK {
		t.Fatalf("asking for metrics: %d, %v", code, err)
	}
	return text
}
