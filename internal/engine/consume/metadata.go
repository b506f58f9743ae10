package consume

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/messaging-kafka/messaging-kafka/internal/engine/dispatch"
)

// commitMetadata is the first part of the text that goes with each committed offset. It tells a later session three
// things that an offset alone cannot: which topic it is of, should the topic have been deleted and created again under
// its name meanwhile; how many partitions the topic had when the group began, and for which selection of topics it
// began (see origin), so that a partition or topic that was added later is read from its start and not, as a group's
// first ones are, from where the setting start says.
type commitMetadata struct {
	topicID    kadm.TopicID
	partitions int
	selection  string
}

const (
	metadataVersion = "mk1"
	// selectionField holds the selection of topics.
	selectionField = ";s="
	// aheadField holds the ranges of finished records beyond the offset, and that offset itself.
	aheadField = ";f2="
	// maxAhead bounds that field. A broker takes 4096 bytes in all (offset.metadata.max.bytes).
	maxAhead = 2900
)

// String formats the metadata; it is empty where nothing is known.
func (m commitMetadata) String() string {
	if m == (commitMetadata{}) {
		return ""
	}
	text := fmt.Sprintf("%s;t=%s;n=%d", metadataVersion, base64.RawURLEncoding.EncodeToString(m.topicID[:]), m.partitions)
	if m.selection != "" {
		text += selectionField + m.selection
	}
	return text
}

// knowsTopic tells whether the metadata names the topic. Without that nothing can be told of records beyond an offset:
// they may be those of another topic of the same name.
func (m commitMetadata) knowsTopic() bool { return m.topicID != (kadm.TopicID{}) }

// parseMetadata reads what a commit wrote: the metadata, and the ranges of finished records beyond the offset that it
// came with. Metadata that cannot be read, such as another client's, counts as none.
func parseMetadata(text string, offset int64) (m commitMetadata, ahead []dispatch.Range) {
	version, rest, _ := strings.Cut(text, ";t=")
	id, rest, ok := strings.Cut(rest, ";n=")
	if version != metadataVersion || !ok {
		return commitMetadata{}, nil
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(id)
	if err != nil || len(raw) != len(m.topicID) {
		return commitMetadata{}, nil
	}
	copy(m.topicID[:], raw)
	n, fields, more := strings.Cut(rest, ";")
	if m.partitions, err = strconv.Atoi(n); err != nil || m.partitions < 0 {
		return commitMetadata{}, nil
	}
	for more {
		var field string
		field, fields, more = strings.Cut(fields, ";")
		if selection, is := strings.CutPrefix(";"+field, selectionField); is {
			m.selection = selection
		}
		if ranges, is := strings.CutPrefix(";"+field, aheadField); is && m.knowsTopic() {
			if ahead, err = decodeAhead(ranges, offset); err != nil {
				ahead = nil // its records are delivered again
			}
		}
	}
	return m, ahead
}

// Ranges are written after the offset that they belong to, so that they count for no other: there are tools that set an
// offset and keep the text of the one before. They are in sections of one leader epoch each. A section is its epoch,
// its kind, and either the number of runs and for each the offsets from the end of the one before and its length; or
// the offsets up to its first one, the number of bytes, and bits for the offsets from there on. Numbers are varints.
// The shorter one is taken: runs where few records stand between many, bits where many do. Ranges that do not fit are
// left out from the end, and delivered again.
const (
	sectionRuns = 0
	sectionBits = 1
)

// encodeAhead writes ranges that lie beyond an offset; it is empty where there are none.
func encodeAhead(offset int64, ahead []dispatch.Range) string {
	budget := base64.RawURLEncoding.DecodedLen(maxAhead)
	at := offset
	for i, r := range ahead {
		if r.From < at {
			ahead = ahead[:i] // the place was set back: what is told of it can only be older
			break
		}
		at = r.To
	}
	if len(ahead) == 0 {
		return ""
	}
	out := binary.AppendUvarint(nil, uint64(offset))
	for end := offset; len(ahead) > 0 && len(out) < budget; {
		n := 1
		for n < len(ahead) && ahead[n].Epoch == ahead[0].Epoch {
			n++
		}
		runs, runsEnd, allRuns := encodeRuns(end, ahead[:n], budget-len(out))
		bits, bitsEnd, allBits := encodeBits(end, ahead[:n], budget-len(out))
		section, all := bits, allBits
		if allRuns && (!allBits || len(runs) <= len(bits)) || !allBits && runsEnd >= bitsEnd {
			section, end, all = runs, runsEnd, allRuns
		} else {
			end = bitsEnd
		}
		if out = append(out, section...); !all {
			break
		}
		ahead = ahead[n:]
	}
	return base64.RawURLEncoding.EncodeToString(out)
}

// encodeRuns writes a section as runs, those that fit into room. It returns where they end, and whether all fit.
func encodeRuns(offset int64, ahead []dispatch.Range, room int) (section []byte, end int64, all bool) {
	var runs []byte
	n, at := 0, offset
	head := func(n int) []byte {
		return binary.AppendUvarint(append(binary.AppendUvarint(nil, uint64(ahead[0].Epoch)), sectionRuns), uint64(n))
	}
	for _, r := range ahead {
		more := binary.AppendUvarint(binary.AppendUvarint(runs, uint64(r.From-at)), uint64(r.To-r.From))
		if len(head(n+1))+len(more) > room {
			break
		}
		runs, n, at = more, n+1, r.To
	}
	if n == 0 {
		return nil, offset, false
	}
	return append(head(n), runs...), at, n == len(ahead)
}

// encodeBits writes a section as bits, those that fit into room. It returns where they end, and whether all fit.
func encodeBits(offset int64, ahead []dispatch.Range, room int) (section []byte, end int64, all bool) {
	first, last := ahead[0].From, ahead[len(ahead)-1].To
	head := append(binary.AppendUvarint(nil, uint64(ahead[0].Epoch)), sectionBits)
	head = binary.AppendUvarint(head, uint64(first-offset))
	room -= len(head) + 3 // of the number of bytes
	if room <= 0 {
		return nil, offset, false
	}
	size := (last - first + 7) / 8
	if size > int64(room) {
		size, last = int64(room), first+8*int64(room)
	}
	bits := make([]byte, size)
	for _, r := range ahead {
		for at := r.From; at < min(r.To, last); at++ {
			bits[(at-first)/8] |= 1 << ((at - first) % 8)
		}
	}
	return append(binary.AppendUvarint(head, uint64(size)), bits...), last, last == ahead[len(ahead)-1].To
}

var errAhead = errors.New("the ranges of finished records cannot be read")

// decodeAhead reads what encodeAhead has written for that very offset.
func decodeAhead(text string, offset int64) ([]dispatch.Range, error) {
	data, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil {
		return nil, err
	}
	bad := false
	number := func(most uint64) int64 {
		v, n := binary.Uvarint(data)
		if n <= 0 || v > most {
			bad, data = true, nil
			return 0
		}
		data = data[n:]
		return int64(v)
	}
	const far = math.MaxInt64 / 4
	if of := number(far); bad || of != offset {
		return nil, errAhead
	}
	var ahead []dispatch.Range
	end := offset
	add := func(from, to int64, epoch int32) {
		if n := len(ahead); n > 0 && ahead[n-1].To == from && ahead[n-1].Epoch == epoch {
			ahead[n-1].To = to
			return
		}
		ahead = append(ahead, dispatch.Range{From: from, To: to, Epoch: epoch})
	}
	for len(data) > 0 && !bad {
		epoch := int32(number(math.MaxInt32))
		switch kind := number(sectionBits); {
		case bad:
		case kind == sectionRuns:
			for range number(uint64(len(data))) {
				from := end + number(far)
				length := number(far)
				if bad || length == 0 || from+length > far {
					return nil, errAhead
				}
				end = from + length
				add(from, end, epoch)
			}
		default:
			first := end + number(far)
			size := number(uint64(len(data)))
			if bad || size > int64(len(data)) || first > far {
				return nil, errAhead
			}
			for i := range 8 * size {
				if data[i/8]&(1<<(i%8)) != 0 {
					end = first + i + 1
					add(end-1, end, epoch)
				}
			}
			data = data[size:]
		}
	}
	if bad {
		return nil, errAhead
	}
	return ahead, nil
}
