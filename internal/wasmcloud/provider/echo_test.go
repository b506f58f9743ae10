package provider

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
	"github.com/messaging-kafka/messaging-kafka/internal/wasmcloud/hostdata"
)

// inEveryForm are the ways in which a server may repeat what it was sent.
func inEveryForm(secret string) []string {
	asJSON, err := json.Marshal(map[string]string{"you_said": secret})
	if err != nil {
		panic(err)
	}
	b := []byte(secret)
	return []string{
		secret, string(asJSON), url.QueryEscape(secret), url.PathEscape(secret), hex.EncodeToString(b),
		base64.StdEncoding.EncodeToString(b), base64.RawURLEncoding.EncodeToString(b),
		base64.StdEncoding.EncodeToString([]byte("user:" + secret)),
		"\x1b[31m" + secret + "\nlevel=ERROR msg=forged",
	}
}

// Servers that repeat what they were sent have it put nowhere, whatever they make of it.
func TestWhatServersRepeatIsToldWithoutSecrets(t *testing.T) {
	// Of the kinds of characters that each form writes otherwise.
	const password, clientSecret, apiKey, topic = `pass+w"ord/&<1>`, `client+s"ecret/&<2>`, "api-key-in-a-url",
		"topic-that-is-secret"
	said := func(secrets ...string) func() string {
		var texts []string
		for _, s := range secrets {
			texts = append(texts, inEveryForm(s)...)
		}
		var n atomic.Int64
		return func() string { return "refused: " + texts[int(n.Add(1))%len(texts)] + " :refused" }
	}
	brokerSays, issuerSays := said(password), said(clientSecret, apiKey)
	var asked, issued atomic.Int64
	b := &bench{t: t, nats: testkit.NATS(t, testkit.NATSOptions{})}
	b.kafka = testkit.Kfake(t, kfake.EnableSASL())
	b.kafka.ControlKey(int16(kmsg.SASLAuthenticate), func(req kmsg.Request) (kmsg.Response, error, bool) {
		b.kafka.KeepControl()
		asked.Add(1)
		resp := req.ResponseKind().(*kmsg.SASLAuthenticateResponse)
		resp.ErrorCode = kerr.SaslAuthenticationFailed.Code
		resp.ErrorMessage = new(brokerSays())
		return resp, nil, true
	})
	b.kafka.ControlKey(int16(kmsg.SASLHandshake), func(req kmsg.Request) (kmsg.Response, error, bool) {
		b.kafka.KeepControl()
		resp := req.ResponseKind().(*kmsg.SASLHandshakeResponse)
		resp.SupportedMechanisms = []string{"PLAIN", "OAUTHBEARER"}
		return resp, nil, true
	})
	issuer := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		issued.Add(1)
		w.WriteHeader(http.StatusUnauthorized)
		text, _ := json.Marshal(map[string]string{"error": "invalid_client", "error_description": issuerSays()})
		_, _ = w.Write(text)
	}))
	t.Cleanup(issuer.Close)
	b.host = testkit.NewFakeHost(t, b.nats, testkit.FakeHostOptions{ShutdownDelay: patientHost})
	echo := testkit.NewComponent(t, b.nats, testkit.ComponentOptions{})
	var log testkit.Log
	p := b.host.StartProvider(testkit.ProviderSpec{
		Run: func(ctx context.Context, stdin io.Reader) error {
			data, err := hostdata.Read(ctx, stdin)
			if err != nil {
				return err
			}
			return Run(ctx, data, Options{Logger: log.Logger(), IgnoreParent: true})
		},
		HostData: func(data map[string]any) { data["log_level"] = "trace" },
	})
	p.WaitHealthy()
	plain := testkit.TargetLink("echo", "kafka",
		b.config("", "security_protocol", "SASL_PLAINTEXT", "sasl_mechanism", "PLAIN", "sasl_username", "user",
			"publish_timeout", "1s"))
	plain.TargetSecrets = map[string]testkit.SecretValue{"sasl_password": testkit.SecretText(password),
		"topic": testkit.SecretText(topic)}
	b.host.PutLink(plain)
	tokens := testkit.TargetLink("other", "kafka",
		b.config("", "security_protocol", "SASL_PLAINTEXT", "sasl_mechanism", "OAUTHBEARER",
			"oauth_client_id", "user", "oauth_token_endpoint", issuer.URL+"/token?apikey="+url.QueryEscape(apiKey)))
	tokens.TargetSecrets = map[string]testkit.SecretValue{"oauth_client_secret": testkit.SecretText(clientSecret)}
	b.host.PutLink(tokens)

	var told []string
	tell := func(where, text string) { told = append(told, where+": "+text) }
	testkit.Eventually(t, 2*testkit.DefaultTimeout, func() error {
		health, err := p.Health(t.Context())
		if err != nil {
			return err
		}
		tell("health", health.Message)
		msg, err := b.host.Conn().Request("wasmbus.rpc.default.kafka.status", nil, testkit.DefaultTimeout)
		if err != nil {
			return err
		}
		tell("status", string(msg.Data))
		if n, m := asked.Load(), issued.Load(); n < 9 || m < 2 {
			return fmt.Errorf("the broker has been asked %d times, the issuer %d times", n, m)
		}
		return nil
	})
	if err := echo.Publish(t.Context(), testkit.Message{Subject: "out", Body: []byte("x")}); err == nil {
		t.Error("a publish went through")
	} else {
		tell("the component", err.Error())
	}
	p.Shutdown()
	tell("the log", log.String())
	all := strings.Join(told, "\n")
	if !strings.Contains(all, "refused: ") || !strings.Contains(all, "[redacted]") || !strings.Contains(all, ":refused") {
		t.Errorf("nothing of what the servers said is told: the test shows nothing\n%.3000s", all)
	}
	for _, secret := range []string{password, clientSecret, apiKey, topic} {
		for _, form := range inEveryForm(secret)[:7] {
			form = strings.Trim(strings.TrimPrefix(form, `{"you_said":`), `"}`)
			if i := strings.Index(all, form); i >= 0 {
				t.Errorf("%q is told: %q", form, all[max(0, i-300):i+len(form)])
			}
		}
	}
	for _, one := range told {
		if i := strings.Index(one, "\x1b"); i >= 0 {
			t.Errorf("a control character is told: %q", one[max(0, i-100):i+20])
		}
	}
	if strings.Contains(all, "\nlevel=ERROR msg=forged") {
		t.Error("a server has written a line of the log")
	}
}
