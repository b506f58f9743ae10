package natsout

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/messaging-kafka/messaging-kafka/internal/bridge/natsconn"
	"github.com/messaging-kafka/messaging-kafka/internal/payload"
	"github.com/messaging-kafka/messaging-kafka/internal/record"
	"github.com/messaging-kafka/messaging-kafka/internal/settings"
	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// options are those of a route with settings, in pairs, at a server.
func options(t *testing.T, ns *testkit.NATSServer, deliver settings.Deliver, more ...string) Options {
	t.Helper()
	config := map[string]string{
		"hosts": "kafka:9092", "topic": "orders", "deliver": string(deliver), "nats_url": ns.URL(), "handle_timeout": "5s",
	}
	for i := 0; i < len(more); i += 2 {
		config[more[i]] = more[i+1]
	}
	link, _, err := settings.ParseLink(settings.Input{
		Config: config, Route: true, Identity: settings.Identity{Component: "bridge", LinkName: "orders"},
	})
	if err != nil {
		t.Fatal(err)
	}
	var log testkit.Log
	pool := natsconn.NewPool("test", log.Logger())
	form := payload.FormOf(&link)
	o := Options{
		Route: "orders", Conn: pool.Acquire(link.NATS.Server), Settings: &link, Form: form,
		Message: func(r *record.Record) (payload.Message, bool) {
			m, _ := form.Message(r)
			return m, true
		},
	}
	testkit.Eventually(t, testkit.DefaultTimeout, func() error {
		if p := pool.Problems(); len(p) > 0 {
			return fmt.Errorf("%s", p)
		}
		return nil
	})
	return o
}

// receiver is what Options make.
type receiver interface {
	record.Receiver
	Close()
}

// once hands a record over.
func once(t *testing.T, r receiver, rec *record.Record) record.Outcome {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), testkit.DefaultTimeout)
	defer cancel()
	outcomes := r.Receive(ctx, []*record.Record{rec})
	if len(outcomes) != 1 {
		t.Fatalf("%d outcomes for one record", len(outcomes))
	}
	return outcomes[0]
}

func order(value string) *record.Record {
	return &record.Record{
		Topic: "orders", Partition: 3, Offset: 41, Timestamp: time.UnixMilli(1_700_000_000_123), Key: []byte("customer 7"),
		Value: []byte(value), Attempt: 1,
	}
}

// answering subscribes to the subject orders, and answers each message as answer says: nil is not at all.
func answering(t *testing.T, ns *testkit.NATSServer, answer func(*nats.Msg) [][]byte) {
	t.Helper()
	nc := ns.Connect()
	if _, err := nc.QueueSubscribe("orders", "workers", func(m *nats.Msg) {
		for _, body := range answer(m) {
			if err := m.Respond(body); err != nil {
				t.Errorf("answering: %v", err)
			}
		}
	}); err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
}

// TestReplies asks what each reply means, of a real server.
func TestReplies(t *testing.T) {
	ns := testkit.NATS(t, testkit.NATSOptions{})
	answering(t, ns, func(m *nats.Msg) [][]byte { return [][]byte{m.Data} })
	r := NewReply(options(t, ns, settings.DeliverNATSReply, "reply_topic", "{topic}.reply"))
	defer r.Close()
	for body, want := range map[string]struct {
		kind   record.Kind
		after  time.Duration
		err    string
		output bool
	}{
		"":                              {kind: record.Done},
		"+ACK":                          {kind: record.Done},
		"+OK":                           {kind: record.Done},
		"+ACK\n":                        {kind: record.Done},
		"-NAK":                          {kind: record.Retry, err: "-NAK"},
		`-NAK {"delay": 30000000}`:      {kind: record.Retry, after: 30 * time.Millisecond, err: "-NAK"},
		`-NAK{"delay": 30000000}`:       {kind: record.Retry, after: 30 * time.Millisecond, err: "-NAK"},
		`-NAK {"delay": 5, "delay": 6}`: {kind: record.Retry, err: "delay: is there twice"},
		`-NAK {"Delay": 5}`:             {kind: record.Retry, err: "Delay: is not known: its name is delay"},
		"-NAK 5s":                       {kind: record.Retry, after: 5 * time.Second, err: "-NAK"},
		`-NAK {"delay": -5}`:            {kind: record.Retry, err: "-NAK"},
		"-NAK the shop is shut":         {kind: record.Retry, err: "the shop is shut"},
		"+TERM":                         {kind: record.Reject, err: "+TERM"},
		"+TERM no such article":         {kind: record.Reject, err: "no such article"},
		"an answer":                     {kind: record.Done, output: true},
		"-NAKED":                        {kind: record.Done, output: true},
		"+ACKNOWLEDGED":                 {kind: record.Done, output: true},
	} {
		o := once(t, r, order(body))
		if o.Kind != want.kind || o.After != want.after || (o.Err == nil) != (want.err == "") {
			t.Errorf("%q means %v after %s: %v", body, o.Kind, o.After, o.Err)
		}
		if o.Err != nil && !strings.Contains(o.Err.Error(), want.err) {
			t.Errorf("%q gives the reason %q, want %q in it", body, o.Err, want.err)
		}
		if (len(o.Outputs) == 1) != want.output {
			t.Errorf("%q has the outputs %+v", body, o.Outputs)
			continue
		}
		if want.output {
			if out := o.Outputs[0]; out.Topic != "orders.reply" || string(out.Value) != body || string(out.Key) != "customer 7" {
				t.Errorf("%q becomes %+v", body, out)
			}
		}
	}
}

func TestAServiceThatAnswersWithAnErrorFails(t *testing.T) {
	m := &nats.Msg{Header: nats.Header{"Nats-Service-Error-Code": {"500"}, "Nats-Service-Error": {"out of stock"}}}
	if o, content := verdict(m); o.Kind != record.Retry || content || !strings.Contains(o.Err.Error(), "out of stock") {
		t.Errorf("it means %+v", o)
	}
}

func TestWhoTakesARequest(t *testing.T) {
	ns := testkit.NATS(t, testkit.NATSOptions{MaxPayload: 64 << 10})
	r := NewReply(options(t, ns, settings.DeliverNATSReply, "handle_timeout", "1h"))
	defer r.Close()
	if o := once(t, r, order("one")); o.Kind != record.Unavailable || !strings.Contains(o.Err.Error(), "nobody subscribes to orders") {
		t.Errorf("without subscribers: %+v", o)
	}
	answering(t, ns, func(m *nats.Msg) [][]byte {
		if string(m.Data) == "slow" {
			// Three signs of life, and no answer.
			return [][]byte{[]byte("+WPI"), []byte("+WPI"), []byte("+WPI")}
		}
		return nil
	})
	impatient := NewReply(options(t, ns, settings.DeliverNATSReply, "handle_timeout", "300ms"))
	defer impatient.Close()
	for _, body := range []string{"silent", "slow"} {
		if o := once(t, impatient, order(body)); o.Kind != record.Unanswered || !strings.Contains(o.Err.Error(), "no answer within 300ms") {
			t.Errorf("%s: %+v", body, o)
		}
	}
	large := once(t, r, order(strings.Repeat("x", 65<<10)))
	if large.Kind != record.Reject || !strings.Contains(large.Err.Error(), "no more than 65536") {
		t.Errorf("a message that is too large: %+v", large)
	}
	ns.Stop()
	testkit.Eventually(t, testkit.DefaultTimeout, func() error {
		if o := once(t, r, order("one")); o.Kind != record.Unavailable || !strings.Contains(o.Err.Error(), "no connection to NATS") {
			return fmt.Errorf("without a server: %+v", o)
		}
		return nil
	})
}

// TestARequestWhoseConnectionBreaksIsHeld: nobody knows whether it was handled, and it is no attempt.
func TestARequestWhoseConnectionBreaksIsHeld(t *testing.T) {
	ns := testkit.NATS(t, testkit.NATSOptions{})
	got := make(chan struct{})
	answering(t, ns, func(*nats.Msg) [][]byte {
		close(got)
		return nil
	})
	r := NewReply(options(t, ns, settings.DeliverNATSReply, "handle_timeout", "1h"))
	defer r.Close()
	outcome := make(chan record.Outcome)
	go func() { outcome <- r.Receive(context.Background(), []*record.Record{order("one")})[0] }()
	<-got
	ns.Stop()
	if o := <-outcome; o.Kind != record.Unavailable {
		t.Errorf("it is %+v", o)
	}
}

func TestASubjectThatTheServerDoesNotAllowHoldsItsRecords(t *testing.T) {
	ns := testkit.NATS(t, testkit.NATSOptions{Configure: func(o *server.Options) {
		o.Users = []*server.User{{Username: "bridge", Password: "of the bridge", Permissions: &server.Permissions{
			Publish: &server.SubjectPermission{Deny: []string{"orders"}},
		}}}
	}})
	for _, deliver := range []settings.Deliver{settings.DeliverNATSReply, settings.DeliverJetStream} {
		var r receiver
		o := options(t, ns, deliver, "nats_user", "bridge", "nats_password", "of the bridge")
		if r = NewReply(o); deliver == settings.DeliverJetStream {
			r = NewStream(o)
		}
		if got := once(t, r, order("one")); got.Kind != record.Unavailable || !strings.Contains(got.Err.Error(), "may not publish on orders") {
			t.Errorf("%s: %+v", deliver, got)
		}
		r.Close()
	}
}

// received is what a message of NATS has.
func received(t *testing.T, deliver func(Options) receiver, rec *record.Record, more ...string) *nats.Msg {
	t.Helper()
	ns := testkit.NATS(t, testkit.NATSOptions{})
	nc := ns.Connect()
	got := make(chan *nats.Msg, 1)
	if _, err := nc.Subscribe(">", func(m *nats.Msg) {
		if !strings.HasPrefix(m.Subject, "_INBOX.") {
			got <- m
			if m.Reply != "" {
				_ = m.Respond(nil)
			}
		}
	}); err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	r := deliver(options(t, ns, settings.DeliverNATSReply, more...))
	defer r.Close()
	if o := once(t, r, rec); o.Kind != record.Done {
		t.Fatalf("it is %+v", o)
	}
	return <-got
}

func reply(o Options) receiver { return NewReply(o) }

func TestHeadersSayWhatTheRecordIs(t *testing.T) {
	r := order("a value")
	r.Headers = []record.Header{{Key: "type", Value: []byte("created")}, {Key: "type", Value: []byte("größer")}, {Key: "traceparent",
		Value: []byte("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")}}
	m := received(t, reply, r)
	if m.Subject != "orders" || string(m.Data) != "a value" {
		t.Errorf("it is %q on %s", m.Data, m.Subject)
	}
	for name, want := range map[string]string{
		"Messaging-Kafka-Route": "orders", "Messaging-Kafka-Topic": "orders", "Messaging-Kafka-Partition": "3",
		"Messaging-Kafka-Offset": "41", "Messaging-Kafka-Timestamp": "1700000000123", "Messaging-Kafka-Attempt": "1",
		"Messaging-Kafka-Key": "customer 7", "type": "created,größer", "Messaging-Kafka-Headers": "",
		"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
	} {
		if got := strings.Join(m.Header[name], ","); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
}

// TestWhoWritesARecordHasNoSayInNATS: headers that mean something to servers and clients are told, and not obeyed.
func TestWhoWritesARecordHasNoSayInNATS(t *testing.T) {
	r := order("a value")
	r.Key = []byte{0xff, 0}
	r.Headers = []record.Header{
		{Key: "Nats-Rollup", Value: []byte("all")}, {Key: "nats-msg-id", Value: []byte("1")}, {Key: "Status", Value: []byte("503")},
		{Key: "Messaging-Kafka-Topic", Value: []byte("another")}, {Key: "a: b\r\nc", Value: []byte("x")},
		{Key: "bytes", Value: []byte{0x80}}, {Key: "lines", Value: []byte("a\r\nNats-Rollup: all")}, {Key: "null"},
		{Key: "plain", Value: []byte("as it is")},
	}
	m := received(t, reply, r)
	for name := range m.Header {
		if lower := strings.ToLower(name); strings.HasPrefix(lower, "nats-") || lower == "status" || strings.ContainsAny(name, ": ") ||
			name == "bytes" || name == "lines" || name == "null" {
			t.Errorf("the message has the header %q", name)
		}
	}
	if got := m.Header["Messaging-Kafka-Topic"]; len(got) != 1 || got[0] != "orders" {
		t.Errorf("the topic is %q", got)
	}
	if got := m.Header.Get("Messaging-Kafka-Key-Base64"); got != "/wA=" {
		t.Errorf("the key is %q", got)
	}
	if got := m.Header.Get("plain"); got != "as it is" {
		t.Errorf("the plain header is %q", got)
	}
	var all []struct {
		Key, Base64 string
		Value       *string
	}
	if err := json.Unmarshal([]byte(m.Header.Get("Messaging-Kafka-Headers")), &all); err != nil || len(all) != len(r.Headers) ||
		all[0].Key != "Nats-Rollup" || *all[6].Value != "a\r\nNats-Rollup: all" || all[7].Value != nil {
		t.Errorf("all headers are %+v, %v", all, err)
	}
}

func TestSubjectsNameTheRecord(t *testing.T) {
	for template, want := range map[string]string{
		"{topic}":  "orders",
		"shop.new": "shop.new",
		"kafka.{topic}.{partition}.{offset}.{key}": "kafka.orders.3.41.Y3VzdG9tZXIgNw",
	} {
		if got, err := subjectOf(template, order("")); err != nil || got != want {
			t.Errorf("%s becomes %q, %v; want %q", template, got, err, want)
		}
	}
	for topic, want := range map[string]string{"a.b": "a.b", "a..b": "a._.b", ".a.": "_.a._", "...": "_._._._"} {
		if got, err := subjectOf("{topic}", &record.Record{Topic: topic}); err != nil || got != want {
			t.Errorf("the topic %s becomes %q, %v; want %q", topic, got, err, want)
		}
	}
	long := order("")
	long.Key = make([]byte, 2000)
	if got, err := subjectOf("k.{key}", long); err == nil {
		t.Errorf("a key of 2000 bytes becomes a subject of %d", len(got))
	}
	if got, err := subjectOf("k.{key}", &record.Record{}); err != nil || got != "k._" {
		t.Errorf("no key becomes %q, %v", got, err)
	}
}

func TestStreams(t *testing.T) {
	ns := testkit.NATS(t, testkit.NATSOptions{JetStream: true})
	js, err := jetstream.New(ns.Connect())
	if err != nil {
		t.Fatal(err)
	}
	r := NewStream(options(t, ns, settings.DeliverJetStream))
	defer r.Close()
	if o := once(t, r, order("one")); o.Kind != record.Unavailable || !strings.Contains(o.Err.Error(), "no stream of JetStream has the subject orders") {
		t.Errorf("without a stream: %+v", o)
	}
	ctx := t.Context()
	stream, err := js.CreateStream(ctx, jetstream.StreamConfig{Name: "ORDERS", Subjects: []string{"orders"}, MaxMsgSize: 2000})
	if err != nil {
		t.Fatal(err)
	}
	messages := func() uint64 {
		t.Helper()
		info, err := stream.Info(ctx)
		if err != nil {
			t.Fatal(err)
		}
		return info.State.Msgs
	}
	for range 2 { // the second one as after a restart
		again := NewStream(options(t, ns, settings.DeliverJetStream, "nats_stream", "ORDERS"))
		if o := once(t, again, order("one")); o.Kind != record.Done {
			t.Errorf("it is %+v", o)
		}
		again.Close()
	}
	if n := messages(); n != 1 {
		t.Errorf("the stream has one record %d times", n)
	}
	other := NewStream(options(t, ns, settings.DeliverJetStream, "consumer_group", "another"))
	if o := once(t, other, order("one")); o.Kind != record.Done || messages() != 2 {
		t.Errorf("for another group: %+v, %d messages", o, messages())
	}
	other.Close()
	if o := once(t, r, order(strings.Repeat("x", 3000))); o.Kind != record.Reject || !strings.Contains(o.Err.Error(), "10054") {
		t.Errorf("a message that is larger than the stream takes: %+v", o)
	}
	wrong := NewStream(options(t, ns, settings.DeliverJetStream, "nats_stream", "OTHERS"))
	defer wrong.Close()
	if o := once(t, wrong, order("two")); o.Kind != record.Unavailable || !strings.Contains(o.Err.Error(), "another than nats_stream says") {
		t.Errorf("a stream of another name: %+v", o)
	}
	if _, err := js.UpdateStream(ctx, jetstream.StreamConfig{Name: "ORDERS", Subjects: []string{"orders"}, MaxMsgs: 2, Discard: jetstream.DiscardNew}); err != nil {
		t.Fatal(err)
	}
	full := order("three")
	full.Offset++
	if o := once(t, r, full); o.Kind != record.Unavailable || !strings.Contains(o.Err.Error(), "maximum messages") {
		t.Errorf("a stream that is full: %+v", o)
	}
}

func TestWhoAnswersForNoStreamIsNone(t *testing.T) {
	ns := testkit.NATS(t, testkit.NATSOptions{})
	for _, says := range []string{
		"+ACK", `{"stream":"A","error":{"code":500},"error":null}`, `{"stream":"","Stream":"A"}`,
	} {
		if o := stored(&nats.Msg{Data: []byte(says)}, "orders"); o.Kind != record.Unavailable ||
			!strings.Contains(o.Err.Error(), "no stream of JetStream") {
			t.Errorf("%s: it is %+v", says, o)
		}
	}
	answering(t, ns, func(*nats.Msg) [][]byte { return [][]byte{[]byte("+ACK")} })
	r := NewStream(options(t, ns, settings.DeliverJetStream))
	defer r.Close()
	if o := once(t, r, order("one")); o.Kind != record.Unavailable || !strings.Contains(o.Err.Error(), "no stream of JetStream") {
		t.Errorf("it is %+v", o)
	}
}

func TestPlainIsDoneWhenTheServerHasIt(t *testing.T) {
	ns := testkit.NATS(t, testkit.NATSOptions{})
	r := NewPlain(options(t, ns, settings.DeliverNATS))
	defer r.Close()
	if o := once(t, r, order("nobody")); o.Kind != record.Done {
		t.Errorf("without subscribers: %+v", o)
	}
	var mu sync.Mutex
	var got []string
	answering(t, ns, func(m *nats.Msg) [][]byte {
		mu.Lock()
		defer mu.Unlock()
		got = append(got, string(m.Data)+m.Reply)
		return nil
	})
	if o := once(t, r, order("one")); o.Kind != record.Done {
		t.Errorf("it is %+v", o)
	}
	testkit.Eventually(t, testkit.DefaultTimeout, func() error {
		mu.Lock()
		defer mu.Unlock()
		if len(got) != 1 || got[0] != "one" {
			return fmt.Errorf("%q came", got)
		}
		return nil
	})
	ns.Stop()
	testkit.Eventually(t, testkit.DefaultTimeout, func() error {
		if o := once(t, r, order("two")); o.Kind != record.Unavailable {
			return fmt.Errorf("without a server: %+v", o)
		}
		return nil
	})
}

// TestWhoAsksForMoreTimeForEver is told of by the setting that bounds it.
func TestWhoAsksForMoreTimeForEver(t *testing.T) {
	ns := testkit.NATS(t, testkit.NATSOptions{})
	answering(t, ns, func(*nats.Msg) [][]byte { return [][]byte{[]byte("+WPI")} })
	r := NewReply(options(t, ns, settings.DeliverNATSReply, "handle_timeout", "1m", "nats_max_wait", "2m"))
	defer r.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond) // of the engine, which gives a call nats_max_wait
	defer cancel()
	o := r.Receive(ctx, []*record.Record{order("x")})[0]
	if o.Kind != record.Unanswered || !strings.Contains(o.Err.Error(), "within nats_max_wait (2m0s)") || errors.Is(o.Err, context.DeadlineExceeded) {
		t.Errorf("it is %v: %v", o.Kind, o.Err)
	}
}
