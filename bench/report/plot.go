package main

import (
	"fmt"
	"math"
	"strings"

	"github.com/messaging-kafka/messaging-kafka/bench"
)

// line is one line of a chart: values by place on the x axis.
type line struct {
	name   string
	colour string
	dashed bool
	values []bench.Spread
}

// chart is a chart with logarithmic values over places of equal distance.
type chart struct {
	title  string
	xTitle string
	places []string
	lines  []line
}

const (
	width, height           = 760, 440
	left, right, top, below = 70, 190, 40, 60
)

// svg draws the chart. Vertical strokes go from the lowest to the highest round.
func (c chart) svg() string {
	low, high := math.Inf(1), math.Inf(-1)
	for _, l := range c.lines {
		for _, v := range l.values {
			if v.Low > 0 {
				low, high = min(low, v.Low), max(high, v.High)
			}
		}
	}
	if math.IsInf(low, 1) {
		low, high = 1, 10
	}
	from, to := math.Floor(math.Log10(low)), math.Ceil(math.Log10(high))
	if from == to {
		to++
	}
	x := func(place int) float64 {
		if len(c.places) < 2 {
			return left
		}
		return left + float64(place)*(width-left-right)/float64(len(c.places)-1)
	}
	y := func(v float64) float64 {
		return top + (to-math.Log10(v))/(to-from)*(height-top-below)
	}
	var b strings.Builder
	p := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	p(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12">`, width,
		height)
	p(`<rect width="%d" height="%d" fill="white"/>`, width, height)
	p(`<text x="%d" y="22" font-size="14">%s</text>`, left, c.title)
	for power := from; power <= to; power++ {
		at := y(math.Pow(10, power))
		p(`<line x1="%d" y1="%.1f" x2="%d" y2="%.1f" stroke="#ddd"/>`, left, at, width-right, at)
		p(`<text x="%d" y="%.1f" text-anchor="end">%s</text>`, left-8, at+4, thousands(math.Pow(10, power)))
	}
	for i, place := range c.places {
		p(`<line x1="%.1f" y1="%d" x2="%.1f" y2="%d" stroke="#ddd"/>`, x(i), top, x(i), height-below)
		p(`<text x="%.1f" y="%d" text-anchor="middle">%s</text>`, x(i), height-below+20, place)
	}
	p(`<text x="%d" y="%d" text-anchor="middle">%s</text>`, (left+width-right)/2, height-14, c.xTitle)
	for i, l := range c.lines {
		dash := ""
		if l.dashed {
			dash = ` stroke-dasharray="6 4"`
		}
		var points []string
		for place, v := range l.values {
			if v.Median <= 0 {
				continue // not measured
			}
			points = append(points, fmt.Sprintf("%.1f,%.1f", x(place), y(v.Median)))
			p(`<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" stroke="%s"/>`, x(place), y(max(v.Low, 1e-9)), x(place),
				y(v.High), l.colour)
			p(`<circle cx="%.1f" cy="%.1f" r="3" fill="%s"/>`, x(place), y(v.Median), l.colour)
		}
		p(`<polyline points="%s" fill="none" stroke="%s" stroke-width="2"%s/>`, strings.Join(points, " "), l.colour, dash)
		at := top + 10 + 22*i
		p(`<line x1="%d" y1="%d" x2="%d" y2="%d" stroke="%s" stroke-width="2"%s/>`, width-right+16, at, width-right+44,
			at, l.colour, dash)
		p(`<text x="%d" y="%d">%s</text>`, width-right+50, at+4, l.name)
	}
	p(`</svg>`)
	return b.String()
}

// thousands writes a number with a comma every three digits.
func thousands(v float64) string {
	text := fmt.Sprintf("%.0f", v)
	if math.Abs(v) < 1 {
		return fmt.Sprintf("%g", v)
	}
	for i := len(text) - 3; i > 0 && text[i-1] != '-'; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}
