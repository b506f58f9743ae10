package dispatch

import "container/heap"

// readyLanes are the lanes whose head may be called. The head whose turn is lowest goes first.
//
// Turns are given out as records come from Kafka, so that the oldest record goes first and not the lane that has
// waited longest: the offset that can be committed is the lowest unfinished one, and what is finished beyond it is
// delivered again when a partition changes hands without order. A record that failed gets a new turn, behind all that
// wait: records that fail again and again must not keep the others from their slots.
type readyLanes struct{ lanes laneHeap }

func (r *readyLanes) len() int { return len(r.lanes) }

func (r *readyLanes) push(l *lane) { heap.Push(&r.lanes, l) }

func (r *readyLanes) pop() *lane { return heap.Pop(&r.lanes).(*lane) }

// drop takes out the lanes of a partition.
func (r *readyLanes) drop(p *Partition) {
	kept := r.lanes[:0]
	for _, l := range r.lanes {
		if l.partition != p {
			kept = append(kept, l)
		}
	}
	clear(r.lanes[len(kept):])
	r.lanes = kept
	heap.Init(&r.lanes)
}

// laneHeap implements heap.Interface.
type laneHeap []*lane

func (h laneHeap) Len() int           { return len(h) }
func (h laneHeap) Less(i, j int) bool { return h[i].head().turn < h[j].head().turn }
func (h laneHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *laneHeap) Push(x any)        { *h = append(*h, x.(*lane)) }

func (h *laneHeap) Pop() any {
	last := len(*h) - 1
	l := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	if last == 0 && cap(*h) > keptRing {
		*h = nil
	}
	return l
}
