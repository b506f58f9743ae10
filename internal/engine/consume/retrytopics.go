package consume

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/messaging-kafka/messaging-kafka/internal/engine/dispatch"
	"github.com/messaging-kafka/messaging-kafka/internal/record"
	"github.com/messaging-kafka/messaging-kafka/internal/settings"
)

// Headers of a record in a retry topic. They are taken off before it is delivered again.
const (
	// HeaderRetryFrom is where the record was first read: topic/partition/offset.
	HeaderRetryFrom = "messaging-kafka-retry-from"
	// HeaderRetryTimestamp is its timestamp there, in milliseconds since 1970, as text.
	HeaderRetryTimestamp = "messaging-kafka-retry-timestamp"
	// HeaderRetryAttempts is how often the link has delivered it in vain, as text.
	HeaderRetryAttempts = "messaging-kafka-retry-attempts"
	// HeaderRetryReason is why it failed last.
	HeaderRetryReason = "messaging-kafka-retry-reason"
)

func isRetryHeader(key string) bool {
	return key == HeaderRetryFrom || key == HeaderRetryTimestamp || key == HeaderRetryAttempts || key == HeaderRetryReason
}

// newRetry makes of a record that has failed so often what waits in a retry topic: key, value and headers as they were,
// and what is needed to deliver it again as the record that it was. Its timestamp is when it is stored: its time counts
// from then on.
func (cfg *Config) newRetry(r *record.Record, to *settings.RetryTopic, attempts int, cause error) record.Outgoing {
	headers := make([]record.Header, 0, len(r.Headers)+4)
	for _, h := range r.Headers {
		if !isRetryHeader(h.Key) {
			headers = append(headers, h)
		}
	}
	headers = append(headers,
		record.Header{Key: HeaderRetryFrom, Value: fmt.Appendf(nil, "%s/%d/%d", r.Topic, r.Partition, r.Offset)},
		record.Header{Key: HeaderRetryTimestamp, Value: strconv.AppendInt(nil, r.Timestamp.UnixMilli(), 10)},
		record.Header{Key: HeaderRetryAttempts, Value: strconv.AppendInt(nil, int64(attempts), 10)},
		record.Header{Key: HeaderRetryReason, Value: []byte(cfg.Secrets.Clip(cause.Error(), maxErrorText))},
	)
	return record.Outgoing{
		Topic: to.Topic, Partition: record.AnyPartition, Key: r.Key, Value: r.Value, Headers: slices.Clip(headers),
	}
}

// history is what a record that was read has behind it.
func (cfg *Config) history(r *record.Record) dispatch.History {
	topic := cfg.Settings.Delivery.RetryTopic(r.Topic)
	if topic == nil {
		return dispatch.History{Earlier: attemptsBefore(r)}
	}
	was, attempts := beforeRetry(r)
	// A timestamp has whole milliseconds, and what is more is cut off. The clock of whoever stored it may be ahead of
	// ours: it waits no longer from now on than it was to wait in all.
	due, most := r.Timestamp.Add(topic.Delay+time.Millisecond), time.Now().Add(topic.Delay)
	if due.After(most) {
		due = most
	}
	return dispatch.History{Earlier: attemptsBefore(was), Attempts: attempts, Due: due, As: was}
}

// beforeRetry is the record that a record from a retry topic was, and how often it has been delivered in vain. What
// somebody else has written there is what it is.
func beforeRetry(r *record.Record) (was *record.Record, attempts int) {
	was = new(*r)
	from, _ := r.Header(HeaderRetryFrom)
	stamp, _ := r.Header(HeaderRetryTimestamp)
	tried, _ := r.Header(HeaderRetryAttempts)
	parts := strings.Split(string(from), "/")
	if len(parts) != 3 || !record.IsTopicName(parts[0]) {
		return was, 0
	}
	partition, err := strconv.ParseInt(parts[1], 10, 32)
	offset, err2 := strconv.ParseInt(parts[2], 10, 64)
	at, err3 := strconv.ParseInt(string(stamp), 10, 64)
	n, err4 := strconv.ParseUint(string(tried), 10, 32)
	if err != nil || err2 != nil || err3 != nil || err4 != nil || partition < 0 || offset < 0 || n > maxAttemptsHeader {
		return was, 0
	}
	was.Topic, was.Partition, was.Offset, was.LeaderEpoch = parts[0], int32(partition), offset, -1
	was.Timestamp = time.UnixMilli(at)
	if was.Headers = slices.DeleteFunc(slices.Clone(r.Headers), func(h record.Header) bool { return isRetryHeader(h.Key) }); len(was.Headers) == 0 {
		was.Headers = nil
	}
	return was, int(n)
}
