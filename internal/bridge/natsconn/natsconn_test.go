package natsconn

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/messaging-kafka/messaging-kafka/internal/observe/status"
	"github.com/messaging-kafka/messaging-kafka/internal/settings"
	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }

func newPool() (*Pool, *testkit.Log) {
	log := new(testkit.Log)
	return NewPool("test", log.Logger()), log
}

// connected waits until nothing is wrong with the connections.
func connected(t *testing.T, p *Pool) {
	t.Helper()
	testkit.Eventually(t, testkit.DefaultTimeout, func() error {
		if list := p.Problems(); len(list) > 0 {
			return fmt.Errorf("%s", list)
		}
		return nil
	})
}

// A connection that stands and has not been taken yet sends nothing: it is not told to be well.
func TestAConnectionIsThereWhenSomethingCanBeSentByIt(t *testing.T) {
	_, log := newPool()
	c := &Conn{log: log.Logger(), away: errConnecting, since: time.Now()}
	c.back(new(nats.Conn)) // which nats.go may call before it returns the connection
	if list := c.problems(); len(list) != 1 {
		t.Errorf("its problems are %v", list)
	}
	if err := c.Publish(t.Context(), &nats.Msg{Subject: "orders"}); err == nil {
		t.Error("something was sent")
	}
}

// TestPatienceBeginsAnewWithEachSignOfLife, and ends with the context all the same.
func TestPatienceBeginsAnewWithEachSignOfLife(t *testing.T) {
	alive := func(body []byte) bool { return string(body) == "+WPI" }
	synctest.Test(t, func(t *testing.T) {
		w := newWaiter("orders", alive)
		go func() {
			for range 3 {
				time.Sleep(59 * time.Second)
				w.take(&nats.Msg{Data: []byte("+WPI")})
			}
		}()
		began := time.Now()
		if _, err := w.wait(t.Context(), time.Minute); !errors.Is(err, ErrSilent) || time.Since(began) != 237*time.Second {
			t.Errorf("after %s: %v", time.Since(began), err)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
		defer cancel()
		w := newWaiter("orders", alive)
		go func() {
			for range 5 {
				time.Sleep(50 * time.Second)
				w.take(&nats.Msg{Data: []byte("+WPI")})
			}
		}()
		began := time.Now()
		if _, err := w.wait(ctx, time.Minute); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != 5*time.Minute {
			t.Errorf("after %s: %v", time.Since(began), err)
		}
	})
}

func TestTheFirstAnswerCounts(t *testing.T) {
	w := newWaiter("orders", func(body []byte) bool { return string(body) == "+WPI" })
	for _, body := range []string{"+WPI", "+WPI", "first", "+WPI", "second"} {
		w.take(&nats.Msg{Data: []byte(body)})
	}
	if m, err := w.wait(t.Context(), time.Minute); err != nil || string(m.Data) != "first" {
		t.Errorf("the answer is %v, %v", m, err)
	}
}

// TestAConnectionEndsWhereverItIs: connected, out of reach, refused, and with files that are not there.
func TestAConnectionEndsWhereverItIs(t *testing.T) {
	ns := testkit.NATS(t, testkit.NATSOptions{Configure: func(o *server.Options) { o.Authorization = "right" }})
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := "nats://" + closed.Addr().String()
	if err := closed.Close(); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		server settings.NATSServer
		wrong  string
	}{
		"connected":    {settings.NATSServer{URLs: ns.URL(), Token: settings.NewSecret("right")}, ""},
		"nobody there": {settings.NATSServer{URLs: nobody}, "no connection since"},
		"refused":      {settings.NATSServer{URLs: ns.URL(), Token: settings.NewSecret("false")}, "authorization violation"},
		"no file":      {settings.NATSServer{URLs: ns.URL(), TLSCAFile: "/nowhere/ca.pem"}, "/nowhere/ca.pem"},
	} {
		t.Run(name, func(t *testing.T) {
			p, log := newPool()
			c := p.Acquire(test.server)
			if p.Acquire(test.server) != c {
				t.Error("it is not shared")
			}
			c.Release()
			testkit.Eventually(t, testkit.DefaultTimeout, func() error {
				list := p.Problems()
				if test.wrong == "" && len(list) > 0 || test.wrong != "" && (len(list) != 1 || list[0].Kind != status.ProblemNATS ||
					!strings.Contains(strings.ToLower(list[0].Text), test.wrong)) {
					return fmt.Errorf("the problems are %+v", list)
				}
				return nil
			})
			_, err := Check(t.Context(), test.server, "", nil)
			if (err == nil) != (test.wrong == "") {
				t.Errorf("the check says %v", err)
			}
			_, err = c.Request(t.Context(), nats.NewMsg("orders"), time.Second, nil)
			if _, away := errors.AsType[*AwayError](err); away != (test.wrong != "") {
				t.Errorf("a request: %v", err)
			}
			c.Release()
			if list := p.Problems(); len(list) > 0 {
				t.Errorf("after the end there are %+v", list)
			}
			if log.Contains("right") || log.Contains("false,") {
				t.Error("the log tells the token")
			}
		})
	}
}

func TestAUserThatMayNotHearAnswersIsTold(t *testing.T) {
	ns := testkit.NATS(t, testkit.NATSOptions{Configure: func(o *server.Options) {
		o.Users = []*server.User{{Username: "u", Password: "p", Permissions: &server.Permissions{
			Subscribe: &server.SubjectPermission{Deny: []string{"_INBOX.>"}},
		}}}
	}})
	p, _ := newPool()
	c := p.Acquire(settings.NATSServer{URLs: ns.URL(), User: "u", Password: settings.NewSecret("p")})
	defer c.Release()
	testkit.Eventually(t, testkit.DefaultTimeout, func() error {
		if list := p.Problems(); len(list) != 1 || !strings.Contains(list[0].Text, "may not subscribe to _INBOX.>") {
			return fmt.Errorf("the problems are %+v", list)
		}
		return nil
	})
	_, err := c.Request(t.Context(), nats.NewMsg("orders"), time.Second, nil)
	if refused, is := errors.AsType[*RefusedError](err); !is || !refused.Deaf {
		t.Errorf("a request: %v", err)
	}
}

func TestAConnectionComesBack(t *testing.T) {
	ns := testkit.NATS(t, testkit.NATSOptions{})
	p, _ := newPool()
	c := p.Acquire(settings.NATSServer{URLs: ns.URL()})
	defer c.Release()
	connected(t, p)
	ns.Stop()
	testkit.Eventually(t, testkit.DefaultTimeout, func() error {
		if len(p.Problems()) == 0 {
			return errors.New("it is not missed")
		}
		return nil
	})
	ns.Start()
	connected(t, p)
	nc := ns.Connect()
	if _, err := nc.Subscribe("orders", func(m *nats.Msg) { _ = m.Respond([]byte("here")) }); err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, testkit.DefaultTimeout, func() error {
		m, err := c.Request(t.Context(), nats.NewMsg("orders"), testkit.DefaultTimeout, nil)
		if err == nil && string(m.Data) != "here" {
			err = fmt.Errorf("the answer is %q", m.Data)
		}
		return err
	})
}

// TestCredentialsThatAreTakenNoMoreAreTold: health says so as long as it lasts, and the log once, however often the
// server refuses them.
func TestCredentialsThatAreTakenNoMoreAreTold(t *testing.T) {
	var options *server.Options
	ns := testkit.NATS(t, testkit.NATSOptions{Configure: func(o *server.Options) {
		o.Users = []*server.User{{Username: "u", Password: "first"}}
		options = o
	}})
	p, log := newPool()
	c := p.Acquire(settings.NATSServer{URLs: ns.URL(), User: "u", Password: settings.NewSecret("first")})
	defer c.Release()
	connected(t, p)
	ns.Stop()
	options.Users[0].Password = "second"
	ns.Start()
	testkit.Eventually(t, testkit.DefaultTimeout, func() error {
		list := p.Problems()
		if len(list) != 1 || list[0].Kind != status.ProblemNATS || !strings.Contains(list[0].Text, "the server does not take the credentials") {
			return fmt.Errorf("the problems are %+v", list)
		}
		return nil
	})
	_, err := c.Request(t.Context(), nats.NewMsg("orders"), time.Second, nil)
	if _, away := errors.AsType[*AwayError](err); !away || !strings.Contains(err.Error(), "does not take the credentials") {
		t.Errorf("a request: %v", err)
	}
	ns.Stop()
	options.Users[0].Password = "first"
	ns.Start()
	connected(t, p)
	if n := strings.Count(log.String(), "level=WARN msg=\"an error of NATS\""); n > 0 {
		t.Errorf("the log has %d errors besides: %s", n, log.String())
	}
}

// TestACheckTriesAllServersInItsTime, one after the other.
func TestACheckTriesAllServersInItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, test := range []struct {
			left, want time.Duration
			urls       string
		}{
			{30 * time.Second, dialTimeout, "nats://a"},
			{time.Second, time.Second, "nats://a"},
			{time.Second, 250 * time.Millisecond, "nats://a,nats://b,nats://c,nats://d"},
			{-time.Second, time.Millisecond, "nats://a"},
		} {
			ctx, cancel := context.WithTimeout(t.Context(), test.left)
			defer cancel()
			if got := dialWithin(ctx, test.urls); got != test.want {
				t.Errorf("%s of %v: each has %v, want %v", test.urls, test.left, got, test.want)
			}
		}
		if got := dialWithin(t.Context(), "nats://a"); got != dialTimeout {
			t.Errorf("without an end each has %v", got)
		}
	})
}
