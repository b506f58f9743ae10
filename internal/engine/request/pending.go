package request

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"sync"

	"github.com/messaging-kafka/messaging-kafka/internal/record"
)

const (
	instanceSize    = 8
	correlationSize = instanceSize + 8
)

// pending holds the requests that wait for an answer.
//
// A correlation id has 16 bytes, as that of Spring: 8 random ones that stand for this table, by which answers to
// requests of other copies are told apart, and a counter.
type pending struct {
	instance [instanceSize]byte
	limit    int

	mu    sync.Mutex
	last  uint64
	calls map[uint64]*call
}

// call is one request that waits.
type call struct {
	number      uint64
	correlation []byte
	answer      chan *record.Record // has room for one, and gets no more than one
}

func newPending(limit int) *pending {
	p := &pending{limit: limit, calls: make(map[uint64]*call)}
	_, _ = rand.Read(p.instance[:]) // never fails
	return p
}

func (p *pending) add() (*call, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.calls) >= p.limit {
		return nil, ErrTooMany
	}
	p.last++
	c := &call{number: p.last, answer: make(chan *record.Record, 1)}
	c.correlation = binary.BigEndian.AppendUint64(append(make([]byte, 0, correlationSize), p.instance[:]...), c.number)
	p.calls[c.number] = c
	return c, nil
}

// remove takes a call out. It reports false where that has happened: the answer lies in the call's channel then.
func (p *pending) remove(c *call) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, waiting := p.calls[c.number]
	delete(p.calls, c.number)
	return waiting
}

// match is what became of a record in the reply topic.
type match uint8

const (
	notOurs match = iota // an answer to somebody else, or none
	taken
	late
)

// deliver hands a record to the request with this correlation id. Only then is the record made.
func (p *pending) deliver(correlation []byte, answer func() *record.Record) match {
	if len(correlation) != correlationSize || !bytes.Equal(correlation[:instanceSize], p.instance[:]) {
		return notOurs
	}
	number := binary.BigEndian.Uint64(correlation[instanceSize:])
	p.mu.Lock()
	defer p.mu.Unlock()
	c := p.calls[number]
	if c == nil {
		return late
	}
	// Within the lock, so that whoever finds the call gone finds the answer.
	delete(p.calls, number)
	c.answer <- answer()
	return taken
}

func (p *pending) len() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.calls)
}
