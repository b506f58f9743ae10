package dispatch

import "slices"

// Range is a run of offsets, From included and To not, whose records need no further delivery. All of them were written
// under one leader epoch: after an unclean election other records can have the same offsets, and a later epoch.
type Range struct {
	From, To int64
	Epoch    int32
}

// Position is what a commit can tell of a partition.
type Position struct {
	// Offset is the lowest offset that is not finished, Epoch its leader epoch; -1 both where nothing has been finished.
	Offset int64
	Epoch  int32
	// Ahead are the finished records beyond Offset, in the order of their offsets. With [Config.Transactional] those with
	// outputs are not among them, since their outputs are stored with the offset that moves over them, and neither are
	// those that were given up, which only then are.
	Ahead []Range
}

// Position returns what can be committed. ok is false where there is nothing, and after [Partition.Abandon].
func (p *Partition) Position() (at Position, ok bool) {
	p.d.mu.Lock()
	defer p.d.mu.Unlock()
	return p.position()
}

// position is Position. d.mu is held.
func (p *Partition) position() (at Position, ok bool) {
	if p.lost {
		return Position{}, false
	}
	at = p.committable
	at.Ahead = p.ahead()
	return at, at.Offset >= 0 || len(at.Ahead) > 0
}

// ahead returns the finished records beyond the lowest unfinished one. d.mu is held.
func (p *Partition) ahead() []Range {
	if p.freed {
		return p.lastAhead
	}
	if p.refusal.pending() || p.doneAhead == 0 && len(p.known) == 0 {
		return nil
	}
	var found []Range
	add := func(r Range) {
		if n := len(found); n > 0 && found[n-1].To == r.From && found[n-1].Epoch == r.Epoch {
			found[n-1].To = r.To
			return
		}
		found = append(found, r)
	}
	end := int64(-1) // of the item before
	for i := range p.items.len() {
		it := p.items.at(i)
		from := it.nextOffset - 1
		if it.epoch < 0 {
			from = it.nextOffset // a place to go on from, and no record
		}
		if from < end {
			// The log was cut off, and goes on anew from here with other records than those told of so far. A later owner finds
			// there what comes after it, in a later epoch.
			found, end = before(found, from), from
		}
		if n := len(found); n > 0 && found[n-1].To == end && found[n-1].Epoch == it.epoch {
			from = end // between two records of one epoch that are next to each other there are none to come
		}
		end = it.nextOffset
		if it.done && it.epoch >= 0 && !it.transacts() {
			add(Range{From: from, To: end, Epoch: it.epoch})
		}
	}
	for _, r := range p.known {
		if r.From = max(r.From, p.next); r.From < r.To {
			add(r)
		}
	}
	return found
}

// before is the part of ranges that lies before an offset.
func before(ranges []Range, offset int64) []Range {
	for n := len(ranges); n > 0 && ranges[n-1].To > offset; n-- {
		if ranges[n-1].To = offset; ranges[n-1].From < offset {
			break
		}
		ranges = ranges[:n-1]
	}
	return ranges
}

// ResumeAt sets the offset of the first record to deliver, of a partition that was opened with [NotYet]. Records within
// finished are passed over: an earlier owner has finished them.
func (p *Partition) ResumeAt(from int64, finished []Range) {
	p.d.mu.Lock()
	p.known = slices.Clone(finished)
	p.d.mu.Unlock()
	p.StartAt(from)
}

// isKnown tells whether an earlier owner has finished a record. Offsets are asked for in their order. d.mu is held.
func (p *Partition) isKnown(offset int64, epoch int32) bool {
	for len(p.known) > 0 && p.known[0].To <= offset {
		p.known = p.known[1:]
	}
	return len(p.known) > 0 && p.known[0].From <= offset && p.known[0].Epoch == epoch
}
