package consume

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/messaging-kafka/messaging-kafka/internal/engine/kafka"
	"github.com/messaging-kafka/messaging-kafka/internal/settings"
)

// origin tells which topics the link was to read when its group began to read them. A topic that came later is read
// from its start: whoever put the link was to get its records, whatever the setting start says of those before.
//
// It is found by the consumer's first look at the cluster and kept for all its sessions. The group's offsets tell of
// the time before that look: each of them goes with the selection of topics for which it was made. Where there is one
// for this selection, a topic without any came after it.
type origin struct {
	// selection stands for the value of the setting topic.
	selection string
	// known is closed when the rest is.
	known chan struct{}
	// topics are those that were there, with their ids; the zero id is one that could not be seen.
	topics map[string]kadm.TopicID
	// complete tells that the group had an offset of each of them.
	complete bool
}

func newOrigin(c *settings.Consumer) *origin {
	names := slices.Sorted(slices.Values(c.Topics))
	if c.TopicPattern != nil {
		names = []string{"/" + c.TopicPattern.String() + "/"}
	}
	sum := sha256.Sum256([]byte(strings.Join(names, ",")))
	return &origin{selection: base64.RawURLEncoding.EncodeToString(sum[:6]), known: make(chan struct{})}
}

// wait waits until the origin is known.
func (o *origin) wait(ctx context.Context) error {
	select {
	case <-o.known:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("finding out which topics there are: %w", ctx.Err())
	}
}

// cameLater tells of a topic that was not there at the origin, or that was deleted since and created again. The origin
// is known.
func (o *origin) cameLater(topic string, id kadm.TopicID) bool {
	none := kadm.TopicID{}
	was, there := o.topics[topic]
	return !there || was != none && id != none && was != id
}

// findOrigin asks for the origin where it is not known. The monitor alone does so, before it tells anybody of a topic
// that is missing.
func (s *session) findOrigin(ctx context.Context) error {
	select {
	case <-s.origin.known:
		return nil
	default:
	}
	err := s.askOrigin(ctx)
	if err == nil {
		close(s.origin.known)
	} else if !errors.Is(err, context.Canceled) {
		err = fmt.Errorf("finding where to start: %w", err)
	}
	s.problems.setOrigin(err)
	return err
}

func (s *session) askOrigin(ctx context.Context) error {
	topics, err := selectedTopics(ctx, &s.cfg.Settings.Consumer, s.adm)
	if err != nil {
		return err
	}
	offsets, err := s.adm.FetchOffsets(ctx, s.cfg.Settings.Consumer.Group)
	if err != nil && !errors.Is(err, kerr.GroupIDNotFound) { // a group that does not exist has no offsets
		return fmt.Errorf("fetching committed offsets: %w", err)
	}
	begun := false
	has := make(map[string]bool)
	offsets.Each(func(o kadm.OffsetResponse) {
		if o.Err == nil && o.At >= 0 {
			has[o.Topic] = true
			meta, _ := parseMetadata(o.Metadata, o.At)
			begun = begun || meta.selection == s.origin.selection
		}
	})
	without := func(topic string, _ kadm.TopicID) bool { return !has[topic] }
	if begun {
		maps.DeleteFunc(topics, without)
	}
	s.origin.topics, s.origin.complete = topics, true
	for topic, id := range topics {
		s.origin.complete = s.origin.complete && !without(topic, id)
	}
	return nil
}

// selectedTopics asks which of the topics that the link is to read there are.
func selectedTopics(ctx context.Context, c *settings.Consumer, adm *kadm.Client) (map[string]kadm.TopicID, error) {
	details, err := adm.Metadata(ctx, c.Topics...) // of all topics, where there is a pattern in the place of names
	if err != nil {
		return nil, fmt.Errorf("asking for metadata: %w", err)
	}
	topics := make(map[string]kadm.TopicID)
	for name, t := range details.Topics {
		switch {
		case c.TopicPattern != nil && (t.Err != nil || !c.TopicPattern.MatchString(name) || !kafka.MayMatch(name, t.IsInternal)):
		case errors.Is(t.Err, kerr.UnknownTopicOrPartition):
		case t.Err != nil:
			topics[name] = kadm.TopicID{} // such as one that this user may not see
		default:
			topics[name] = t.ID
		}
	}
	return topics, nil
}
