package attacks

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/messaging-kafka/messaging-kafka/internal/payload/wit"
	"github.com/messaging-kafka/messaging-kafka/internal/record"
	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

const (
	calmToken = "the-token-of-the-bystander"
	evilToken = "the-token-of-the-attacker"
	// evil is the topic of the attacker, and the route that hands its records over.
	evil = "evil"
)

// bridgeWorld is a bridge, what it works with, and a bystander: a caller whose records go all the way through.
type bridgeWorld struct {
	*target
	kafka  *testkit.FakeKafka
	client *testkit.Client
	bridge *testkit.Process
	listen string
	echoed *testkit.Client
	calls  *http.Client
	// answer is how the attacker's application answers a request; asked counts these.
	answer atomic.Pointer[http.HandlerFunc]
	asked  atomic.Int64
}

// TestAttacksOnABridgeStayBelowTheLimit makes one attack after another on a bridge, by its callers and by an
// application.
func TestAttacksOnABridgeStayBelowTheLimit(t *testing.T) {
	if testing.Short() {
		t.Skip("the attacks take minutes")
	}
	w := newBridgeWorld(t)
	w.attack("nothing", "", func() {})
	w.connections()
	w.slowBodies()
	w.largeHeaders()
	w.bombs()
	w.longPolls()
	w.answers("of 1 GiB", "in chunks", func(rw http.ResponseWriter, r *http.Request) {
		rw.Header().Set("Content-Type", wit.RecordsType)
		pour(rw, r, 1<<30)
	})
	w.answers("of 1 GiB that are announced", "with their length", func(rw http.ResponseWriter, r *http.Request) {
		rw.Header().Set("Content-Type", wit.RecordsType)
		rw.Header().Set("Content-Length", strconv.Itoa(1<<30))
		pour(rw, r, 1<<30)
	})
	failing := []byte(strings.Repeat("all is lost\n", 1<<20))
	w.answers("that fail with 1 GiB", "as a reason", func(rw http.ResponseWriter, r *http.Request) {
		rw.Header().Set("Content-Type", "text/plain")
		rw.WriteHeader(http.StatusInternalServerError)
		for range 90 {
			if _, err := rw.Write(failing); err != nil {
				return
			}
		}
	})
	zipped := zip(t, make([]byte, 256<<20))
	sent := fmt.Sprintf("%d KiB for 256 MiB", len(zipped)>>10)
	w.answers("that are gzip", sent, func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("Content-Type", wit.RecordsType)
		rw.Header().Set("Content-Encoding", "gzip")
		_, _ = rw.Write(zipped)
	})
	outputs := wit.AppendProcessed(nil, []record.Outcome{{Kind: record.Done, Outputs: make([]record.Outgoing, 250_000)}})
	sent = fmt.Sprintf("%d KiB each", len(outputs)>>10)
	w.answers("of 250,000 outputs", sent, func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("Content-Type", wit.RecordsType)
		_, _ = rw.Write(outputs)
	})
	header := strings.Repeat("x", 64<<10)
	w.answers("with large headers", "64 MiB each", func(rw http.ResponseWriter, r *http.Request) {
		for n := range 1024 {
			rw.Header().Set(fmt.Sprint("X-", n), header)
		}
	})
	over := make(chan struct{})
	w.answers("that never come", "1 MiB each", silent(over))
	close(over)
	w.bridge.Signal(os.Interrupt)
	if err := w.bridge.Wait(testkit.DefaultTimeout); err != nil {
		t.Errorf("the bridge ended with %v", err)
	}
}

func newBridgeWorld(t *testing.T) *bridgeWorld {
	w := &bridgeWorld{target: newTarget(t), kafka: testkit.Kfake(t)}
	w.client = testkit.NewClient(t, w.kafka.Brokers())
	for _, topic := range []string{calm, echoed, evil, "answers"} {
		w.kafka.Topic(topic, 1)
	}
	w.echoed = testkit.NewClient(t, w.kafka.Brokers(), kgo.ConsumeTopics(echoed), kgo.FetchMaxWait(50*time.Millisecond))
	w.calls = &http.Client{Timeout: testkit.DefaultTimeout}
	app := testkit.NewHTTPApp(t, http.HandlerFunc(w.serveApp))
	ports, err := testkit.FreePorts(1)
	if err != nil {
		t.Fatal(err)
	}
	w.listen = net.JoinHostPort("127.0.0.1", strconv.Itoa(ports))
	path := filepath.Join(t.TempDir(), "bridge.yaml")
	content := fmt.Sprintf(`provider_max_memory: %d
listen: %s
hosts: [%s]
start: earliest
session_timeout: 6s
callers:
  bystander: {token: %s, routes: %s}
  attacker: {token: %s, routes: %s}
routes:
  %[5]s:
    topic: %[5]s
    deliver: http-records
    url: %[8]s/%[5]s
    allowed_topics: [%[5]s, %[9]s]
  %[7]s:
    topic: %[7]s
    deliver: http-records
    url: %[8]s/%[7]s
    max_in_flight: 64
    batch_max_records: 1
    order: none
    handle_timeout: 10m
    retry_backoff_max: 1s
    drain_timeout: 1s
    request_reply_topic: answers
    allowed_topics: %[7]s
`, lid, w.listen, strings.Join(w.kafka.Brokers(), ", "), calmToken, calm, evilToken, evil, app.URL(), echoed)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	w.bridge = testkit.StartProcess(t, "bridge", "--config", path, "--log-level", "warn")
	w.pid, w.serveOne = w.bridge.PID, w.serve
	testkit.Eventually(t, testkit.DefaultTimeout, func() error { // nobody listens until it has begun
		conn, err := net.Dial("tcp", w.listen)
		if err == nil {
			err = conn.Close()
		}
		return err
	})
	w.serve()
	return w
}

// serveApp is the application: the bystander's echoes, and the attacker's does what the attack says.
func (w *bridgeWorld) serveApp(rw http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the bridge gave the request up
	}
	answer := w.answer.Load()
	if r.URL.Path == "/"+evil && answer != nil {
		w.asked.Add(1)
		(*answer)(rw, r)
		return
	}
	batch, err := wit.DecodeBatch(wit.NewBytesDecoder(body))
	if err != nil {
		w.t.Errorf("a request that is none: %v", err)
	}
	outcomes := make([]record.Outcome, len(batch))
	for i, one := range batch {
		outcomes[i] = record.Outcome{Kind: record.Done}
		if r.URL.Path == "/"+calm {
			outcomes[i].Outputs = []record.Outgoing{{Topic: echoed, Partition: record.AnyPartition, Value: one.Value}}
		}
	}
	rw.Header().Set("Content-Type", wit.RecordsType)
	_, _ = rw.Write(wit.AppendProcessed(nil, outcomes)) // a bridge that went does not read it
}

// serve has the bystander publish a record by the bridge, which hands it to the application, whose output is stored.
func (w *bridgeWorld) serve() {
	w.t.Helper()
	want := strconv.FormatInt(w.served.Add(1), 10)
	req := w.post(w.t.Context(), calmToken, "/topics/"+calm, "text/plain", strings.NewReader(want), -1)
	// A connection that is idle may be closed for others in the moment in which it is used again: net/http repeats what
	// nobody has read if this header is there, even without a value.
	req.Header["Idempotency-Key"] = nil
	resp, err := w.calls.Do(req)
	if err != nil {
		w.t.Fatalf("the bystander's record %s is not taken: %v", want, err)
	}
	text, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	if err != nil || resp.StatusCode != http.StatusOK {
		w.t.Fatalf("the bystander's record %s is not taken: %d %s %v", want, resp.StatusCode, text, err)
	}
	ctx, cancel := context.WithTimeout(w.t.Context(), testkit.DefaultTimeout)
	defer cancel()
	for {
		fetches := w.echoed.PollFetches(ctx)
		if ctx.Err() != nil {
			w.t.Fatalf("the bystander's record %s is not served", want)
		}
		for _, r := range fetches.Records() {
			if string(r.Value) == want {
				return
			}
		}
	}
}

// post makes a request of a caller; length is -1 where the body says it.
func (w *bridgeWorld) post(ctx context.Context, token, path, media string, body io.Reader, length int64) *http.Request {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+w.listen+path, body)
	if err != nil {
		w.t.Fatal(err)
	}
	if length >= 0 {
		r.ContentLength = length
	}
	r.Header.Set("Authorization", "Bearer "+token)
	r.Header.Set("Content-Type", media)
	return r
}

// counts are how many answers there were, by their status.
type counts [600]atomic.Int64

// askers makes n requests of the attacker at once, for as long as ctx lasts. wait returns when all are over.
func (w *bridgeWorld) askers(
	ctx context.Context, n int, request func(ctx context.Context) *http.Request,
) (answered *counts, wait func()) {
	answered = new(counts)
	client := &http.Client{Transport: &http.Transport{MaxIdleConns: n, MaxIdleConnsPerHost: n}}
	var asking sync.WaitGroup
	for range n {
		asking.Go(func() {
			resp, err := client.Do(request(ctx))
			if err != nil {
				return // the bridge has cut it off, or the attack is over
			}
			_, _ = io.Copy(io.Discard, resp.Body)
			_ = resp.Body.Close()
			answered[resp.StatusCode].Add(1)
		})
	}
	return answered, func() {
		asking.Wait()
		client.CloseIdleConnections()
	}
}

// connections are opened and say nothing, or half a header.
func (w *bridgeWorld) connections() {
	const n = 5000
	w.attack("connections", fmt.Sprintf("%d, half a header each", n), func() {
		var open []net.Conn
		w.meanwhile(func() {
			for range n {
				conn, err := net.DialTimeout("tcp", w.listen, testkit.DefaultTimeout)
				if err != nil {
					w.t.Error(err)
					return
				}
				open = append(open, conn)
				_, _ = io.WriteString(conn, "POST /topics/evil HTTP/1.1\r\nHost: localhost\r\nX-Half: "+strings.Repeat("x", 2<<10)) // it may be closed already
			}
		})
		w.settle()
		for _, conn := range open {
			_ = conn.Close()
		}
	})
}

// slow is a body whose last byte does not come until ctx ends.
type slow struct {
	ctx  context.Context
	left int64
}

// Read implements io.Reader.
func (s *slow) Read(b []byte) (int, error) {
	if s.left <= 1 {
		<-s.ctx.Done()
		return 0, s.ctx.Err()
	}
	n := min(int64(len(b)), s.left-1)
	clear(b[:n])
	s.left -= n
	return int(n), nil
}

func (w *bridgeWorld) slowBodies() {
	const n, size = 256, 16 << 20
	w.attack("slow bodies", fmt.Sprintf("%d of %d MiB but for the last byte", n, size>>20), func() {
		ctx, cancel := context.WithCancel(w.t.Context())
		answered, wait := w.askers(ctx, n, func(ctx context.Context) *http.Request {
			return w.post(ctx, evilToken, "/topics/"+evil, "application/octet-stream", &slow{ctx, size}, size)
		})
		w.meanwhile(func() {
			testkit.Eventually(w.t, testkit.DefaultTimeout, func() error {
				if answered[http.StatusTooManyRequests].Load() == 0 {
					return errors.New("no request was refused for want of memory")
				}
				return nil
			})
		})
		w.settle()
		cancel()
		wait()
	})
}

func (w *bridgeWorld) largeHeaders() {
	const n, size = 200, 8 << 20
	w.attack("large headers", fmt.Sprintf("%d of %d MiB, by HTTP/1.1 and HTTP/2", 2*n, size>>20), func() {
		w.meanwhile(func() {
			line := []byte("X-Large: " + strings.Repeat("x", 1<<10) + "\r\n")
			var block bytes.Buffer
			encoder := hpack.NewEncoder(&block)
			for n := range 12 {
				_ = encoder.WriteField(hpack.HeaderField{
					Name: fmt.Sprint("x-large-", n), Value: strings.Repeat("x", 1<<10), Sensitive: true,
				})
			}
			var running sync.WaitGroup
			places := make(chan struct{}, 32)
			for i := range 2 * n {
				places <- struct{}{}
				running.Go(func() {
					defer func() { <-places }()
					conn, err := net.DialTimeout("tcp", w.listen, testkit.DefaultTimeout)
					if err != nil {
						w.t.Error(err)
						return
					}
					defer conn.Close()
					if i%2 == 0 {
						_, err = io.WriteString(conn, "POST /topics/evil HTTP/1.1\r\nHost: localhost\r\n")
						for sent := 0; sent < size && err == nil; sent += len(line) {
							_, err = conn.Write(line)
						}
						return // it was cut off
					}
					if _, err = io.WriteString(conn, http2.ClientPreface); err != nil {
						return
					}
					framer := http2.NewFramer(conn, conn)
					err = framer.WriteSettings()
					if err == nil {
						err = framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block.Bytes()})
					}
					for sent := 0; sent < size && err == nil; sent += block.Len() {
						err = framer.WriteContinuation(1, false, block.Bytes())
					}
				})
			}
			running.Wait()
		})
		w.settle()
	})
}

func zip(t *testing.T, b []byte) []byte {
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	if _, err := z.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return zipped.Bytes()
}

func (w *bridgeWorld) bombs() {
	const n = 64
	zipped := string(zip(w.t, make([]byte, 256<<20)))
	many := `{"records":[{}` + strings.Repeat(",{}", 5<<20) + "]}"
	deep := `{"records":[{"value":` + strings.Repeat("[", 15<<20)
	events := `[{"data":1}` + strings.Repeat(`,{"data":1}`, 1<<20) + "]"
	for _, c := range []struct{ name, path, media, encoding, body string }{
		{"gzip", "/topics/" + evil, "application/json", "gzip", zipped},
		{"many records", "/topics/" + evil, "application/vnd.kafka.json.v2+json", "", many},
		{"JSON that nests", "/topics/" + evil, "application/vnd.kafka.json.v2+json", "", deep},
		{"many events", "/topics/" + evil, "application/cloudevents-batch+json", "", events},
		{"many values", "/v1/records/send", wit.RecordsType, "", "\x80\x80\x10" + strings.Repeat("\x00\x00\x00\x00\x00\x00", 1<<18)},
	} {
		w.attack("bombs/"+c.name, fmt.Sprintf("%d of %d KiB", n, len(c.body)>>10), func() {
			w.meanwhile(func() {
				answered, wait := w.askers(w.t.Context(), n, func(ctx context.Context) *http.Request {
					r := w.post(ctx, evilToken, c.path, c.media, strings.NewReader(c.body), -1)
					if c.encoding != "" {
						r.Header.Set("Content-Encoding", c.encoding)
					}
					return r
				})
				wait()
				if answered[http.StatusOK].Load() > 0 {
					w.t.Error("a bomb was taken for records")
				}
			})
			w.settle()
		})
	}
}

// longPolls are requests that wait for an answer that nobody gives.
func (w *bridgeWorld) longPolls() {
	const n, size = 600, 1 << 20
	value := bytes.Repeat([]byte("v"), size-(64<<10))
	body := wit.AppendOutgoing(nil, &record.Outgoing{Topic: evil, Partition: record.AnyPartition, Value: value})
	w.attack("long polls", fmt.Sprintf("%d requests of %d KiB that nobody answers", n, len(body)>>10), func() {
		ctx, cancel := context.WithCancel(w.t.Context())
		over := make(chan struct{})
		defer close(over) // what was asked is answered then, or the requests would take up the route
		never := silent(over)
		w.answer.Store(&never)
		_, wait := w.askers(ctx, n, func(ctx context.Context) *http.Request {
			return w.post(ctx, evilToken, "/v1/records/request?timeout-ms=600000", wit.RecordsType, bytes.NewReader(body), -1)
		})
		w.meanwhile(func() { w.waitAsked(1) })
		w.settle()
		cancel()
		wait()
		w.answer.Store(nil)
	})
}

// silent is an application that answers nothing until all is over.
func silent(over <-chan struct{}) http.HandlerFunc {
	return func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-r.Context().Done():
		case <-over:
		}
	}
}

func (w *bridgeWorld) waitAsked(n int64) {
	testkit.Eventually(w.t, 2*testkit.DefaultTimeout, func() error {
		if asked := w.asked.Load(); asked < n {
			return fmt.Errorf("the application was asked %d times", asked)
		}
		return nil
	})
}

// answers are an application's to requests with 1 MiB each.
func (w *bridgeWorld) answers(name, sent string, answer http.HandlerFunc) {
	const records = 128
	w.attack("answers "+name, fmt.Sprintf("to %d records at least, %s", records, sent), func() {
		w.asked.Store(0)
		w.answer.Store(&answer)
		value := bytes.Repeat([]byte("v"), 900<<10)
		for range records {
			w.client.Produce(&kgo.Record{Topic: evil, Value: value})
		}
		// As many as max_buffer lets wait for an answer at once.
		w.meanwhile(func() { w.waitAsked(12) })
		w.settle()
		w.answer.Store(nil)
	})
}

// pour writes so many bytes, or as many as are read.
func pour(rw http.ResponseWriter, r *http.Request, n int) {
	part := make([]byte, 1<<20)
	for sent := 0; sent < n && r.Context().Err() == nil; sent += len(part) {
		if _, err := rw.Write(part); err != nil {
			return
		}
	}
}
