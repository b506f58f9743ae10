package simulation

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/messaging-kafka/messaging-kafka/test/simulation/replay"
)

// coverage counts what has happened in all runs of this process.
type coverage struct {
	mu    sync.Mutex
	asks  map[kmsg.Key]int
	codes map[answeredWith]int
	tells map[toldCode]int
	ways  map[wayed]int
	kinds map[string]int
}

// answeredWith is an error that a rule had a request answered with.
type answeredWith struct {
	key       kmsg.Key
	code      int16
	top, done bool
}

type toldCode struct {
	key  kmsg.Key
	code int16
}

type wayed struct {
	key kmsg.Key
	way way
}

var covered = &coverage{
	asks: make(map[kmsg.Key]int), codes: make(map[answeredWith]int), tells: make(map[toldCode]int),
	ways: make(map[wayed]int), kinds: make(map[string]int),
}

func (c *coverage) asked(key kmsg.Key) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asks[key]++
}

func (c *coverage) code(key kmsg.Key, code code, done bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.codes[answeredWith{key, code.err.Code, code.top, done}]++
}

func (c *coverage) told(key kmsg.Key, code int16) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.tells[toldCode{key, code}]++
}

func (c *coverage) way(key kmsg.Key, w way) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ways[wayed{key, w}]++
}

func (c *coverage) kind(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.kinds[name]++
}

// told is what was done to requests so far, for who counts it over many runs.
func (c *coverage) injected() (list []replay.Injected) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for a, n := range c.codes {
		list = append(list, replay.Injected{Request: a.key.Name(), What: kerr.TypedErrorForCode(a.code).Message, Times: n})
	}
	for w, n := range c.ways {
		list = append(list, replay.Injected{Request: w.key.Name(), What: string(w.way), Times: n})
	}
	slices.SortFunc(list, func(a, b replay.Injected) int {
		return strings.Compare(fmt.Sprintln(a.Request, a.What, a.Times), fmt.Sprintln(b.Request, b.What, b.Times))
	})
	return list
}

// missing names what has never happened in this process of all that can.
func (c *coverage) missing() (names []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, m := range happenings() {
		if c.kinds[m.name] == 0 {
			names = append(names, m.name)
		}
	}
	if c.kinds["unclean election"] == 0 {
		names = append(names, "an unclean election that was carried out")
	}
	if c.kinds[movedAway] == 0 {
		names = append(names, movedAway)
	}
	for e, name := range endings {
		if c.kinds[name] == 0 {
			names = append(names, fmt.Sprint("a call that ends so: ", e, " ", name))
		}
	}
	happened := make(map[way]bool)
	for w := range c.ways {
		happened[w.way] = true
	}
	for _, w := range slices.Concat(requestWays, answerWays, batchWays) {
		if !happened[w] {
			names = append(names, string(w))
		}
	}
	return names
}

// Each error that a broker may give to a request, in place of the work or after it, and each thing that can happen to a
// request, is drawn by some seed.
func TestWhatCanHappenToARequestIsDrawn(t *testing.T) {
	type drawn struct {
		key  kmsg.Key
		code int16
		top  bool
		done bool
		way  way
	}
	left := make(map[drawn]string)
	for key, list := range answerable {
		for _, c := range list {
			if c.refused {
				left[drawn{key, c.err.Code, c.top, false, coded}] = fmt.Sprint(key.Name(), " ", c.err.Message)
			}
			if c.done {
				left[drawn{key, c.err.Code, c.top, true, coded}] = fmt.Sprint(key.Name(), " ", c.err.Message, " after the work")
			}
		}
		for _, w := range ways(key) {
			left[drawn{key: key, way: w}] = fmt.Sprint(key.Name(), " ", w)
		}
	}
	for seed := uint64(0); len(left) > 0 && seed < 40_000; seed++ {
		p := draw(replay.Of(seed))
		for _, e := range p.events {
			if e.what != wrongRequests {
				continue
			}
			for _, r := range p.drawRules(newRand(seed, fmt.Sprint("event ", e.number))) {
				d := drawn{key: r.key, way: r.way}
				if r.way == coded {
					d = drawn{r.key, r.code.err.Code, r.code.top, r.done, coded}
				}
				delete(left, d)
			}
		}
	}
	for _, name := range left {
		t.Errorf("no seed draws this: %s", name)
	}
}
