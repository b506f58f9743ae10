package payload

import (
	"encoding/binary"
	"errors"
	"fmt"

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
}

// FormOf is the form that the settings of a link ask for.
func FormOf(s *settings.Link) Form {
	return Form{
		envelope: s.Delivery.Payload == settings.PayloadEnvelope,
		named:    s.Producer.KeyFrom == settings.KeyFromSubject,
	}
}

// Body is what somebody gets of a record who knows bodies alone.
func (f Form) Body(r *record.Record) []byte {
	if f.envelope {
		return Encode(r)
	}
	return r.Value
}

// Outgoing makes the record for a message. Its reply-to becomes the headers by which Kafka clients ask for answers. An
// error is in words for the author of the message.
func (f Form) Outgoing(msg Message) (record.Outgoing, error) {
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
func (f Form) content(msg Message) (record.Outgoing, error) {
	subject := record.NamedSubject{Subject: msg.Subject}
	if f.named {
		var err error
		if subject, err = record.ParseNamedSubject(msg.Subject); err != nil {
			return record.Outgoing{}, err
		}
	} else if record.NamesKey(msg.Subject) {
		return record.Outgoing{},
			errors.New("the subject names a key or headers, which the link does not allow: set key_from=subject on it, or leave out what is behind the question mark")
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
