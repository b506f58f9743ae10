package page

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/messaging-kafka/messaging-kafka/internal/observe/status"
	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

// shop is a provider with links that are all well.
func shop() status.Provider {
	now := time.Now()
	p := status.Provider{
		Version: "1.2.3", ProviderKey: "shop-kafka", Lattice: "default", Healthy: true, Started: now.Add(-75 * time.Hour),
		HostID: "NBZKLC2W5QWGZBXYT5M4XGZ7Q4R6P3T5KQYVX2H4N6J8L0M2P4R6T8V0",
		Memory: status.Memory{LimitBytes: 512 << 20, ResidentBytes: 84 << 20},
	}
	for i, name := range []string{"shop-orders", "payments", "mailer"} {
		l := status.Link{
			Component: name, Name: "default", Package: "messaging-kafka:records", Direction: status.Source,
			Interfaces: []string{"handler"},
			State:      status.Healthy, Since: now.Add(-time.Duration(40+i) * time.Hour),
			Group:  "wasmcloud.default." + name + ".default",
			Topics: []string{[]string{"orders", "payments", "notifications"}[i]}, InFlight: 3 * i, Waiting: 11 * i,
			Rates: status.Rates{In: 812.5 / float64(i+1), HandleMean: ptr(.002), HandleP50: ptr(.0018),
				HandleP99: ptr(.0123)},
			Counters: status.Counters{RecordsIn: 1e6},
		}
		for n := range int32(3) {
			l.Partitions = append(l.Partitions, status.Partition{Topic: l.Topics[0], Partition: n,
				Committed: 81230 + int64(n)*7, End: 81234 + int64(n)*7,
				Lag: 4, LagSeconds: ptr(.2), CommitAgeSeconds: ptr(.8), OldestUnfinishedSeconds: .02})
		}
		p.Links = append(p.Links, l)
	}
	p.Links[0].Rates.Out, p.Links[0].Counters.RecordsOut = 811, 9e5
	p.Links = append(p.Links, status.Link{
		Component: "web", Name: "default", Package: "wasmcloud:messaging", Direction: status.Target,
		Interfaces: []string{"consumer"},
		State:      status.Healthy, Since: now.Add(-40 * time.Hour), Rates: status.Rates{Out: 92},
		Counters: status.Counters{RecordsOut: 1e5},
	})
	return p
}

// troubled is a shop some links of which have a problem since some minutes.
func troubled(kind status.ProblemKind, state status.State, text string, links ...int) status.Provider {
	p := shop()
	p.Healthy = state == "paused"
	for _, i := range links {
		l := &p.Links[i]
		l.State, l.Since, l.Reason = state, time.Now().Add(-4*time.Minute), text
		l.Problems = status.Problems{{Kind: kind, Text: text}}
	}
	p.Causes = status.Causes(p.Links)
	return p
}

func failing() status.Provider {
	const text = "failing: 214 of the last 214 calls: connecting to postgres://shop-db:5432: connection refused (payments/1, offset 81231; since 2026-03-01T11:56:02Z; the oldest call has been under way for 27s)"
	p := troubled(status.ProblemFailing, status.Failing, text, 1)
	l := &p.Links[1]
	l.Rates.Failures, l.Rates.Retries, l.OldestCallSeconds, l.InFlight, l.Waiting = 53.5, 53.4, 27, 64, 4210
	l.LastFailure = &status.Event{Time: time.Now(), Text: "connecting to postgres://shop-db:5432: connection refused", Topic: "payments",
		Partition: ptr(int32(1)), Offset: ptr(int64(81231))}
	for i := range l.Partitions {
		l.Partitions[i].Lag, l.Partitions[i].LagSeconds = 1400*int64(i), ptr(120.0*float64(i))
	}
	// Another one falls behind and is well.
	p.Links[2].Partitions[0].Lag, p.Links[2].Partitions[0].LagSeconds = 1822, ptr(75.0)
	return p
}

func kafkaAway() status.Provider {
	p := troubled(status.ProblemKafka, status.Unhealthy, "nothing listens at kafka-0.kafka.shop.svc.cluster.local:9092 (connection refused): check hosts, and that Kafka is up", 0, 1, 2, 3)
	for i := range p.Links {
		p.Links[i].RecentErrors = []status.Event{
			{Time: time.Now(), Level: "WARN", Text: "the link is not healthy: " + p.Links[i].Reason},
			{Time: time.Now().Add(-4 * time.Minute), Level: "WARN", Text: "kafka client: the connection to a broker broke", Count: 3},
		}
	}
	return p
}

func deadLettered() status.Provider {
	p := shop()
	l := &p.Links[1]
	now := time.Now()
	l.Counters.DeadLetters, l.Counters.Skipped = 1204, 2
	l.LastFailure = &status.Event{Time: now.Add(-time.Minute), Text: "card 4000-17 has expired", Topic: "payments",
		Partition: ptr(int32(2)), Offset: ptr(int64(81240))}
	for i, text := range []string{"card 4000-17 has expired", `no customer "c-81" for order 7716`, "no answer came within handle_timeout (30s)"} {
		l.DeadLetterReasons = append(l.DeadLetterReasons, status.Reason{
			Text: text, Count: []int64{1180, 21, 3}[i], First: now.Add(-3 * time.Hour),
			Last:  now.Add(-time.Duration(1+40*i) * time.Minute),
			Topic: "payments", Partition: ptr(int32(2 - i)), Offset: ptr(int64(81240 - 3*i)),
		})
		l.RecentDeadLetters = append(l.RecentDeadLetters, status.Event{Time: now.Add(-time.Duration(1+40*i) * time.Minute),
			Text:  text + " (attempts 5, dead letter topic payments.failed)",
			Topic: "payments", Partition: ptr(int32(2 - i)), Offset: ptr(int64(81240 - 3*i))})
	}
	return p
}

// several are the copies of a shop as one, of which one host has lost its Kafka and one has not answered.
func several() status.Provider {
	here, there := shop(), kafkaAway()
	there.HostID = "NC4RRVJ2QWGZBXYT5M4XGZ7Q4R6P3T5KQYVX2H4N6J8L0M2P4R6T8V0Q"
	for i := range here.Links {
		here.Links[i].Partitions = here.Links[i].Partitions[:len(here.Links[i].Partitions)*2/3]
		there.Links[i].Partitions = nil
	}
	return status.Merge(time.Now(), []status.Provider{here, there},
		[]string{"provider shop-kafka on host NDQ7P3T5KQYV: no answer within 2s"})
}

// screens is where the pictures are kept that the test of states takes.
func screens(t *testing.T) string {
	t.Helper()
	root, err := testkit.ProjectRoot()
	if err != nil {
		t.Fatal(err)
	}
	folder := filepath.Join(root, "dist", "page")
	if err := os.MkdirAll(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	return folder
}

func TestEveryStateFitsEveryScreen(t *testing.T) {
	folder := screens(t)
	for name, test := range map[string]struct {
		p    status.Provider
		says []string // JavaScript
	}{
		"healthy": {shop(), []string{
			"document.querySelector('#overall').textContent === '4 links healthy'",
			row("shop-orders/default (messaging-kafka:records) (as source)") + ".querySelector('.name').textContent === 'orders → shop-orders → Kafka'",
			row("web/default") + ".querySelector('.name').textContent === 'web → Kafka'",
			"document.querySelectorAll('#links .why').length === 0 && document.querySelector('#causes').hidden",
		}},
		"failing": {failing(), []string{
			why("payments/default (messaging-kafka:records) (as source)") + ".querySelector('a').href.endsWith('#the-component-fails')",
			why("payments/default (messaging-kafka:records) (as source)") + ".querySelectorAll('p').length === 1", // told once
			row("payments/default (messaging-kafka:records) (as source)") + ".querySelector('[data-label=\"In flight\"]').textContent.includes('oldest 27 s')",
			row("payments/default (messaging-kafka:records) (as source)") + ".querySelector('[data-label=Behind]').classList.contains('wait')",
			row("payments/default (messaging-kafka:records) (as source)") + ".querySelector('[data-label=\"Failed /s\"]').classList.contains('bad')",
			row("mailer/default (messaging-kafka:records) (as source)") + ".querySelector('[data-label=Lag]').classList.contains('wait')",
			"!" + row("shop-orders/default (messaging-kafka:records) (as source)") + ".querySelector('.n.wait, .n.bad')",
		}},
		"paused": {troubled("paused", "paused", "paused by anna since 2026-03-01T12:00:00Z: the database moves", 1), []string{
			"document.querySelector('#overall').textContent === '1 of 4 links paused'",
			row("payments/default (messaging-kafka:records) (as source)") + ".querySelector('.pill').textContent === 'paused'",
			why("payments/default (messaging-kafka:records) (as source)") + ".innerText.includes('the database moves')",
		}},
		"kafka-away": {kafkaAway(), []string{
			"document.querySelectorAll('#causes > div').length === 1 && document.querySelectorAll('#causes a').length === 5",
			"document.querySelector('#causes a').href.endsWith('#kafka-cannot-be-reached')",
			"document.querySelectorAll('#links .why').length === 4 && [...document.querySelectorAll('#links .why')].every((e) => e.innerText.startsWith('See above'))",
			"document.querySelector('main').innerText.split('check hosts, and that Kafka is up').length === 2", // told once
			"document.querySelectorAll('#errors li').length === 1 && document.querySelector('#errors').innerText.includes('4 links')",
		}},
		"no-component": {troubled(status.ProblemUnavailable, status.Unhealthy,
			"component mailer takes no calls since 2026-03-01T11:56:02Z, 12,345 records wait: nobody answers on default.mailer.wrpc.0.0.1.messaging-kafka:records/handler@0.1.0.handle", 2), []string{
			why("mailer/default (messaging-kafka:records) (as source)") + ".querySelector('a').href.endsWith('#no-component-takes-calls')",
			// Above 760 pixels a reason has the whole row.
			"innerWidth < 761 || " + why("mailer/default (messaging-kafka:records) (as source)") + ".firstChild.clientWidth > document.querySelector('#links-table').clientWidth - 4",
		}},
		"dead-letters": {deadLettered(), []string{
			"[...document.querySelectorAll('#dead .times')].map((e) => e.textContent).join() === '1,180 ×,21 ×,3 ×'",
			"document.querySelector('#dead li').innerText.includes('payments / 2, offset 81240') && document.querySelector('#dead-count').textContent === '1,204 in all'",
			"document.querySelectorAll('#dead-events li').length === 3 && !document.querySelector('#dead-last').open",
			"document.querySelector('#dead-help').href.endsWith('#dead-letters-arrive')",
		}},
		"copies": {several(), []string{
			"document.querySelectorAll('#copies tr').length === 2 && document.querySelector('#omitted').innerText.includes('No answer: provider shop-kafka')",
			"document.querySelector('#parts').innerText.includes('read by NBZKLC2W…') && document.querySelector('#of-one').hidden",
			thereAre(4) + " && !document.querySelector('#errors').innerText.includes('is not healthy')",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			url, _ := serve(t, test.p)
			for _, width := range []int64{360, 768, 1440} {
				for _, dark := range []bool{false, true} {
					tb := open(t, url, view{width: width, height: 1000, scale: 1, dark: dark})
					tb.until("it is there", thereAre(len(test.p.Links))+" && document.querySelector('#updated').textContent")
					for _, say := range test.says {
						if !eval[bool](tb, "Boolean("+say+")") {
							t.Errorf("at %d pixels it is not so that %s; the page says %.3000q", width, say, tb.text("body"))
						}
					}
					if wide := eval[[]string](tb, narrow); len(wide) > 0 {
						t.Errorf("at %d pixels: %v", width, wide)
					}
					if bad := eval[[]string](tb, contrasts); len(bad) > 0 {
						t.Errorf("at %d pixels, dark %t: too little contrast: %v", width, dark, bad)
					}
					scheme := map[bool]string{false: "light", true: "dark"}[dark]
					file := filepath.Join(folder, fmt.Sprintf("%s-%d-%s.png", name, width, scheme))
					if err := os.WriteFile(file, tb.picture(), 0o644); err != nil {
						t.Fatal(err)
					}
				}
			}
		})
	}
}

func TestABridgeHasRoutes(t *testing.T) {
	p := shop()
	p.Lattice, p.Words = "", status.OfRoutes
	for i := range p.Links {
		l := &p.Links[i]
		l.Name, l.Component, l.Package = l.Component, "bridge", "http-records"
	}
	p.Links[3].Package = status.Callers
	url, _ := serve(t, p)
	tb := open(t, url, desk)
	tb.until("it is there", thereAre(4))
	for _, say := range []string{
		"document.querySelector('#overall').textContent === '4 routes healthy'",
		"document.querySelector('#h-links').textContent === 'Routes' && document.querySelector('#scope').textContent === 'all routes'",
		row("bridge/payments (http-records)") + ".querySelector('.name').textContent === 'payments → payments'",
		row("bridge/web (http-callers)") + ".querySelector('.name').textContent === 'web → Kafka'",
		"document.querySelector('#facts').innerText.startsWith('bridge shop-kafka')",
		"!/\\blinks? |lattice/i.test(document.querySelector('main').innerText.replace('links and history', ''))",
	} {
		if !eval[bool](tb, "Boolean("+say+")") {
			t.Errorf("it is not so that %s; the page says %.2000q", say, tb.text("body"))
		}
	}
}
