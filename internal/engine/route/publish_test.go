package route

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/messaging-kafka/messaging-kafka/internal/engine/produce"
	"github.com/messaging-kafka/messaging-kafka/internal/observe/status"
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

// TestErrorsOfRoutesSayNothingSecret: whoever publishes is told what is wrong, and not what the link knows.
func TestErrorsOfRoutesSayNothingSecret(t *testing.T) {
	virtually(t, func(b *bench) {
		b.topics("orders")
		const secret = "hunter2-hunter2"
		r := b.put(target(b.config("", "allowed_topics", "orders")))
		r.Hide([]string{secret})
		tell := func(what string, err error) {
			b.t.Helper()
			if err == nil || strings.Contains(err.Error(), secret) {
				b.t.Errorf("%s: %v", what, err)
			}
		}
		ctx := b.t.Context()
		tell("publish", r.Publish(ctx, nil, payload.Message{Subject: secret}))
		tell("send", r.Send(ctx, nil, []record.Outgoing{{Topic: secret, Partition: record.AnyPartition}})[0].Err)
		_, err := r.RequestMessage(ctx, nil, payload.Message{Subject: secret}, time.Second)
		if !errors.Is(err, ErrNoReplyTopic) {
			b.t.Errorf("a request without a topic for answers: %v", err)
		}
		if e, ok := errors.AsType[*produce.Error](r.Publish(ctx, nil, payload.Message{Subject: secret})); !ok || e.Class != produce.ClassInvalid && e.Class != produce.ClassNotAuthorised {
			b.t.Errorf("the error is no longer one of publishing: %+v", e)
		}
		r.Refuse(errors.New("no " + secret))
		b.awaitStatus(func(s *status.Provider) error {
			if l := linkOf(s, targetID); !l.Problems.Has(status.ProblemRefused) || strings.Contains(l.Reason, secret) {
				return errors.New(l.Reason)
			}
			return nil
		})
		err = r.Publish(ctx, nil, payload.Message{Subject: "orders"})
		tell("a link that is refused", err)
		if _, ok := errors.AsType[*UnusableError](err); !ok {
			b.t.Errorf("a link that is refused: %v", err)
		}
	})
}

// TestARouteOfASourceIsNotPublishedBy: the error names its interface.
func TestARouteOfASourceIsNotPublishedBy(t *testing.T) {
	virtually(t, func(b *bench) {
		b.topics("in")
		err := b.put(source(b.config("in"))).Publish(b.t.Context(), nil, payload.Message{Subject: "in"})
		if _, ok := errors.AsType[*UnusableError](err); !ok || !strings.Contains(err.Error(), "wasmcloud:messaging/handler") {
			b.t.Errorf("publishing: %v", err)
		}
	})
}
