package soak

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// scraped is what a look at the provider's metrics tells.
type scraped struct {
	value  map[string]float64 // of metrics without labels, and of counts of summaries
	series []string
}

// sum adds up the series of a metric.
func (s *scraped) sum(metric string) (float64, error) {
	total := 0.0
	for _, line := range s.series {
		if strings.HasPrefix(line, metric+"{") {
			v, err := strconv.ParseFloat(line[strings.LastIndexByte(line, ' ')+1:], 64)
			if err != nil {
				return 0, fmt.Errorf("reading the metric %q: %w", line, err)
			}
			total += v
		}
	}
	return total, nil
}

// of returns the series that have a part in them.
func (s *scraped) of(part string) []string {
	return slices.DeleteFunc(slices.Clone(s.series), func(line string) bool { return !strings.Contains(line, part) })
}

// scrape looks at the provider's metrics. The connection is kept, so that it counts each time.
func (w *world) scrape(ctx context.Context) (scraped, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+w.admin+"/metrics", nil)
	if err != nil {
		return scraped{}, err
	}
	resp, err := w.http.Do(req)
	if err != nil {
		return scraped{}, err
	}
	defer resp.Body.Close()
	s := scraped{value: make(map[string]float64)}
	for text := bufio.NewScanner(resp.Body); ; {
		if !text.Scan() {
			return s, text.Err()
		}
		line := text.Text()
		if strings.HasPrefix(line, "#") {
			continue
		}
		s.series = append(s.series, line)
		if name, number, ok := strings.Cut(line, " "); ok && !strings.Contains(name, "{") {
			if s.value[name], err = strconv.ParseFloat(number, 64); err != nil {
				return s, fmt.Errorf("reading the metric %q: %w", line, err)
			}
		}
	}
}

// sources are the gauges that the provider's metrics have.
var sources = map[Gauge]string{
	RSS: "process_resident_memory_bytes", Heap: "go_memstats_heap_inuse_bytes", LiveHeap: "go_memstats_next_gc_bytes",
	Goroutines: "go_goroutines", Descriptors: "process_open_fds", Threads: "go_threads",
}

// measure takes a sample's amounts. The error tells which part of them could not be had.
func (w *world) measure(ctx context.Context) (Amounts, scraped, error) {
	a := Unknown()
	s, err := w.scrape(ctx)
	if err == nil {
		for g, name := range sources {
			v, ok := s.value[name]
			if !ok {
				return a, s, fmt.Errorf("the provider has no metric %s", name)
			}
			a[g] = v
		}
		a[LiveHeap] = LiveHeapOf(a[LiveHeap])
		a[Series] = float64(len(s.series))
		if a[Buffered], err = s.sum("messaging_kafka_buffered_bytes"); err != nil {
			return a, s, err
		}
	}
	ours, connErr := w.connections(false)
	if len(ours) > 0 {
		a[Subscriptions] = 0
		for _, c := range ours {
			a[Subscriptions] += float64(c.NumSubs)
		}
	}
	a[KafkaConnections] = float64(w.kafka.Proxies()[0].Conns())
	w.mu.Lock()
	a[Links] = float64(len(w.inPlace))
	w.mu.Unlock()
	_, waiting := w.tally.handled()
	a[Waiting] = float64(waiting)
	return a, s, errors.Join(err, connErr)
}

// sample takes samples until ctx ends.
func (w *world) sample(ctx context.Context) {
	tick := time.NewTicker(w.cfg.every)
	defer tick.Stop()
	last, lastAt := 0, time.Now()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		look, cancel := context.WithTimeout(ctx, 3*w.cfg.every)
		a, _, err := w.measure(look)
		cancel()
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			w.told.Say("a look at the provider failed: %v", err)
		}
		handled, _ := w.tally.handled()
		now := time.Now()
		a[Rate] = float64(handled-last) / now.Sub(lastAt).Seconds()
		last, lastAt = handled, now
		w.mu.Lock()
		w.run.Samples = append(w.run.Samples, Sample{At: now.Sub(time.Time(w.told)), Amounts: a})
		w.mu.Unlock()
	}
}

// begin begins a phase and ends the one before.
func (w *world) begin(p Phase) {
	w.told.Say("--- %s", p)
	w.mu.Lock()
	defer w.mu.Unlock()
	at := time.Since(time.Time(w.told))
	if n := len(w.run.Spans); n > 0 {
		w.run.Spans[n-1].To = at
	}
	w.run.Spans = append(w.run.Spans, Span{Phase: p, From: at, To: at})
}

// compared are the gauges that come to rest.
var compared = []Gauge{Goroutines, Descriptors, Subscriptions, KafkaConnections}

const (
	// window is how much of the time at rest counts.
	window = 5 * time.Second
	// restPatience bounds the wait for gauges to come down.
	restPatience = 2 * time.Minute
	// looking is the time between two looks at rest.
	looking = 100 * time.Millisecond
)

// look is a look at the provider at rest.
type look struct {
	at time.Time
	Amounts
}

// rest waits until the provider has come to rest and returns what each gauge mostly was during the window before. With
// a target, that is when all gauges that are compared have come down to it, or patience is at its end; without, when
// least has passed and nothing has changed from one window to the next. Either way the garbage has been collected
// twice: each look makes some, so that many looks force it.
func (w *world) rest(p Phase, least time.Duration, target *Amounts) Amounts {
	begun := time.Now()
	var looks []look
	first := math.NaN() // collections
	for {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		a, s, err := w.measure(ctx)
		cancel()
		now := time.Now()
		waited := now.Sub(begun)
		if err == nil {
			looks = append(looks, look{now, a})
			collections := s.value["go_gc_duration_seconds_count"]
			if math.IsNaN(first) {
				first = collections
			}
			before, mostly := medians(looks, now.Add(-2*window), now.Add(-window)), medians(looks, now.Add(-window), now)
			atRest := waited > max(least, 2*window)
			for _, g := range compared {
				if target != nil {
					atRest = atRest && mostly[g] <= target[g]
				} else {
					atRest = atRest && mostly[g] == before[g]
				}
			}
			if atRest && collections >= first+2 || waited > restPatience {
				w.told.Say("at rest after %.1fs: %s", waited.Seconds(), restLine(mostly))
				w.mu.Lock()
				defer w.mu.Unlock()
				w.run.Rest[p] = mostly
				return mostly
			}
		} else if waited > restPatience {
			w.t.Fatalf("looking at the provider: %v", err)
		}
		if w.provider.Exited() {
			w.t.Fatalf("the provider has ended: %v", w.provider.Err())
		}
		time.Sleep(looking)
	}
}

// medians are those of the looks between two times.
func medians(looks []look, from, to time.Time) Amounts {
	var amounts []Amounts
	for _, l := range looks {
		if l.at.After(from) && !l.at.After(to) {
			amounts = append(amounts, l.Amounts)
		}
	}
	return Medians(amounts)
}

func restLine(a Amounts) string {
	var parts []string
	for _, g := range append(slices.Clone(compared), LiveHeap, RSS, Threads, Series) {
		parts = append(parts, fmt.Sprintf("%v %s", g, amount(g, a[g])))
	}
	return strings.Join(parts, ", ")
}
