package browse

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/messaging-kafka/messaging-kafka/internal/engine/kafka"
	"github.com/messaging-kafka/messaging-kafka/internal/record"
)

// Options say what of a topic is shown, and how.
type Options struct {
	// From is where to begin, by default at the end; To where to stop, by default never.
	From, To Place
	// Partitions are the only ones that are read; none means all.
	Partitions []int32
	Filter     Filter
	// Limit is after how many records to stop; 0 is without a limit.
	Limit int
	JSON  bool
	Hex   bool
	// Most is how many bytes of a key or value people are shown; 0 is all.
	Most int
	// Notes is for what is to be said besides records.
	Notes io.Writer
}

// waitForRecords is how long one fetch waits for records that are not there yet.
const waitForRecords = 500 * time.Millisecond

// lookEvery is how often a tail that follows asks for partitions that were added.
const lookEvery = 5 * time.Second

// Tail prints the records of a topic until it has come to the end that the options say, or ctx ends: then without an
// error.
func Tail(ctx context.Context, s *Source, out io.Writer, o Options) error {
	places, ends, err := s.span(ctx, o)
	if err != nil {
		return s.Explain(err)
	}
	to := bufio.NewWriter(out)
	printed, looked := 0, time.Now()
	for {
		for id := range places {
			if end, bounded := ends[id]; bounded && places[id] >= end {
				delete(places, id)
			}
		}
		if len(places) == 0 {
			return nil
		}
		records, err := s.Reader.Fetch(ctx, waitForRecords, places)
		if gone, ok := errors.AsType[*kafka.GoneError](err); ok {
			err = s.goOn(ctx, o.Notes, gone, places)
		}
		if err != nil {
			return s.end(ctx, err)
		}
		enough := false
		for _, r := range records {
			if end, bounded := ends[r.Partition]; bounded && r.Offset >= end || !o.Filter.Matches(r) {
				continue
			}
			if err := Print(to, r, o); err != nil {
				return fmt.Errorf("printing records: %w", err)
			}
			printed++
			if enough = printed == o.Limit; enough {
				break
			}
		}
		if err := to.Flush(); err != nil {
			return fmt.Errorf("printing records: %w", err)
		}
		if enough {
			return nil
		}
		if !o.To.Given() && time.Since(looked) > lookEvery {
			looked = time.Now()
			s.follow(ctx, o, places)
		}
	}
}

// end is how a tail ends with an error: well where it was stopped.
func (s *Source) end(ctx context.Context, err error) error {
	select {
	case <-ctx.Done():
		return nil
	default:
		return s.Explain(err)
	}
}

// span is from where to read, and up to where, each partition.
func (s *Source) span(ctx context.Context, o Options) (places, ends map[int32]int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, s.Settings.Cluster.RequestTimeout)
	defer cancel()
	if err := kafka.NoPartition(o.Partitions, len(s.Reader.Partitions())); err != nil {
		return nil, nil, fmt.Errorf("topic %s: %w", s.Topic, err)
	}
	starts, last, err := s.Reader.Bounds(ctx)
	if err != nil {
		return nil, nil, err
	}
	if places, err = o.From.Offsets(ctx, s.Reader, starts, last); err != nil {
		return nil, nil, err
	}
	if o.To.Given() {
		if ends, err = o.To.Offsets(ctx, s.Reader, starts, last); err != nil {
			return nil, nil, err
		}
	}
	for id := range places {
		if len(o.Partitions) > 0 && !slices.Contains(o.Partitions, id) {
			delete(places, id)
		}
	}
	return places, ends, nil
}

// follow adds partitions that the topic was given meanwhile, from their starts. What fails is tried again.
func (s *Source) follow(ctx context.Context, o Options, places map[int32]int64) {
	ctx, cancel := context.WithTimeout(ctx, s.Settings.Cluster.RequestTimeout)
	defer cancel()
	if len(o.Partitions) > 0 || s.Reader.Look(ctx) != nil {
		return
	}
	for _, id := range s.Reader.Partitions() {
		if _, known := places[id]; !known {
			places[id] = 0
		}
	}
}

// goOn goes on in a partition whose place is not in the log: where it begins, or at its end where the log is shorter.
func (s *Source) goOn(ctx context.Context, notes io.Writer, gone *kafka.GoneError, places map[int32]int64) error {
	ctx, cancel := context.WithTimeout(ctx, s.Settings.Cluster.RequestTimeout)
	defer cancel()
	starts, ends, err := s.Reader.Bounds(ctx)
	if err != nil {
		return err
	}
	id := gone.Partition
	places[id] = min(max(gone.Place, starts[id]), ends[id])
	_, err = fmt.Fprintf(notes, "%v: it goes on at %d\n", gone, places[id])
	return err
}

// Print prints a record.
func Print(out io.Writer, r *record.Record, o Options) error {
	if o.JSON {
		return json.NewEncoder(out).Encode(NewLine(r, o.Hex))
	}
	if _, err := fmt.Fprintf(out, "%s  %s  %s  %s\n", ShowTime(r.Timestamp), Position(r), Show(r.Key, o.Hex, o.Most),
		Show(r.Value, o.Hex, o.Most)); err != nil {
		return err
	}
	return PrintHeaders(out, r, o)
}

// PrintHeaders prints the headers of a record, each on a line of its own.
func PrintHeaders(out io.Writer, r *record.Record, o Options) error {
	for _, h := range r.Headers {
		if _, err := fmt.Fprintf(out, "    %s: %s\n", escape(h.Key), ShowHeader(h, o.Hex, o.Most)); err != nil {
			return err
		}
	}
	return nil
}
