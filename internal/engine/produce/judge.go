package produce

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/messaging-kafka/messaging-kafka/internal/engine/kafka"
	"github.com/messaging-kafka/messaging-kafka/internal/record"
	"github.com/messaging-kafka/messaging-kafka/internal/settings"
)

// limitDeadline bounds the question after a topic's max.message.bytes, which only makes an error more exact.
const limitDeadline = 2 * time.Second

// judge turns what the client reported into a result.
func (c *client) judge(p *callerLimit, r *record.Outgoing, f *inFlight) record.Result {
	if errors.Is(f.err, kerr.MessageTooLarge) {
		return c.judgeTooLarge(p, r, f)
	}
	return c.judgeFinal(r, f)
}

func (c *client) judgeFinal(r *record.Outgoing, f *inFlight) record.Result {
	res := record.Result{Position: noPosition(r)}
	if f.err != nil {
		res.Err = c.explain(r, f)
		return res
	}
	res.Partition = f.record.Partition
	if c.producer.Acks != settings.AcksNone { // no answer comes then, and the client makes the offset up
		res.Offset = f.record.Offset
	}
	return res
}

func (c *client) explain(r *record.Outgoing, f *inFlight) *Error {
	if f.partitions > 0 {
		c.client().ForceMetadataRefresh() // it may have been added: the next record for it finds it
		return &Error{Class: ClassInvalid, Topic: r.Topic, err: f.err, Text: noPartition(r.Partition, f.partitions)}
	}
	if givenUp(f.err) {
		return c.explainGivenUp(r, f)
	}
	d := c.access.Explain(f.err)
	text := d.Text
	if d.Class == kafka.ClassUnknownTopic && r.Partition >= 0 {
		text = fmt.Sprintf("partition %d: %s", r.Partition, text)
	}
	return &Error{Class: classOf(d.Class), Topic: r.Topic, Text: text, err: f.err}
}

// noPartition is the failure of a record whose topic has only so many partitions.
func noPartition(partition int32, partitions int) string {
	return fmt.Sprintf("there is no partition %d: the topic has %d (0 to %d)", partition, partitions, partitions-1)
}

// givenUp tells whether an error is the client's own end of its attempts, as opposed to a broker's or the client's
// refusal of the record.
func givenUp(err error) bool {
	switch {
	case err == nil:
		return false
	case errors.Is(err, kerr.UnknownTopicOrPartition), errors.Is(err, kerr.UnknownTopicID):
		return false // the client asks often enough to be sure
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, kgo.ErrRecordTimeout), errors.Is(err, kgo.ErrRecordRetries), errors.Is(err, kgo.ErrClientClosed):
		return true
	}
	return kerr.IsRetriable(err) || kgo.IsRetryableBrokerErr(err) || errors.As(err, new(*kafka.DialError))
}

// givenUpEarly tells whether the client has given a record up before the record's time was over: it does so with all
// records behind one that it gives up, since the order in the partition would break else.
func (f *inFlight) givenUpEarly() bool {
	return !f.expired && givenUp(f.err) && !errors.Is(f.err, kgo.ErrClientClosed)
}

// maybeSent tells whether a broker may have been sent the record. The client itself is sure of less than it says: one
// that is not idempotent gives up records that are on their way, and any takes an answer for a refusal that a leader
// gives which has stored the record and then ceased to lead, or for a first attempt that was never answered. So what
// counts is whether any Produce request has been written since the record was handed over.
func (c *client) maybeSent(f *inFlight) bool { return c.written.Load() != f.written }

// explainGivenUp is the error of a record that the client tries to send no more.
func (c *client) explainGivenUp(r *record.Outgoing, f *inFlight) *Error {
	timedOut := errors.Is(f.err, context.DeadlineExceeded) || errors.Is(f.err, kgo.ErrRecordTimeout)
	if !c.maybeSent(f) {
		if timedOut {
			return c.neverSent(r.Topic, fmt.Sprintf("Kafka could not be given the record within publish_timeout (%s); it was not stored", c.publishTimeout()), f.err)
		}
		d := c.access.Explain(f.err)
		return &Error{Class: classOf(d.Class), Topic: r.Topic, Text: d.Text + "; the record was not stored", err: f.err}
	}
	var text string
	switch {
	case timedOut && !f.expired:
		text = "a record before this one in its partition ran out of time, and was given up with all behind it"
	case timedOut:
		text = fmt.Sprintf("no acknowledgement from Kafka within publish_timeout (%s)", c.publishTimeout())
	default:
		text = c.access.Explain(f.err).Text
	}
	text += "; whether the record was stored is not known"
	if timedOut {
		text += c.because()
	}
	return &Error{Class: ClassTimedOut, Topic: r.Topic, Text: text, err: f.err}
}

// because goes on after a text about time that ran out, with what is known to be wrong with Kafka.
func (c *client) because() string {
	if failure := c.access.LastFailure(); failure != nil {
		return ": " + c.access.Explain(failure).Text
	}
	if throttled := c.access.Throttled(); throttled != nil {
		return ": " + c.access.Explain(throttled).Text
	}
	return ""
}

// neverSent is the error of a record that ran out of time before it left. The reason is that Kafka is out of reach, if
// that is known.
func (c *client) neverSent(topic, text string, err error) *Error {
	class := ClassTimedOut
	if c.access.LastFailure() != nil {
		class = ClassUnavailable
	}
	return &Error{Class: class, Topic: topic, Text: text + c.because(), err: err}
}

// undecided is the error of a record whose fate is not known when the wait for it ends.
func (c *client) undecided(p *callerLimit, topic string) *Error {
	text := fmt.Sprintf("no acknowledgement from Kafka after %s (publish_timeout is %s); whether the record was stored, or still will be, is not known",
		time.Since(p.began).Round(time.Millisecond), c.publishTimeout()) + c.because()
	return &Error{Class: ClassTimedOut, Topic: topic, Text: text, err: p.cause()}
}

// judgeTooLarge tells a record that is too large from one that shared a batch that was.
func (c *client) judgeTooLarge(p *callerLimit, r *record.Outgoing, f *inFlight) record.Result {
	bytes := size(r)
	limit, known := c.topicLimit(p.context(), r.Topic)
	cause := f.err
	if known && bytes+frameOverhead <= limit {
		c.oneByOne.warned.Do(func() {
			c.log.Warn("records are sent one by one where a batch of them is larger than the topic takes; raise the topic's max.message.bytes, or lower max_message_bytes, to keep them together",
				"topic", r.Topic, "topic_max_message_bytes", limit, "max_message_bytes", c.producer.MaxMessageBytes)
		})
		again, err := c.sendOneByOne(p, r)
		switch {
		case errors.Is(err, errTurn):
			return failed(r, c.neverSent(r.Topic, "the topic takes less than max_message_bytes at once, so its records go one by one, and others were before this one", err))
		case errors.Is(err, errUndecided):
			return failed(r, c.undecided(p, r.Topic))
		case err != nil:
			d := c.access.Explain(err)
			return failed(r, &Error{Class: classOf(d.Class), Topic: r.Topic, Text: d.Text + "; the record was not stored", err: err})
		case !errors.Is(again.err, kerr.MessageTooLarge):
			return c.judgeFinal(r, again)
		}
		cause = again.err
	}
	text := fmt.Sprintf("the record is too large for the topic: its key, value and headers have %d bytes", bytes)
	if known {
		text += fmt.Sprintf(", and with up to %d bytes around them they exceed the topic's max.message.bytes of %d; send less or raise that", frameOverhead, limit)
	} else {
		text += fmt.Sprintf(", which is within max_message_bytes (%d) and more than the topic's max.message.bytes; send less or raise that", c.producer.MaxMessageBytes)
	}
	return failed(r, &Error{Class: ClassTooLarge, Topic: r.Topic, Size: bytes, Limit: limit, Text: text, err: cause})
}

func failed(r *record.Outgoing, err *Error) record.Result {
	return record.Result{Position: noPosition(r), Err: err}
}

// topicLimit asks for a topic's max.message.bytes. It is not known where the user may not ask (the ACL
// DescribeConfigs on the topic), or the answer takes too long.
func (c *client) topicLimit(ctx context.Context, topic string) (int, bool) {
	ctx, cancel := context.WithTimeout(ctx, limitDeadline)
	defer cancel()
	described, err := c.admin().DescribeTopicConfigs(ctx, topic)
	if err != nil {
		c.log.Debug("asking for the topic's max.message.bytes failed", "topic", topic, "error", err)
		return 0, false
	}
	config, err := described.On(topic, func(r *kadm.ResourceConfig) error { return r.Err })
	if err != nil {
		c.log.Debug("asking for the topic's max.message.bytes failed", "topic", topic, "error", err)
		return 0, false
	}
	for _, entry := range config.Configs {
		if entry.Key == "max.message.bytes" && entry.Value != nil {
			limit, err := strconv.Atoi(*entry.Value)
			return limit, err == nil
		}
	}
	return 0, false
}
