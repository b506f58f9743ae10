package wrpc

import (
	"context"
	"errors"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

// known returns what the client knows of a peer's inbox.
func (p *peer) known(c *Client) (there, gone bool) {
	c.peers.mu.Lock()
	defer c.peers.mu.Unlock()
	in := c.peers.inbox[p.inbox+"."]
	return in != nil && in.there, in != nil && in.gone
}

func TestACallThatIsTakenByNobodyWasNotAccepted(t *testing.T) {
	s := runNATS(t, defaultPayload)
	client := newClient(t, connect(t, s), ClientOptions{})
	p := newPeer(t, connect(t, s), "f")
	for name, size := range map[string]int{"in one message": 1, "in several": 3 << 20} {
		ctx, over := testkit.Ending(t)
		done := begin(ctx, client, make([]byte, size), nil)
		p.next(p.calls)
		over()
		if err := wait(t, done); !errors.Is(err, ErrNotAccepted) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: %v", name, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := client.Invoke(ctx, invocation("f", nil), nil); !errors.Is(err, ErrNotAccepted) {
		t.Errorf("a call that was never made: %v", err)
	}
}

func TestACallThatIsAcceptedAndNotAnsweredWasAccepted(t *testing.T) {
	s := runNATS(t, defaultPayload)
	client := newClient(t, connect(t, s), ClientOptions{})
	p := newPeer(t, connect(t, s), "f")
	ctx, over := testkit.Ending(t)
	done := begin(ctx, client, []byte("x"), nil)
	p.accept(p.next(p.calls))
	p.end()
	eventually(t, "the accept is taken", func() bool { return client.pending()[0].taken() })
	over()
	if err := wait(t, done); errors.Is(err, ErrNotAccepted) || errors.Is(err, ErrDisconnected) ||
		!errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

func TestACallWhosePartsCannotAllBeSentWasNotAccepted(t *testing.T) {
	s := runNATS(t, defaultPayload)
	client := newClient(t, connect(t, s), ClientOptions{PartsPause: time.Hour})
	p := newPeer(t, connect(t, s), "f")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := begin(ctx, client, make([]byte, 3<<20), nil)
	p.accept(p.next(p.calls))
	eventually(t, "the accept is taken", func() bool { return client.pending()[0].taken() })
	cancel()
	if err := wait(t, done); !errors.Is(err, ErrNotAccepted) {
		t.Errorf("got %v", err)
	}
	p.end()
}

func TestCallsOfAPeerThatIsGoneAreCut(t *testing.T) {
	s := runNATS(t, defaultPayload)
	client := newClient(t, connect(t, s), ClientOptions{})
	p := newPeer(t, connect(t, s), "f")
	other := newPeer(t, p.nc, "g")
	inbox, err := p.nc.SubscribeSync(p.inbox + ".>") // as a host has it
	if err != nil {
		t.Fatal(err)
	}
	if _, err := other.nc.SubscribeSync(other.inbox + ".>"); err != nil {
		t.Fatal(err)
	}
	done := begin(withPatience(t), client, []byte("x"), nil)
	p.accept(p.next(p.calls))
	stays := make(chan error, 1)
	go func() { stays <- client.Invoke(withPatience(t), invocation("g", []byte("x")), nil) }()
	m := other.next(other.calls)
	other.accept(m)
	eventually(t, "both peers are known to be there", func() bool {
		one, _ := p.known(client)
		two, _ := other.known(client)
		return one && two
	})
	if err := inbox.Unsubscribe(); err != nil {
		t.Fatal(err)
	}
	if err := p.in.Unsubscribe(); err != nil {
		t.Fatal(err)
	}
	if err := wait(t, done); !errors.Is(err, ErrCut) {
		t.Errorf("got %v", err)
	}
	other.send(m.Reply+".results", "", nil)
	if err := wait(t, stays); err != nil {
		t.Errorf("the other peer's call: %v", err)
	}
}

// Peers are asked once a second, and the time of a call may be over before that.
func TestACallWhosePeerWentRightBeforeItsTimeWasOverIsCut(t *testing.T) {
	s := runNATS(t, defaultPayload)
	client := newClient(t, connect(t, s), ClientOptions{})
	for _, goes := range []bool{true, false} {
		p := newPeer(t, connect(t, s), "f"+strconv.FormatBool(goes))
		inbox, err := p.nc.SubscribeSync(p.inbox + ".>") // as a host has it
		if err != nil {
			t.Fatal(err)
		}
		ctx, over := testkit.Ending(t)
		done := make(chan error, 1)
		go func() { done <- client.Invoke(ctx, invocation("f"+strconv.FormatBool(goes), []byte("x")), nil) }()
		p.accept(p.next(p.calls))
		eventually(t, "the peer is known to be there", func() bool { there, _ := p.known(client); return there })
		if goes {
			for _, sub := range []*nats.Subscription{inbox, p.in} {
				if err := sub.Unsubscribe(); err != nil {
					t.Fatal(err)
				}
			}
			if err := p.nc.Flush(); err != nil {
				t.Fatal(err)
			}
		}
		over()
		if err := wait(t, done); errors.Is(err, ErrCut) != goes || errors.Is(err, ErrDisconnected) {
			t.Errorf("goes %v: got %v", goes, err)
		}
	}
}

func TestAPeerWithoutAnInboxThatStaysIsNotTakenForGone(t *testing.T) {
	s := runNATS(t, defaultPayload)
	client := newClient(t, connect(t, s), ClientOptions{})
	p := newPeer(t, connect(t, s), "f")
	done := begin(withPatience(t), client, []byte("x"), nil)
	m := p.next(p.calls)
	p.accept(m)
	eventually(t, "NATS has said that nobody is there", func() bool { _, gone := p.known(client); return gone })
	asked := func() uint64 {
		client.peers.mu.Lock()
		defer client.peers.mu.Unlock()
		return client.peers.round
	}
	before := asked()
	eventually(t, "peers are asked again", func() bool { return asked() > before+1 })
	p.send(m.Reply+".results", "", nil)
	if err := wait(t, done); err != nil {
		t.Error(err)
	}
}

func TestNoResponderEndsTheWaitOfEarlierCalls(t *testing.T) {
	s := runNATS(t, defaultPayload)
	client := newClient(t, connect(t, s), ClientOptions{})
	p := newPeer(t, connect(t, s), "f")
	waits := begin(withPatience(t), client, []byte("x"), nil)
	p.next(p.calls)
	taken := begin(withPatience(t), client, []byte("y"), nil)
	m := p.next(p.calls)
	p.accept(m)
	p.end()
	if err := p.calls.Unsubscribe(); err != nil {
		t.Fatal(err)
	}
	flush(t, p.nc)
	if err := client.Invoke(withPatience(t), invocation("f", []byte("z")), nil); !errors.Is(err, ErrNoResponders) {
		t.Fatalf("got %v", err)
	}
	if err := wait(t, waits); !errors.Is(err, ErrNoResponders) {
		t.Errorf("the earlier call: %v", err)
	}
	p.send(m.Reply+".results", "", nil)
	if err := wait(t, taken); err != nil {
		t.Errorf("the one that was taken: %v", err)
	}
}

func TestInterruptionsEndWhatNobodyHasTaken(t *testing.T) {
	s := runNATS(t, defaultPayload)
	for _, c := range []struct {
		name, interrupt string
		want            error
	}{
		{"of the component", testPrefix, ErrCut},
		{"of a host", "", ErrCut},
		{"of another component", testPrefix + "-other", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			client := newClient(t, connect(t, s), ClientOptions{CutGrace: -1})
			p := newPeer(t, connect(t, s), "f")
			defer p.calls.Unsubscribe()
			waits := begin(withPatience(t), client, []byte("x"), nil)
			first := p.next(p.calls)
			taken := begin(withPatience(t), client, []byte("y"), nil)
			second := p.next(p.calls)
			p.accept(second)
			p.end()
			client.Interrupted(c.interrupt)
			if c.want == nil {
				p.send(first.Reply+".results", "", nil)
				if err := wait(t, waits); err != nil {
					t.Errorf("the call that waited: %v", err)
				}
			} else if err := wait(t, waits); !errors.Is(err, ErrNotAccepted) || !errors.Is(err, c.want) {
				t.Errorf("the call that waited: %v", err)
			}
			p.send(second.Reply+".results", "", []byte{1}) // it goes on, whatever it says
			if err := wait(t, taken); !errors.Is(err, ErrMalformed) {
				t.Errorf("the call that was taken: %v", err)
			}
		})
	}
}

func TestACallWithoutAValueAboutAnInterruptionWasCut(t *testing.T) {
	s := runNATS(t, defaultPayload)
	for name, order := range map[string]struct {
		interrupt []string // what is interrupted, before the end and after it
		cut       bool
	}{
		"it was told before":       {[]string{testPrefix, "none"}, true},
		"it is told after":         {[]string{"none", testPrefix}, true},
		"it is another component":  {[]string{testPrefix + "2", testPrefix + "2"}, false},
		"nothing was interrupted":  {[]string{"none", "none"}, false},
		"a host stopped meanwhile": {[]string{"none", ""}, true},
	} {
		t.Run(name, func(t *testing.T) {
			grace := 500 * time.Millisecond
			if order.cut {
				grace = patience // it does not wait for it
			}
			client := newClient(t, connect(t, s), ClientOptions{CutGrace: grace})
			p := newPeer(t, connect(t, s), "f")
			defer p.calls.Unsubscribe()
			var got string
			done := begin(withPatience(t), client, []byte("x"), decodeInto(&got))
			m := p.next(p.calls)
			p.accept(m)
			p.end()
			client.Interrupted(order.interrupt[0])
			p.send(m.Reply+".results", "", nil)
			flush(t, p.nc)
			flush(t, client.nc)
			client.Interrupted(order.interrupt[1])
			if err := wait(t, done); !errors.Is(err, ErrIncomplete) || errors.Is(err, ErrCut) != order.cut {
				t.Errorf("got %v", err)
			}
		})
	}
}

// refusing is a NATS server whose users have what allow leaves them.
func refusing(t *testing.T, allow func(*server.Permissions)) (all *nats.Conn, client *Client) {
	t.Helper()
	permissions := &server.Permissions{}
	allow(permissions)
	ns := testkit.NATS(t, testkit.NATSOptions{Configure: func(o *server.Options) {
		o.Users = []*server.User{{Username: "others", Password: "others"},
			{Username: "client", Password: "client", Permissions: permissions}}
	}})
	var told func(error)
	nc := ns.Connect(nats.UserInfo("client", "client"),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { told(err) }))
	return ns.Connect(nats.UserInfo("others", "others")), newClient(t, nc,
		ClientOptions{Refusals: func(f func(error)) { told = f }})
}

func TestWhatNATSRefusesEndsACallAtOnce(t *testing.T) {
	for _, c := range []struct {
		name    string
		allow   func(*server.Permissions)
		size    int
		mention string
	}{
		{"the invocation", func(p *server.Permissions) { p.Publish = &server.SubjectPermission{Allow: []string{"_INBOX.>"}} }, 1, testPrefix},
		{"the inbox", func(p *server.Permissions) { p.Subscribe = &server.SubjectPermission{Deny: []string{"_INBOX.>"}} }, 1, "_INBOX"},
		{"the parameters", func(p *server.Permissions) { p.Publish = &server.SubjectPermission{Deny: []string{"_INBOX.>"}} }, 3 << 20, "_INBOX"},
	} {
		t.Run(c.name, func(t *testing.T) {
			all, client := refusing(t, c.allow)
			p := newPeer(t, all, "f")
			done := begin(withPatience(t), client, make([]byte, c.size), nil)
			if c.name == "the parameters" {
				if m, err := p.calls.NextMsg(patience); err == nil {
					p.accept(m)
				}
			}
			err := wait(t, done)
			if !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), c.mention) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestACallIsNotMadeWhoseAnswerCannotBeHeard(t *testing.T) {
	all, client := refusing(t,
		func(p *server.Permissions) { p.Subscribe = &server.SubjectPermission{Deny: []string{"_INBOX.>"}} })
	p := newPeer(t, all, "f")
	eventually(t, "the refusal is known", func() bool { return client.peers.deafness() != nil })
	if err := client.Invoke(withPatience(t), invocation("f", nil), nil); !errors.Is(err, ErrRefused) ||
		!errors.Is(err, ErrNotAccepted) {
		t.Errorf("got %v", err)
	}
	flush(t, client.nc)
	flush(t, p.nc)
	if n, _, _ := p.calls.Pending(); n != 0 {
		t.Errorf("%d calls were made", n)
	}
}

func TestACallWhoseConnectionIsHalfOpenSaysNothingOfThePeer(t *testing.T) {
	s := runNATS(t, defaultPayload)
	proxy := testkit.NewProxy(t, net.JoinHostPort("127.0.0.1", strconv.Itoa(s.Addr().(*net.TCPAddr).Port)))
	nc, err := nats.Connect("nats://" + proxy.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	defer proxy.Resume()
	client := newClient(t, nc, ClientOptions{})
	p := newPeer(t, connect(t, s), "f")
	ctx, over := testkit.Ending(t)
	done := begin(ctx, client, []byte("x"), nil)
	p.accept(p.next(p.calls))
	p.end()
	eventually(t, "the accept is taken", func() bool { return client.pending()[0].taken() })
	proxy.Pause()
	over()
	if err := wait(t, done); !errors.Is(err, ErrDisconnected) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}
