package wit

import (
	"slices"
	"unsafe"
)

// slabMost is how many elements a slab makes room for at once, so that a list's claimed length alone cannot have it
// take much memory.
const slabMost = 1024

// slab cuts short lists out of few arrays, which grow with what has come.
type slab[T any] struct {
	free []T // empty, with the room that is left
	size int // of the last array
}

// begin returns an empty list to which some n elements are about to be appended; end must be called with it before
// the next begin. An error says that the calls of all peers hold so much that there is no room.
func (s *slab[T]) begin(d *Decoder, n int) ([]T, error) {
	n = min(n, slabMost)
	if cap(s.free) < n {
		s.size = min(max(n, 2*s.size), slabMost)
		if err := d.Hold(int64(s.size) * int64(unsafe.Sizeof(*new(T)))); err != nil {
			return nil, err
		}
		s.free = make([]T, 0, s.size)
	}
	return s.free, nil
}

// end returns the list as it is to be kept.
func (s *slab[T]) end(list []T) []T {
	s.free = list[len(list):]
	return slices.Clip(list)
}
