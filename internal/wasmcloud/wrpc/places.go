package wrpc

import "time"

// places are the places of a server's calls. A call that is accepted has one of two kinds: it runs, or it is awaited,
// which means that nothing can be done for it before its caller sends more. Awaited calls have places of their own, so
// that callers who do not send what they owe take none from those who do. Others wait, not yet accepted, for a place to
// run in.
//
// A source that has much already gets less: a source may have as many places as are free, and no more, however many
// calls it makes. One source alone gets half of them, two a third each, and there is always something left for the
// next.
//
// All of it is guarded by Server.mu.
type places struct {
	most, mostWaiting, mostAwaited int

	sources                   map[string]*source
	turns                     []*source // those that have waiting calls, the one whose turn it is first
	running, waiting, awaited int
}

// source is who makes calls.
type source struct {
	name    string
	running int
	waiting []*call // in the order of their arrival
	awaited map[*call]struct{}
}

// place is what becomes of a call that comes.
type place uint8

const (
	placeNone place = iota
	placeWaiting
	placeRunning
	placeAwaited
)

// take finds a place for a call that has come. placeNone means that there is none.
func (p *places) take(c *call, now time.Time) place {
	src := p.sources[c.from]
	if src == nil {
		src = &source{name: c.from}
	}
	switch {
	case len(src.waiting) == 0 && p.mayRun(src):
		p.run(c, src)
	case p.waiting < p.mostWaiting && len(src.waiting) <= p.mostWaiting-p.waiting:
		if len(src.waiting) == 0 {
			p.turns = append(p.turns, src)
		}
		src.waiting = append(src.waiting, c)
		p.waiting++
		c.place, c.source, c.came = placeWaiting, src, now
	default:
		return placeNone
	}
	p.sources[c.from] = src
	return c.place
}

func (p *places) mayRun(src *source) bool {
	return p.running < p.most && src.running <= p.most-p.running
}

func (p *places) run(c *call, src *source) {
	p.running++
	src.running++
	c.place, c.source = placeRunning, src
}

// next takes the waiting calls that may run now, a source after the other.
func (p *places) next() []*call {
	var list []*call
	for i := 0; i < len(p.turns) && p.running < p.most; {
		src := p.turns[i]
		if !p.mayRun(src) {
			i++
			continue
		}
		c := src.waiting[0]
		src.waiting[0] = nil
		src.waiting = src.waiting[1:]
		p.waiting--
		p.run(c, src)
		list = append(list, c)
		p.turns = append(p.turns[:i], p.turns[i+1:]...)
		if len(src.waiting) > 0 {
			p.turns = append(p.turns, src)
		} else {
			src.waiting = nil
		}
		i = 0
	}
	return list
}

// leave gives back the place of a call that has ended.
func (p *places) leave(c *call) {
	switch c.place {
	case placeRunning:
		p.running--
		c.source.running--
	case placeAwaited:
		p.awaited--
		delete(c.source.awaited, c)
	default:
		return
	}
	c.place = placeNone
	p.forget(c.source)
}

func (p *places) forget(src *source) {
	if src.running == 0 && len(src.waiting) == 0 && len(src.awaited) == 0 {
		delete(p.sources, src.name)
	}
}

// maxLooked is among how many calls the one is chosen that is to be given up.
const maxLooked = 64

// await moves a running call to those that are awaited. Where these are too many now, it returns the one that is to be
// given up.
func (p *places) await(c *call) *call {
	if c.place != placeRunning {
		return nil
	}
	src := c.source
	p.running--
	src.running--
	p.awaited++
	if src.awaited == nil {
		src.awaited = make(map[*call]struct{})
	}
	src.awaited[c] = struct{}{}
	c.place = placeAwaited
	if p.awaited <= p.mostAwaited {
		return nil
	}
	least := p.leastPromising()
	p.resume(least) // it ends, and is no longer one that could be given up
	return least
}

// leastPromising looks among the awaited calls of the source that has most of them for one that is given up soon
// anyway.
func (p *places) leastPromising() *call {
	most := 0
	for _, src := range p.sources {
		most = max(most, len(src.awaited))
	}
	var least *call
	looked := 0
	for _, src := range p.sources { // in no order
		if len(src.awaited) < most {
			continue
		}
		for c := range src.awaited {
			if least == nil || c.last().Before(least.last()) {
				least = c
			}
			if looked++; looked == maxLooked {
				return least // a peer that makes calls without end must not make each of them cost a look at all
			}
		}
	}
	return least
}

// resume moves an awaited call back to those that run: what it waited for has come. It may be one too many for a while.
func (p *places) resume(c *call) {
	if c.place != placeAwaited {
		return
	}
	p.awaited--
	delete(c.source.awaited, c)
	p.run(c, c.source)
}

// abandonWaiting takes all waiting calls out.
func (p *places) abandonWaiting() []*call {
	var list []*call
	for _, src := range p.turns {
		list = append(list, src.waiting...)
		src.waiting = nil
		p.forget(src)
	}
	p.turns, p.waiting = nil, 0
	for _, c := range list {
		c.place = placeNone
	}
	return list
}

// waitingSince is when the call came that has waited longest; the zero time where none waits.
func (p *places) waitingSince() time.Time {
	var oldest time.Time
	for _, src := range p.turns {
		if first := src.waiting[0].came; oldest.IsZero() || first.Before(oldest) {
			oldest = first
		}
	}
	return oldest
}

// refusalsLast is how long refusals are remembered.
const refusalsLast = time.Minute

// refusals are the calls that found no place, or lost it to others, of late. Guarded by Server.mu.
type refusals struct {
	count       int
	first, last time.Time
	source      string // of the last
}

func (r *refusals) add(source string, now time.Time) {
	if now.Sub(r.last) >= refusalsLast {
		*r = refusals{first: now}
	}
	r.count++
	r.last, r.source = now, source
}

// Pressure says whether there are more calls than a [Server] has places for.
type Pressure struct {
	// Refused is how many calls were refused or given up for want of a place since Since; 0 where that was not within
	// the last minute. Source is who made the last of them, "" where nobody known did.
	Refused int
	Since   time.Time
	Source  string
	// Waiting is the time for which the call has waited that has waited longest; 0 where none waits.
	Waiting time.Duration
}

// Pressure tells of the last minute.
func (s *Server) Pressure() Pressure { return s.pressure(time.Now()) }

func (s *Server) pressure(now time.Time) Pressure {
	s.mu.Lock()
	defer s.mu.Unlock()
	var p Pressure
	if r := &s.refusals; r.count > 0 && now.Sub(r.last) < refusalsLast {
		p.Refused, p.Since, p.Source = r.count, r.first, r.source
	}
	if since := s.places.waitingSince(); !since.IsZero() {
		p.Waiting = now.Sub(since)
	}
	return p
}
