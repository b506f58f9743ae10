package dispatch

import (
	"container/heap"
	"slices"
)

// turns are the partitions that have ready lanes, each once, and readyLanes the lanes of one partition whose first
// record may be called. The record whose turn is lowest goes first, in both.
//
// Turns are given out as records come from Kafka, so that the oldest record goes first and not the lane that has
// waited longest: the offset that can be committed is the lowest unfinished one, and what is finished beyond it is
// delivered again when a partition changes hands without order. A record that failed gets a new turn, behind all that
// wait: records that fail again and again must not keep the others from their slots.
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

type readyLanes struct{ lanes turnHeap[*lane] }

func (r *readyLanes) len() int { return len(r.lanes) }

func (r *readyLanes) push(l *lane) { heap.Push(&r.lanes, l) }

func (r *readyLanes) peek() *lane { return r.lanes[0] }

func (r *readyLanes) pop() *lane { return heap.Pop(&r.lanes).(*lane) }

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

func (l *lane) moved(int) {}

func (p *Partition) turn() uint64 { return p.ready.peek().turn() }

func (p *Partition) moved(place int) { p.place = place }
