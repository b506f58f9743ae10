package dispatch

// queue is a first-in first-out queue on a ring that grows as needed and shrinks when it has become empty.
type queue[T any] struct {
	ring  []T
	first int
	n     int
}

// keptRing is the largest ring that an empty queue keeps for later.
const keptRing = 1024

func (q *queue[T]) len() int { return q.n }

func (q *queue[T]) push(v T) {
	if q.n == len(q.ring) {
		grown := make([]T, max(4, 2*len(q.ring)))
		k := copy(grown, q.ring[q.first:])
		copy(grown[k:], q.ring[:q.first])
		q.ring, q.first = grown, 0
	}
	q.ring[(q.first+q.n)%len(q.ring)] = v
	q.n++
}

func (q *queue[T]) peek() T { return q.ring[q.first] }

// at returns the nth value from the front, from 0.
func (q *queue[T]) at(n int) T { return q.ring[(q.first+n)%len(q.ring)] }

func (q *queue[T]) pop() T {
	var zero T
	v := q.ring[q.first]
	q.ring[q.first] = zero
	q.first = (q.first + 1) % len(q.ring)
	q.n--
	if q.n == 0 && len(q.ring) > keptRing {
		q.ring, q.first = nil, 0
	}
	return v
}
