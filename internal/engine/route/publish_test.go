package route

import (
	"reflect"
	"testing"

	"github.com/messaging-kafka/messaging-kafka/internal/observe/tracing"
	"github.com/messaging-kafka/messaging-kafka/internal/payload"
	"github.com/messaging-kafka/messaging-kafka/internal/record"
	"github.com/messaging-kafka/messaging-kafka/internal/settings"
)

func TestTheTraceOfACallGoesToARecordThatHasNone(t *testing.T) {
	call := map[string][]string{"traceparent": {"call"}}
	reply := "answers?partition=1"
	envelope := payload.FormOf(&settings.Link{Delivery: settings.Delivery{Payload: settings.PayloadEnvelope}})
	named := payload.FormOf(&settings.Link{Producer: settings.Producer{KeyFrom: settings.KeyFromSubject}})
	for sentence, c := range map[string]struct {
		form *payload.Form
		msg  payload.Message
		want []record.Header
	}{
		"a raw payload": {payload.FormOf(new(settings.Link)), payload.Message{Subject: "t"}, []record.Header{{Key: "traceparent", Value: []byte("call")}}},
		"an envelope without": {envelope, payload.Message{Subject: "t", Body: []byte(`{"data":1}`)},
			[]record.Header{{Key: "traceparent", Value: []byte("call")}}},
		"an envelope with one": {envelope, payload.Message{Subject: "t", Body: []byte(`{"data":1,"kafkaheaders":"[{\"key\":\"traceparent\",\"value\":\"own\"}]"}`)},
			[]record.Header{{Key: "traceparent", Value: []byte("own")}}},
		"a subject with one": {named, payload.Message{Subject: "t?header.traceparent=own", ReplyTo: &reply},
			[]record.Header{{Key: "traceparent", Value: []byte("own")}, {Key: "kafka_replyTopic", Value: []byte("answers")}, {Key: "kafka_replyPartition", Value: []byte{0, 0, 0, 1}}}},
	} {
		t.Run(sentence, func(t *testing.T) {
			out, err := c.form.Outgoing(c.msg)
			list := []record.Outgoing{out}
			(*tracing.Link)(nil).Send(t.Context(), call, list)
			if err != nil || !reflect.DeepEqual(list[0].Headers, c.want) || out.Topic != "t" {
				t.Errorf("got %+v (%v), want headers %v", list[0], err, c.want)
			}
		})
	}
}
