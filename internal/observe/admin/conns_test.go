package admin

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/messaging-kafka/messaging-kafka/internal/observe/control"
	"github.com/messaging-kafka/messaging-kafka/internal/observe/status"
	"github.com/messaging-kafka/messaging-kafka/internal/settings"
	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

func dial(t *testing.T, url, send string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(testkit.DefaultTimeout)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(c, send); err != nil {
		t.Fatal(err)
	}
	return c
}

// Whatever others do with their connections, a probe is answered: who does not answer is killed.
func TestProbesAreAnsweredWhateverOthersDo(t *testing.T) {
	const others = maxConnections + 100
	for name, send := range map[string]string{
		"they say nothing":       "",
		"they say half":          "GET /links HTTP/1.1\r\nHost: 127.0.0.1\r\n",
		"they have asked before": "GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
		// Few times: what is tried is who holds connections, not who takes the processor away.
		"they ask and do not listen": strings.Repeat("GET /links HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", 3),
	} {
		t.Run(name, func(t *testing.T) {
			// Long enough for no buffer to take the answer.
			links := []status.Link{{Component: "echo", State: status.Healthy, Topics: []string{strings.Repeat("x", 4<<20)}}}
			url := serve(t, &fake{p: status.Provider{Healthy: true, Links: links}})
			for range others {
				// One that cannot connect at once is none the less one that waits.
				go func() {
					if c, err := net.Dial("tcp", strings.TrimPrefix(url, "http://")); err == nil {
						_, _ = io.WriteString(c, send)
						t.Cleanup(func() { c.Close() })
					}
				}()
			}
			for range 5 {
				for _, path := range []string{"/healthz", "/readyz"} {
					// As probes do, it sends its request as soon as it is connected.
					conn := dial(t, url, "GET "+path+" HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
					if code, body := answerOn(t, conn); code != http.StatusOK {
						t.Errorf("%s: %d %q", path, code, body)
					}
				}
			}
		})
	}
}

func TestWhoSaysNothingIsCutOffSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var stack kfake.VirtualNetwork
		listener, err := stack.Listen("tcp", "127.0.0.1:80")
		if err != nil {
			t.Fatal(err)
		}
		s := start(Config{Address: "0", Source: &fake{}, Gatherer: prometheus.NewRegistry(),
			Log: slog.New(slog.DiscardHandler)}, listener)
		for name, c := range map[string]struct {
			send string
			want time.Duration
		}{
			"nothing":               {"", headerTimeout},
			"a byte":                {"G", headerTimeout},
			"all but the last line": {"GET / HTTP/1.1\r\nHost: x\r\n", headerTimeout},
		} {
			conn, err := stack.DialContext(t.Context(), "tcp", "127.0.0.1:80")
			if err != nil {
				t.Fatal(err)
			}
			began := time.Now()
			if _, err := io.WriteString(conn, c.send); err != nil {
				t.Fatal(err)
			}
			_, err = io.ReadAll(conn)
			if took := time.Since(began); took != c.want || err != nil {
				t.Errorf("who says %s is cut off after %v (%v)", name, took, err)
			}
		}
		s.Close(t.Context())
	})
}

// TestNobodyWaitsForABodyThatIsNotRead: its connection makes no room for others, such as probes, until then.
func TestNobodyWaitsForABodyThatIsNotRead(t *testing.T) {
	const body = "Host: 127.0.0.1\r\nContent-Length: 1000\r\n\r\n{"
	for name, c := range map[string]struct {
		send string
		want int
	}{
		"for a probe":             {"GET /healthz HTTP/1.1\r\n" + body, http.StatusOK},
		"for the page":            {"GET / HTTP/1.1\r\n" + body, http.StatusOK},
		"in chunks":               {"GET /links HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{", http.StatusOK},
		"that cannot be posted":   {"POST /links HTTP/1.1\r\n" + body, http.StatusMethodNotAllowed},
		"under another name":      {"GET /links HTTP/1.1\r\nHost: evil.example\r\nContent-Length: 9\r\n\r\n", http.StatusMisdirectedRequest},
		"for an action by GET":    {"GET /control HTTP/1.1\r\n" + body, http.StatusMethodNotAllowed},
		"for an action, unknown":  {"POST /control HTTP/1.1\r\n" + body, http.StatusUnauthorized},
		"for an action, no JSON":  {"POST /control HTTP/1.1\r\nAuthorization: Bearer " + aliceToken + "\r\n" + body, http.StatusUnsupportedMediaType},
		"that comes all the same": {"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 3\r\n\r\nabc", http.StatusOK},
	} {
		synctest.Test(t, func(t *testing.T) {
			var stack kfake.VirtualNetwork
			listener, err := stack.Listen("tcp", "127.0.0.1:80")
			if err != nil {
				t.Fatal(err)
			}
			s := start(Config{Address: "0", Source: &fake{p: status.Provider{Healthy: true}}, Gatherer: prometheus.NewRegistry(),
				Controller: newActed(control.Answer{OK: true}), Log: slog.New(slog.DiscardHandler),
				Tokens: []settings.ControlToken{{Name: "alice", Token: settings.NewSecret(aliceToken)}}}, listener)
			defer s.Close(t.Context())
			conn, err := stack.DialContext(t.Context(), "tcp", "127.0.0.1:80")
			if err != nil {
				t.Fatal(err)
			}
			began := time.Now()
			if _, err := io.WriteString(conn, c.send); err != nil {
				t.Fatal(err)
			}
			code, _ := answerOn(t, conn)
			if _, err := io.Copy(io.Discard, conn); err != nil {
				t.Errorf("a body %s: %v", name, err)
			}
			if took := time.Since(began); code != c.want || took > restTimeout {
				t.Errorf("a body %s: %d, and cut off after %v", name, code, took)
			}
		})
	}
}

// Somebody else's page in an operator's browser reaches the loopback under a name of its own.
func TestOnlyTheServersOwnNamesAreAnswered(t *testing.T) {
	registry := prometheus.NewRegistry()
	s, err := Start(Config{Address: "localhost:0", Hosts: []string{"Kafka.Shop.svc"},
		Source: &fake{p: status.Provider{Healthy: true}}, Gatherer: registry})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), testkit.DefaultTimeout)
		defer cancel()
		s.Close(ctx)
	})
	address := s.Addr().String()
	_, port, _ := net.SplitHostPort(address)
	for host, want := range map[string]int{
		"127.0.0.1": 200, "127.0.0.1:" + port: 200, "10.2.3.4:80": 200, "[::1]": 200, "[::1]:" + port: 200,
		"[fe80::1%25eth0]:1": 200,
		"localhost":          200, "LocalHost:1": 200, "localhost.": 200, "kafka.shop.svc": 200, "kafka.shop.svc.:9464": 200,
		"evil.example": 421, "evil.example:" + port: 421, "localhost.evil.example": 421, "127.0.0.1.evil.example": 421,
		"127.0.0.1.nip.io:" + port: 421, "a.localhost": 421, "shop.svc": 421, "0x7f000001": 421, "2130706433": 421,
		"127.1": 421, "[evil]": 421,
	} {
		for _, path := range []string{"/", "/links", "/metrics", "/healthz", "/readyz", "/history", "/none"} {
			conn := dial(t, "http://"+address,
				fmt.Sprintf("GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", path, host))
			code, body := answerOn(t, conn)
			if path == "/none" && want == 200 {
				code -= 204
			}
			if code != want || want == 421 && !strings.Contains(body, "admin_hosts") {
				t.Errorf("%s of %s: %d %.100q", path, host, code, body)
			}
		}
	}
	// In the first line of the request it counts, too.
	conn := dial(t, "http://"+address,
		"GET http://evil.example/links HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
	if code, _ := answerOn(t, conn); code != http.StatusMisdirectedRequest {
		t.Errorf("answered %d", code)
	}
	conn = dial(t, "http://"+address, "GET /healthz HTTP/1.0\r\n\r\n") // as old load balancers ask
	if code, _ := answerOn(t, conn); code != http.StatusOK {
		t.Errorf("answered %d", code)
	}
}

// answerOn reads the answer that comes on a connection.
func answerOn(t *testing.T, conn net.Conn) (code int, body string) {
	t.Helper()
	answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	read, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(read)
}
