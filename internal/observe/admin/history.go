package admin

import (
	"context"
	"math"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/messaging-kafka/messaging-kafka/internal/observe/status"
)

const (
	// HistoryInterval is the time between two points of the history.
	HistoryInterval = 5 * time.Second
	// HistoryPoints is how many points are kept: 15 minutes.
	HistoryPoints = 180
)

// History is what /history answers. All series have one value for each of Times, null where nothing is known.
type History struct {
	IntervalSeconds float64 `json:"interval_seconds"`
	Points          int     `json:"points"`
	// Time is now, Started when the provider began: another one means that all of it began anew. Like Times, these are
	// milliseconds since 1970 by the provider's clock.
	Time    int64   `json:"time"`
	Started int64   `json:"started"`
	Times   []int64 `json:"times"`
	// All sums up all links that there were at the time.
	All   Series   `json:"all"`
	Links []Series `json:"links"`
}

// Series is the history of one link.
type Series struct {
	ID         string   `json:"id,omitempty"` // as status.Link.ID has it
	In         []number `json:"in"`           // records a second from Kafka
	Out        []number `json:"out"`          // records a second published by the component
	HandleMean []number `json:"handle_mean_seconds"`
	HandleP50  []number `json:"handle_p50_seconds"`
	HandleP99  []number `json:"handle_p99_seconds"`
	Failures   []number `json:"failures"` // deliveries a second that the component failed
	Retries    []number `json:"retries"`  // deliveries a second that were not the first of their record
	InFlight   []number `json:"in_flight"`
	Lag        []number `json:"lag"`
}

// number is a float64 that JSON has as null where it is NaN, and with no more digits than a chart shows.
type number float64

// MarshalJSON implements json.Marshaler.
func (n number) MarshalJSON() ([]byte, error) {
	if f := float64(n); !math.IsNaN(f) && !math.IsInf(f, 0) {
		return strconv.AppendFloat(nil, f, 'g', 6, 64), nil
	}
	return []byte("null"), nil
}

// point is one moment of one series.
type point struct{ in, out, failures, retries, mean, p50, p99, inFlight, lag float64 }

// ring holds the last points of one series. Point n is at n % HistoryPoints.
type ring struct {
	first  int // the number of its first point
	points [HistoryPoints]point
}

// history keeps the last [HistoryPoints] of every link. A link that is gone is forgotten with its next point.
type history struct {
	mu      sync.Mutex
	n       int // points taken
	times   [HistoryPoints]int64
	started int64
	all     ring
	links   map[string]*linkHistory
}

type linkHistory struct {
	ring
	at   time.Time // of counters
	last status.Counters
}

// record takes a point at every interval until ctx ends.
func (s *Server) record(ctx context.Context) {
	tick := time.NewTicker(HistoryInterval)
	defer tick.Stop()
	for {
		if p, err := s.status(ctx); err == nil {
			s.history.add(&p)
		} else if ctx.Err() == nil {
			s.cfg.Log.Warn("a point of the history is left out", "error", err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// add takes a point. The first one of a link only says what to count from.
func (h *history) add(p *status.Provider) {
	h.mu.Lock()
	defer h.mu.Unlock()
	n := h.n
	h.n++
	h.times[n%HistoryPoints] = p.Time.UnixMilli()
	h.started = p.Started.UnixMilli()
	before := h.links
	h.links = make(map[string]*linkHistory, len(p.Links))
	all := point{lag: math.NaN()}
	var handle *status.Histogram
	known := n > 0
	merged := len(p.Copies) > 0
	longest := status.Rates{}
	for i := range p.Links {
		l := &p.Links[i]
		id := l.ID()
		k := before[id]
		switch {
		case merged:
			// The sum of what copies count says nothing: one that comes back brings all that it has counted. The copies know
			// their rates themselves.
			if k == nil {
				k = &linkHistory{ring: ring{first: n}}
			}
			k.points[n%HistoryPoints] = pointOf(l, l.Rates)
			all.addRates(l.Rates)
			longest.TakeLongest(&l.Rates)
		case k == nil:
			k = &linkHistory{ring: ring{first: n}}
			k.points[n%HistoryPoints] = pointOf(l, unknownRates)
		default:
			rates := status.RatesBetween(&k.last, &l.Counters, p.Time.Sub(k.at))
			k.points[n%HistoryPoints] = pointOf(l, rates)
			handle = handle.Plus(l.Counters.HandleSeconds.Since(k.last.HandleSeconds))
			all.addRates(rates)
		}
		k.at, k.last = p.Time, l.Counters
		h.links[id] = k
		all.inFlight += float64(l.InFlight)
		if lag, known := l.Lag(); known {
			all.lag = float64(lag) + zeroIfNaN(all.lag)
		}
	}
	all.mean, all.p50, all.p99 = orNaN(handle.Mean()), orNaN(handle.Quantile(.5)), orNaN(handle.Quantile(.99))
	if merged {
		all.mean, all.p50, all.p99 = orNaN(longest.HandleMean), orNaN(longest.HandleP50), orNaN(longest.HandleP99)
	}
	if !known && !merged {
		all.addRates(unknownRates)
	}
	h.all.points[n%HistoryPoints] = all
}

// unknownRates are those of what has been seen once.
var unknownRates = status.Rates{In: math.NaN(), Out: math.NaN(), Failures: math.NaN(), Retries: math.NaN()}

func (pt *point) addRates(r status.Rates) {
	pt.in += r.In
	pt.out += r.Out
	pt.failures += r.Failures
	pt.retries += r.Retries
}

func pointOf(l *status.Link, r status.Rates) point {
	pt := point{
		mean: orNaN(r.HandleMean), p50: orNaN(r.HandleP50), p99: orNaN(r.HandleP99),
		inFlight: float64(l.InFlight), lag: math.NaN(),
	}
	pt.addRates(r)
	if lag, known := l.Lag(); known {
		pt.lag = float64(lag)
	}
	return pt
}

func orNaN(f *float64) float64 {
	if f == nil {
		return math.NaN()
	}
	return *f
}

func zeroIfNaN(f float64) float64 {
	if math.IsNaN(f) {
		return 0
	}
	return f
}

// since returns the points after a time.
func (h *history) since(since int64, now time.Time) History {
	h.mu.Lock()
	defer h.mu.Unlock()
	out := History{
		IntervalSeconds: HistoryInterval.Seconds(), Points: HistoryPoints, Time: now.UnixMilli(), Started: h.started,
		Times: []int64{}, Links: []Series{},
	}
	var wanted []int
	for n := max(0, h.n-HistoryPoints); n < h.n; n++ {
		if at := h.times[n%HistoryPoints]; at > since {
			wanted = append(wanted, n)
			out.Times = append(out.Times, at)
		}
	}
	out.All = h.all.series("", wanted)
	ids := make([]string, 0, len(h.links))
	for id := range h.links {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	for _, id := range ids {
		out.Links = append(out.Links, h.links[id].series(id, wanted))
	}
	return out
}

func (r *ring) series(id string, wanted []int) Series {
	s := Series{ID: id}
	column := func(get func(*point) float64) []number {
		values := make([]number, len(wanted))
		for i, n := range wanted {
			values[i] = number(math.NaN())
			if n >= r.first {
				values[i] = number(get(&r.points[n%HistoryPoints]))
			}
		}
		return values
	}
	s.In = column(func(p *point) float64 { return p.in })
	s.Out = column(func(p *point) float64 { return p.out })
	s.Failures = column(func(p *point) float64 { return p.failures })
	s.Retries = column(func(p *point) float64 { return p.retries })
	s.HandleMean = column(func(p *point) float64 { return p.mean })
	s.HandleP50 = column(func(p *point) float64 { return p.p50 })
	s.HandleP99 = column(func(p *point) float64 { return p.p99 })
	s.InFlight = column(func(p *point) float64 { return p.inFlight })
	s.Lag = column(func(p *point) float64 { return p.lag })
	return s
}
