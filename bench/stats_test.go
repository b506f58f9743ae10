package bench

import (
	"testing"
	"time"
)

func TestASpreadIsMedianLowestAndHighest(t *testing.T) {
	for _, test := range []struct {
		name   string
		values []float64
		want   Spread
	}{
		{"nothing", nil, Spread{}},
		{"one value", []float64{7}, Spread{7, 7, 7}},
		{"an odd number, unsorted", []float64{9, 1, 4}, Spread{4, 1, 9}},
		{"an even number", []float64{4, 1, 2, 10}, Spread{3, 1, 10}},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := SpreadOf(test.values); got != test.want {
				t.Errorf("%v, want %v", got, test.want)
			}
		})
	}
}

func TestAQuantileIsTheSmallestThatEnoughDoNotExceed(t *testing.T) {
	hundred := make([]time.Duration, 100)
	for i := range hundred {
		hundred[i] = time.Duration(i + 1)
	}
	for _, test := range []struct {
		name   string
		sorted []time.Duration
		q      float64
		want   time.Duration
	}{
		{"nothing", nil, 0.5, 0},
		{"the median of one", []time.Duration{3}, 0.5, 3},
		{"the median of two", []time.Duration{3, 5}, 0.5, 3},
		{"the median of a hundred", hundred, 0.5, 50},
		{"all but one of a hundred", hundred, 0.99, 99},
		{"the lowest", hundred, 0, 1},
		{"the highest", hundred, 1, 100},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := Quantile(test.sorted, test.q); got != test.want {
				t.Errorf("%d, want %d", got, test.want)
			}
		})
	}
}
