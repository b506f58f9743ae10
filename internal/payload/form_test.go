package payload

import (
	"strings"
	"testing"

	"github.com/messaging-kafka/messaging-kafka/internal/record"
	"github.com/messaging-kafka/messaging-kafka/internal/settings"
)

func TestAMessageSaysWhereItsAnswerGoes(t *testing.T) {
	asks := []record.Header{
		{Key: record.ReplyTopicHeader, Value: []byte("answers")}, {Key: record.CorrelationHeader, Value: []byte("7")},
	}
	for sentence, c := range map[string]struct {
		replyTopic string
		believed   []string
		headers    []record.Header
		want       string
		refused    string
	}{
		"where the link says":                            {replyTopic: "{topic}.reply", want: "orders.reply"},
		"nowhere":                                        {},
		"where the record says":                          {replyTopic: "{topic}.reply", believed: []string{"ans*"}, headers: asks, want: "answers?correlation=37"},
		"where the link says, for a stranger":            {replyTopic: "{topic}.reply", believed: []string{"other"}, headers: asks, want: "orders.reply", refused: "answers"},
		"nowhere, for a stranger":                        {believed: []string{"other"}, headers: asks, refused: "answers"},
		"where the record says, if it is the link's own": {replyTopic: "answers", believed: []string{}, headers: asks, want: "answers?correlation=37"},
	} {
		t.Run(sentence, func(t *testing.T) {
			f := FormOf(&settings.Link{
				Delivery: settings.Delivery{ReplyTopic: c.replyTopic},
				Producer: settings.Producer{ReplyTopicsFromRecords: c.believed},
			})
			for range 2 { // the second time from memory
				msg, refused := f.Message(&record.Record{Topic: "orders", Value: []byte("v"), Headers: c.headers})
				got := ""
				if msg.ReplyTo != nil {
					got = *msg.ReplyTo
				}
				if msg.Subject != "orders" || string(msg.Body) != "v" || got != c.want || refused != c.refused {
					t.Errorf("got %+v with reply to %q and %q refused", msg, got, refused)
				}
			}
			if msg, _ := f.Message(&record.Record{Topic: "other"}); c.replyTopic == "{topic}.reply" &&
				*msg.ReplyTo != "other.reply" {
				t.Errorf("a record of another topic has %q", *msg.ReplyTo)
			}
		})
	}
}

func TestAnAnswerDoesNotGoBackToWhereItCameFrom(t *testing.T) {
	asks := []record.Header{{Key: record.ReplyTopicHeader, Value: []byte("answers")}}
	f := FormOf(&settings.Link{
		Delivery: settings.Delivery{ReplyTopic: "answers"}, Producer: settings.Producer{ReplyTopicsFromRecords: []string{}},
	})
	if msg := f.Answer(&record.Record{Topic: "answers", Headers: asks}); msg.ReplyTo != nil {
		t.Errorf("the link's own reply topic is believed of an answer: %q", *msg.ReplyTo)
	}
	f = FormOf(&settings.Link{Producer: settings.Producer{ReplyTopicsFromRecords: []string{"answers"}}})
	if msg := f.Answer(&record.Record{Topic: "answers", Headers: asks}); msg.ReplyTo == nil ||
		!strings.HasPrefix(*msg.ReplyTo, "answers") {
		t.Errorf("an address that the link believes is not told: %+v", msg)
	}
}
