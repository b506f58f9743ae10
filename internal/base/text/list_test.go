package text

import (
	"strconv"
	"testing"
)

func TestAListNamesTheFirstAndCountsTheOthers(t *testing.T) {
	for want, items := range map[string][]int{
		"": nil, "1": {1}, "1, 2": {1, 2}, "1, 2 and 1 more": {1, 2, 3}, "1, 2 and 3 more": {1, 2, 3, 4, 5},
	} {
		if got := List(items, 2, strconv.Itoa); got != want {
			t.Errorf("%v is %q, want %q", items, got, want)
		}
	}
}
