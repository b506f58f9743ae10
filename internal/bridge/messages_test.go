package bridge

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/messaging-kafka/messaging-kafka/internal/payload"
	"github.com/messaging-kafka/messaging-kafka/internal/payload/wit"
	"github.com/messaging-kafka/messaging-kafka/internal/record"
	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

// publish publishes a message by a bridge's server, as a component's consumer.publish does.
func publish(url, route string, msg payload.Message) error {
	req, err := http.NewRequest(http.MethodPost, url+"/v1/messages/publish", bytes.NewReader(wit.AppendMessage(nil, msg)))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", wit.MessagesType)
	req.Header.Set("Messaging-Kafka-Route", route)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	switch {
	case err != nil:
		return err
	case resp.StatusCode != http.StatusOK:
		return fmt.Errorf("the bridge answers %d: %s", resp.StatusCode, body)
	case len(body) > 1: // an ok has nothing behind it, an error its text
		d := wit.NewBytesDecoder(body[1:])
		text, err := d.String()
		return errors.Join(errors.New(text), err)
	}
	return nil
}

// component serves messages of deliver=http-messages: handle is its handle-message.
func component(t *testing.T, handle func(payload.Message) error) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return // the bridge gave the request up
		}
		list, err := wit.DecodeMessages(wit.NewBytesDecoder(body))
		if err != nil {
			t.Errorf("a request that is none: %v", err)
		}
		failures := make([]*string, len(list))
		for i, msg := range list {
			if err := handle(msg); err != nil {
				text := err.Error()
				failures[i] = &text
			}
		}
		w.Header().Set("Content-Type", wit.MessagesType)
		_, _ = w.Write(wit.AppendResults(nil, failures)) // a bridge that went does not read it
	}))
	t.Cleanup(s.Close)
	return s
}

// TestAComponentAnswersRequestsByTheBridge: a request over Kafka reaches it with the address of its answer, at which it
// publishes by the bridge; any other record has the route's own reply topic, and one that names a topic that the route
// does not believe is as any other. An answer that can never be published ends the delivery of its request.
func TestAComponentAnswersRequestsByTheBridge(t *testing.T) {
	k := testkit.Kfake(t)
	for _, topic := range []string{"orders", "answers", "elsewhere", "orders.reply", "dead"} {
		k.Topic(topic, 2)
	}
	client := testkit.NewClient(t, k.Brokers())
	var url string
	started := make(chan bool)
	app := component(t, func(msg payload.Message) error {
		<-started
		if msg.ReplyTo == nil {
			return errors.New("reject: no address for the answer")
		}
		return publish(url, "orders", payload.Message{Subject: *msg.ReplyTo, Body: append([]byte("re: "), msg.Body...)})
	})
	b, at := startListening(t, file(k.Brokers(), "orders\ntopic: orders\ndeliver: http-messages\nurl: "+app.URL+
		"\nreply_topics_from_records: answers\ndead_letter_topic: dead"), nil)
	b.await(healthy)
	url = at
	close(started)
	asks := func(value, topic, correlation string, partition byte) *kgo.Record {
		return &kgo.Record{Topic: "orders", Value: []byte(value), Headers: []kgo.RecordHeader{
			{Key: record.ReplyTopicHeader, Value: []byte(topic)}, {Key: record.CorrelationHeader, Value: []byte(correlation)},
			{Key: record.ReplyPartitionHeader, Value: []byte{0, 0, 0, partition}},
		}}
	}
	client.Produce(asks("a request", "answers", "\x00id", 1), asks("of a stranger", "elsewhere", "id", 1),
		&kgo.Record{Topic: "orders", Value: []byte("plain")}, asks("nowhere", "answers", "id", 9))
	answer := client.Read("answers", 1)[0]
	if string(answer.Value) != "re: a request" || answer.Partition != 1 || len(answer.Headers) == 0 ||
		answer.Headers[0].Key != record.CorrelationHeader || string(answer.Headers[0].Value) != "\x00id" {
		t.Errorf("the answer is %q in partition %d with %v", answer.Value, answer.Partition, answer.Headers)
	}
	plain := map[string]bool{}
	for _, r := range client.Read("orders.reply", 2) {
		plain[string(r.Value)] = true
	}
	if !plain["re: of a stranger"] || !plain["re: plain"] {
		t.Errorf("the reply topic of the route has %v", plain)
	}
	if dead := client.Read("dead", 1)[0]; string(dead.Value) != "nowhere" {
		t.Errorf("the dead letter is %q", dead.Value)
	}
	if !b.log.Contains("reply_topics_from_records") {
		t.Error("nobody was told of the topic that is not believed")
	}
	client.WaitDrained("bridge.orders", "orders")
	if end := client.EndOffsets("elsewhere"); end[0]+end[1] != 0 {
		t.Errorf("something was published where a stranger wanted it: %v", end)
	}
}
