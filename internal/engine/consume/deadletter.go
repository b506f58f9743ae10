package consume

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/messaging-kafka/messaging-kafka/internal/engine/dispatch"
	"github.com/messaging-kafka/messaging-kafka/internal/record"
)

// Headers of a dead letter. Those that Spring for Apache Kafka's DeadLetterPublishingRecoverer writes have its names
// and encodings (numbers are big endian), so that tools that read its dead letters read ours.
const (
	HeaderOriginalTopic     = "kafka_dlt-original-topic"
	HeaderOriginalPartition = "kafka_dlt-original-partition" // 4 bytes
	HeaderOriginalOffset    = "kafka_dlt-original-offset"    // 8 bytes
	HeaderOriginalTimestamp = "kafka_dlt-original-timestamp" // 8 bytes, milliseconds since 1970
	HeaderOriginalGroup     = "kafka_dlt-original-consumer-group"
	HeaderError             = "kafka_dlt-exception-message"
	// HeaderAttempts counts deliveries; the name is Spring's KafkaHeaders.DELIVERY_ATTEMPT. A link that reads a
	// dead-letter topic goes on counting from here.
	HeaderAttempts = "kafka_deliveryAttempt" // 4 bytes
	// HeaderComponent names the component that could not handle the record.
	HeaderComponent = "wasmcloud-component"
)

// Headers of a record that was a dead letter and was sent back. They stay with it if it is dead-lettered again, so that
// a loop shows.
const (
	HeaderRedrives     = "messaging-kafka-redrives"      // how often, as text
	HeaderRedrivenFrom = "messaging-kafka-redriven-from" // the last dead letter: topic/partition/offset
)

// maxErrorText bounds the error text in a dead letter: a record with its headers must still fit into a batch.
const maxErrorText = 8 << 10

// deadLetter returns the function that stores dead letters, nil where the link has no topic for them.
func (cfg *Config) deadLetter() func(context.Context, *record.Record, int, error) error {
	letter := cfg.letter()
	if letter == nil {
		return nil
	}
	return func(ctx context.Context, r *record.Record, attempts int, cause error) error {
		return cfg.Send(ctx, letter(r, attempts, cause))[0].Err
	}
}

// GiveUp stores the dead letter of a record that is finished here and that whoever it was handed to has given up later,
// and tells of it. It returns when the broker has acknowledged the letter. The settings name a topic for it.
func (cfg *Config) GiveUp(ctx context.Context, r *record.Record, attempts int, cause error) error {
	if err := cfg.deadLetter()(ctx, r, attempts, cause); err != nil {
		return fmt.Errorf("storing a dead letter in %s: %w", cfg.Settings.Delivery.DeadLetterTopic, err)
	}
	letters := dispatch.DeadLetters{Delivery: &cfg.Settings.Delivery, Observer: cfg.Observer}
	letters.Written(cfg.Log.With("topic", r.Topic, "partition", r.Partition, "offset", r.Offset, "attempts", attempts, "reason", cause))
	return nil
}

// letter returns the function that makes dead letters, nil where the link has no topic for them.
func (cfg *Config) letter() func(*record.Record, int, error) record.Outgoing {
	topic := cfg.Settings.Delivery.DeadLetterTopic
	if topic == "" {
		return nil
	}
	return func(r *record.Record, attempts int, cause error) record.Outgoing {
		return cfg.newDeadLetter(topic, r, attempts, cause)
	}
}

// newDeadLetter makes the dead letter of a record: key, value, headers and timestamp as they were, and where it came
// from and why it is here, without secrets: whoever may read the topic is none who may know them. A record that was a
// dead letter before keeps its first origin.
func (cfg *Config) newDeadLetter(topic string, r *record.Record, attempts int, cause error) record.Outgoing {
	headers := make([]record.Header, 0, len(r.Headers)+8)
	for _, h := range r.Headers {
		switch h.Key {
		case HeaderError, HeaderAttempts, HeaderComponent:
		default:
			headers = append(headers, h)
		}
	}
	if _, again := r.Header(HeaderOriginalTopic); !again {
		headers = append(headers,
			record.Header{Key: HeaderOriginalTopic, Value: []byte(r.Topic)},
			record.Header{Key: HeaderOriginalPartition, Value: binary.BigEndian.AppendUint32(nil, uint32(r.Partition))},
			record.Header{Key: HeaderOriginalOffset, Value: binary.BigEndian.AppendUint64(nil, uint64(r.Offset))},
			record.Header{Key: HeaderOriginalTimestamp, Value: binary.BigEndian.AppendUint64(nil, uint64(r.Timestamp.UnixMilli()))},
			record.Header{Key: HeaderOriginalGroup, Value: []byte(cfg.Settings.Consumer.Group)},
		)
	}
	headers = append(headers,
		record.Header{Key: HeaderError, Value: []byte(cfg.Secrets.Clip(cause.Error(), maxErrorText))},
		record.Header{Key: HeaderAttempts, Value: binary.BigEndian.AppendUint32(nil, uint32(attempts))},
		record.Header{Key: HeaderComponent, Value: []byte(cfg.Component)},
	)
	return record.Outgoing{
		Topic: topic, Partition: record.AnyPartition, Key: r.Key, Value: r.Value,
		Headers: slices.Clip(headers), Timestamp: r.Timestamp,
	}
}

// maxAttemptsHeader is more deliveries than any record has seen; a header that claims more is not ours.
const maxAttemptsHeader = 1 << 24

// attemptsBefore returns the deliveries that a record has behind it: those of a dead letter's earlier life.
func attemptsBefore(r *record.Record) int {
	v, ok := r.Header(HeaderAttempts)
	if !ok || len(v) != 4 {
		return 0
	}
	if n := binary.BigEndian.Uint32(v); n < maxAttemptsHeader {
		return int(n)
	}
	return 0
}
