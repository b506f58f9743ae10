package consume

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/messaging-kafka/messaging-kafka/internal/settings"
)

const listTimeout = 10 * time.Second

// outOfRange goes on from an offset that the log has, by the setting on_offset_out_of_range, and says what that means:
// retention deleted records before they were read, or the log is shorter than what was read of it, or than somebody
// has set the offset to.
func (s *session) outOfRange(ctx context.Context, tp topicPartition, a *assignment) error {
	ctx, cancel := context.WithTimeout(ctx, listTimeout)
	defer cancel()
	lists := []func(context.Context, ...string) (kadm.ListedOffsets, error){s.adm.ListStartOffsets, s.adm.ListEndOffsets, s.ends}
	places := make([]int64, len(lists))
	for i, list := range lists {
		listed, err := list(ctx, tp.topic)
		if err != nil {
			return fmt.Errorf("listing the start and the end of %s: %w", tp, err)
		}
		if places[i], err = offsetOf(listed, tp); err != nil {
			return err
		}
	}
	r := logRange{start: places[0], end: places[1], readable: places[2]}
	want := a.Next()
	if r.holds(want) {
		// The replica that was asked is behind the others. Going by the setting would lose records or repeat them.
		return fmt.Errorf("the broker refuses offset %d, though the log holds it (%d to %d)", want, r.start, r.end)
	}
	policy := s.cfg.Settings.Consumer.OnOutOfRange
	log := s.log.With("topic", tp.topic, "partition", tp.partition, "wanted", want, "log_start", r.start, "log_end", r.end,
		"on_offset_out_of_range", string(policy))
	if policy == settings.OutOfRangeStop {
		s.mu.Lock()
		first := a.stopped == nil
		a.stopped = r.refuse(want)
		s.mu.Unlock()
		if first {
			log.Error("the offset is not in the log: the partition stands still", "remedy", remedySet)
		}
		return nil
	}
	o := r.resume(policy, want)
	log = log.With("resumed_at", o.to)
	switch {
	case !o.beyond:
		log.Warn("the offset is not in the log: records were lost", "records_lost", o.missed)
	case o.again > 0:
		log.Warn("the offset is beyond the end of the log, which is shorter than what was read of it, or the offset was set too far: everything that the log holds is delivered, which may be again",
			"offsets_beyond_end", want-r.end, "records_again", o.again, "remedy", "on_offset_out_of_range=latest goes on from the end instead, stop waits until "+remedySet)
	default:
		log.Warn("the offset is beyond the end of the log, which is shorter than what was read of it, or the offset was set too far: reading goes on from the end",
			"offsets_beyond_end", want-r.end)
	}
	s.cfg.Observer.Missed(o.missed)
	a.StartAt(o.to)
	s.setPositions(map[string]map[int32]kgo.EpochOffset{tp.topic: {tp.partition: {Epoch: -1, Offset: o.to}}})
	return nil
}

// remedySet is what a person can do about an offset that the log does not have.
const remedySet = "the group's offset is set to one that the log has (kafka-consumer-groups.sh --reset-offsets, while no copy is a member)"

// logRange is what the log of a partition holds.
type logRange struct {
	start, end int64
	// readable is the end of what the link may read: that of decided transactions, where it reads only those.
	readable int64
}

// holds tells whether a log can be read from an offset on. Its end is such an offset.
func (r logRange) holds(offset int64) bool { return offset >= r.start && offset <= r.end }

// refuse says why a partition stands still.
func (r logRange) refuse(want int64) error {
	where := "before the start"
	if want > r.end {
		where = "beyond the end"
	}
	return fmt.Errorf("offset %d is not in the log (%d to %d) but %s of it, on_offset_out_of_range=stop: it stands until %s, or until the setting is another",
		want, r.start, r.end, where, remedySet)
}

// resumption is where reading goes on.
type resumption struct {
	to int64
	// beyond tells that the wanted offset is beyond the end: what was read and is gone again cannot be counted.
	beyond bool
	// missed are the records between the wanted offset and the one to go on from, which can never be read any more or are
	// passed over; again are those that may have been read before.
	missed, again int64
}

func (r logRange) resume(policy settings.OutOfRange, want int64) resumption {
	o := resumption{to: r.start, beyond: want > r.end}
	if policy == settings.OutOfRangeLatest {
		o.to = r.readable
	}
	if o.beyond {
		o.again = r.readable - o.to
	} else {
		o.missed = o.to - want
	}
	return o
}

func offsetOf(listed kadm.ListedOffsets, tp topicPartition) (int64, error) {
	o, ok := listed.Lookup(tp.topic, tp.partition)
	if !ok {
		return 0, fmt.Errorf("the broker names no offset of %s", tp)
	}
	if o.Err != nil {
		return 0, fmt.Errorf("listing offsets of %s: %w", tp, o.Err)
	}
	return o.Offset, nil
}
