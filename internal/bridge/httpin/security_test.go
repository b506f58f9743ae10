package httpin

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/messaging-kafka/messaging-kafka/internal/base/memory"
	"github.com/messaging-kafka/messaging-kafka/internal/engine/route"
	"github.com/messaging-kafka/messaging-kafka/internal/observe/telemetry"
	"github.com/messaging-kafka/messaging-kafka/internal/payload"
	"github.com/messaging-kafka/messaging-kafka/internal/record"
	"github.com/messaging-kafka/messaging-kafka/internal/settings"
	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

// sink is a route that a test makes up: it stores what comes.
type sink struct {
	mu    sync.Mutex
	came  []record.Outgoing
	trace route.Trace
	hold  chan struct{} // until it is closed nothing is stored; nil: at once
	began chan struct{} // gets one for each call, where it is not nil
}

// Send implements Sender.
func (s *sink) Send(ctx context.Context, from route.Trace, list []record.Outgoing) []record.Result {
	if s.began != nil {
		s.began <- struct{}{}
	}
	if s.hold != nil {
		select {
		case <-s.hold:
		case <-ctx.Done():
			return []record.Result{{Err: ctx.Err()}}
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.came, s.trace = append(s.came, list...), from
	return make([]record.Result, len(list))
}

// Request implements Sender.
func (s *sink) Request(context.Context, route.Trace, record.Outgoing, time.Duration) (*record.Record, error) {
	return nil, errors.New("not asked for")
}

// Publish implements Sender.
func (s *sink) Publish(context.Context, route.Trace, payload.Message) error {
	return errors.New("not asked for")
}

// RequestMessage implements Sender.
func (s *sink) RequestMessage(context.Context, route.Trace, payload.Message, time.Duration) (payload.Message, error) {
	return payload.Message{}, errors.New("not asked for")
}

func (s *sink) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.came)
}

// newSunk is a bench without a Kafka.
func newSunk(t *testing.T, s *sink, change func(*Options)) *bench {
	t.Helper()
	b := &bench{t: t, memory: memory.New(64 << 20)}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the log:\n%s", &b.log)
		}
	})
	b.serve(func(o *Options) {
		o.Routes = func(name string) (Sender, bool) { return s, name != "gone" }
		if change != nil {
			change(o)
		}
	})
	return b
}

func secret(text string) []settings.Secret { return []settings.Secret{settings.NewSecret(text)} }

func TestNobodyPublishesWithoutAToken(t *testing.T) {
	s := new(sink)
	b := newSunk(t, s, nil)
	for _, shown := range []string{"", "Bearer", "Bearer ", "Bearer x", "Basic c2hvcDpzaG9wLXRva2Vu", "Bearer " + ordersToken + "x",
		"Bearer " + ordersToken[:len(ordersToken)-1], ordersToken} {
		for _, path := range []string{"/topics/orders", "/v1/records/send", "/v1/records/request", "/v1/messages/publish", "/v1/messages/request"} {
			a := b.post(path, "text/plain", "x", "Authorization", shown)
			a.want(t, 401, "token")
			if a.header.Get("WWW-Authenticate") == "" {
				t.Error("401 without WWW-Authenticate")
			}
		}
	}
	if s.count() != 0 {
		t.Error("something was published")
	}
	for _, shown := range []string{"Bearer " + ordersToken, "bearer  " + ordersToken} {
		if a := b.post("/topics/orders", "text/plain", "x", "Authorization", shown); a.status != 200 {
			t.Errorf("%q: %d %s", shown, a.status, a.body)
		}
	}
	if strings.Contains(b.log.String(), ordersToken[:10]) {
		t.Error("the log has the token")
	}
	if !strings.Contains(b.log.String(), "a request over HTTP was refused") {
		t.Error("the log says nothing of refusals")
	}
}

func TestCallersHaveTheirOwnRoutes(t *testing.T) {
	shop, bank := new(sink), new(sink)
	b := newSunk(t, nil, func(o *Options) {
		o.Routes = func(name string) (Sender, bool) {
			s, ok := map[string]*sink{"orders": shop, "bank": bank}[name]
			return s, ok
		}
		o.Callers = append(o.Callers, Caller{Name: "bank", Tokens: append(secret("bank-token-of-old-0"), secret("bank-token-of-now-1")...), Routes: []string{"bank", "orders", "gone"}})
	})
	for _, c := range []struct {
		token, route string
		status       int
		mention      string
	}{
		{ordersToken, "", 200, ""},
		{ordersToken, "orders", 200, ""},
		{ordersToken, "bank", 403, "caller shop may publish by orders"},
		{ordersToken, "nothing", 403, "caller shop may publish by orders"},
		{"bank-token-of-old-0", "bank", 200, ""},
		{"bank-token-of-now-1", "orders", 200, ""},
		{"bank-token-of-now-1", "gone", 503, "no route gone"},
		{"bank-token-of-now-1", "", 400, "bank, orders, gone"},
	} {
		b.post("/topics/t", "text/plain", "x", "Authorization", "Bearer "+c.token, routeHeader, c.route).want(t, c.status, c.mention)
	}
	if shop.count() != 3 || bank.count() != 1 {
		t.Errorf("%d and %d records", shop.count(), bank.count())
	}
	if err := b.server.SetCallers([]Caller{{Name: "shop", Tokens: secret("another-token-of-shop"), Routes: []string{"orders"}}}, nil); err != nil {
		t.Fatal(err)
	}
	b.post("/topics/t", "text/plain", "x").want(t, 401, "not known")
	b.post("/topics/t", "text/plain", "x", "Authorization", "Bearer another-token-of-shop").want(t, 200, "")
}

func TestCallersThatCannotBeAreRefused(t *testing.T) {
	routes := []string{"orders"}
	good := Caller{Name: "a", Tokens: secret("0123456789abcdef"), Routes: routes}
	for mention, list := range map[string][]Caller{
		"nobody may ask":       nil,
		"no name":              {{Routes: routes, Tokens: good.Tokens}},
		"no route":             {{Name: "a", Tokens: good.Tokens}},
		"neither a token nor":  {{Name: "a", Routes: routes}},
		"fewer than 16":        {{Name: "a", Routes: routes, Tokens: secret("0123456789abcde")}},
		"two called a":         {good, good},
		"token of caller b is": {good, {Name: "b", Tokens: good.Tokens, Routes: routes}},
		"is not the name of a": {{Name: "a", Certificates: []string{"shop.example"}, Routes: routes}},
		"dns:x of caller b is": {{Name: "a", Certificates: []string{"dns:x"}, Routes: routes}, {Name: "b", Certificates: []string{"dns:x"}, Routes: routes}},
	} {
		_, err := newCallers(list, nil)
		if err == nil || !strings.Contains(err.Error(), mention) || strings.Contains(err.Error(), "0123456789") {
			t.Errorf("got %v, want %q", err, mention)
		}
	}
}

func TestNothingIsOpenToOthersUnlessThatIsSaid(t *testing.T) {
	anyone := &Caller{Name: "anyone", Routes: []string{"orders"}}
	routes := func(string) (Sender, bool) { return nil, false }
	for _, address := range []string{"0.0.0.0:0", "[::]:0", "192.0.2.1:80", "bridge.example:80", "127.0.0.1.nip.io:80", "[::ffff:10.0.0.1]:80"} {
		if _, err := newServer(Options{Address: address, Anyone: anyone, Routes: routes}); err == nil || !strings.Contains(err.Error(), "listen_open") {
			t.Errorf("%s: %v", address, err)
		}
		if _, err := newServer(Options{Address: address, Anyone: anyone, Routes: routes, Open: true}); err != nil {
			t.Errorf("%s: %v", address, err)
		}
		s, err := newServer(Options{Address: address, Routes: routes, Callers: []Caller{{Name: "a", Tokens: secret(ordersToken), Routes: []string{"orders"}}}})
		if err != nil {
			t.Errorf("%s: %v", address, err)
		} else if err := s.SetCallers(nil, anyone); err == nil {
			t.Errorf("%s is opened later", address)
		}
	}
	for _, address := range []string{"0", ":0", "127.0.0.1:0", "127.8.8.8:0", "[::1]:0", "localhost:0"} {
		s, err := newServer(Options{Address: address, Anyone: anyone, Routes: routes})
		if err != nil || !s.loopback {
			t.Errorf("%s: %v", address, err)
		}
	}
}

// A page of somebody else's in a browser on this machine can send requests to the loopback: under its own name, which
// it has lead there, or across origins without asking.
func TestBrowsersPagesOfOthersPublishNothing(t *testing.T) {
	s := new(sink)
	b := newSunk(t, s, func(o *Options) {
		o.Callers, o.Anyone, o.Hosts = nil, &Caller{Name: "anyone", Routes: []string{"orders"}}, []string{"bridge.svc"}
	})
	post := func(headers ...string) answer {
		return b.post("/topics/orders", "text/plain", "x", append([]string{"Authorization", ""}, headers...)...)
	}
	for _, host := range []string{"evil.example", "evil.example:80", "localhost.evil.example", "127.0.0.1.nip.io"} {
		post("Host", host).want(t, 421, "listen_hosts")
	}
	for _, headers := range [][]string{
		{"Origin", "https://evil.example"}, {"Origin", "null"}, {"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Site", "same-site"},
	} {
		post(headers...).want(t, 403, "origins")
	}
	if s.count() != 0 {
		t.Error("something was published")
	}
	for _, host := range []string{"localhost", "127.0.0.1:9", "[::1]", "bridge.svc"} {
		post("Host", host).want(t, 200, "")
	}
	for _, method := range []string{"OPTIONS", "GET", "PUT", "DELETE", "PATCH"} {
		a := b.ask(method, "/topics/orders", "text/plain", nil, "Authorization", "", "Origin", "http://"+b.server.Addr().String())
		if a.status != 405 || a.header.Get("Allow") != "POST" || a.header.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s: %d %v", method, a.status, a.header)
		}
	}
}

func TestPathsAreTakenAsTheyStand(t *testing.T) {
	s := new(sink)
	b := newSunk(t, s, nil)
	for path, status := range map[string]int{
		"/": 404, "/topics": 404, "/topics/": 404, "/topics/orders/": 404, "/topics/orders/partitions/0": 404, "//topics/orders": 404,
		"/topics/../topics/orders": 404, "/topics/orders/../bank": 404, "/x/../topics/orders": 404, "/TOPICS/orders": 404, "/v1/records/send/": 404,
		"/topics/a%2Fb": 400, "/topics/..": 400, "/topics/.": 400, "/topics/%2e%2e": 400, "/topics/a%00b": 400, "/topics/a%20b": 400,
		"/topics/a%3Fkey=1": 400, "/topics/a%0d%0ab": 400, "/topics/%ff": 400, "/topics/%C3%BC": 400, "/topics/" + strings.Repeat("a", 250): 400,
		"/topics/a+b": 400, "/topics/a,b": 400, "/topics/%6frders": 200, "/topics/orders?": 200, "/topics/" + strings.Repeat("a", 249): 200,
	} {
		conn := b.dial()
		fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %s\r\nContent-Type: text/plain\r\nContent-Length: 1\r\nConnection: close\r\n\r\nx",
			path, ordersToken)
		if got := readStatus(t, conn); got != status {
			t.Errorf("%s: %d, want %d", path, got, status)
		}
	}
	for _, r := range s.came {
		if r.Topic != "orders" && len(r.Topic) != 249 {
			t.Errorf("published to %q", r.Topic)
		}
	}
}

func (b *bench) dial() net.Conn {
	b.t.Helper()
	conn, err := net.Dial("tcp", b.server.Addr().String())
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { conn.Close() })
	return conn
}

func readStatus(t *testing.T, conn net.Conn) int {
	t.Helper()
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	return response.StatusCode
}

func TestBodiesAreBounded(t *testing.T) {
	s := new(sink)
	b := newSunk(t, s, func(o *Options) { o.MaxBody = 1000 })
	send := func(body io.Reader, length int64, headers ...string) answer {
		t.Helper()
		request, err := http.NewRequest(http.MethodPost, "http://"+b.server.Addr().String()+"/topics/orders", body)
		if err != nil {
			t.Fatal(err)
		}
		request.ContentLength = length
		request.Header.Set("Authorization", "Bearer "+ordersToken)
		request.Header.Set("Content-Type", "application/octet-stream")
		for i := 0; i < len(headers); i += 2 {
			request.Header.Set(headers[i], headers[i+1])
		}
		return b.do(request)
	}
	text := func(n int) io.Reader { return strings.NewReader(strings.Repeat("x", n)) }
	send(text(1000), 1000).want(t, 200, "")
	send(text(1000), -1).want(t, 200, "") // in chunks
	send(text(1001), 1001).want(t, 413, "1000 bytes at most")
	send(text(1001), -1).want(t, 413, "1000 bytes at most")
	send(text(10), 10, "Content-Encoding", "gzip").want(t, 415, "not compressed")
	send(text(10), 10, "Content-Encoding", "identity").want(t, 200, "")
	raw := func(request string) int {
		conn := b.dial()
		fmt.Fprintf(conn, request, ordersToken)
		return readStatus(t, conn)
	}
	const head = "POST /topics/orders HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %s\r\nContent-Type: text/plain\r\n"
	for request, status := range map[string]int{
		head + "\r\n":                      411,
		head + "Content-Length: 0\r\n\r\n": 200,
		head + "Content-Length: 1\r\nContent-Length: 2\r\n\r\nxx":                           400,
		head + "Content-Length: -1\r\n\r\n":                                                 400,
		head + "Content-Length: 99999999999999999999\r\n\r\n":                               400,
		head + "Content-Length: 9223372036854775807\r\n\r\n":                                413,
		head + "Transfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n1\r\nx\r\n0\r\n\r\n": 200, // the chunks count
		head + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n":                          501,
		head + "Transfer-Encoding: chunked\r\n\r\nzz\r\n":                                   400,
		head + "X: " + strings.Repeat("x", 64<<10) + "\r\n\r\n":                             431,
	} {
		if got := raw(request); got != status {
			t.Errorf("%.200q: %d, want %d", strings.TrimPrefix(request, head), got, status)
		}
	}
}

func TestABodyWithoutAnEndIsCutOff(t *testing.T) {
	b := newSunk(t, new(sink), func(o *Options) { o.MaxBody = 100 << 10 })
	conn := b.dial()
	fmt.Fprintf(conn, "POST /topics/orders HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %s\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n", ordersToken)
	status := make(chan int, 1)
	go func() { status <- readStatus(t, conn) }()
	chunk := "1000\r\n" + strings.Repeat("x", 0x1000) + "\r\n"
	sent := 0
	for {
		n, err := io.WriteString(conn, chunk)
		if sent += n; err != nil || sent > 64<<20 {
			break
		}
	}
	if sent > 64<<20 {
		t.Errorf("%d bytes were taken", sent)
	}
	if got := <-status; got != 413 {
		t.Errorf("answered %d", got)
	}
}

// What a body makes of memory is counted before it is made: two bytes of JSON can stand for a record of a hundred.
func TestBodiesThatMakeMuchOfLittleAreRefused(t *testing.T) {
	s := new(sink)
	b := newSunk(t, s, nil)
	if a := b.post("/topics/orders", "text/plain", strings.Repeat("x", 4<<20)); a.status != 200 {
		t.Errorf("a body of 4 MiB: %d %s", a.status, a.body)
	}
	came := s.count()
	const n = 1 << 20
	for name, c := range map[string]struct{ path, media, body string }{
		"many records":     {"/topics/orders", mediaJSON, `{"records":[{}` + strings.Repeat(",{}", n) + "]}"},
		"many headers":     {"/topics/orders", mediaJSON, `{"records":[{"value":1,"headers":[{}` + strings.Repeat(",{}", n) + "]}]}"},
		"many outgoings":   {"/v1/records/send", "application/vnd.messaging-kafka.records.v1+json", "[{}" + strings.Repeat(",{}", n) + "]"},
		"as values":        {"/v1/records/send", "application/vnd.messaging-kafka.records.v1", "\x80\x80\x10" + strings.Repeat("\x00\x00\x00\x00\x00\x00", 1<<18)},
		"more than may be": {"/v1/records/send", "application/vnd.messaging-kafka.records.v1", "\xff\xff\xff\xff\x0f"},
	} {
		if a := b.post(c.path, c.media, c.body); a.status != 413 {
			t.Errorf("%s: %d %.300s", name, a.status, a.body)
		}
	}
	deep := strings.Repeat(`[`, 1<<20)
	for _, body := range []string{deep, `{"records":[{"value":` + deep, `{"records":[{"value":` + strings.Repeat(`{"a":`, 20000) + "1" + strings.Repeat("}", 20000) + "}]}"} {
		if a := b.post("/topics/orders", mediaJSON, body); a.status != 400 && a.status != 413 {
			t.Errorf("deep JSON: %d %.300s", a.status, a.body)
		}
	}
	if s.count() != came {
		t.Error("something was published")
	}
}

func TestACallersRequestsDoNotTakeThePlacesOfOthers(t *testing.T) {
	s := &sink{hold: make(chan struct{}), began: make(chan struct{}, 10)}
	b := newSunk(t, s, func(o *Options) {
		o.Callers[0].MaxInFlight = 2
		o.Callers = append(o.Callers, Caller{Name: "bank", Tokens: secret("bank-token-01234567"), Routes: []string{"orders"}})
	})
	var running sync.WaitGroup
	for range 2 {
		running.Go(func() { b.post("/topics/orders", "text/plain", "x").want(t, 200, "") })
	}
	<-s.began
	<-s.began
	b.post("/topics/orders", "text/plain", "x").want(t, 429, "2 requests of caller shop run already")
	running.Go(func() {
		b.post("/topics/orders", "text/plain", "x", "Authorization", "Bearer bank-token-01234567").want(t, 200, "")
	})
	<-s.began
	close(s.hold)
	running.Wait()
	b.post("/topics/orders", "text/plain", "x").want(t, 200, "")
}

// TestACallersBodiesDoNotTakeTheMemoryOfOthers: one who has the bridge hold all that it may have leaves others their
// part.
func TestACallersBodiesDoNotTakeTheMemoryOfOthers(t *testing.T) {
	b := newSunk(t, new(sink), func(o *Options) {
		o.Callers = append(o.Callers, Caller{Name: "bank", Tokens: secret("bank-token-01234567"), Routes: []string{"orders"}})
	})
	refused := make(chan bool)
	const size = 8 << 20
	conns := make([]net.Conn, 16)
	for i := range conns {
		conn := b.dial()
		conns[i] = conn
		go func() {
			fmt.Fprintf(conn, "POST /topics/orders HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %s\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n", ordersToken, size)
			_, _ = io.CopyN(conn, zeros{}, size-1) // as far as it is read
			line, _ := bufio.NewReader(conn).ReadString('\n')
			refused <- strings.Contains(line, " 429 ")
		}()
	}
	if !<-refused { // the others wait for the last byte
		t.Error("a request was answered that has not come whole, or cut off")
	}
	for range 20 {
		b.post("/topics/orders", "text/plain", strings.Repeat("x", 1<<20), "Authorization", "Bearer bank-token-01234567").want(t, 200, "")
	}
	for _, conn := range conns {
		_ = conn.Close() // one of them was answered
	}
	for range len(conns) - 1 {
		<-refused
	}
}

// zeros is a body without an end.
type zeros struct{}

// Read implements io.Reader.
func (zeros) Read(b []byte) (int, error) {
	clear(b)
	return len(b), nil
}

func TestAStopAnswersWhatRunsAndRefusesWhatComes(t *testing.T) {
	s := &sink{hold: make(chan struct{}), began: make(chan struct{}, 10)}
	b := newSunk(t, s, nil)
	idle := b.dial() // was there before
	running := make(chan struct{})
	go func() {
		defer close(running)
		b.post("/topics/orders", "text/plain", "x").want(t, 200, "")
	}()
	<-s.began
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		b.stop()
	}()
	testkit.Eventually(t, testkit.DefaultTimeout, func() error {
		if b.server.gate.enter() {
			b.server.gate.leave()
			return errors.New("requests are let in")
		}
		b.server.gate.leave()
		return nil
	})
	a := b.post("/topics/orders", "text/plain", "y")
	a.want(t, 503, "stopping")
	fmt.Fprintf(idle, "POST /topics/orders HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %s\r\nContent-Length: 1\r\n\r\nx", ordersToken)
	if got := readStatus(t, idle); got != 503 {
		t.Errorf("answered %d", got)
	}
	close(s.hold)
	<-running
	<-stopped
	if _, err := net.Dial("tcp", b.server.Addr().String()); err == nil {
		t.Error("it listens on")
	}
	if s.count() != 1 {
		t.Errorf("%d records", s.count())
	}
}

func TestAStopCutsOffWhatTakesTooLong(t *testing.T) {
	s := &sink{hold: make(chan struct{}), began: make(chan struct{}, 1)}
	b := newSunk(t, s, nil)
	conn := b.dial()
	fmt.Fprintf(conn, "POST /topics/orders HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %s\r\nContent-Type: text/plain\r\nContent-Length: 1\r\n\r\nx", ordersToken)
	<-s.began
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	b.server.Stop(ctx)
	if !strings.Contains(b.log.String(), "cut off") {
		t.Error("the log says nothing")
	}
}

// virtual serves in virtual time.
func virtual(t *testing.T, test func(s *Server, dial func() net.Conn)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		var stack kfake.VirtualNetwork
		s, err := newServer(Options{
			Address: "127.0.0.1:80", Routes: func(string) (Sender, bool) { return new(sink), true },
			Callers: []Caller{{Name: "shop", Tokens: secret(ordersToken), Routes: []string{"orders"}}},
		})
		if err != nil {
			t.Fatal(err)
		}
		at, err := stack.Listen("tcp", "127.0.0.1:80")
		if err != nil {
			t.Fatal(err)
		}
		s.serve(at)
		test(s, func() net.Conn {
			conn, err := stack.DialContext(t.Context(), "tcp", "127.0.0.1:80")
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { conn.Close() })
			return conn
		})
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		s.Stop(ctx)
	})
}

func TestWhoDribblesIsCutOff(t *testing.T) {
	const head = "POST /topics/orders HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain\r\nContent-Length: 100\r\n"
	for _, c := range []struct {
		name, request string
		status        int // 0: no answer
		within        time.Duration
	}{
		{"in the header", "POST / HTTP/1.1\r\nX: ", 0, headerTimeout},
		{"with what is no request", "", 400, headerTimeout},
		{"in the body", head + "Authorization: Bearer " + ordersToken + "\r\n\r\n", 408, bodyTimeout + refusalTimeout},
		{"in the body, unknown", head + "\r\n", 401, 2 * refusalTimeout},
	} {
		t.Run(c.name, func(t *testing.T) {
			virtual(t, func(_ *Server, dial func() net.Conn) {
				conn, began := dial(), time.Now()
				if _, err := io.WriteString(conn, c.request); err != nil {
					t.Fatal(err)
				}
				over := make(chan struct{})
				go func() { // a byte each second, for as long as somebody takes it
					defer close(over)
					for {
						time.Sleep(time.Second)
						if _, err := io.WriteString(conn, "x"); err != nil {
							return
						}
					}
				}()
				response, err := http.ReadResponse(bufio.NewReader(conn), nil)
				switch {
				case c.status == 0 && err == nil:
					t.Errorf("answered %d", response.StatusCode)
				case c.status != 0 && (err != nil || response.StatusCode != c.status):
					t.Errorf("got %v (%v), want %d", response, err, c.status)
				}
				if response != nil {
					response.Body.Close()
				}
				<-over
				if took := time.Since(began); took > c.within+2*time.Second {
					t.Errorf("it took %v", took)
				}
			})
		})
	}
}

func TestTracesOfRequestsGoAlong(t *testing.T) {
	s := new(sink)
	b := newSunk(t, s, nil)
	const parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	b.post("/topics/orders", "text/plain", "x", "Traceparent", parent, "Tracestate", "a=b", "Cookie", "c=d").want(t, 200, "")
	if fmt.Sprint(s.trace) != fmt.Sprint(map[string][]string{"traceparent": {parent}, "tracestate": {"a=b"}}) {
		t.Errorf("the trace is %v", s.trace)
	}
}

// Whoever tries tokens does not fill the log.
func TestRefusalsAreLoggedSeldom(t *testing.T) {
	b := &bench{t: t, memory: memory.New(64 << 20)}
	log, end := telemetry.Limit(b.log.Logger())
	b.serve(func(o *Options) {
		o.Log, o.Routes = log, func(string) (Sender, bool) { return new(sink), true }
	})
	for range 200 {
		b.post("/topics/orders", "text/plain", "x", "Authorization", "Bearer wrong").want(t, 401, "")
	}
	end()
	if n := strings.Count(b.log.String(), "was refused"); n == 0 || n > 20 {
		t.Errorf("%d lines", n)
	}
}

func TestCallersAreKnownByTheirCertificates(t *testing.T) {
	folder := t.TempDir()
	in := func(name string) string { return filepath.Join(folder, name) }
	ca := testkit.NewAuthority(t)
	ca.Write(in("ca.pem"))
	ca.WritePair(ca.Local("first"), in("cert.pem"), in("key.pem"))
	s := new(sink)
	b := newSunk(t, s, func(o *Options) {
		o.TLS = &TLS{CertFile: in("cert.pem"), KeyFile: in("key.pem"), ClientCAFile: in("ca.pem")}
		o.Callers = append(o.Callers,
			Caller{Name: "cn", Certificates: []string{"cn:shop"}, Routes: []string{"orders"}},
			Caller{Name: "others", Certificates: []string{"dns:bank.example", "uri:spiffe://cluster/bank"}, Routes: []string{"orders"}})
	})
	roots, stranger := ca.Pool(), testkit.NewAuthority(t)
	spiffe := &url.URL{Scheme: "spiffe", Host: "cluster", Path: "/bank"}
	for _, c := range []struct {
		name    string
		of      *testkit.Authority
		cert    *x509.Certificate
		token   string
		status  int // 0: no connection
		http2   bool
		mention string
	}{
		{name: "by its common name", of: ca, cert: &x509.Certificate{Subject: pkix.Name{CommonName: "shop"}}, status: 200},
		{name: "by a DNS name", of: ca, cert: &x509.Certificate{DNSNames: []string{"other.example", "bank.example"}}, status: 200, http2: true},
		{name: "by a URI", of: ca, cert: &x509.Certificate{URIs: []*url.URL{spiffe}}, status: 200},
		{name: "with a name that nobody has", of: ca, cert: &x509.Certificate{Subject: pkix.Name{CommonName: "x"}}, status: 401, mention: "certificate"},
		{name: "with a wrong token beside it", of: ca, cert: &x509.Certificate{Subject: pkix.Name{CommonName: "shop"}}, token: "wrong", status: 401, mention: "not known"},
		{name: "that is over", of: ca, cert: &x509.Certificate{Subject: pkix.Name{CommonName: "shop"}, NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: time.Now().Add(-time.Hour)}},
		{name: "of another authority", of: stranger, cert: &x509.Certificate{Subject: pkix.Name{CommonName: "shop"}}},
		{name: "none, and no token", status: 401, mention: "needed"},
		{name: "none, and a token", token: ordersToken, status: 200, http2: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			config := &tls.Config{RootCAs: roots}
			if c.cert != nil {
				c.cert.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
				made := c.of.Make(c.cert)
				config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &made, nil }
			}
			status, body, proto := b.askTLS(t, config, c.token, c.http2)
			if status != c.status || !strings.Contains(body, c.mention) {
				t.Errorf("answered %d %s", status, body)
			}
			if c.http2 && proto != 2 {
				t.Errorf("by HTTP/%d", proto)
			}
		})
	}
	t.Run("and the server's is exchanged while it serves", func(t *testing.T) {
		serial := func() string {
			conn, err := tls.Dial("tcp", b.server.Addr().String(), &tls.Config{RootCAs: roots})
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			return conn.ConnectionState().PeerCertificates[0].Subject.CommonName
		}
		if got := serial(); got != "first" {
			t.Errorf("the certificate is %s", got)
		}
		ca.WritePair(ca.Local("second"), in("cert.pem"), in("key.pem"))
		testkit.Eventually(t, testkit.DefaultTimeout, func() error {
			if got := serial(); got != "second" {
				return fmt.Errorf("the certificate is %s", got)
			}
			return nil
		})
		if err := os.WriteFile(in("key.pem"), []byte("no key"), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := serial(); got != "second" || !strings.Contains(b.log.String(), "cannot be exchanged") {
			t.Errorf("with a file that cannot be read it is %s", got)
		}
	})
	t.Run("and the authority of the callers is exchanged while it serves", func(t *testing.T) {
		ca.WritePair(ca.Local("third"), in("cert.pem"), in("key.pem"))
		stranger.Write(in("ca.pem"))
		for of, want := range map[*testkit.Authority]int{ca: 0, stranger: 200} {
			made := of.Make(&x509.Certificate{Subject: pkix.Name{CommonName: "shop"}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
			config := &tls.Config{RootCAs: roots, GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &made, nil }}
			testkit.Eventually(t, testkit.DefaultTimeout, func() error {
				if status, body, _ := b.askTLS(t, config, "", false); status != want {
					return fmt.Errorf("answered %d %s, not %d", status, body, want)
				}
				return nil
			})
		}
	})
	if s.count() != 5 {
		t.Errorf("%d records", s.count())
	}
}

// TestBoundsOfOne: a caller that may make one request at once, by the one connection that may be open, is served.
func TestBoundsOfOne(t *testing.T) {
	s := &sink{hold: make(chan struct{}), began: make(chan struct{}, 100)}
	b := newSunk(t, s, func(o *Options) { o.MaxConnections, o.Callers[0].MaxInFlight = 1, 1 })
	transport := b.client.Transport.(*http.Transport)
	transport.DisableKeepAlives = true
	running := make(chan struct{})
	go func() {
		defer close(running)
		b.post("/topics/orders", "text/plain", "x").want(t, 200, "")
	}()
	<-s.began
	next := make(chan struct{})
	go func() { // waits with the kernel, and is neither refused nor cut off
		defer close(next)
		b.post("/topics/orders", "text/plain", "y").want(t, 200, "")
	}()
	close(s.hold)
	<-running
	<-next
	for range 10 {
		b.post("/topics/orders", "text/plain", "z").want(t, 200, "")
	}
	if s.count() != 12 {
		t.Errorf("%d records", s.count())
	}
}

// TestASuccessorTakesTheAddressOver, and what runs by the server before it is answered.
func TestASuccessorTakesTheAddressOver(t *testing.T) {
	s, others := &sink{hold: make(chan struct{}), began: make(chan struct{}, 1)}, new(sink)
	var asked atomic.Bool
	b := newSunk(t, nil, func(o *Options) {
		o.Routes = func(string) (Sender, bool) {
			if asked.Swap(true) {
				return others, true
			}
			return s, true // the first one
		}
	})
	before := b.server
	running := make(chan struct{})
	go func() {
		defer close(running)
		b.post("/topics/orders", "text/plain", "x").want(t, 200, "")
	}()
	<-s.began
	o := before.o
	o.MaxBody = 1
	after, err := before.Successor(o)
	if err != nil {
		t.Fatal(err)
	}
	if after.Addr().String() != before.Addr().String() {
		t.Errorf("it listens on %s after %s", after.Addr(), before.Addr())
	}
	retired := make(chan struct{})
	go func() {
		defer close(retired)
		ctx, cancel := context.WithTimeout(context.Background(), testkit.DefaultTimeout)
		defer cancel()
		before.Retire(ctx)
	}()
	b.server = after
	testkit.Eventually(t, testkit.DefaultTimeout, func() error { // the one before may have been first
		if a := b.post("/topics/orders", "text/plain", "long"); a.status != 413 {
			return fmt.Errorf("answered %d to a body that is too long", a.status)
		}
		return nil
	})
	close(s.hold)
	<-running
	<-retired
	b.client.CloseIdleConnections() // the server before has just ended those that nothing came by for a while
	b.post("/topics/orders", "text/plain", "y").want(t, 200, "")
}

func (b *bench) askTLS(t *testing.T, config *tls.Config, token string, http2 bool) (status int, body string, proto int) {
	t.Helper()
	transport := &http.Transport{TLSClientConfig: config, ForceAttemptHTTP2: http2}
	defer transport.CloseIdleConnections()
	request, err := http.NewRequest(http.MethodPost, "https://"+b.server.Addr().String()+"/topics/orders", strings.NewReader("x"))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "text/plain")
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := (&http.Client{Transport: transport, Timeout: testkit.DefaultTimeout}).Do(request)
	if err != nil {
		return 0, err.Error(), 0
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(text), response.ProtoMajor
}

// Whoever holds all connections open keeps nobody out, and ends nobody's request.
func TestConnectionsThatSayNothingKeepNobodyOut(t *testing.T) {
	folder := t.TempDir()
	in := func(name string) string { return filepath.Join(folder, name) }
	ca := testkit.NewAuthority(t)
	ca.WritePair(ca.Local("bridge"), in("cert.pem"), in("key.pem"))
	roots := ca.Pool()
	for _, c := range []struct{ tls, http2 bool }{{false, false}, {false, true}, {true, false}, {true, true}} {
		t.Run(fmt.Sprintf("%+v", c), func(t *testing.T) {
			s := &sink{hold: make(chan struct{}), began: make(chan struct{}, 10)}
			b := newSunk(t, s, func(o *Options) {
				if o.MaxConnections = 3; c.tls {
					o.TLS = &TLS{CertFile: in("cert.pem"), KeyFile: in("key.pem")}
				}
			})
			transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, Protocols: new(http.Protocols)}
			transport.Protocols.SetHTTP1(!c.http2)
			transport.Protocols.SetHTTP2(c.http2)
			transport.Protocols.SetUnencryptedHTTP2(c.http2)
			b.client.Transport = transport
			t.Cleanup(transport.CloseIdleConnections)
			post := func() {
				scheme := "http://"
				if c.tls {
					scheme = "https://"
				}
				request, err := http.NewRequest(http.MethodPost, scheme+b.server.Addr().String()+"/topics/orders", strings.NewReader("x"))
				if err != nil {
					t.Error(err)
					return
				}
				request.Header = http.Header{"Authorization": {"Bearer " + ordersToken}, "Content-Type": {"text/plain"}}
				if response, err := b.client.Do(request); err != nil {
					t.Error(err)
				} else if response.Body.Close(); response.StatusCode != http.StatusOK || (response.ProtoMajor == 2) != c.http2 {
					t.Errorf("answered %s %s", response.Proto, response.Status)
				}
			}
			over := make(chan struct{})
			go func() {
				defer close(over)
				post()
			}()
			<-s.began
			for range 10 {
				b.dial()
			}
			close(s.hold) // whoever is at work has not been closed by them
			<-over
			transport.CloseIdleConnections()
			post()
		})
	}
}

// TestAConnectionThatMakesRoomIsAnnounced: a caller who posts again as soon as there is an answer loses nothing.
func TestAConnectionThatMakesRoomIsAnnounced(t *testing.T) {
	for most, want := range map[int]bool{1: true, 2: false} {
		b := newSunk(t, &sink{}, func(o *Options) { o.MaxConnections = most })
		b.client.Transport = &http.Transport{}
		request, err := http.NewRequest(http.MethodPost, "http://"+b.server.Addr().String()+"/topics/orders", strings.NewReader("x"))
		if err != nil {
			t.Fatal(err)
		}
		request.Header = http.Header{"Authorization": {"Bearer " + ordersToken}, "Content-Type": {"text/plain"}}
		response, err := b.client.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		if response.Body.Close(); response.StatusCode != http.StatusOK || response.Close != want {
			t.Errorf("of %d: %s, closes %v", most, response.Status, response.Close)
		}
		b.client.CloseIdleConnections()
	}
}

// An answer that is there is given, however little memory there is: what was done cannot be refused any more.
func TestWhatIsDoneIsAnswered(t *testing.T) {
	s := &replying{size: 4 << 20}
	b := newSunk(t, nil, func(o *Options) {
		o.Routes = func(string) (Sender, bool) { return s, true }
		o.Memory = memory.New(1 << 20)
	})
	for path, media := range map[string]string{"/v1/records/request": "records", "/v1/messages/request": "messages"} {
		body := map[string]string{"records": `{"topic":"t"}`, "messages": `{"subject":"t","body":""}`}[media]
		a := b.post(path, "application/vnd.messaging-kafka."+media+".v1+json", body)
		if a.status != 200 || len(a.body) < s.size {
			t.Errorf("%s: %d, %d bytes", path, a.status, len(a.body))
		}
	}
}

// replying is a route whose requests have large answers.
type replying struct {
	sink
	size int
}

// Request implements Sender.
func (s *replying) Request(context.Context, route.Trace, record.Outgoing, time.Duration) (*record.Record, error) {
	return &record.Record{Topic: "answers", Value: make([]byte, s.size)}, nil
}

// RequestMessage implements Sender.
func (s *replying) RequestMessage(context.Context, route.Trace, payload.Message, time.Duration) (payload.Message, error) {
	return payload.Message{Subject: "answers", Body: make([]byte, s.size)}, nil
}
