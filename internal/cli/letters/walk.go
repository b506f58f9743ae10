package letters

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/messaging-kafka/messaging-kafka/internal/engine/browse"
	"github.com/messaging-kafka/messaging-kafka/internal/engine/kafka"
	"github.com/messaging-kafka/messaging-kafka/internal/record"
)

// waitForLetters is how long one fetch waits: there is something to come, or the walk would be over.
const waitForLetters = time.Second

// walk reads the letters that were there when it began.
type walk struct {
	s *browse.Source
	// starts are those of the log, ends where the walk ends.
	starts, ends map[int32]int64
	// places are what is read next.
	places map[int32]int64
	// open is where transactions that are open hide what is there and behind them.
	open map[int32]int64
	// notes is told of letters that were deleted before they were read.
	notes io.Writer
}

// newWalk finds the span of a walk.
func newWalk(ctx context.Context, s *browse.Source, of *Selection, notes io.Writer) (*walk, error) {
	ctx, cancel := context.WithTimeout(ctx, s.Settings.Cluster.RequestTimeout)
	defer cancel()
	if err := kafka.NoPartition(of.Partitions, len(s.Reader.Partitions())); err != nil {
		return nil, &letterError{fmt.Sprintf("topic %s: %v", s.Topic, err)}
	}
	written, err := s.Reader.Ends(ctx)
	if err != nil {
		return nil, err
	}
	starts, ends, err := s.Reader.Bounds(ctx)
	if err != nil {
		return nil, err
	}
	w := &walk{
		s: s, starts: starts, ends: make(map[int32]int64), places: make(map[int32]int64), open: make(map[int32]int64),
		notes: notes,
	}
	for id, end := range ends {
		w.places[id], w.ends[id] = of.span(id, starts[id], end)
		if from, to := of.span(id, starts[id], written[id]); max(from, end) < to {
			w.open[id] = end
		}
	}
	return w, nil
}

// tellOpen says where letters that are meant may be behind a transaction that is open.
func (w *walk) tellOpen() error {
	for _, id := range slices.Sorted(maps.Keys(w.open)) {
		if _, err := fmt.Fprintf(w.notes, "partition %d: a transaction that began at offset %d is open: what is there and behind it is not looked at until it has ended (kafka-transactions.sh tells whose it is)\n",
			id, w.open[id]); err != nil {
			return err
		}
	}
	return nil
}

// left is how many offsets are still to be read.
func (w *walk) left() (n int64) {
	for id, at := range w.places {
		n += max(0, w.ends[id]-at)
	}
	return n
}

// next reads on: the letters, in the order of their offsets in each partition. It is over when it says so; then
// w.places are the ends.
func (w *walk) next(ctx context.Context) (records []*record.Record, over bool, err error) {
	going := make(map[int32]int64)
	for id, at := range w.places {
		if at < w.ends[id] {
			going[id] = at
		}
	}
	if len(going) == 0 {
		return nil, true, nil
	}
	read, err := w.s.Reader.Fetch(ctx, waitForLetters, going)
	if gone, ok := errors.AsType[*kafka.GoneError](err); ok {
		return nil, false, w.passOver(ctx, gone)
	}
	if err != nil {
		return nil, false, err
	}
	for id, at := range going {
		w.places[id] = min(at, w.ends[id])
	}
	for _, r := range read {
		if r.Offset < w.ends[r.Partition] {
			records = append(records, r)
		}
	}
	return records, false, nil
}

// passOver goes on behind letters that were deleted while the walk was on its way.
func (w *walk) passOver(ctx context.Context, gone *kafka.GoneError) error {
	ctx, cancel := context.WithTimeout(ctx, w.s.Settings.Cluster.RequestTimeout)
	defer cancel()
	starts, ends, err := w.s.Reader.Bounds(ctx)
	if err != nil {
		return err
	}
	id := gone.Partition
	if ends[id] < gone.Place {
		return fmt.Errorf("%w: %w: it ends at %d", gone, errNotTheSame, ends[id])
	}
	to := min(starts[id], w.ends[id])
	_, err = fmt.Fprintf(w.notes, "partition %d: letters were deleted before they were read: it goes on at %d in the place of %d\n", id, to, gone.Place)
	w.starts[id], w.places[id] = starts[id], to
	return err
}

// Each calls do with each letter that is meant, of those that are there now, until do says that it is enough.
func Each(
	ctx context.Context, s *browse.Source, of *Selection, notes io.Writer, do func(*Letter) (enough bool, err error),
) error {
	w, err := newWalk(ctx, s, of, notes)
	if err != nil {
		return s.Explain(err)
	}
	if err := w.tellOpen(); err != nil {
		return err
	}
	for {
		records, over, err := w.next(ctx)
		if err != nil {
			return s.Explain(err)
		}
		if over {
			return nil
		}
		for _, r := range records {
			l := Read(r)
			if !of.Matches(&l) {
				continue
			}
			if enough, err := do(&l); enough || err != nil {
				return err
			}
		}
	}
}
