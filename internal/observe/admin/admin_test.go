package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/messaging-kafka/messaging-kafka/internal/base/version"
	"github.com/messaging-kafka/messaging-kafka/internal/observe/status"
	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// fake is a source that a test makes up.
type fake struct {
	p     status.Provider
	stuck chan struct{} // until it is closed nothing is answered; nil: at once
}

// Status implements Source.
func (f *fake) Status(context.Context) status.Provider {
	if f.stuck != nil {
		<-f.stuck
	}
	return f.p
}

func serve(t *testing.T, f *fake) string {
	t.Helper()
	registry := prometheus.NewRegistry()
	registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "a_metric_total"},
		func() float64 { return 7 }))
	s, err := Start(Config{Address: "0", Source: f, Gatherer: registry})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		s.Close(ctx)
	})
	return "http://" + s.Addr().String()
}

type reply struct {
	code   int
	header http.Header
	body   string
}

func ask(t *testing.T, method, url string) reply {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	client := http.Client{Timeout: testkit.DefaultTimeout, Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return reply{response.StatusCode, response.Header, string(body)}
}

func TestEveryAddressIsServedAndNothingElse(t *testing.T) {
	f := &fake{p: status.Provider{Healthy: true, ProviderKey: "kafka",
		Links: []status.Link{{Component: "echo", Name: "default", State: status.Healthy}}}}
	url := serve(t, f)
	for path, want := range map[string]struct {
		code       int
		kind, text string
	}{
		"/":                {200, "text/html; charset=utf-8", "<title>messaging-kafka</title>"},
		"/metrics":         {200, "text/plain", "a_metric_total 7"},
		"/healthz":         {200, "text/plain; charset=utf-8", "alive\n"},
		"/readyz":          {200, "text/plain; charset=utf-8", "ready\n"},
		"/links":           {200, "application/json", `"provider_key":"kafka"`},
		"/history":         {200, "application/json", `"points":180`},
		"/history?since=x": {400, "text/plain; charset=utf-8", "milliseconds"},
		"/elsewhere":       {404, "text/plain; charset=utf-8", "not found"},
		"/links/more":      {404, "text/plain; charset=utf-8", "not found"},
	} {
		got := ask(t, "GET", url+path)
		if got.code != want.code || !strings.HasPrefix(got.header.Get("Content-Type"), want.kind) ||
			!strings.Contains(got.body, want.text) {
			t.Errorf("%s: %d, %s, %.200q", path, got.code, got.header.Get("Content-Type"), got.body)
		}
		if head := ask(t, "HEAD", url+path); head.code != want.code || head.body != "" {
			t.Errorf("HEAD %s: %d, %q", path, head.code, head.body)
		}
		for _, method := range []string{"POST", "PUT", "DELETE", "OPTIONS", "PATCH"} {
			if refused := ask(t, method, url+path); refused.code != http.StatusMethodNotAllowed ||
				refused.header.Get("Allow") != "GET, HEAD" {
				t.Errorf("%s %s: %d", method, path, refused.code)
			}
		}
		policy := got.header.Get("Content-Security-Policy")
		if !strings.HasPrefix(policy, "default-src 'none'; ") || !strings.Contains(policy, "frame-ancestors 'none'") ||
			strings.Contains(policy, "unsafe") ||
			got.header.Get("X-Content-Type-Options") != "nosniff" || got.header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: headers %v", path, got.header)
		}
	}
}

func TestThePageNeedsNothingFromElsewhere(t *testing.T) {
	text := strings.ReplaceAll(page, `"http://www.w3.org/2000/svg"`, "")
	text = strings.ReplaceAll(text, `xmlns='http://www.w3.org/2000/svg'`, "")
	for _, never := range []string{"http://", "https://", "@import", "url(", "innerHTML", "outerHTML",
		"insertAdjacentHTML", "document.write", "eval(", " onclick", " style="} {
		if strings.Contains(text, never) {
			t.Errorf("the page has %q in it", never)
		}
	}
	if n := strings.Count(text, "<script>") + strings.Count(text, "<style>"); n != 2 ||
		strings.Count(text, "<script") != 1 || strings.Count(text, "<style") != 1 {
		t.Error("the page's policy knows one script and one style")
	}
	// The runbook is elsewhere; it is asked for by a click alone.
	served, _ := servedPage()
	if got := string(served); strings.Count(got, "https://") != 1 ||
		!strings.Contains(got, `"page":"`+status.RunbookPage(version.Get().Version)+`"`) ||
		!strings.Contains(got, `"failing":"the-component-fails"`) {
		t.Error("the page does not know where the runbook is")
	}
}

func TestReadinessFollowsEveryLink(t *testing.T) {
	for name, test := range map[string]struct {
		p    status.Provider
		code int
		want string
	}{
		"no link":             {status.Provider{Healthy: true}, 200, "ready\n"},
		"a link that is well": {status.Provider{Healthy: true, Links: []status.Link{{Component: "a", Name: "b", State: status.Healthy}}}, 200, "ready\n"},
		"two that are not": {status.Provider{Message: "x", Links: []status.Link{
			{Component: "a", Name: "b", State: status.Unhealthy, Reason: "no broker"},
			{Component: "c", Name: "d", State: status.Healthy},
			{Component: "e", Name: "f", Direction: status.Source, State: status.Starting},
		}}, 503, "link a/b: no broker\nlink e/f (as source): starting\n"},
		"a provider that is not well in itself": {status.Provider{Message: "provider config: bad"}, 503, "provider config: bad\n"},
	} {
		t.Run(name, func(t *testing.T) {
			url := serve(t, &fake{p: test.p})
			if got := ask(t, "GET", url+"/readyz"); got.code != test.code || got.body != test.want {
				t.Errorf("readyz: %d %q", got.code, got.body)
			}
			if got := ask(t, "GET", url+"/healthz"); got.code != 200 {
				t.Errorf("healthz: %d %q: a restart would not mend this", got.code, got.body)
			}
		})
	}
}

func TestAStuckProviderIsNotAlive(t *testing.T) {
	f := &fake{stuck: make(chan struct{})}
	url := serve(t, f)
	t.Cleanup(func() { close(f.stuck) })
	for _, path := range []string{"/healthz", "/readyz", "/links"} {
		if got := ask(t, "GET", url+path); got.code != 503 || !strings.Contains(got.body, "does not tell its status") {
			t.Errorf("%s: %d %q", path, got.code, got.body)
		}
	}
	if got := ask(t, "GET", url+"/"); got.code != 200 {
		t.Errorf("the page itself: %d", got.code)
	}
}

func TestAnAddressThatIsTakenIsRefused(t *testing.T) {
	url := serve(t, &fake{})
	_, err := Start(Config{Address: strings.TrimPrefix(url, "http://"), Source: &fake{},
		Gatherer: prometheus.NewRegistry()})
	if err == nil || !strings.Contains(err.Error(), "admin_address") {
		t.Errorf("got %v", err)
	}
}

// counted is a status in which one link has taken in so many records, each handled within 10 ms.
func counted(at time.Time, id string, records float64) status.Provider {
	return status.Provider{Started: at.Truncate(time.Hour), Time: at, Links: []status.Link{{
		Component: id, Name: "default", InFlight: 3, Partitions: []status.Partition{{Lag: 5}, {Lag: 6}},
		Counters: status.Counters{RecordsIn: records, RecordsOut: records / 2, Redeliveries: records / 10,
			Deliveries: map[string]float64{
				"done": records, "retry": records / 10, "reject": records / 10}, HandleSeconds: &status.Histogram{
				Count: uint64(records), Sum: records / 200, Buckets: []status.Bucket{{UpTo: .01, Count: uint64(records)}},
			}},
	}}}
}

func TestTheHistoryIsARingOfFifteenMinutes(t *testing.T) {
	noon := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	var h history
	for i := range 400 {
		p := counted(noon.Add(time.Duration(i)*HistoryInterval), "echo", float64(i*50))
		h.add(&p)
	}
	whole := h.since(0, noon)
	if len(whole.Times) != HistoryPoints || whole.Times[0] != noon.Add(220*HistoryInterval).UnixMilli() ||
		whole.Started != noon.UnixMilli() {
		t.Fatalf("%d points from %d, started %d", len(whole.Times), whole.Times[0], whole.Started)
	}
	for _, s := range []Series{whole.All, whole.Links[0]} {
		last := len(s.In) - 1
		if last != HistoryPoints-1 || s.Failures[last] != 2 || s.Retries[last] != 1 || s.In[last] != 10 ||
			s.Out[last] != 5 || s.Lag[last] != 11 || s.InFlight[last] != 3 ||
			math.Abs(float64(s.HandleMean[last])-.005) > 1e-9 || math.Abs(float64(s.HandleP50[last])-.005) > 1e-9 ||
			math.Abs(float64(s.HandleP99[last])-.0099) > 1e-9 {
			t.Errorf("series %q ends with in %v, out %v, lag %v, in flight %v, mean %v, p50 %v, p99 %v", s.ID,
				s.In[last], s.Out[last], s.Lag[last], s.InFlight[last], s.HandleMean[last], s.HandleP50[last], s.HandleP99[last])
		}
	}
	if part := h.since(whole.Times[HistoryPoints-3], noon); len(part.Times) != 2 || len(part.Links[0].Lag) != 2 {
		t.Errorf("since the last but two: %d", len(part.Times))
	}
}

func TestTheHistoryHasGapsWhereNothingIsKnown(t *testing.T) {
	noon := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	var h history
	for i, links := range [][]string{{"a"}, {"a"}, {"a", "b"}, {"a", "b"}, {"b"}} {
		p := status.Provider{Time: noon.Add(time.Duration(i) * HistoryInterval)}
		for _, id := range links {
			p.Links = append(p.Links, counted(p.Time, id, float64(i*100)).Links[0])
		}
		h.add(&p)
	}
	text, err := json.Marshal(h.since(0, noon))
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		All   struct{ In, Lag []*float64 }
		Links []struct {
			ID      string
			In, Lag []*float64
		}
	}
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	show := func(values []*float64) string {
		var b strings.Builder
		for _, v := range values {
			if v == nil {
				b.WriteString("- ")
			} else {
				fmt.Fprint(&b, *v, " ")
			}
		}
		return b.String()
	}
	if len(got.Links) != 1 || got.Links[0].ID != "b/default" {
		t.Fatalf("links %+v", got.Links)
	}
	if in, lag := show(got.Links[0].In), show(got.Links[0].Lag); in != "- - - 20 20 " || lag != "- - 11 11 11 " {
		t.Errorf("link b: in %q, lag %q", in, lag)
	}
	if in, lag := show(got.All.In), show(got.All.Lag); in != "- 20 20 40 20 " || lag != "11 11 22 22 11 " {
		t.Errorf("all: in %q, lag %q", in, lag)
	}
}

func TestTheServerRecordsByItself(t *testing.T) {
	f := &fake{p: counted(time.Now(), "echo", 1)}
	url := serve(t, f)
	testkit.Eventually(t, testkit.DefaultTimeout, func() error {
		got := ask(t, "GET", url+"/history")
		var raw struct{ Times []int64 }
		if err := json.Unmarshal([]byte(got.body), &raw); err != nil {
			t.Fatal(err)
		}
		if len(raw.Times) == 0 {
			return errors.New("no points yet")
		}
		return nil
	})
}
