package status

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"
)

// Copy is one of several copies that are told as one; see [Merge].
type Copy struct {
	// Name tells it from the others, in short.
	Name        string    `json:"name"`
	ProviderKey string    `json:"provider_key"`
	Lattice     string    `json:"lattice,omitempty"`
	HostID      string    `json:"host_id"`
	InstanceID  string    `json:"instance_id,omitempty"`
	Version     string    `json:"version"`
	Started     time.Time `json:"started"`
	Healthy     bool      `json:"healthy"`
	// Links is how many it has, Ill how many of them are not well.
	Links int `json:"links"`
	Ill   int `json:"ill"`
	// Partitions and InFlight are those of its links, Memory is what it has taken in bytes.
	Partitions int   `json:"partitions"`
	InFlight   int   `json:"in_flight"`
	Memory     int64 `json:"memory"`
}

// Merge tells the copies of providers as if they were one: a link is there once, with what all copies have of it, and
// so is what is wrong with it. silent says of whom no answer came.
func Merge(at time.Time, providers []Provider, silent []string) Provider {
	m := merging{
		whole: Provider{
			Time: at, Started: at, Healthy: len(silent) == 0 && len(providers) > 0, Links: []Link{}, Copies: []Copy{},
			Silent: silent,
		},
		names:   copyNames(providers),
		several: len(distinct(providers, func(p *Provider) string { return p.ProviderKey })) > 1,
		links:   make(map[string]*mergedLink),
	}
	for i := range providers {
		m.add(&providers[i], m.names[i])
	}
	w := &m.whole
	together := func(get func(*Provider) string) string { return strings.Join(distinct(providers, get), ", ") }
	w.ProviderKey = together(func(p *Provider) string { return p.ProviderKey })
	w.Lattice = together(func(p *Provider) string { return p.Lattice })
	w.Version = together(func(p *Provider) string { return p.Version })
	for _, id := range slices.Sorted(maps.Keys(m.links)) {
		w.Links = append(w.Links, m.links[id].finish())
	}
	if len(distinct(providers, func(p *Provider) string { return p.Words.Link() })) == 1 {
		w.Words = providers[0].Words
	}
	w.Causes = Causes(w.Links)
	w.Message = w.Problems.String()
	return m.whole
}

// distinct are the different values of providers, sorted; "" is none.
func distinct(providers []Provider, get func(*Provider) string) []string {
	var values []string
	for i := range providers {
		if v := get(&providers[i]); v != "" {
			values = append(values, v)
		}
	}
	slices.Sort(values)
	return slices.Compact(values)
}

// copyNames are the names of copies: that of the host where no other copy is on it.
func copyNames(providers []Provider) []string {
	ids := make([]string, len(providers))
	on := make(map[string]int)
	for i := range providers {
		ids[i] = providers[i].HostID
		on[ids[i]]++
	}
	short := ShortHosts(ids)
	names := make([]string, len(providers))
	for i := range providers {
		names[i] = short[ids[i]]
		if on[ids[i]] > 1 {
			names[i] += " (" + firstOf(providers[i].InstanceID, shortHost) + ")"
		}
	}
	return names
}

// shortHost is how many characters of a host's id are told at least. Ids of wasmCloud have 56, which differ soon.
const shortHost = 8

// ShortHosts are the beginnings of hosts' ids that tell them apart, by the ids.
func ShortHosts(ids []string) map[string]string {
	short := make(map[string]string, len(ids))
	for _, id := range ids {
		runes, keep := []rune(id), shortHost
		for _, other := range ids {
			if other == id {
				continue
			}
			same := 0
			for _, r := range other {
				if same == len(runes) || runes[same] != r {
					break
				}
				same++
			}
			keep = max(keep, same+1)
		}
		short[id] = firstOf(id, keep)
	}
	return short
}

// firstOf is the beginning of a text, which a mark follows where something is left out.
func firstOf(text string, characters int) string {
	if runes := []rune(text); len(runes) > characters+1 { // the mark takes a place, too
		return string(runes[:characters]) + "…"
	}
	return text
}

// merging is a [Provider] that is made of several.
type merging struct {
	whole   Provider
	names   []string
	several bool // different providers
	links   map[string]*mergedLink
}

func (m *merging) add(p *Provider, name string) {
	w := &m.whole
	c := Copy{
		Name: name, ProviderKey: p.ProviderKey, Lattice: p.Lattice, HostID: p.HostID, InstanceID: p.InstanceID,
		Version: p.Version, Started: p.Started, Healthy: p.Healthy, Links: len(p.Links), Memory: p.Memory.ResidentBytes,
	}
	if p.Started.Before(w.Started) {
		w.Started = p.Started
	}
	w.Healthy = w.Healthy && p.Healthy
	for _, own := range p.Problems {
		w.Problems.Add(own.Kind, name+": "+own.Text)
	}
	w.Memory.ResidentBytes += p.Memory.ResidentBytes
	if o := p.Omitted; o != nil {
		if w.Omitted == nil {
			w.Omitted = new(Omitted)
		}
		w.Omitted.Events += o.Events
		w.Omitted.Partitions += o.Partitions
		w.Omitted.Links += o.Links
	}
	for i := range p.Links {
		l := p.Links[i]
		if m.several {
			l.Provider = p.ProviderKey
		}
		if l.State.Ill() {
			c.Ill++
		}
		c.Partitions += len(l.Partitions)
		c.InFlight += l.InFlight
		id := l.ID()
		if m.links[id] == nil {
			m.links[id] = new(mergedLink)
		}
		m.links[id].add(&l, name)
	}
	w.Copies = append(w.Copies, c)
}

// mergedLink is a link of several copies.
type mergedLink struct {
	whole    Link
	problems []Problem // in the order in which they come
	of       map[Problem][]string
	reasons  []Reason
}

// severity orders states: that of the copy that is worst off is that of the whole.
var severity = map[State]int{Unhealthy: 5, Failing: 4, Starting: 3, Stopping: 2, Healthy: 0}

func severityOf(s State) int {
	if n, known := severity[s]; known {
		return n
	}
	return 1
}

func (m *mergedLink) add(l *Link, name string) {
	w := &m.whole
	if w.Copies == 0 {
		*w, m.of = *l, make(map[Problem][]string)
		w.Partitions, w.RecentErrors, w.RecentDeadLetters = nil, nil, nil
		w.Counters.Deliveries, w.Counters.Publishes = maps.Clone(l.Counters.Deliveries), maps.Clone(l.Counters.Publishes)
	} else {
		m.addState(l)
		addCounters(&w.Counters, &l.Counters)
		addRates(&w.Rates, &l.Rates)
		w.InFlight += l.InFlight
		w.Waiting += l.Waiting
		w.BufferedBytes += l.BufferedBytes
		w.OldestUnfinishedSeconds = max(w.OldestUnfinishedSeconds, l.OldestUnfinishedSeconds)
		w.OldestCallSeconds = max(w.OldestCallSeconds, l.OldestCallSeconds)
		w.KeylessOnly = w.KeylessOnly && l.KeylessOnly
		w.Advice, w.SharedWith = cmp.Or(w.Advice, l.Advice), cmp.Or(w.SharedWith, l.SharedWith)
		if f := l.LastFailure; f != nil && (w.LastFailure == nil || f.Time.After(w.LastFailure.Time)) {
			w.LastFailure = f
		}
	}
	w.Copies++
	for _, p := range l.Problems {
		if len(m.of[p]) == 0 {
			m.problems = append(m.problems, p)
		}
		m.of[p] = append(m.of[p], name)
	}
	for _, part := range l.Partitions {
		part.Copy = name
		w.Partitions = append(w.Partitions, part)
	}
	w.RecentErrors = append(w.RecentErrors, l.RecentErrors...)
	w.RecentDeadLetters = append(w.RecentDeadLetters, l.RecentDeadLetters...)
	for _, r := range l.DeadLetterReasons {
		m.addReason(r)
	}
}

func (m *mergedLink) addState(l *Link) {
	w := &m.whole
	switch more := severityOf(l.State) - severityOf(w.State); {
	case more > 0:
		w.State, w.Reason, w.Since = l.State, l.Reason, l.Since
	case more == 0 && l.Since.Before(w.Since):
		w.Since = l.Since
	}
}

func (m *mergedLink) addReason(r Reason) {
	key := likeness(r.Text)
	for i := range m.reasons {
		have := &m.reasons[i]
		if likeness(have.Text) != key {
			continue
		}
		count, first := have.Count+r.Count, have.First
		if r.First.Before(first) {
			first = r.First
		}
		if r.Last.After(have.Last) {
			*have = r
		}
		have.Count, have.First = count, first
		return
	}
	m.reasons = append(m.reasons, r)
}

// finish returns the link with what is known when all copies are there.
func (m *mergedLink) finish() Link {
	w := &m.whole
	w.Problems = nil
	for _, p := range m.problems {
		if of := m.of[p]; len(of) < w.Copies {
			p.Text += " (" + strings.Join(of, ", ") + ")"
		}
		w.Problems.Add(p.Kind, p.Text)
	}
	if len(w.Problems) > 0 {
		w.Reason = w.Problems.String()
	}
	slices.SortStableFunc(w.Partitions, func(a, b Partition) int {
		return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition))
	})
	w.RecentErrors, w.RecentDeadLetters = lastOf(w.RecentErrors), lastOf(w.RecentDeadLetters)
	slices.SortStableFunc(m.reasons, func(a, b Reason) int { return b.Last.Compare(a.Last) })
	w.DeadLetterReasons = m.reasons[:min(len(m.reasons), MaxReasons)]
	return *w
}

// lastOf are the last events of all, newest first.
func lastOf(events []Event) []Event {
	slices.SortStableFunc(events, func(a, b Event) int { return b.Time.Compare(a.Time) })
	return events[:min(len(events), MaxEvents)]
}

func addCounters(to, c *Counters) {
	to.RecordsIn += c.RecordsIn
	to.BytesIn += c.BytesIn
	to.RecordsOut += c.RecordsOut
	to.BytesOut += c.BytesOut
	to.DeadLetters += c.DeadLetters
	to.Skipped += c.Skipped
	to.Filtered += c.Filtered
	to.FilterFailures += c.FilterFailures
	to.Rebalances += c.Rebalances
	to.Missed += c.Missed
	to.Redeliveries += c.Redeliveries
	to.Deliveries, to.Publishes = sums(to.Deliveries, c.Deliveries), sums(to.Publishes, c.Publishes)
	to.HandleSeconds, to.PublishSeconds = to.HandleSeconds.Plus(c.HandleSeconds), to.PublishSeconds.Plus(c.PublishSeconds)
}

func sums(to, more map[string]float64) map[string]float64 {
	for name, n := range more {
		if to == nil {
			to = make(map[string]float64)
		}
		to[name] += n
	}
	return to
}

// addRates adds what happens in a second. Of the times that calls take the longest stand for all: how they are
// distributed over the copies is not known.
func addRates(to, r *Rates) {
	to.In += r.In
	to.Out += r.Out
	to.Failures += r.Failures
	to.Retries += r.Retries
	to.TakeLongest(r)
}

// TakeLongest takes those times of r that are longer.
func (to *Rates) TakeLongest(r *Rates) {
	to.HandleMean, to.HandleP50, to.HandleP99 = longest(to.HandleMean, r.HandleMean), longest(to.HandleP50, r.HandleP50),
		longest(to.HandleP99, r.HandleP99)
}

func longest(a, b *float64) *float64 {
	if a == nil || (b != nil && *b > *a) {
		return b
	}
	return a
}
