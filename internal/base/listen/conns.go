package listen

import (
	"container/list"
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// grace is how long a connection is left alone that has not asked anything yet, from when the server looks at it for
// the first time, and once more from its first bytes. Whoever has something to ask, as probes do with their first
// packet, is being answered by then. It does not begin when the connection is accepted: where the machine is busy, or
// others keep the server busy, that is seconds before.
const grace = 500 * time.Millisecond

// Conns is a listener that has at most so many connections open, and soon room for the next: an idle one is closed for
// it. A connection is idle while no request of it is being answered. Those that have had an answer go first, then those
// that have sent nothing, or half a request, for the longest time.
//
// A limit that only has further connections wait, as netutil.LimitListener is, would have probes wait for whoever holds
// all connections open, until the orchestrator kills the process.
type Conns struct {
	net.Listener
	most int

	mu     sync.Mutex
	order  *list.List // of *conn: the first came, or was answered last, before all others
	change chan struct{}
	closed chan struct{}
	once   sync.Once
}

// conn is one of them. Its fields are guarded by Conns.mu.
type conn struct {
	net.Conn
	of        *Conns
	place     *list.Element // nil once it is closed
	since     time.Time     // when it was looked at, sent its first bytes, or was answered last
	looked    bool          // the server has begun to read
	answering int           // requests
	sending   bool          // what is left of an answer
	answered  bool

	begun atomic.Bool // its first bytes are there: what it reads is no longer of interest
}

// Limit returns a listener that has at most so many connections of another one open. Its server has [Keep] as its
// ConnContext and [State] as its ConnState, and calls [Answering] with each request.
func Limit(l net.Listener, most int) *Conns {
	return &Conns{Listener: l, most: most, order: list.New(), change: make(chan struct{}, 1), closed: make(chan struct{})}
}

// Accept implements net.Listener.
func (l *Conns) Accept() (net.Conn, error) {
	for {
		wait := l.makeRoom()
		if wait < 0 {
			break
		}
		// All are being answered, or have just come. Further ones wait with the kernel.
		timer := time.NewTimer(wait)
		select {
		case <-l.change:
		case <-timer.C:
		case <-l.closed:
			timer.Stop()
			return nil, net.ErrClosed
		}
		timer.Stop()
	}
	inner, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	c := &conn{Conn: inner, of: l}
	l.mu.Lock()
	c.place = l.order.PushBack(c)
	l.mu.Unlock()
	return c, nil
}

// makeRoom closes the connection that has been idle for longest, if there is no room for another. It returns how long
// to wait before that can be tried again, less than 0 where there is room.
func (l *Conns) makeRoom() time.Duration {
	const long = time.Minute // the next change comes earlier
	l.mu.Lock()
	if l.order.Len() < l.most {
		l.mu.Unlock()
		return -1
	}
	var idle *conn
	for e := l.order.Front(); e != nil; e = e.Next() {
		c := e.Value.(*conn)
		if c.answering > 0 || c.sending || !c.looked {
			continue
		}
		if c.answered {
			idle = c
			break
		}
		if idle == nil {
			idle = c
		}
	}
	if idle == nil {
		l.mu.Unlock()
		return long
	}
	left, answered := grace-time.Since(idle.since), idle.answered
	l.mu.Unlock()
	if left > 0 && !answered {
		return left
	}
	_ = idle.Close() // whoever it is has nothing under way
	return -1
}

// Close implements net.Listener.
func (l *Conns) Close() error {
	l.once.Do(func() { close(l.closed) })
	return l.Listener.Close()
}

// Ended waits until no connection is open any more, or until ctx ends. The listener is closed before.
func (l *Conns) Ended(ctx context.Context) {
	for l.some() {
		select {
		case <-l.change:
		case <-ctx.Done():
			return
		}
	}
}

func (l *Conns) some() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.order.Len() > 0
}

// changed wakes Accept up, or Ended. mu is held.
func (l *Conns) changed() {
	select {
	case l.change <- struct{}{}:
	default:
	}
}

// Read implements net.Conn.
func (c *conn) Read(b []byte) (int, error) {
	if c.begun.Load() {
		return c.Conn.Read(b)
	}
	c.seen()
	n, err := c.Conn.Read(b)
	if n > 0 {
		c.begun.Store(true)
		c.seen()
	}
	return n, err
}

// seen begins the grace, as far as the connection is still one that has not asked anything.
func (c *conn) seen() {
	l := c.of
	l.mu.Lock()
	defer l.mu.Unlock()
	if c.looked && !c.begun.Load() {
		return // a read that was tried again
	}
	c.looked, c.since = true, time.Now()
	l.changed()
}

// Close implements net.Conn.
func (c *conn) Close() error {
	l := c.of
	l.mu.Lock()
	if c.place != nil {
		l.order.Remove(c.place)
		c.place = nil
		l.changed()
	}
	l.mu.Unlock()
	return c.Conn.Close()
}

// connKey is that of the connection in the context of its requests.
type connKey struct{}

// Keep has the requests of a connection know it, for [Answering].
func Keep(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, ours(c))
}

// ours is the connection that a server knows by another around it; nil where there is none.
func ours(c net.Conn) *conn {
	if secured, ok := c.(*tls.Conn); ok {
		c = secured.NetConn()
	}
	if plain, ok := c.(interface{ UnencryptedNetConn() net.Conn }); ok { // of HTTP/2 without TLS
		c = plain.UnencryptedNetConn()
	}
	known, _ := c.(*conn)
	return known
}

// Answering keeps the connection of a request open until the function that it returns is called, and the server has
// sent what it has of the answer then, see [State].
func Answering(r *http.Request) (done func()) {
	c, _ := r.Context().Value(connKey{}).(*conn)
	if c == nil {
		return func() {}
	}
	l := c.of
	l.mu.Lock()
	c.answering++
	l.mu.Unlock()
	return func() {
		l.mu.Lock()
		c.answering--
		c.sending = true
		l.mu.Unlock()
	}
}

// Crowded tells whether the connection of a request is one of as many as there may be. It is closed for the next one as
// soon as the request is answered, so that the answer has to say so (Connection: close): whoever sends another request
// the moment that the answer is there would lose it. Of HTTP/2 it is not told, where other requests may be under way.
func Crowded(r *http.Request) bool {
	c, _ := r.Context().Value(connKey{}).(*conn)
	if c == nil || r.ProtoMajor != 1 {
		return false
	}
	l := c.of
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.order.Len() >= l.most
}

// State is the ConnState of the server: nothing of a connection that has become idle is still to be sent.
func State(at net.Conn, state http.ConnState) {
	c := ours(at)
	if c == nil || state != http.StateIdle {
		return
	}
	l := c.of
	l.mu.Lock()
	defer l.mu.Unlock()
	if !c.sending { // HTTP/2 begins with being idle
		return
	}
	c.sending = false
	c.since, c.answered = time.Now(), true
	if c.place != nil {
		l.order.MoveToBack(c.place)
	}
	l.changed()
}
