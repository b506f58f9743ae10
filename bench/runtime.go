package bench

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"runtime/metrics"
	"time"
)

// Runtime is what the Go runtime of a process says of itself.
type Runtime struct {
	Goroutines int64 `json:"goroutines"`
	Objects    int64 `json:"objects"` // allocated since the start
	Bytes      int64 `json:"bytes"`   // allocated since the start
	Live       int64 `json:"live"`    // bytes of the heap that hold objects, garbage included
}

// ReadRuntime reads it for this process, without stopping it.
func ReadRuntime() Runtime {
	samples := []metrics.Sample{
		{Name: "/sched/goroutines:goroutines"}, {Name: "/gc/heap/allocs:objects"}, {Name: "/gc/heap/allocs:bytes"},
		{Name: "/memory/classes/heap/objects:bytes"},
	}
	metrics.Read(samples)
	count := func(i int) int64 {
		if samples[i].Value.Kind() != metrics.KindUint64 {
			return 0 // a runtime that does not know it
		}
		return int64(samples[i].Value.Uint64())
	}
	return Runtime{Goroutines: count(0), Objects: count(1), Bytes: count(2), Live: count(3)}
}

// Since returns what has been added after an earlier reading; what is no sum stays as it is.
func (r Runtime) Since(earlier Runtime) Runtime {
	r.Objects -= earlier.Objects
	r.Bytes -= earlier.Bytes
	return r
}

// ServeRuntime answers with [ReadRuntime] as JSON.
func ServeRuntime(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(ReadRuntime()) // who asked is gone
}

// Gauge reads what is measured at the beginning and at the end of a load.
type Gauge struct {
	Processes Processes `json:"processes"`
	// Runtimes are addresses of [ServeRuntime] by process. Those without one are measured from outside only.
	Runtimes map[string]string `json:"runtimes"`
}

// Reading is what a [Gauge] showed at one moment, or between two.
type Reading struct {
	CPU      CPU                `json:"cpu"`
	Runtimes map[string]Runtime `json:"runtimes"`
}

// Since is what was used after an earlier reading.
func (r Reading) Since(earlier Reading) Reading {
	d := Reading{CPU: r.CPU.Since(earlier.CPU), Runtimes: make(map[string]Runtime, len(r.Runtimes))}
	for name, now := range r.Runtimes {
		d.Runtimes[name] = now.Since(earlier.Runtimes[name])
	}
	return d
}

// Read takes a reading.
func (g Gauge) Read() (Reading, error) {
	r := Reading{Runtimes: make(map[string]Runtime, len(g.Runtimes))}
	var errs []error
	for name, address := range g.Runtimes {
		runtime, err := FetchRuntime(address)
		r.Runtimes[name] = runtime
		errs = append(errs, err)
	}
	cpu, err := g.Processes.Used()
	r.CPU = cpu
	return r, errors.Join(append(errs, err)...)
}

var runtimeClient = http.Client{Timeout: 10 * time.Second}

// FetchRuntime asks another process.
func FetchRuntime(address string) (Runtime, error) {
	resp, err := runtimeClient.Get("http://" + address + "/runtime")
	if err != nil {
		return Runtime{}, fmt.Errorf("asking a process for its runtime: %w", err)
	}
	defer resp.Body.Close()
	var r Runtime
	if resp.StatusCode != http.StatusOK {
		return r, fmt.Errorf("asking a process for its runtime: it answers %s", resp.Status)
	}
	if err := json.NewDecoder(resp.Body).Decode(&r); err != nil {
		return r, fmt.Errorf("asking a process for its runtime: %w", err)
	}
	return r, nil
}
