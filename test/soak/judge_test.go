package soak

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/messaging-kafka/messaging-kafka/test/ledger"
)

// steady is a run of an hour in which nothing leaks. What a process holds goes up and down with the load and jitters.
func steady() *Run {
	const minute = time.Minute
	r := &Run{
		Every: 6 * time.Second, Cycle: 5 * minute,
		Spans: []Span{{Bare, 0, minute}, {WarmUp, minute, 4 * minute}, {Baseline, 4 * minute, 5 * minute},
			{Load, 5 * minute, 55 * minute}, {Settled, 55 * minute, 57 * minute}, {Stripped, 57 * minute, 58 * minute}},
		Counts: []Count{{Topic: "orders", Want: 1000, Got: 1000, Again: 12},
			{Topic: "totals", Want: 500, Got: 500, Once: true}},
		Deeds: map[string]int{"cuts of the lattice": 9, "links deleted": 700},
		Rest:  make(map[Phase]Amounts),
	}
	bare := Amounts{RSS: 25 * mib, Heap: 4 * mib, LiveHeap: 3 * mib, Goroutines: 27, Descriptors: 12, Threads: 9,
		Subscriptions: 11, Series: 44}
	lasting := Amounts{RSS: 45 * mib, Heap: 9 * mib, LiveHeap: 5 * mib, Goroutines: 121, Descriptors: 27, Threads: 9,
		Subscriptions: 13, KafkaConnections: 14, Series: 460}
	r.Rest[Bare], r.Rest[Stripped], r.Rest[Baseline], r.Rest[Settled] = bare, bare, lasting, lasting
	jitter := rand.New(rand.NewPCG(1, 2))
	for at := time.Duration(0); at < 58*minute; at += r.Every {
		a := lasting
		if s, _ := r.span(Load); at >= s.From && at < s.To {
			height := .5 - .5*math.Cos(2*math.Pi*float64(at-s.From)/float64(r.Cycle))
			a[RSS] += (30*height + 4*jitter.Float64()) * mib
			a[LiveHeap] += (8*height + 4*jitter.Float64()) * mib
			a[Goroutines] += math.Round(150*height + 40*jitter.Float64())
			a[Descriptors] += math.Round(20 * jitter.Float64())
			a[Subscriptions] += math.Round(3 * jitter.Float64())
			if jitter.IntN(50) == 0 {
				a[Subscriptions] = math.NaN() // cut off
			}
		}
		r.Samples = append(r.Samples, Sample{at, a})
	}
	return r
}

// raise adds to a gauge at rest after the load.
func (r *Run) raise(p Phase, g Gauge, by float64) {
	a := r.Rest[p]
	a[g] += by
	r.Rest[p] = a
}

// grow adds to a gauge from the beginning of the load on, up to by at its end.
func (r *Run) grow(g Gauge, by float64) {
	s, _ := r.span(Load)
	for i := range r.Samples {
		part := float64(r.Samples[i].At-s.From) / float64(s.To-s.From)
		r.Samples[i].Amounts[g] += by * min(max(part, 0), 1)
	}
}

func TestTheJudgeFindsEveryLeak(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*Run)
		broken string // how the one rule begins that is to be broken; empty for none
	}{
		{"nothing leaks", func(*Run) {}, ""},
		{"less than before is no leak", func(r *Run) { r.raise(Settled, Goroutines, -1); r.raise(Settled, LiveHeap, -mib) }, ""},
		{"a goroutine", func(r *Run) { r.raise(Settled, Goroutines, 1) }, "goroutines, settled as baseline"},
		{"a goroutine for each link that went", func(r *Run) { r.raise(Settled, Goroutines, 700) }, "goroutines, settled as baseline"},
		{"a descriptor", func(r *Run) { r.raise(Settled, Descriptors, 1) }, "file descriptors, settled as baseline"},
		{"a subscription", func(r *Run) { r.raise(Settled, Subscriptions, 1) }, "NATS subscriptions, settled as baseline"},
		{"a subscription that is lost", func(r *Run) { r.raise(Settled, Subscriptions, -1) }, "NATS subscriptions, settled as baseline"},
		{"a connection to Kafka", func(r *Run) { r.raise(Settled, KafkaConnections, 1) }, "connections to Kafka, settled as baseline"},
		{"a goroutine that no link has", func(r *Run) { r.raise(Stripped, Goroutines, 1) }, "goroutines, stripped as bare"},
		{"a descriptor that no link has", func(r *Run) { r.raise(Stripped, Descriptors, 1) }, "file descriptors, stripped as bare"},
		{"a connection that no link has", func(r *Run) { r.raise(Stripped, KafkaConnections, 1) }, "connections to Kafka, stripped as bare"},
		{"heap that is kept", func(r *Run) { r.raise(Settled, LiveHeap, 3*mib) }, "live heap, settled as baseline"},
		{"heap that grows under load", func(r *Run) { r.grow(LiveHeap, 25*mib) }, "live heap under load"},
		{"memory outside of the heap that grows", func(r *Run) { r.grow(RSS, 110*mib) }, "resident memory under load"},
		{"memory beyond all bounds for a moment", func(r *Run) { r.Samples[99].Amounts[RSS] = 500 * mib }, "resident memory at the highest"},
		{"threads", func(r *Run) { r.grow(Threads, 100) }, "threads at the highest"},
		{"series of metrics", func(r *Run) { r.GoneSeries = []string{`x{link="passing-1"} 1`} }, "series of links that are gone"},
		{"a record that is lost", func(r *Run) { r.Counts[0].Got-- }, "records of orders"},
		{"a record that came twice", func(r *Run) { r.Counts[1].Again++ }, "records of totals"},
		{"a topic without a record", func(r *Run) { r.Counts[0] = Count{Topic: "orders"} }, "records of orders"},
		{"something that was never done", func(r *Run) { r.Deeds["cuts of the lattice"] = 0 }, "it had something to do"},
		{"nothing that was done", func(r *Run) { r.Deeds = nil }, "it had something to do"},
		{"a complaint", func(r *Run) { r.Complaints = []string{"it ended"} }, "nothing else went wrong"},
		{"a time without samples", func(r *Run) { r.Samples = append(r.Samples[:100], r.Samples[110:]...) }, "samples"},
		{"samples without metrics", func(r *Run) {
			for i := range 20 {
				r.Samples[100+10*i].Amounts = Unknown()
			}
		}, "samples"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := steady()
			c.change(r)
			var broken []string
			for _, f := range Judge(r) {
				if f.N > 0 {
					broken = append(broken, f.Rule)
				}
			}
			switch {
			case c.broken == "" && len(broken) > 0:
				t.Errorf("the judge finds %q broken", broken)
			case c.broken != "" && (len(broken) != 1 || !strings.HasPrefix(broken[0], c.broken)):
				t.Errorf("the judge finds %q broken, want %q alone", broken, c.broken)
			}
			if ledger.Hold(Judge(r)) != (c.broken == "") {
				t.Error("the verdict is not that of the rules")
			}
		})
	}
}

func TestWhatWasNotMeasuredDoesNotPass(t *testing.T) {
	if r := new(Run); ledger.Hold(Judge(r)) {
		t.Error("an empty run passes")
	}
	for name, change := range map[string]func(*Run){
		"no baseline":        func(r *Run) { delete(r.Rest, Baseline) },
		"never at rest":      func(r *Run) { delete(r.Rest, Settled) },
		"rest without a fd":  func(r *Run) { r.raise(Settled, Descriptors, math.NaN()) },
		"no load":            func(r *Run) { r.Spans = r.Spans[:3] },
		"too short a load":   func(r *Run) { r.Cycle = 20 * time.Minute },
		"no memory measured": func(r *Run) { r.grow(RSS, math.NaN()) },
		"no cycle":           func(r *Run) { r.Cycle = 0 },
		"no look at threads": func(r *Run) { r.grow(Threads, math.NaN()) },
		"no rest at the end": func(r *Run) { delete(r.Rest, Stripped) },
		"no rest before all": func(r *Run) { delete(r.Rest, Bare) },
	} {
		r := steady()
		change(r)
		if ledger.Hold(Judge(r)) {
			t.Errorf("%s: passes", name)
		}
	}
}

func TestMedianIsTheMiddle(t *testing.T) {
	for _, c := range []struct {
		amounts []float64
		want    float64
	}{{[]float64{3}, 3}, {[]float64{9, 1, 2}, 2}, {[]float64{4, 1, 2, 9}, 3}} {
		if got := median(c.amounts); got != c.want {
			t.Errorf("median of %v = %v, want %v", c.amounts, got, c.want)
		}
	}
	if !math.IsNaN(median(nil)) {
		t.Error("the median of nothing is something")
	}
	looks := []Amounts{{Goroutines: 5}, {Goroutines: 7}, Unknown(), {Goroutines: 7}}
	if got := Medians(looks)[Goroutines]; got != 7 {
		t.Errorf("the median of the known ones is %v, want 7", got)
	}
}
