package rig

import (
	"errors"
	"time"

	"github.com/messaging-kafka/messaging-kafka/bench"
)

// What a [Job] has the component do.
const (
	Publish = "publish" // call consumer.publish, again and again
	Request = "request" // call consumer.request, again and again
	Handle  = "handle"  // let calls of handle-message pass that wait at its gate
	Open    = "open"    // leave the gate open
	Shut    = "shut"    // close the gate
	Count   = "count"   // say how many calls of handle-message each component has had
)

// Job is what the component's process does on request.
type Job struct {
	Do string `json:"do"`
	// Component is the id of the component that calls, or whose gate is meant.
	Component string `json:"component"`
	Subject   string `json:"subject"`
	InFlight  int    `json:"in_flight"`
	Size      int    `json:"size"`
	// Ramp, Duration and Patience are those of [bench.Load].
	Ramp     time.Duration `json:"ramp"`
	Duration time.Duration `json:"duration"`
	Patience time.Duration `json:"patience"`
	Gauge    bench.Gauge   `json:"gauge"`
}

// Result is what came of a job, or of a load anywhere else.
type Result struct {
	Took time.Duration `json:"took"` // the measured time
	Done int           `json:"done"` // calls that ended within it
	// P50 and P99 are of these calls; 0 where each one's time is not known.
	P50  time.Duration `json:"p50"`
	P99  time.Duration `json:"p99"`
	Sent int           `json:"sent"`
	Lost int           `json:"lost"`
	Err  string        `json:"err,omitempty"`
	// Handled counts calls of handle-message since the start, by component.
	Handled map[string]int64 `json:"handled,omitempty"`
	Used    bench.Reading    `json:"used"`
}

// ResultOf sums up a load. readings are what its gauge showed at both ends.
func ResultOf(s *bench.Sample, readings []bench.Reading) Result {
	r := Result{
		Took: s.Took, Done: len(s.Echoes), Sent: s.Sent, Lost: s.Lost,
		P50: bench.Quantile(s.Echoes, 0.5), P99: bench.Quantile(s.Echoes, 0.99),
	}
	if s.Err != nil {
		r.Err = s.Err.Error()
	}
	if len(readings) == 2 {
		r.Used = readings[1].Since(readings[0])
	}
	return r
}

// Failure is the error of a job that lost something or could not be done.
func (r *Result) Failure() error {
	switch {
	case r.Err != "":
		return errors.New(r.Err)
	case r.Lost > 0:
		return errors.New("values were lost")
	}
	return nil
}
