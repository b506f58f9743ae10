package bridge

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/messaging-kafka/messaging-kafka/internal/observe/status"
	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

// answered is the body of an answer to a request on NATS.
type answered struct {
	Topic     string
	Partition int32
	Offset    int64
	Error     *struct{ Code, Message string }
}

// ask makes a request on NATS.
func ask(t *testing.T, nc *nats.Conn, m *nats.Msg) answered {
	t.Helper()
	reply, err := nc.RequestMsg(m, testkit.DefaultTimeout)
	if err != nil {
		t.Fatal(err)
	}
	var a answered
	if err := json.Unmarshal(reply.Data, &a); err != nil {
		t.Fatalf("%v: %q", err, reply.Data)
	}
	return a
}

func fromNATS(ns *testkit.NATSServer, more ...string) string {
	return "in\nnats_publish_subject: kafka.>\nallowed_topics: orders*\nnats_url: " + ns.URL() + strings.Join(append([]string{""}, more...), "\n")
}

func TestRequestsOnNATSAreAnsweredWithThePosition(t *testing.T) {
	k := testkit.Kfake(t)
	k.Topic("orders.new", 1)
	client := testkit.NewClient(t, k.Brokers())
	ns := testkit.NATS(t, testkit.NATSOptions{})
	b := start(t, file(k.Brokers(), fromNATS(ns, "key_from: subject")), nil)
	b.await(healthy)
	ns.WaitInterest("kafka.orders.new")
	if l := b.status().Links; len(l) != 1 || l[0].Package != status.NATSMessages || l[0].Direction != status.Target {
		t.Errorf("the status is %+v", l)
	}
	nc := ns.Connect()
	m := nats.NewMsg("kafka.orders.new")
	m.Data = []byte("one")
	m.Header = nats.Header{
		"Messaging-Kafka-Key": {"customer 7"}, "type": {"created"}, "Nats-Msg-Id": {"1"},
		"traceparent": {"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"},
	}
	if a := ask(t, nc, m); a.Error != nil || a.Topic != "orders.new" || a.Offset != 0 {
		t.Errorf("the answer is %+v", a)
	}
	if a := ask(t, nc, &nats.Msg{Subject: "kafka.orders.new?key=customer-8", Data: []byte("two")}); a.Error != nil || a.Offset != 1 {
		t.Errorf("the answer is %+v", a)
	}
	records := client.Read("orders.new", 2)
	if r := records[0]; string(r.Value) != "one" || string(r.Key) != "customer 7" || len(r.Headers) != 2 || r.Headers[0].Key != "type" ||
		r.Headers[1].Key != "traceparent" {
		t.Errorf("the first record is %q with key %q and %+v", r.Value, r.Key, r.Headers)
	}
	if r := records[1]; string(r.Value) != "two" || string(r.Key) != "customer-8" {
		t.Errorf("the second record is %q with key %q", r.Value, r.Key)
	}
	for subject, code := range map[string]string{"kafka.bills": "not-authorised", "kafka.orders.not.there": "unknown-topic"} {
		if a := ask(t, nc, &nats.Msg{Subject: subject, Data: []byte("three")}); a.Error == nil || a.Error.Code != code || a.Error.Message == "" {
			t.Errorf("the answer on %s is %+v, want %s", subject, a.Error, code)
		}
	}
	if err := b.stop(); err != nil {
		t.Error(err)
	}
	ns.WaitNoInterest("kafka.orders.new")
}

// TestSubjectsOnNATSNameTheKeyOnEachRoute: on one that sends all to one topic, and on one that hands whole records over
// besides.
func TestSubjectsOnNATSNameTheKeyOnEachRoute(t *testing.T) {
	k := testkit.Kfake(t)
	k.Topic("orders", 1)
	k.Topic("read", 1)
	client := testkit.NewClient(t, k.Brokers())
	app := newApplication(t, nil)
	ns := testkit.NATS(t, testkit.NATSOptions{})
	nc := ns.Connect()
	b := start(t, file(k.Brokers(), fromNATS(ns, "key_from: subject", "nats_publish_topic: orders", "topic: read",
		"deliver: http-records", "url: "+app.URL)), nil)
	b.await(healthy)
	ns.WaitInterest("kafka.any")
	if a := ask(t, nc, &nats.Msg{Subject: "kafka.any?key=customer-8&header.type=created", Data: []byte("one")}); a.Error != nil || a.Topic != "orders" {
		t.Errorf("the answer is %+v", a)
	}
	if a := ask(t, nc, &nats.Msg{Subject: "kafka.any?key=%zz", Data: []byte("one")}); a.Error == nil || a.Error.Code != "invalid" {
		t.Errorf("the answer is %+v", a)
	}
	if r := client.Read("orders", 1)[0]; string(r.Key) != "customer-8" || len(r.Headers) != 1 || r.Headers[0].Key != "type" {
		t.Errorf("the record has the key %q and %+v", r.Key, r.Headers)
	}
	if b.log.Contains("key_from") {
		t.Errorf("the log says that the setting is not used:\n%s", b.log.String())
	}
}

// TestAMessageOnNATSThatIsLostIsTold, since nobody else can: it asks for no answer, or for one where none is given.
func TestAMessageOnNATSThatIsLostIsTold(t *testing.T) {
	k := testkit.Kfake(t)
	k.Topic("orders", 1)
	client := testkit.NewClient(t, k.Brokers())
	ns := testkit.NATS(t, testkit.NATSOptions{})
	b := start(t, file(k.Brokers(), fromNATS(ns)), nil)
	b.await(healthy)
	ns.WaitInterest("kafka.orders")
	nc := ns.Connect()
	if err := nc.Publish("kafka.bills", []byte("lost")); err != nil {
		t.Fatal(err)
	}
	b.await(func(s *status.Provider) error {
		if !s.Problems.Has(status.ProblemPublish) || !strings.Contains(s.Message, "1 messages on NATS") {
			return fmt.Errorf("it is not told: %q", s.Message)
		}
		return nil
	})
	overheard, err := nc.SubscribeSync("shop.orders.delete")
	if err != nil {
		t.Fatal(err)
	}
	if err := nc.PublishRequest("kafka.orders", "shop.orders.delete", []byte("kept")); err != nil {
		t.Fatal(err)
	}
	if r := client.Read("orders", 1); string(r[0].Value) != "kept" {
		t.Errorf("%q is stored", r[0].Value)
	}
	b.await(healthy)
	if err := b.stop(); err != nil {
		t.Error(err)
	}
	if err := nc.Flush(); err != nil { // what was said before has come by then
		t.Fatal(err)
	}
	if m, err := overheard.NextMsg(time.Millisecond); err == nil {
		t.Errorf("%q was said to somebody whom the sender chose", m.Data)
	}
}

// TestAChangedRouteLosesNoRequestOnNATS: the next listener is there before the one before it goes. A server may have
// found the one and hand over when it is gone, and says so at once then.
func TestAChangedRouteLosesNoRequestOnNATS(t *testing.T) {
	t.Parallel()
	k := testkit.Kfake(t)
	k.Topic("orders", 1)
	client := testkit.NewClient(t, k.Brokers())
	ns := testkit.NATS(t, testkit.NATSOptions{})
	b := start(t, file(k.Brokers(), fromNATS(ns)), nil)
	b.await(healthy)
	ns.WaitInterest("kafka.orders")
	nc := ns.Connect()
	var values []string
	stop := make(chan struct{})
	var asking sync.WaitGroup
	asking.Go(func() {
		for i, refused := 0, 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			value := fmt.Sprint("order ", i)
			reply, err := nc.Request("kafka.orders", []byte(value), testkit.DefaultTimeout)
			switch {
			case errors.Is(err, nats.ErrNoResponders) && refused < 3:
				refused++
			case err != nil || !strings.Contains(string(reply.Data), `"offset"`):
				t.Errorf("%s: %v", value, err)
				return
			default:
				values = append(values, value)
			}
		}
	})
	end := sync.OnceFunc(func() {
		close(stop)
		asking.Wait()
	})
	defer end()
	write(t, b.path, withAdmin(file(k.Brokers(), fromNATS(ns, "nats_queue: another"))))
	testkit.Eventually(t, testkit.DefaultTimeout, func() error {
		subs, err := ns.Server().Subsz(&server.SubszOptions{Subscriptions: true, Test: "kafka.orders"})
		if err != nil {
			return err
		}
		if len(subs.Subs) != 1 || subs.Subs[0].Queue != "another" {
			return fmt.Errorf("subscribed are %+v", subs.Subs)
		}
		return nil
	})
	end()
	there := make(map[string]bool)
	client.ReadUntil("orders", testkit.DefaultTimeout, func(records []*kgo.Record) bool {
		for _, r := range records {
			there[string(r.Value)] = true
		}
		return len(there) >= len(values)
	})
	for _, v := range values {
		if !there[v] {
			t.Errorf("%s was answered with its position, and is not there", v)
		}
	}
}
