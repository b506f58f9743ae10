package dev

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/messaging-kafka/messaging-kafka/internal/engine/consume"
	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

func TestAStandInThatFailsMakesDeadLetters(t *testing.T) {
	got := pipe(t, "a\nb\n", Options{StandIn: StandIn{Failing: true, DeadLetters: true}})
	if got.err != nil {
		t.Fatalf("%v\n%s", got.err, got.log)
	}
	for i, value := range []string{"a", "b"} {
		if want := fmt.Sprintf("%s partition 0 offset %d (", DeadLetterTopic, i); !strings.Contains(got.out, want) ||
			!strings.Contains(got.out, "): "+value+"\n") {
			t.Errorf("no dead letter %d with %s in\n%s", i, value, got.out)
		}
	}
	if !strings.Contains(got.log, "answers each message with an error") || !strings.Contains(got.log,
		"topic "+DeadLetterTopic+" created") {
		t.Errorf("it says\n%s", got.log)
	}
}

func TestAProcessorStandsIn(t *testing.T) {
	for name, as := range map[string]StandIn{
		"outputs": {Processor: true}, "in transactions": {Processor: true, Transactions: true},
		"slow": {Processor: true, Transactions: true, Slow: 10 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			got := pipe(t, "a\n\xff\n", Options{JSON: true, StandIn: as})
			if got.err != nil {
				t.Fatalf("%v\n%s", got.err, got.log)
			}
			for _, want := range []string{
				`"value":"a"`, `"value_base64":"/w=="`, `"topic":"` + ReplyTopic + `"`, `"key":"` + recordKey + `"`,
			} {
				if !strings.Contains(got.out, want) {
					t.Errorf("no %s in\n%s", want, got.out)
				}
			}
			if !strings.Contains(got.log, as.behaviour()) {
				t.Errorf("it says\n%s", got.log)
			}
		})
	}
}

// What a transaction has written is followed by its marker, which has an offset, too.
func TestAProcessorsOutputsAreInTransactions(t *testing.T) {
	for want, as := range map[bool]StandIn{true: {Processor: true, Transactions: true}, false: {Processor: true}} {
		cluster := testkit.Kfake(t)
		pipe(t, "a\n", Options{Hosts: cluster.Brokers()[0], StandIn: as}).check(t, 0, "a")
		client, err := kgo.NewClient(kgo.SeedBrokers(cluster.Brokers()...))
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		ends, err := kadm.NewClient(client).ListEndOffsets(t.Context(), ReplyTopic)
		if err != nil {
			t.Fatal(err)
		}
		if end, _ := ends.Lookup(ReplyTopic, 0); (end.Offset == 2) != want || end.Err != nil {
			t.Errorf("%+v: after one output its topic ends at %d (%v)", as, end.Offset, end.Err)
		}
	}
}

func TestAProcessorThatFailsMakesDeadLetters(t *testing.T) {
	for name, as := range map[string]StandIn{
		"outputs":         {Processor: true, Failing: true, DeadLetters: true},
		"in transactions": {Processor: true, Failing: true, DeadLetters: true, Transactions: true},
	} {
		t.Run(name, func(t *testing.T) {
			got := pipe(t, "a\nb\n", Options{StandIn: as})
			if got.err != nil {
				t.Fatalf("%v\n%s", got.err, got.log)
			}
			for _, value := range []string{"a", "b"} {
				if !strings.Contains(got.out, DeadLetterTopic+" partition 0 ") || !strings.Contains(got.out, "): "+value+"\n") {
					t.Errorf("no dead letter with %s in\n%s", value, got.out)
				}
			}
		})
	}
}

func TestAStandInExportsWhatItCan(t *testing.T) {
	var as StandIn
	for name, want := range map[string]bool{processor: true, messages: false, "": false} {
		if err := as.Export(name); err != nil || as.Processor != want {
			t.Errorf("%q: %v, processor %t", name, err, as.Processor)
		}
	}
	for _, name := range []string{handler, plainHTTP, "nothing"} {
		if err := as.Export(name); !errors.Is(err, ErrStandIn) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAStandInThatFailsHasItsLinesMissing(t *testing.T) {
	got := pipe(t, "a\n", Options{StandIn: StandIn{Failing: true}, EchoTimeout: 2 * time.Second})
	if got.err == nil || !strings.Contains(got.err.Error(), "1 of 1 lines did not come back: line 1") {
		t.Errorf("got %v\n%s", got.err, got.log)
	}
}

func TestAStandInThatIsSlowTakesItsTime(t *testing.T) {
	const slow = 300 * time.Millisecond
	got := pipe(t, "a\n", Options{JSON: true, StandIn: StandIn{Slow: slow}})
	var record Record
	if err := json.Unmarshal([]byte(got.out), &record); got.err != nil || err != nil {
		t.Fatalf("%v, %v\n%s", got.err, err, got.out)
	}
	if record.Topic != ReplyTopic || record.Value == nil || *record.Value != "a" || record.Millis == nil ||
		*record.Millis < float64(slow.Milliseconds()) {
		t.Errorf("got %s", got.out)
	}
}

func TestStandInsThatMakeNoSenseAreRefused(t *testing.T) {
	for _, as := range []StandIn{{DeadLetters: true}, {Transactions: true}, {Slow: time.Hour}, {Slow: -1}} {
		if got := pipe(t, "", Options{StandIn: as}); !errors.Is(got.err, ErrStandIn) {
			t.Errorf("%+v: %v", as, got.err)
		}
	}
}

func TestQuietSaysNothingButWhatComesBack(t *testing.T) {
	got := pipe(t, "a\n\xff\n", Options{Quiet: true, JSON: true})
	if got.err != nil || got.log != "" {
		t.Errorf("%v; it says %q", got.err, got.log)
	}
	lines := strings.Split(strings.TrimSpace(got.out), "\n")
	if len(lines) != 2 || !strings.Contains(lines[0], `"value":"a"`) || !strings.Contains(lines[1],
		`"value_base64":"/w=="`) {
		t.Errorf("got %q", got.out)
	}
}

func TestFixedPortsAreCheckedFirstAndUsed(t *testing.T) {
	taken, err := listenAt("tcp", 0)
	if err != nil {
		t.Fatal(err)
	}
	port := taken.Addr().(*net.TCPAddr).Port
	for flag, opts := range map[string]Options{
		"--kafka-port": {KafkaPort: port}, "--nats-port": {NATSPort: port}, "--admin": {Admin: taken.Addr().String()},
	} {
		if got := pipe(t, "", opts); !errors.Is(got.err, ErrPort) || !strings.Contains(got.err.Error(), flag+" "+taken.Addr().String()) ||
			got.log != "" {
			t.Errorf("%s: %v, having said %q", flag, got.err, got.log)
		}
	}
	if err := taken.Close(); err != nil {
		t.Fatal(err)
	}
	got := pipe(t, "a\n", Options{KafkaPort: port})
	got.check(t, 0, "a")
	if !strings.Contains(got.log, fmt.Sprintf("127.0.0.1:%d, embedded", port)) {
		t.Errorf("another port is used:\n%s", got.log)
	}
}

// Half a start would leave a person to find out what is there already.
func TestPortsThatCannotBeAreRefusedBeforeAnythingIsStarted(t *testing.T) {
	free, err := listenAt("tcp", 0)
	if err != nil {
		t.Fatal(err)
	}
	port := free.Addr().(*net.TCPAddr).Port
	if err := free.Close(); err != nil {
		t.Fatal(err)
	}
	for want, opts := range map[string]Options{
		fmt.Sprintf("--nats-port 127.0.0.1:%d", port): {KafkaPort: port, NATSPort: port},
		fmt.Sprintf("--admin 127.0.0.1:%d", port):     {KafkaPort: port, Admin: strconv.Itoa(port)},
		"--kafka-port 127.0.0.1:99999":                {KafkaPort: 99999},
		"--nats-port 127.0.0.1:-1":                    {NATSPort: -1},
		"--admin nowhere":                             {Admin: "nowhere"},
	} {
		got := pipe(t, "", opts)
		if !errors.Is(got.err, ErrPort) || !strings.Contains(got.err.Error(), want) || got.log != "" {
			t.Errorf("%s: %v, having said %q", want, got.err, got.log)
		}
	}
}

func TestBytesThatAreNoTextAreWholeInJSON(t *testing.T) {
	line, err := jsonLine(&kgo.Record{Key: []byte{0xff}, Value: []byte{0xfe}, Headers: []kgo.RecordHeader{
		{Key: consume.HeaderAttempts, Value: []byte{0, 0, 0, 3}}, {Key: "twice", Value: []byte("a")}, {Key: "twice", Value: []byte{0xff}},
	}}, nil)
	const want = `"key_base64":"/w==","value_base64":"/g==","headers":[{"name":"kafka_deliveryAttempt","value":{"text":"\u0000\u0000\u0000\u0003"},"number":3},{"name":"twice","value":{"text":"a"}},{"name":"twice","value":{"base64":"/w=="}}]`
	if err != nil || !strings.Contains(string(line), want) {
		t.Errorf("%s, %v", line, err)
	}
}

func TestASlowStartSaysSomethingWithinASecond(t *testing.T) {
	for name, test := range map[string]struct{ first, want string }{
		"nothing was said":   {"", "starting\n"},
		"something was said": {"NATS\n", "NATS\n"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var out strings.Builder
				s := newScreen(nil, &out)
				if test.first != "" {
					s.say("%s", test.first)
				}
				stop := s.sayEarly("starting\n")
				time.Sleep(time.Second)
				synctest.Wait()
				stop()
				if out.String() != test.want {
					t.Errorf("it says %q", out.String())
				}
			})
		})
	}
}
