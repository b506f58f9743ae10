package httpout

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/messaging-kafka/messaging-kafka/internal/payload"
	"github.com/messaging-kafka/messaging-kafka/internal/payload/wit"
	"github.com/messaging-kafka/messaging-kafka/internal/record"
	"github.com/messaging-kafka/messaging-kafka/internal/settings"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func serve(t *testing.T, h http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL
}

func receiver(t *testing.T, o Options, f Format) *Records {
	t.Helper()
	r, err := NewRecords(withDefaults(o), f, false, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return r
}

func withDefaults(o Options) Options {
	o.Route = "orders"
	if o.Connections == 0 {
		o.Connections = 4
	}
	if o.MaxAnswer == 0 {
		o.MaxAnswer = 1 << 20
	}
	return o
}

func batchOf(n int) []*record.Record {
	batch := make([]*record.Record, n)
	for i := range batch {
		batch[i] = &record.Record{
			Topic: "orders", Partition: 1, Offset: int64(i), LeaderEpoch: -1, Timestamp: time.UnixMilli(1_700_000_000_000),
			Key: []byte("k"), Value: []byte{0xff, byte(i)}, Attempt: 1, Headers: []record.Header{{Key: "a", Value: []byte("1")}, {Key: "null"}},
		}
	}
	return batch
}

// TestBatchesGoAndVerdictsComeBack in both formats, with the media types and headers that the wire has.
func TestBatchesGoAndVerdictsComeBack(t *testing.T) {
	verdicts := []record.Outcome{
		{Kind: record.Done, Outputs: []record.Outgoing{{Topic: "out", Partition: record.AnyPartition, Key: []byte("k"), Value: []byte{0xfe}}}},
		{Kind: record.Retry, Err: errors.New("later")},
		{Kind: record.Reject, Err: errors.New("bad")},
		{Kind: record.Done},
	}
	for name, format := range map[string]Format{"value": Value, "json": JSON} {
		t.Run(name, func(t *testing.T) {
			batch := batchOf(len(verdicts))
			url := serve(t, func(w http.ResponseWriter, r *http.Request) {
				body, err := io.ReadAll(r.Body)
				if err != nil {
					t.Error(err)
				}
				want, mediaType, answer := wit.AppendBatch(nil, batch, false), wit.RecordsType, wit.AppendProcessed(nil, verdicts)
				if format == JSON {
					want, mediaType, answer = wit.AppendBatchJSON(nil, batch), wit.RecordsTypeJSON, wit.AppendProcessedJSON(nil, verdicts)
				}
				if !bytes.Equal(body, want) || r.Header.Get("Content-Type") != mediaType || r.Header.Get("Messaging-Kafka-Route") != "orders" {
					t.Errorf("%v %q", r.Header, body)
				}
				w.Header().Set("Content-Type", mediaType+"; charset=utf-8")
				if _, err := w.Write(answer); err != nil {
					t.Error(err)
				}
			})
			got := receiver(t, Options{URL: url}, format).Receive(t.Context(), batch)
			if len(got) != len(verdicts) {
				t.Fatalf("%d outcomes", len(got))
			}
			for i := range got {
				if got[i].Kind != verdicts[i].Kind || fmt.Sprint(got[i].Err) != fmt.Sprint(verdicts[i].Err) {
					t.Errorf("outcome %d: %+v", i, got[i])
				}
			}
			if out := got[0].Outputs; len(out) != 1 || out[0].Topic != "out" || !bytes.Equal(out[0].Value, []byte{0xfe}) || out[0].Partition != record.AnyPartition {
				t.Errorf("outputs %+v", out)
			}
		})
	}
}

// TestWhatStatusesMean for a request of one record and of several.
func TestWhatStatusesMean(t *testing.T) {
	for _, c := range []struct {
		status        int
		alone, batch  record.Kind
		header, value string
		after         time.Duration
	}{
		{status: 200, alone: record.Done, batch: record.Done},
		{status: 204, alone: record.Done, batch: record.Done},
		{status: 301, alone: record.Unavailable, batch: record.Unavailable, header: "Location", value: "http://127.0.0.1:1/"},
		{status: 400, alone: record.Reject, batch: record.Unanswered},
		{status: 401, alone: record.Unavailable, batch: record.Unavailable},
		{status: 403, alone: record.Reject, batch: record.Unanswered},
		{status: 404, alone: record.Unavailable, batch: record.Unavailable},
		{status: 408, alone: record.Retry, batch: record.Retry},
		{status: 425, alone: record.Retry, batch: record.Retry},
		{status: 429, alone: record.Retry, batch: record.Retry, header: "Retry-After", value: "7", after: 7 * time.Second},
		{status: 500, alone: record.Retry, batch: record.Unanswered},
		{status: 502, alone: record.Retry, batch: record.Unanswered},
		{status: 503, alone: record.Unavailable, batch: record.Unavailable, header: "Retry-After", value: "3", after: 3 * time.Second},
	} {
		t.Run(fmt.Sprint(c.status), func(t *testing.T) {
			url := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				if c.header != "" {
					w.Header().Set(c.header, c.value)
				}
				w.WriteHeader(c.status)
				if c.status >= 400 {
					_, _ = io.WriteString(w, "because of this")
				}
			})
			r := receiver(t, Options{URL: url}, Value)
			for n, want := range map[int]record.Kind{1: c.alone, 3: c.batch} {
				for _, o := range r.Receive(t.Context(), batchOf(n)) {
					if o.Kind != want || o.After != c.after || (o.Err == nil) != (want == record.Done) {
						t.Errorf("%d records: %v after %s, %v", n, o.Kind, o.After, o.Err)
					}
					if c.status >= 400 && !strings.Contains(o.Err.Error(), "because of this") {
						t.Errorf("the reason is lost: %v", o.Err)
					}
				}
			}
		})
	}
}

func TestRetryAfterIsSecondsOrADate(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for value, want := range map[string]time.Duration{
		"":                              0,
		"0":                             0,
		"-5":                            0,
		"90":                            90 * time.Second,
		"99999999999":                   24 * time.Hour,
		"Fri, 02 Jan 2026 03:05:05 GMT": time.Minute,
		"Fri, 02 Jan 2026 03:00:00 GMT": 0,
		"soon":                          0,
	} {
		if got := retryAfter(http.Header{"Retry-After": {value}}, now); got != want {
			t.Errorf("%q: %s, want %s", value, got, want)
		}
	}
}

// TestAnswersThatCannotBeReadFailTheBatch and say what came.
func TestAnswersThatCannotBeReadFailTheBatch(t *testing.T) {
	for name, c := range map[string]struct{ mediaType, body, mention string }{
		"a page":             {"text/html", "<p>welcome", "text/html"},
		"too few verdicts":   {wit.RecordsType, "\x01\x00\x00", "1 results for a batch of 2"},
		"more behind them":   {wit.RecordsType, "\x02\x00\x00\x00\x00\x00", "more behind"},
		"cut off":            {wit.RecordsType, "\x02\x00\x00\x00", "ended"},
		"too large":          {wit.RecordsType, strings.Repeat("x", 2<<10), "http_max_answer"},
		"an empty JSON list": {wit.RecordsTypeJSON, "[]", "was asked for"},
	} {
		t.Run(name, func(t *testing.T) {
			url := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", c.mediaType)
				_, _ = io.WriteString(w, c.body)
			})
			outcomes := receiver(t, Options{URL: url, MaxAnswer: 1 << 10}, Value).Receive(t.Context(), batchOf(2))
			for _, o := range outcomes {
				if len(outcomes) != 2 || o.Kind != record.Unanswered || !strings.Contains(o.Err.Error(), c.mention) {
					t.Errorf("%v: %v", o.Kind, o.Err)
				}
			}
		})
	}
	if _, err := wit.DecodeProcessedJSON([]byte(`[{"ok":[],"retry":"x"}]`), 1); err == nil {
		t.Error("a JSON result of two kinds was read")
	}
}

func TestNobodyThereHoldsRecords(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	for _, url := range []string{"http://" + l.Addr().String(), "http://no-such-host.invalid", "https://" + l.Addr().String()} {
		if o := receiver(t, Options{URL: url}, Value).Receive(t.Context(), batchOf(1))[0]; o.Kind != record.Unavailable {
			t.Errorf("%s: %v, %v", url, o.Kind, o.Err)
		}
	}
}

// TestATimeThatIsOverCountsOnceTheRequestIsThere, and a request that never got through does not.
func TestATimeThatIsOverCountsOnceTheRequestIsThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		go func() { // takes the request and says nothing
			_, _ = io.Copy(io.Discard, theirs)
		}()
		dial := func(context.Context, string, string) (net.Conn, error) { return ours, nil }
		r := receiver(t, Options{URL: "http://app", Dial: dial}, Value)
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		if o := r.Receive(ctx, batchOf(1))[0]; o.Kind != record.Unanswered || !errors.Is(o.Err, context.DeadlineExceeded) {
			t.Errorf("%v: %v", o.Kind, o.Err)
		}
		stuck := func(ctx context.Context, _, _ string) (net.Conn, error) { <-ctx.Done(); return nil, ctx.Err() }
		r = receiver(t, Options{URL: "http://app", Dial: stuck}, Value)
		ctx, cancel = context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		if o := r.Receive(ctx, batchOf(1))[0]; o.Kind != record.Unavailable {
			t.Errorf("%v: %v", o.Kind, o.Err)
		}
		theirs.Close()
	})
}

// TestABrokenConnectionIsTriedOnceMore: a connection that was kept may be one that the other end closed; one that
// breaks twice is the application's doing.
func TestABrokenConnectionIsTriedOnceMore(t *testing.T) {
	var calls, breaks atomic.Int32
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		calls.Add(1)
		if breaks.Add(-1) >= 0 {
			panic(http.ErrAbortHandler)
		}
	})
	r := receiver(t, Options{URL: url}, Value)
	for _, c := range []struct {
		breaks, calls int32
		want          record.Kind
	}{{0, 1, record.Done}, {1, 2, record.Done}, {2, 2, record.Unanswered}, {0, 1, record.Done}} {
		calls.Store(0)
		breaks.Store(c.breaks)
		o := r.Receive(t.Context(), batchOf(1))[0]
		if o.Kind != c.want || calls.Load() != c.calls {
			t.Errorf("%d breaks: %v after %d calls (%v)", c.breaks, o.Kind, calls.Load(), o.Err)
		}
	}
}

// TestSecretsGoToTheURLAlone: they are in no error and follow no redirect; a signature is one of the body.
func TestSecretsGoToTheURLAlone(t *testing.T) {
	const token, key = "t0ken-canary", "k3y-canary"
	elsewhere := serve(t, func(_ http.ResponseWriter, r *http.Request) { t.Errorf("the redirect was followed with %v", r.Header) })
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		stamp, sum, _ := strings.Cut(strings.TrimPrefix(r.Header.Get("Messaging-Kafka-Signature"), "t="), ",v1=")
		mac := hmac.New(sha256.New, []byte(key))
		fmt.Fprintf(mac, "%s.%s", stamp, body)
		if r.Header.Get("Authorization") != "Bearer "+token || sum != hex.EncodeToString(mac.Sum(nil)) {
			t.Errorf("headers %v", r.Header)
		}
		http.Redirect(w, r, elsewhere, http.StatusTemporaryRedirect)
	})
	o := receiver(t, Options{URL: url, Bearer: settings.NewSecret(token), Key: settings.NewSecret(key)}, Value).Receive(t.Context(), batchOf(1))[0]
	if o.Kind != record.Unavailable || !strings.Contains(o.Err.Error(), "redirects are refused") || strings.Contains(o.Err.Error(), "canary") {
		t.Errorf("%v: %v", o.Kind, o.Err)
	}
	for _, bad := range []string{"http://user:s3cret@host/", "ftp://host", "http://", "http://[s3cret", "host:80/s3cret"} {
		if _, err := NewRecords(Options{URL: bad}, Value, false, nil); err == nil || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

func TestRequestsShareConnectionsByHTTP2InClear(t *testing.T) {
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor != 2 {
			t.Errorf("protocol %s", r.Proto)
		}
		w.WriteHeader(http.StatusNoContent)
	}))
	s.Config.Protocols = new(http.Protocols)
	s.Config.Protocols.SetUnencryptedHTTP2(true)
	s.Start()
	defer s.Close()
	r := receiver(t, Options{URL: s.URL, HTTP2: true}, Value)
	defer r.Close()
	if o := r.Receive(t.Context(), batchOf(1))[0]; o.Kind != record.Done {
		t.Errorf("%v: %v", o.Kind, o.Err)
	}
}

// TestMessagesGoAndResultsComeBack, without the records that the settings skip.
func TestMessagesGoAndResultsComeBack(t *testing.T) {
	reply := "replies?correlation=x"
	message := func(r *record.Record) (payload.Message, bool) {
		return payload.Message{Subject: r.Topic, Body: r.Value, ReplyTo: &reply}, r.Offset != 1
	}
	bad, later := "reject: never", "later"
	for name, format := range map[string]Format{"value": Value, "json": JSON} {
		t.Run(name, func(t *testing.T) {
			batch := batchOf(4)
			list := []payload.Message{}
			for _, i := range []int{0, 2, 3} {
				m, _ := message(batch[i])
				list = append(list, m)
			}
			url := serve(t, func(w http.ResponseWriter, r *http.Request) {
				body, err := io.ReadAll(r.Body)
				if err != nil {
					t.Error(err)
				}
				want, mediaType, answer := wit.AppendMessages(nil, list), wit.MessagesType, wit.AppendResults(nil, []*string{nil, &bad, &later})
				if format == JSON {
					want, mediaType = wit.AppendMessagesJSON(nil, list), wit.MessagesTypeJSON
					answer = []byte(`[{"ok":true},{"error":"reject: never"},{"error":"later"}]`)
				}
				if !bytes.Equal(body, want) {
					t.Errorf("body %q, want %q", body, want)
				}
				w.Header().Set("Content-Type", mediaType)
				_, _ = w.Write(answer)
			})
			m, err := NewMessages(Options{URL: url, Connections: 1, MaxAnswer: 1 << 10}, format, message, nil)
			if err != nil {
				t.Fatal(err)
			}
			defer m.Close()
			var kinds []record.Kind
			outcomes := m.Receive(t.Context(), batch)
			for _, o := range outcomes {
				kinds = append(kinds, o.Kind)
			}
			if want := []record.Kind{record.Done, record.Skipped, record.Reject, record.Retry}; fmt.Sprint(kinds) != fmt.Sprint(want) || outcomes[2].Err.Error() != "never" {
				t.Errorf("%v, %+v", kinds, outcomes)
			}
		})
	}
}

// quiet is the log of a server whose clients fail on purpose.
func quiet() *log.Logger { return log.New(io.Discard, "", 0) }
