package simulation

import (
	"strconv"

	"github.com/twmb/franz-go/pkg/kgo"
)

// filters are expressions, with what of the feeder's records they match. A record at which one fails is handed over or
// not, as on_filter_error says, which fails stands for.
var filters = []struct {
	expression string
	matches    func(r *kgo.Record, fails bool) bool
}{
	{`key != "k1"`, func(r *kgo.Record, _ bool) bool { return string(r.Key) != "k1" }},
	{`partition != 0`, func(r *kgo.Record, _ bool) bool { return r.Partition != 0 }},
	{`key != null && size > 1`, func(r *kgo.Record, _ bool) bool { return r.Key != nil }},
	{`int(value) % 3 != 0`, func(r *kgo.Record, fails bool) bool {
		n, err := strconv.Atoi(string(r.Value))
		if err != nil {
			return fails // a tombstone
		}
		return n%3 != 0
	}},
	{`value.field == 1`, func(_ *kgo.Record, fails bool) bool { return fails }},
}

// others are the records that every filter matches: those of the other topic, and those that are stored to see whether
// they are read.
const others = `topic != "` + input + `" || headers.` + numberHeader + `.matches("^[a-z]") || `

// drawFilter gives some links a filter.
func (p *plan) drawFilter() {
	rng := newRand(p.seed, "filter")
	if rng.IntN(4) > 0 {
		return
	}
	p.config["filter"] = others + "(" + filters[rng.IntN(len(filters))].expression + ")"
	if rng.IntN(2) == 0 {
		p.config["on_filter_error"] = "skip"
	}
}

// hands tells whether the link's filter lets the component have a record.
func (p *plan) hands(r *kgo.Record) bool {
	filter := p.config["filter"]
	if _, err := strconv.Atoi(storedAt(r).number); filter == "" || err != nil {
		return true
	}
	for _, f := range filters {
		if filter == others+"("+f.expression+")" {
			return f.matches(r, p.config["on_filter_error"] != "skip")
		}
	}
	panic("a filter that is not known: " + filter)
}

// judgeFilter is the invariant filtered-by-rule: no record that the filter does not match reaches the component.
func (w *world) judgeFilter(truth []*kgo.Record) {
	kept := make(map[place]bool)
	for _, r := range truth {
		kept[storedAt(r)] = !w.plan.hands(r)
	}
	for _, v := range w.guest.calls {
		if kept[v.place] {
			w.fail("filtered-by-rule", "%v was called, which the filter does not match: %s", v.place, w.tellVisits(v.place))
			return
		}
	}
}
