package produce

import (
	"context"

	"github.com/messaging-kafka/messaging-kafka/internal/record"
	"github.com/messaging-kafka/messaging-kafka/internal/settings"
)

// AppendPrepared appends the records that [Publisher.Publish] would produce of out: the subject resolved, a partition of
// the link's chosen where the link limits them. Copies of producer_fanout=copy are separate records. An error says that
// the record could never be published by this link: its topic is no name or not one of allowed_topics, or it is larger
// than max_message_bytes. What only Kafka knows is not looked at.
func (p *Publisher) AppendPrepared(to []record.Outgoing, out record.Outgoing) ([]record.Outgoing, error) {
	ready, err := p.prepare(out)
	if err != nil {
		return to, err
	}
	return p.appendSpread(to, ready), nil
}

func (p *Publisher) prepare(out record.Outgoing) (record.Outgoing, *Error) {
	out, _, err := p.address(out)
	if err == nil {
		err = p.allowed(out.Topic)
	}
	if err == nil {
		err = p.handle.shared.check(&out, size(&out))
	}
	return out, err
}

// PublishAll publishes records side by side and returns, for each, where it was stored and why it was not. It is as
// [Publisher.Publish] for each of them, but sends them all before it waits.
func (p *Publisher) PublishAll(ctx context.Context, outs []record.Outgoing) ([]record.Position, []error) {
	positions, errs := make([]record.Position, len(outs)), make([]error, len(outs))
	together := make([]record.Outgoing, 0, len(outs))
	owners := make([]int, 0, len(outs))
	for i, out := range outs {
		positions[i] = record.Position{Topic: out.Topic, Partition: out.Partition, Offset: -1}
		ready, err := p.prepare(out)
		if err != nil {
			errs[i] = err
			continue
		}
		if p.link.Fanout == settings.FanoutCopy && len(p.link.Partitions) > 1 && ready.Partition == record.AnyPartition {
			positions[i], errs[i] = p.Publish(ctx, out)
			continue
		}
		together = p.appendSpread(together, ready)
		owners = append(owners, i)
	}
	if len(together) == 0 {
		return positions, errs
	}
	results, stopped := p.handle.produce(ctx, together)
	p.count(together, results)
	for j, i := range owners {
		switch {
		case stopped != nil:
			errs[i] = stopped
		case results[j].err == nil:
			positions[i] = results[j].position
		case results[j].err.Class == ClassUnknownTopic && p.create.Enabled:
			positions[i], errs[i] = p.Publish(ctx, outs[i]) // creates the topic
		default:
			positions[i], errs[i] = results[j].position, results[j].err
		}
	}
	return positions, errs
}
