package httpout

import (
	"crypto/tls"
	"net"
	"net/http"
	"sync/atomic"
	"time"
)

const (
	dialTimeout = 5 * time.Second
	idleTimeout = 90 * time.Second
	// wireLife is how long connections are used before new ones take their place, so that an application that is scaled up
	// gets its part: who balances does so when a connection is made.
	wireLife = time.Minute
	// maxAnswerHeader bounds the headers of an answer, in bytes.
	maxAnswerHeader = 256 << 10
)

// wire are connections to the application. By HTTP/1.1 one wire has all of them. By HTTP/2 each has one, which requests
// share, and they take turns.
type wire struct {
	o   *Options
	now atomic.Pointer[connections]
}

// connections are those of one time.
type connections struct {
	*http.Transport
	since time.Time
	pair  *tls.Certificate
}

func newWires(o Options) []*wire {
	n := 1
	if o.HTTP2 {
		n = max(1, o.Connections)
	}
	wires := make([]*wire, n)
	for i := range wires {
		wires[i] = &wire{o: &o}
		wires[i].now.Store(&connections{wires[i].transport(), time.Now(), wires[i].pair()})
	}
	return wires
}

// get returns what to send by now. Connections that are old, or have shown another certificate than is to be shown,
// make place for new ones, and end with the requests that they have.
func (w *wire) get(now time.Time) *http.Transport {
	had, pair := w.now.Load(), w.pair()
	if now.Sub(had.since) < wireLife && had.pair == pair {
		return had.Transport
	}
	if fresh := (&connections{w.transport(), now, pair}); w.now.CompareAndSwap(had, fresh) {
		had.CloseIdleConnections()
	}
	return w.now.Load().Transport
}

func (w *wire) pair() *tls.Certificate {
	if w.o.Pair == nil {
		return nil
	}
	return w.o.Pair()
}

func (w *wire) transport() *http.Transport {
	t := &http.Transport{
		DialContext:            w.o.Dial,
		TLSClientConfig:        w.o.TLS.Clone(),
		TLSHandshakeTimeout:    dialTimeout,
		MaxConnsPerHost:        w.o.Connections,
		MaxIdleConns:           w.o.Connections,
		MaxIdleConnsPerHost:    w.o.Connections,
		IdleConnTimeout:        idleTimeout,
		MaxResponseHeaderBytes: maxAnswerHeader,
		DisableCompression:     true, // what is decompressed has no bound that counts
		Protocols:              new(http.Protocols),
	}
	if w.o.Dial == nil {
		t.DialContext = (&net.Dialer{Timeout: dialTimeout}).DialContext
	}
	t.DialContext = listening(t.DialContext)
	if !w.o.HTTP2 {
		t.Protocols.SetHTTP1(true)
		return t
	}
	t.Protocols.SetHTTP2(true)
	t.Protocols.SetUnencryptedHTTP2(true)
	t.MaxConnsPerHost = 0 // a stream more than the other end takes opens a connection rather than wait
	return t
}
