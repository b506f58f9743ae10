package status

import (
	"time"
)

// rateWindow is the time over which rates are measured. It is some samples long, so that one late sample does not show.
const rateWindow = 10 * time.Second

// Tracker adds what only shows over time to snapshots of a provider: since when a link has its state, and its rates.
// It is fed by whoever looks at intervals; see [Tracker.Observe]. It is not safe for concurrent use.
type Tracker struct {
	links map[string]*tracked
}

type tracked struct {
	state   State
	since   time.Time
	samples []sample // oldest first, at most rateWindow and one older
}

type sample struct {
	at       time.Time
	counters Counters
	lag      int64 // 0 where it is not known
}

// minSampleGap keeps samples apart, however often it is asked.
const minSampleGap = time.Second

// keylessAdvice is given to links whose lag grows because their records wait for each other for no reason that is
// known.
const keylessAdvice = "the lag grows, and no record has a key: with order=key those of a partition are handled one after another; " +
	"order=none lets them go at once, where their order does not matter"

// Observe notes a snapshot and completes its links in place: Since, Rates and Advice.
func (t *Tracker) Observe(p *Provider) {
	t.ObserveStates(p.Time, p.Links)
	for i := range p.Links {
		t.links[p.Links[i].ID()].observeRates(&p.Links[i], p.Time)
	}
}

// ObserveStates notes the states of all links and completes them in place: Since. It costs less than Observe, for which
// everything must have been counted.
func (t *Tracker) ObserveStates(now time.Time, links []Link) {
	if t.links == nil {
		t.links = make(map[string]*tracked)
	}
	seen := make(map[string]struct{}, len(links))
	for i := range links {
		l := &links[i]
		id := l.ID()
		seen[id] = struct{}{}
		k := t.links[id]
		if k == nil {
			k = &tracked{}
			t.links[id] = k
		}
		if k.state != l.State {
			k.state, k.since = l.State, now
		}
		l.Since = k.since
	}
	for id := range t.links {
		if _, there := seen[id]; !there {
			delete(t.links, id)
		}
	}
}

func (k *tracked) observeRates(l *Link, now time.Time) {
	lag, _ := l.Lag()
	s := sample{at: now, lag: lag, counters: l.Counters}
	if n := len(k.samples); n > 0 && s.counters.beganAnew(&k.samples[n-1].counters) {
		k.samples = nil // the counters began anew
	}
	// One sample older than the window stays, so that the window is full.
	for len(k.samples) > 1 && !k.samples[1].at.After(now.Add(-rateWindow)) {
		k.samples = k.samples[1:]
	}
	if len(k.samples) > 0 {
		from := k.samples[0]
		l.Rates = RatesBetween(&from.counters, &l.Counters, now.Sub(from.at))
		// A burst that came just now is no growth, and where something is wrong it is that which holds records up.
		if l.Advice == "" && l.State == Healthy && l.KeylessOnly && lag > from.lag && now.Sub(from.at) >= rateWindow/2 {
			l.Advice = keylessAdvice
		}
	}
	if n := len(k.samples); n == 0 || now.Sub(k.samples[n-1].at) >= minSampleGap {
		k.samples = append(k.samples, s)
	}
}

// beganAnew tells whether counters count from 0 again since those before.
func (c *Counters) beganAnew(before *Counters) bool {
	return c.RecordsIn < before.RecordsIn || c.RecordsOut < before.RecordsOut || c.Failures() < before.Failures() ||
		c.Redeliveries < before.Redeliveries
}

// RatesBetween are the rates from counters to those that they have become.
func RatesBetween(before, now *Counters, took time.Duration) Rates {
	if took <= 0 {
		return Rates{}
	}
	perSecond := func(before, now float64) float64 { return max(0, now-before) / took.Seconds() }
	d := now.HandleSeconds.Since(before.HandleSeconds)
	return Rates{
		In: perSecond(before.RecordsIn, now.RecordsIn), Out: perSecond(before.RecordsOut, now.RecordsOut),
		Failures: perSecond(before.Failures(), now.Failures()), Retries: perSecond(before.Redeliveries, now.Redeliveries),
		HandleMean: d.Mean(), HandleP50: d.Quantile(.5), HandleP99: d.Quantile(.99),
	}
}
