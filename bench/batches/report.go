package batches

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/messaging-kafka/messaging-kafka/bench"
)

// The goals.
const (
	goalRate  = 40_000 // records a second of 1 KiB of text through processor
	goalHTTP  = 60_000 // the same through a bridge and a component behind HTTP
	goalTimes = 20     // times the 0.2.0 echo of the same run
	goalCPU   = 8.0    // most microseconds of the provider's CPU for each record of text through processor
)

// Report is all that a run finds out.
type Report struct {
	Started    time.Time     `json:"started"`
	Version    string        `json:"version"` // of the project: git describe
	Machine    bench.Machine `json:"machine"`
	ValueBytes int           `json:"value_bytes"`
	Partitions int           `json:"partitions"`
	Seconds    float64       `json:"seconds"` // of one round
	Ways       []Result      `json:"ways"`
	Goals      []bench.Goal  `json:"goals"`
}

// Round is one load.
type Round struct {
	Records   int64   `json:"records"`
	PerSecond float64 `json:"per_second"`
	// CPU is the microseconds of each process for one record.
	CPU map[string]float64 `json:"cpu_us_per_record"`
}

// Result is what the rounds of one way have shown.
type Result struct {
	Way       Way                     `json:"way"`
	PerSecond bench.Spread            `json:"per_second"`
	CPU       map[string]bench.Spread `json:"cpu_us_per_record"`
	Lost      int64                   `json:"lost"`
	Repeated  int64                   `json:"repeated"`
	Rounds    []Round                 `json:"rounds"`
}

// NewRound makes the figures of a load.
func NewRound(records int64, took time.Duration, used bench.CPU) Round {
	r := Round{Records: records, PerSecond: float64(records) / took.Seconds(), CPU: map[string]float64{}}
	if records > 0 {
		for name, cpu := range used.Of {
			r.CPU[name] = float64(cpu) / float64(time.Microsecond) / float64(records)
		}
	}
	return r
}

// Add takes a round in.
func (r *Result) Add(round Round) {
	r.Rounds = append(r.Rounds, round)
	spread := func(of func(Round) float64) bench.Spread {
		var values []float64
		for _, round := range r.Rounds {
			values = append(values, of(round))
		}
		return bench.SpreadOf(values)
	}
	r.PerSecond = spread(func(round Round) float64 { return round.PerSecond })
	r.CPU = map[string]bench.Spread{}
	for name := range round.CPU {
		r.CPU[name] = spread(func(round Round) float64 { return round.CPU[name] })
	}
}

// Judge holds the results against the goals.
func (r *Report) Judge() {
	r.Goals = nil
	var echo, processor *Result
	for i := range r.Ways {
		switch r.Ways[i].Way.Name {
		case wayEcho:
			echo = &r.Ways[i]
		case wayProcessor:
			processor = &r.Ways[i]
		}
	}
	if processor != nil {
		rate, cpu := processor.PerSecond.Median, processor.CPU[bench.Provider].Median
		r.Goals = append(r.Goals,
			bench.Goal{Text: fmt.Sprintf("at least %d records of text a second through processor", goalRate), Value: rate,
				Reached: rate >= goalRate},
			bench.Goal{Text: fmt.Sprintf("at most %g µs of the provider's CPU for each", goalCPU), Value: cpu,
				Reached: rate > 0 && cpu <= goalCPU})
		if echo != nil && echo.PerSecond.Median > 0 {
			times := rate / echo.PerSecond.Median
			r.Goals = append(r.Goals, bench.Goal{Text: fmt.Sprintf("at least %d times the 0.2.0 echo", goalTimes), Value: times,
				Reached: times >= goalTimes})
		}
	}
	for i := range r.Ways {
		if r.Ways[i].Way.Name == wayComponent {
			rate := r.Ways[i].PerSecond.Median
			r.Goals = append(r.Goals, bench.Goal{
				Text:  fmt.Sprintf("at least %d records of text a second through the bridge and a component behind HTTP", goalHTTP),
				Value: rate, Reached: rate >= goalHTTP,
			})
		}
	}
	lost := int64(0)
	for i := range r.Ways {
		lost += r.Ways[i].Lost
	}
	r.Goals = append(r.Goals, bench.Goal{Text: "nothing lost", Value: float64(lost), Reached: lost == 0})
}

// Print prints the report for a person to read.
func (r *Report) Print(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "\nRecords of %d B from topic to topic through a wasmCloud host, %d partitions, as many under way as the way's window.\n", r.ValueBytes, r.Partitions)
	fmt.Fprintf(&b, "Medians of rounds of %g s, lowest and highest in brackets. %s, %d cores.\n\n", r.Seconds,
		r.Machine.CPU, r.Machine.Cores)
	names := map[string]bool{}
	rate := 0.0
	for i := range r.Ways {
		for name := range r.Ways[i].CPU {
			names[name] = true
		}
		if r.Ways[i].Way.Name == wayEcho {
			rate = r.Ways[i].PerSecond.Median
		}
	}
	columns := slices.Sorted(maps.Keys(names))
	table := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintf(table, "way\trecords/s\ttimes the echo\tlost\trepeated\tCPU µs for each record: %s\n",
		strings.Join(columns, "\t"))
	for i := range r.Ways {
		result := &r.Ways[i]
		times := ""
		if rate > 0 {
			times = fmt.Sprintf("%.1f", result.PerSecond.Median/rate)
		}
		s := result.PerSecond
		fmt.Fprintf(table, "%s\t%.0f [%.0f, %.0f]\t%s\t%d\t%d", result.Way.Name, s.Median, s.Low, s.High, times, result.Lost,
			result.Repeated)
		for _, column := range columns {
			fmt.Fprintf(table, "\t%.1f", result.CPU[column].Median)
		}
		fmt.Fprintln(table)
	}
	fmt.Fprintln(table)
	fmt.Fprintln(table, "goal\tseen\t")
	for _, goal := range r.Goals {
		verdict := "not reached"
		if goal.Reached {
			verdict = "reached"
		}
		fmt.Fprintf(table, "%s\t%.4g\t%s\n", goal.Text, goal.Value, verdict)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	_, err := io.WriteString(w, b.String())
	return err
}
