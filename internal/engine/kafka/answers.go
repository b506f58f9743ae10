package kafka

import (
	"encoding/binary"
	"fmt"
	"net"
	"sync"
	"time"

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
	return fmt.Sprintf("%s sent an answer of %d bytes that holds no records, and at most %d are taken: it names too many topics and partitions; give the user rights to see fewer, or name topics in place of a pattern",
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

	answered MembershipAnswer // nil where nobody wants to know

	mu    sync.Mutex
	asked map[int32]asked // by correlation id, those whose answers are of interest

	// The following fields belong to the reader, which is one goroutine at a time.
	head  []byte // of the answer that begins
	wants int    // how much of it
	of    asked  // what it answers, once that is known
	rest  int64  // of the answer that is being read
	err   error
}

// MembershipAnswer is told what a broker answers to a request by which a member of a classic group stays one
// (JoinGroup, SyncGroup, Heartbeat), before the client has it: when it was sent, and the code. It may be called by many
// goroutines at once.
type MembershipAnswer func(key int16, sent time.Time, code int16)

// asked is a request under way.
type asked struct {
	key, version int16
	sent         time.Time
}

// headSize is what an answer begins with: its size, and the correlation id.
const headSize = 8

// bounded bounds the answers of a connection, and has answered told of those about memberships, where it is not nil.
func bounded(conn net.Conn, addr string, tooLarge func(error), answered MembershipAnswer) net.Conn {
	return &boundedConn{Conn: conn, addr: addr, tooLarge: tooLarge, answered: answered, asked: make(map[int32]asked), wants: headSize}
}

// atCode is where in an answer about a membership its code stands, behind the correlation id.
func (a asked) atCode() int {
	resp := kmsg.ResponseForKey(a.key)
	resp.SetVersion(a.version)
	at := 0
	if resp.IsFlexible() {
		at = 1 // no tags
	}
	if key := kmsg.Key(a.key); a.version >= 2 || a.version == 1 && key != kmsg.JoinGroup {
		at += 4 // for how long the client is to be throttled
	}
	return at
}

func aboutMembership(key int16) bool {
	switch kmsg.Key(key) {
	case kmsg.JoinGroup, kmsg.SyncGroup, kmsg.Heartbeat:
		return true
	default:
		return false
	}
}

// withRecords are the requests whose answers hold records.
func withRecords(key int16) bool {
	return key == kmsg.Fetch.Int16() || key == kmsg.ShareFetch.Int16()
}

// Write implements net.Conn. A request begins with its size (4 bytes), key (2), version (2) and correlation id (4).
func (c *boundedConn) Write(b []byte) (int, error) {
	if len(b) >= 12 && int64(binary.BigEndian.Uint32(b)) == int64(len(b)-4) {
		a := asked{int16(binary.BigEndian.Uint16(b[4:])), int16(binary.BigEndian.Uint16(b[6:])), time.Now()}
		if withRecords(a.key) || c.answered != nil && aboutMembership(a.key) {
			c.mu.Lock()
			c.asked[int32(binary.BigEndian.Uint32(b[8:]))] = a
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
		k := min(c.wants-len(c.head), len(left))
		c.head = append(c.head, left[:k]...)
		left = left[k:]
		if len(c.head) < c.wants {
			continue
		}
		if c.err = c.begun(); c.err != nil {
			return 0, c.err
		}
	}
	return n, err
}

// begun looks at as much of an answer as was wanted.
func (c *boundedConn) begun() error {
	size := int64(int32(binary.BigEndian.Uint32(c.head)))
	if c.wants > headSize {
		c.answered(c.of.key, c.of.sent, int16(binary.BigEndian.Uint16(c.head[c.wants-2:])))
		c.rest = size - int64(c.wants-4)
		c.head, c.wants = c.head[:0], headSize
		return nil
	}
	id := int32(binary.BigEndian.Uint32(c.head[4:]))
	c.mu.Lock()
	c.of = c.asked[id]
	_, known := c.asked[id]
	delete(c.asked, id)
	c.mu.Unlock()
	if !(known && withRecords(c.of.key)) && size > maxAnswer && size <= clientMaxAnswer {
		err := &AnswerTooLargeError{Addr: c.addr, Bytes: size}
		c.tooLarge(err)
		return err
	}
	if known && aboutMembership(c.of.key) {
		if wants := headSize + c.of.atCode() + 2; size >= int64(wants-4) {
			c.wants = wants
			return nil
		}
	}
	c.head, c.rest = c.head[:0], max(size-4, 0)
	return nil
}
