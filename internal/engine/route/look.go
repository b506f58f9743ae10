package route

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/messaging-kafka/messaging-kafka/internal/engine/browse"
	"github.com/messaging-kafka/messaging-kafka/internal/observe/control"
	"github.com/messaging-kafka/messaging-kafka/internal/record"
	"github.com/messaging-kafka/messaging-kafka/internal/settings"
)

var (
	// ErrNotItsTopic says that a topic has nothing to do with the routes of a name.
	ErrNotItsTopic = errors.New("that is none of its topics")
	// ErrView says that what is to be looked at is not written as it should be.
	ErrView = errors.New("what is to be looked at")
)

const (
	// lookTimeout bounds a look: who asks is at a page.
	lookTimeout = 15 * time.Second
	// maxShownBytes is how much of a key, a value or a header is shown.
	maxShownBytes = 4096
	// maxShownAll is how many bytes of these an answer has before the last record.
	maxShownAll = 512 << 10
	// maxShownHeaders is how many headers of a record are shown.
	maxShownHeaders = 32
)

// Look shows records of a topic of the routes of a name, with payloads their keys, values and headers too. text is what
// the operator called it, see [Set.Seek]. It reads with the settings of the route, joins no group and commits nothing.
// more tells that there are others behind them.
func (s *Set) Look(ctx context.Context, name Name, text string, view *control.View, payloads bool) (shown []control.Shown, more bool, err error) {
	asked, err := s.seekable(name, text)
	if err != nil {
		return nil, false, err
	}
	topic, err := viewed(asked, view.Topic)
	if err != nil {
		return nil, false, s.Secrets.Err(err)
	}
	o, err := optionsOf(view)
	if err != nil {
		return nil, false, fmt.Errorf("%w: %w", ErrView, err)
	}
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	source, err := browse.Open(ctx, *asked, topic, s.Secrets)
	if err != nil {
		return nil, false, s.Secrets.Err(err)
	}
	defer source.Close()
	most, size := view.Limit, 0
	if most == 0 {
		most = control.MaxShown
	}
	more, err = browse.Look(ctx, source, o, func(r *record.Record) bool {
		one := show(r, payloads)
		one.Topic = s.Secrets.Value(one.Topic)
		shown = append(shown, one)
		size += len(one.Key) + len(one.Value)
		for _, h := range one.Headers {
			size += len(h.Name) + len(h.Value)
		}
		return len(shown) < most && size < maxShownAll
	})
	if err != nil {
		return nil, false, s.Secrets.Err(err)
	}
	return shown, more, nil
}

// viewed is the topic that is meant.
func viewed(asked *settings.Link, topic string) (string, error) {
	switch {
	case topic == "" && len(asked.Consumer.Topics) > 0:
		return asked.Consumer.Topics[0], nil
	case topic == "":
		return "", fmt.Errorf("%w: it reads by a pattern, so name one", ErrView)
	case !asked.Knows(topic):
		return "", fmt.Errorf("%w: %s", ErrNotItsTopic, topic)
	}
	return topic, nil
}

func optionsOf(view *control.View) (o browse.Options, err error) {
	from := view.From
	if from == "" {
		from = control.DefaultFrom
	}
	if o.From, err = browse.ParsePlace(from, time.Now()); err != nil {
		return o, err
	}
	if o.Filter, err = browse.ParseFilter(slices.DeleteFunc(slices.Clone(view.Filters), func(f string) bool { return strings.TrimSpace(f) == "" })); err != nil {
		return o, err
	}
	if view.Partition != nil {
		o.Partitions = []int32{*view.Partition}
	}
	return o, nil
}

func show(r *record.Record, payloads bool) control.Shown {
	shown := control.Shown{
		Topic: r.Topic, Partition: r.Partition, Offset: r.Offset, Time: browse.ShowTime(r.Timestamp),
		KeySize: sizeOf(r.Key), ValueSize: sizeOf(r.Value),
	}
	if payloads {
		shown.Key, shown.Value = browse.Show(r.Key, false, maxShownBytes), browse.Show(r.Value, false, maxShownBytes)
	}
	for _, h := range r.Headers[:min(len(r.Headers), maxShownHeaders)] {
		header := control.ShownHeader{Name: browse.Show([]byte(h.Key), false, maxShownBytes)}
		if payloads {
			header.Value = browse.ShowHeader(h, false, maxShownBytes)
		}
		shown.Headers = append(shown.Headers, header)
	}
	shown.MoreHeaders = len(r.Headers) - len(shown.Headers)
	return shown
}

func sizeOf(b []byte) int {
	if b == nil {
		return -1
	}
	return len(b)
}
