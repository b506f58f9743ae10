package hostdata

import (
	"encoding/base64"
	"reflect"
	"strings"
	"testing"

	"github.com/messaging-kafka/messaging-kafka/internal/observe/otlp"
	"github.com/messaging-kafka/messaging-kafka/internal/settings"
)

// full is what a 1.9 host writes, with every key that the type knows of.
const full = `{"host_id":"NB3KHOST","lattice_rpc_prefix":"reftest","link_name":"default",
"lattice_rpc_user_jwt":"jwt-canary","lattice_rpc_user_seed":"seed-canary","lattice_rpc_url":"nats://127.0.0.1:14333",
"provider_key":"kafka","env_values":{"A":"env-canary"},"instance_id":"666a3ab3",
"link_definitions":[{"source_id":"mycomp","target":"kafka","name":"default","wit_namespace":"wasmcloud",
 "wit_package":"messaging",
 "interfaces":["consumer"],"source_config":{"s":"source-canary"},"target_config":{"brokers":"target-canary"},
 "source_secrets":null,"target_secrets":[120,107,118,49,255,0]}],
"cluster_issuers":["Cissuer"],"config":{"brokers":"config-canary"},
"secrets":{"password":{"kind":"String","value":"secret-canary"},"key":{"kind":"Bytes","value":[98,121,116,101,255]}},
"host_xkey_public_key":"XDFI","provider_xkey_private_key":"SXAI-canary","default_rpc_timeout_ms":2000,
"structured_logging":true,"log_level":"info",
"otel_config":{"enable_observability":true,"enable_traces":false,"enable_metrics":true,"enable_logs":false,
 "observability_endpoint":"http://o","traces_endpoint":"http://t","metrics_endpoint":"http://m",
 "logs_endpoint":"http://l",
 "protocol":"Grpc","additional_ca_paths":["/ca.pem"],"trace_level":"debug","traces_sampler":"traceidratio",
 "traces_sampler_arg":"0.5","max_batch_queue_size":2048,"concurrent_exports":4}}`

func fullData() *Data {
	yes, no, queue, exports := true, false, uint64(2048), uint64(4)
	return &Data{
		HostID: "NB3KHOST", Lattice: "reftest", ProviderKey: "kafka", InstanceID: "666a3ab3",
		LatticeURL:      "nats://127.0.0.1:14333",
		LatticeUserJWT:  settings.NewSecret("jwt-canary"),
		LatticeUserSeed: settings.NewSecret("seed-canary"),
		Links: []Link{{
			SourceID: "mycomp", Target: "kafka", Name: "default", WITNamespace: "wasmcloud", WITPackage: "messaging",
			Interfaces:    []string{"consumer"},
			SourceConfig:  map[string]string{"s": "source-canary"},
			TargetConfig:  map[string]string{"brokers": "target-canary"},
			TargetSecrets: Sealed("xkv1\xff\x00"),
		}},
		Config: map[string]string{"brokers": "config-canary"},
		Secrets: map[string]settings.Secret{
			"password": settings.NewSecret("secret-canary"),
			"key":      settings.NewSecret("byte\xff"),
		},
		HostXKeyPublic: "XDFI", ProviderXKeyPrivate: settings.NewSecret("SXAI-canary"),
		StructuredLogging: true, LogLevel: "info",
		OTel: otlp.HostConfig{
			EnableObservability: true, EnableTraces: &no, EnableMetrics: &yes, EnableLogs: &no,
			ObservabilityEndpoint: "http://o", TracesEndpoint: "http://t", MetricsEndpoint: "http://m",
			LogsEndpoint: "http://l", Protocol: "Grpc", AdditionalCAPaths: []string{"/ca.pem"}, TraceLevel: "debug",
			TracesSampler: "traceidratio", TracesSamplerArg: "0.5", MaxBatchQueueSize: &queue, ConcurrentExports: &exports,
		},
	}
}

func encode64(json string) []byte { return []byte(base64.StdEncoding.EncodeToString([]byte(json))) }

func TestEveryFieldOfAHostIsRead(t *testing.T) {
	got, err := Decode(encode64(full))
	if err != nil {
		t.Fatal(err)
	}
	// Data show nothing of what they hold, so that the fields are compared one by one.
	g, w := reflect.ValueOf(*got), reflect.ValueOf(*fullData())
	for i := range g.NumField() {
		if !reflect.DeepEqual(g.Field(i).Interface(), w.Field(i).Interface()) {
			t.Errorf("%s differs", g.Type().Field(i).Name)
		}
		if w.Field(i).IsZero() {
			t.Errorf("%s is not tested", g.Type().Field(i).Name)
		}
	}
}

func TestOddButGoodLinesAreRead(t *testing.T) {
	for name, line := range map[string][]byte{
		"an empty object":         encode64(`{}`),
		"null everywhere":         encode64(`{"host_id":null,"config":null,"secrets":null,"link_definitions":null,"otel_config":null}`),
		"unknown keys":            encode64(`{"new_in_1.10":{"a":[1]},"otel_config":{"more":1},"link_definitions":[{"extra":true}]}`),
		"white space around":      append([]byte(" \t"), append(encode64(`{}`), "\r\n "...)...),
		"a long line of base64":   encode64(`{"config":{"k":"` + strings.Repeat("x", 1<<20) + `"}}`),
		"secrets sealed as text":  encode64(`{"link_definitions":[{"source_secrets":"eGt2MQ=="}]}`),
		"a secret in empty bytes": encode64(`{"secrets":{"s":{"kind":"Bytes","value":[]}}}`),
	} {
		t.Run("it has "+name, func(t *testing.T) {
			if _, err := Decode(line); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestErrorsNameTheFieldAndNotTheValue(t *testing.T) {
	const canary = "4711"
	for _, test := range []struct{ json, wants string }{
		{`{"host_id":4711}`, `"host_id"`},
		{`{"lattice_rpc_user_seed":4711}`, `"lattice_rpc_user_seed"`},
		{`{"lattice_rpc_user_seed":["4711"]}`, `"lattice_rpc_user_seed"`},
		{`{"config":{"k":4711}}`, `"config"`},
		{`{"config":"4711"}`, `"config"`},
		{`{"secrets":{"pw":"4711"}}`, `"secrets"`},
		{`{"secrets":{"pw":{"kind":"String","value":4711}}}`, `"pw"`},
		{`{"secrets":{"pw":{"kind":"String"}}}`, `"pw"`},
		{`{"secrets":{"pw":{"kind":"String","value":null}}}`, `"pw"`},
		{`{"secrets":{"pw":{"kind":"Bytes","value":null}}}`, `"pw"`},
		{`{"secrets":{"pw":{"kind":"Bytes","value":[4711]}}}`, `"pw"`},
		{`{"secrets":{"pw":{"kind":"Bytes","value":"4711!"}}}`, `"pw"`},
		{`{"secrets":{"pw":{"kind":"4711","value":"x"}}}`, `"pw"`},
		{`{"link_definitions":[{"target_secrets":[4711]}]}`, `"link_definitions.target_secrets"`},
		{`{"link_definitions":[{"target_secrets":"4711!"}]}`, ``},
		{`{"link_definitions":[{"interfaces":"4711"}]}`, `"link_definitions.interfaces"`},
		{`{"structured_logging":"4711"}`, `"structured_logging"`},
		{`{"otel_config":{"max_batch_queue_size":-4711}}`, `"otel_config.max_batch_queue_size"`},
		{`{"otel_config":{"concurrent_exports":"4711"}}`, `"otel_config.concurrent_exports"`},
		{`"4711"`, `an object`},
		{`{"lattice_rpc_user_seed":"4711`, `no valid JSON`},
		{`4711 4711`, `no valid JSON`},
	} {
		t.Run(test.json, func(t *testing.T) {
			_, err := Decode(encode64(test.json))
			if err == nil {
				t.Fatal("no error")
			}
			if !strings.Contains(err.Error(), test.wants) {
				t.Errorf("%q does not say %s", err, test.wants)
			}
			if strings.Contains(err.Error(), canary) {
				t.Errorf("%q holds the value", err)
			}
		})
	}
	if _, err := Decode([]byte("4711!4711")); err == nil || strings.Contains(err.Error(), canary) {
		t.Errorf("bad base64 gives %v", err)
	}
}

func TestALinkWithOneBadFieldIsStillNamed(t *testing.T) {
	l, err := DecodeLink([]byte(`{"source_id":"echo","target_config":{"hosts":1},"target":"kafka","name":"n"}`))
	if err == nil || !strings.Contains(err.Error(), "target_config") {
		t.Errorf("the error is %v", err)
	}
	if l.SourceID != "echo" || l.Target != "kafka" || l.Name != "n" {
		t.Errorf("the link is %v", l)
	}
}
