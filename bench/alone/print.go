package alone

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/messaging-kafka/messaging-kafka/bench"
)

// Print prints the report for a person to read.
func (r *Report) Print(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "\nThe provider with a stand-in for its components. Medians of %d rounds of %g s, lowest and highest in brackets.\n", r.Setup.Rounds, r.Setup.Seconds)
	fmt.Fprintf(&b, "CPU is in microseconds for each operation, allocations are the provider's. %s, %d cores.\n\n",
		r.Machine.CPU, r.Machine.Cores)
	table := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "in flight\tbytes\tway\t/s\tp50 ms\tp99 ms\tto the limits\tapart\tprovider\tcomponent\tnats\tbroker\tload\tallocs\tbytes\tother CPUs")
	for i := range r.Rows {
		row := &r.Rows[i]
		fmt.Fprintf(table, "%d\t%d\t%s\t%s\t%s\t%s\t%s", row.InFlight, row.Size, row.Way,
			row.PerSecond.Text(0), times(row.P50), times(row.P99), row.ratios())
		if row.Apart > 0 {
			fmt.Fprintf(table, "\t%.2f", row.Apart)
		} else {
			fmt.Fprint(table, "\t")
		}
		for _, name := range Processes {
			fmt.Fprintf(table, "\t%.1f", row.CPU[name])
		}
		fmt.Fprintf(table, "\t%.1f\t%.0f\t%.2f\n", row.Objects.Median, row.Bytes.Median, row.Others.Median)
	}
	fmt.Fprintln(table)
	if err := printGoals(table, r.Goals); err != nil {
		return err
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// Processes are those whose CPU is told apart, in the order of tables.
var Processes = []string{bench.Provider, Component, bench.NATS, bench.Broker, bench.Client}

func printGoals(table *tabwriter.Writer, goals []bench.Goal) error {
	fmt.Fprintln(table, "goal\tseen\t")
	for _, goal := range goals {
		fmt.Fprintf(table, "%s\t%.3g\t%s\n", goal.Text, goal.Value, verdict(goal))
	}
	return table.Flush()
}

func verdict(g bench.Goal) string {
	if g.Reached {
		return "reached"
	}
	return "not reached"
}

func times(s bench.Spread) string {
	if s == (bench.Spread{}) {
		return "" // it was not measured
	}
	return s.Text(2)
}

// ratios are a row's ratios in words.
func (r *Row) ratios() string {
	var parts []string
	for _, limit := range limitsOf[r.Way] {
		if ratio, found := r.Ratios[limit]; found {
			parts = append(parts, fmt.Sprintf("%s %s", ratio.Text(2), limit))
		}
	}
	return strings.Join(parts, ", ")
}
