package otlp

import (
	"context"
	"encoding/pem"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	tracepb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	statuspb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"
	grpcstatus "google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/messaging-kafka/messaging-kafka/internal/settings"
	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
	"github.com/messaging-kafka/messaging-kafka/internal/testkit/collector"
)

func grpcError(code codes.Code, text string, after time.Duration) error {
	s := grpcstatus.New(code, text)
	if after >= 0 {
		s, _ = s.WithDetails(&errdetails.RetryInfo{RetryDelay: durationpb.New(after)})
	}
	return s.Err()
}

func marshal(m proto.Message) []byte {
	b, err := proto.Marshal(m)
	if err != nil {
		panic(err)
	}
	return b
}

var protobufType = http.Header{"Content-Type": {"application/x-protobuf"}}

func TestWhatMayGoWellLaterIsTriedAgain(t *testing.T) {
	for name, tc := range map[string]struct {
		grpc   bool
		answer collector.Answer
	}{
		"503":                       {false, collector.Answer{Status: 503}},
		"429 with a time":           {false, collector.Answer{Status: 429, Header: http.Header{"Retry-After": {"0"}}}},
		"gRPC unavailable":          {true, collector.Answer{Err: grpcError(codes.Unavailable, "busy", -1)}},
		"gRPC exhausted for a time": {true, collector.Answer{Err: grpcError(codes.ResourceExhausted, "busy", time.Millisecond)}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := collector.New(t, collector.Options{GRPC: tc.grpc})
			protocol := map[bool]string{true: "grpc", false: "http"}[tc.grpc]
			c.Answer(func(export int) *collector.Answer {
				if export == 1 {
					return &tc.answer
				}
				return nil
			})
			f := start(t, onlyTraces(sourcesFor(c, protocol)))
			f.span("s")
			flushed(t, f)
			if len(c.Spans()) != 1 || c.Exports() != 2 || f.counted(traces, "lost") != 0 {
				t.Errorf("%d spans by %d exports; log: %s", len(c.Spans()), c.Exports(), f.log.String())
			}
		})
	}
}

// onlyTraces switches the other signals off.
func onlyTraces(s Sources) Sources {
	off := false
	s.Host.EnableMetrics, s.Host.EnableLogs = &off, &off
	return s
}

func TestWhatCannotGoWellIsSaidAndCountedAsLost(t *testing.T) {
	for name, tc := range map[string]struct {
		grpc       bool
		answer     collector.Answer
		want       string
		sent, lost int
	}{
		"400 with a reason": {false, collector.Answer{Status: 400, Header: protobufType, Body: marshal(&statuspb.Status{Message: "too old"})}, "400 Bad Request (body: \\x12\\atoo old)", 0, 1},
		"a redirect":        {false, collector.Answer{Status: 307, Header: http.Header{"Location": {"http://127.0.0.1:1/"}}}, "307 Temporary Redirect", 0, 1},
		"taken in part": {false,
			collector.Answer{Status: 200, Header: protobufType, Body: marshal(&tracepb.ExportTraceServiceResponse{
				PartialSuccess: &tracepb.ExportTracePartialSuccess{RejectedSpans: 1, ErrorMessage: "a bad span"}})},
			"a bad span (1 spans rejected)", 0, 1},
		"gRPC invalid argument":       {true, collector.Answer{Err: grpcError(codes.InvalidArgument, "tüo old", -1)}, "code = InvalidArgument desc = tüo old", 0, 1},
		"gRPC exhausted for ever":     {true, collector.Answer{Err: grpcError(codes.ResourceExhausted, "quota", -1)}, "code = ResourceExhausted desc = quota", 0, 1},
		"gRPC later than can be done": {true, collector.Answer{Err: grpcError(codes.Unavailable, "tomorrow", time.Hour)}, "code = Unavailable desc = tomorrow", 0, 1},
	} {
		t.Run(name, func(t *testing.T) {
			c := collector.New(t, collector.Options{GRPC: tc.grpc})
			c.Answer(func(int) *collector.Answer { return &tc.answer })
			f := start(t, onlyTraces(sourcesFor(c, map[bool]string{true: "grpc", false: "http"}[tc.grpc])))
			f.span("s")
			flushed(t, f)
			if !f.log.Contains(tc.want) {
				t.Errorf("log: %s\nwant %q", f.log.String(), tc.want)
			}
			if sent, lost := f.counted(traces, "sent"), f.counted(traces, "lost"); sent != tc.sent || lost != tc.lost ||
				c.Exports() != 1 {
				t.Errorf("sent %d, lost %d by %d exports", sent, lost, c.Exports())
			}
		})
	}
}

func TestACollectorThatSpeaksAnotherProtocolIsNamed(t *testing.T) {
	c := collector.New(t, collector.Options{GRPC: true})
	s := onlyTraces(sourcesFor(c, "http"))
	s.Config = map[string]string{"OTEL_EXPORTER_OTLP_TIMEOUT": "600"}
	f := start(t, s)
	f.span("s")
	flushed(t, f)
	if f.counted(traces, "lost") != 1 || !f.log.Contains("telemetry does not reach") {
		t.Errorf("log: %s", f.log.String())
	}
}

func TestADeadCollectorHoldsUpNothing(t *testing.T) {
	for name, endpoint := range map[string]string{"refuses": "http://127.0.0.1:1", "never answers": collector.Dead(t)} {
		for _, protocol := range []string{"http", "grpc"} {
			t.Run(name+" "+protocol, func(t *testing.T) {
				f := start(t, Sources{
					Host: HostConfig{EnableObservability: true, Protocol: protocol, ObservabilityEndpoint: endpoint},
					// Everything is tried at once, and the queues are too small for it.
					Config: map[string]string{"OTEL_BSP_SCHEDULE_DELAY": "1", "OTEL_BLRP_SCHEDULE_DELAY": "1",
						"OTEL_BSP_MAX_QUEUE_SIZE": "16", "OTEL_METRIC_EXPORT_INTERVAL": "1", "OTEL_EXPORTER_OTLP_TIMEOUT": "3600000"},
				})
				out := &testkit.Log{}
				log := f.Logger(out.Logger())
				for range 1000 { // it would hang here
					f.span("s")
					log.Info("line")
				}
				ctx, cancel := context.WithTimeout(t.Context(), collector.Patience)
				defer cancel()
				began := time.Now()
				f.Shutdown(ctx)
				// What matters is that it does not wait for the time-out of an export, which is an hour.
				if took := time.Since(began); took > testkit.DefaultTimeout {
					t.Errorf("the shutdown took %v", took)
				}
				testkit.CheckLeaks(t)
				if lines := strings.Count(f.log.String(), "telemetry does not reach"); lines > len(signals) {
					t.Errorf("%d lines about it: %s", lines, f.log.String())
				}
			})
		}
	}
}

func TestACollectorWithoutATrustedCertificateGetsNothing(t *testing.T) {
	for _, protocol := range []string{"http", "grpc"} {
		t.Run(protocol, func(t *testing.T) {
			c := collector.New(t, collector.Options{TLS: true, GRPC: protocol == "grpc"})
			s := onlyTraces(sourcesFor(c, protocol))
			s.Host.AdditionalCAPaths = nil
			// gRPC goes on until then, and has to have come to the certificate on a busy machine, too.
			s.Config = map[string]string{"OTEL_EXPORTER_OTLP_TIMEOUT": "4000"}
			f := start(t, s)
			f.span("s")
			flushed(t, f)
			if len(c.Spans()) != 0 || !f.log.Contains("certificate") {
				t.Errorf("%d spans; log: %s", len(c.Spans()), f.log.String())
			}
		})
	}
}

func TestFilesThatCannotBeReadAreNamed(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "empty.pem")
	if err := os.WriteFile(empty, pem.EncodeToMemory(&pem.Block{Type: "NOTHING"}), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		host   HostConfig
		config map[string]string
		want   string
	}{
		{HostConfig{AdditionalCAPaths: []string{"/nowhere/ca.pem"}}, nil, "/nowhere/ca.pem"},
		{HostConfig{AdditionalCAPaths: []string{empty}}, nil, empty + " holds no certificate"},
		{HostConfig{}, map[string]string{"OTEL_EXPORTER_OTLP_CLIENT_KEY": "k"}, "only together"},
		{HostConfig{}, map[string]string{"OTEL_EXPORTER_OTLP_CLIENT_KEY": "k", "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE": "c"}, "client certificate"},
	} {
		tc.host.EnableObservability, tc.host.ObservabilityEndpoint = true, "https://127.0.0.1:1"
		f := start(t, Sources{Host: tc.host, Config: tc.config})
		if f.Export != nil || !f.log.Contains(tc.want) {
			t.Errorf("log: %s\nwant %q", f.log.String(), tc.want)
		}
	}
}

func TestAuthoritiesThatAreLeftOutAreTold(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ca.pem")
	testkit.NewAuthority(t).WriteBeside(path, []byte{0x30, 3, 2, 1, 0})
	f := start(t, onlyTraces(Sources{Host: HostConfig{
		EnableObservability: true, TracesEndpoint: "https://127.0.0.1:1/v1/traces", AdditionalCAPaths: []string{path},
	}}))
	if want := `level=WARN msg="certificates that cannot be read are left out" file=` + path + ` numbers=[2]`; !f.log.Contains(want) {
		t.Errorf("log: %s\nwant %q", f.log.String(), want)
	}
}

func TestNothingSecretIsInTheLog(t *testing.T) {
	const secret = "hunter2"
	c := collector.New(t, collector.Options{})
	c.Answer(func(int) *collector.Answer { return &collector.Answer{Status: 401} })
	for name, s := range map[string]Sources{
		"a URL":               {Host: HostConfig{TracesEndpoint: strings.Replace(c.URL(), "://", "://user:"+secret+"@", 1) + "/v1/traces?key=" + secret}},
		"a URL that is dead":  {Host: HostConfig{TracesEndpoint: "http://user:" + secret + "@127.0.0.1:1/?key=" + secret}, Config: map[string]string{"OTEL_EXPORTER_OTLP_TIMEOUT": "100"}},
		"a URL that is none":  {Host: HostConfig{TracesEndpoint: "ftp://" + secret + "@x"}},
		"a header":            {Host: HostConfig{TracesEndpoint: c.URL() + "/v1/traces"}, Secrets: map[string]settings.Secret{"OTEL_EXPORTER_OTLP_HEADERS": settings.NewSecret("x=" + secret)}},
		"headers that are no": {Secrets: map[string]settings.Secret{"OTEL_EXPORTER_OTLP_HEADERS": settings.NewSecret("x=%zz" + secret)}},
		"a header without =":  {Secrets: map[string]settings.Secret{"OTEL_EXPORTER_OTLP_HEADERS": settings.NewSecret(secret)}},
	} {
		t.Run(name, func(t *testing.T) {
			s.Host.EnableObservability = true
			f := start(t, onlyTraces(s))
			if f.Export != nil {
				f.span("s")
				flushed(t, f)
			}
			if f.log.Contains(secret) || f.log.String() == "" {
				t.Errorf("log: %s", f.log.String())
			}
		})
	}
}

func TestTheLogSaysItOnceInAWhile(t *testing.T) {
	log := &testkit.Log{}
	r := newReporter(traces, log.Logger(), (&counts{n: map[[2]string]int{}}).add)
	now := time.Unix(0, 0)
	r.now = func() time.Time { return now }
	for range 100 {
		r.outcome(5, errTest)
		now = now.Add(time.Second)
	}
	if n := strings.Count(log.String(), "does not reach"); n != 1 {
		t.Errorf("%d lines in 100 s: %s", n, log.String())
	}
	r.outcome(5, nil)
	if !log.Contains("again") || !log.Contains("lost=500") {
		t.Errorf("the end is not in the log: %s", log.String())
	}
	now = now.Add(reportEvery)
	r.outcome(5, errTest)
	if !log.Contains("unreported=99") {
		t.Errorf("the lines that were left out are not counted: %s", log.String())
	}
}

func TestAfterTheShutdownNothingIsSent(t *testing.T) {
	c := collector.New(t, collector.Options{})
	f := start(t, onlyTraces(sourcesFor(c, "http")))
	f.Shutdown(t.Context())
	f.Shutdown(t.Context())
	f.span("late")
	f.outlets[0].export(t.Context(), 1, func(context.Context) error {
		t.Error("something is sent")
		return nil
	})
	if !f.log.Contains(errClosed.Error()) || f.counted(traces, "lost") != 1 {
		t.Errorf("log: %s", f.log.String())
	}
	if c.Exports() != 0 {
		t.Errorf("%d exports", c.Exports())
	}
}
