package kafka

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	kaws "github.com/twmb/franz-go/pkg/sasl/aws"

	"github.com/messaging-kafka/messaging-kafka/internal/settings"
)

// issuer is a token endpoint whose tokens are numbered and live for a given time.
type issuer struct {
	server  *httptest.Server
	asked   atomic.Int32
	life    time.Duration
	refuses bool
	scope   atomic.Value
}

func startIssuer(t *testing.T, life time.Duration, overTLS bool) *issuer {
	t.Helper()
	i := &issuer{life: life}
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		id, secret, _ := r.BasicAuth()
		if i.refuses || id != "client" || secret != "client-secret" {
			w.WriteHeader(http.StatusUnauthorized)
			fmt.Fprintf(w, `{"error":"invalid_client","error_description":"no such client","echo":%q}`, secret)
			return
		}
		i.scope.Store(r.FormValue("scope"))
		n := i.asked.Add(1)
		fmt.Fprintf(w, `{"access_token":"token-%d","token_type":"Bearer","expires_in":%d}`, n, int(i.life.Seconds()))
	})
	if overTLS {
		i.server = httptest.NewTLSServer(handler)
	} else {
		i.server = httptest.NewServer(handler)
	}
	t.Cleanup(i.server.Close)
	return i
}

func (i *issuer) security() settings.Security {
	return settings.Security{
		Protocol: settings.SASLPlaintext, Mechanism: settings.OAuthBearer, OAuthTokenEndpoint: i.server.URL,
		OAuthClientID: "client", OAuthClientSecret: settings.NewSecret("client-secret"),
		OAuthScope: []string{"kafka", "write"}, OAuthExtensions: map[string]string{"logicalCluster": "lkc-1"},
	}
}

// first returns the first message of an authentication.
func first(t *testing.T, access *Access) (string, error) {
	t.Helper()
	_, message, err := liveMechanism{access}.Authenticate(t.Context(), "broker:9092")
	return string(message), err
}

func TestOAuthTokens(t *testing.T) {
	t.Parallel()
	issuer := startIssuer(t, time.Hour, false)
	access := newAccess(t, clusterAt(issuer.security(), "127.0.0.1:1"))
	for range 3 {
		message, err := first(t, access)
		if err != nil {
			t.Fatal(err)
		}
		if want := "n,,\x01auth=Bearer token-1\x01logicalCluster=lkc-1\x01\x01"; message != want {
			t.Errorf("got %q, want %q", message, want)
		}
	}
	if n := issuer.asked.Load(); n != 1 {
		t.Errorf("a token of an hour was asked for %d times by 3 authentications", n)
	}
	if got := issuer.scope.Load(); got != "kafka write" {
		t.Errorf("the scope was %q", got)
	}
	// In the last quarter of its life a token is not used any more.
	source := access.state.Load().oauth
	source.mu.Lock()
	left := time.Until(source.renewAt)
	source.renewAt = time.Now()
	source.mu.Unlock()
	if left > 45*time.Minute || left < 44*time.Minute {
		t.Errorf("a token of an hour is renewed after %s", left)
	}
	if message, err := first(t, access); err != nil || !strings.Contains(message, "token-2") {
		t.Errorf("got %q and %v, want a new token", message, err)
	}
}

func TestATokenEndpointIsReachedAsKafkaIs(t *testing.T) {
	t.Parallel()
	issuer := startIssuer(t, time.Hour, false)
	security := issuer.security()
	security.OAuthTokenEndpoint = "http://127.0.0.1:1/token"
	access := newAccess(t, clusterAt(security, "127.0.0.1:1"))
	access.ConnectBy(func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, issuer.server.Listener.Addr().String())
	})
	if message, err := first(t, access); err != nil || !strings.Contains(message, "token-1") {
		t.Errorf("got %q and %v, want a token by the connector", message, err)
	}
}

func TestOAuthFailuresAreNamedWithoutTheSecret(t *testing.T) {
	t.Parallel()
	refusing := startIssuer(t, time.Hour, false)
	refusing.refuses = true
	closed := refusing.security()
	closed.OAuthTokenEndpoint = "http://" + closedPort(t) + "/token"
	for name, security := range map[string]settings.Security{"refused": refusing.security(), "closed port": closed} {
		access := newAccess(t, clusterAt(security, "127.0.0.1:1"))
		_, err := first(t, access)
		if err == nil {
			t.Fatalf("%s: no error", name)
		}
		got := access.Explain(err)
		if got.Class != ClassToken || !strings.Contains(got.Text, "oauth_token_endpoint") ||
			!strings.Contains(got.Text, security.OAuthTokenEndpoint) {
			t.Errorf("%s: got %+v", name, got)
		}
		if strings.Contains(got.Text+err.Error(), "client-secret") {
			t.Errorf("%s: the secret is shown: %s", name, got.Text)
		}
	}
	if _, err := first(t, newAccess(t, clusterAt(refusing.security(), "127.0.0.1:1"))); !strings.Contains(err.Error(),
		"invalid_client: no such client") {
		t.Errorf("the endpoint's reason is missing: %v", err)
	}
}

func TestOAuthEndpointMayBeUnderTheGivenAuthority(t *testing.T) {
	t.Parallel()
	issuer := startIssuer(t, time.Hour, true)
	security := issuer.security()
	if _, err := first(t, newAccess(t, clusterAt(security, "127.0.0.1:1"))); err == nil {
		t.Fatal("an endpoint of an unknown authority was trusted")
	}
	security.TLSCA = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: issuer.server.Certificate().Raw}))
	if _, err := first(t, newAccess(t, clusterAt(security, "127.0.0.1:1"))); err != nil {
		t.Fatal(err)
	}
}

// TestAWSPayloadIsWhatFranzGoSends compares with an independent implementation of the mechanism.
func TestAWSPayloadIsWhatFranzGoSends(t *testing.T) {
	t.Parallel()
	const host = "b-1.demo.abcde.c2.kafka.eu-west-1.amazonaws.com"
	security := settings.Security{
		Protocol: settings.SASLTLS, Mechanism: settings.AWSMSKIAM, AWSAccessKeyID: "AKID",
		AWSSecretAccessKey: settings.NewSecret("secret/key+"), AWSSessionToken: settings.NewSecret("session/token+="),
	}
	access := newAccess(t, clusterAt(security, "127.0.0.1:1"))
	var ours, theirs map[string]string
	for try := 0; ; try++ {
		_, got, err := liveMechanism{access}.Authenticate(t.Context(), host+":9098")
		if err != nil {
			t.Fatal(err)
		}
		_, want, err := kaws.Auth{
			AccessKey: "AKID", SecretKey: "secret/key+", SessionToken: "session/token+=",
			UserAgent: softwareName + "/" + softwareVersion(),
		}.AsManagedStreamingIAMMechanism().Authenticate(t.Context(), host+":9098")
		if err != nil {
			t.Fatal(err)
		}
		ours, theirs = map[string]string{}, map[string]string{}
		if err := json.Unmarshal(got, &ours); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(want, &theirs); err != nil {
			t.Fatal(err)
		}
		// Both read the clock, whose second may have turned in between.
		if ours["x-amz-date"] == theirs["x-amz-date"] || try == 10 {
			break
		}
	}
	if !reflect.DeepEqual(ours, theirs) {
		t.Errorf("got  %v\nwant %v", ours, theirs)
	}
}

func TestAWSRegion(t *testing.T) {
	t.Parallel()
	for host, want := range map[string]string{
		"b-1.demo.abcde.c2.kafka.eu-west-1.amazonaws.com":        "eu-west-1",
		"b-1.demo.abcde.c2.kafka.us-gov-west-1.amazonaws.com":    "us-gov-west-1",
		"b-1.demo.abcde.c2.kafka.cn-north-1.amazonaws.com.cn":    "cn-north-1",
		"boot-abcde.c1.kafka-serverless.us-east-1.amazonaws.com": "us-east-1",
		"broker.example.org": "",
		"127.0.0.1":          "",
	} {
		if got := regionOf(host); got != want {
			t.Errorf("%s: got %q, want %q", host, got, want)
		}
	}
	source := newAWSSource(settings.Security{AWSRegion: "eu-north-1", AWSAccessKeyID: "AKID",
		AWSSecretAccessKey: settings.NewSecret("s")}, time.Second)
	creds, region, err := source.signingInput(t.Context(), "broker.example.org")
	if err != nil || region != "eu-north-1" || creds.AccessKeyID != "AKID" {
		t.Errorf("got %q, %q, %v", creds.AccessKeyID, region, err)
	}
	// Neither the settings nor the name nor the environment tell the region.
	source.region, source.loaded = "", &aws.Config{}
	if _, _, err := source.signingInput(t.Context(), "broker.example.org"); err == nil ||
		!strings.Contains(err.Error(), "aws_region") {
		t.Errorf("got %v", err)
	}
}
