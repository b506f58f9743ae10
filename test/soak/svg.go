package soak

import (
	"fmt"
	"io"
	"math"
	"time"

	"github.com/messaging-kafka/messaging-kafka/bench/chart"
)

// WriteSVG draws every gauge over time, the phases with load shaded, what it is compared with as a dashed line.
func WriteSVG(w io.Writer, r *Run) error {
	c := chart.Chart{
		Title: "What the provider holds over time",
		Note: fmt.Sprintf("%v, a sample every %v; shaded: under load; dashed: at rest with the same links, before the load",
			r.end().Round(time.Second), r.Every),
		Columns: 2,
	}
	for _, g := range Gauges() {
		c.Panels = append(c.Panels, r.panel(g))
	}
	return chart.Write(w, c)
}

// panel is one gauge.
func (r *Run) panel(g Gauge) chart.Panel {
	end, most := r.end().Seconds(), highest(known(r.Samples, g))
	p := chart.Panel{Title: g.String(), Note: "at most " + amount(g, most), Width: 560, Height: 170, To: end}
	for _, s := range r.Spans {
		p.Marks = append(p.Marks, chart.Mark{From: s.From.Seconds(), To: s.To.Seconds(), Name: string(s.Phase),
			Shaded: s.Phase == WarmUp || s.Phase == Load})
	}
	if rest := r.at(Baseline, g); !math.IsNaN(rest) && g < Links && rest <= most {
		p.Lines = append(p.Lines, chart.Line{Colour: "#c2410c", Dashed: true,
			Points: []chart.Point{{Y: rest}, {X: end, Y: rest}}})
	}
	var line chart.Line
	for _, s := range r.Samples {
		line.Points = append(line.Points, chart.Point{X: s.At.Seconds(), Y: s.Amounts[g]})
	}
	p.Lines = append(p.Lines, line)
	return p
}
