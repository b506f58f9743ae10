package status

import (
	"math"
	"slices"
)

// Histogram counts observations as Prometheus does.
type Histogram struct {
	Count uint64  `json:"count"`
	Sum   float64 `json:"sum"`
	// Buckets are cumulative and sorted by bound. Observations above the last bound are in Count alone.
	Buckets []Bucket `json:"buckets,omitempty"`
}

// Bucket counts the observations up to a bound.
type Bucket struct {
	UpTo  float64 `json:"up_to"`
	Count uint64  `json:"count"`
}

// Since returns what was observed after earlier, which is nil for nothing. A histogram that counts less than earlier
// did, or by other bounds, began anew.
func (h *Histogram) Since(earlier *Histogram) *Histogram {
	if h == nil {
		return nil
	}
	if earlier == nil || h.Count < earlier.Count || len(h.Buckets) != len(earlier.Buckets) {
		return h
	}
	d := &Histogram{Count: h.Count - earlier.Count, Sum: h.Sum - earlier.Sum, Buckets: slices.Clone(h.Buckets)}
	for i, b := range earlier.Buckets {
		if d.Buckets[i].UpTo != b.UpTo || d.Buckets[i].Count < b.Count {
			return h
		}
		d.Buckets[i].Count -= b.Count
	}
	return d
}

// Plus returns the sum of two histograms of the same bounds; either may be nil. Where the bounds differ, only those
// that both have are kept.
func (h *Histogram) Plus(other *Histogram) *Histogram {
	switch {
	case h == nil:
		return other
	case other == nil:
		return h
	}
	sum := &Histogram{Count: h.Count + other.Count, Sum: h.Sum + other.Sum}
	for i, j := 0, 0; i < len(h.Buckets) && j < len(other.Buckets); {
		a, b := h.Buckets[i], other.Buckets[j]
		switch {
		case a.UpTo < b.UpTo:
			i++
		case a.UpTo > b.UpTo:
			j++
		default:
			sum.Buckets = append(sum.Buckets, Bucket{a.UpTo, a.Count + b.Count})
			i, j = i+1, j+1
		}
	}
	return sum
}

// Mean is the mean of the observations; nil where there are none.
func (h *Histogram) Mean() *float64 {
	if h == nil || h.Count == 0 {
		return nil
	}
	mean := h.Sum / float64(h.Count)
	return &mean
}

// Quantile estimates a quantile, q between 0 and 1, by interpolating within its bucket as PromQL's histogram_quantile
// does: values above the last bound count as that bound. It is nil where there are no observations or no buckets.
func (h *Histogram) Quantile(q float64) *float64 {
	if h == nil || h.Count == 0 || len(h.Buckets) == 0 {
		return nil
	}
	rank := q * float64(h.Count)
	below, lower := uint64(0), 0.0
	for _, b := range h.Buckets {
		if float64(b.Count) >= rank && b.Count > below && !math.IsInf(b.UpTo, 1) {
			v := lower + (b.UpTo-lower)*(rank-float64(below))/float64(b.Count-below)
			return &v
		}
		if !math.IsInf(b.UpTo, 1) {
			below, lower = b.Count, b.UpTo
		}
	}
	return &lower
}
