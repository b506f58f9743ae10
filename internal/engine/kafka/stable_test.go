package kafka

import (
	"strings"
	"testing"
	"time"
)

func TestALastStableOffsetThatStandsIsToldWithItsTime(t *testing.T) {
	t.Parallel()
	var s StableOffsets
	asked := map[string][]int32{"t": {0, 1, 2}}
	zero, one, two := topicPartition{"t", 0}, topicPartition{"t", 1}, topicPartition{"t", 2}
	began := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	s.note(began, asked, map[topicPartition]int64{zero: 8, one: 9, two: 4}, map[topicPartition]int64{zero: 5, one: 6, two: 4})
	if list := s.OpenTransactions(began.Add(OpenAfter - 1)); len(list) != 0 {
		t.Errorf("told too soon: %v", list)
	}
	// Partition 1 moves on into the next transaction, of partition 0 there is no answer for a while, 2 has none open.
	later := began.Add(OpenAfter)
	s.note(later, asked, map[topicPartition]int64{one: 12, two: 4}, map[topicPartition]int64{one: 11, two: 4})
	long := s.note(later, asked, map[topicPartition]int64{zero: 10, one: 12, two: 4}, map[topicPartition]int64{zero: 5, one: 11, two: 4})
	if len(long) != 1 || long[0] != zero {
		t.Errorf("what has stood for long is %v", long)
	}
	list := s.OpenTransactions(later)
	if len(list) != 1 {
		t.Fatalf("standing are %v", list)
	}
	for _, part := range []string{"t/0 stands at 5 since 2026-01-02T03:04:05Z", "5 offsets", "--start-offset 5"} {
		if text := list[0].String(); !strings.Contains(text, part) {
			t.Errorf("%q does not say %q", text, part)
		}
	}
	s.note(later, asked, map[topicPartition]int64{zero: 10}, map[topicPartition]int64{zero: 10})
	if list := s.OpenTransactions(later.Add(time.Hour)); len(list) != 1 || list[0].Partition != 1 {
		t.Errorf("after its end standing are %v", list)
	}
	s.note(later, nil, nil, nil)
	if list := s.OpenTransactions(later.Add(time.Hour)); len(list) != 0 {
		t.Errorf("of partitions that are not watched any more, standing are %v", list)
	}
}
