package dev

import (
	"encoding/json"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/messaging-kafka/messaging-kafka/internal/engine/browse"
	"github.com/messaging-kafka/messaging-kafka/internal/record"
)

// Record is what is written of a record that came back, with [Options.JSON].
type Record struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Offset    int64  `json:"offset"`
	// Key is the record's key where it is UTF-8, KeyBase64 where it is not; both are left out where there is none.
	Key       *string `json:"key,omitempty"`
	KeyBase64 []byte  `json:"key_base64,omitempty"`
	// Value is the value where it is UTF-8, Base64 where it is not; both are left out for a tombstone.
	Value  *string `json:"value,omitempty"`
	Base64 []byte  `json:"value_base64,omitempty"`
	// Millis is the time since the line was sent, left out for a record that is of none.
	Millis *float64 `json:"took_ms,omitempty"`
	// Headers are in the form of tail --json.
	Headers []browse.LineHeader `json:"headers,omitempty"`
}

// jsonLine is a record as a line of JSON. took is nil for one that is not from here.
func jsonLine(r *kgo.Record, took *time.Duration) ([]byte, error) {
	out := Record{Topic: r.Topic, Partition: r.Partition, Offset: r.Offset}
	switch {
	case r.Key == nil:
	case utf8.Valid(r.Key):
		key := string(r.Key)
		out.Key = &key
	default:
		out.KeyBase64 = r.Key
	}
	switch {
	case r.Value == nil:
	case utf8.Valid(r.Value):
		text := string(r.Value)
		out.Value = &text
	default:
		out.Base64 = r.Value
	}
	if took != nil {
		millis := float64(took.Microseconds()) / float64(time.Millisecond/time.Microsecond)
		out.Millis = &millis
	}
	for _, h := range r.Headers {
		out.Headers = append(out.Headers, browse.NewLineHeader(record.Header{Key: h.Key, Value: h.Value}, false))
	}
	line, err := json.Marshal(out)
	if err != nil {
		return nil, fmt.Errorf("writing a record as JSON: %w", err)
	}
	return append(line, '\n'), nil
}
