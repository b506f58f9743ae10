package messaging

import (
	"bytes"
	"context"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/messaging-kafka/messaging-kafka/internal/payload/wit"
	"github.com/messaging-kafka/messaging-kafka/internal/wasmcloud/guest"
)

// ordinary is a message of 1 KiB as a record becomes one.
func ordinary() BrokerMessage {
	reply := "orders.reply"
	return BrokerMessage{Subject: "orders", Body: bytes.Repeat([]byte("v"), 1024), ReplyTo: &reply}
}

// BenchmarkEncodeMessage is what a call of a component costs before it is sent: parameters and headers.
func BenchmarkEncodeMessage(b *testing.B) {
	msg := ordinary()
	b.SetBytes(int64(len(msg.Body)))
	b.ReportAllocs()
	for b.Loop() {
		_ = AppendBrokerMessage(make([]byte, 0, msg.size()), msg)
		_ = guest.CallHeader(context.Background(), "provider", "component", "default")
	}
}

// BenchmarkDecodeMessage is what a publish costs before it is done: parameters and headers.
func BenchmarkDecodeMessage(b *testing.B) {
	msg := ordinary()
	encoded := AppendBrokerMessage(nil, msg)
	header := nats.Header{"source-id": {"component"}, "link-name": {"default"}}
	b.SetBytes(int64(len(msg.Body)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := DecodeBrokerMessage(wit.NewBytesDecoder(encoded)); err != nil {
			b.Fatal(err)
		}
		_ = guest.CallerOf(header)
	}
}
