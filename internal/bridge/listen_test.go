package bridge

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

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

// TestAReloadGoesOverToAnAddressThatItsOwnIsInTheWayOf and loses no request that a caller could send: connections that
// were made are answered, and only ones that nobody has accepted may be refused.
func TestAReloadGoesOverToAnAddressThatItsOwnIsInTheWayOf(t *testing.T) {
	t.Parallel()
	k := testkit.Kfake(t)
	k.Topic("orders", 1)
	routes := file(k.Brokers(), "orders\nallowed_topics: orders")
	listening := make(chan net.Addr, 1)
	b := startWith(t, "listen: 127.0.0.1:0\n"+routes, nil, Options{OnListen: func(a net.Addr) { listening <- a }})
	_, port, err := net.SplitHostPort((<-listening).String())
	if err != nil {
		t.Fatal(err)
	}
	b.await(healthy)
	end := make(chan struct{})
	var all atomic.Int64
	var callers sync.WaitGroup
	for range 4 {
		callers.Go(func() {
			once := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}} // a connection for each record
			for {
				select {
				case <-end:
					return
				default:
				}
				resp, err := once.Post("http://127.0.0.1:"+port+"/topics/orders", "text/plain", strings.NewReader(fmt.Sprint(all.Load())))
				if op, is := errors.AsType[*net.OpError](err); is && op.Op == "dial" {
					continue // nothing of the request was sent
				}
				if err != nil {
					t.Errorf("after %d records: %v", all.Load(), err)
					return
				}
				_ = resp.Body.Close()
				if resp.StatusCode != http.StatusOK {
					t.Errorf("after %d records: %s", all.Load(), resp.Status)
					return
				}
				all.Add(1)
			}
		})
	}
	ended := sync.OnceFunc(func() { close(end); callers.Wait() })
	defer ended()
	for _, host := range []string{"0.0.0.0", "127.0.0.1", "localhost", "::", "0.0.0.0", "::1", "localhost"} {
		write(t, b.path, withAdmin("listen: \""+net.JoinHostPort(host, port)+"\"\nlisten_open: true\n"+routes))
		select {
		case at := <-listening:
			if everywhere := host == "0.0.0.0" || host == "::"; at.(*net.TCPAddr).IP.IsUnspecified() != everywhere {
				t.Errorf("%s is %s", host, at)
			}
		case <-time.After(testkit.DefaultTimeout):
			t.Fatalf("%s: it does not listen: %s", host, b.status().Message)
		}
		b.await(healthy)
	}
	ended()
	n := int(all.Load())
	if got := len(testkit.NewClient(t, k.Brokers()).Read("orders", n)); got != n || n == 0 {
		t.Errorf("%d records of %d are there", got, n)
	}
}

// TestAnAddressThatIsTakenIsListenedOnOnceItIsFree with nobody telling that it is, and health names the line meanwhile.
// The address before is listened on until then, also where it had to be given up for the attempt.
func TestAnAddressThatIsTakenIsListenedOnOnceItIsFree(t *testing.T) {
	t.Parallel()
	k := testkit.Kfake(t)
	k.Topic("orders", 1)
	routes := file(k.Brokers(), "orders\nallowed_topics: orders")
	listening := make(chan net.Addr, 1)
	b := startWith(t, "listen: 127.0.0.1:0\n"+routes, nil, Options{OnListen: func(a net.Addr) { listening <- a }})
	before := <-listening
	_, port, err := net.SplitHostPort(before.String())
	if err != nil {
		t.Fatal(err)
	}
	// Somebody else has the port at another address of the loopback, and so all of them cannot be had.
	other, err := net.Listen("tcp", "127.0.0.2:"+port)
	if err != nil {
		t.Skipf("there is no second address: %v", err)
	}
	defer other.Close()
	write(t, b.path, withAdmin("listen: 0.0.0.0:"+port+"\nlisten_open: true\n"+routes))
	b.await(func(s *status.Provider) error {
		if s.Healthy || !strings.Contains(s.Message, b.path+":2: listen: cannot be listened on: ") || !strings.Contains(s.Message, "address already in use") {
			return fmt.Errorf("the status says %q", s.Message)
		}
		return nil
	})
	if code, _, err := send("http://"+before.String(), "", "", outgoing("orders", "meanwhile")); err != nil || code != http.StatusOK {
		t.Errorf("the address before answers %d, %v", code, err)
	}
	if err := other.Close(); err != nil {
		t.Fatal(err)
	}
	b.await(healthy)
	if at := (<-listening).(*net.TCPAddr); !at.IP.IsUnspecified() {
		t.Errorf("it listens on %s", at)
	}
	if n := strings.Count(b.log.String(), "the file cannot be used"); n != 1 {
		t.Errorf("it is told %d times", n)
	}
}

func TestWhatFailedIsTriedAgainAfterLongerAndLongerWaits(t *testing.T) {
	var r retries
	now := time.Unix(0, 0)
	if r.due(now) {
		t.Error("nothing has failed")
	}
	for i, seconds := range []int{1, 2, 4, 8, 16, 30, 30} {
		want := time.Duration(seconds) * time.Second
		r.after(now, true)
		if r.due(now.Add(want-1)) || !r.due(now.Add(want)) {
			t.Errorf("after %d failures it is due at %s", i+1, r.next)
		}
	}
	if r.after(now, false); r.due(now.Add(time.Hour)) {
		t.Error("it is tried again although it succeeded")
	}
}

// ofLinks are words that a bridge has no use for. Lines of the Kafka client have their own.
var ofLinks = regexp.MustCompile(`(?m)^.*msg="?[^k].*\b(links?|components?)\b.*$`)

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
			heading := "The application refuses the route's credentials, or has moved"
			if c.kind == status.ProblemUnavailable {
				heading = "No component takes calls"
			}
			log := b.log.String()
			testkit.InRunbook(t, heading, log)
			if found := ofLinks.FindString(log); found != "" || !strings.Contains(log, "route ended") {
				t.Errorf("the log speaks of %q: %s", found, log)
			}
		})
	}
}
