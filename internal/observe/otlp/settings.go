package otlp

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// plan is what is to be sent, where to and how.
type plan struct {
	targets  [len(signals)]*target // nil = the signal is off
	sampler  sdktrace.Sampler
	spans    queue
	logs     queue
	interval time.Duration // between two exports of metrics
	// resource holds the attributes that OTEL_RESOURCE_ATTRIBUTES and OTEL_SERVICE_NAME name.
	resource []attribute.KeyValue
}

// queue is what waits to be sent.
type queue struct {
	size, batch int
	delay       time.Duration
}

// target is where one signal goes.
type target struct {
	url     *url.URL
	grpc    bool
	header  http.Header
	gzip    bool
	timeout time.Duration // of one export, its repeats included
	tls     files
}

// address is host and port.
func (t *target) address() string {
	if t.url.Port() != "" {
		return t.url.Host
	}
	port := "80"
	if t.url.Scheme == "https" {
		port = "443"
	}
	return net.JoinHostPort(t.url.Hostname(), port)
}

// headers are those of each export, a user and password of the URL included, which the exporters would leave out.
func (t *target) headers() map[string]string {
	headers := make(map[string]string, len(t.header)+1)
	if user := t.url.User; user != nil {
		password, _ := user.Password()
		headers["authorization"] = "Basic " + base64.StdEncoding.EncodeToString([]byte(user.Username()+":"+password))
	}
	for key, values := range t.header {
		headers[strings.ToLower(key)] = values[0]
	}
	return headers
}

// files are PEM files to read when TLS is set up.
type files struct {
	cas       []string
	cert, key string
}

// reading is one run of [Sources.read].
type reading struct {
	*Sources
	host     HostConfig // what of it counts
	problems []error
}

func (r *reading) problem(format string, args ...any) {
	r.problems = append(r.problems, fmt.Errorf(format, args...))
}

// read makes a plan. Problems do not stop it: the default takes the place of what cannot be used, or the signal stays
// off where there is no such thing. They hold no value that may be secret.
func (s *Sources) read() (plan, []error) {
	r := &reading{Sources: s, host: s.Host}
	if !hostObserves(s.Host) {
		r.host = HostConfig{
			EnableTraces: s.Host.EnableTraces, EnableMetrics: s.Host.EnableMetrics, EnableLogs: s.Host.EnableLogs,
			AdditionalCAPaths: s.Host.AdditionalCAPaths,
		}
	}
	var p plan
	on := false
	for _, sig := range signals {
		if !r.enabled(sig) {
			continue
		}
		to, err := r.target(sig)
		if err != nil {
			r.problem("%s are not sent: %w", sig, err)
			continue
		}
		p.targets[sig], on = to, true
	}
	if !on {
		return p, r.problems
	}
	p.sampler = r.sampler()
	p.spans = r.queue("OTEL_BSP_", r.host.MaxBatchQueueSize, 5*time.Second)
	p.logs = r.queue("OTEL_BLRP_", nil, time.Second)
	p.interval = r.milliseconds("OTEL_METRIC_EXPORT_INTERVAL", time.Minute)
	p.resource = r.resource()
	return p, r.problems
}

func hostObserves(c HostConfig) bool {
	is := func(b *bool) bool { return b != nil && *b }
	return c.EnableObservability || is(c.EnableTraces) || is(c.EnableMetrics) || is(c.EnableLogs)
}

// enabled tells whether a signal is to be sent. Unlike in OpenTelemetry's SDKs the default is not to.
func (r *reading) enabled(sig signal) bool {
	variable := "OTEL_" + sig.variable() + "_EXPORTER"
	if isTrue(r.own("OTEL_SDK_DISABLED")) {
		return false
	}
	if own := r.own(variable); own != "" {
		return r.sends(variable, own)
	}
	byName := [...]*bool{r.host.EnableTraces, r.host.EnableMetrics, r.host.EnableLogs}[sig]
	if byName != nil || r.host.EnableObservability {
		on := r.host.EnableObservability
		if byName != nil {
			on = *byName
		}
		return on && (sig != traces || spansAt(r.host.TraceLevel))
	}
	if isTrue(r.env("OTEL_SDK_DISABLED")) {
		return false
	}
	return r.sends(variable, r.env(variable))
}

// sends reads the name of an exporter.
func (r *reading) sends(variable, exporter string) bool {
	switch strings.ToLower(exporter) {
	case "otlp":
		return true
	case "", "none":
		return false
	default:
		r.problem("%s names an exporter that this provider does not have; it has otlp and none", variable)
		return false
	}
}

// spansAt tells whether a trace_level lets spans through. The spans here are of level info, as those of the host are.
func spansAt(level string) bool {
	switch strings.ToLower(strings.TrimSpace(level)) {
	case "warn", "warning", "error", "critical", "off":
		return false
	}
	return true
}

const defaultTimeout = 10 * time.Second

func (r *reading) target(sig signal) (*target, error) {
	t := &target{timeout: defaultTimeout}
	switch protocol := r.exporter(sig, "PROTOCOL", r.host.Protocol); strings.ToLower(protocol) {
	case "", "http", "http/protobuf":
	case "grpc":
		t.grpc = true
	default:
		return nil, errors.New("the protocol is neither grpc nor http/protobuf")
	}
	var err error
	if t.url, err = r.endpoint(sig, t.grpc); err != nil {
		return nil, err
	}
	headers, err := pairs(r.exporter(sig, "HEADERS", ""))
	if err != nil {
		return nil, fmt.Errorf("OTEL_EXPORTER_OTLP_HEADERS: %w", err)
	}
	t.header = make(http.Header, len(headers))
	for _, h := range headers {
		t.header.Set(h[0], h[1])
	}
	switch compression := r.exporter(sig, "COMPRESSION", ""); strings.ToLower(compression) {
	case "", "none":
	case "gzip":
		t.gzip = true
	default:
		r.problem("OTEL_EXPORTER_OTLP_COMPRESSION is neither gzip nor none; %s are sent as they are", sig)
	}
	if text := r.exporter(sig, "TIMEOUT", ""); text != "" {
		if ms, err := strconv.Atoi(text); err == nil && ms > 0 && ms <= maxMilliseconds {
			t.timeout = time.Duration(ms) * time.Millisecond
		} else {
			r.problem("OTEL_EXPORTER_OTLP_TIMEOUT is no number of milliseconds from 1 to %d; %s have %d", maxMilliseconds, sig,
				defaultTimeout.Milliseconds())
		}
	}
	t.tls = files{
		cas:  slices.Clone(r.Host.AdditionalCAPaths),
		cert: r.exporter(sig, "CLIENT_CERTIFICATE", ""), key: r.exporter(sig, "CLIENT_KEY", ""),
	}
	if ca := r.exporter(sig, "CERTIFICATE", ""); ca != "" {
		t.tls.cas = append(t.tls.cas, ca)
	}
	return t, nil
}

// endpoint finds the URL that a signal is sent to. Over gRPC the path of what is configured says nothing.
func (r *reading) endpoint(sig signal, grpc bool) (*url.URL, error) {
	const general = "OTEL_EXPORTER_OTLP_ENDPOINT"
	special := "OTEL_EXPORTER_OTLP_" + sig.variable() + "_ENDPOINT"
	hostSpecial := [...]string{r.host.TracesEndpoint, r.host.MetricsEndpoint, r.host.LogsEndpoint}[sig]

	asIs := func(*url.URL) {}
	below := func(u *url.URL) { u.Path = strings.TrimSuffix(u.Path, "/") + sig.path() }
	belowRoot := func(u *url.URL) {
		if u.Path == "" || u.Path == "/" {
			u.Path = sig.path()
		}
	}
	standard := "http://127.0.0.1:4318"
	if grpc {
		standard = "http://127.0.0.1:4317"
	}
	for _, from := range []struct {
		name, text string
		path       func(*url.URL)
	}{
		{special, r.own(special), asIs},
		{general, r.own(general), below},
		{"the host's " + sig.String() + "_endpoint", hostSpecial, asIs},
		{"the host's observability_endpoint", r.host.ObservabilityEndpoint, belowRoot},
		{special, r.env(special), asIs},
		{general, r.env(general), below},
		{"the default", standard, below},
	} {
		text := strings.TrimSpace(from.text)
		if text == "" {
			continue
		}
		if grpc && !strings.Contains(text, "://") {
			// host:port is usual for gRPC.
			scheme := "https://"
			if isTrue(r.exporter(sig, "INSECURE", "")) {
				scheme = "http://"
			}
			text = scheme + text
		}
		u, err := url.Parse(text)
		if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
			return nil, fmt.Errorf("%s is no URL that begins with http:// or https://", from.name)
		}
		if grpc {
			u.Path, u.RawPath, u.RawQuery = "", "", ""
		} else {
			from.path(u)
		}
		u.Fragment = ""
		return u, nil
	}
	panic("the default endpoint is empty")
}

func (r *reading) sampler() sdktrace.Sampler {
	const fallback = "parentbased_always_on"
	name := strings.ToLower(r.decide("OTEL_TRACES_SAMPLER", r.host.TracesSampler))
	ratio := func() sdktrace.Sampler {
		share := 1.0
		if text := r.decide("OTEL_TRACES_SAMPLER_ARG", r.host.TracesSamplerArg); text != "" {
			var err error
			if share, err = strconv.ParseFloat(text, 64); err != nil || !(share >= 0 && share <= 1) {
				r.problem("OTEL_TRACES_SAMPLER_ARG is no number from 0 to 1; 1 is used")
				share = 1
			}
		}
		return sdktrace.TraceIDRatioBased(share)
	}
	switch name {
	case "always_on":
		return sdktrace.AlwaysSample()
	case "always_off":
		return sdktrace.NeverSample()
	case "traceidratio":
		return ratio()
	case "parentbased_always_off":
		return sdktrace.ParentBased(sdktrace.NeverSample())
	case "parentbased_traceidratio":
		return sdktrace.ParentBased(ratio())
	case "", fallback:
	default:
		r.problem("OTEL_TRACES_SAMPLER names no sampler that this provider has; %s is used", fallback)
	}
	return sdktrace.ParentBased(sdktrace.AlwaysSample())
}

// maxQueue bounds the queues: about 100 MB of spans.
const maxQueue = 1 << 17

func (r *reading) queue(prefix string, host *uint64, delay time.Duration) queue {
	q := queue{
		size:  r.number(prefix+"MAX_QUEUE_SIZE", host, 2048, maxQueue),
		batch: r.number(prefix+"MAX_EXPORT_BATCH_SIZE", nil, 512, maxQueue),
		delay: r.milliseconds(prefix+"SCHEDULE_DELAY", delay),
	}
	q.batch = min(q.batch, q.size)
	return q
}

func (r *reading) resource() []attribute.KeyValue {
	var attrs []attribute.KeyValue
	list, err := pairs(r.given("OTEL_RESOURCE_ATTRIBUTES"))
	if err != nil {
		r.problem("OTEL_RESOURCE_ATTRIBUTES is not used: %w", err)
	}
	for _, kv := range list {
		attrs = append(attrs, attribute.String(kv[0], kv[1]))
	}
	if name := r.given("OTEL_SERVICE_NAME"); name != "" {
		attrs = append(attrs, attribute.String("service.name", name))
	}
	return attrs
}
