package kafka

import (
	"context"
	"crypto/tls"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/messaging-kafka/messaging-kafka/internal/settings"
)

func TestTheWayToABrokerStepByStep(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t, "test CA")
	cert, key := ca.issue(soon(), 5, "client")
	_, addr := startKafka(t, kfake.TLS(ca.server(soon(), "127.0.0.1")))
	access := newAccess(t, clusterAt(settings.Security{
		Protocol: settings.TLS, TLSCA: ca.pem, TLSCert: cert, TLSKey: settings.NewSecret(key)}, addr))

	ips, err := access.Resolve(t.Context(), addr)
	if want := []netip.Addr{netip.MustParseAddr("127.0.0.1")}; err != nil || !slices.Equal(ips, want) {
		t.Errorf("resolved to %v, %v", ips, err)
	}
	conn, err := access.Connect(t.Context(), addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	state, err := access.Secure(t.Context(), conn, addr)
	if err != nil {
		t.Fatal(err)
	}
	if state.Version != tls.VersionTLS13 || !state.PeerCertificates[0].NotAfter.Before(soon().Add(time.Second)) {
		t.Errorf("the connection is %+v", state)
	}
	if own, err := access.ClientCertificate(); err != nil || own.Subject.CommonName != "client" {
		t.Errorf("own certificate %v, %v", own, err)
	}

	if _, err := access.Resolve(t.Context(), "broker.invalid:9092"); access.Explain(err).Class != ClassDNS &&
		access.Explain(err).Class != ClassAdvertised {
		t.Errorf("a name that does not exist: %v", err)
	}
	if _, err := access.Connect(t.Context(), closedPort(t)); err == nil {
		t.Error("connected to a closed port")
	}
}

func TestAQuotaExplainsWhatTookTooLong(t *testing.T) {
	t.Parallel()
	access := newAccess(t, clusterAt(settings.Security{Protocol: settings.Plaintext}, "127.0.0.1:9092"))
	if d := access.Explain(context.DeadlineExceeded); d.Class != ClassTimeout {
		t.Errorf("without a quota: %+v", d)
	}
	access.health.OnBrokerThrottle(kgo.BrokerMetadata{Host: "10.0.0.1", Port: 9092}, 3*time.Second, true)
	d := access.Explain(context.DeadlineExceeded)
	if d.Class != ClassThrottled || !strings.Contains(d.Text, "10.0.0.1:9092") || !strings.Contains(d.Text, "3s") ||
		!strings.Contains(d.Text, "producer_byte_rate") {
		t.Errorf("with a quota: %+v", d)
	}
	if err := access.health.throttled(time.Now().Add(2 * throttleMemory)); err != nil {
		t.Errorf("remembered for ever: %v", err)
	}
}
