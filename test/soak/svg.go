package soak

import (
	"fmt"
	"io"
	"math"
	"strings"
	"time"
)

// Measures of the drawing, in pixels.
const (
	svgColumns    = 2
	panelWidth    = 560
	panelHeight   = 170
	plotLeft      = 12
	plotTop       = 34
	plotRight     = 12
	plotBottom    = 22
	svgMargin     = 12
	plotWidth     = panelWidth - plotLeft - plotRight
	plotHeight    = panelHeight - plotTop - plotBottom
	svgTitleSpace = 34
)

const svgStyle = `
  :root { color-scheme: light dark; }
  .page { fill: #ffffff; } .panel { fill: none; stroke: #d5d8de; }
  text { font: 12px system-ui, sans-serif; fill: #1f2430; } .title { font-weight: 600; }
  .small { font-size: 11px; fill: #667085; }
  .line { fill: none; stroke: #2563c9; stroke-width: 1.3; stroke-linejoin: round; }
  .load { fill: #2563c9; fill-opacity: .07; } .rest { stroke: #c2410c; stroke-dasharray: 4 3; }
  @media (prefers-color-scheme: dark) {
    .page { fill: #12151c; } .panel { stroke: #313744; } text { fill: #e7eaf0; } .small { fill: #98a2b3; }
    .line { stroke: #7fb0ff; } .load { fill: #7fb0ff; fill-opacity: .10; } .rest { stroke: #fb923c; }
  }
`

// WriteSVG draws every gauge over time, the phases with load shaded, what it is compared with as a dashed line.
func WriteSVG(w io.Writer, r *Run) error {
	rows := (int(gauges) + svgColumns - 1) / svgColumns
	width := svgColumns*panelWidth + 2*svgMargin
	height := rows*panelHeight + svgTitleSpace + 2*svgMargin
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%[1]d" height="%[2]d">`+
		"\n", width, height)
	fmt.Fprintf(&b, "<title>Soak: what the provider holds over time</title>\n<style>%s</style>\n", svgStyle)
	fmt.Fprintf(&b, `<rect class="page" width="%d" height="%d"/>`+"\n", width, height)
	fmt.Fprintf(&b, `<text class="small" x="%d" y="%d">%v, a sample every %v; shaded: under load; dashed: at rest with the same links, before the load</text>`+"\n",
		svgMargin+plotLeft, svgMargin+16, r.end().Round(time.Second), r.Every)
	for i, g := range Gauges() {
		fmt.Fprintf(&b, `<g transform="translate(%d,%d)">`+"\n", svgMargin+i%svgColumns*panelWidth,
			svgMargin+svgTitleSpace+i/svgColumns*panelHeight)
		r.panel(&b, g)
		b.WriteString("</g>\n")
	}
	b.WriteString("</svg>\n")
	if _, err := io.WriteString(w, b.String()); err != nil {
		return fmt.Errorf("writing the drawing: %w", err)
	}
	return nil
}

// panel draws one gauge. Texts come from this package alone and have nothing to escape.
func (r *Run) panel(b *strings.Builder, g Gauge) {
	end := r.end()
	most := highest(known(r.Samples, g))
	x := func(at time.Duration) float64 {
		if end <= 0 {
			return plotLeft
		}
		return plotLeft + plotWidth*min(1, float64(at)/float64(end))
	}
	y := func(v float64) float64 {
		if !(most > 0) {
			return plotTop + plotHeight
		}
		return plotTop + plotHeight*(1-v/most)
	}
	fmt.Fprintf(b, `<text class="title" x="%d" y="18">%v</text><text class="small" x="%d" y="18" text-anchor="end">at most %s</text>`+"\n",
		plotLeft, g, plotLeft+plotWidth, amount(g, most))
	for _, s := range r.Spans {
		if s.Phase == WarmUp || s.Phase == Load {
			fmt.Fprintf(b, `<rect class="load" x="%.1f" y="%d" width="%.1f" height="%d"/>`+"\n", x(s.From), plotTop,
				x(s.To)-x(s.From), plotHeight)
		}
		if x(s.To)-x(s.From) > 50 {
			fmt.Fprintf(b, `<text class="small" x="%.1f" y="%d">%s</text>`+"\n", x(s.From)+2, plotTop+plotHeight+14, s.Phase)
		}
	}
	fmt.Fprintf(b, `<rect class="panel" x="%d" y="%d" width="%d" height="%d"/>`+"\n", plotLeft, plotTop,
		plotWidth, plotHeight)
	if rest := r.at(Baseline, g); !math.IsNaN(rest) && g < Links && rest <= most {
		fmt.Fprintf(b, `<line class="rest" x1="%d" y1="%.1f" x2="%d" y2="%.1f"/>`+"\n", plotLeft, y(rest),
			plotLeft+plotWidth, y(rest))
	}
	var points []string
	flush := func() {
		if len(points) > 0 {
			fmt.Fprintf(b, `<polyline class="line" points="%s"/>`+"\n", strings.Join(points, " "))
		}
		points = nil
	}
	for _, s := range r.Samples {
		v := s.Amounts[g]
		if math.IsNaN(v) {
			flush()
			continue
		}
		points = append(points, fmt.Sprintf("%.1f,%.1f", x(s.At), y(v)))
	}
	flush()
}
