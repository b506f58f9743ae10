package browse

import (
	"context"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"time"

	"github.com/messaging-kafka/messaging-kafka/internal/engine/kafka"
)

type placeKind uint8

const (
	placeNone placeKind = iota
	placeStart
	placeEnd
	placeTime
	placeOffset
	placeBack
)

// Place is a place in each partition of a topic. The zero value is none.
type Place struct {
	kind placeKind
	time time.Time
	n    int64
}

// placeForms says how a place is written.
const placeForms = "start, end, an offset (1042), so many offsets before the end (-100), a time (2026-01-31T08:00:00Z) or a time ago (15m)"

// ParsePlace reads a place; now is what a time ago counts from.
func ParsePlace(text string, now time.Time) (Place, error) {
	switch text {
	case "":
		return Place{}, nil
	case "start":
		return Place{kind: placeStart}, nil
	case "end":
		return Place{kind: placeEnd}, nil
	}
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		if strings.HasPrefix(text, "-") {
			return Place{kind: placeBack, n: -n}, nil
		}
		return Place{kind: placeOffset, n: n}, nil
	}
	t, err := ParseTime(text, now)
	if err != nil {
		return Place{}, fmt.Errorf("%q is no place: it is one of %s", text, placeForms)
	}
	return Place{kind: placeTime, time: t}, nil
}

// IsBehind tells whether a place is behind another one in every partition, so that nothing is between them. Of places
// of different kinds that is known only where the topic is.
func (p Place) IsBehind(o Place) bool {
	switch {
	case p.kind == placeEnd && o.kind == placeStart:
		return true
	case p.kind != o.kind:
		return false
	}
	switch p.kind {
	case placeOffset:
		return p.n > o.n
	case placeBack:
		return p.n < o.n
	case placeTime:
		return p.time.After(o.time)
	default:
		return false
	}
}

// ParseTime reads a time: 2026-01-31T08:00:00Z, 2026-01-31 (in UTC), or so long before now (15m, 2h).
func ParseTime(text string, now time.Time) (time.Time, error) {
	for _, layout := range []string{time.RFC3339Nano, time.DateOnly} {
		if t, err := time.Parse(layout, text); err == nil {
			return t, nil
		}
	}
	if d, err := time.ParseDuration(text); err == nil && d >= 0 {
		return now.Add(-d), nil
	}
	return time.Time{}, fmt.Errorf("%q is no time: it is of the form 2026-01-31T08:00:00Z or 2026-01-31, or so long ago (15m)", text)
}

// Given tells whether it is a place at all.
func (p Place) Given() bool { return p.kind != placeNone }

// Offsets are the offsets of the place in the given partitions, within the log.
func (p Place) Offsets(
	ctx context.Context, r *kafka.TopicReader, starts, ends map[int32]int64,
) (map[int32]int64, error) {
	at := maps.Clone(ends)
	switch p.kind {
	case placeStart:
		at = maps.Clone(starts)
	case placeTime:
		after, err := r.After(ctx, p.time)
		if err != nil {
			return nil, err
		}
		at = after
	case placeOffset:
		for id := range at {
			at[id] = p.n
		}
	case placeBack:
		for id := range at {
			at[id] -= p.n
		}
	case placeEnd, placeNone:
	}
	for id := range ends {
		at[id] = min(max(at[id], starts[id]), ends[id])
	}
	return at, nil
}
