package payload

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"

	"github.com/messaging-kafka/messaging-kafka/internal/record"
	"github.com/messaging-kafka/messaging-kafka/internal/settings"
)

// Message is what a record is to somebody who knows subjects and bodies alone: a component of wasmcloud:messaging.
type Message struct {
	// Subject is the topic; of a message that becomes a record, it may name more, see [record.NamedSubject].
	Subject string
	Body    []byte
	// ReplyTo is the subject at which an answer is asked for; nil where none is.
	ReplyTo *string
}

// Form is how records and messages become one another on a link.
type Form struct {
	envelope bool // payload=envelope
	named    bool // key_from=subject
	delivery settings.Delivery
	producer settings.Producer
	// last is the reply topic that the last record had: records of one topic come one after another.
	last atomic.Pointer[replyTopic]
}

// replyTopic is the reply topic for the records of a topic.
type replyTopic struct{ of, subject string }

// FormOf is the form that the settings of a link ask for.
func FormOf(s *settings.Link) *Form {
	return &Form{
		envelope: s.Delivery.Payload == settings.PayloadEnvelope,
		named:    s.Producer.KeyFrom == settings.KeyFromSubject,
		delivery: s.Delivery, producer: s.Producer,
	}
}

// Message makes the message of a record, and says where an answer to it goes as [Form.ReplyTo] does.
func (f *Form) Message(r *record.Record) (msg Message, refused string) {
	msg = Message{Subject: r.Topic, Body: f.body(r)}
	msg.ReplyTo, refused = f.ReplyTo(r)
	return msg, refused
}

// ReplyTo is the subject at which an answer to a record is to be published, nil for none: where the record itself says,
// as requests over Kafka do, if the link believes that, else the link's reply topic. Where it does not believe it,
// refused is the topic that the record has named.
func (f *Form) ReplyTo(r *record.Record) (subject *string, refused string) {
	own := f.ownReply(r.Topic)
	address, asks := record.ReplyAddressOf(r)
	if !asks {
		return own, ""
	}
	ownTopic := ""
	if own != nil {
		ownTopic = *own
	}
	if !f.producer.Believes(address.Topic, ownTopic) {
		return own, address.Topic
	}
	asked := address.String()
	return &asked, ""
}

// Answer makes the message of an answer to a request. Where that asks for an answer in turn, the link's own reply topic
// is none of its places.
func (f *Form) Answer(r *record.Record) Message {
	msg := Message{Subject: r.Topic, Body: f.body(r)}
	if address, asks := record.ReplyAddressOf(r); asks && f.producer.Believes(address.Topic, "") {
		reply := address.String()
		msg.ReplyTo = &reply
	}
	return msg
}

func (f *Form) body(r *record.Record) []byte {
	if f.envelope {
		return Encode(r)
	}
	return r.Value
}

// ownReply is the link's reply topic for the records of a topic, nil where there is none.
func (f *Form) ownReply(topic string) *string {
	if f.delivery.ReplyTopic == "" {
		return nil
	}
	last := f.last.Load()
	if last == nil || last.of != topic {
		last = &replyTopic{of: topic, subject: f.delivery.ReplyTopicFor(topic)}
		f.last.Store(last)
	}
	return &last.subject // nobody changes it
}

// Outgoing makes the record for a message. Its reply-to becomes the headers by which Kafka clients ask for answers. An
// error is in words for the author of the message.
func (f *Form) Outgoing(msg Message) (record.Outgoing, error) {
	out, err := f.content(msg)
	if err == nil {
		out.Headers, err = withReply(out.Headers, msg.ReplyTo)
	}
	if err != nil {
		return record.Outgoing{}, err
	}
	return out, nil
}

// content is the record that subject and body name.
func (f *Form) content(msg Message) (record.Outgoing, error) {
	subject := record.NamedSubject{Subject: msg.Subject}
	if f.named {
		var err error
		if subject, err = record.ParseNamedSubject(msg.Subject); err != nil {
			return record.Outgoing{}, err
		}
	} else if record.NamesKey(msg.Subject) {
		return record.Outgoing{},
			errors.New("the subject names a key or headers, which key_from does not allow: set key_from=subject, or leave out what is behind the question mark")
	}
	out := record.Outgoing{Partition: record.AnyPartition, Value: msg.Body}
	if f.envelope {
		var err error
		if out, err = Decode(msg.Body); err != nil {
			return record.Outgoing{}, fmt.Errorf("the body is no envelope, which payload=envelope asks for: %w", err)
		}
	} else if out.Value == nil {
		out.Value = []byte{} // an empty body is an empty value, not a tombstone
	}
	if subject.Key != nil {
		if out.Key != nil {
			return record.Outgoing{}, errors.New("the subject and the envelope both name a key")
		}
		out.Key = subject.Key
	}
	out.Topic, out.Headers = subject.Subject, append(out.Headers, subject.Headers...)
	return out, nil
}

// withReply adds the headers by which Kafka clients ask for an answer at an address.
func withReply(headers []record.Header, replyTo *string) ([]record.Header, error) {
	if replyTo == nil || *replyTo == "" {
		return headers, nil
	}
	reply, err := record.ParseSubject(*replyTo)
	if err != nil {
		return nil, fmt.Errorf("reply-to: %w", err)
	}
	headers = append(headers, record.Header{Key: record.ReplyTopicHeader, Value: []byte(reply.Topic)})
	if reply.Partition != record.AnyPartition {
		headers = append(headers, record.Header{
			Key: record.ReplyPartitionHeader, Value: binary.BigEndian.AppendUint32(nil, uint32(reply.Partition)),
		})
	}
	if len(reply.Correlation) > 0 {
		headers = append(headers, record.Header{Key: record.CorrelationHeader, Value: reply.Correlation})
	}
	return headers, nil
}

// RejectPrefix at the start of a component's error text says that another delivery of the record cannot help.
const RejectPrefix = "reject:"

// Failed is what a component's error text says of the message's record.
func Failed(text string) record.Outcome {
	if reason, reject := strings.CutPrefix(text, RejectPrefix); reject {
		return record.Outcome{Kind: record.Reject, Err: errors.New(strings.TrimSpace(reason))}
	}
	return record.Outcome{Kind: record.Retry, Err: errors.New(text)}
}
