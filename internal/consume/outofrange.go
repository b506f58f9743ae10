package consume

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"messaging-kafka/internal/settings"
)

const listTimeout = 10 * time.Second

// outOfRange goes on from an offset that the log has, by the setting on_offset_out_of_range, and says what was lost
// on the way: retention deleted records before they were read, or the log is shorter than what was read of it.
func (s *session) outOfRange(ctx context.Context, tp topicPartition, a *assignment) error {
	ctx, cancel := context.WithTimeout(ctx, listTimeout)
	defer cancel()
	starts, err := s.adm.ListStartOffsets(ctx, tp.topic)
	if err != nil {
		return fmt.Errorf("listing the start of %s: %w", tp, err)
	}
	ends, err := s.ends(ctx, tp.topic)
	if err != nil {
		return fmt.Errorf("listing the end of %s: %w", tp, err)
	}
	start, startErr := offsetOf(starts, tp)
	end, endErr := offsetOf(ends, tp)
	if err := errors.Join(startErr, endErr); err != nil {
		return err
	}
	want := a.Next()
	policy := s.cfg.Settings.Consumer.OnOutOfRange
	to, missed := resumeAt(policy, want, start, end)
	log := s.log.With("topic", tp.topic, "partition", tp.partition, "wanted", want, "log_start", start, "log_end", end,
		"on_offset_out_of_range", string(policy))
	if policy == settings.OutOfRangeStop {
		stopped := fmt.Errorf("offset %d is not in the log (%d to %d), on_offset_out_of_range=stop", want, start, end)
		s.mu.Lock()
		first := a.stopped == nil
		a.stopped = stopped
		s.mu.Unlock()
		if first {
			log.Error("the offset is not in the log: the partition stands still")
		}
		return nil
	}
	log.Warn("the offset is not in the log: records were lost", "resumed_at", to, "records_lost", missed)
	s.cfg.Observer.Missed(missed)
	a.StartAt(to)
	s.setPlaces(map[string]map[int32]kgo.EpochOffset{tp.topic: {tp.partition: {Epoch: -1, Offset: to}}})
	return nil
}

// resumeAt chooses the offset to go on from, and counts the records between the wanted offset and that one that can
// never be read any more or are passed over.
func resumeAt(policy settings.OutOfRange, want, start, end int64) (to, missed int64) {
	to = start
	if policy == settings.OutOfRangeLatest {
		to = end
	}
	if want < to {
		return to, to - want
	}
	// The log ends before the wanted offset: what was read and is gone again cannot be counted as missed.
	return to, 0
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
