package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
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

// acted is a controller that notes what it is to do.
type acted struct {
	asked  chan control.Request
	by     chan string
	answer control.Answer
	wait   func(ctx context.Context) // before it answers; nil is not
}

func newActed(answer control.Answer) *acted {
	return &acted{asked: make(chan control.Request, 100), by: make(chan string, 100), answer: answer}
}

func (a *acted) Control(ctx context.Context, operator string, r control.Request) control.Answer {
	a.asked <- r
	a.by <- operator
	if a.wait != nil {
		a.wait(ctx)
	}
	return a.answer
}

const aliceToken, bobToken = "0123456789abcdef", "fedcba9876543210"

func serveControls(t *testing.T, a *acted, log *slog.Logger) string {
	t.Helper()
	c := Config{
		Address: "0", Source: &fake{p: status.Provider{ProviderKey: "kafka"}}, Gatherer: prometheus.NewRegistry(), Log: log,
		Tokens: []settings.ControlToken{
			{Name: "alice", Token: settings.NewSecret(aliceToken)}, {Name: "bob", Token: settings.NewSecret(bobToken)},
		},
	}
	if a != nil {
		c.Controller = a
	}
	s, err := Start(c)
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

// post acts on a link. header has a colon between name and value.
func post(t *testing.T, url, body string, header ...string) reply {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url+"/control", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for _, one := range header {
		name, value, _ := strings.Cut(one, ": ")
		if request.Header.Set(name, value); name == "Host" {
			request.Host = value
		}
	}
	client := http.Client{Timeout: testkit.DefaultTimeout, Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return reply{response.StatusCode, response.Header, string(text)}
}

const (
	asJSON   = "Content-Type: application/json"
	asAlice  = "Authorization: Bearer " + aliceToken
	goodBody = `{"action":"pause","link":"echo/default","why":"because"}`
)

func TestLinksAreActedOnByWhoHasAToken(t *testing.T) {
	a := newActed(control.Answer{OK: true, Links: []string{"echo/default"}})
	url := serveControls(t, a, nil)
	for token, name := range map[string]string{"Bearer " + aliceToken: "alice", "bearer " + bobToken: "bob"} {
		got := post(t, url, goodBody, asJSON, "Authorization: "+token)
		var answer control.Answer
		if err := json.Unmarshal([]byte(got.body), &answer); err != nil || got.code != 200 || !answer.OK ||
			got.header.Get("Content-Type") != "application/json" {
			t.Errorf("%s: %d %s", name, got.code, got.body)
		}
		if r := <-a.asked; r.Action != control.Pause || r.Link != "echo/default" || r.Why != "because" {
			t.Errorf("asked for %+v", r)
		}
		if by := <-a.by; by != name {
			t.Errorf("%s is taken for %s", name, by)
		}
	}
	if got := ask(t, "GET", url+"/links"); !strings.Contains(got.body, `"control":true`) {
		t.Errorf("the status does not tell that links can be acted on: %s", got.body)
	}
}

func TestNobodyElseActsOnLinks(t *testing.T) {
	var log testkit.Log
	a := newActed(control.Answer{OK: true})
	url := serveControls(t, a, log.Logger())
	for name, test := range map[string]struct {
		header []string
		body   string
		code   int
		says   string
	}{
		"no token":             {[]string{asJSON}, goodBody, 401, "provider_control_tokens"},
		"another token":        {[]string{asJSON, "Authorization: Bearer " + aliceToken + "x"}, goodBody, 401, "provider_control_tokens"},
		"the beginning of one": {[]string{asJSON, "Authorization: Bearer " + aliceToken[:15]}, goodBody, 401, "provider_control_tokens"},
		"an empty token":       {[]string{asJSON, "Authorization: Bearer "}, goodBody, 401, "provider_control_tokens"},
		"as a password":        {[]string{asJSON, "Authorization: Basic " + aliceToken}, goodBody, 401, "provider_control_tokens"},
		"as a form":            {[]string{"Content-Type: application/x-www-form-urlencoded", asAlice}, goodBody, 415, "application/json"},
		"as plain text":        {[]string{"Content-Type: text/plain", asAlice}, goodBody, 415, "application/json"},
		"under another name":   {[]string{asJSON, asAlice, "Host: evil.example.com"}, goodBody, 421, "admin_hosts"},
		"what is no JSON":      {[]string{asJSON, asAlice}, "pause", 400, "reading the request"},
		"an unknown field":     {[]string{asJSON, asAlice}, `{"action":"pause","link":"a","linkk":"b"}`, 400, "linkk"},
		"two requests":         {[]string{asJSON, asAlice}, goodBody + goodBody, 400, "something comes after it"},
		"an unknown action":    {[]string{asJSON, asAlice}, `{"action":"destroy","link":"a"}`, 400, "destroy"},
		"a seek to nowhere":    {[]string{asJSON, asAlice}, `{"action":"seek","link":"a"}`, 400, "where to"},
		"too much":             {[]string{asJSON, asAlice}, `{"why":"` + strings.Repeat("x", control.MaxRequest) + `"}`, 413, "too large"},
	} {
		got := post(t, url, test.body, test.header...)
		if got.code != test.code || !strings.Contains(got.body, test.says) {
			t.Errorf("%s: %d %s", name, got.code, got.body)
		}
	}
	if n := len(a.asked); n != 0 {
		t.Errorf("%d requests were carried out", n)
	}
	if got := ask(t, "GET", url+"/control"); got.code != 405 || got.header.Get("Allow") != "POST" {
		t.Errorf("GET: %d", got.code)
	}
	if !strings.Contains(log.String(), "a request to act was refused") ||
		strings.Contains(log.String(), aliceToken) {
		t.Errorf("the log says:\n%s", &log)
	}
}

func TestLinksAreNotActedOnWhereThatIsOff(t *testing.T) {
	off := serve(t, &fake{})
	if got := post(t, off, goodBody, asJSON, asAlice); got.code != 405 || got.header.Get("Allow") != "GET, HEAD" {
		t.Errorf("without tokens: %d", got.code)
	}
	if got := post(t, serveControls(t, nil, nil), goodBody, asJSON, asAlice); got.code != 405 {
		t.Errorf("without a controller: %d", got.code)
	}
	if got := ask(t, "GET", off+"/links"); strings.Contains(got.body, `"control"`) {
		t.Errorf("the status says that links can be acted on: %s", got.body)
	}
}

func TestWhatActingCameToIsTheStatusOfTheAnswer(t *testing.T) {
	for code, want := range map[control.Code]int{
		control.CodeBad: 400, control.CodeUnknown: 404, control.CodeRefused: 409, control.CodeFailed: 500,
	} {
		url := serveControls(t, newActed(control.Answer{Error: "no", Code: code}), nil)
		if got := post(t, url, goodBody, asJSON, asAlice); got.code != want || !strings.Contains(got.body, `"error":"no"`) {
			t.Errorf("%s: %d %s", code, got.code, got.body)
		}
	}
}

// TestActingMayTakeLongerThanAnythingElse: the time for reading a request must not end what it asks for, nor may what
// is carried out keep probes from their answer.
func TestActingMayTakeLongerThanAnythingElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var stack kfake.VirtualNetwork
		listener, err := stack.Listen("tcp", "127.0.0.1:80")
		if err != nil {
			t.Fatal(err)
		}
		a := newActed(control.Answer{OK: true})
		a.wait = func(ctx context.Context) {
			select {
			case <-time.After(25 * time.Second):
			case <-ctx.Done():
				t.Error("it was cut off")
			}
		}
		s := start(Config{
			Address: "0", Source: &fake{}, Gatherer: prometheus.NewRegistry(), Log: slog.New(slog.DiscardHandler),
			Controller: a, Tokens: []settings.ControlToken{{Name: "alice", Token: settings.NewSecret(aliceToken)}},
		}, listener)
		client := http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: stack.DialContext}}
		do := func(method, path string) int {
			request, err := http.NewRequestWithContext(t.Context(), method, "http://127.0.0.1"+path, strings.NewReader(goodBody))
			if err != nil {
				t.Fatal(err)
			}
			request.Header.Set("Content-Type", "application/json")
			request.Header.Set("Authorization", "Bearer "+aliceToken)
			response, err := client.Do(request)
			if err != nil {
				t.Errorf("%s %s: %v", method, path, err)
				return 0
			}
			defer response.Body.Close()
			if _, err := io.ReadAll(response.Body); err != nil {
				t.Errorf("%s %s: %v", method, path, err)
			}
			return response.StatusCode
		}
		codes := make(chan int, maxControls)
		for range maxControls {
			go func() { codes <- do("POST", "/control") }()
		}
		for range maxControls {
			<-a.asked
		}
		if code := do("POST", "/control"); code != 503 {
			t.Errorf("one more: %d", code)
		}
		if code := do("GET", "/healthz"); code != 200 {
			t.Errorf("a probe: %d", code)
		}
		for range maxControls {
			if code := <-codes; code != 200 {
				t.Errorf("it ends with %d", code)
			}
		}
		s.Close(t.Context())
	})
}

func TestReadinessTellsOfPausedLinks(t *testing.T) {
	url := serve(t, &fake{p: status.Provider{Healthy: true, Links: []status.Link{
		{Component: "echo", Name: "default", State: status.Paused, Reason: "paused by alice"},
		{Component: "shop", Name: "default", State: status.Healthy},
	}}})
	if got := ask(t, "GET", url+"/readyz"); got.code != 200 || got.body != "ready\nlink echo/default: paused by alice\n" {
		t.Errorf("%d %q", got.code, got.body)
	}
}

func TestRequestsAreRead(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`{"action":"seek","link":"a","seek":{"to":"start"}}`:                              "",
		`{"action":"seek","link":"a","seek":{"to":"time","time":"2026-03-01T12:00:00Z"}}`: "",
		`{"action":"seek","link":"a","seek":{"to":"offset","offset":0,"partition":0}}`:    "",
		`{"action":"hold","link":"a","hold":"h","seconds":90}`:                            "",
		`{"action":"seek","link":"a","seek":{"to":"offset","offset":0}}`:                  "names the partition",
		`{"action":"seek","link":"a","seek":{"to":"offset","offset":-1,"partition":0}}`:   "from 0 on",
		`{"action":"seek","link":"a","seek":{"to":"start","offset":1,"partition":0}}`:     "a time goes with",
		`{"action":"seek","link":"a","seek":{"to":"time"}}`:                               "a time goes with",
		`{"action":"seek","link":"a","seek":{"to":"start","partition":-1}}`:               "from 0 on",
		`{"action":"seek","link":"a","seek":{"to":"middle"}}`:                             "middle",
		`{"action":"hold","link":"a","hold":"h","seconds":301}`:                           "300 seconds",
		`{"action":"hold","link":"a","seconds":3}`:                                        "name of a hold",
		`{"action":"release","link":"a"}`:                                                 "name of a hold",
		`{"action":"pause"}`:                                                              "names nothing to act on",
		`{"action":"pause","link":"a\u0000"}`:                                             "control characters",
		`{"action":"pause","link":"` + strings.Repeat("a", 2000) + `"}`:                   "longer than 1024",
	} {
		_, err := control.Parse([]byte(text))
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%.80s: %v", text, err)
		}
	}
	if _, err := control.Parse(bytes.Repeat([]byte(" "), control.MaxRequest+1)); err == nil {
		t.Error("it has no bound")
	}
}
