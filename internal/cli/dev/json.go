package dev

import (
	"encoding/json"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Record is what is written of a record that came back, with [Options.JSON].
type Record struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Offset    int64  `json:"offset"`
	// Key is the record's key, left out where there is none.
	Key *string `json:"key,omitempty"`
	// Value is the value where it is UTF-8, Base64 where it is not; both are left out for a tombstone.
	Value  *string `json:"value,omitempty"`
	Base64 []byte  `json:"value_base64,omitempty"`
	// Millis is the time since the line was sent, left out for a record that is of none.
	Millis *float64 `json:"took_ms,omitempty"`
	// Headers are those of a dead letter.
	Headers map[string]string `json:"headers,omitempty"`
}

// jsonLine is a record as a line of JSON. took is nil for one that is not from here.
func jsonLine(r *kgo.Record, took *time.Duration) ([]byte, error) {
	out := Record{Topic: r.Topic, Partition: r.Partition, Offset: r.Offset}
	if r.Key != nil {
		key := string(r.Key)
		out.Key = &key
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
	if len(r.Headers) > 0 {
		out.Headers = make(map[string]string, len(r.Headers))
		for _, h := range r.Headers {
			out.Headers[h.Key] = string(h.Value)
		}
	}
	line, err := json.Marshal(out)
	if err != nil {
		return nil, fmt.Errorf("writing a record as JSON: %w", err)
	}
	return append(line, '\n'), nil
}
