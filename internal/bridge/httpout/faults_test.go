package httpout

import (
	"bufio"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/messaging-kafka/messaging-kafka/internal/base/memory"
	"github.com/messaging-kafka/messaging-kafka/internal/payload"
	"github.com/messaging-kafka/messaging-kafka/internal/payload/wit"
	"github.com/messaging-kafka/messaging-kafka/internal/record"
	"github.com/messaging-kafka/messaging-kafka/internal/settings"
	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

// all are the receivers of each kind to one application.
func all(t *testing.T, o Options) map[string]record.Receiver {
	t.Helper()
	message := func(r *record.Record) (payload.Message, bool) {
		return payload.Message{Subject: r.Topic, Body: r.Value}, true
	}
	list := map[string]record.Receiver{}
	for name, format := range map[string]Format{"value": Value, "json": JSON} {
		m, err := NewMessages(withDefaults(o), format, message, nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(m.Close)
		list["messages, "+name], list["records, "+name] = m, receiver(t, o, format)
	}
	list["events, batched"] = events(t, o, Batched, nil)
	return list
}

// TestWhatStatusesMeanIsTheSameForAll receivers that send several records in one request, alone and together.
func TestWhatStatusesMeanIsTheSameForAll(t *testing.T) {
	for status := 200; status < 600; status++ {
		url := "http://app"
		dial := answering(t, func(string) string {
			body := "because of this"
			if status == 204 || status == 304 {
				return fmt.Sprintf("HTTP/1.1 %d X\r\n\r\n", status)
			}
			if status < 300 {
				body = ""
			}
			return fmt.Sprintf("HTTP/1.1 %d X\r\nRetry-After: 9\r\nContent-Length: %d\r\n\r\n%s", status, len(body), body)
		})
		for name, r := range all(t, Options{URL: url, Dial: dial}) {
			for _, n := range []int{1, 2} {
				want := record.Unanswered
				switch {
				case status < 300:
					want = record.Done
				case status < 400, status == 401, status == 407, status == 404, status == 503:
					want = record.Unavailable
				case status == 408, status == 425, status == 429:
					want = record.Retry
				case n == 1 && status < 500:
					want = record.Reject
				case n == 1:
					want = record.Retry
				}
				for _, o := range r.Receive(t.Context(), batchOf(n)) {
					if o.Kind != want || status >= 400 && o.After != 9*time.Second {
						t.Errorf("%d for %d %s: %v after %s (%v)", status, n, name, o.Kind, o.After, o.Err)
					}
				}
			}
		}
	}
}

// answering dials applications of which each answers each request as answer says, "" by closing its connection. They
// end with the connections.
func answering(t *testing.T, answer func(head string) string) func(context.Context, string, string) (net.Conn, error) {
	t.Helper()
	var serving sync.WaitGroup
	t.Cleanup(serving.Wait)
	return func(context.Context, string, string) (net.Conn, error) {
		ours, theirs := net.Pipe()
		serving.Go(func() {
			defer theirs.Close()
			from := bufio.NewReader(theirs)
			for {
				req, err := http.ReadRequest(from)
				if err != nil {
					return // the connection has ended
				}
				if _, err := io.Copy(io.Discard, req.Body); err != nil {
					return
				}
				text := answer(req.Header.Get("Messaging-Kafka-Route"))
				if text == "" {
					return
				}
				if _, err := io.WriteString(theirs, text); err != nil || strings.HasSuffix(text, "…") {
					return
				}
			}
		})
		return ours, nil
	}
}

// TestAConnectionThatBreaksWithinAnAnswerIsNoStaleOne: the request was taken, so it is not sent again.
func TestAConnectionThatBreaksWithinAnAnswerIsNoStaleOne(t *testing.T) {
	for name, answer := range map[string]string{
		"in its first line": "HTTP/1.1 2…", "in its headers": "HTTP/1.1 200 OK\r\nContent-Le…",
		"in its body": "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc…", "in a chunk": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab…",
		"that is none": "hello\r\n\r\n…",
	} {
		t.Run(name, func(t *testing.T) {
			calls := 0
			r := receiver(t, Options{URL: "http://app", Dial: answering(t, func(string) string { calls++; return answer })}, Value)
			if o := r.Receive(t.Context(), batchOf(1))[0]; o.Kind != record.Unanswered || calls != 1 {
				t.Errorf("%v after %d calls: %v", o.Kind, calls, o.Err)
			}
		})
	}
}

// TestAConnectionThatWasClosedWhileNobodyUsedItCostsNothing: the next request goes by another.
func TestAConnectionThatWasClosedWhileNobodyUsedItCostsNothing(t *testing.T) {
	for _, protocol := range []string{"http1", "h2"} {
		var calls atomic.Int32
		s := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { calls.Add(1) }))
		s.Config.Protocols = new(http.Protocols)
		s.Config.Protocols.SetHTTP1(true)
		s.Config.Protocols.SetUnencryptedHTTP2(true)
		s.Start()
		r := receiver(t, Options{URL: s.URL, HTTP2: protocol == "h2"}, Value)
		for i := range int32(5) {
			if o := r.Receive(t.Context(), batchOf(1))[0]; o.Kind != record.Done || calls.Load() != i+1 {
				t.Errorf("%s: %v after %d calls for %d records (%v)", protocol, o.Kind, calls.Load(), i+1, o.Err)
			}
			s.CloseClientConnections()
		}
		r.Close()
		s.Close()
	}
}

// TestAnApplicationThatIsKilledHoldsItsRecords: its connections break, and the next one is refused.
func TestAnApplicationThatIsKilledHoldsItsRecords(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	r := receiver(t, Options{URL: s.URL}, Value)
	if o := r.Receive(t.Context(), batchOf(1))[0]; o.Kind != record.Done {
		t.Fatalf("%v: %v", o.Kind, o.Err)
	}
	s.CloseClientConnections()
	s.Close()
	for range 3 {
		if o := r.Receive(t.Context(), batchOf(1))[0]; o.Kind != record.Unavailable {
			t.Errorf("%v: %v", o.Kind, o.Err)
		}
	}
}

// TestTimesThatAreOver count once the request is there, at whatever point it stands still.
func TestTimesThatAreOver(t *testing.T) {
	stuck := func(ctx context.Context, _, _ string) (net.Conn, error) { <-ctx.Done(); return nil, ctx.Err() }
	silent := func(context.Context, string, string) (net.Conn, error) {
		ours, theirs := net.Pipe()
		go func() { _, _ = io.Copy(io.Discard, theirs); theirs.Close() }()
		return ours, nil
	}
	deaf := func(context.Context, string, string) (net.Conn, error) { // not even a byte is taken
		ours, _ := net.Pipe()
		return ours, nil
	}
	for name, c := range map[string]struct {
		url    string
		dial   func(context.Context, string, string) (net.Conn, error)
		answer string
		want   record.Kind
		within time.Duration
	}{
		"no connection":        {"http://app", stuck, "", record.Unavailable, 30 * time.Second},
		"no TLS":               {"https://app", silent, "", record.Unavailable, dialTimeout},
		"no answer":            {"http://app", silent, "", record.Unanswered, 30 * time.Second},
		"in the headers":       {"http://app", nil, "HTTP/1.1 200 OK\r\n", record.Unanswered, 30 * time.Second},
		"in the body":          {"http://app", nil, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc", record.Unanswered, 30 * time.Second},
		"in a body of a 400":   {"http://app", nil, "HTTP/1.1 400 X\r\nContent-Length: 9\r\n\r\nabc", record.Reject, 30 * time.Second},
		"another protocol":     {"http://app", nil, "HTTP/1.1 101 X\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", record.Unanswered, 0},
		"the request is stuck": {"http://app", deaf, "", record.Unanswered, 30 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				if c.dial == nil {
					c.dial = answering(t, func(string) string { return c.answer })
				}
				r := receiver(t, Options{URL: c.url, Dial: c.dial}, Value)
				ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
				defer cancel()
				began := time.Now()
				if o := r.Receive(ctx, batchOf(1))[0]; o.Kind != c.want || time.Since(began) != c.within {
					t.Errorf("%v after %s: %v", o.Kind, time.Since(began), o.Err)
				}
				synctest.Wait()
			})
		})
	}
}

// TestADateOfRetryAfterIsCountedFromNow: an answer that names one is waited for until then.
func TestADateOfRetryAfterIsCountedFromNow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dial := answering(t, func(string) string {
			return "HTTP/1.1 503 X\r\nRetry-After: " + time.Now().Add(90*time.Second).UTC().Format(http.TimeFormat) + "\r\nContent-Length: 0\r\n\r\n"
		})
		for name, r := range all(t, Options{URL: "http://app", Dial: dial}) {
			if o := r.Receive(t.Context(), batchOf(1))[0]; o.Kind != record.Unavailable || o.After != 90*time.Second {
				t.Errorf("%s: %v after %s", name, o.Kind, o.After)
			}
		}
	})
}

// TestAnswersOfMessagesThatCannotBeReadFailTheBatch like those of records.
func TestAnswersOfMessagesThatCannotBeReadFailTheBatch(t *testing.T) {
	for name, c := range map[string]struct{ header, body, mention string }{
		"too few":           {wit.MessagesType, "\x01\x00", "1 results for a batch of 2"},
		"too many":          {wit.MessagesType, "\x03\x00\x00\x00", "3 results for a batch of 2"},
		"a number too high": {wit.MessagesType, "\xff\xff\xff\xff\x0f\x00", "where 1 bytes are left"},
		"more behind them":  {wit.MessagesType, "\x02\x00\x00\x00", "more behind"},
		"records":           {wit.RecordsType, "\x02\x00\x00\x00\x00", "was asked for"},
		"compressed":        {wit.MessagesType + "\r\nContent-Encoding: gzip", "\x1f\x8b", "compressed"},
	} {
		dial := answering(t, func(string) string {
			return fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s", c.header, len(c.body), c.body)
		})
		for _, o := range all(t, Options{URL: "http://app", Dial: dial})["messages, value"].Receive(t.Context(), batchOf(2)) {
			if o.Kind != record.Unanswered || !strings.Contains(o.Err.Error(), c.mention) {
				t.Errorf("%s: %v (%v)", name, o.Kind, o.Err)
			}
		}
	}
}

// TestBombsFindNoRoom: an answer is counted before anything is made of it, and given back when it is handed over.
func TestBombsFindNoRoom(t *testing.T) {
	const room = 8 << 20
	chunked := func(contentType, body string) string {
		return fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Type: %s\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", contentType, len(body), body)
	}
	sized := func(contentType, body string) string {
		return fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s", contentType, len(body), body)
	}
	many := wit.AppendProcessed(nil, []record.Outcome{{Kind: record.Done, Outputs: make([]record.Outgoing, 100_000)}})
	headers := wit.AppendProcessed(nil, []record.Outcome{{Kind: record.Done, Outputs: []record.Outgoing{{Topic: "t", Headers: make([]record.Header, 300_000)}}}})
	for name, c := range map[string]struct{ kind, answer string }{
		"JSON of empty outputs":  {"records, json", sized(wit.RecordsTypeJSON, `[{"ok":[`+strings.Repeat("{},", 1<<20)+`{}]}]`)},
		"JSON of empty results":  {"records, json", sized(wit.RecordsTypeJSON, "["+strings.Repeat("1,", 1<<20)+"1]")},
		"JSON of empty messages": {"messages, json", sized(wit.MessagesTypeJSON, "["+strings.Repeat("{},", 1<<20)+"{}]")},
		"many outputs":           {"records, value", sized(wit.RecordsType, string(many))},
		"many headers":           {"records, value", sized(wit.RecordsType, string(headers))},
		"one large chunk":        {"records, value", chunked(wit.RecordsType, strings.Repeat("\x01", room))},
		"one large body":         {"records, json", sized(wit.RecordsTypeJSON, strings.Repeat(" ", room))},
		"events":                 {"events", sized(payload.EventsType, "["+strings.Repeat(`{"data":1},`, 1<<18)+`{"data":1}]`)},
		"one event":              {"events", sized(payload.EventType, `{"a":`+strings.Repeat("[", 1<<20))},
	} {
		t.Run(name, func(t *testing.T) {
			account := memory.New(2 * room).Open("answers")
			o := Options{URL: "http://app", Dial: answering(t, func(string) string { return c.answer }), MaxAnswer: 4 * room, Memory: account}
			r := all(t, o)[c.kind]
			if c.kind == "events" {
				r = events(t, o, Binary, replyTo("out"))
			}
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			got := r.Receive(t.Context(), batchOf(1))[0]
			runtime.ReadMemStats(&after)
			if got.Kind != record.Unanswered || !strings.Contains(got.Err.Error(), "no room") {
				t.Errorf("%v: %v", got.Kind, got.Err)
			}
			if made := after.TotalAlloc - before.TotalAlloc; made > 6*room {
				t.Errorf("%d bytes were made of it", made)
			}
			if used := account.Used(); used != 0 {
				t.Errorf("%d bytes are still counted", used)
			}
		})
	}
}

// TestAnAnswerWithoutRoomIsWaitedFor where there could be room another time: nobody is to blame for that.
func TestAnAnswerWithoutRoomIsWaitedFor(t *testing.T) {
	budget := memory.New(1 << 20)
	others, account := budget.Open("others"), budget.Open("answers")
	answer := string(wit.AppendProcessed(nil, []record.Outcome{{Kind: record.Done, Outputs: []record.Outgoing{{Topic: "t", Value: make([]byte, 400<<10)}}}}))
	url := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", wit.RecordsType)
		w.Header().Set("Content-Length", strconv.Itoa(len(answer)))
		_, _ = io.WriteString(w, answer)
	})
	r := receiver(t, Options{URL: url, Memory: account}, Value)
	if !others.Take(500 << 10) {
		t.Fatal("no room for others")
	}
	if o := r.Receive(t.Context(), batchOf(1))[0]; o.Kind != record.Unavailable {
		t.Errorf("%v: %v", o.Kind, o.Err)
	}
	others.Give(500 << 10)
	if o := r.Receive(t.Context(), batchOf(1))[0]; o.Kind != record.Done || account.Used() != 0 {
		t.Errorf("%v: %v, %d bytes still counted", o.Kind, o.Err, account.Used())
	}
}

// TestTraceHeadersThatNoRequestCanHaveStayBehind: a record must not be held up by what its writer put into them.
func TestTraceHeadersThatNoRequestCanHaveStayBehind(t *testing.T) {
	const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	url := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		if r.Header.Get("traceparent") != parent || r.Header.Get("baggage") != "" {
			t.Errorf("headers %v", r.Header)
		}
	})
	r := batchOf(1)
	r[0].Headers = []record.Header{{Key: "traceparent", Value: []byte(parent)}, {Key: "baggage", Value: []byte("a=1\r\nX-Evil: 1")}}
	if o := receiver(t, Options{URL: url}, Value).Receive(t.Context(), r)[0]; o.Kind != record.Done {
		t.Errorf("%v: %v", o.Kind, o.Err)
	}
}

// TestAnApplicationThatRepeatsSecretsTellsThemToNobody: what it says becomes an error, a dead letter's header and a log
// line.
func TestAnApplicationThatRepeatsSecretsTellsThemToNobody(t *testing.T) {
	const token, key = "t0ken-canary-0123456789", "k3y-canary-0123456789"
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		w.WriteHeader(http.StatusBadRequest)
		_, _ = fmt.Fprintf(w, "what is %q?\nand %s", r.Header.Get("Authorization"), key)
	})
	o := receiver(t, Options{URL: url, Bearer: settings.NewSecret(token), Key: settings.NewSecret(key)}, Value).Receive(t.Context(), batchOf(1))[0]
	if o.Kind != record.Reject || strings.Contains(o.Err.Error(), "canary") || !strings.Contains(o.Err.Error(), "what is") {
		t.Errorf("%v: %v", o.Kind, o.Err)
	}
	if _, err := NewRecords(Options{URL: url, Bearer: settings.NewSecret(token + "\n")}, Value, false, nil); err == nil || strings.Contains(err.Error(), "canary") {
		t.Errorf("a token with a line break: %v", err)
	}
}

// TestBodiesAreNotMixedUp though their buffers are used again: some applications answer before they have read all.
func TestBodiesAreNotMixedUp(t *testing.T) {
	const key = "signing-key-0123456789"
	url := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Messaging-Kafka-Partition") == "1" && r.ContentLength%3 == 0 {
			return // without a look at the body
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		stamp, sum, _ := strings.Cut(strings.TrimPrefix(r.Header.Get("Messaging-Kafka-Signature"), "t="), ",v1=")
		mac := hmac.New(sha256.New, []byte(key))
		fmt.Fprintf(mac, "%s.%s", stamp, body)
		if sum != hex.EncodeToString(mac.Sum(nil)) {
			t.Error("a request has another body than it was signed with")
		}
	})
	r := receiver(t, Options{URL: url, Connections: 16, Key: settings.NewSecret(key)}, Value)
	var senders sync.WaitGroup
	for i := range 16 {
		senders.Go(func() {
			for n := range 20 {
				batch := batchOf(1 + (i*7+n)%40)
				batch[0].Value = make([]byte, 1000*n+i)
				for _, o := range r.Receive(t.Context(), batch) {
					if o.Kind != record.Done {
						t.Errorf("%v: %v", o.Kind, o.Err)
					}
				}
			}
		})
	}
	senders.Wait()
}

// TestLoadIsSpreadOverConnections, since those who balance it do so by connection: by HTTP/1.1 as many as requests are
// under way, by HTTP/2 in turns.
func TestLoadIsSpreadOverConnections(t *testing.T) {
	const connections = 4
	var mu sync.Mutex
	seen := map[string]int{}
	var together sync.WaitGroup // all requests of a round are there
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		mu.Lock()
		seen[r.RemoteAddr]++
		mu.Unlock()
		together.Done()
		together.Wait()
	}))
	s.Config.Protocols = new(http.Protocols)
	s.Config.Protocols.SetHTTP1(true)
	s.Config.Protocols.SetUnencryptedHTTP2(true)
	s.Start()
	defer s.Close()
	for _, h2 := range []bool{false, true} {
		clear(seen)
		r := receiver(t, Options{URL: s.URL, Connections: connections, HTTP2: h2}, Value)
		atOnce := connections
		if h2 {
			atOnce = 4 * connections
		}
		for range 5 {
			together.Add(atOnce)
			var senders sync.WaitGroup
			for range atOnce {
				senders.Go(func() {
					if o := r.Receive(t.Context(), batchOf(1))[0]; o.Kind != record.Done {
						t.Errorf("%v: %v", o.Kind, o.Err)
					}
				})
			}
			senders.Wait()
		}
		r.Close()
		if len(seen) != connections {
			t.Errorf("HTTP/2 %v: %d connections, want %d", h2, len(seen), connections)
		}
		for address, n := range seen {
			if h2 && n != 5*atOnce/connections {
				t.Errorf("%s had %d requests of %d", address, n, 5*atOnce)
			}
		}
	}
}

// TestConnectionsAreRenewed so that an application that is scaled up gets its part.
func TestConnectionsAreRenewed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dials := 0
		served := answering(t, func(string) string { return "HTTP/1.1 204 X\r\n\r\n" })
		dial := func(ctx context.Context, network, address string) (net.Conn, error) {
			dials++
			return served(ctx, network, address)
		}
		r := receiver(t, Options{URL: "http://app", Dial: dial}, Value)
		for range 10 {
			if o := r.Receive(t.Context(), batchOf(1))[0]; o.Kind != record.Done {
				t.Errorf("%v: %v", o.Kind, o.Err)
			}
			time.Sleep(wireLife / 4)
		}
		if dials != 3 {
			t.Errorf("%d connections in two and a half times their life", dials)
		}
	})
}

// TestCertificates of both sides: a server that nobody has signed gets no request, and one that refuses ours holds the
// records, though TLS 1.3 tells of that when the request is on its way.
func TestCertificates(t *testing.T) {
	ours, others := testkit.NewAuthority(t), testkit.NewAuthority(t)
	for _, h2 := range []bool{false, true} {
		var calls atomic.Int32
		s := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			calls.Add(1)
			if len(r.TLS.PeerCertificates) != 1 || (r.ProtoMajor == 2) != h2 {
				t.Errorf("%s with %d certificates", r.Proto, len(r.TLS.PeerCertificates))
			}
		}))
		s.EnableHTTP2 = true
		s.Config.ErrorLog = quiet()
		s.TLS = &tls.Config{
			Certificates: []tls.Certificate{ours.Local("test")}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: ours.Pool(),
		}
		s.StartTLS()
		for name, c := range map[string]struct {
			config *tls.Config
			want   record.Kind
		}{
			"the right ones":      {&tls.Config{RootCAs: ours.Pool(), Certificates: []tls.Certificate{ours.Local("test")}}, record.Done},
			"none of ours":        {&tls.Config{RootCAs: ours.Pool()}, record.Unavailable},
			"of another one":      {&tls.Config{RootCAs: ours.Pool(), Certificates: []tls.Certificate{others.Local("test")}}, record.Unavailable},
			"none in TLS 1.2":     {&tls.Config{RootCAs: ours.Pool(), MaxVersion: tls.VersionTLS12}, record.Unavailable},
			"an unknown server":   {&tls.Config{RootCAs: others.Pool(), Certificates: []tls.Certificate{ours.Local("test")}}, record.Unavailable},
			"what the system has": {nil, record.Unavailable},
		} {
			calls.Store(0)
			r := receiver(t, Options{URL: s.URL, HTTP2: h2, TLS: c.config}, Value)
			o := r.Receive(t.Context(), batchOf(3))[0]
			if o.Kind != c.want || calls.Load() > 0 != (c.want == record.Done) {
				t.Errorf("%s, HTTP/2 %v: %v after %d calls (%v)", name, h2, o.Kind, calls.Load(), o.Err)
			}
			r.Close()
		}
		s.Close()
	}
}

// TestCertificatesThatDoNotHoldAreRefused: one that is over, or not yet good, or another's, is of no use to either
// side.
func TestCertificatesThatDoNotHoldAreRefused(t *testing.T) {
	ca := testkit.NewAuthority(t)
	local := x509.Certificate{IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	over, early, other := local, local, x509.Certificate{DNSNames: []string{"other.example"}}
	over.NotBefore, over.NotAfter = time.Now().Add(-2*time.Hour), time.Now().Add(-time.Hour)
	early.NotBefore, early.NotAfter = time.Now().Add(time.Hour), time.Now().Add(2*time.Hour)
	good := ca.Make(&local)
	for name, c := range map[string]struct {
		server, client tls.Certificate
		mention        string
	}{
		"the application's is over":         {ca.Make(&over), good, "expired"},
		"the application's is not good yet": {ca.Make(&early), good, "not yet valid"},
		"the application's is another's":    {ca.Make(&other), good, "127.0.0.1"},
		"ours is over":                      {good, ca.Make(&over), "expired"},
		"ours is not good yet":              {good, ca.Make(&early), "expired"}, // which is what TLS calls it
	} {
		t.Run(name, func(t *testing.T) {
			s := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the request came through") }))
			s.Config.ErrorLog = quiet()
			s.TLS = &tls.Config{Certificates: []tls.Certificate{c.server}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: ca.Pool()}
			s.StartTLS()
			t.Cleanup(s.Close)
			config := &tls.Config{RootCAs: ca.Pool(), Certificates: []tls.Certificate{c.client}}
			o := receiver(t, Options{URL: s.URL, TLS: config}, Value).Receive(t.Context(), batchOf(1))[0]
			if o.Kind != record.Unavailable || !strings.Contains(o.Err.Error(), c.mention) {
				t.Errorf("%v: %v", o.Kind, o.Err)
			}
		})
	}
}

// TestRedirectsHoldTheRecords: they say nothing of these, and nothing goes where they lead.
func TestRedirectsHoldTheRecords(t *testing.T) {
	for _, status := range []int{301, 302, 303, 307, 308} {
		calls := 0
		dial := answering(t, func(string) string {
			calls++
			return fmt.Sprintf("HTTP/1.1 %d X\r\nLocation: http://elsewhere/\r\nContent-Length: 0\r\n\r\n", status)
		})
		for name, r := range all(t, Options{URL: "http://app", Dial: dial, Bearer: settings.NewSecret("canary-0123456789")}) {
			calls = 0
			o := r.Receive(t.Context(), batchOf(2))[1]
			if o.Kind != record.Unavailable || calls != 1 || !strings.Contains(o.Err.Error(), "redirects are refused") || strings.Contains(o.Err.Error(), "canary") {
				t.Errorf("%d, %s: %v after %d calls (%v)", status, name, o.Kind, calls, o.Err)
			}
		}
	}
}

func TestAnErrorOfDNSHoldsTheRecords(t *testing.T) {
	dial := func(context.Context, string, string) (net.Conn, error) {
		return nil, &net.OpError{Op: "dial", Err: &net.DNSError{Err: "no such host", Name: "app", IsNotFound: true}}
	}
	o := receiver(t, Options{URL: "http://app", Dial: dial}, Value).Receive(t.Context(), batchOf(1))[0]
	if dns, is := errors.AsType[*net.DNSError](o.Err); o.Kind != record.Unavailable || !is || !dns.IsNotFound {
		t.Errorf("%v: %v", o.Kind, o.Err)
	}
}

// TestAReasonThatBreaksOffEndsBeforeASecret of which a part has come.
func TestAReasonThatBreaksOffEndsBeforeASecret(t *testing.T) {
	const token = "t0ken-canary-0123456789"
	for n := range len(token) + 1 {
		said := "what is " + token[:n]
		url := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/plain")
			w.Header().Set("Content-Length", "100")
			w.WriteHeader(http.StatusBadRequest)
			_, _ = io.WriteString(w, said)
		})
		o := receiver(t, Options{URL: url, Bearer: settings.NewSecret(token)}, Value).Receive(t.Context(), batchOf(1))[0]
		if o.Kind != record.Reject || strings.Contains(o.Err.Error(), token[:4]) || !strings.Contains(o.Err.Error(), "what is") ||
			!strings.HasSuffix(o.Err.Error(), "…") {
			t.Errorf("%d bytes: %v: %v", n, o.Kind, o.Err)
		}
	}
}

// TestAnotherProtocolHoldsTheRecords: no request came to anybody, so that none is an attempt, and none is sent twice.
func TestAnotherProtocolHoldsTheRecords(t *testing.T) {
	var asked atomic.Int32
	count := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			asked.Add(1)
		}
		w.WriteHeader(http.StatusBadRequest)
	})
	with := func(set func(*http.Protocols)) string {
		s := httptest.NewUnstartedServer(count)
		s.Config.Protocols = new(http.Protocols)
		set(s.Config.Protocols)
		s.Start()
		t.Cleanup(s.Close)
		return s.URL
	}
	// says accepts connections, says something, and ends them when the other end has spoken.
	says := func(what string) string {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		ended := make(chan struct{})
		t.Cleanup(func() {
			_ = l.Close()
			<-ended
		})
		go func() {
			defer close(ended)
			for {
				conn, err := l.Accept()
				if err != nil {
					return // the test is over
				}
				_, _ = conn.Read(make([]byte, 1<<10)) // whatever it is
				_, _ = io.WriteString(conn, what)
				_ = conn.Close()
			}
		}()
		return "http://" + l.Addr().String()
	}
	const garbled = "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n400 Bad Request"
	for name, c := range map[string]struct {
		url   string
		http2 bool
		want  string
	}{
		"HTTP/1.1, by Go":           {with(func(p *http.Protocols) { p.SetHTTP1(true) }), true, "http_protocol=http1"},
		"HTTP/1.1":                  {says(garbled), true, "http_protocol=http1"},
		"HTTP/1.1, before its time": {says("HTTP/1.1 505 HTTP Version Not Supported\r\nContent-Length: 0\r\n\r\n"), true, "http_protocol=http1"},
		"nothing":                   {says(""), true, "http_protocol=http1"},
		"HTTP/2 alone":              {says("\x00\x00\x06\x04\x00\x00\x00\x00\x00\x00\x03\x00\x00\x00\x64"), false, "http_protocol=h2"},
		"TLS":                       {says("\x15\x03\x01\x00\x02\x02\x46"), false, "begin the url with https"},
	} {
		t.Run(name, func(t *testing.T) {
			for receiver, r := range all(t, Options{URL: c.url, HTTP2: c.http2}) {
				for _, n := range []int{1, 3, 1} {
					for _, o := range r.Receive(t.Context(), batchOf(n)) {
						if o.Kind != record.Unavailable || !strings.Contains(o.Err.Error(), c.want) {
							t.Errorf("%s: %v: %v", receiver, o.Kind, o.Err)
						}
					}
				}
			}
		})
	}
	if n := asked.Load(); n != 0 {
		t.Errorf("%d requests came", n)
	}
}
