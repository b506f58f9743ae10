package simulation

import (
	"sync"

	"github.com/twmb/franz-go/pkg/kmsg"
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
