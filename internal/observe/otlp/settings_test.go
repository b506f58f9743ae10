package otlp

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/messaging-kafka/messaging-kafka/internal/settings"
)

func yes() *bool { b := true; return &b }
func no() *bool  { b := false; return &b }

func env(list ...string) func(string) string {
	return func(name string) string {
		for _, kv := range list {
			if v, found := strings.CutPrefix(kv, name+"="); found {
				return v
			}
		}
		return ""
	}
}

// summary says where each signal goes.
func (p plan) summary() string {
	var parts []string
	for _, sig := range signals {
		if to := p.targets[sig]; to != nil {
			protocol := "http"
			if to.grpc {
				protocol = "grpc"
			}
			parts = append(parts, fmt.Sprintf("%s %s %s", sig, protocol, to.url))
		}
	}
	return strings.Join(parts, "\n")
}

func TestTheStrongestSourceDecidesWhatGoesWhere(t *testing.T) {
	on := HostConfig{EnableObservability: true, EnableMetrics: no(), EnableLogs: no()}
	with := func(change func(*HostConfig)) HostConfig { c := on; change(&c); return c }
	for name, tc := range map[string]struct {
		from Sources
		want string
	}{
		"nothing": {Sources{}, ""},
		"a host that is off says nothing of the protocol": {
			Sources{Host: HostConfig{Protocol: "Grpc"}, Getenv: env("OTEL_TRACES_EXPORTER=otlp")},
			"traces http http://127.0.0.1:4318/v1/traces",
		},
		"a host that is on": {
			Sources{Host: HostConfig{EnableObservability: true, Protocol: "Http"}},
			"traces http http://127.0.0.1:4318/v1/traces\nmetrics http http://127.0.0.1:4318/v1/metrics\nlogs http http://127.0.0.1:4318/v1/logs",
		},
		"a host that is on by gRPC": {
			Sources{Host: with(func(c *HostConfig) { c.Protocol = "Grpc" })},
			"traces grpc http://127.0.0.1:4317",
		},
		"one signal of the host": {
			Sources{Host: HostConfig{EnableMetrics: yes()}},
			"metrics http http://127.0.0.1:4318/v1/metrics",
		},
		"a host that switches a signal off by name is stronger than the environment": {
			Sources{Host: HostConfig{EnableTraces: no()}, Getenv: env("OTEL_TRACES_EXPORTER=otlp", "OTEL_LOGS_EXPORTER=otlp")},
			"logs http http://127.0.0.1:4318/v1/logs",
		},
		"a host that is on is stronger than the environment's off": {
			Sources{Host: on, Getenv: env("OTEL_SDK_DISABLED=true", "OTEL_TRACES_EXPORTER=none")},
			"traces http http://127.0.0.1:4318/v1/traces",
		},
		"the environment's off":                {Sources{Getenv: env("OTEL_SDK_DISABLED=TRUE", "OTEL_TRACES_EXPORTER=otlp")}, ""},
		"the provider's off":                   {Sources{Host: on, Config: map[string]string{"otel_sdk_disabled": "true"}}, ""},
		"a signal that the provider wants off": {Sources{Host: on, Config: map[string]string{"Otel_Traces_Exporter": "none"}}, ""},
		"a signal that the provider wants on": {
			Sources{Host: on, Config: map[string]string{"OTEL_LOGS_EXPORTER": "otlp"}},
			"traces http http://127.0.0.1:4318/v1/traces\nlogs http http://127.0.0.1:4318/v1/logs",
		},
		"the host's endpoint for everything gets the path of the signal": {
			Sources{Host: with(func(c *HostConfig) { c.ObservabilityEndpoint = "http://c:1/" })},
			"traces http http://c:1/v1/traces",
		},
		"the host's endpoint for everything with a path is taken as it is": {
			Sources{Host: with(func(c *HostConfig) { c.ObservabilityEndpoint = "http://c:1/here" })},
			"traces http http://c:1/here",
		},
		"the host's endpoint for the signal is taken as it is": {
			Sources{Host: with(func(c *HostConfig) {
				c.ObservabilityEndpoint, c.TracesEndpoint = "http://c:1", "http://t:2/x?y=z"
			}), Getenv: env("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=http://e:3")},
			"traces http http://t:2/x?y=z",
		},
		"the variable for everything gets the path of the signal behind its own": {
			Sources{Host: on, Getenv: env("OTEL_EXPORTER_OTLP_ENDPOINT=https://e:3/otlp/")},
			"traces http https://e:3/otlp/v1/traces",
		},
		"the variable for the signal is taken as it is": {
			Sources{Host: on, Getenv: env("OTEL_EXPORTER_OTLP_ENDPOINT=https://e:3",
				"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=http://e:4/v2")},
			"traces http http://e:4/v2",
		},
		"the provider's own config is stronger than the host": {
			Sources{
				Host:   with(func(c *HostConfig) { c.TracesEndpoint, c.Protocol = "http://t:2", "Http" }),
				Config: map[string]string{"otel_exporter_otlp_endpoint": "http://own:5", "otel_exporter_otlp_protocol": "grpc"},
			},
			"traces grpc http://own:5",
		},
		"the provider's secrets are stronger than its config": {
			Sources{
				Host: on, Config: map[string]string{"otel_exporter_otlp_endpoint": "http://own:5"},
				Secrets: map[string]settings.Secret{"OTEL_EXPORTER_OTLP_ENDPOINT": settings.NewSecret("http://secret:6")},
			},
			"traces http http://secret:6/v1/traces",
		},
		"gRPC without a scheme is TLS": {
			Sources{Host: on, Config: map[string]string{"otel_exporter_otlp_protocol": "grpc"},
				Getenv: env("OTEL_EXPORTER_OTLP_ENDPOINT=c:4317")},
			"traces grpc https://c:4317",
		},
		"gRPC without a scheme that is to be insecure": {
			Sources{Host: on, Config: map[string]string{"otel_exporter_otlp_protocol": "grpc"},
				Getenv: env("OTEL_EXPORTER_OTLP_ENDPOINT=c:4317", "OTEL_EXPORTER_OTLP_INSECURE=true")},
			"traces grpc http://c:4317",
		},
		"a trace level above info": {Sources{Host: with(func(c *HostConfig) { c.TraceLevel = "Error" })}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			p, problems := tc.from.read()
			if got := p.summary(); got != tc.want || len(problems) > 0 {
				t.Errorf("got\n%s\nwant\n%s\nproblems %v", got, tc.want, problems)
			}
		})
	}
}

func TestWhatCannotBeUsedIsNamed(t *testing.T) {
	for _, tc := range []struct {
		config map[string]string
		want   string
		off    bool
	}{
		{map[string]string{"OTEL_TRACES_EXPORTER": "jaeger"}, "OTEL_TRACES_EXPORTER names an exporter", true},
		{map[string]string{"OTEL_EXPORTER_OTLP_PROTOCOL": "http/json"}, "neither grpc nor http/protobuf", true},
		{map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "c:4318"}, "OTEL_EXPORTER_OTLP_ENDPOINT is no URL", true},
		{map[string]string{"OTEL_EXPORTER_OTLP_HEADERS": "token"}, "part 1 is not of the form key=value", true},
		{map[string]string{"OTEL_EXPORTER_OTLP_COMPRESSION": "zstd"}, "neither gzip nor none", false},
		{map[string]string{"OTEL_EXPORTER_OTLP_TIMEOUT": "10s"}, "no number of milliseconds", false},
		{map[string]string{"OTEL_TRACES_SAMPLER": "jaeger_remote"}, "names no sampler", false},
		{map[string]string{"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "NaN"}, "no number from 0 to 1", false},
		{map[string]string{"OTEL_BSP_MAX_QUEUE_SIZE": "-1"}, "OTEL_BSP_MAX_QUEUE_SIZE is no number above 0; 2048 is used", false},
		{map[string]string{"OTEL_BLRP_MAX_QUEUE_SIZE": "1000000000"}, "more than 131072", false},
		{map[string]string{"OTEL_METRIC_EXPORT_INTERVAL": "soon"}, "OTEL_METRIC_EXPORT_INTERVAL is no number above 0; 60000 is used", false},
		{map[string]string{"OTEL_RESOURCE_ATTRIBUTES": "a"}, "OTEL_RESOURCE_ATTRIBUTES is not used", false},
	} {
		s := Sources{Config: tc.config, Host: HostConfig{EnableTraces: yes()}}
		p, problems := s.read()
		if len(problems) != 1 || !strings.Contains(problems[0].Error(), tc.want) {
			t.Errorf("%v: problems %v, want %q", tc.config, problems, tc.want)
		}
		if off := p.targets[traces] == nil; off != tc.off {
			t.Errorf("%v: off is %t", tc.config, off)
		}
	}
}

func TestSettingsOfTheExportAreTaken(t *testing.T) {
	size := uint64(77)
	s := Sources{
		Host: HostConfig{EnableObservability: true, TracesSampler: "traceidratio", TracesSamplerArg: "0.25",
			MaxBatchQueueSize: &size},
		Config: map[string]string{
			"OTEL_EXPORTER_OTLP_HEADERS": "a=b%20c, d = e", "OTEL_EXPORTER_OTLP_TRACES_HEADERS": "x=y",
			"OTEL_EXPORTER_OTLP_COMPRESSION": "gzip", "OTEL_EXPORTER_OTLP_TIMEOUT": "1500",
			"OTEL_RESOURCE_ATTRIBUTES": "service.name=no,team=a%2Cb", "OTEL_SERVICE_NAME": "yes",
		},
		Getenv: env("OTEL_METRIC_EXPORT_INTERVAL=1000", "OTEL_BLRP_MAX_EXPORT_BATCH_SIZE=9",
			"OTEL_TRACES_SAMPLER=always_off"),
	}
	p, problems := s.read()
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	if h := p.targets[logs].header; h.Get("A") != "b c" || h.Get("D") != "e" {
		t.Errorf("headers of logs: %v", h)
	}
	if h := p.targets[traces].header; h.Get("X") != "y" || h.Get("A") != "" {
		t.Errorf("headers of traces: %v", h)
	}
	if to := p.targets[metrics]; !to.gzip || to.timeout != 1500*time.Millisecond {
		t.Errorf("metrics: %+v", to)
	}
	if p.spans != (queue{77, 77, 5 * time.Second}) || p.logs != (queue{2048, 9, time.Second}) ||
		p.interval != time.Second {
		t.Errorf("queues %+v %+v, interval %v", p.spans, p.logs, p.interval)
	}
	if got := p.sampler.Description(); got != "TraceIDRatioBased{0.25}" {
		t.Errorf("sampler %s", got)
	}
	if got := fmt.Sprint(newResource(Identity{}, p.resource).String()); !strings.Contains(got, "service.name=yes") ||
		!strings.Contains(got, `team=a\,b`) {
		t.Errorf("resource %s", got)
	}
}

func TestSamplersHaveTheirNames(t *testing.T) {
	for name, want := range map[string]string{
		"":                         "ParentBased{root:AlwaysOnSampler",
		"parentbased_always_on":    "ParentBased{root:AlwaysOnSampler",
		"parentbased_always_off":   "ParentBased{root:AlwaysOffSampler",
		"parentbased_traceidratio": "ParentBased{root:TraceIDRatioBased{0.5}",
		"TraceIdRatio":             "TraceIDRatioBased{0.5}",
		"always_on":                "AlwaysOnSampler",
		"always_off":               "AlwaysOffSampler",
	} {
		s := Sources{Host: HostConfig{EnableTraces: yes(), TracesSampler: name}, Getenv: env("OTEL_TRACES_SAMPLER_ARG=0.5")}
		p, problems := s.read()
		if len(problems) > 0 || !strings.HasPrefix(p.sampler.Description(), want) {
			t.Errorf("%q: %s, want %s (%v)", name, p.sampler.Description(), want, problems)
		}
	}
}
