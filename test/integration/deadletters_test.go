package integration

import (
	"context"
	"encoding/binary"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

func headersOf(r *kgo.Record) map[string]string {
	headers := make(map[string]string)
	for _, h := range r.Headers {
		headers[h.Key] = string(h.Value)
	}
	return headers
}

func TestADeadLetterTellsItsStoryAndIsRedrivenByAnotherLink(t *testing.T) {
	r := newRig(t, kafka4(t).Brokers())
	in, dead, gone := r.topic("in", 1), r.topic("dead", 1), r.topic("gone", 1)
	j := newJournal()
	var mended atomic.Bool
	r.component(testkit.ComponentOptions{Handler: j.handler(
		func(_ context.Context, _ *testkit.Component, msg testkit.Call, _ int) error {
			switch body := string(msg.Body); {
			case strings.HasPrefix(body, "poison"):
				return errors.New("reject: it will never do")
			case strings.HasPrefix(body, "bad") && !mended.Load(), body == "":
				return errors.New("it does not do")
			}
			return nil
		})})
	r.link("echo", r.config(in, "dead_letter_topic", dead, "max_attempts", "3"))
	one := r.start()

	stamp := time.UnixMilli(1_700_000_000_123)
	r.kc.Produce(
		&kgo.Record{Topic: in, Key: []byte("k"), Value: []byte("good")},
		&kgo.Record{Topic: in, Key: []byte("k"), Value: []byte("bad"), Timestamp: stamp,
			Headers: []kgo.RecordHeader{{Key: "trace", Value: []byte("1")}, {Key: "trace", Value: []byte("2")}, {Key: "null"}}},
		&kgo.Record{Topic: in, Key: []byte("k"), Value: []byte("poison")},
		&kgo.Record{Topic: in, Value: nil, Timestamp: stamp},
		&kgo.Record{Topic: in, Key: []byte("k"), Value: []byte("good too")},
	)
	letters := r.kc.Read(dead, 3)
	r.kc.WaitDrained(r.group("echo"), in)
	byOffset := make(map[uint64]*kgo.Record)
	for _, l := range letters {
		byOffset[binary.BigEndian.Uint64([]byte(headersOf(l)["kafka_dlt-original-offset"]))] = l
	}
	for offset, want := range map[uint64]struct {
		attempts uint32
		text     string
	}{1: {3, "it does not do"}, 2: {1, "it will never do"}, 3: {3, "it does not do"}} {
		l := byOffset[offset]
		if l == nil {
			t.Fatalf("no dead letter of offset %d among %d", offset, len(letters))
		}
		headers := headersOf(l)
		if got := binary.BigEndian.Uint32([]byte(headers["kafka_deliveryAttempt"])); got != want.attempts {
			t.Errorf("the dead letter of offset %d counts %d attempts, want %d", offset, got, want.attempts)
		}
		for key, text := range map[string]string{
			"kafka_dlt-exception-message": want.text, "kafka_dlt-original-topic": in,
			"kafka_dlt-original-consumer-group": r.group("echo"), "wasmcloud-component": "echo",
			"kafka_dlt-original-partition": "\x00\x00\x00\x00",
		} {
			if headers[key] != text {
				t.Errorf("the dead letter of offset %d has %s = %q, want %q", offset, key, headers[key], text)
			}
		}
	}
	bad, null := byOffset[1], byOffset[3]
	if string(bad.Key) != "k" || string(bad.Value) != "bad" || !bad.Timestamp.Equal(stamp) ||
		len(bad.Headers) < 3 || string(bad.Headers[0].Value) != "1" || string(bad.Headers[1].Value) != "2" ||
		bad.Headers[2].Value != nil {
		t.Errorf("the dead letter has changed: %+v", bad)
	}
	if null.Key != nil || null.Value != nil || !null.Timestamp.Equal(stamp) {
		t.Errorf("nulls have not stayed null: %+v", null)
	}

	// A second link of the same component drives the dead letters again; what still fails goes on counting.
	mended.Store(true)
	one.stop()
	redrive := testkit.TargetLink("echo", "kafka", r.config(dead, "dead_letter_topic", gone, "max_attempts", "2"))
	redrive.Name = "redrive"
	r.host.PutLink(redrive)
	one.Restart()
	r.kc.WaitDrained("wasmcloud."+r.lattice+".echo.redrive", dead)
	for _, l := range r.kc.Read(gone, 2) {
		headers := headersOf(l)
		offset := binary.BigEndian.Uint64([]byte(headers["kafka_dlt-original-offset"]))
		attempts := binary.BigEndian.Uint32([]byte(headers["kafka_deliveryAttempt"]))
		if want := map[uint64]uint32{2: 2, 3: 5}[offset]; attempts != want || headers["kafka_dlt-original-topic"] != in {
			t.Errorf("dead again: offset %d of %s after %d attempts, want %d", offset,
				headers["kafka_dlt-original-topic"], attempts, want)
		}
	}
	if n := j.done()["bad"]; n != 1 {
		t.Errorf("the mended record was done %d times", n)
	}
	for _, c := range j.history() {
		if c.body == "bad" && c.err == nil && c.link != "redrive" {
			t.Errorf("the mended record was done by link %s", c.link)
		}
	}
	one.stop()
}

func TestNothingIsDeadLetteredByAStop(t *testing.T) {
	for _, test := range []struct {
		name   string
		max    string
		handle func(ctx context.Context, times int) error
		held   bool // the calls run when the stop comes
	}{
		{"calls that hang are given up", "1", func(ctx context.Context, times int) error {
			if times == 1 {
				return testkit.ErrHang
			}
			return nil
		}, true},
		{"records that wait for another try are left to it", "2", func(ctx context.Context, times int) error {
			if times == 1 {
				return errors.New("not this time")
			}
			return nil
		}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			const records = 20
			r := newRig(t, kafka4(t).Brokers())
			in, dead := r.topic("in", 2), r.topic("dead", 1)
			j := newJournal()
			c := r.component(testkit.ComponentOptions{Handler: j.handler(
				func(ctx context.Context, _ *testkit.Component, _ testkit.Call, times int) error {
					return test.handle(ctx, times)
				})})
			r.link("echo", r.config(in, "dead_letter_topic", dead, "max_attempts", test.max,
				"retry_backoff", "10m", "retry_backoff_max", "10m"))
			p := r.start()
			all := keyed(in, "v", records, records)
			r.kc.Produce(all...)
			j.waitBegun(t, records)
			j.waitRunning(t, 0)
			p.stop()
			if n := sum(r.kc.EndOffsets(dead)); n != 0 {
				t.Errorf("%d dead letters after a stop", n)
			}
			if n := sum(r.kc.Committed(r.group("echo"), in)); n != 0 {
				t.Errorf("%d records were committed that were not handled", n)
			}
			if test.held {
				c.Stop() // lets go of the calls that hang
				c.Start()
			}
			p.Restart()
			j.waitDone(t, records)
			r.kc.WaitDrained(r.group("echo"), in)
			j.checkEach(t, valuesOf(all), true)
			if n := sum(r.kc.EndOffsets(dead)); n != 0 {
				t.Errorf("%d dead letters though all was handled", n)
			}
			p.stop()
		})
	}
}
