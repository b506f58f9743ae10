package httpin

import (
	"bytes"
	"io"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// running notes how many requests run at most.
type running struct {
	mu        sync.Mutex
	now, most int
	all       int
}

// Began implements Observer.
func (r *running) Began() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.now++
	r.most, r.all = max(r.most, r.now), r.all+1
}

// Ended implements Observer.
func (r *running) Ended(string, string, int, int, time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.now--
}

// Requests that are taken back as soon as they are made cost their sender more than the server: no more of them run at
// once than a connection may have.
func TestRequestsThatAreTakenBackAtOnceDoNotPileUp(t *testing.T) {
	s, observer := new(sink), new(running)
	b := newSunk(t, s, func(o *Options) { o.Observer = observer })
	conn := b.dial()
	var out bytes.Buffer
	encoder := hpack.NewEncoder(&out)
	framer := http2.NewFramer(conn, conn)
	if _, err := io.WriteString(conn, http2.ClientPreface); err != nil {
		t.Fatal(err)
	}
	if err := framer.WriteSettings(); err != nil {
		t.Fatal(err)
	}
	read := make(chan struct{})
	go func() {
		defer close(read)
		_, _ = io.Copy(io.Discard, conn) // until the server has had enough, or the test has
	}()
	resets := 0
	for ; resets < 20000; resets++ {
		out.Reset()
		for _, h := range [][2]string{
			{":method", "POST"}, {":scheme", "http"}, {":authority", "localhost"}, {":path", "/topics/orders"},
			{"authorization", "Bearer " + ordersToken}, {"content-type", "text/plain"},
		} {
			if err := encoder.WriteField(hpack.HeaderField{Name: h[0], Value: h[1]}); err != nil {
				t.Fatal(err)
			}
		}
		id := uint32(2*resets + 1)
		if framer.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: out.Bytes(), EndHeaders: true}) != nil ||
			framer.WriteRSTStream(id, http2.ErrCodeCancel) != nil {
			break
		}
	}
	b.post("/topics/orders", "text/plain", "x").want(t, 200, "")
	conn.Close()
	<-read
	observer.mu.Lock()
	defer observer.mu.Unlock()
	if observer.most > maxStreams+1 || observer.all == 0 {
		t.Errorf("of %d requests %d ran at once", observer.all, observer.most)
	}
	if s.count() != 1 {
		t.Errorf("%d records", s.count())
	}
}
