package kafka

import (
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/messaging-kafka/messaging-kafka/internal/record"
)

// CopyRecord copies a record that was fetched. The copy frees the client's buffer, of which one record that waits would
// hold back all. Its bytes are in one piece.
func CopyRecord(f *kgo.Record) *record.Record {
	n := len(f.Key) + len(f.Value)
	for _, h := range f.Headers {
		n += len(h.Value)
	}
	buf := make([]byte, 0, n)
	keep := func(b []byte) []byte {
		if b == nil {
			return nil
		}
		at := len(buf)
		buf = append(buf, b...)
		return buf[at:len(buf):len(buf)]
	}
	r := &record.Record{
		Topic: f.Topic, Partition: f.Partition, Offset: f.Offset, LeaderEpoch: f.LeaderEpoch, Timestamp: f.Timestamp,
		Key: keep(f.Key), Value: keep(f.Value),
	}
	if len(f.Headers) > 0 {
		r.Headers = make([]record.Header, len(f.Headers))
		for i, h := range f.Headers {
			r.Headers[i] = record.Header{Key: h.Key, Value: keep(h.Value)}
		}
	}
	return r
}
