package consume

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/messaging-kafka/messaging-kafka/internal/engine/dispatch"
	"github.com/messaging-kafka/messaging-kafka/internal/settings"
)

// startOffsets says from where newly assigned partitions are read. It is the group's offset where there is one. Where
// it has none, the setting start decides, and the decision is committed at once: without that, records that come
// between the first start and the first commit would be skipped by start=latest after a restart.
func (s *session) startOffsets(ctx context.Context, fetched map[string]map[int32]kgo.Offset) (map[string]map[int32]kgo.Offset, error) {
	if len(fetched) == 0 {
		return fetched, nil
	}
	started, err := s.decideStarts(ctx, fetched)
	if err != nil {
		err = fmt.Errorf("finding where to start: %w", err)
		if ctx.Err() == nil { // else the group goes on to another assignment
			s.problems.setStart(err)
		}
		return nil, err
	}
	s.problems.setStart(nil)
	return started, nil
}

func (s *session) decideStarts(ctx context.Context, fetched map[string]map[int32]kgo.Offset) (map[string]map[int32]kgo.Offset, error) {
	if err := s.origin.wait(ctx); err != nil {
		return nil, err
	}
	topics := make([]string, 0, len(fetched))
	for t := range fetched {
		topics = append(topics, t)
	}
	details, err := s.adm.Metadata(ctx, topics...)
	if err != nil {
		return nil, fmt.Errorf("asking for metadata: %w", err)
	}
	commits, err := s.adm.FetchOffsetsForTopics(ctx, s.cfg.Settings.Consumer.Group, topics...)
	if err != nil {
		return nil, fmt.Errorf("fetching committed offsets: %w", err)
	}

	pins := newPins(s)
	for topic, partitions := range fetched {
		now := commitMetadata{
			topicID: details.Topics[topic].ID, partitions: len(details.Topics[topic].Partitions), selection: s.origin.selection,
		}
		first := firstPartitions(commits[topic])
		later := s.origin.cameLater(topic, now.topicID)
		for id, offset := range partitions {
			tp := topicPartition{topic, id}
			c := commits[topic][id]
			meta, ahead := parseMetadata(c.Metadata, c.At)
			switch known := now.topicID != (kadm.TopicID{}); {
			case c.At < 0 && s.cfg.Settings.Delivery.RetryTopic(topic) != nil:
				pins.at(tp, settings.Start{Kind: settings.StartEarliest}, now) // whatever start says: these are records of the group's own
			case c.At < 0 && first > 0 && int(id) >= first:
				s.log.Info("a partition was added to the topic: reading it from its start", "topic", topic, "partition", id)
				pins.at(tp, settings.Start{Kind: settings.StartEarliest}, now)
			case c.At < 0 && later:
				s.log.Info("the topic came after the group began: reading it from its start", "topic", topic, "partition", id)
				pins.at(tp, settings.Start{Kind: settings.StartEarliest}, now)
			case c.At < 0:
				pins.at(tp, s.cfg.Settings.Consumer.Start, now)
			case known && meta.topicID != (kadm.TopicID{}) && meta.topicID != now.topicID:
				s.log.Warn("the topic was deleted and created again: reading the new one from its start",
					"topic", topic, "partition", id, "committed", c.At)
				pins.at(tp, settings.Start{Kind: settings.StartEarliest}, now)
			default:
				if meta == (commitMetadata{}) {
					// Committed by another client, such as the provider of old: its offset is good, and what our own
					// metadata tells begins now.
					meta = now
				}
				if s.origin.complete {
					meta.selection = s.origin.selection // there is no topic of it left to begin with
				}
				if len(ahead) > 0 && meta.topicID != now.topicID {
					ahead = nil // nobody can tell whether they are of this topic
				}
				at := offset.EpochOffset()
				if at.Offset < 0 {
					// The client has found none: this one was committed since, and the client is told of it.
					at = kgo.EpochOffset{Offset: c.At, Epoch: c.LeaderEpoch}
					partitions[id] = kgo.NewOffset().At(c.At).WithEpoch(c.LeaderEpoch)
				}
				s.begin(tp, at.Offset, commit{offset: at.Offset, epoch: at.Epoch, meta: meta, ahead: encodeAhead(c.At, ahead)}, ahead)
			}
		}
	}
	return fetched, pins.resolve(ctx, fetched)
}

// firstPartitions is the number of partitions that the topic had when the group first read it, 0 where no commit
// tells.
func firstPartitions(commits map[int32]kadm.OffsetResponse) int {
	n := 0
	for _, c := range commits {
		if m, _ := parseMetadata(c.Metadata, c.At); c.At >= 0 && m.partitions > 0 && (n == 0 || m.partitions < n) {
			n = m.partitions
		}
	}
	return n
}

// begin lets the dispatcher take records of an assigned partition from an offset on, but for those ahead, which are
// finished. committed is what the group has committed.
func (s *session) begin(tp topicPartition, from int64, committed commit, ahead []dispatch.Range) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if a := s.assigned[tp]; a != nil {
		a.committed, a.epoch = committed, committed.epoch
		if len(ahead) > 0 {
			s.log.Info("records behind an unfinished one are finished already, and passed over", "topic", tp.topic,
				"partition", tp.partition, "from", from, "up_to", ahead[len(ahead)-1].To)
		}
		a.ResumeAt(from, ahead)
	}
	signal(s.progress) // a poll that waits because all partitions are full has one more now
}

// pins are partitions without an offset of their own, to be given one.
type pins struct {
	s     *session
	kinds map[settings.Start]map[topicPartition]commitMetadata
}

func newPins(s *session) *pins {
	return &pins{s: s, kinds: make(map[settings.Start]map[topicPartition]commitMetadata)}
}

func (p *pins) at(tp topicPartition, start settings.Start, meta commitMetadata) {
	if p.kinds[start] == nil {
		p.kinds[start] = make(map[topicPartition]commitMetadata)
	}
	p.kinds[start][tp] = meta
}

// resolve looks the offsets up, commits them and puts them into fetched.
func (p *pins) resolve(ctx context.Context, fetched map[string]map[int32]kgo.Offset) error {
	going := make(commits)
	for start, tps := range p.kinds {
		listed, err := p.s.list(ctx, start, tps)
		if err != nil {
			return err
		}
		for tp, meta := range tps {
			found, ok := listed.Lookup(tp.topic, tp.partition)
			if !ok {
				return fmt.Errorf("the broker names no offset of %s", tp)
			}
			if found.Err != nil {
				return fmt.Errorf("listing offsets of %s: %w", tp, found.Err)
			}
			owner := p.s.assignmentOf(tp)
			if owner == nil {
				return fmt.Errorf("pinning the start: %s is not this session's any more", tp)
			}
			going[tp] = commitOf{owner, commit{offset: found.Offset, epoch: -1, meta: meta}}
		}
	}
	if len(going) == 0 {
		return nil
	}
	p.s.committing.Lock()
	err := p.s.send(ctx, going)
	p.s.committing.Unlock()
	if err != nil {
		return fmt.Errorf("pinning the start: %w", err)
	}
	for tp, c := range going {
		fetched[tp.topic][tp.partition] = kgo.NewOffset().At(c.offset).WithEpoch(-1)
		p.s.begin(tp, c.offset, c.commit, nil)
	}
	return nil
}

// assignmentOf returns the assignment of a partition, nil where this session has none.
func (s *session) assignmentOf(tp topicPartition) *assignment {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.assigned[tp]
}

// list asks for the offsets that start means in the topics of tps.
func (s *session) list(ctx context.Context, start settings.Start, tps map[topicPartition]commitMetadata) (kadm.ListedOffsets, error) {
	seen := make(map[string]bool)
	var topics []string
	for tp := range tps {
		if !seen[tp.topic] {
			seen[tp.topic] = true
			topics = append(topics, tp.topic)
		}
	}
	var listed kadm.ListedOffsets
	var err error
	switch start.Kind {
	case settings.StartEarliest:
		listed, err = s.adm.ListStartOffsets(ctx, topics...)
	case settings.StartTime:
		listed, err = s.adm.ListOffsetsAfterMilli(ctx, start.Time.UnixMilli(), topics...)
	case settings.StartBack:
		listed, err = s.adm.ListOffsetsAfterMilli(ctx, time.Now().Add(-start.Back).UnixMilli(), topics...)
	default:
		listed, err = s.ends(ctx, topics...)
	}
	if err != nil {
		return nil, fmt.Errorf("listing offsets: %w", err)
	}
	return listed, nil
}

// ends lists the ends of topics as the link sees them: a transaction that is not decided is not there yet.
func (s *session) ends(ctx context.Context, topics ...string) (kadm.ListedOffsets, error) {
	if s.cfg.Settings.Consumer.ReadCommitted {
		return s.adm.ListCommittedOffsets(ctx, topics...)
	}
	return s.adm.ListEndOffsets(ctx, topics...)
}
