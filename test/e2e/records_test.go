//go:build e2e

package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/messaging-kafka/messaging-kafka/internal/payload/wit"
	"github.com/messaging-kafka/messaging-kafka/internal/record"
	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
	"github.com/messaging-kafka/messaging-kafka/internal/wasmcloud/wrpc"
)

// These tests hold internal/wasmcloud/records against real components, with nothing of Kafka in between.

// startRecordsEcho starts a host with the echo component for records.
func startRecordsEcho(t *testing.T, count int, k *kafkaDouble) guestCalls {
	t.Helper()
	testkit.CheckLeaks(t)
	testkit.HostBinary(t)
	wasm := testkit.ComponentWasm(t, "records-echo")
	ns := testkit.NATS(t, testkit.NATSOptions{JetStream: true})
	host := testkit.StartHost(t, ns, testkit.HostOptions{})
	host.PutLink(testkit.ControlLink{
		Source: "echo", Target: providerKey, Package: "messaging-kafka:records", Interface: "producer,requester",
	})
	host.Scale("echo", wasm, count)
	return callRecords(t, ns, host, "echo", k)
}

// checkEchoes fails the test unless each record came back as the echo component returns it.
func checkEchoes(t *testing.T, batch []*record.Record, outcomes []record.Outcome) {
	t.Helper()
	if len(outcomes) != len(batch) {
		t.Errorf("%d records came back, want %d", len(outcomes), len(batch))
		return
	}
	for i, o := range outcomes {
		r := batch[i]
		want := []record.Outgoing{{
			Topic: r.Topic + ".out", Partition: record.AnyPartition,
			Key: r.Key, Value: r.Value, Headers: r.Headers, Timestamp: r.Timestamp,
		}}
		if o.Kind != record.Done || !reflect.DeepEqual(o.Outputs, want) {
			t.Errorf("record %d came back as %.200s, want %.200s", i, fmt.Sprint(o), fmt.Sprint(want))
		}
	}
}

func TestARealComponentGivesRecordsBackUnchanged(t *testing.T) {
	g := startRecordsEcho(t, 4, &kafkaDouble{})
	invalid := []byte{0xff, 0, 'a', 0xc3}
	mib := bytes.Repeat([]byte("0123456789abcdef"), 1<<20/16)
	var hundred []record.Header
	for i := range 100 {
		hundred = append(hundred, record.Header{Key: fmt.Sprint(i % 7), Value: fmt.Append(nil, i)})
	}
	at := time.UnixMilli(1_900_000_000_123)
	batch := []*record.Record{
		{Topic: "plain", Timestamp: at, Attempt: 1, Key: []byte("key"), Value: []byte("value")},
		{Topic: "null", Timestamp: at, Attempt: 1},
		{Topic: "empty", Timestamp: at, Attempt: 1, Key: []byte{}, Value: []byte{}},
		{Topic: "tombstone", Timestamp: at, Attempt: 1, Key: []byte("key")},
		{Topic: "bytes", Timestamp: at, Attempt: 1, Key: invalid, Value: invalid},
		{Topic: "no-ascii", Timestamp: at, Attempt: 1, Key: []byte("Schlüssel"), Value: []byte("値\x00🎈")},
		{Topic: "1-mib", Timestamp: at, Attempt: 1, Value: mib},
		{Topic: "first-moment", Timestamp: time.UnixMilli(0), Attempt: 1},
		{Topic: "headers", Timestamp: at, Attempt: 1, Headers: []record.Header{
			{Key: "b", Value: []byte("1")}, {Key: "a", Value: []byte("2")}, {Key: "b", Value: []byte("3")},
			{Key: "null"}, {Key: "empty", Value: []byte{}}, {Key: "bytes", Value: invalid}, {Key: "", Value: []byte("no name")},
		}},
		{Topic: "hundred-headers", Timestamp: at, Attempt: 1, Headers: hundred},
	}
	outcomes, err := g.process(batch...)
	if err != nil {
		t.Fatal(err)
	}
	checkEchoes(t, batch, outcomes)

	t.Run("a component sees where a record is from and which attempt it is", func(t *testing.T) {
		outcomes, err := g.process(&record.Record{
			Topic: "in", Partition: 7, Offset: 1 << 40, Timestamp: at, Attempt: 3, Value: []byte("!describe"),
		})
		if err != nil {
			t.Fatal(err)
		}
		want := "topic in partition 7 offset 1099511627776 timestamp 1900000000123 attempt 3"
		if got := string(outcomes[0].Outputs[0].Value); got != want {
			t.Errorf("it sees %s, want %s", got, want)
		}
	})
	t.Run("what a component returns is what comes: none, several, for a topic or a partition", func(t *testing.T) {
		outcomes, err := g.process(texts("!none", "!times:3:x", "!to:elsewhere:y", "!partition:5:z")...)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, o := range outcomes {
			for _, r := range o.Outputs {
				got = append(got, fmt.Sprintf("%s/%d=%s", r.Topic, r.Partition, r.Value))
			}
			got = append(got, "|")
		}
		want := "| in.out/-1=x in.out/-1=x in.out/-1=x | elsewhere/-1=y | in.out/5=z |"
		if got := strings.Join(got, " "); got != want {
			t.Errorf("it returned %s, want %s", got, want)
		}
	})
	for name, fill := range map[string]byte{"text": 'x', "bytes": 0xff} {
		t.Run("5 MiB of "+name+", of many messages both ways", func(t *testing.T) {
			var batch []*record.Record
			for i := range 50 {
				batch = append(batch, incoming(append([]byte{fill, byte(i)}, bytes.Repeat([]byte{fill}, 5<<20/50)...)))
			}
			outcomes, err := g.process(batch...)
			if err != nil {
				t.Fatal(err)
			}
			checkEchoes(t, batch, outcomes)
		})
	}
}

func TestARealComponentSaysWhatBecameOfEachRecord(t *testing.T) {
	g := startRecordsEcho(t, 4, &kafkaDouble{})
	batch := texts("a", "!reject:no use", "b", "!retry:not now", "c", "!until:3:late", "!what")
	const want = `done; reject (no use); done; retry (not now); done; retry (attempt 1 of 3); reject (unknown command "what")`
	for name, function := range map[string]func(...*record.Record) ([]record.Outcome, error){"handler": g.handle,
		"processor": g.process} {
		t.Run("a "+name+" with rejects and retries in the middle", func(t *testing.T) {
			outcomes, err := function(batch...)
			if err != nil {
				t.Fatal(err)
			}
			if got := said(outcomes); got != want {
				t.Errorf("it said %s, want %s", got, want)
			}
		})
		t.Run("a "+name+" that traps or miscounts fails the batch, and works on", func(t *testing.T) {
			if _, err := function(texts("a", "!trap", "b")...); !errors.Is(err, wrpc.ErrIncomplete) {
				t.Errorf("a trap gave %v, want %v", err, wrpc.ErrIncomplete)
			}
			if outcomes, err := function(texts("a", "!short", "b")...); err == nil ||
				!strings.Contains(err.Error(), "2 results for a batch of 3") {
				t.Errorf("2 results for 3 records gave %v, %v", outcomes, err)
			}
			if outcomes, err := function(texts("a", "!until:1:b")...); err != nil || said(outcomes) != "done; done" {
				t.Errorf("afterwards it said %s, %v", said(outcomes), err)
			}
		})
	}
}

func TestARealComponentSendsAndRequests(t *testing.T) {
	failures := map[string]error{
		"large":     &wit.SendError{Case: wit.TooLarge, Size: 2_000_000, Limit: 1_048_576},
		"missing":   &wit.SendError{Case: wit.UnknownTopic, Text: "topic missing does not exist"},
		"forbidden": &wit.SendError{Case: wit.NotAuthorised, Text: "see allowed_topics"},
		"slow":      &wit.SendError{Case: wit.TimedOut, Text: "no answer"},
		"away":      &wit.SendError{Case: wit.Unavailable, Text: "no broker"},
		"bad":       &wit.SendError{Case: wit.Invalid, Text: "no such partition"},
		"strange":   &wit.SendError{Case: wit.Other, Text: "who knows"},
	}
	k := &kafkaDouble{
		fail: func(r record.Outgoing) error { return failures[r.Topic] },
		request: func(request record.Outgoing, timeout time.Duration) (*record.Record, error) {
			if timeout != 10*time.Second {
				return nil, fmt.Errorf("a timeout of %v", timeout)
			}
			if err := failures[request.Topic]; err != nil {
				return nil, err
			}
			answer := incoming(append([]byte("answer to "), request.Value...))
			answer.Headers = []record.Header{{Key: "by", Value: []byte{0xff}}}
			return answer, nil
		},
	}
	g := startRecordsEcho(t, 4, k)

	t.Run("a batch is sent in one call, and each record fails by itself", func(t *testing.T) {
		outcomes, err := g.handle(texts("!send:out:1", "quiet", "!send:large:2", "!send:missing:3", "!send:forbidden:4",
			"!send:slow:5", "!send:away:6", "!send:bad:7", "!send:strange:8", "!reject:9", "!sendto:out:4:10")...)
		if err != nil {
			t.Fatal(err)
		}
		const want = "done; done; reject (too-large: 2000000 of 1048576 bytes); reject (unknown-topic: topic missing does not exist); " +
			"reject (not-authorised: see allowed_topics); reject (timed-out: no answer); reject (unavailable: no broker); " +
			"reject (invalid: no such partition); reject (other: who knows); reject (9); done"
		if got := said(outcomes); got != want {
			t.Errorf("it said\n%s, want\n%s", got, want)
		}
		s := k.nextSending(t)
		if s.caller.ComponentID != "echo" || s.caller.LinkName != "default" {
			t.Errorf("sent by %s over %s, want echo over default", s.caller.ComponentID, s.caller.LinkName)
		}
		var got []string
		for _, r := range s.list {
			got = append(got, fmt.Sprintf("%s/%d=%s", r.Topic, r.Partition, r.Value))
		}
		if got, want := strings.Join(got, " "),
			"out/-1=1 large/-1=2 missing/-1=3 forbidden/-1=4 slow/-1=5 away/-1=6 bad/-1=7 strange/-1=8 out/4=10"; got != want {
			t.Errorf("sent\n%s, want\n%s", got, want)
		}
	})
	t.Run("an answer comes back whole, and what goes wrong instead is told", func(t *testing.T) {
		outcomes, err := g.handle(texts("!request:questions:why", "!request:slow:when")...)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := said(outcomes), "done; reject (timed-out: no answer)"; got != want {
			t.Errorf("it said %s, want %s", got, want)
		}
		want := []record.Outgoing{{
			Topic: "in.out", Partition: record.AnyPartition, Value: []byte("answer to why"), Timestamp: time.UnixMilli(1),
			Headers: []record.Header{{Key: "by", Value: []byte{0xff}}},
		}}
		if got := k.nextSending(t).list; !reflect.DeepEqual(got, want) {
			t.Errorf("sent %v, want %v", got, want)
		}
	})
	t.Run("5 MiB are sent in one call", func(t *testing.T) {
		large := strings.Repeat("x", 1<<20)
		batch := texts("!send:out:"+large, "!send:out:"+large, "!send:out:"+large, "!send:out:"+large, "!send:out:"+large)
		outcomes, err := g.handle(batch...)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := said(outcomes), "done; done; done; done; done"; got != want {
			t.Errorf("it said %s, want %s", got, want)
		}
		list := k.nextSending(t).list
		if len(list) != len(batch) {
			t.Errorf("%d records were sent, want %d", len(list), len(batch))
		}
		for _, r := range list {
			if string(r.Value) != large {
				t.Errorf("a value of %d bytes came back with %d, or others", len(large), len(r.Value))
			}
		}
	})
}

// What a host does with values decides how fast batches are: it copies text and handles bytes one by one.
func TestHowManyRecordsARealComponentProcesses(t *testing.T) {
	const size, perCall, inFlight = 1 << 10, 500, 4
	g := startRecordsEcho(t, inFlight, &kafkaDouble{})
	for _, kind := range []struct {
		name  string
		fill  byte
		calls int64
	}{{"text", 'x', 60}, {"bytes", 0xff, 20}} {
		t.Run(kind.name, func(t *testing.T) {
			batch := make([]*record.Record, perCall)
			for i := range batch {
				value := bytes.Repeat([]byte{kind.fill}, size)
				copy(value[size-8:], fmt.Sprintf("%8d", i))
				batch[i] = incoming(value)
			}
			if _, err := g.process(batch...); err != nil {
				t.Fatal(err)
			}
			begin := time.Now()
			var next atomic.Int64
			var all sync.WaitGroup
			for range inFlight {
				all.Go(func() {
					for next.Add(1) <= kind.calls {
						outcomes, err := g.process(batch...)
						if err != nil {
							t.Errorf("a call failed: %v", err)
							return
						}
						checkEchoes(t, batch, outcomes)
					}
				})
			}
			all.Wait()
			took := time.Since(begin)
			t.Logf("%d records of %d bytes of %s, %d a call, %d calls in flight: %.0f records/s",
				kind.calls*perCall, size, kind.name, perCall, inFlight, float64(kind.calls*perCall)/took.Seconds())
		})
	}
}
