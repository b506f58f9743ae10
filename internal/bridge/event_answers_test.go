package bridge

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/messaging-kafka/messaging-kafka/internal/record"
	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

// TestAnswersToEventsGoWhereTheyAreAskedFor: at the address that a request over Kafka names, with its correlation id,
// where the route believes that; else to the route's reply topic, with the key of the record.
func TestAnswersToEventsGoWhereTheyAreAskedFor(t *testing.T) {
	k := testkit.Kfake(t)
	for _, topic := range []string{"orders", "answers", "replies"} {
		k.Topic(topic, 2)
	}
	client := testkit.NewClient(t, k.Brokers())
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return // the bridge gave the request up
		}
		w.Header().Set("Content-Type", "text/plain")
		_, _ = w.Write(append([]byte("re: "), body...)) // a bridge that went does not read it
	}))
	t.Cleanup(app.Close)
	b := start(t, file(k.Brokers(), "orders\ntopic: orders\ndeliver: http-cloudevents\nurl: "+app.URL+
		"\nreply_topic: replies\nreply_topics_from_records: answers\ntransactions: true"), nil)
	b.await(healthy)
	client.Produce(
		&kgo.Record{Topic: "orders", Key: []byte("k"), Value: []byte("a request"), Headers: []kgo.RecordHeader{
			{Key: record.ReplyTopicHeader, Value: []byte("answers")}, {Key: record.CorrelationHeader, Value: []byte("\x00id")},
			{Key: record.ReplyPartitionHeader, Value: []byte{0, 0, 0, 1}},
		}},
		&kgo.Record{Topic: "orders", Key: []byte("k"), Value: []byte("plain")})
	answer := client.Read("answers", 1)[0]
	correlation := ""
	for _, h := range answer.Headers {
		if h.Key == record.CorrelationHeader {
			correlation = string(h.Value)
		}
	}
	if string(answer.Value) != "re: a request" || answer.Partition != 1 || correlation != "\x00id" {
		t.Errorf("the answer is %q in partition %d with %v", answer.Value, answer.Partition, answer.Headers)
	}
	if reply := client.Read("replies", 1)[0]; string(reply.Value) != "re: plain" || string(reply.Key) != "k" {
		t.Errorf("the reply is %q of key %q", reply.Value, reply.Key)
	}
	if b.log.Contains("reply_topics_from_records") {
		t.Error("a setting that is used is said to be of no use")
	}
}
