package dev

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/messaging-kafka/messaging-kafka/internal/engine/consume"
	"github.com/messaging-kafka/messaging-kafka/internal/engine/kafka"
)

const (
	// askEvery is how often Kafka is asked how far the group is, once the input has ended.
	askEvery = 50 * time.Millisecond
	// maxHealth bounds what is shown of the bridge's health.
	maxHealth = 4 << 10
)

// shownTo are the positions up to which topics have been shown.
type shownTo map[string]map[int32]int64

// exchange sends lines and shows what is produced, until the input has ended and all records are handled, or ctx ends,
// or nothing moves any more.
func (t *trial) exchange(ctx context.Context) (err error) {
	in, stopReading, err := t.readLines()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stopReading()) }()
	polling, cancel := context.WithCancel(ctx)
	records := make(chan *kgo.Record)
	polled := make(chan struct{})
	go func() {
		defer close(polled)
		t.poll(polling, records)
	}()
	defer func() { cancel(); <-polled }()
	telling := make(chan struct{})
	go func() {
		defer close(telling)
		t.tell(polling)
	}()
	defer func() { cancel(); <-telling }()
	changed := make(chan error)
	if t.component.Watch {
		watched := make(chan struct{})
		go func() {
			defer close(watched)
			t.watch(polling, changed)
		}()
		defer func() { cancel(); <-watched }()
	}
	t.screen.say("Each line goes to %s; what is produced elsewhere is shown.%s\n", t.topic, map[bool]string{true: " Ctrl-D ends."}[t.opts.Interactive])
	return t.run(ctx, in, records, changed)
}

// run returns nil when everything is handled.
func (t *trial) run(ctx context.Context, in *input, records <-chan *kgo.Record, changed <-chan error) error {
	positions := make(shownTo)
	lines, tick := in.lines, time.NewTicker(askEvery)
	defer tick.Stop()
	var moved time.Time // when something was last seen to have moved, once the input has ended
	last := int64(-1)
	for {
		select {
		case l, more := <-lines:
			if !more {
				if in.err != nil {
					return in.err
				}
				lines, moved = nil, time.Now()
				continue
			}
			if err := t.send(ctx, l); err != nil {
				return err
			}
		case record := <-records:
			moved = time.Now()
			if err := t.show(record, positions); err != nil {
				return fmt.Errorf("writing a record: %w", err)
			}
		case err := <-changed:
			t.tellChange(err)
		case <-t.ended:
			return fmt.Errorf("the bridge has ended: %w", t.endErr)
		case <-tick.C:
			if lines != nil {
				continue
			}
			left, known, err := t.lag(ctx)
			if err != nil || !known {
				left = -1
			}
			if left == 0 && t.allShown(ctx, positions) {
				return nil
			}
			if left != last {
				last, moved = left, time.Now()
			}
			if time.Since(moved) > t.opts.EchoTimeout {
				return fmt.Errorf("%d records of %s are not handled, and nothing has moved for %s; the bridge says: %s",
					max(left, 0), t.topic, t.opts.EchoTimeout, t.health())
			}
		case <-ctx.Done():
			return nil
		}
	}
}

// send produces a line and waits until Kafka has it.
func (t *trial) send(ctx context.Context, l line) error {
	if l.err != nil {
		return t.refused("a line was not sent: " + l.err.Error())
	}
	// One key, so that lines keep their order.
	err := t.kafka.ProduceSync(ctx, &kgo.Record{Topic: t.topic, Key: []byte(recordKey), Value: l.value}).FirstErr()
	if err == nil || errors.Is(err, ctx.Err()) {
		return nil
	}
	return t.refused("a line was not taken by Kafka: " + t.access.Explain(err).Text)
}

// refused tells of a line that is not in Kafka, which is the end where nobody sees it.
func (t *trial) refused(text string) error {
	if t.opts.Interactive {
		t.screen.warn("%s\n", text)
		return nil
	}
	return errors.New(text)
}

// poll reads what is produced until ctx ends.
func (t *trial) poll(ctx context.Context, to chan<- *kgo.Record) {
	for ctx.Err() == nil {
		fetches := t.kafka.PollFetches(ctx)
		fetches.EachError(func(topic string, _ int32, err error) {
			if ctx.Err() == nil {
				t.log.Warn("a topic is not read", "topic", topic, "error", t.access.Explain(err).Text)
			}
		})
		for iter := fetches.RecordIter(); !iter.Done(); {
			select {
			case to <- iter.Next():
			case <-ctx.Done():
				return
			}
		}
	}
}

// show shows a record, unless it is one of those that the component reads.
func (t *trial) show(r *kgo.Record, positions shownTo) error {
	if positions[r.Topic] == nil {
		positions[r.Topic] = make(map[int32]int64)
	}
	positions[r.Topic][r.Partition] = r.Offset + 1
	if t.isInput(r.Topic) || r.Attrs.IsControl() {
		return nil
	}
	if t.opts.JSON {
		line, err := jsonLine(r, nil)
		if err != nil {
			return err
		}
		return t.screen.show(line)
	}
	text := fmt.Appendf(nil, "%s partition %d offset %d", r.Topic, r.Partition, r.Offset)
	if r.Key != nil {
		text = appendPrintable(append(text, " key "...), r.Key, maxShown)
	}
	for _, h := range r.Headers {
		// Why it is a dead letter.
		if h.Key == consume.HeaderError {
			text = appendPrintable(append(text, " ("...), h.Value, maxShown)
			text = append(text, ')')
		}
	}
	text = append(text, ": "...)
	return t.screen.show(append(appendValue(text, r.Value, t.opts.Interactive), '\n'))
}

func (t *trial) isInput(topic string) bool {
	return slices.Contains(t.link.Consumer.Topics, topic)
}

// lag is how many records the group has before it. known is false where it has no offset in some partition.
func (t *trial) lag(ctx context.Context) (left int64, known bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, rpcTimeout)
	defer cancel()
	lags, err := kafka.GroupLag(ctx, kadm.NewClient(t.kafka), t.group, true, t.link.Consumer.Topics...)
	if err != nil {
		return 0, false, err
	}
	known = true
	for i := range lags {
		unread, ok := lags[i].Unread()
		left, known = left+unread, known && ok
	}
	return left, known, nil
}

// allShown tells whether everything that was produced has been shown, now that nothing more is coming.
func (t *trial) allShown(ctx context.Context, positions shownTo) bool {
	ctx, cancel := context.WithTimeout(ctx, rpcTimeout)
	defer cancel()
	admin := kadm.NewClient(t.kafka)
	var topics []string
	if t.opts.Hosts != "" {
		topics = t.shown()
	}
	ends, err := admin.ListCommittedOffsets(ctx, topics...)
	if err != nil {
		return false
	}
	starts, err := admin.ListOffsetsAfterMilli(ctx, t.since.UnixMilli(), topics...)
	if err != nil {
		return false
	}
	all := true
	ends.Each(func(end kadm.ListedOffset) {
		from := int64(0)
		if t.opts.Hosts != "" || t.opts.Data != "" {
			if start, ok := starts.Lookup(end.Topic, end.Partition); ok {
				from = start.Offset
			}
		}
		shown := max(from, positions[end.Topic][end.Partition])
		if end.Err == nil && !strings.HasPrefix(end.Topic, "_") && end.Offset > shown {
			all = false
		}
	})
	return all
}

// health is what the bridge says of itself, in one line.
func (t *trial) health() string {
	if t.admin == "" {
		return "nothing"
	}
	ctx, cancel := context.WithTimeout(context.Background(), rpcTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+t.admin+"/readyz", http.NoBody)
	if err != nil {
		return err.Error()
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err.Error()
	}
	defer resp.Body.Close() // it was only read
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxHealth))
	if err != nil {
		return err.Error()
	}
	return strings.Join(strings.Fields(string(text)), " ")
}

// tellChange tells that the component was served anew, or why not.
func (t *trial) tellChange(err error) {
	if err != nil {
		t.screen.warn("the new %s is not served: %v\n", t.component.Path, err)
		return
	}
	t.screen.say("the new %s is served\n", t.component.Path)
}
