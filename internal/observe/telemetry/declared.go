package telemetry

import "slices"

// Declared describes one metric: its full name, its type (counter, gauge or histogram), and its labels.
type Declared struct {
	Name, Type string
	Labels     []string
}

// Declarations lists all metrics that the provider may have. Those of what no link does are not there before one does
// it.
func Declarations() []Declared {
	list := make([]Declared, len(declared))
	for i, d := range declared {
		list[i] = Declared{Name: d.fullName(), Type: string(d.kind), Labels: slices.Clone(d.labels)}
	}
	return list
}
