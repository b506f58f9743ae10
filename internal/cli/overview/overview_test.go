package overview

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/messaging-kafka/messaging-kafka/internal/base/text"
	"github.com/messaging-kafka/messaging-kafka/internal/observe/status"
	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// sample is a provider with a link of every state.
func sample() status.Provider {
	return status.Provider{
		Version: "1.2.3", ProviderKey: "shop-kafka", Lattice: "default", HostID: "NHOST", Started: noon.Add(-75 * time.Hour),
		Time: noon, Message: "x",
		Links: []status.Link{
			{Component: "orders", Name: "default", Package: "messaging-kafka:records", Direction: status.Source,
				State: status.Healthy, Since: noon.Add(-26 * time.Hour),
				InFlight: 12, Waiting: 3400, OldestCallSeconds: 4.2,
				Rates: status.Rates{In: 1234.5, Out: 12.34, Failures: .5, Retries: 1.25, HandleP99: new(.0123)},
				LastFailure: &status.Event{Time: noon, Text: "no customer", Topic: "o", Partition: new(int32(7)),
					Offset: new(int64(41))},
				Partitions: []status.Partition{{Topic: "o", Lag: 1200, LagSeconds: new(5.25)},
					{Topic: "o", Partition: 7, Lag: 34, LagSeconds: new(1.0), Held: "a record\nwas rejected"}}},
			{Component: "mailer", Name: "default", State: status.Unhealthy, Reason: "no \x1b[31mbroker",
				Since:    noon.Add(-184 * time.Second),
				Problems: status.Problems{{Kind: status.ProblemKafka, Text: "no \x1b[31mbroker"}}},
			{Component: "web", Name: "default", State: status.Starting, Reason: "starting", Since: noon.Add(-time.Second)},
		},
	}
}

func well(key, host string) status.Provider {
	return status.Provider{ProviderKey: key, HostID: host, Time: noon, Started: noon, Healthy: true,
		Links: []status.Link{{Component: "echo", Name: "default", State: status.Healthy, Since: noon}}}
}

func TestTheTableIsForPeople(t *testing.T) {
	var b strings.Builder
	if err := Table(&b, &Answer{Providers: []status.Provider{sample(), well("other", "NOTHER")},
		Silent: []string{"provider third: no answer within 2s"}}, Style{}); err != nil {
		t.Fatal(err)
	}
	want := `shop-kafka  1 of 3 links not healthy
lattice default, host NHOST, version 1.2.3, up 3 d 3 h

STATE        LINK                                                   IN/S  OUT/S  FAIL/S  RETRY/S    P99  OLDEST CALL  IN FLIGHT  WAITING    LAG  BEHIND        FOR
not healthy  mailer/default                                            0      0       0        0      –            –          0        0      –       –  3 min 4 s
  no ·[31mbroker
  → docs/operations.md#kafka-cannot-be-reached
starting     web/default                                               0      0       0        0      –            –          0        0      –       –        1 s
healthy      orders/default (messaging-kafka:records) (as source)  1,235   12.3    0.50     1.25  12 ms        4.2 s         12    3,400  1,234   5.2 s    1 d 2 h
  last failure (o/7, offset 41): no customer
  o/7 stands still: a record was rejected

other  1 link, all healthy
`
	got := b.String()
	if !strings.HasPrefix(got, want) || !strings.HasSuffix(got, "\n\nno answer  provider third: no answer within 2s\n") {
		t.Errorf("got\n%s", got)
	}
	if strings.Contains(got, "\x1b") {
		t.Error("a text of somebody else's reaches the terminal as an order")
	}
}

func TestRowsFitTheTerminal(t *testing.T) {
	wide := sample()
	wide.Links[0].Component = "注文の処理をする部品"
	wide.Links[2].Name = "fällt-aus"
	for _, width := range []int{40, 60, 80, 100, 140, 200} {
		var plain, coloured strings.Builder
		answer := &Answer{Providers: []status.Provider{wide}, Silent: []string{"provider third on host N: no answer within 2s, and so on"}}
		if err := errors.Join(Table(&plain, answer, Style{Width: width}),
			Table(&coloured, answer, Style{Width: width, Colour: true})); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(coloured.String(), "\x1b[31;1mnot healthy\x1b[0m") {
			t.Errorf("the state has no colour in %q", coloured.String())
		}
		stripped := coloured.String()
		for _, code := range []string{bad, wait, good, faint, bold, "0"} {
			stripped = strings.ReplaceAll(stripped, "\x1b["+code+"m", "")
		}
		if stripped != plain.String() {
			t.Errorf("without its colours it is\n%q, want\n%q", stripped, plain.String())
		}
		for line := range strings.Lines(plain.String()) {
			if n := text.Columns(strings.TrimSuffix(line, "\n")); n > width {
				t.Errorf("%d columns of %d in %q", n, width, line)
			}
			if strings.HasPrefix(line, "STATE") && !strings.Contains(line, "LAG") {
				t.Errorf("in %d columns the lag is left out: %q", width, line)
			}
		}
	}
}

func TestInEightyColumnsWhatMattersLeastIsLeftOut(t *testing.T) {
	p := sample()
	p.HostID = "NBZKLC2W5QWGZBXYT5M4XGZ7Q4R6P3T5KQYVX2H4N6J8L0M2P4R6T8V0"
	p.Links[1].Reason = "nothing listens at kafka.example.com:9092 (connection refused): check hosts, and that Kafka is up"
	p.Links[1].Problems = status.Problems{{Kind: status.ProblemKafka, Text: p.Links[1].Reason}}
	p.Links[0].Partitions[0].LagSeconds = new(400.0)
	var b strings.Builder
	if err := Table(&b, &Answer{Providers: []status.Provider{p}}, Style{Width: 80}); err != nil {
		t.Fatal(err)
	}
	const want = `shop-kafka  1 of 3 links not healthy
lattice default, host NBZKLC2W…, version 1.2.3, up 3 d 3 h

STATE        LINK             IN/S  OUT/S  FAIL/S    LAG      BEHIND        FOR
not healthy  mailer/default      0      0       0      –           –  3 min 4 s
  nothing listens at kafka.example.com:9092 (connection refused): check hosts,
  and that Kafka is up
  → docs/operations.md#kafka-cannot-be-reached
starting     web/default         0      0       0      –           –        1 s
healthy      orders/default  1,235   12.3    0.50  1,234  6 min 40 s    1 d 2 h
  last failure (o/7, offset 41): no customer
  o/7 stands still: a record was rejected
`
	if b.String() != want {
		t.Errorf("got\n%s", b.String())
	}
	var coloured strings.Builder
	if err := Table(&coloured, &Answer{Providers: []status.Provider{p}}, Style{Width: 80, Colour: true}); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(coloured.String(), "\x1b[31;1m6 min 40 s\x1b[0m") {
		t.Errorf("a link that is far behind has no colour in %q", coloured.String())
	}
}

func TestOneCauseIsToldOnce(t *testing.T) {
	away := status.Problems{{Kind: status.ProblemKafka, Text: "nothing listens at kafka:9092"}}
	p := well("shop-kafka", "N")
	p.Healthy, p.Links = false, nil
	for _, name := range []string{"a", "b", "c", "d", "e"} {
		l := status.Link{Component: name, Name: "default", State: status.Unhealthy, Reason: away.String(), Problems: away,
			Since: noon}
		p.Links = append(p.Links, l)
	}
	p.Links[1].Problems = append(slices.Clone(away), status.Problem{Kind: status.ProblemTopic, Text: "no topic orders"})
	var b strings.Builder
	if err := Table(&b, &Answer{Providers: []status.Provider{p}}, Style{}); err != nil {
		t.Fatal(err)
	}
	got := b.String()
	if n := strings.Count(got, "nothing listens"); n != 1 {
		t.Errorf("the cause is told %d times", n)
	}
	for _, want := range []string{
		"\n  nothing listens at kafka:9092 (a/default, b/default, c/default, 2 more)\n  → docs/operations.md#kafka-cannot-be-reached\n",
		"\n  no topic orders\n  → docs/operations.md#a-topic-is-missing\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("there is no %q in\n%s", want, got)
		}
	}
}

func TestABridgeHasRoutes(t *testing.T) {
	p := well("shop", "bridge-0")
	p.Words = status.OfRoutes
	p.Links[0].Package = "http-records"
	var b strings.Builder
	if err := Table(&b, &Answer{Providers: []status.Provider{p}}, Style{}); err != nil {
		t.Fatal(err)
	}
	if got := b.String(); !strings.HasPrefix(got, "shop  1 route, all healthy\nhost bridge-0, version") ||
		!strings.Contains(got, "STATE    ROUTE  ") || strings.Contains(got, "link") {
		t.Errorf("got\n%s", got)
	}
}

func TestReasonsAreBrokenBetweenWords(t *testing.T) {
	p := well("a", "b")
	p.Healthy = false
	p.Links[0].State = status.Unhealthy
	p.Links[0].Reason = "the broker at kafka.example.com:9092 refuses the connection: " + strings.Repeat("x", 60) +
		" look at its listeners"
	var b strings.Builder
	if err := Table(&b, &Answer{Providers: []status.Provider{p}}, Style{Width: 40}); err != nil {
		t.Fatal(err)
	}
	want := "\n  the broker at kafka.example.com:9092\n  refuses the connection:\n  " + strings.Repeat("x", 38) +
		"\n  " + strings.Repeat("x", 22) + " look at its\n  listeners\n"
	if !strings.HasSuffix(b.String(), want) {
		t.Errorf("got\n%s", b.String())
	}
}

func TestAdviceStandsBelowItsLink(t *testing.T) {
	p := well("a", "b")
	p.Links[0].Advice = "order=none would be faster"
	answer := &Answer{Time: noon, Providers: []status.Provider{p}}
	var table, lines strings.Builder
	if err := errors.Join(Table(&table, answer, Style{}), Lines(&lines, answer)); err != nil {
		t.Fatal(err)
	}
	if !strings.HasSuffix(table.String(), "\n  order=none would be faster\n") ||
		!strings.HasSuffix(lines.String(), " advice=\"order=none would be faster\"\n") {
		t.Errorf("got\n%s%s", table.String(), lines.String())
	}
}

func TestLinesAreForPrograms(t *testing.T) {
	var b strings.Builder
	empty := status.Provider{ProviderKey: "idle", HostID: "N", Healthy: true}
	if err := Lines(&b, &Answer{Time: noon, Providers: []status.Provider{sample(), empty},
		Silent: []string{"x: y"}}); err != nil {
		t.Fatal(err)
	}
	want := []string{
		`2026-03-01T12:00:00Z provider=shop-kafka host=NHOST link="orders/default (messaging-kafka:records) (as source)" state=healthy in=1,235/s out=12.3/s in_flight=12 waiting=3400 lag=1234 lag_seconds=5.25 handle_p99_seconds=0.0123 failures=0.50/s retries=1.25/s oldest_call_seconds=4.2`,
		`2026-03-01T12:00:00Z provider=shop-kafka host=NHOST link="mailer/default" state=unhealthy in=0/s out=0/s in_flight=0 waiting=0 reason="no \x1b[31mbroker"`,
		`2026-03-01T12:00:00Z provider=shop-kafka host=NHOST link="web/default" state=starting in=0/s out=0/s in_flight=0 waiting=0 reason="starting"`,
		`2026-03-01T12:00:00Z provider=idle host=N links=0 healthy=true`,
		`2026-03-01T12:00:00Z no_answer="x: y"`, ``,
	}
	if got := strings.Split(b.String(), "\n"); !slices.Equal(got, want) {
		t.Errorf("got\n%s", b.String())
	}
}

func TestWordsForNumbers(t *testing.T) {
	for _, test := range [][2]string{
		{rateWord(0), "0"}, {rateWord(.001), "<0.01"}, {rateWord(1.234), "1.23"}, {rateWord(12.34), "12.3"}, {rateWord(1234567.8), "1,234,568"},
		{countWord(0), "0"}, {countWord(999), "999"}, {countWord(1000), "1,000"}, {countWord(-1234567), "-1,234,567"}, {countWord(-123), "-123"},
		{secondsWord(0), "0 s"}, {secondsWord(.00002), "20 µs"}, {secondsWord(.0021), "2.1 ms"}, {secondsWord(.123), "123 ms"}, {secondsWord(12.34), "12.3 s"}, {secondsWord(184), "3 min 4 s"},
		{ageWord(-time.Second), "0 s"}, {ageWord(59 * time.Second), "59 s"}, {ageWord(25 * time.Hour), "1 d 1 h"}, {ageWord(2*time.Hour + time.Minute), "2 h 1 min"},
	} {
		if test[0] != test[1] {
			t.Errorf("got %q, want %q", test[0], test[1])
		}
	}
}

func TestTheStateOfAnAnswer(t *testing.T) {
	ill := well("a", "b")
	ill.Healthy = false
	for name, test := range map[string]struct {
		answer Answer
		want   State
	}{
		"all well":                         {Answer{Providers: []status.Provider{well("a", "b")}}, Healthy},
		"one silent":                       {Answer{Providers: []status.Provider{well("a", "b")}, Silent: []string{"c"}}, Unknown},
		"one ill and one silent":           {Answer{Providers: []status.Provider{sample()}, Silent: []string{"c"}}, Unhealthy},
		"a provider that is ill in itself": {Answer{Providers: []status.Provider{ill}}, Unhealthy},
		"nobody":                           {Answer{}, Unknown},
	} {
		if got := test.answer.State(); got != test.want {
			t.Errorf("%s: %s, want %s", name, got, test.want)
		}
	}
}

func serve(t *testing.T, code int, body string) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/links" {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		w.WriteHeader(code)
		fmt.Fprint(w, body)
	}))
	t.Cleanup(server.Close)
	return server.URL
}

func encoded(t *testing.T, p status.Provider) string {
	t.Helper()
	text, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func ask(t *testing.T, asker Asker, err error) (*Answer, error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(asker.Close)
	return asker.Ask(t.Context())
}

func TestAdminAddressesAreAsked(t *testing.T) {
	good := serve(t, 200, encoded(t, sample()))
	asker, err := ByAddress([]string{good, strings.TrimPrefix(good, "http://"), good + "/", good + "/links"},
		testkit.DefaultTimeout, "")
	answer, err := ask(t, asker, err)
	if err != nil || len(answer.Providers) != 4 || len(answer.Silent) != 0 {
		t.Fatalf("got %+v, %v", answer, err)
	}
	asker, err = ByAddress([]string{good, serve(t, 503, "stuck"), serve(t, 200, "<html>"), serve(t, 200, "{}")},
		testkit.DefaultTimeout, "")
	answer, err = ask(t, asker, err)
	if err != nil || len(answer.Providers) != 1 || len(answer.Silent) != 3 {
		t.Fatalf("got %+v, %v", answer, err)
	}
	if said := strings.Join(answer.Silent, "\n"); !strings.Contains(said, "503") || !strings.Contains(said, "stuck") ||
		strings.Count(said, errNoStatus.Error()) != 2 {
		t.Errorf("the others are told as\n%s", said)
	}
	asker, err = ByAddress([]string{"127.0.0.1:1"}, testkit.DefaultTimeout, "")
	if _, err = ask(t, asker, err); err == nil || !strings.Contains(err.Error(), "127.0.0.1:1") ||
		!strings.Contains(err.Error(), "refused") {
		t.Errorf("got %v", err)
	}
	for _, address := range []string{"ftp://x:1", "http://", "http://a:b:c"} {
		if _, err := ByAddress([]string{address}, time.Second, ""); err == nil {
			t.Errorf("%s is taken for an address", address)
		}
	}
}

// respond answers a subject with texts, all of them to each question.
func respond(t *testing.T, nc *nats.Conn, subject string, texts ...string) {
	t.Helper()
	sub, err := nc.Subscribe(subject, func(m *nats.Msg) {
		for _, text := range texts {
			_ = m.Respond([]byte(text))
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = sub.Unsubscribe() })
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
}

func TestProvidersOfALatticeAreAsked(t *testing.T) {
	ns := testkit.NATS(t, testkit.NATSOptions{})
	nc := ns.Connect()
	// Two hosts; one provider runs on both, one is of another kind, one does not answer on the second host.
	respond(t, nc, "wasmbus.ctl.v1.mine.host.ping", `{"success":true,"response":{"id":"N1"}}`,
		`{"success":true,"response":{"id":"N2"}}`)
	respond(t, nc, "wasmbus.ctl.v1.mine.host.get.N1",
		`{"success":true,"response":{"providers":[{"id":"a"},{"id":"http"},{"id":"b"},{"id":"bad.key"}]}}`)
	respond(t, nc, "wasmbus.ctl.v1.mine.host.get.N2", `{"success":true,"response":{"providers":[{"id":"a"},{"id":"b"}]}}`)
	respond(t, nc, "wasmbus.rpc.mine.a.status", encoded(t, well("a", "N2")), encoded(t, well("a", "N1")))
	respond(t, nc, "wasmbus.rpc.mine.b.status", encoded(t, well("b", "N1")))

	// The one that is silent costs the whole time.
	asker, err := ByNATS(NATSOptions{URL: ns.URL(), Lattice: "mine", Timeout: 5 * time.Second})
	answer, err := ask(t, asker, err)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, p := range answer.Providers {
		got = append(got, p.ProviderKey+" on "+p.HostID)
	}
	if !slices.Equal(got, []string{"a on N1", "a on N2", "b on N1"}) {
		t.Errorf("answers of %v", got)
	}
	if len(answer.Silent) != 1 || !strings.Contains(answer.Silent[0], "provider b on host N2") {
		t.Errorf("silent: %q", answer.Silent)
	}

	asker, err = ByNATS(NATSOptions{URL: ns.URL(), Lattice: "mine", Providers: []string{"a", "nobody"},
		Timeout: testkit.DefaultTimeout})
	answer, err = ask(t, asker, err)
	if err != nil || len(answer.Providers) != 2 || len(answer.Silent) != 1 ||
		!strings.Contains(answer.Silent[0], "nobody of that key") {
		t.Errorf("got %+v, %v", answer, err)
	}
}

func TestNobodyToAskIsExplained(t *testing.T) {
	ns := testkit.NATS(t, testkit.NATSOptions{})
	nc := ns.Connect()
	respond(t, nc, "wasmbus.ctl.v1.other.host.ping", `{"success":true,"response":{"id":"N1"}}`)
	respond(t, nc, "wasmbus.ctl.v1.other.host.get.N1", `{"success":true,"response":{"providers":[{"id":"http"}]}}`)
	respond(t, nc, "wasmbus.rpc.other.garbled.status", "what?")
	if _, err := nc.SubscribeSync("wasmbus.rpc.other.silent.status"); err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		opts NATSOptions
		want string
	}{
		"a lattice without hosts":                {NATSOptions{Lattice: "empty"}, "no host of the lattice empty answers"},
		"a lattice without this provider":        {NATSOptions{Lattice: "other"}, "no host of the lattice other runs a messaging-kafka"},
		"a key that nobody has":                  {NATSOptions{Lattice: "other", Providers: []string{"x"}}, "nobody of that key listens"},
		"a provider that does not answer":        {NATSOptions{Lattice: "other", Providers: []string{"silent"}, Timeout: 2 * time.Second}, "no answer within"},
		"a provider that answers something else": {NATSOptions{Lattice: "other", Providers: []string{"garbled"}}, errNoStatus.Error()},
	} {
		t.Run(name, func(t *testing.T) {
			test.opts.URL, test.opts.Timeout = ns.URL(), cmp.Or(test.opts.Timeout, testkit.DefaultTimeout)
			asker, err := ByNATS(test.opts)
			if _, err = ask(t, asker, err); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

func TestConnectingToNATSNeverShowsAPassword(t *testing.T) {
	for _, address := range []string{"nats://me:hidden@127.0.0.1:1", "nats://hidden@127.0.0.1:1", "nats://me:hidden@[::"} {
		_, err := ByNATS(NATSOptions{URL: address, Lattice: "default", Timeout: time.Second})
		if err == nil || strings.Contains(err.Error(), "hidden") {
			t.Errorf("got %v", err)
		}
	}
	for _, lattice := range []string{"", "a.*", "a b", ">"} {
		if _, err := ByNATS(NATSOptions{URL: "nats://127.0.0.1:1", Lattice: lattice}); err == nil ||
			!strings.Contains(err.Error(), "no name") {
			t.Errorf("lattice %q: %v", lattice, err)
		}
	}
}
