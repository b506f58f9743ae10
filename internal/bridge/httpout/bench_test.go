package httpout

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/messaging-kafka/messaging-kafka/internal/payload"
	"github.com/messaging-kafka/messaging-kafka/internal/payload/wit"
	"github.com/messaging-kafka/messaging-kafka/internal/record"
)

// benchBatch are records of 1 KiB of text.
func benchBatch(n int) []*record.Record {
	batch := batchOf(n)
	for _, r := range batch {
		r.Value = bytes.Repeat([]byte("x"), 1<<10)
		r.Headers = nil
	}
	return batch
}

// benchServer is a plain net/http server that reads what it gets and says that all is done.
func benchServer(b *testing.B) string {
	b.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.WriteHeader(http.StatusNoContent)
	}))
	b.Cleanup(s.Close)
	return s.URL
}

// BenchmarkAgainstABareClient has a receiver and a client of net/http, with which nobody could do less, post to the
// same server by turns. ratio is how much of the bare client's throughput the receiver has.
func BenchmarkAgainstABareClient(b *testing.B) {
	for _, inFlight := range []int{1, 64} {
		for _, c := range []struct {
			name  string
			batch int
			open  func(Options) (record.Receiver, func(), error)
			bare  func([]*record.Record) (body []byte, header http.Header)
		}{
			{"events beside their values alone", 1, openEvents(Binary), bareValue},
			{"events", 1, openEvents(Binary), func(batch []*record.Record) ([]byte, http.Header) {
				h, e := http.Header{}, payload.EventOf(batch[0])
				e.AddHTTP(h)
				return e.Data, h
			}},
			{"events structured beside their values alone", 1, openEvents(Structured), bareValue},
			{"records", 1, openRecords, bareBatch},
			{"records in batches", 500, openRecords, bareBatch},
		} {
			b.Run(c.name+"/"+strconv.Itoa(inFlight), func(b *testing.B) {
				url := benchServer(b)
				batch := benchBatch(c.batch)
				r, closes, err := c.open(withDefaults(Options{URL: url, Connections: inFlight}))
				if err != nil {
					b.Fatal(err)
				}
				defer closes()
				bare := &http.Client{Transport: &http.Transport{MaxIdleConns: inFlight, MaxIdleConnsPerHost: inFlight, MaxConnsPerHost: inFlight}}
				defer bare.CloseIdleConnections()
				body, header := c.bare(batch)
				post := func() error { return postBare(bare, url, body, header) }
				receive := func() error { return r.Receive(b.Context(), batch)[0].Err }
				var ours, theirs time.Duration
				const round = 500
				for done := 0; done < b.N; done += round {
					n := min(round, b.N-done)
					theirs += repeat(b, n, inFlight, post)
					ours += repeat(b, n, inFlight, receive)
				}
				per := func(all time.Duration) float64 { return float64(all.Nanoseconds()) / 1e3 / float64(b.N) }
				b.ReportMetric(per(ours), "us/request")
				b.ReportMetric(per(theirs), "us/bare")
				b.ReportMetric(theirs.Seconds()/ours.Seconds(), "ratio")
				b.ReportMetric(float64(b.N*c.batch)/ours.Seconds(), "records/s")
				b.ReportMetric(0, "ns/op") // of both together: nobody's
			})
		}
	}
}

func openEvents(mode Mode) func(Options) (record.Receiver, func(), error) {
	return func(o Options) (record.Receiver, func(), error) {
		e, err := NewEvents(o, mode, nil, nil)
		if err != nil {
			return nil, nil, err
		}
		return e, e.Close, nil
	}
}

func openRecords(o Options) (record.Receiver, func(), error) {
	r, err := NewRecords(o, Value, false, nil)
	if err != nil {
		return nil, nil, err
	}
	return r, r.Close, nil
}

func bareValue(batch []*record.Record) ([]byte, http.Header) { return batch[0].Value, nil }

func bareBatch(batch []*record.Record) ([]byte, http.Header) {
	return wit.AppendBatch(nil, batch, false), nil
}

// postBare posts a body as one does by hand.
func postBare(client *http.Client, url string, body []byte, header http.Header) error {
	req, err := http.NewRequest(http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	for name, values := range header {
		req.Header.Set(name, values[0])
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, resp.Body)
	return errors.Join(err, resp.Body.Close())
}

// repeat does something n times, so many at once, and returns how long that took.
func repeat(b *testing.B, n, atOnce int, do func() error) time.Duration {
	b.Helper()
	var left atomic.Int64
	left.Store(int64(n))
	began := time.Now()
	var working sync.WaitGroup
	for range min(atOnce, n) {
		working.Go(func() {
			for left.Add(-1) >= 0 {
				if err := do(); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	working.Wait()
	return time.Since(began)
}

// silentApplication answers every request of a connection that all is done, and allocates nothing for that.
func silentApplication(b *testing.B) func(context.Context, string, string) (net.Conn, error) {
	b.Helper()
	var serving sync.WaitGroup
	b.Cleanup(serving.Wait)
	return func(context.Context, string, string) (net.Conn, error) {
		ours, theirs := net.Pipe()
		serving.Go(func() {
			defer theirs.Close()
			from := bufio.NewReaderSize(theirs, 64<<10)
			answer := []byte("HTTP/1.1 204 No Content\r\n\r\n")
			for length := 0; ; {
				line, err := from.ReadSlice('\n')
				if err != nil {
					return
				}
				if value, is := bytes.CutPrefix(line, []byte("Content-Length: ")); is {
					length = 0
					for _, digit := range bytes.TrimSpace(value) {
						length = 10*length + int(digit-'0')
					}
				}
				if len(line) > len("\r\n") {
					continue
				}
				if _, err := from.Discard(length); err != nil {
					return
				}
				if _, err := theirs.Write(answer); err != nil {
					return
				}
			}
		})
		return ours, nil
	}
}

// BenchmarkReceive is a request of one receiver to an application that costs nothing: what it allocates is the
// receiver's and net/http's.
func BenchmarkReceive(b *testing.B) {
	for name, open := range map[string]func(Options) (record.Receiver, func(), error){
		"events": openEvents(Binary), "events structured": openEvents(Structured), "records": openRecords,
	} {
		for _, n := range []int{1, 500} {
			if n > 1 && strings.HasPrefix(name, "events") {
				continue
			}
			b.Run(name+"/"+strconv.Itoa(n), func(b *testing.B) {
				r, closes, err := open(withDefaults(Options{URL: "http://app", Dial: silentApplication(b)}))
				if err != nil {
					b.Fatal(err)
				}
				defer closes()
				batch := benchBatch(n)
				b.ReportAllocs()
				for b.Loop() {
					if o := r.Receive(b.Context(), batch)[0]; o.Kind != record.Done {
						b.Fatal(o.Err)
					}
				}
			})
		}
	}
}
