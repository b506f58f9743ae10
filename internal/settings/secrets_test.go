package settings

import (
	"slices"
	"testing"
)

func TestWhatMustNotBeShown(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		config  config
		secrets map[string]Secret
		want    []string
		never   []string
	}{
		"passwords, with and without the line break of their file": {secrets: secrets("sasl_password", "pass word\n"), want: []string{"pass word"}},
		"what is no setting":         {secrets: secrets("whatever", "x1"), want: []string{"x1"}},
		"passwords in plain config":  {config: config{"sasl.password": "p1"}, want: []string{"p1"}},
		"hosts, and each of them":    {secrets: secrets("hosts", "a.internal:9092, b.internal:9093"), want: []string{"a.internal:9092", "a.internal", "b.internal:9093", "b.internal"}},
		"a topic":                    {secrets: secrets("topic", "orders,audit"), want: []string{"orders", "audit", "orders,audit"}},
		"words and numbers are none": {secrets: secrets("security_protocol", "SASL_SSL", "max_in_flight", "8", "handle_timeout", "5m", "idempotent", "true"), never: []string{"SASL_SSL", "8", "5m", "true"}},
		"keys in endpoints that are secrets": {secrets: secrets("oauth_token_endpoint",
			"https://u:pw@login.example/t?apikey=k-1&tenant=shop"),
			want: []string{"k-1", "pw", "shop", "login.example", "https://u:pw@login.example/t?apikey=k-1&tenant=shop"}},
		"keys in endpoints in plain config": {config: config{"oauth_token_endpoint": "https://tok@login.example/t?apikey=k-1&tenant=shop&x=0123456789abcdef0"},
			want: []string{"k-1", "tok", "0123456789abcdef0"}, never: []string{"shop", "login.example"}},
		"headers for collectors": {config: config{"OTEL_EXPORTER_OTLP_HEADERS": "authorization=Basic%20abcd, x-key=k2"},
			secrets: secrets("otel_exporter_otlp_traces_headers", "a=Bearer t0k"),
			want:    []string{"Basic abcd", "abcd", "k2", "t0k"}},
		"names of topics in plain config": {config: config{"topic": "orders", "hosts": "kafka:9092"}, never: []string{"orders", "kafka", "kafka:9092"}},
	} {
		t.Run(name, func(t *testing.T) {
			got := SecretValues(c.config, c.secrets)
			for _, w := range c.want {
				if !slices.Contains(got, w) {
					t.Errorf("%q is not among %q", w, got)
				}
			}
			for _, n := range append(c.never, "") {
				if slices.Contains(got, n) {
					t.Errorf("%q is among %q", n, got)
				}
			}
		})
	}
}
