// Package alone measures the provider without a wasmCloud host: a process in Go stands in for its components. What is
// here is the part that needs nothing to run: figures, goals and how they are written down. The measurements
// themselves are tests with the build tag bench.
package alone

import (
	"slices"
	"time"

	"github.com/messaging-kafka/messaging-kafka/bench"
	"github.com/messaging-kafka/messaging-kafka/bench/rig"
)

// The ways through the provider.
const (
	Handle  = "handle"  // records of a topic that lie there already go to the component
	Publish = "publish" // the component publishes, and waits for Kafka's acknowledgement
	Echo    = "echo"    // from topic to topic: a record to the component, which publishes it again
	HTTP    = "HTTP"    // the same through the bridge, to a program behind HTTP; records have keys, whose order is kept
	Request = "request" // the component asks over Kafka and waits for the answer that a plain client gives
)

// The limits that the ways are held against.
const (
	NATS        = "NATS"         // bare request and reply
	WRPC        = "wRPC"         // calls of the component without a provider or Kafka
	Produce     = "produce"      // a plain Kafka client produces and waits for the acknowledgement
	ReadBack    = "read back"    // a plain Kafka client reads what it has just produced
	BulkProduce = "bulk produce" // a plain Kafka client produces without waiting
	BulkConsume = "bulk consume" // a plain Kafka client reads what lies there
)

// Ways are all that is measured for each number in flight and each size, in the order of tables.
var Ways = []string{NATS, WRPC, Produce, ReadBack, Handle, Publish, Echo, HTTP, Request}

// limitsOf are the limits that each way has a ratio to.
var limitsOf = map[string][]string{
	Handle: {NATS, WRPC}, Publish: {NATS, WRPC, Produce}, Echo: {ReadBack}, HTTP: {ReadBack}, Request: {ReadBack},
}

// Component is the process that the component runs in; package bench names the others.
const Component = "component"

// Report is all that a run finds out.
type Report struct {
	Started  time.Time         `json:"started"`
	Version  string            `json:"version"` // of the project: git describe
	Machine  bench.Machine     `json:"machine"`
	Software map[string]string `json:"software"`
	Setup    Setup             `json:"setup"`
	Goals    []bench.Goal      `json:"goals"`
	Rows     []Row             `json:"rows"`
	Rounds   []Round           `json:"rounds"`
}

// Setup is what was measured.
type Setup struct {
	Seconds float64 `json:"seconds"` // of one round
	Rounds  int     `json:"rounds"`
}

// Shape is a number in flight with a size of values in bytes.
type Shape struct {
	InFlight int `json:"in_flight"`
	Size     int `json:"size"`
}

// Round is one load on one way.
type Round struct {
	Way string `json:"way"`
	Shape
	Round     int     `json:"round"`
	Seconds   float64 `json:"seconds"`
	Done      int     `json:"done"`
	PerSecond float64 `json:"per_second"`
	P50       float64 `json:"p50_ms"`
	P99       float64 `json:"p99_ms"`
	// CPU is the microseconds of each process for one operation.
	CPU map[string]float64 `json:"cpu_us"`
	// Objects and Bytes are what the provider allocates for one operation, all its goroutines together.
	Objects float64 `json:"objects"`
	Bytes   float64 `json:"bytes"`
	// Others is how many processors were busy with what is no part of the benchmark.
	Others float64 `json:"other_cpus"`
}

// NewRound makes the figures of a load.
func NewRound(way string, shape Shape, round int, r rig.Result) Round {
	seconds := r.Took.Seconds()
	f := Round{
		Way: way, Shape: shape, Round: round, Seconds: seconds, Done: r.Done,
		P50: r.P50.Seconds() * 1e3, P99: r.P99.Seconds() * 1e3,
	}
	if seconds > 0 {
		f.PerSecond = float64(r.Done) / seconds
		f.Others = r.Used.CPU.Others().Seconds() / seconds
	}
	if r.Done == 0 {
		return f
	}
	f.CPU = make(map[string]float64, len(r.Used.CPU.Of))
	for name, cpu := range r.Used.CPU.Of {
		f.CPU[name] = cpu.Seconds() * 1e6 / float64(r.Done)
	}
	if limitsOf[way] == nil {
		return f // the provider has no part in it
	}
	provider := r.Used.Runtimes[bench.Provider]
	f.Objects = float64(provider.Objects) / float64(r.Done)
	f.Bytes = float64(provider.Bytes) / float64(r.Done)
	return f
}

// Row sums up the rounds of one way and shape.
type Row struct {
	Way string `json:"way"`
	Shape
	PerSecond bench.Spread `json:"per_second"`
	P50       bench.Spread `json:"p50_ms"`
	P99       bench.Spread `json:"p99_ms"`
	// CPU is that of all rounds together, for the kernel counts in steps of 10 ms.
	CPU     map[string]float64 `json:"cpu_us"`
	Objects bench.Spread       `json:"objects"`
	Bytes   bench.Spread       `json:"bytes"`
	Others  bench.Spread       `json:"other_cpus"`
	// Ratios are rates as shares of the limits' rates, round by round, so that what the machine did meanwhile falls on
	// both sides.
	Ratios map[string]bench.Spread `json:"ratios,omitempty"`
	// Apart is what the ratio to bare NATS would be where processors are the limit and broker and load had their own:
	// the time that a request takes of them, its two sides and the nats-server together, as a share of what one of this
	// way takes of provider, component and nats-server. 0 where it is not known.
	Apart float64 `json:"apart,omitempty"`
}

// Summarise sums up the rounds of one shape, of which each has the same ways.
func Summarise(shape Shape, rounds []Round) []Row {
	of := map[string][]Round{}
	for _, r := range rounds {
		if r.Shape == shape {
			of[r.Way] = append(of[r.Way], r)
		}
	}
	var rows []Row
	for _, way := range append(slices.Clone(Ways), BulkProduce, BulkConsume) {
		mine := of[way]
		if len(mine) == 0 {
			continue
		}
		row := newRow(way, shape, mine)
		for _, limit := range limitsOf[way] {
			ratios := ratiosOf(mine, of[limit])
			if len(ratios) == 0 {
				continue
			}
			if row.Ratios == nil {
				row.Ratios = map[string]bench.Spread{}
			}
			row.Ratios[limit] = bench.SpreadOf(ratios)
			if limit == NATS {
				row.Apart = apart(row, newRow(NATS, shape, of[NATS]))
			}
		}
		rows = append(rows, row)
	}
	return rows
}

// ratiosOf compares the rounds of a way with those of a limit, each with its own number.
func ratiosOf(mine, limits []Round) []float64 {
	var ratios []float64
	for _, m := range mine {
		i := slices.IndexFunc(limits, func(l Round) bool { return l.Round == m.Round })
		if i >= 0 && limits[i].PerSecond > 0 && m.PerSecond > 0 {
			ratios = append(ratios, m.PerSecond/limits[i].PerSecond)
		}
	}
	return ratios
}

func apart(way, limit Row) float64 {
	own := way.CPU[bench.Provider] + way.CPU[Component] + way.CPU[bench.NATS]
	if own == 0 {
		return 0
	}
	return (limit.CPU[bench.Client] + limit.CPU[Component] + limit.CPU[bench.NATS]) / own
}

func newRow(way string, shape Shape, rounds []Round) Row {
	spread := func(of func(Round) float64) bench.Spread {
		var values []float64
		for _, r := range rounds {
			values = append(values, of(r))
		}
		return bench.SpreadOf(values)
	}
	row := Row{
		Way: way, Shape: shape,
		PerSecond: spread(func(r Round) float64 { return r.PerSecond }),
		P50:       spread(func(r Round) float64 { return r.P50 }),
		P99:       spread(func(r Round) float64 { return r.P99 }),
		Objects:   spread(func(r Round) float64 { return r.Objects }),
		Bytes:     spread(func(r Round) float64 { return r.Bytes }),
		Others:    spread(func(r Round) float64 { return r.Others }),
		CPU:       map[string]float64{},
	}
	done := 0.0
	for _, r := range rounds {
		done += float64(r.Done)
		for name, cpu := range r.CPU {
			row.CPU[name] += cpu * float64(r.Done)
		}
	}
	for name := range row.CPU {
		row.CPU[name] /= done
	}
	return row
}

// Find returns the row of a way and a shape.
func Find(rows []Row, way string, shape Shape) (Row, bool) {
	i := slices.IndexFunc(rows, func(r Row) bool { return r.Way == way && r.Shape == shape })
	if i < 0 {
		return Row{}, false
	}
	return rows[i], true
}
