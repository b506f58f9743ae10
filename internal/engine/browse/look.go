package browse

import (
	"context"
	"errors"

	"github.com/messaging-kafka/messaging-kafka/internal/engine/kafka"
	"github.com/messaging-kafka/messaging-kafka/internal/record"
)

// Look hands the records of a topic from o.From to where the topic ends now, or o.To, that fit o.Filter, to take, which
// keeps nothing of them and tells whether it takes another one. more tells that there are others behind those that it
// took. Look waits for none that is not there yet, and goes as far as ctx lets it: more is true of what was taken by
// then, and there is an error only where nothing was.
func Look(ctx context.Context, s *Source, o Options, take func(*record.Record) (another bool)) (more bool, err error) {
	if !o.To.Given() {
		o.To = Place{kind: placeEnd}
	}
	places, ends, err := s.span(ctx, o)
	if err != nil {
		return false, s.Explain(err)
	}
	taken, full := false, false
	for {
		for id := range places {
			if places[id] >= ends[id] {
				delete(places, id)
			}
		}
		if len(places) == 0 {
			return false, nil
		}
		records, err := s.Reader.Fetch(ctx, waitForRecords, places)
		if gone, ok := errors.AsType[*kafka.GoneError](err); ok {
			places[gone.Partition] = ends[gone.Partition] // what was there has just been deleted
			continue
		}
		if err != nil {
			if ctx.Err() != nil && taken {
				return true, nil
			}
			return false, s.Explain(err)
		}
		for _, r := range records {
			if r.Offset >= ends[r.Partition] || !o.Filter.Matches(r) {
				continue
			}
			if full {
				return true, nil
			}
			full, taken = !take(r), true
		}
	}
}
