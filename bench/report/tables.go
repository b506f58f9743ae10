package main

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/messaging-kafka/messaging-kafka/bench"
	"github.com/messaging-kafka/messaging-kafka/bench/alone"
	"github.com/messaging-kafka/messaging-kafka/bench/chart"
)

// table writes a table in Markdown.
func table(b *strings.Builder, head ...string) func(cells ...string) {
	row := func(cells ...string) { fmt.Fprintf(b, "| %s |\n", strings.Join(cells, " | ")) }
	row(head...)
	fmt.Fprintf(b, "|%s\n", strings.Repeat("---|", len(head)))
	return row
}

func where(b *strings.Builder, m bench.Machine, version string) {
	fmt.Fprintf(b, "%s, %d cores, %s, kernel %s; version %s.\n", m.CPU, m.Cores, m.System, m.Kernel, version)
	if m.Load > float64(m.Cores) {
		fmt.Fprintf(b, "**The machine was busy with other things when this began (load %.1f): rates say little.**\n", m.Load)
	}
	b.WriteString("\n")
}

func goals(b *strings.Builder, list []bench.Goal) {
	row := table(b, "goal", "seen", "")
	for _, g := range list {
		verdict := "not reached"
		if g.Reached {
			verdict = "reached"
		}
		row(g.Text, strconv.FormatFloat(g.Value, 'g', 3, 64), verdict)
	}
	b.WriteString("\n")
}

// spread is a median with half the distance of the lowest and the highest in percent.
func spread(s bench.Spread, decimals int) string {
	if s.Median == 0 {
		return ""
	}
	text := fmt.Sprintf("%.*f", decimals, s.Median)
	if decimals == 0 {
		text = thousands(s.Median)
	}
	return fmt.Sprintf("%s ±%.0f %%", text, (s.High-s.Low)/2/s.Median*100)
}

// providerTables are the goals and all ways of a report.
func providerTables(r *alone.Report) string {
	var b strings.Builder
	where(&b, r.Machine, r.Version)
	goals(&b, r.Goals)
	fmt.Fprintf(&b, "Medians of %d rounds of %g s, with half the distance of the lowest and the highest. CPU is in µs for each operation;\n", r.Setup.Rounds, r.Setup.Seconds)
	b.WriteString("allocations are those of the provider's whole process. \"Apart\" is the share of bare NATS that is left when the processors'\n")
	b.WriteString("time of broker and load is set aside.\n\n")
	row := table(&b, "in flight", "bytes", "way", "per second", "p50 ms", "p99 ms", "of the limits", "apart",
		"CPU provider", "component", "nats", "broker", "load", "allocations", "allocated bytes")
	for _, f := range r.Rows {
		inFlight := strconv.Itoa(f.InFlight)
		if f.InFlight == 0 {
			inFlight = "unbounded"
		}
		cells := []string{inFlight, thousands(float64(f.Size)), f.Way, spread(f.PerSecond, 0), spread(f.P50, 2),
			spread(f.P99, 2), ratios(&f), number(f.Apart, 2)}
		for _, name := range alone.Processes {
			cells = append(cells, number(f.CPU[name], 1))
		}
		row(append(cells, number(f.Objects.Median, 0), number(f.Bytes.Median, 0))...)
	}
	return b.String()
}

func number(v float64, decimals int) string {
	if v == 0 {
		return ""
	}
	if decimals == 0 {
		return thousands(v)
	}
	return fmt.Sprintf("%.*f", decimals, v)
}

func ratios(r *alone.Row) string {
	var parts []string
	for _, limit := range []string{alone.NATS, alone.WRPC, alone.Produce, alone.ReadBack} {
		if ratio, found := r.Ratios[limit]; found {
			parts = append(parts, fmt.Sprintf("%.2f %s", ratio.Median, limit))
		}
	}
	return strings.Join(parts, ", ")
}

// providerChart is the ways over the numbers in flight.
func providerChart(r *alone.Report) chart.Chart {
	const size = 1024
	panel := chart.Panel{Width: 760, Height: 440, Logarithmic: true}
	var flights []int
	for _, row := range r.Rows {
		if row.Size == size && row.InFlight > 0 && !slices.Contains(flights, row.InFlight) {
			flights = append(flights, row.InFlight)
		}
	}
	slices.Sort(flights)
	panel.To = float64(len(flights) - 1)
	for i, n := range flights {
		panel.Marks = append(panel.Marks, chart.Mark{From: float64(i), To: float64(i), Name: strconv.Itoa(n)})
	}
	for _, l := range []chart.Line{
		{Name: "bare NATS", Colour: "#777", Dashed: true},
		{Name: "bare wRPC", Colour: "#999", Dashed: true},
		{Name: "handle", Colour: "#1b6ec2"},
		{Name: "produce", Colour: "#e08a00", Dashed: true},
		{Name: "publish", Colour: "#c23b1b"},
		{Name: "read back", Colour: "#7a3", Dashed: true},
		{Name: "echo", Colour: "#2a8a3a"},
		{Name: "HTTP", Colour: "#0a8a8a"},
		{Name: "request", Colour: "#8a2ab0"},
	} {
		for i, n := range flights {
			row, _ := alone.Find(r.Rows, strings.TrimPrefix(l.Name, "bare "), alone.Shape{InFlight: n, Size: size})
			rate := row.PerSecond
			if rate.Median <= 0 {
				continue // not measured
			}
			l.Points = append(l.Points, chart.Point{X: float64(i), Y: rate.Median, Low: rate.Low, High: rate.High})
		}
		if len(l.Points) > 0 { // results can be older than a way
			panel.Lines = append(panel.Lines, l)
		}
	}
	return chart.Chart{
		Title: "Operations of 1 KiB a second, provider alone", Note: "by calls in flight", Columns: 1,
		Panels: []chart.Panel{panel},
	}
}

// scaleTables are the sizes of a report.
func scaleTables(r *alone.ScaleReport) string {
	var b strings.Builder
	where(&b, r.Machine, r.Version)
	goals(&b, r.Goals)
	row := table(&b, "copies", "links", "partitions", "ready ms", "memory MiB", "goroutines", "descriptors",
		"idle CPU ms/s")
	for _, p := range r.Points {
		row(strconv.Itoa(p.Copies), strconv.Itoa(p.Links), strconv.Itoa(p.Partitions), fmt.Sprintf("%.0f", p.Ready),
			fmt.Sprintf("%.1f", p.Memory), fmt.Sprintf("%.0f", p.Goroutines), fmt.Sprintf("%.0f", p.Descriptors),
			fmt.Sprintf("%.1f", p.Idle))
	}
	b.WriteString("\n")
	row = table(&b, "each further one of", "costs", "at the end", "before")
	for _, s := range r.Slopes {
		row(s.Of, s.What, strings.TrimSpace(fmt.Sprintf("%.3g %s", s.Each, s.Unit)),
			strings.TrimSpace(fmt.Sprintf("%.3g %s", s.Before, s.Unit)))
	}
	fmt.Fprintf(&b, "\nFrom the start of the process to healthy: %s ms, with a link that reads %s ms, over %d starts.\n",
		spread(r.Start.Healthy, 1), spread(r.Start.OneLink, 1), r.Start.Starts)
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
