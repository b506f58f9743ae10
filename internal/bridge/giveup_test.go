package bridge

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/messaging-kafka/messaging-kafka/internal/observe/status"
	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

// shopStream is a stream for orders with a consumer whose application acknowledges, refuses or fails as the bodies say.
type shopStream struct {
	t  *testing.T
	js jetstream.JetStream
	// worker is the consumer.
	worker jetstream.Consumer
}

const advisoryStream = "GIVEN_UP"

// newShop starts a Kafka with the topic orders, of some partitions, and one for its letters, and the shop's stream on
// NATS.
func newShop(t *testing.T, partitions int32) (*testkit.FakeKafka, *testkit.Client, *testkit.NATSServer, *shopStream) {
	t.Helper()
	k := testkit.Kfake(t)
	k.Topic("orders", partitions)
	k.Topic("orders.dead", 1)
	ns := testkit.NATS(t, testkit.NATSOptions{JetStream: true})
	return k, testkit.NewClient(t, k.Brokers()), ns, newShopStream(t, ns)
}

func newShopStream(t *testing.T, ns *testkit.NATSServer, opts ...nats.Option) *shopStream {
	t.Helper()
	js, err := jetstream.New(ns.Connect(opts...))
	if err != nil {
		t.Fatal(err)
	}
	s := &shopStream{t: t, js: js}
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "ORDERS", Subjects: []string{"stream.>"}}); err != nil {
		t.Fatal(err)
	}
	if s.worker, err = js.CreateConsumer(t.Context(), "ORDERS", jetstream.ConsumerConfig{
		Durable: "worker", AckPolicy: jetstream.AckExplicitPolicy, MaxDeliver: 2,
	}); err != nil {
		t.Fatal(err)
	}
	return s
}

// keepAdvisories makes the stream that keeps what is said of given up messages.
func (s *shopStream) keepAdvisories() {
	s.t.Helper()
	if _, err := s.js.CreateStream(s.t.Context(), jetstream.StreamConfig{Name: advisoryStream, Subjects: []string{
		"$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.ORDERS.*", "$JS.EVENT.ADVISORY.CONSUMER.MSG_TERMINATED.ORDERS.*",
	}}); err != nil {
		s.t.Fatal(err)
	}
}

// work handles what is there until n messages are acknowledged, terminated or given up.
func (s *shopStream) work(n int) {
	s.t.Helper()
	messages, err := s.worker.Messages(jetstream.PullMaxMessages(1), jetstream.PullExpiry(time.Second))
	if err != nil {
		s.t.Fatal(err)
	}
	defer messages.Stop()
	for n > 0 {
		m, err := messages.Next()
		if err != nil {
			s.t.Fatal(err)
		}
		meta, err := m.Metadata()
		if err != nil {
			s.t.Fatal(err)
		}
		switch body := string(m.Data()); {
		case strings.HasPrefix(body, "no use"):
			err = m.TermWithReason("nobody wants it")
			n--
		case strings.HasPrefix(body, "fails"):
			err = m.Nak()
			if meta.NumDelivered == 2 {
				n--
			}
		default:
			err = m.Ack()
			n--
		}
		if err != nil {
			s.t.Fatal(err)
		}
	}
	// The server gives a message up when it would deliver it once more, which somebody has to ask for.
	testkit.Eventually(s.t, testkit.DefaultTimeout, func() error {
		more, err := s.worker.FetchNoWait(1)
		if err != nil {
			return err
		}
		for m := range more.Messages() {
			s.t.Errorf("another message comes: %.20q", m.Data())
		}
		info, err := s.worker.Info(s.t.Context())
		if err == nil && info.NumAckPending > 0 {
			err = fmt.Errorf("%d messages are not given up yet", info.NumAckPending)
		}
		return err
	})
}

func toShopStream(ns *testkit.NATSServer, more ...string) string {
	return "orders\ntopic: orders\ndeliver: jetstream\nnats_subject: stream.orders\nnats_stream: ORDERS\n" +
		"nats_advisory_stream: " + advisoryStream + "\ndead_letter_topic: orders.dead\nnats_url: " + ns.URL() + "\n" + strings.Join(more, "\n")
}

// lettersOf are the dead letters, by their values: each once.
func lettersOf(t *testing.T, client *testkit.Client, n int) map[string]*kgo.Record {
	t.Helper()
	letters := make(map[string]*kgo.Record)
	for _, r := range client.Read("orders.dead", n) {
		if letters[string(r.Value)] != nil {
			t.Errorf("there are two dead letters of %q", r.Value)
		}
		letters[string(r.Value)] = r
	}
	return letters
}

func headersOf(r *kgo.Record) map[string]string {
	headers := make(map[string]string)
	for _, h := range r.Headers {
		headers[h.Key] = string(h.Value)
	}
	return headers
}

// TestWhatAConsumerGivesUpBecomesADeadLetter: with key, value and headers of the record, its place and the reason,
// once; also where it was given up while no bridge ran.
func TestWhatAConsumerGivesUpBecomesADeadLetter(t *testing.T) {
	k, client, ns, shop := newShop(t, 1)
	shop.keepAdvisories()
	content := file(k.Brokers(), toShopStream(ns))
	b := start(t, content, nil)
	large := "fails: " + strings.Repeat("x", 700<<10)
	client.Produce(
		&kgo.Record{Topic: "orders", Key: []byte("customer 7"), Value: []byte("fails"), Timestamp: time.UnixMilli(1_700_000_000_123), Headers: []kgo.RecordHeader{
			{Key: "shop", Value: []byte("eu")}, {Key: "none"}, {Key: "bytes", Value: []byte{0xff}},
		}},
		&kgo.Record{Topic: "orders", Key: []byte{0xff, 0}, Value: []byte("no use"), Headers: []kgo.RecordHeader{{Key: "b", Value: []byte("1")}, {Key: "a", Value: []byte("2")}}},
		&kgo.Record{Topic: "orders", Value: []byte("fine")},
		&kgo.Record{Topic: "orders", Value: []byte(large)},
	)
	if _, err := shop.js.Publish(t.Context(), "stream.others", []byte("fails: another has written it")); err != nil {
		t.Fatal(err)
	}
	shop.work(5)
	letters := lettersOf(t, client, 3)
	failed, refused := letters["fails"], letters["no use"]
	if failed == nil || refused == nil || letters[large] == nil {
		t.Fatalf("the dead letters are of %q", slices.Collect(maps.Keys(letters)))
	}
	for name, want := range map[string]string{
		"kafka_dlt-original-topic": "orders", "kafka_dlt-original-partition": "\x00\x00\x00\x00",
		"kafka_dlt-original-offset":         "\x00\x00\x00\x00\x00\x00\x00\x00",
		"kafka_dlt-original-timestamp":      string(binary.BigEndian.AppendUint64(nil, 1_700_000_000_123)),
		"kafka_dlt-original-consumer-group": "bridge.orders",
		"kafka_dlt-exception-message":       "the consumer worker of the stream ORDERS has given it up after 2 deliveries",
		"kafka_deliveryAttempt":             "\x00\x00\x00\x02",
		"wasmcloud-component":               "bridge", "shop": "eu", "none": "", "bytes": "\xff",
	} {
		if got, is := headersOf(failed)[name]; !is || got != want {
			t.Errorf("header %s is %q, want %q", name, got, want)
		}
	}
	if string(failed.Key) != "customer 7" || failed.Timestamp.UnixMilli() != 1_700_000_000_123 || failed.Headers[1].Value != nil {
		t.Errorf("the letter is %+v", failed)
	}
	if h := headersOf(refused); string(refused.Key) != "\xff\x00" || h["a"] != "2" || h["b"] != "1" ||
		h["kafka_dlt-exception-message"] != "the consumer worker of the stream ORDERS: nobody wants it" {
		t.Errorf("the letter is %+v with key %q", h, refused.Key)
	}
	b.await(func(s *status.Provider) error {
		if n := s.Links[0].Counters.DeadLetters; n != 3 {
			return fmt.Errorf("%v dead letters are counted", n)
		}
		return healthy(s)
	})
	client.ProduceText("orders", "fails while nobody is there")
	client.WaitDrained("bridge.orders", "orders")
	if err := b.stop(); err != nil {
		t.Error(err)
	}
	shop.work(1)
	again := start(t, content, nil)
	if letters := lettersOf(t, client, 4); letters["fails while nobody is there"] == nil {
		t.Errorf("the dead letters are of %q", slices.Collect(maps.Keys(letters)))
	}
	shop.settled()
	if err := again.stop(); err != nil {
		t.Error(err)
	}
	client.ProduceText("orders.dead", "the end")
	if letters := lettersOf(t, client, 5); letters["the end"] == nil {
		t.Errorf("there are more: %q", slices.Collect(maps.Keys(letters)))
	}
}

// settled waits until no advisory is left that a bridge has not finished.
func (s *shopStream) settled() {
	s.t.Helper()
	testkit.Eventually(s.t, testkit.DefaultTimeout, func() error {
		stream, err := s.js.Stream(s.t.Context(), advisoryStream)
		if err != nil {
			return err
		}
		consumers := stream.ListConsumers(s.t.Context())
		n := 0
		for info := range consumers.Info() {
			n++
			if info.NumPending > 0 || info.NumAckPending > 0 {
				return fmt.Errorf("%d advisories wait, and %d are being handled", info.NumPending, info.NumAckPending)
			}
		}
		if err := consumers.Err(); err != nil {
			return err
		}
		if n != 1 {
			return fmt.Errorf("there are %d consumers of advisories", n)
		}
		return nil
	})
}

// TestALetterThatCannotBeStoredWaits, and health tells of it, as of a stream of advisories that is not there.
func TestALetterThatCannotBeStoredWaits(t *testing.T) {
	k, client, ns, shop := newShop(t, 1)
	b := start(t, file(k.Brokers(), toShopStream(ns, "payload: envelope")), nil)
	b.await(func(s *status.Provider) error {
		if !s.Problems.Has(status.ProblemNATS) || !strings.Contains(s.Message, "reading the stream "+advisoryStream+": stream not found") {
			return fmt.Errorf("it is not told: %q", s.Message)
		}
		return nil
	})
	shop.keepAdvisories()
	b.await(healthy)
	fault := k.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: "orders.dead", Err: kerr.TopicAuthorizationFailed, Count: -1})
	client.Produce(&kgo.Record{Topic: "orders", Key: []byte("k"), Value: []byte("no use, in an envelope"), Headers: []kgo.RecordHeader{{Key: "b", Value: []byte("1")}, {Key: "a"}}})
	shop.terminate()
	b.await(func(s *status.Provider) error {
		if !s.Problems.Has(status.ProblemDeadLetters) || !strings.Contains(s.Message, "storing a dead letter in orders.dead") {
			return fmt.Errorf("it is not told: %q", s.Message)
		}
		return nil
	})
	fault.Remove()
	letter := client.Read("orders.dead", 1)[0]
	if h := letter.Headers; string(letter.Value) != "no use, in an envelope" || string(letter.Key) != "k" || h[0].Key != "b" || h[1].Key != "a" || h[1].Value != nil {
		t.Errorf("the letter is %+v", letter)
	}
	b.await(healthy)
	shop.settled()
	if err := b.stop(); err != nil {
		t.Error(err)
	}
}

// terminate has the consumer refuse the next message.
func (s *shopStream) terminate() {
	s.t.Helper()
	m, err := s.worker.Next(jetstream.FetchMaxWait(testkit.DefaultTimeout))
	if err == nil {
		err = m.Term()
	}
	if err != nil {
		s.t.Fatal(err)
	}
}

// TestAMessageThatIsGoneIsTold: a stream that forgets what is terminated leaves nothing to make a letter of.
func TestAMessageThatIsGoneIsTold(t *testing.T) {
	k, client, ns, shop := newShop(t, 1)
	shop.keepAdvisories()
	content := file(k.Brokers(), toShopStream(ns))
	first := start(t, content, nil)
	client.ProduceText("orders", "no use")
	client.WaitDrained("bridge.orders", "orders")
	if err := first.stop(); err != nil {
		t.Error(err)
	}
	shop.terminate()
	stream, err := shop.js.Stream(t.Context(), "ORDERS")
	if err == nil {
		err = stream.Purge(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	b := start(t, content, nil)
	testkit.Eventually(t, testkit.DefaultTimeout, func() error {
		if !b.log.Contains("is gone from its stream: there is no dead letter of it") {
			return errors.New("it is not told")
		}
		return nil
	})
	shop.settled()
	b.await(healthy)
}
