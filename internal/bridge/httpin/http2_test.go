package httpin

import (
	"bytes"
	"context"
	"io"
	"net"
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

// begin begins HTTP/2 on a connection, in clear.
func begin(t *testing.T, conn net.Conn) *http2.Framer {
	t.Helper()
	framer := http2.NewFramer(conn, conn)
	if _, err := io.WriteString(conn, http2.ClientPreface); err != nil {
		t.Fatal(err)
	}
	if err := framer.WriteSettings(); err != nil {
		t.Fatal(err)
	}
	return framer
}

// encodeRequest encodes the header of a request with a record.
func encodeRequest(t *testing.T, encoder *hpack.Encoder) {
	t.Helper()
	for _, h := range [][2]string{
		{":method", "POST"}, {":scheme", "http"}, {":authority", "localhost"}, {":path", "/topics/orders"},
		{"authorization", "Bearer " + ordersToken}, {"content-type", "text/plain"},
	} {
		if err := encoder.WriteField(hpack.HeaderField{Name: h[0], Value: h[1]}); err != nil {
			t.Fatal(err)
		}
	}
}

// Requests that are taken back as soon as they are made cost their sender more than the server: no more of them run at
// once than a connection may have.
func TestRequestsThatAreTakenBackAtOnceDoNotPileUp(t *testing.T) {
	s, observer := new(sink), new(running)
	b := newSunk(t, s, func(o *Options) { o.Observer = observer })
	conn := b.dial()
	var out bytes.Buffer
	encoder, framer := hpack.NewEncoder(&out), begin(t, conn)
	read := make(chan struct{})
	go func() {
		defer close(read)
		_, _ = io.Copy(io.Discard, conn) // until the server has had enough, or the test has
	}()
	resets := 0
	for ; resets < 20000; resets++ {
		out.Reset()
		encodeRequest(t, encoder)
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

func TestWhoDribblesByHTTP2IsCutOff(t *testing.T) {
	virtual(t, func(_ *Server, dial func() net.Conn) {
		conn, began := dial(), time.Now()
		framer := begin(t, conn)
		framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
		var out bytes.Buffer
		encodeRequest(t, hpack.NewEncoder(&out))
		if err := framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: out.Bytes(), EndHeaders: true}); err != nil {
			t.Fatal(err)
		}
		over := make(chan struct{})
		dribbling, stop := context.WithCancel(context.Background())
		go func() {
			defer close(over)
			for dribbling.Err() == nil && framer.WriteData(1, false, []byte("x")) == nil {
				time.Sleep(time.Second)
			}
		}()
		status := ""
		for status == "" {
			frame, err := framer.ReadFrame()
			if err != nil {
				t.Fatal(err)
			}
			if headers, ok := frame.(*http2.MetaHeadersFrame); ok {
				status = headers.PseudoValue("status")
			}
		}
		stop()
		<-over
		if took := time.Since(began); status != "408" || took > bodyTimeout+2*time.Second {
			t.Errorf("answered %s after %v", status, took)
		}
		conn.Close()
	})
}
