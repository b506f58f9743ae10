// Package messaging speaks the WIT package wasmcloud:messaging@0.2.0 over wRPC: it serves the interface consumer,
// which components import, and calls the interface handler, which they export. A host serves and uses the same
// functions for components that are written against 0.3.0.
package messaging

import (
	"fmt"

	"github.com/messaging-kafka/messaging-kafka/internal/payload/wit"
)

const (
	consumerInstance = "wasmcloud:messaging/consumer@0.2.0"
	handlerInstance  = "wasmcloud:messaging/handler@0.2.0"
)

// BrokerMessage is types.broker-message.
type BrokerMessage struct {
	Subject string
	// Body may share memory with the message that it came in. A decoded Body is never nil.
	Body []byte
	// ReplyTo is nil for none.
	ReplyTo *string
}

// size is a bound of the encoded size.
func (m *BrokerMessage) size() int {
	n := 16 + len(m.Subject) + len(m.Body)
	if m.ReplyTo != nil {
		n += len(*m.ReplyTo)
	}
	return n
}

// AppendBrokerMessage appends the encoded record to b. Subject and ReplyTo must be UTF-8.
func AppendBrokerMessage(b []byte, m BrokerMessage) []byte {
	b = wit.AppendString(b, m.Subject)
	b = wit.AppendBytes(b, m.Body)
	return wit.AppendOptionString(b, m.ReplyTo)
}

// DecodeBrokerMessage reads the record.
func DecodeBrokerMessage(d *wit.Decoder) (BrokerMessage, error) {
	var m BrokerMessage
	var err error
	if m.Subject, err = d.String(); err != nil {
		return BrokerMessage{}, fmt.Errorf("decoding broker-message.subject: %w", err)
	}
	if m.Body, err = d.Bytes(); err != nil {
		return BrokerMessage{}, fmt.Errorf("decoding broker-message.body: %w", err)
	}
	if m.ReplyTo, err = d.OptionString(); err != nil {
		return BrokerMessage{}, fmt.Errorf("decoding broker-message.reply-to: %w", err)
	}
	return m, nil
}

// appendFailure appends result::err(err's text).
func appendFailure(b []byte, err error) []byte {
	return wit.AppendString(wit.AppendResult(b, false), wit.ErrorText(err.Error()))
}
