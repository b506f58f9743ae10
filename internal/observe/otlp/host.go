package otlp

// HostConfig is what a host says of OpenTelemetry (wasmCloud's otel_config). Empty texts and nil pointers are absent
// keys.
type HostConfig struct {
	EnableObservability bool `json:"enable_observability"`
	// EnableTraces, EnableMetrics and EnableLogs follow EnableObservability where they are nil.
	EnableTraces  *bool `json:"enable_traces,omitempty"`
	EnableMetrics *bool `json:"enable_metrics,omitempty"`
	EnableLogs    *bool `json:"enable_logs,omitempty"`

	ObservabilityEndpoint string `json:"observability_endpoint,omitempty"`
	TracesEndpoint        string `json:"traces_endpoint,omitempty"`
	MetricsEndpoint       string `json:"metrics_endpoint,omitempty"`
	LogsEndpoint          string `json:"logs_endpoint,omitempty"`
	// Protocol is Http or Grpc, in any case.
	Protocol string `json:"protocol,omitempty"`
	// AdditionalCAPaths are files of PEM certificates that the host trusts besides the system's.
	AdditionalCAPaths []string `json:"additional_ca_paths"`

	TraceLevel        string  `json:"trace_level,omitempty"`
	TracesSampler     string  `json:"traces_sampler,omitempty"`
	TracesSamplerArg  string  `json:"traces_sampler_arg,omitempty"`
	MaxBatchQueueSize *uint64 `json:"max_batch_queue_size,omitempty"`
	ConcurrentExports *uint64 `json:"concurrent_exports,omitempty"`
}
