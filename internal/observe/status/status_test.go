package status

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func histogram(sum float64, pairs ...float64) *Histogram {
	h := &Histogram{Sum: sum}
	for i := 0; i < len(pairs); i += 2 {
		h.Buckets = append(h.Buckets, Bucket{UpTo: pairs[i], Count: uint64(pairs[i+1])})
		h.Count = uint64(pairs[i+1])
	}
	return h
}

func TestQuantilesAreThoseOfPromQL(t *testing.T) {
	over := histogram(100, 1, 10, 2, 30)
	over.Count = 40 // a quarter lies above the last bound
	infinite := histogram(100, 1, 10, math.Inf(1), 20)
	for name, test := range map[string]struct {
		h    *Histogram
		q    float64
		want float64 // NaN: none
	}{
		"of nothing":                        {nil, .5, math.NaN()},
		"of no observation":                 {histogram(0, 1, 0, 2, 0), .5, math.NaN()},
		"without buckets":                   {&Histogram{Count: 3, Sum: 3}, .5, math.NaN()},
		"in the middle of the first bucket": {histogram(10, 1, 10, 2, 10), .5, .5},
		"in a later bucket":                 {histogram(10, 1, 10, 2, 30), .5, 1.25},
		"behind an empty bucket":            {histogram(10, 1, 0, 2, 0, 4, 10), .5, 3},
		"above the last bound":              {over, .99, 2},
		"in the infinite bucket":            {infinite, .99, 1},
	} {
		t.Run(name, func(t *testing.T) {
			got := test.h.Quantile(test.q)
			if (got == nil) != math.IsNaN(test.want) || (got != nil && math.Abs(*got-test.want) > 1e-9) {
				t.Errorf("got %v, want %v", show(got), test.want)
			}
		})
	}
}

func show(f *float64) string {
	if f == nil {
		return "none"
	}
	return fmt.Sprint(*f)
}

func TestHistogramsAddAndSubtract(t *testing.T) {
	early, late := histogram(2, 1, 1, 2, 2), histogram(9, 1, 4, 2, 6)
	if got, want := late.Since(early), histogram(7, 1, 3, 2, 4); !reflect.DeepEqual(got, want) {
		t.Errorf("the difference is %+v", got)
	}
	if got := early.Since(late); got != early {
		t.Errorf("a histogram that began anew is taken as %+v", got)
	}
	if got := late.Since(histogram(2, 1, 1, 3, 2)); got != late {
		t.Errorf("with other bounds the difference is %+v", got)
	}
	if got, want := early.Plus(late), histogram(11, 1, 5, 2, 8); !reflect.DeepEqual(got, want) {
		t.Errorf("the sum is %+v", got)
	}
	if got, want := histogram(1, 1, 1, 2, 2, 4, 2).Plus(histogram(1, 1, 3, 4, 5)), histogram(2, 1, 4, 4,
		7); !reflect.DeepEqual(got, want) {
		t.Errorf("the sum of different bounds is %+v", got)
	}
	if early.Plus(nil) != early || (*Histogram)(nil).Plus(early) != early || (*Histogram)(nil).Since(early) != nil {
		t.Error("nothing is not nothing")
	}
	if m := late.Mean(); m == nil || *m != 1.5 {
		t.Errorf("the mean is %s", show(m))
	}
}

func TestTheTrackerTellsSinceWhenAndHowFast(t *testing.T) {
	var tracker Tracker
	observe := func(after time.Duration, in, out float64, state State, reason string) Link {
		p := Provider{Time: noon.Add(after), Links: []Link{{
			Component: "echo", Name: "default", State: state, Reason: reason,
			Counters: Counters{RecordsIn: in, RecordsOut: out, HandleSeconds: histogram(in/10, 1, in), Redeliveries: in / 5,
				Deliveries: map[string]float64{"done": in, "unavailable": in, "retry": in / 20, "reject": in / 20}},
		}}}
		tracker.Observe(&p)
		return p.Links[0]
	}
	second := time.Second
	if l := observe(0, 100, 0, Starting, "starting"); !l.Since.Equal(noon) || l.Rates != (Rates{}) {
		t.Errorf("first: since %v, rates %+v", l.Since, l.Rates)
	}
	l := observe(5*second, 150, 20, Healthy, "")
	if !l.Since.Equal(noon.Add(5*second)) || l.Rates.In != 10 || l.Rates.Out != 4 || *l.Rates.HandleMean != .1 {
		t.Errorf("after 5 s: since %v, rates %+v, mean %s", l.Since, l.Rates, show(l.Rates.HandleMean))
	}
	observe(10*second, 150, 20, Healthy, "")
	observe(15*second, 150, 20, Healthy, "")
	if l = observe(20*second, 150, 20, Healthy, ""); !l.Since.Equal(noon.Add(5*second)) || l.Rates.In != 0 ||
		l.Rates.HandleMean != nil {
		t.Errorf("idle: since %v, rates %+v", l.Since, l.Rates)
	}
	observe(25*second, 250, 20, Unhealthy, "no broker")
	l = observe(26*second, 250, 20, Unhealthy, "no topic")
	if !l.Since.Equal(noon.Add(25 * second)) {
		t.Errorf("another reason: since %v", l.Since)
	}
	if l = observe(30*second, 40, 4, Healthy, ""); l.Rates.In != 0 {
		t.Errorf("counters that begin anew give %v in a second", l.Rates.In)
	}
	if l = observe(35*second, 90, 4, Healthy, ""); l.Rates.In != 10 {
		t.Errorf("and then %v in a second", l.Rates.In)
	}
	if l.Rates.Failures != 1 || l.Rates.Retries != 2 {
		t.Errorf("%v failures and %v retries in a second", l.Rates.Failures, l.Rates.Retries)
	}
	tracker.Observe(&Provider{Time: noon.Add(40 * second)})
	if l = observe(41*second, 1000, 0, Healthy, ""); !l.Since.Equal(noon.Add(41*second)) || l.Rates.In != 0 {
		t.Errorf("a link that was gone: since %v, rates %+v", l.Since, l.Rates)
	}
}

func TestALagThatGrowsOfRecordsWithoutKeysHasItsAdvice(t *testing.T) {
	for name, test := range map[string]struct {
		keyless bool
		state   State
		lags    []int64 // every 5 s
		want    bool
	}{
		"it grows":             {true, Healthy, []int64{10, 20, 30}, true},
		"it grew":              {true, Healthy, []int64{10, 20, 30, 30, 30, 30}, false},
		"it shrinks":           {true, Healthy, []int64{30, 20}, false},
		"it has just come":     {true, Healthy, []int64{10}, false},
		"there are keys, too":  {false, Healthy, []int64{10, 20, 30}, false},
		"nobody takes records": {true, Unhealthy, []int64{10, 20, 30}, false},
		"calls fail":           {true, Failing, []int64{10, 20, 30}, false},
	} {
		t.Run(name, func(t *testing.T) {
			var tracker Tracker
			var p Provider
			for i, lag := range test.lags {
				p = Provider{Time: noon.Add(time.Duration(i) * 5 * time.Second), Links: []Link{{
					Component: "echo", Name: "default", State: test.state, KeylessOnly: test.keyless, Partitions: []Partition{{Topic: "t", Lag: lag}},
				}}}
				tracker.Observe(&p)
			}
			if got := p.Links[0].Advice; strings.Contains(got, "order=none") != test.want {
				t.Errorf("advice %q", got)
			}
		})
	}
}

func TestTheTrackerCanBeAskedAsOftenAsOneLikes(t *testing.T) {
	var tracker Tracker
	var l Link
	for i := range 10000 {
		p := Provider{Time: noon.Add(time.Duration(i) * 10 * time.Millisecond),
			Links: []Link{{Component: "echo", Counters: Counters{RecordsIn: float64(i)}}}}
		tracker.Observe(&p)
		l = p.Links[0]
	}
	if math.Abs(l.Rates.In-100) > 1e-6 {
		t.Errorf("%v in a second, want 100", l.Rates.In)
	}
	if n := len(tracker.links[l.ID()].samples); n > 12 {
		t.Errorf("%d samples are kept", n)
	}
}

func TestEventsAreBoundedAndRepeatsCounted(t *testing.T) {
	var events Events
	for i := range 2 * MaxEvents {
		events.Add(Event{Time: noon.Add(time.Duration(i)), Text: fmt.Sprint(i)})
	}
	offset := int64(7)
	for i := range 3 {
		events.Add(Event{Time: noon.Add(time.Hour + time.Duration(i)), Text: strings.Repeat("ä", MaxEventText),
			Offset: &offset})
	}
	list := events.List()
	if len(list) != MaxEvents {
		t.Fatalf("%d events are kept", len(list))
	}
	if e := list[0]; e.Count != 3 || !e.Time.Equal(noon.Add(time.Hour+2)) || len(e.Text) > MaxEventText ||
		!utf8.ValidString(e.Text) || !strings.HasSuffix(e.Text, "…") {
		t.Errorf("the last is %+v", e)
	}
	if list[1].Text != fmt.Sprint(2*MaxEvents-1) || list[1].Count != 0 {
		t.Errorf("the one before is %+v", list[1])
	}
}

func TestDeadLettersAreCountedByTheirReason(t *testing.T) {
	var d DeadLetters
	at := noon
	add := func(reason string) {
		at = at.Add(time.Second)
		offset := at.Unix()
		d.Add(Event{Time: at, Text: reason + " (attempts 1)", Topic: "orders", Offset: &offset}, reason)
	}
	add(`order 17 has no customer`)
	add(`the card "4711" has expired`)
	add(`order 18 has no customer`)
	add(`order ab-18-cd has no customer`)
	add(`the card "none" has expired`)
	got := d.Reasons()
	if len(got) != 2 {
		t.Fatalf("reasons %+v", got)
	}
	if r := got[0]; r.Text != `the card "none" has expired` || r.Count != 2 || !r.First.Equal(noon.Add(2*time.Second)) ||
		!r.Last.Equal(noon.Add(5*time.Second)) || *r.Offset != r.Last.Unix() {
		t.Errorf("the first is %+v", r)
	}
	if r := got[1]; r.Text != "order ab-18-cd has no customer" || r.Count != 3 {
		t.Errorf("the second is %+v", r)
	}
	if list := d.List(); len(list) != 5 {
		t.Errorf("%d dead letters are told", len(list))
	}
	for i := range 3 * MaxReasons {
		add(strings.Repeat("x", i) + strings.Repeat("ä", MaxEventText))
	}
	if got = d.Reasons(); len(got) != MaxReasons || len(got[0].Text) > MaxEventText || !utf8.ValidString(got[0].Text) {
		t.Errorf("%d reasons are kept", len(got))
	}
}

func TestWhatSeveralLinksHaveIsOneCause(t *testing.T) {
	kafka, topic := Problem{ProblemKafka, "nothing listens"}, Problem{ProblemTopic, "no topic"}
	starting := Problem{ProblemStarting, "starting"}
	links := []Link{
		{Component: "a", Name: "default", Problems: Problems{kafka, topic}},
		{Component: "b", Name: "default", Problems: Problems{{ProblemPublish, "nothing listens"}, starting}},
		{Component: "c", Name: "default", Problems: Problems{kafka, starting}},
		{Component: "d", Name: "default"},
	}
	causes := Causes(links)
	if want := []Cause{{kafka, []string{"a/default", "c/default"}}}; !reflect.DeepEqual(causes, want) {
		t.Errorf("causes %+v", causes)
	}
	if own := links[0].Own(causes); !reflect.DeepEqual(own, Problems{topic}) {
		t.Errorf("of the first it tells %+v", own)
	}
	if Causes(links[1:]) != nil {
		t.Error("one link's problem is told apart from it")
	}
}

func TestALagIsFarWhereItsAlertBegins(t *testing.T) {
	text, err := os.ReadFile("../../../deploy/observability/alerts.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if want := fmt.Sprintf("(messaging_kafka_lag_seconds) > %d\n", LagFarSeconds); !strings.Contains(string(text), want) {
		t.Errorf("no alert has %q", want)
	}
}

func TestTheRunbookIsThatOfTheVersion(t *testing.T) {
	for version, want := range map[string]string{"1.2.3": "/blob/v1.2.3/", "devel": "/blob/main/", "": "/blob/main/",
		"v0.0.0-20260301-abcdef": "/blob/main/"} {
		if got := RunbookPage(version); !strings.Contains(got, want) || !strings.HasSuffix(got, "docs/operations.md") {
			t.Errorf("version %q: %s", version, got)
		}
	}
	if ProblemKafka.Runbook() != "kafka-cannot-be-reached" || ProblemKind("new").Runbook() != firstMinutes {
		t.Error("sections are not found by the kind")
	}
}

func TestTheLogIsKeptFromWarningsOn(t *testing.T) {
	var out bytes.Buffer
	var errs Events
	var deadLetters DeadLetters
	base := slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelError}))
	log := LogTo(base.With("link", "default"), &errs, &deadLetters).With("topic", "orders")
	log.Info("nothing to keep")
	log.Warn("whatever the words are", EventDeadLetter.Attr(), //nolint:sloglint // as the engine writes it
		"partition", int32(3), "offset", int64(42), "attempts", 2,
		"reason", errors.New("no customer"),
		"dead_letter_topic", "dead")
	log.Warn("it is slow", "took", "3s")
	log.WithGroup("g").Error("it failed", "error", errors.New("why"), "n", 1)
	if list := deadLetters.List(); len(list) != 1 || list[0].Level != "" ||
		list[0].Text != "no customer (attempts 2, dead letter topic dead)" ||
		list[0].Topic != "orders" || *list[0].Partition != 3 || *list[0].Offset != 42 {
		t.Errorf("dead letters: %+v", list)
	}
	if reasons := deadLetters.Reasons(); len(reasons) != 1 || reasons[0].Text != "no customer" || reasons[0].Count != 1 ||
		reasons[0].Topic != "orders" || *reasons[0].Partition != 3 || *reasons[0].Offset != 42 {
		t.Errorf("reasons: %+v", reasons)
	}
	list := errs.List()
	if len(list) != 2 {
		t.Fatalf("kept: %+v", list)
	}
	if e := list[1]; e.Level != "WARN" || e.Text != "it is slow (took 3s)" {
		t.Errorf("the warning is %+v", e)
	}
	if e := list[0]; e.Level != "ERROR" || e.Text != "it failed (g.error why, g.n 1)" || e.Topic != "orders" {
		t.Errorf("the error is %+v", e)
	}
	if text := out.String(); strings.Contains(text, "slow") ||
		!strings.Contains(text, "link=default topic=orders g.error=why") {
		t.Errorf("the log itself has %q", text)
	}
}

func TestAStatusIsCutToALimit(t *testing.T) {
	p := Provider{ProviderKey: "kafka", Time: noon}
	for i := range 50 {
		l := Link{Component: fmt.Sprint("component-", i), State: Healthy}
		for n := range int32(20) {
			l.Partitions = append(l.Partitions, Partition{Topic: "orders", Partition: n})
			l.RecentErrors = append(l.RecentErrors, Event{Text: strings.Repeat("x", 100)})
		}
		p.Links = append(p.Links, l)
	}
	whole, err := Encode(p, 0)
	if err != nil {
		t.Fatal(err)
	}
	sizes := []int{len(whole), len(whole) - 1, len(whole) / 3, 8000}
	want := []Omitted{{}, {Events: 1000}, {Events: 1000, Partitions: 1000}, {}}
	for i, limit := range sizes {
		text, err := Encode(p, limit)
		if err != nil || len(text) > limit {
			t.Fatalf("limit %d: %d bytes, %v", limit, len(text), err)
		}
		var got Provider
		if err := json.Unmarshal(text, &got); err != nil {
			t.Fatal(err)
		}
		omitted := Omitted{}
		if got.Omitted != nil {
			omitted = *got.Omitted
		}
		if limit == 8000 {
			if len(got.Links) == 0 || omitted.Links != 50-len(got.Links) {
				t.Errorf("limit %d: %d links, omitted %+v", limit, len(got.Links), omitted)
			}
			continue
		}
		if omitted != want[i] || len(got.Links) != 50 {
			t.Errorf("limit %d: %d links, omitted %+v, want %+v", limit, len(got.Links), omitted, want[i])
		}
	}
	if len(p.Links) != 50 || len(p.Links[0].Partitions) != 20 || p.Omitted != nil {
		t.Error("the status itself was cut")
	}
	if _, err := Encode(p, 10); err == nil {
		t.Error("10 bytes are enough")
	}
}

func TestALinkTellsItsLag(t *testing.T) {
	one, two := 1.5, 2.5
	l := Link{Partitions: []Partition{{Lag: 3, LagSeconds: &one}, {Lag: -1}, {Lag: 4, LagSeconds: &two}}}
	if n, known := l.Lag(); n != 7 || !known {
		t.Errorf("lag %d, %v", n, known)
	}
	if s, known := l.LagSeconds(); s != 2.5 || !known {
		t.Errorf("lag of %v s, %v", s, known)
	}
	if _, known := (&Link{Partitions: []Partition{{Lag: -1}}}).Lag(); known {
		t.Error("an unknown lag is known")
	}
}

func TestALinkIsNamedAsInHealth(t *testing.T) {
	for want, l := range map[string]Link{
		"echo/default": {Component: "echo", Name: "default", Package: "wasmcloud:messaging", Direction: Target},
		"echo/a (messaging-kafka:records) (as source)": {Component: "echo", Name: "a", Package: "messaging-kafka:records", Direction: Source},
		"echo/b (as source)":                           {Component: "echo", Name: "b", Direction: Source},
		"shop/a (http-records)":                        {Component: "shop", Name: "a", Package: "http-records", Direction: Source},
		"shop/a (nats-reply)":                          {Component: "shop", Name: "a", Package: "nats-reply", Direction: Source},
		"shop/a (jetstream) of kfk":                    {Component: "shop", Name: "a", Package: "jetstream", Direction: Source, Provider: "kfk"},
	} {
		if got := l.ID(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
