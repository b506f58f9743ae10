package kafka

import (
	"encoding/binary"
	"fmt"
	"net"
	"sync"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// maxAnswer bounds the answers of brokers that hold no records. The client makes some 25 times as much of an answer
// about topics; one of this size names some 150,000 partitions. Answers with records have bounds of their own.
const maxAnswer = 8 << 20

// clientMaxAnswer is what the client bounds every answer by. Larger ones are mostly no answers of Kafka, and the client
// says what they are.
const clientMaxAnswer = 100 << 20

// AnswerTooLargeError is why a connection was given up: a broker sent an answer larger than any of its kind should be.
type AnswerTooLargeError struct {
	Addr  string // "host:port" of the broker
	Bytes int64
}

func (e *AnswerTooLargeError) Error() string {
	return fmt.Sprintf("%s sent an answer of %d bytes that holds no records, and at most %d are taken: it names too many topics and partitions; give the link's user rights to see fewer, or name topics in place of a pattern",
		e.Addr, e.Bytes, int64(maxAnswer))
}

// boundedConn gives a connection up before an answer is read that is too large, which the client reads into memory as a
// whole. The client has one bound for all kinds of answers, and that must let records through.
//
// It reads along. The client writes each request at once, and reads the size of an answer by itself, so the heads are
// nearly always whole; they are put together where they are not.
type boundedConn struct {
	net.Conn
	addr     string
	tooLarge func(error)

	mu      sync.Mutex
	records map[int32]struct{} // correlation ids of requests whose answers hold records

	// The following fields belong to the reader, which is one goroutine at a time.
	head []byte // of the answer that begins
	rest int64  // of the answer that is being read
	err  error
}

func bounded(conn net.Conn, addr string, tooLarge func(error)) net.Conn {
	return &boundedConn{Conn: conn, addr: addr, tooLarge: tooLarge, records: make(map[int32]struct{})}
}

// withRecords are the requests whose answers hold records.
func withRecords(key int16) bool {
	return key == kmsg.Fetch.Int16() || key == kmsg.ShareFetch.Int16()
}

// Write implements net.Conn. A request begins with its size (4 bytes), key (2), version (2) and correlation id (4).
func (c *boundedConn) Write(b []byte) (int, error) {
	if len(b) >= 12 && int64(binary.BigEndian.Uint32(b)) == int64(len(b)-4) {
		if withRecords(int16(binary.BigEndian.Uint16(b[4:]))) {
			c.mu.Lock()
			c.records[int32(binary.BigEndian.Uint32(b[8:]))] = struct{}{}
			c.mu.Unlock()
		}
	}
	return c.Conn.Write(b)
}

// Read implements net.Conn. An answer begins with its size (4 bytes) and the correlation id (4).
func (c *boundedConn) Read(b []byte) (int, error) {
	if c.err != nil {
		return 0, c.err
	}
	n, err := c.Conn.Read(b)
	for left := b[:n]; len(left) > 0; {
		if c.rest > 0 {
			k := min(c.rest, int64(len(left)))
			c.rest -= k
			left = left[k:]
			continue
		}
		k := min(8-len(c.head), len(left))
		c.head = append(c.head, left[:k]...)
		left = left[k:]
		if len(c.head) < 8 {
			continue
		}
		size, id := int64(int32(binary.BigEndian.Uint32(c.head))), int32(binary.BigEndian.Uint32(c.head[4:]))
		c.head, c.rest = c.head[:0], max(size-4, 0)
		c.mu.Lock()
		_, records := c.records[id]
		delete(c.records, id)
		c.mu.Unlock()
		if !records && size > maxAnswer && size <= clientMaxAnswer {
			c.err = &AnswerTooLargeError{Addr: c.addr, Bytes: size}
			c.tooLarge(c.err)
			return 0, c.err
		}
	}
	return n, err
}
