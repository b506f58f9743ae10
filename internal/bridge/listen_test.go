package bridge

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/messaging-kafka/messaging-kafka/internal/observe/status"
	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

// TestAReloadExchangesTheServer where that can be, and else keeps the one before and says so.
func TestAReloadExchangesTheServer(t *testing.T) {
	t.Parallel()
	k := testkit.Kfake(t)
	k.Topic("orders", 1)
	occupied, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer occupied.Close()
	app := newApplication(t, nil)
	routes := file(k.Brokers(), reads("orders", app.URL))
	listening := make(chan net.Addr, 1)
	b := startWith(t, "listen: 127.0.0.1:0\n"+routes, nil, Options{OnListen: func(a net.Addr) { listening <- a }})
	before := "http://" + (<-listening).String()
	b.await(healthy)
	publish := func(url, value string, want int) {
		t.Helper()
		if code, results, err := send(url, "", "", outgoing("orders", value)); err != nil || code != want || code == http.StatusOK && results[0].Err != nil {
			t.Fatalf("%s: %d %+v, %v", value, code, results, err)
		}
	}
	for name, listen := range map[string]string{
		"an address that is taken": "listen: " + occupied.Addr().String(),
		"one that is none":         "listen: no.such.host.invalid:80\nlisten_open: true",
		"one that others reach":    "listen: 0.0.0.0:0",
		"a certificate that is none": "listen: 127.0.0.1:0\nlisten_tls_cert_file: " + b.path + "\nlisten_tls_key_file: " +
			b.path,
	} {
		write(t, b.path, withAdmin(listen+"\n"+routes))
		b.await(func(s *status.Provider) error {
			if s.Healthy || !s.Problems.Has(status.ProblemConfig) || !strings.Contains(s.Message, "listen") {
				return fmt.Errorf("%s: the status says %q", name, s.Message)
			}
			return nil
		})
		publish(before, name, http.StatusOK)
		write(t, b.path, withAdmin("listen: 127.0.0.1:0\n"+routes))
		b.await(healthy)
	}
	// The same address, and another bound: it counts from now on, and nobody is refused meanwhile.
	write(t, b.path, withAdmin("listen: 127.0.0.1:0\nlisten_max_body: 1KiB\n"+routes))
	if same := "http://" + (<-listening).String(); same != before {
		t.Errorf("it listens on %s, and did so on %s", same, before)
	}
	testkit.Eventually(t, testkit.DefaultTimeout, func() error { // the server before answers by its connections yet
		code, _, err := send(before, "", "", outgoing("orders", strings.Repeat("x", 1<<10)))
		if err == nil && code != http.StatusRequestEntityTooLarge {
			err = fmt.Errorf("a body that is too large is answered %d", code)
		}
		return err
	})
	publish(before, "short", http.StatusOK)
	// None, and another one.
	write(t, b.path, withAdmin(routes))
	testkit.Eventually(t, testkit.DefaultTimeout, func() error {
		if conn, err := net.Dial("tcp", strings.TrimPrefix(before, "http://")); err == nil {
			_ = conn.Close()
			return fmt.Errorf("it still listens on %s", before)
		}
		return nil
	})
	write(t, b.path, withAdmin("listen: \"[::1]:0\"\n"+routes))
	publish("http://"+(<-listening).String(), "elsewhere", http.StatusOK)
	b.await(healthy)
}

// TestWhatIsWrongIsToldOfRoutes and not of links, which a bridge's file does not have.
func TestWhatIsWrongIsToldOfRoutes(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		code int
		kind status.ProblemKind
		text string
	}{
		"nobody is there":           {http.StatusServiceUnavailable, status.ProblemUnavailable, "the application takes no calls since"},
		"the credentials are bad":   {http.StatusUnauthorized, status.ProblemCredentials, "credentials are refused since"},
		"a proxy is in between":     {http.StatusProxyAuthRequired, status.ProblemProxy, "a proxy asks for credentials since"},
		"the application has moved": {http.StatusMovedPermanently, status.ProblemRedirect, "redirects are refused, since"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := testkit.Kfake(t)
			k.Topic("orders", 1)
			app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(c.code) }))
			t.Cleanup(app.Close)
			testkit.NewClient(t, k.Brokers()).ProduceText("orders", "one")
			b := start(t, file(k.Brokers(), reads("orders", app.URL)), nil)
			b.await(func(s *status.Provider) error {
				if s.Words != status.OfRoutes || !strings.HasPrefix(s.Message, "route bridge/orders (http-records): ") {
					return fmt.Errorf("the status says %q of %q", s.Message, s.Words)
				}
				problems := s.Links[0].Problems
				if len(problems) != 1 || problems[0].Kind != c.kind || !strings.Contains(problems[0].Text, c.text) || !strings.Contains(problems[0].Text, fmt.Sprint(c.code)) {
					return fmt.Errorf("its problems are %+v", problems)
				}
				return nil
			})
			if code, body := b.get("/readyz"); code == http.StatusOK || !strings.HasPrefix(body, "route bridge/orders (http-records): ") {
				t.Errorf("readyz: %d %s", code, body)
			}
			testkit.Eventually(t, testkit.DefaultTimeout, func() error {
				if !b.log.Contains(`msg="the route is not healthy" route=orders bridge=bridge direction=source`) {
					return fmt.Errorf("the log does not say so: %s", b.log)
				}
				return nil
			})
			if err := b.stop(); err != nil {
				t.Error(err)
			}
			if log := b.log.String(); strings.Contains(log, "link") || !strings.Contains(log, "route ended") {
				t.Errorf("the log speaks of links: %s", log)
			}
		})
	}
}
