package produce

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/messaging-kafka/messaging-kafka/internal/record"
	"github.com/messaging-kafka/messaging-kafka/internal/settings"
)

// Publisher publishes for one link, within what the link allows. It may be used by many goroutines at once.
type Publisher struct {
	handle atomic.Pointer[Handle]
	link   settings.Producer
	create settings.CreateTopics
	turn   atomic.Uint32 // the round robin of keyless records over the link's partitions
	stored func(records, bytes int)
}

// NewPublisher returns a publisher for a link, which takes the handle over. stored, unless it is nil, is called with
// what [Publisher.Publish] has stored: the records that Kafka has acknowledged, copies included, and their bytes; by
// many goroutines at once.
func NewPublisher(handle *Handle, producer settings.Producer, create settings.CreateTopics,
	stored func(records, bytes int)) *Publisher {
	p := &Publisher{link: producer, create: create, stored: stored}
	p.handle.Store(handle)
	return p
}

// Use has the publisher use another handle from now on, for settings that differ in nothing but credentials. It returns
// the one before, which is to be released.
func (p *Publisher) Use(handle *Handle) (before *Handle) { return p.handle.Swap(handle) }

// Release releases the handle; see [Handle.Release].
func (p *Publisher) Release(ctx context.Context) error { return p.handle.Load().Release(ctx) }

func (p *Publisher) client() *client { return p.handle.Load().shared.client }

// Publish publishes records side by side: it prepares them as [Publisher.Prepare] does, sends them as [Publisher.Send]
// does, and says of each, in their order, what became of it.
//
// With producer_fanout=copy, one copy goes to each of producer_partitions; the position is that of the first, and an
// error says which failed.
func (p *Publisher) Publish(ctx context.Context, outs ...record.Outgoing) []record.Result {
	ready := make([]record.Outgoing, 0, len(outs))
	parcels := make([]prepared, len(outs))
	for i, out := range outs {
		part := prepared{from: len(ready)}
		out, part.answer, part.refused = p.address(out)
		if part.refused == nil {
			ready = p.spread(ready, out)
		}
		part.to = len(ready)
		parcels[i] = part
	}
	sent := p.send(ctx, ready, parcels)
	p.count(ready, sent)
	results := make([]record.Result, len(outs))
	for i := range parcels {
		part := &parcels[i]
		var err *Error
		if part.refused != nil {
			results[i].Position, err = noPosition(&outs[i]), part.refused
		} else {
			results[i].Position = sent[part.from].Position
			err = summarise(ready[part.from:part.to], sent[part.from:part.to])
		}
		if err != nil && part.answer {
			answered := *err
			answered.Answer = true
			err = &answered
		}
		if err != nil {
			results[i].Err = err
		}
	}
	return results
}

// prepared is one record to publish: its copies among those that are sent together.
type prepared struct {
	from, to int
	answer   bool   // somebody else has chosen its topic
	refused  *Error // why it is not sent
}

// Send stores records as they are, prepared or not of a component, and waits until Kafka has acknowledged them as the
// settings ask (acks). It says of each, in their order, what became of it: where it was stored (with acks=0 the broker
// does not tell), or an [*Error]. A topic that is missing is created first where create_topics allows it.
//
// Send returns when ctx ends, or after publish_timeout. A record that had been sent by then may have been stored, or
// may still be: the error says so. That is for Kafka to decide, since an idempotent producer that gave up such a record
// could no longer tell duplicates apart.
func (p *Publisher) Send(ctx context.Context, ready ...record.Outgoing) []record.Result {
	parcels := make([]prepared, len(ready))
	for i := range parcels {
		parcels[i] = prepared{from: i, to: i + 1}
	}
	return p.send(ctx, ready, parcels)
}

// Prepare appends the records that [Publisher.Publish] sends of out: the address in its topic resolved, a partition of
// the link's chosen where the link limits them, copies as separate records. The topic may be a whole subject: where it
// is a reply address ([record.ParseSubject]), the record goes to that address's partition, with its correlation id as
// the header [record.CorrelationHeader].
//
// An error says that this link could never publish the record: its topic is no name or not one of allowed_topics, or it
// is larger than max_message_bytes. Prepare does not look at what only Kafka knows.
func (p *Publisher) Prepare(to []record.Outgoing, out record.Outgoing) ([]record.Outgoing, error) {
	out, _, err := p.address(out)
	if err == nil {
		err = p.client().check(&out, size(&out))
	}
	if err != nil {
		return to, err
	}
	return p.spread(to, out), nil
}

// address resolves the address in a record's topic, and refuses topics outside of allowed_topics. It tells whether the
// record is an answer.
func (p *Publisher) address(out record.Outgoing) (_ record.Outgoing, answer bool, _ *Error) {
	if out.Topic == "" {
		return out, false, invalid("", record.TopicNameFault(""))
	}
	address, err := record.ParseSubject(out.Topic)
	if err != nil {
		return out, false, invalid("", err.Error())
	}
	answer = address.Answers() || isAnswer(out.Headers)
	out.Topic = address.Topic
	if address.Partition != record.AnyPartition {
		out.Partition = address.Partition
	}
	if len(address.Correlation) > 0 {
		// The slice of the caller is left alone.
		out.Headers = append(slices.Clone(out.Headers), record.Header{Key: record.CorrelationHeader, Value: address.Correlation})
	}
	if !p.link.Allows(out.Topic) {
		return out, answer, &Error{Class: ClassNotAuthorised, Topic: out.Topic, Text: fmt.Sprintf(
			"the topic may not be published to: allowed_topics are %s", strings.Join(p.link.AllowedTopics, ", "))}
	}
	return out, answer, nil
}

// isAnswer tells an answer from other records by its headers, as components make it that have whole records: it has the
// correlation id of a request and asks for no answer itself. The sender of the request has chosen the topic, so it is
// not created.
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

// spread appends the copies of a record, one where there is no producer_fanout=copy, to partitions of
// producer_partitions. A partition that the record asks for itself is left as it is.
func (p *Publisher) spread(to []record.Outgoing, out record.Outgoing) []record.Outgoing {
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

// enter returns the producer of the moment for a call that ends with [client.leave]; nil where it was released.
func (p *Publisher) enter() *client {
	for {
		handle := p.handle.Load()
		if !handle.released.Load() && handle.shared.enter() {
			return handle.shared.client
		}
		if p.handle.Load() == handle { // else another one took its place meanwhile
			return nil
		}
	}
}

// send sends the records of parcels, and those again whose topic is missing and can be created.
func (p *Publisher) send(ctx context.Context, ready []record.Outgoing, parcels []prepared) []record.Result {
	if len(ready) == 0 {
		return nil
	}
	c := p.enter()
	if c == nil {
		results := make([]record.Result, len(ready))
		for i := range results {
			results[i].Position = noPosition(&ready[i])
			results[i].Err = &Error{Class: ClassUnavailable, Text: "no more is published: it is being shut down"}
		}
		return results
	}
	defer c.leave()
	wait := c.wait(ctx)
	defer wait.end()
	results := c.send(wait, ready)
	if p.create.Enabled {
		c.createAndSend(wait, p.create, ready, parcels, results)
	}
	return results
}

// count tells of the records that were stored.
func (p *Publisher) count(records []record.Outgoing, results []record.Result) {
	if p.stored == nil {
		return
	}
	n, bytes := 0, 0
	for i := range results {
		if results[i].Err == nil {
			n++
			bytes += size(&records[i])
		}
	}
	if n > 0 {
		p.stored(n, bytes)
	}
}

// summarise makes one error of those of all copies, nil where there is none.
func summarise(copies []record.Outgoing, results []record.Result) *Error {
	var first *Error
	var stored, failed []string
	for i := range results {
		err, is := results[i].Err.(*Error) //nolint:errorlint // as send has made it
		if len(copies) == 1 {
			return err
		}
		if partition := fmt.Sprint(copies[i].Partition); is {
			failed = append(failed, partition)
		} else {
			stored = append(stored, partition)
		}
		if first == nil {
			first = err
		}
	}
	if first == nil {
		return nil
	}
	text := fmt.Sprintf("the copy for partition %s failed: %s", strings.Join(failed, ", "), first.Text)
	if len(stored) > 0 {
		text += fmt.Sprintf(" (the copy for partition %s was stored)", strings.Join(stored, ", "))
	}
	return &Error{Class: first.Class, Topic: first.Topic, Text: text, err: errors.Unwrap(first)}
}
