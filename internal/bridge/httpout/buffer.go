package httpout

import (
	"bytes"
	"io"
	"sync"
	"sync/atomic"
)

// keptBuffer is the largest buffer that is kept to be used again.
const keptBuffer = 4 << 20

// buffer is the body of a request. It is used again for another when nobody reads it any more: a request may be on its
// way still when it has its answer, or when its time is over.
type buffer struct {
	b     []byte
	users atomic.Int32
}

var buffers = sync.Pool{New: func() any { return new(buffer) }}

// newBuffer returns an empty buffer with one user, the caller.
func newBuffer() *buffer {
	b := buffers.Get().(*buffer)
	b.b = b.b[:0]
	b.users.Store(1)
	return b
}

func (b *buffer) hold() { b.users.Add(1) }

// release is called once by each user. One that is never heard of again, such as a request that did not get so far as
// to be written, leaves the buffer to the garbage collector.
func (b *buffer) release() {
	if b.users.Add(-1) == 0 && cap(b.b) <= keptBuffer {
		buffers.Put(b)
	}
}

// reader reads the buffer as another user. It is of a type of which net/http knows that it never waits, and sends
// header and body in one.
func (b *buffer) reader() io.ReadCloser {
	b.hold()
	return io.NopCloser(bytes.NewReader(b.b))
}

// again implements GetBody of a request.
func (b *buffer) again() (io.ReadCloser, error) { return b.reader(), nil }
