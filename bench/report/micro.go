package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// microResult is what one benchmark of a package showed, in medians.
type microResult struct {
	name              string
	ns, bytes, allocs float64
	// of each run
	allNS, allBytes, allAllocs []float64
}

// parseMicro reads what go test -bench has printed.
func parseMicro(text string) ([]microResult, error) {
	var list []microResult
	pkg := ""
	for line := range strings.Lines(text) {
		if name, found := strings.CutPrefix(line, "pkg: "); found {
			pkg = strings.TrimSpace(name)[strings.LastIndexByte(strings.TrimSpace(name), '/')+1:]
			continue
		}
		fields := strings.Fields(line)
		if len(fields) < 4 || !strings.HasPrefix(fields[0], "Benchmark") {
			continue
		}
		name := strings.TrimPrefix(fields[0], "Benchmark")
		if dash := strings.LastIndexByte(name, '-'); dash > 0 {
			name = name[:dash] // the number of processors
		}
		name = pkg + ": " + strings.ReplaceAll(name, "_", " ")
		i := slices.IndexFunc(list, func(r microResult) bool { return r.name == name })
		if i < 0 {
			list = append(list, microResult{name: name})
			i = len(list) - 1
		}
		for at := 2; at+1 < len(fields); at += 2 {
			v, err := strconv.ParseFloat(fields[at], 64)
			if err != nil {
				return nil, fmt.Errorf("reading %q: %w", strings.TrimSpace(line), err)
			}
			switch r := &list[i]; fields[at+1] {
			case "ns/op":
				r.allNS = append(r.allNS, v)
			case "B/op":
				r.allBytes = append(r.allBytes, v)
			case "allocs/op":
				r.allAllocs = append(r.allAllocs, v)
			}
		}
	}
	for i := range list {
		r := &list[i]
		r.ns, r.bytes, r.allocs = median(r.allNS), median(r.allBytes), median(r.allAllocs)
	}
	return list, nil
}

func median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	slices.Sort(values)
	return values[len(values)/2]
}

func microTable(list []microResult) string {
	var b strings.Builder
	row := table(&b, "benchmark", "ns", "bytes", "allocations")
	for _, r := range list {
		row(r.name, thousands(r.ns), thousands(r.bytes), thousands(r.allocs))
	}
	return b.String()
}
