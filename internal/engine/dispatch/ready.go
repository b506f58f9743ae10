package dispatch

import (
	"container/heap"
	"slices"
)

// turns are the partitions that have ready lanes, each once, and readyLanes the lanes of one partition whose first
// record may be called. The record whose turn is lowest goes first, in both.
//
// Turns are given out as records come from Kafka, so that the oldest record goes first and not the lane that has waited
// longest: the offset that can be committed is the lowest unfinished one, and what is finished beyond it has to be told
// range by range. A record that failed gets a new turn, behind all that wait: records that fail again and again must
// not keep the others from their slots.
type turns struct{ partitions turnHeap[*Partition] }

func (t *turns) len() int { return len(t.partitions) }

func (t *turns) push(p *Partition) { heap.Push(&t.partitions, p) }

func (t *turns) pop() *Partition { return heap.Pop(&t.partitions).(*Partition) }

// fix finds the place of a partition anew whose first record has become another.
func (t *turns) fix(p *Partition) { heap.Fix(&t.partitions, p.place-1) }

// drop takes out a partition that may be among them.
func (t *turns) drop(p *Partition) {
	if p.place > 0 {
		heap.Remove(&t.partitions, p.place-1)
	}
}

// readyLanes keeps lanes whose turns come in order, as those of new records do, in a queue, and only others, of lanes
// that go on or come again, in a heap.
type readyLanes struct {
	inOrder queue[*lane]
	last    uint64 // the turn of the last of inOrder
	others  turnHeap[*lane]
}

func (r *readyLanes) len() int { return r.inOrder.len() + len(r.others) }

func (r *readyLanes) push(l *lane) {
	if turn := l.turn(); r.inOrder.len() == 0 || turn > r.last {
		r.inOrder.push(l)
		r.last = turn
		return
	}
	heap.Push(&r.others, l)
}

func (r *readyLanes) peek() *lane {
	if r.othersFirst() {
		return r.others[0]
	}
	return r.inOrder.peek()
}

func (r *readyLanes) pop() *lane {
	if r.othersFirst() {
		return heap.Pop(&r.others).(*lane)
	}
	return r.inOrder.pop()
}

func (r *readyLanes) othersFirst() bool {
	return len(r.others) > 0 && (r.inOrder.len() == 0 || r.others[0].turn() < r.inOrder.peek().turn())
}

// turnHeap implements heap.Interface.
type turnHeap[T interface {
	turn() uint64
	// moved tells where in the heap the element stands now, counted from 1; 0 is nowhere.
	moved(place int)
}] []T

func (h turnHeap[T]) Len() int           { return len(h) }
func (h turnHeap[T]) Less(i, j int) bool { return h[i].turn() < h[j].turn() }

func (h turnHeap[T]) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].moved(i + 1)
	h[j].moved(j + 1)
}

func (h *turnHeap[T]) Push(x any) {
	*h = append(*h, x.(T))
	x.(T).moved(len(*h))
}

func (h *turnHeap[T]) Pop() any {
	last := len(*h) - 1
	x := (*h)[last]
	x.moved(0)
	*h = slices.Delete(*h, last, last+1)
	if last == 0 && cap(*h) > keptRing {
		*h = nil
	}
	return x
}

func (l *lane) turn() uint64 { return l.head().turn }

func (*lane) moved(int) {}

func (p *Partition) turn() uint64 { return p.ready.peek().turn() }

func (p *Partition) moved(place int) { p.place = place }
