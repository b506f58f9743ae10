package soak

import (
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strings"
	"time"
)

// Size of a plot in text, in characters.
const (
	textWidth  = 96
	textHeight = 4
)

var eighths = []rune(" ▁▂▃▄▅▆▇█")

// WriteText draws every gauge over time in characters. A column is the most of its time; one without a known amount
// is empty.
func WriteText(w io.Writer, r *Run) error {
	end := r.end()
	var b strings.Builder
	for _, g := range Gauges() {
		columns := r.columns(g, textWidth, end)
		most := highest(columns)
		fmt.Fprintf(&b, "%v: at most %s%s\n", g, amount(g, most), r.restText(g))
		for row := textHeight - 1; row >= 0; row-- {
			line := make([]rune, textWidth)
			for i, v := range columns {
				line[i] = cell(v, most, row)
			}
			fmt.Fprintf(&b, "  │%s\n", strings.TrimRight(string(line), " "))
		}
		fmt.Fprintf(&b, "  └%s\n", strings.Repeat("─", textWidth))
	}
	fmt.Fprintf(&b, "   %s\n", r.ruler(end))
	if _, err := io.WriteString(w, b.String()); err != nil {
		return fmt.Errorf("writing the plot: %w", err)
	}
	return nil
}

// cell is the part of a column that falls into a row.
func cell(v, most float64, row int) rune {
	if math.IsNaN(v) || most <= 0 {
		return ' '
	}
	full := len(eighths) - 1
	steps := int(math.Round(v/most*float64(textHeight*full))) - row*full
	if v > 0 && row == 0 {
		steps = max(steps, 1) // little is not nothing
	}
	return eighths[min(max(steps, 0), full)]
}

// restText says what a gauge was at rest.
func (r *Run) restText(g Gauge) string {
	var parts []string
	for _, p := range []Phase{Bare, Baseline, Settled, Stripped} {
		if a, ok := r.Rest[p]; ok && g < Links {
			parts = append(parts, fmt.Sprintf("%s %s", p, amount(g, a[g])))
		}
	}
	if len(parts) == 0 {
		return ""
	}
	return "; at rest: " + strings.Join(parts, ", ")
}

// ruler names the phases below a plot, where there is room for their names.
func (r *Run) ruler(end time.Duration) string {
	line := []rune(strings.Repeat(" ", textWidth))
	for _, s := range r.Spans {
		from, to := column(s.From, end, textWidth), column(s.To, end, textWidth)
		line[from] = '|'
		if text := []rune(s.Phase); from+1+len(text) <= to+1 {
			copy(line[from+1:], text)
		}
	}
	return strings.TrimRight(string(line), " ") + fmt.Sprintf("  (%v)", end.Round(time.Second))
}

// end is the time of the last sample.
func (r *Run) end() time.Duration {
	if len(r.Samples) == 0 {
		return 0
	}
	return r.Samples[len(r.Samples)-1].At
}

// columns divides the time up to end into n parts and returns the most of each.
func (r *Run) columns(g Gauge, n int, end time.Duration) []float64 {
	columns := slices.Repeat([]float64{math.NaN()}, n)
	for _, s := range r.Samples {
		c := &columns[column(s.At, end, n)]
		if v := s.Amounts[g]; math.IsNaN(*c) || v > *c {
			*c = v
		}
	}
	return columns
}

func column(at, end time.Duration, n int) int {
	if end <= 0 {
		return 0
	}
	return min(max(int(float64(n)*float64(at)/float64(end)), 0), n-1)
}

// highest is NaN where none is known.
func highest(amounts []float64) float64 {
	most := math.NaN()
	for _, v := range amounts {
		if math.IsNaN(most) || v > most {
			most = v
		}
	}
	return most
}

// WriteDeeds writes how often what was done to the provider was done.
func WriteDeeds(w io.Writer, r *Run) error {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(r.Deeds)) {
		fmt.Fprintf(&b, "%8d %s\n", r.Deeds[name], name)
	}
	if _, err := io.WriteString(w, b.String()); err != nil {
		return fmt.Errorf("writing what was done: %w", err)
	}
	return nil
}

// WriteCSV writes every sample as a line of comma-separated values, times in seconds; unknown amounts are empty.
func WriteCSV(w io.Writer, r *Run) error {
	var b strings.Builder
	b.WriteString("seconds")
	for _, g := range Gauges() {
		fmt.Fprintf(&b, ",%v", g)
	}
	for _, s := range r.Samples {
		fmt.Fprintf(&b, "\n%.1f", s.At.Seconds())
		for _, v := range s.Amounts {
			if b.WriteByte(','); !math.IsNaN(v) {
				fmt.Fprintf(&b, "%.0f", v)
			}
		}
	}
	b.WriteByte('\n')
	if _, err := io.WriteString(w, b.String()); err != nil {
		return fmt.Errorf("writing the samples: %w", err)
	}
	return nil
}
