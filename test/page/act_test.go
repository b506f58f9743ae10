package page

import (
	"context"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/messaging-kafka/messaging-kafka/internal/observe/admin"
	"github.com/messaging-kafka/messaging-kafka/internal/observe/control"
	"github.com/messaging-kafka/messaging-kafka/internal/observe/status"
	"github.com/messaging-kafka/messaging-kafka/internal/settings"
)

// pausable is a provider whose first link can be paused.
type pausable struct {
	mu     sync.Mutex
	p      status.Provider
	asked  []control.Request
	called []string
}

// Status implements admin.Source.
func (s *pausable) Status(context.Context) status.Provider {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.p
	p.Links = append([]status.Link(nil), p.Links...)
	p.Time = time.Now()
	return p
}

// Control implements admin.Controller.
func (s *pausable) Control(_ context.Context, operator string, r control.Request) control.Answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked, s.called = append(s.asked, r), append(s.called, operator)
	l := &s.p.Links[0]
	switch r.Action {
	case control.Pause:
		l.Paused = &status.Pause{Since: time.Now(), By: operator, Why: r.Why}
		l.State, l.Reason = status.Paused, l.Paused.String()
	case control.Resume:
		l.Paused, l.State, l.Reason = nil, status.Healthy, ""
	default:
		return control.Answer{Error: "not <b>now</b>", Code: control.CodeRefused}
	}
	return control.Answer{OK: true}
}

func TestAnOperatorWithATokenActsOnALink(t *testing.T) {
	s := &pausable{p: status.Provider{
		Version: "1", ProviderKey: "kafka", HostID: "N", InstanceID: "copy", Started: time.Now(), Healthy: true,
		Links: []status.Link{{Component: "echo", Name: "default", Package: "wasmcloud:messaging", Direction: status.Target,
			State: status.Healthy, Since: time.Now(), Topics: []string{"in"}}},
	}}
	server, err := admin.Start(admin.Config{Address: "0", Source: s, Gatherer: prometheus.NewRegistry(), Controller: s,
		Tokens: []settings.ControlToken{{Name: "alice", Token: settings.NewSecret("0123456789abcdef")}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		server.Close(ctx)
	})
	url := "http://" + server.Addr().(*net.TCPAddr).String() + "/"
	tb := open(t, url, desk)
	tb.until("the link is shown", thereAre(1))
	tb.until("nothing is acted on where all links are looked at", "document.querySelector('#act-section').hidden")
	tb = open(t, url+"#link=echo%2Fdefault", desk)
	tb.until("it can be acted on", "!document.querySelector('#act-section').hidden")
	tb.expectErrors() // the browser complains of each answer that refuses something
	tb.do(chromedp.Click(chromedp.CSS("#act-pause")))
	tb.until("nobody acts without a token", "document.querySelector('#act-said').textContent.startsWith('Not done: this takes a token')")
	tb.do(chromedp.SendKeys(chromedp.CSS("#act-token"), "0123456789abcdef"))
	tb.do(chromedp.SendKeys(chromedp.CSS("#act-why"), "the shop moves"))
	tb.do(chromedp.Click(chromedp.CSS("#act-pause")))
	tb.until("it is paused", "document.querySelector('#act-pause').textContent === 'Resume' && document.querySelector('#links .pill').textContent === 'paused'")
	tb.do(chromedp.Click(chromedp.CSS("#act-pause")))
	tb.until("it is resumed", "document.querySelector('#act-pause').textContent === 'Pause' && document.querySelector('#links .pill').textContent === 'healthy'")
	tb.do(chromedp.Click(chromedp.CSS("#act-restart")))
	tb.until("what is refused is told as text", "document.querySelector('#act-said').textContent === 'Not done: not <b>now</b>'")
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.asked) != 3 || s.called[0] != "alice" || s.asked[0].Why != "the shop moves" || s.asked[0].Link != "echo/default" ||
		s.asked[0].Instance != "copy" {
		t.Errorf("asked for %+v by %v", s.asked, s.called)
	}
}
