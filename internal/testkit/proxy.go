package testkit

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"testing"
)

// Proxy passes TCP connections on to a target and breaks them when told to: it stands between the provider and
// Kafka or NATS. All methods may be called from any goroutine.
type Proxy struct {
	t      testing.TB
	addr   string
	target string

	mu     sync.Mutex
	ln     net.Listener // nil while down
	live   map[*pipe]struct{}
	open   chan struct{} // closed while bytes may pass
	closed bool

	accepts sync.WaitGroup
	serves  sync.WaitGroup
}

// NewProxy listens on a free port of 127.0.0.1 for connections to target ("host:port") and stops when the test ends.
func NewProxy(t testing.TB, target string) *Proxy {
	t.Helper()
	return newProxyAt(t, "127.0.0.1:0", target)
}

func newProxyAt(t testing.TB, addr, target string) *Proxy {
	t.Helper()
	p := &Proxy{t: t, addr: addr, target: target, live: map[*pipe]struct{}{}, open: make(chan struct{})}
	close(p.open)
	p.Up()
	t.Cleanup(p.close)
	return p
}

// Addr is the "host:port" that clients connect to. It stays the same for the life of the proxy.
func (p *Proxy) Addr() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.addr
}

// Up takes connections again after [Proxy.Down].
func (p *Proxy) Up() {
	p.t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ln != nil || p.closed {
		return
	}
	ln, err := net.Listen("tcp", p.addr)
	if err != nil {
		p.t.Fatalf("listening for a proxy: %v", err)
	}
	p.addr, p.ln = ln.Addr().String(), ln
	p.accepts.Go(func() { p.accept(ln) })
}

// Down cuts all connections and refuses new ones.
func (p *Proxy) Down() {
	p.mu.Lock()
	ln := p.ln
	p.ln = nil
	p.mu.Unlock()
	if ln != nil {
		_ = ln.Close() // the port is free afterwards whatever Close says
		p.accepts.Wait()
	}
	p.Cut()
}

// Cut breaks all connections there are with a reset, paused ones too. New ones are taken as before. It returns how
// many it broke.
func (p *Proxy) Cut() int {
	p.mu.Lock()
	pipes := slices.Collect(maps.Keys(p.live))
	p.mu.Unlock()
	for _, pipe := range pipes {
		pipe.stop(true)
	}
	return len(pipes)
}

// Pause holds back all bytes in both directions while connections stay open: a network that swallows everything.
func (p *Proxy) Pause() {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.open:
		p.open = make(chan struct{})
	default:
	}
}

// Resume lets the bytes pass that [Proxy.Pause] held back.
func (p *Proxy) Resume() {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.open:
	default:
		close(p.open)
	}
}

// Conns is the number of client connections.
func (p *Proxy) Conns() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.live)
}

func (p *Proxy) close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.Down()
	p.serves.Wait()
}

func (p *Proxy) accept(ln net.Listener) {
	for {
		client, err := ln.Accept()
		if err != nil {
			if !errors.Is(err, net.ErrClosed) {
				p.t.Errorf("accepting for the proxy of %s: %v", p.target, err)
			}
			return
		}
		// The target is dialled beside the loop: a target that is stopped must not hold up a Down.
		p.serves.Go(func() { p.serve(client) })
	}
}

func (p *Proxy) serve(client net.Conn) {
	target, err := net.DialTimeout("tcp", p.target, DefaultTimeout)
	if err != nil {
		// The client sees its connection end: a proxy cannot refuse what it had to accept first.
		_ = client.Close()
		return
	}
	pipe := &pipe{client: client, target: target, quit: make(chan struct{})}
	defer pipe.stop(false)
	if !p.add(pipe) {
		return
	}
	defer p.remove(pipe)

	var both sync.WaitGroup
	for _, way := range [][2]net.Conn{{client, target}, {target, client}} {
		both.Go(func() {
			defer pipe.stop(false)
			p.copy(way[1], way[0], pipe.quit)
		})
	}
	both.Wait()
}

func (p *Proxy) add(pipe *pipe) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	// A connection that was accepted just before Down belongs to those that Down cuts.
	if p.ln == nil {
		return false
	}
	p.live[pipe] = struct{}{}
	return true
}

func (p *Proxy) remove(pipe *pipe) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.live, pipe)
}

func (p *Proxy) copy(dst, src net.Conn, quit <-chan struct{}) {
	buf := make([]byte, 32<<10)
	for {
		n, err := src.Read(buf)
		// The end of a connection is news too: it waits like the bytes before it.
		if !p.pass(quit) {
			return
		}
		if n > 0 {
			if _, err := dst.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// pass waits until bytes may pass and tells whether the connection still lives then.
func (p *Proxy) pass(quit <-chan struct{}) bool {
	p.mu.Lock()
	open := p.open
	p.mu.Unlock()
	select {
	case <-open:
		return true
	case <-quit:
		return false
	}
}

// pipe is one connection of a client and the one to the target that goes with it.
type pipe struct {
	client, target net.Conn
	once           sync.Once
	quit           chan struct{}
}

// stop ends both connections, with a reset if asked for. Only the first call has an effect.
func (p *pipe) stop(reset bool) {
	p.once.Do(func() {
		close(p.quit)
		for _, c := range []net.Conn{p.client, p.target} {
			if tcp, ok := c.(*net.TCPConn); ok && reset {
				_ = tcp.SetLinger(0) // where it fails the connection ends in good order instead
			}
			_ = c.Close()
		}
	})
}

// FreePorts returns the first of n consecutive ports of 127.0.0.1 that nobody listens on. Somebody else may take one
// before the caller does: a caller tries again then.
func FreePorts(n int) (int, error) {
	// Below the ports that Linux gives to outgoing connections, which come and go at any time.
	const low, high, tries = 15000, 32000, 200
	for range tries {
		base := low + rand.IntN(high-low-n)
		if portsFree(base, n) {
			return base, nil
		}
	}
	return 0, fmt.Errorf("finding %d free ports in a row: none in %d tries", n, tries)
}

func portsFree(base, n int) bool {
	for port := base; port < base+n; port++ {
		ln, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			return false
		}
		_ = ln.Close()
	}
	return true
}
