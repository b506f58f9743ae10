package bench

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
)

// Print prints the summary for a person to read.
func (r *EchoReport) Print(w io.Writer) error {
	s := &r.Setup
	var b strings.Builder
	fmt.Fprintf(&b, "\nEcho of %d B through a wasmCloud host: over bare wRPC, and from topic to topic of a Kafka. Kafka alone is no echo:\n", s.ValueBytes)
	fmt.Fprintf(&b, "there a client reads what it has produced, which the way through Kafka does twice.\n")
	fmt.Fprintf(&b, "Medians of %d rounds of %g s, lowest and highest in brackets. %s, %d cores.\n\n",
		s.Rounds, s.Seconds, r.Machine.CPU, r.Machine.Cores)
	table := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "in flight\tway\techoes/s\tp50 ms\tp99 ms\tlost\trepeated")
	for _, line := range r.Summary {
		for _, way := range line.ways() {
			fmt.Fprintf(table, "%d\t%s\t%s\t%s\t%s\t%d\t%d\n", line.InFlight, way.name,
				way.PerSecond.Text(0), way.P50.Text(2), way.P99.Text(2), way.Lost, way.Repeated)
		}
		fmt.Fprintf(table, "\tKafka to bare: rate, p50 behind\t%s\t%s\t\t\t\n", line.Ratio.Text(2), line.Behind.Text(2))
	}
	fmt.Fprintln(table)
	r.printCPU(table)
	fmt.Fprintln(table)
	fmt.Fprintln(table, "in flight\tgoal\tseen\t")
	for _, line := range r.Summary {
		for _, goal := range line.Goals {
			verdict := "not reached"
			if goal.Reached {
				verdict = "reached"
			}
			fmt.Fprintf(table, "%d\t%s\t%.3g\t%s\n", line.InFlight, goal.Text, goal.Value, verdict)
		}
	}
	if err := table.Flush(); err != nil {
		return err
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// printCPU prints what each process has used for one echo, and what else was busy.
func (r *EchoReport) printCPU(w io.Writer) {
	names := map[string]bool{}
	for _, line := range r.Summary {
		for name := range line.Kafka.CPU {
			names[name] = true
		}
	}
	columns := slices.Sorted(maps.Keys(names))
	fmt.Fprintf(w, "in flight\tCPU ms for each echo\t%s\tother CPUs busy\tratio with broker and load apart\n",
		strings.Join(columns, "\t"))
	for _, line := range r.Summary {
		for _, way := range line.ways() {
			fmt.Fprintf(w, "%d\t%s", line.InFlight, way.name)
			for _, column := range columns {
				fmt.Fprintf(w, "\t%.3f", way.CPU[column].Median)
			}
			apart := ""
			if way.EchoFigures == &line.Kafka {
				apart = line.Apart.Text(2)
			}
			fmt.Fprintf(w, "\t%s\t%s\n", way.Others.Text(2), apart)
		}
	}
}

// Text is the median with the lowest and the highest in brackets.
func (s Spread) Text(decimals int) string {
	return fmt.Sprintf("%.*f [%.*f, %.*f]", decimals, s.Median, decimals, s.Low, decimals, s.High)
}
