package letters

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/messaging-kafka/messaging-kafka/internal/engine/consume"
	"github.com/messaging-kafka/messaging-kafka/internal/record"
)

// Letter is a dead letter.
type Letter struct {
	*record.Record
	// Origin is where the record was when it was given up. Its topic is "" where the letter does not tell, its partition
	// and offset are -1.
	Origin record.Position
	// Sent is the timestamp of the record, as the letter tells it; the letter's own where it does not.
	Sent time.Time
	// Group, Component and Reason are "" where the letter does not tell; Attempts is 0.
	Group, Component, Reason string
	Attempts                 int64
	// Redrives is how often it was sent back before, and RedrivenFrom the letter that was.
	Redrives     int
	RedrivenFrom string
}

// Read reads a letter from its record. Headers that are not there, or have another form, are as those that say nothing.
func Read(r *record.Record) Letter {
	l := Letter{Record: r, Origin: record.Position{Partition: -1, Offset: -1}, Sent: r.Timestamp}
	text := func(name string) string {
		b, _ := r.Header(name)
		return string(b)
	}
	l.Origin.Topic = text(consume.HeaderOriginalTopic)
	l.Group, l.Component = text(consume.HeaderOriginalGroup), text(consume.HeaderComponent)
	l.Reason = text(consume.HeaderError)
	if b, _ := r.Header(consume.HeaderOriginalPartition); len(b) == 4 {
		l.Origin.Partition = int32(binary.BigEndian.Uint32(b))
	}
	if b, _ := r.Header(consume.HeaderOriginalOffset); len(b) == 8 {
		l.Origin.Offset = int64(binary.BigEndian.Uint64(b))
	}
	if b, _ := r.Header(consume.HeaderOriginalTimestamp); len(b) == 8 {
		l.Sent = time.UnixMilli(int64(binary.BigEndian.Uint64(b)))
	}
	if b, _ := r.Header(consume.HeaderAttempts); len(b) == 4 {
		l.Attempts = max(0, int64(int32(binary.BigEndian.Uint32(b)))) // below 0 no count is
	}
	if n, err := strconv.Atoi(text(consume.HeaderRedrives)); err == nil && n > 0 {
		l.Redrives = n
	}
	l.RedrivenFrom = text(consume.HeaderRedrivenFrom)
	return l
}

// place is where the letter is: topic/partition/offset.
func (l *Letter) place() string { return fmt.Sprintf("%s/%d/%d", l.Topic, l.Partition, l.Offset) }

// prefix is what the names of headers begin with that Spring for Apache Kafka and links give dead letters.
const prefix = "kafka_dlt-"

// back is the record that the letter was, on its way to a topic: its own key, value, headers and time. What it was
// given as a dead letter is taken off, and the mark of a redrive put on.
func (l *Letter) back(topic string, partition int32, keepAttempts bool) record.Outgoing {
	headers := make([]record.Header, 0, len(l.Headers)+2)
	for _, h := range l.Headers {
		switch {
		case strings.HasPrefix(h.Key, prefix), h.Key == consume.HeaderComponent,
			h.Key == consume.HeaderAttempts && !keepAttempts,
			h.Key == consume.HeaderRedrives, h.Key == consume.HeaderRedrivenFrom:
		default:
			headers = append(headers, h)
		}
	}
	headers = append(headers,
		record.Header{Key: consume.HeaderRedrives, Value: strconv.AppendInt(nil, int64(l.Redrives)+1, 10)},
		record.Header{Key: consume.HeaderRedrivenFrom, Value: []byte(l.place())},
	)
	return record.Outgoing{
		Topic: topic, Partition: partition, Key: l.Key, Value: l.Value, Headers: headers, Timestamp: l.Sent,
	}
}
