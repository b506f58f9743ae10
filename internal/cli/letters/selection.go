package letters

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Selection says which letters are meant: those that fit all that is set. Its JSON stands in the notes of a redrive, so
// it is short, and says nothing but what a letter itself decides.
type Selection struct {
	// Reason is a regular expression for the reason.
	Reason string `json:"reason,omitempty"`
	// Origin is the topic that the letter comes from, OriginPartition its partition.
	Origin          string `json:"origin,omitempty"`
	OriginPartition *int32 `json:"op,omitempty"`
	Group           string `json:"group,omitempty"`
	// Key is the key, byte for byte; nil is any.
	Key []byte `json:"key,omitempty"`
	// KeyEmpty is for the key that is empty, which Key cannot say in JSON.
	KeyEmpty bool `json:"nokey,omitempty"`
	// Since and Until are milliseconds since 1970, of the record's own time; 0 is any. Until is not in it.
	Since int64 `json:"since,omitempty"`
	Until int64 `json:"until,omitempty"`
	// Partitions and the offsets are those of the letter. Last is in it; 0 is any.
	Partitions []int32 `json:"part,omitempty"`
	First      int64   `json:"first,omitempty"`
	Last       *int64  `json:"last,omitempty"`
	// MostRedrives is how often the letter may have been sent back before; nil is any.
	MostRedrives *int `json:"redrives,omitempty"`

	reason *regexp.Regexp
}

// Check makes the selection ready for use.
func (s *Selection) Check() error {
	if s.Reason != "" {
		re, err := regexp.Compile(s.Reason)
		if err != nil {
			return fmt.Errorf("--reason: %w", err)
		}
		s.reason = re
	}
	slices.Sort(s.Partitions)
	s.Partitions = slices.Compact(s.Partitions)
	if s.Since != 0 && s.Until != 0 && s.Since >= s.Until {
		return errors.New("--since is not before --until: no record fits")
	}
	return nil
}

// SetOrigin reads TOPIC or TOPIC/PARTITION.
func (s *Selection) SetOrigin(text string) error {
	topic, partition, has := strings.Cut(text, "/")
	s.Origin = topic
	if topic == "" {
		return errors.New("--origin is of the form TOPIC or TOPIC/PARTITION")
	}
	if has {
		n, err := strconv.ParseInt(partition, 10, 32)
		if err != nil || n < 0 {
			return errors.New("--origin is of the form TOPIC or TOPIC/PARTITION")
		}
		p := int32(n)
		s.OriginPartition = &p
	}
	return nil
}

// SetOffsets reads N, N-M, N- or -M.
func (s *Selection) SetOffsets(text string) error {
	wrong := errors.New("--offset is of the form N, N-M, N- or -M")
	first, last, span := strings.Cut(text, "-")
	if !span {
		last = first
	}
	read := func(text string, missing int64) (int64, error) {
		if text == "" && span {
			return missing, nil
		}
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil || n < 0 {
			return 0, wrong
		}
		return n, nil
	}
	from, err := read(first, 0)
	if err != nil {
		return err
	}
	to, err := read(last, math.MaxInt64)
	if err != nil || from > to || text == "-" {
		return wrong
	}
	s.First = from
	if to != math.MaxInt64 {
		s.Last = &to
	}
	return nil
}

// SetKey has letters of this key alone be meant.
func (s *Selection) SetKey(key []byte) { s.Key, s.KeyEmpty = key, len(key) == 0 }

// Matches tells whether a letter is meant.
func (s *Selection) Matches(l *Letter) bool {
	sent := l.Sent.UnixMilli()
	switch {
	case !s.covers(l.Partition, l.Offset),
		s.reason != nil && !s.reason.MatchString(l.Reason),
		s.Origin != "" && s.Origin != l.Origin.Topic,
		s.OriginPartition != nil && *s.OriginPartition != l.Origin.Partition,
		s.Group != "" && s.Group != l.Group,
		(len(s.Key) > 0 || s.KeyEmpty) && (l.Key == nil || !bytes.Equal(s.Key, l.Key)),
		s.Since != 0 && sent < s.Since,
		s.Until != 0 && sent >= s.Until,
		s.MostRedrives != nil && l.Redrives > *s.MostRedrives:
		return false
	}
	return true
}

// covers tells whether the letter at a place can be meant.
func (s *Selection) covers(partition int32, offset int64) bool {
	return (len(s.Partitions) == 0 || slices.Contains(s.Partitions, partition)) &&
		offset >= s.First && (s.Last == nil || offset <= *s.Last)
}

// span is what of a partition is to be looked at; nothing where from is not below to.
func (s *Selection) span(partition int32, start, end int64) (from, to int64) {
	if len(s.Partitions) > 0 && !slices.Contains(s.Partitions, partition) {
		return end, end
	}
	if s.Last != nil {
		end = min(end, max(*s.Last, *s.Last+1))
	}
	return max(start, s.First), end
}

// text is what tells selections apart.
func (s *Selection) text() string {
	b, err := json.Marshal(s)
	if err != nil {
		panic("letters: a selection has nothing that JSON lacks: " + err.Error())
	}
	return string(b)
}

// within tells whether each letter that s means is meant by other too, as far as that is plain to see: where they
// differ in nothing but times, or other means all.
func (s *Selection) within(other *Selection) bool {
	a, b := *s, *other
	if b.Since > a.Since || b.Until != 0 && (a.Until == 0 || b.Until < a.Until) {
		return false
	}
	a.Since, a.Until, b.Since, b.Until = 0, 0, 0, 0
	all := Selection{}
	return b.text() == all.text() || a.text() == b.text()
}
