package otlp

// signal is one of the three kinds of telemetry.
type signal uint8

const (
	traces signal = iota
	metrics
	logs
)

var signals = [...]signal{traces, metrics, logs}

func (s signal) String() string { return [...]string{"traces", "metrics", "logs"}[s] }

// variable is the signal's part of the names of variables.
func (s signal) variable() string { return [...]string{"TRACES", "METRICS", "LOGS"}[s] }

// path is the default path over HTTP.
func (s signal) path() string { return "/v1/" + s.String() }
