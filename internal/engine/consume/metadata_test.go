package consume

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/messaging-kafka/messaging-kafka/internal/engine/dispatch"
)

// covered are the offsets of ranges.
func covered(ahead []dispatch.Range) map[int64]int32 {
	all := make(map[int64]int32)
	for _, r := range ahead {
		for at := r.From; at < r.To; at++ {
			all[at] = r.Epoch
		}
	}
	return all
}

func every(offset, n, step int64) []dispatch.Range {
	var rs []dispatch.Range
	for at := offset + 1; at < offset+n; at += step {
		rs = append(rs, dispatch.Range{From: at, To: at + 1, Epoch: 4})
	}
	return rs
}

func TestFinishedRangesComeBackFromTheMetadataOfACommit(t *testing.T) {
	t.Parallel()
	known := commitMetadata{topicID: kadm.TopicID{1, 2, 3}, partitions: 3, selection: "abcdefgh"}
	for name, c := range map[string]struct {
		ahead []dispatch.Range
		all   bool // fits
	}{
		"none":                     {nil, true},
		"one run":                  {[]dispatch.Range{{From: 1001, To: 1200, Epoch: 0}}, true},
		"two epochs":               {[]dispatch.Range{{From: 1001, To: 1200, Epoch: 7}, {From: 1200, To: 1300, Epoch: 9}, {From: 1400, To: 1401, Epoch: 9}}, true},
		"every other of a span":    {every(1000, 10_000, 2), true},
		"every tenth of a span":    {every(1000, 10_000, 10), true},
		"more than there is room":  {every(1000, 100_000, 2), false},
		"far between":              {every(1000, 1_000_000_000, 1_000_000), false},
		"a very long run, far off": {[]dispatch.Range{{From: 1 << 40, To: 1 << 41, Epoch: 1 << 30}}, true},
	} {
		t.Run(name, func(t *testing.T) {
			text := *commit{offset: 1000, meta: known, ahead: encodeAhead(1000, c.ahead)}.text()
			if len(text) > 3000 {
				t.Errorf("the metadata has %d bytes", len(text))
			}
			meta, got := parseMetadata(text, 1000)
			if meta != known {
				t.Errorf("the metadata is %+v", meta)
			}
			if c.all {
				if !slices.Equal(got, c.ahead) {
					t.Errorf("%v became %v", c.ahead, got)
				}
				return
			}
			if len(got) == 0 || len(got) >= len(c.ahead) || !slices.Equal(got, c.ahead[:len(got)]) {
				t.Errorf("%d of %d ranges came back, not the first ones", len(got), len(c.ahead))
			}
		})
	}
	for range 300 {
		var ahead []dispatch.Range
		at, epoch := int64(500), int32(0)
		for range 1 + rand.IntN(800) {
			if rand.IntN(50) == 0 {
				epoch += int32(rand.IntN(3))
			}
			from := at + 1 + rand.Int64N(1+rand.Int64N(60))
			at = from + 1 + rand.Int64N(1+rand.Int64N(60))
			ahead = append(ahead, dispatch.Range{From: from, To: at, Epoch: epoch})
		}
		got, err := decodeAhead(encodeAhead(500, ahead), 500)
		if err != nil {
			t.Fatal(err)
		}
		want := covered(ahead)
		for at, epoch := range covered(got) {
			if e, is := want[at]; !is || e != epoch {
				t.Fatalf("offset %d of epoch %d came out of %v", at, epoch, ahead)
			}
		}
	}
}

func TestMetadataThatCannotBeReadTellsNothing(t *testing.T) {
	t.Parallel()
	known := commitMetadata{topicID: kadm.TopicID{1}, partitions: 3}
	good := known.String()
	f := aheadField + encodeAhead(10, every(10, 100, 3))
	for name, text := range map[string]string{
		"cut off":             good + f[:len(f)-2],
		"no base64":           good + aheadField + "!!",
		"another version":     good + strings.Replace(f, "f2", "f3", 1),
		"an unknown field":    good + ";x=1",
		"a count of billions": good + aheadField + "CgAA_____w8",
		"no offset":           good + aheadField,
		"an unknown kind":     good + aheadField + "CgAFAQ",
		"a length of 0":       good + aheadField + "CgAAAQEA",
	} {
		if meta, ahead := parseMetadata(text, 10); meta != known || len(ahead) > 0 {
			t.Errorf("%s: %+v %v", name, meta, ahead)
		}
	}
	for name, text := range map[string]string{
		"empty": "", "of another client": "hello", "another format": strings.Replace(good, "mk1", "mk2", 1) + f, "no number": good + "x",
	} {
		if meta, ahead := parseMetadata(text, 10); meta != (commitMetadata{}) || len(ahead) > 0 {
			t.Errorf("%s: %+v %v", name, meta, ahead)
		}
	}
	for _, other := range []int64{-1, 0, 9, 11, 50} {
		if meta, ahead := parseMetadata(good+f, other); meta != known || len(ahead) > 0 {
			t.Errorf("with offset %d, for which it was not written: %+v %v", other, meta, ahead)
		}
	}
	if _, ahead := parseMetadata(good+f, 10); len(ahead) == 0 {
		t.Error("with its own offset the text tells nothing")
	}
	unknown := commitMetadata{partitions: 3}.String()
	if _, ahead := parseMetadata(unknown+f, 10); len(ahead) > 0 {
		t.Errorf("of a topic without an id: %v", ahead)
	}
}

func FuzzFinishedRanges(f *testing.F) {
	f.Add(encodeAhead(10, every(10, 100, 3)), int64(10))
	f.Fuzz(func(t *testing.T, text string, offset int64) {
		ahead, err := decodeAhead(text, offset)
		if err != nil {
			return
		}
		for i, r := range ahead {
			if r.From < offset || r.To <= r.From || r.Epoch < 0 || (i > 0 && r.From < ahead[i-1].To) {
				t.Fatal(fmt.Sprint("ranges out of order: ", ahead))
			}
		}
	})
}
