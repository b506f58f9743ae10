package messaging

import (
	"github.com/messaging-kafka/messaging-kafka/internal/payload"
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
	return wit.AppendMessage(b, payload.Message(m))
}

// DecodeBrokerMessage reads the record.
func DecodeBrokerMessage(d *wit.Decoder) (BrokerMessage, error) {
	m, err := wit.DecodeMessage(d)
	if err != nil {
		return BrokerMessage{}, err
	}
	return BrokerMessage(m), nil
}

// appendFailure appends result::err(err's text).
func appendFailure(b []byte, err error) []byte {
	return wit.AppendString(wit.AppendResult(b, false), wit.ErrorText(err.Error()))
}
