package soak

import (
	"math"
	"slices"
	"time"
)

// Gauge is something of which a sample has the amount.
type Gauge int

// The gauges, in the order in which they are drawn.
const (
	RSS              Gauge = iota // memory of the process that is in RAM, bytes
	Heap                          // Go's heap in use, garbage included, bytes
	LiveHeap                      // what the last garbage collection left, bytes: see [LiveHeapOf]
	Buffered                      // records that wait in the provider or are with a component, bytes
	Goroutines                    //
	Descriptors                   // open files and sockets
	Threads                       // of the operating system
	Subscriptions                 // of the provider's connection, by the NATS server's count
	KafkaConnections              // to the brokers that are there
	Series                        // of metrics
	Links                         // that are in place
	Rate                          // records handled per second
	Waiting                       // records that were produced and not yet handled
	gauges
)

// Gauges are all of them.
func Gauges() []Gauge {
	all := make([]Gauge, gauges)
	for i := range all {
		all[i] = Gauge(i)
	}
	return all
}

func (g Gauge) String() string {
	return [...]string{
		"resident memory", "heap in use", "live heap", "records buffered", "goroutines", "file descriptors", "threads",
		"NATS subscriptions", "connections to Kafka", "series of metrics", "links", "records per second", "records waiting",
	}[g]
}

// bytes tells whether the gauge counts bytes.
func (g Gauge) bytes() bool { return g == RSS || g == Heap || g == LiveHeap || g == Buffered }

// Amounts has an amount for each gauge; NaN is one that could not be had.
type Amounts [gauges]float64

// Unknown returns amounts of which none is known.
func Unknown() Amounts {
	var a Amounts
	for g := range a {
		a[g] = math.NaN()
	}
	return a
}

// Medians returns the median of each gauge. Where things come and go all the time, as goroutines do that wait for the
// answer to one request, it is what is mostly there.
func Medians(looks []Amounts) Amounts {
	a := Unknown()
	for g := range a {
		var amounts []float64
		for _, look := range looks {
			if !math.IsNaN(look[g]) {
				amounts = append(amounts, look[g])
			}
		}
		a[g] = median(amounts)
	}
	return a
}

// LiveHeapOf is what the last garbage collection left on the heap, by the size at which the next one starts: with
// GOGC=100 that is twice what is live. (Goroutine stacks and globals count on top, which are small here.)
func LiveHeapOf(nextGC float64) float64 { return nextGC / 2 }

// Sample is what was measured at one time.
type Sample struct {
	At time.Duration // since the run began
	Amounts
}

// Phase is a part of the run.
type Phase string

// The phases, in their order.
const (
	Bare     Phase = "bare"     // no link was ever there
	WarmUp   Phase = "warm-up"  // load of all kinds, so that what is made once is made
	Baseline Phase = "baseline" // no load, the lasting links: what it is compared with
	Load     Phase = "load"
	Settled  Phase = "settled"  // no load, the lasting links
	Stripped Phase = "stripped" // no link any more
)

// Span is when a phase was.
type Span struct {
	Phase    Phase
	From, To time.Duration
}

// Count is what became of the records of one topic.
type Count struct {
	Topic string
	// Want is how many records had to come, Got how many of them came, whatever number of times, Again how often
	// one came once more.
	Want, Got, Again int
	// Once forbids that one comes again: they were written in transactions.
	Once bool
}

// Run is everything that was seen.
type Run struct {
	Samples []Sample // in the order of time
	Every   time.Duration
	Spans   []Span
	// Rest is what each gauge was in a phase without load, once it had come to rest.
	Rest map[Phase]Amounts
	// Cycle is the time in which the load rises and falls once.
	Cycle time.Duration

	Counts []Count
	// Deeds is how often what was done to the provider on purpose was done, by its name.
	Deeds map[string]int
	// GoneSeries are series of metrics, at the end, of links that are gone.
	GoneSeries []string
	// Complaints are what went wrong otherwise: the provider ended, stayed unhealthy, did not stop in good order.
	Complaints []string
}

// in returns the samples between two times.
func (r *Run) in(from, to time.Duration) []Sample {
	return slices.Collect(func(yield func(Sample) bool) {
		for _, s := range r.Samples {
			if s.At >= from && s.At < to && !yield(s) {
				return
			}
		}
	})
}

// span returns the span of a phase, and whether there was one.
func (r *Run) span(p Phase) (Span, bool) {
	if i := slices.IndexFunc(r.Spans, func(s Span) bool { return s.Phase == p }); i >= 0 {
		return r.Spans[i], true
	}
	return Span{}, false
}

// known returns the known amounts of a gauge, in order.
func known(samples []Sample, g Gauge) []float64 {
	var amounts []float64
	for _, s := range samples {
		if !math.IsNaN(s.Amounts[g]) {
			amounts = append(amounts, s.Amounts[g])
		}
	}
	return amounts
}

// median is NaN for none.
func median(amounts []float64) float64 {
	if len(amounts) == 0 {
		return math.NaN()
	}
	sorted := slices.Sorted(slices.Values(amounts))
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return (sorted[middle-1] + sorted[middle]) / 2
}
