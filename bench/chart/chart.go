// Package chart draws lines into an SVG, for documents and for what suites keep of a run.
package chart

import (
	"cmp"
	"fmt"
	"io"
	"math"
	"strings"
)

// Chart is a drawing of one or more panels, side by side and below each other.
type Chart struct {
	Title, Note string
	Columns     int
	Panels      []Panel
}

// Panel is one plot. Texts must have nothing that XML gives a meaning to.
type Panel struct {
	Title, Note   string
	Width, Height float64
	// From and To are the ends of the x axis; the y axis begins at 0 and ends at the largest value.
	From, To float64
	// Logarithmic makes the y axis one of powers of ten, with their names.
	Logarithmic bool
	Marks       []Mark
	Lines       []Line
}

// Mark is something that is said of the x axis: a place where From and To are the same, else a stretch.
type Mark struct {
	From, To float64
	Name     string
	Shaded   bool
}

// Line is one line. It has gaps where Y is NaN.
type Line struct {
	Name   string // beside the plot, if it has one
	Colour string // "" for the usual one
	Dashed bool
	Points []Point
}

// Point is a value, and where they are not both 0 the lowest and the highest of which it is the middle.
type Point struct{ X, Y, Low, High float64 }

const (
	margin, titleSpace      = 12, 34
	left, right, top, below = 12, 12, 34, 22
	scaleSpace, legendSpace = 58, 160
)

const style = `
  :root { color-scheme: light dark; }
  .page { fill: #ffffff; } .panel { fill: none; stroke: #d5d8de; } .grid { stroke: #d5d8de; }
  text { font: 12px system-ui, sans-serif; fill: #1f2430; } .title { font-weight: 600; }
  .small { font-size: 11px; fill: #667085; }
  .line { fill: none; stroke: #2563c9; stroke-width: 1.5; stroke-linejoin: round; } .dashed { stroke-dasharray: 5 4; }
  .shaded { fill: #2563c9; fill-opacity: .07; }
  @media (prefers-color-scheme: dark) {
    .page { fill: #12151c; } .panel, .grid { stroke: #313744; } text { fill: #e7eaf0; } .small { fill: #98a2b3; }
    .line { stroke: #7fb0ff; } .shaded { fill: #7fb0ff; fill-opacity: .10; }
  }
`

// Write draws the chart.
func Write(w io.Writer, c Chart) error {
	var inner strings.Builder
	var width, height, x, y, row float64 = 0, 0, margin, margin + titleSpace, 0
	for i, p := range c.Panels {
		if i > 0 && i%c.Columns == 0 {
			x, y, row = margin, y+row, 0
		}
		fmt.Fprintf(&inner, "<g transform=\"translate(%.0f,%.0f)\">\n", x, y)
		p.draw(&inner)
		inner.WriteString("</g>\n")
		x, row = x+p.Width, max(row, p.Height)
		width, height = max(width, x+margin), y+row+margin
	}
	_, err := fmt.Fprintf(w, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %.0f %.0f">
<title>%s</title>
<style>%s</style>
<rect class="page" width="%.0[1]f" height="%.0[2]f"/>
<text class="title" x="%[5]d" y="%[6]d">%[3]s</text><text class="small" x="%.0[1]f" dx="-%[5]d" y="%[6]d" text-anchor="end">%[7]s</text>
%[8]s</svg>
`, width, height, c.Title, style, margin+left, margin+16, c.Note, inner.String())
	if err != nil {
		return fmt.Errorf("writing the drawing: %w", err)
	}
	return nil
}

func (p *Panel) draw(b *strings.Builder) {
	plotLeft, plotRight := float64(left), p.Width-right
	if p.Logarithmic {
		plotLeft += scaleSpace
	}
	low, high := math.Inf(1), 0.0
	for _, l := range p.Lines {
		if l.Name != "" {
			plotRight = p.Width - right - legendSpace
		}
		for _, v := range l.Points {
			high = max(high, v.High, number(v.Y))
			if v.Y > 0 {
				low = min(low, v.Y, cmp.Or(v.Low, v.Y))
			}
		}
	}
	bottom := p.Height - below
	x := func(v float64) float64 {
		if p.To <= p.From {
			return plotLeft
		}
		return plotLeft + (plotRight-plotLeft)*min(max((v-p.From)/(p.To-p.From), 0), 1)
	}
	y := func(v float64) float64 { return bottom - (bottom-top)*v/cmp.Or(high, 1) }
	put := func(format string, args ...any) { fmt.Fprintf(b, format+"\n", args...) }
	put(`<text class="title" x="%d" y="18">%s</text><text class="small" x="%.0f" y="18" text-anchor="end">%s</text>`,
		left, p.Title, plotRight, p.Note)
	if p.Logarithmic {
		from, to := 0.0, 1.0
		if high > 0 {
			from, to = math.Floor(math.Log10(low)), math.Ceil(math.Log10(high))
			to = max(to, from+1)
		}
		y = func(v float64) float64 { return bottom - (bottom-top)*(math.Log10(v)-from)/(to-from) }
		for power := from; power <= to; power++ {
			at := y(math.Pow(10, power))
			put(`<line class="grid" x1="%.0f" y1="%.1f" x2="%.0f" y2="%.1[2]f"/>`, plotLeft, at, plotRight)
			put(`<text class="small" x="%.0f" y="%.1f" text-anchor="end">%.0f</text>`, plotLeft-6, at+4, math.Pow(10, power))
		}
	}
	for _, m := range p.Marks {
		from, to := x(m.From), x(m.To)
		if m.Shaded {
			put(`<rect class="shaded" x="%.1f" y="%d" width="%.1f" height="%.0f"/>`, from, top, to-from, bottom-top)
		}
		if m.From == m.To {
			put(`<text class="small" x="%.1f" y="%.0f" text-anchor="middle">%s</text>`, from, bottom+15, m.Name)
		} else if to-from > 50 {
			put(`<text class="small" x="%.1f" y="%.0f">%s</text>`, from+2, bottom+15, m.Name)
		}
	}
	put(`<rect class="panel" x="%.0f" y="%d" width="%.0f" height="%.0f"/>`, plotLeft, top, plotRight-plotLeft, bottom-top)
	for i, l := range p.Lines {
		colour := ""
		if l.Colour != "" {
			colour = fmt.Sprintf(`" style="stroke: %s`, l.Colour)
		}
		class := "line" + colour
		if l.Dashed {
			class = "line dashed" + colour
		}
		var points []string
		flush := func() {
			if len(points) > 0 {
				put(`<polyline class="%s" points="%s"/>`, class, strings.Join(points, " "))
			}
			points = nil
		}
		for _, v := range l.Points {
			if math.IsNaN(v.Y) {
				flush()
				continue
			}
			points = append(points, fmt.Sprintf("%.1f,%.1f", x(v.X), y(v.Y)))
			if v.Low > 0 {
				put(`<line class="%s" x1="%.1f" y1="%.1f" x2="%.1[2]f" y2="%.1[4]f"/>`, "line"+colour, x(v.X), y(v.Low), y(v.High))
			}
		}
		flush()
		if at := top + 10 + 22*i; l.Name != "" {
			put(`<line class="%s" x1="%.0f" y1="%d" x2="%.0f" y2="%[3]d"/>`, class, plotRight+14, at, plotRight+42)
			put(`<text x="%.0f" y="%d">%s</text>`, plotRight+48, at+4, l.Name)
		}
	}
}

// number is v, or 0 where it is none.
func number(v float64) float64 {
	if math.IsNaN(v) {
		return 0
	}
	return v
}
