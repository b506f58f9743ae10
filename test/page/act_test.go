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
	// hidden and records are what is shown to who looks.
	hidden  bool
	records []control.Shown
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
	case control.Seek:
		return control.Answer{OK: true, Moves: []control.Move{{Topic: "in", Partition: 2, From: -1, To: 7}}}
	case control.Look:
		if len(r.Look.Filters) > 0 {
			return control.Answer{Error: "not <b>that</b>", Code: control.CodeRefused}
		}
		return control.Answer{OK: true, More: true, Hidden: s.hidden, Records: s.records}
	default:
		return control.Answer{Error: "not <b>now</b>", Code: control.CodeRefused}
	}
	return control.Answer{OK: true}
}

func newPausable() *pausable {
	return &pausable{p: status.Provider{
		Version: "1", ProviderKey: "kafka", HostID: "N", InstanceID: "copy", Started: time.Now(), Healthy: true,
		Links: []status.Link{
			{Component: "echo", Name: "default", Package: "wasmcloud:messaging", Direction: status.Target,
				State: status.Healthy, Since: time.Now(), Topics: []string{"in"}},
			{Component: "shop", Name: "default", Package: "wasmcloud:messaging", Direction: status.Target,
				State: status.Healthy, Since: time.Now()},
		},
	}}
}

// serve has a page with an operator, and returns its URL.
func (s *pausable) serve(t *testing.T) string {
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
	return "http://" + server.Addr().(*net.TCPAddr).String() + "/"
}

func TestAnOperatorWithATokenActsOnALink(t *testing.T) {
	s := newPausable()
	url := s.serve(t)
	tb := open(t, url, desk)
	tb.until("the link is shown", thereAre(2))
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

func TestAnOperatorWithATokenLooksAtRecords(t *testing.T) {
	s := newPausable()
	s.records = []control.Shown{
		{Topic: "in", Partition: 3, Offset: 17, Time: "2026-01-31T08:00:00.000Z", KeySize: 4, ValueSize: 20, Key: "<i>k", Value: `{"a":{"b":"<b>x</b>"}}`,
			Headers: []control.ShownHeader{{Name: "trace", Value: "abc"}}, MoreHeaders: 2},
		{Topic: "in", Partition: 3, Offset: 18, Time: "-", KeySize: -1, ValueSize: -1, Key: "null", Value: "null"},
	}
	url := s.serve(t)
	tb := open(t, url+"#link=shop%2Fdefault", desk)
	tb.until("the link that reads nothing is shown", "!document.querySelector('#act-section').hidden")
	tb.until("it has no records", "document.querySelector('#look-section').hidden")
	tb = open(t, url+"#link=echo%2Fdefault", desk)
	tb.until("records can be looked at", "!document.querySelector('#look-section').hidden && document.querySelector('#look-topic').value === 'in'")
	tb.expectErrors()
	tb.do(chromedp.Click(chromedp.CSS("#look-show")))
	tb.until("nobody looks without a token", "document.querySelector('#look-said').textContent.startsWith('Not shown: this takes a token')")
	tb.do(chromedp.SendKeys(chromedp.CSS("#act-token"), "0123456789abcdef"))
	tb.do(chromedp.Click(chromedp.CSS("#look-show")))
	tb.until("they are shown as text", "document.querySelector('#look-said').textContent === '2 records, and there are more.' && "+
		"document.querySelectorAll('#look-records li').length === 2 && "+
		"document.querySelector('#look-records li p').textContent === 'in 3/17 · 2026-01-31T08:00:00.000Z · key <i>k' && "+
		"document.querySelector('#look-records pre').textContent === '{\\n  \"a\": {\\n    \"b\": \"<b>x</b>\"\\n  }\\n}' && "+
		"document.querySelector('#look-records li').textContent.includes('trace: abc') && "+
		"document.querySelector('#look-records li').textContent.includes('2 more headers')")
	tb.do(chromedp.SendKeys(chromedp.CSS("#look-filter"), "key=a\r"))
	tb.until("a filter is asked with, and what is refused is told as text", "document.querySelector('#look-said').textContent === 'Not shown: not <b>that</b>' && "+
		"document.querySelectorAll('#look-records li').length === 0")
	s.mu.Lock()
	s.hidden = true
	for i := range s.records {
		s.records[i].Key, s.records[i].Value, s.records[i].Headers = "", "", []control.ShownHeader{{Name: "trace"}}
	}
	s.mu.Unlock()
	tb.until("there is no filter any more", "(document.querySelector('#look-filter').value = '') === ''")
	tb.do(chromedp.Click(chromedp.CSS("#look-show")))
	tb.until("sizes are shown where payloads are not", "document.querySelector('#look-records li')?.textContent === "+
		"'in 3/17 · 2026-01-31T08:00:00.000Z · key 4 bytesvalue 20 bytestrace2 more headers' && "+
		"document.querySelector('#look-said').textContent.includes('provider_control_payloads=true')")
	tb.until("another link is looked at", "(location.hash = '#link=shop%2Fdefault') !== ''")
	tb.until("they go with the link", "document.querySelectorAll('#look-records li').length === 0 && document.querySelector('#look-section').hidden")
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.asked) != 3 || s.called[0] != "alice" || s.asked[0].Look.Topic != "in" || s.asked[0].Look.From != "-20" ||
		s.asked[0].Instance != "copy" || s.asked[1].Look.Filters[0] != "key=a" {
		t.Errorf("asked for %+v by %v", s.asked, s.called)
	}
}

func TestAnOperatorWithATokenSetsOffsets(t *testing.T) {
	s := newPausable()
	url := s.serve(t)
	tb := open(t, url+"#link=shop%2Fdefault", desk)
	tb.until("the link that reads nothing has no offsets", "!document.querySelector('#act-section').hidden && document.querySelector('#act-seek').hidden")
	tb = open(t, url+"#link=echo%2Fdefault", desk)
	tb.until("offsets can be set", "!document.querySelector('#act-section').hidden && !document.querySelector('#act-seek').hidden")
	tb.do(chromedp.SendKeys(chromedp.CSS("#act-token"), "0123456789abcdef"))
	tb.do(chromedp.Click(chromedp.CSS("#act-seek")))
	tb.until("nowhere is no place", "document.querySelector('#act-said').textContent.startsWith('Not done: offsets go to start')")
	tb.do(chromedp.SendKeys(chromedp.CSS("#act-to"), "2026-01-31T09:00:00+01:00"))
	tb.do(chromedp.Click(chromedp.CSS("#act-seek")))
	tb.until("it is shown first", "document.querySelector('#act-said').textContent === "+
		"'Nothing was done. This would be set: in/2 from no offset to 7' && document.querySelector('#act-seek').textContent === 'Set them now'")
	tb.do(chromedp.Click(chromedp.CSS("#act-seek")))
	tb.until("it is done then", "document.querySelector('#act-said').textContent === 'Done: in/2 from no offset to 7' && "+
		"document.querySelector('#act-seek').textContent === 'Set offsets'")
	tb.do(chromedp.Click(chromedp.CSS("#act-seek")))
	tb.until("it is shown again", "document.querySelector('#act-seek').textContent === 'Set them now'")
	tb.do(chromedp.SendKeys(chromedp.CSS("#act-to"), " "))
	tb.until("another wish is shown first, too", "document.querySelector('#act-seek').textContent === 'Set offsets'")
	s.mu.Lock()
	defer s.mu.Unlock()
	at := time.Date(2026, 1, 31, 8, 0, 0, 0, time.UTC)
	if len(s.asked) != 3 || !s.asked[0].DryRun || s.asked[1].DryRun || !s.asked[2].DryRun || s.asked[1].Seek.To != control.ToTime ||
		s.asked[1].Seek.Time == nil || !s.asked[1].Seek.Time.Equal(at) {
		t.Errorf("asked for %+v", s.asked)
	}
}
