package produce

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/messaging-kafka/messaging-kafka/internal/record"
	"github.com/messaging-kafka/messaging-kafka/internal/settings"
)

// creationRetryDelay spaces the attempts to publish to a topic that was created a moment ago: brokers learn of it
// one after another.
const creationRetryDelay = 100 * time.Millisecond

// Publisher publishes for one link, within what the link allows. It may be used by many goroutines at once.
type Publisher struct {
	handle *Handle
	link   settings.Producer
	create settings.CreateTopics
	turn   atomic.Uint32 // the round robin of keyless records over the link's partitions
	stored func(records, bytes int)
}

// NewPublisher returns a publisher for a link. It does not take the handle over: whoever acquired it releases it.
func NewPublisher(handle *Handle, producer settings.Producer, create settings.CreateTopics) *Publisher {
	return &Publisher{handle: handle, link: producer, create: create}
}

// Count has stored called with the records that Kafka has acknowledged, copies included, and their bytes; by many
// goroutines at once. It is called before the first publish.
func (p *Publisher) Count(stored func(records, bytes int)) { p.stored = stored }

// count tells of the records that were stored.
func (p *Publisher) count(records []record.Outgoing, results []result) {
	if p.stored == nil {
		return
	}
	n, bytes := 0, 0
	for i := range results {
		if results[i].err == nil {
			n++
			bytes += size(&records[i])
		}
	}
	if n > 0 {
		p.stored(n, bytes)
	}
}

// Publish sends a record and waits until it is acknowledged. The topic may be a whole subject: where it is a reply
// address ([record.ParseSubject]), the record goes to that address's partition, with its correlation id as the
// header [record.CorrelationHeader].
//
// With producer_fanout=copy, one copy goes to each of producer_partitions; the position is that of the first, and an
// error says which failed.
//
// An error is an [*Error]. Deadlines are those of [Handle.Produce].
func (p *Publisher) Publish(ctx context.Context, out record.Outgoing) (record.Position, error) {
	none := record.Position{Topic: out.Topic, Partition: out.Partition, Offset: -1}
	out, answer, refused := p.address(out)
	if refused == nil {
		refused = p.allowed(out.Topic)
	}
	if refused != nil {
		if o := p.handle.shared.observer; o != nil {
			o.Published(refused.Topic, refused.Class, 0, size(&out))
		}
		refused.Answer = answer
		return none, refused
	}
	position, err := p.publish(ctx, p.spread(out), p.create.Enabled && !answer)
	if e := (*Error)(nil); answer && errors.As(err, &e) {
		answered := *e
		answered.Answer = true
		return position, &answered
	}
	if err != nil {
		return position, err
	}
	return position, nil
}

// address resolves a reply address, and tells whether the record is an answer.
func (p *Publisher) address(out record.Outgoing) (record.Outgoing, bool, *Error) {
	if out.Topic == "" {
		return out, false, invalid("", record.TopicNameFault(""))
	}
	address, err := record.ParseSubject(out.Topic)
	if err != nil {
		return out, false, invalid("", err.Error())
	}
	answer := address.Answers() || isAnswer(out.Headers)
	out.Topic = address.Topic
	if address.Partition != record.AnyPartition {
		out.Partition = address.Partition
	}
	if len(address.Correlation) > 0 {
		// The slice of the caller is left alone.
		out.Headers = append(slices.Clone(out.Headers), record.Header{Key: record.CorrelationHeader, Value: address.Correlation})
	}
	return out, answer, nil
}

// isAnswer tells an answer from other records by its headers, as components make it that have whole records: it has the
// correlation id of a request and asks for no answer itself. Whoever sent the request has chosen the topic, so that is not
// created.
func isAnswer(headers []record.Header) bool {
	correlated := false
	for _, h := range headers {
		switch h.Key {
		case record.ReplyTopicHeader:
			return false
		case record.CorrelationHeader:
			correlated = true
		}
	}
	return correlated
}

// allowed refuses topics outside of allowed_topics.
func (p *Publisher) allowed(topic string) *Error {
	if p.link.Allows(topic) {
		return nil
	}
	return &Error{Class: ClassNotAuthorised, Topic: topic, Text: fmt.Sprintf(
		"this link may not publish to the topic: its allowed_topics are %s", strings.Join(p.link.AllowedTopics, ", "))}
}

// spread applies producer_partitions. A partition that the record asks for itself is left as it is.
func (p *Publisher) spread(out record.Outgoing) []record.Outgoing { return p.appendSpread(nil, out) }

// appendSpread is [Publisher.spread] for many records.
func (p *Publisher) appendSpread(to []record.Outgoing, out record.Outgoing) []record.Outgoing {
	list := p.link.Partitions
	switch {
	case out.Partition != record.AnyPartition || len(list) == 0:
	case p.link.Fanout == settings.FanoutCopy:
		for _, partition := range list {
			out.Partition = partition
			to = append(to, out)
		}
		return to
	case out.Key != nil:
		out.Partition = list[keyPartition(out.Key, len(list))]
	default:
		out.Partition = list[int((p.turn.Add(1)-1)%uint32(len(list)))]
	}
	return append(to, out)
}

// publish sends the copies of a record, and creates their topic where it is missing and create says so.
func (p *Publisher) publish(ctx context.Context, copies []record.Outgoing, create bool) (record.Position, error) {
	ctx, cancel := context.WithTimeout(ctx, p.handle.shared.publishTimeout())
	defer cancel()
	results, stopped := p.handle.produce(ctx, copies)
	for stopped == nil && create && allUnknown(results) {
		if stopped = p.handle.shared.createTopic(ctx, copies[0].Topic, p.create); stopped != nil {
			break
		}
		var again []result
		if again, stopped = p.handle.produce(ctx, copies); stopped != nil {
			break
		}
		results = again
		if !allUnknown(results) {
			break
		}
		select {
		case <-time.After(creationRetryDelay):
		case <-ctx.Done():
			return results[0].position, results[0].err
		}
	}
	if stopped != nil {
		return record.Position{Topic: copies[0].Topic, Partition: copies[0].Partition, Offset: -1}, stopped
	}
	p.count(copies, results)
	return results[0].position, summarise(copies, results)
}

// allUnknown tells whether the topic is not there, as opposed to one partition of it.
func allUnknown(results []result) bool {
	return !slices.ContainsFunc(results, func(r result) bool { return r.err == nil || r.err.Class != ClassUnknownTopic })
}

// summarise makes one error of those of all copies, nil where there is none.
func summarise(copies []record.Outgoing, results []result) error {
	if !slices.ContainsFunc(results, func(r result) bool { return r.err != nil }) {
		return nil
	}
	var first *Error
	var stored, failed []string
	for i := range results {
		partition := fmt.Sprint(copies[i].Partition)
		if results[i].err == nil {
			stored = append(stored, partition)
			continue
		}
		failed = append(failed, partition)
		if first == nil {
			first = results[i].err
		}
	}
	if first == nil {
		return nil
	}
	if len(copies) == 1 {
		return first
	}
	text := fmt.Sprintf("the copy for partition %s failed: %s", strings.Join(failed, ", "), first.Text)
	if len(stored) > 0 {
		text += fmt.Sprintf(" (the copy for partition %s was stored)", strings.Join(stored, ", "))
	}
	return &Error{Class: first.Class, Topic: first.Topic, Text: text, err: errors.Unwrap(first)}
}
