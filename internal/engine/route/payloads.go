package route

import (
	"context"
	"encoding/hex"
	"log/slog"
	"sync/atomic"
	"unicode/utf8"

	"github.com/messaging-kafka/messaging-kafka/internal/base/redact"
	"github.com/messaging-kafka/messaging-kafka/internal/record"
)

// maxLoggedPayload bounds a key or value in the log, in bytes.
const maxLoggedPayload = 1 << 10

// payloads writes what records hold to the log, where log_payloads=true allows it: at level debug, keys and values,
// headers never. A nil *payloads writes nothing.
type payloads struct{ log *slog.Logger }

// newPayloads returns nil unless it is allowed.
func newPayloads(log *slog.Logger, allowed bool) *payloads {
	if !allowed {
		return nil
	}
	log.Warn("log_payloads=true: at level debug, the log holds the keys and values of its records")
	return &payloads{log}
}

func (p *payloads) write(message, topic string, partition int32, key, value []byte, more ...any) {
	if p == nil || !p.log.Enabled(context.Background(), slog.LevelDebug) {
		return
	}
	p.log.Debug(message, append([]any{"topic", topic, "partition", partition, "key", payloadText(key), "key_bytes", len(key),
		"value", payloadText(value), "value_bytes", len(value)}, more...)...)
}

// delivering tells of a record that the component is about to get.
func (p *payloads) delivering(r *record.Record) {
	p.write("delivering a record", r.Topic, r.Partition, r.Key, r.Value, "offset", r.Offset, "attempt", r.Attempt)
}

// publishing tells of records that the component wants to publish.
func (p *payloads) publishing(records ...record.Outgoing) {
	for i := range records {
		p.write("publishing a record", records[i].Topic, records[i].Partition, records[i].Key, records[i].Value)
	}
}

// payloadText is a key or value as text, cut to maxLoggedPayload where it is without secrets; in hexadecimal where it
// is no text.
func payloadText(b []byte) redact.Short {
	switch limit := maxLoggedPayload + len("…"); {
	case b == nil:
		return redact.Short{Text: "(null)", Limit: limit}
	case utf8.Valid(b):
		return redact.Short{Text: string(b[:min(len(b), redact.MaxLooked)]), Limit: limit}
	default:
		return redact.Short{Text: "0x" + hex.EncodeToString(b[:min(len(b), redact.MaxLooked/2)]), Limit: limit + len("0x")}
	}
}

// loggedReceiver writes what it hands over and what is made of it, where the log may have it at that moment.
type loggedReceiver struct {
	record.Receiver
	payloads *atomic.Pointer[payloads]
}

// Receive implements record.Receiver.
func (l loggedReceiver) Receive(ctx context.Context, batch []*record.Record) []record.Outcome {
	payloads := l.payloads.Load()
	if payloads == nil {
		return l.Receiver.Receive(ctx, batch)
	}
	for _, r := range batch {
		payloads.delivering(r)
	}
	outcomes := l.Receiver.Receive(ctx, batch)
	for i := range outcomes {
		payloads.publishing(outcomes[i].Outputs...)
	}
	return outcomes
}
