package provider

import (
	"net"
	"testing"

	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

// TestTheProvidersPasswordDoesNotReachALinksBroker has a link name a broker of its own, which speaks neither TLS nor
// SCRAM.
func TestTheProvidersPasswordDoesNotReachALinksBroker(t *testing.T) {
	b := newBench(t)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	came := make(chan string, 16)
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				close(came)
				return
			}
			came <- conn.RemoteAddr().String()
			_ = conn.Close()
		}
	}()
	testkit.NewComponent(t, b.nats, testkit.ComponentOptions{})
	p := b.host.StartProvider(testkit.ProviderSpec{
		Run: inProcess(t),
		Config: map[string]string{"hosts": "kafka.example.com:9093", "security_protocol": "SASL_SSL",
			"sasl_mechanism": "SCRAM-SHA-512", "sasl_username": "operator"},
		Secrets: map[string]testkit.SecretValue{"sasl_password": testkit.SecretText("hush-hush")},
	})
	p.WaitHealthy()
	l := testkit.TargetLink("echo", "kafka", map[string]string{
		"hosts": listener.Addr().String(), "security_protocol": "SASL_PLAINTEXT", "sasl_mechanism": "PLAIN", "topic": "in",
	})
	b.host.PutLink(l)
	p.WaitUnhealthy("sasl_password of the provider's own config")
	b.host.DeleteLink(l)
	p.WaitHealthy()
	_ = listener.Close()
	for from := range came {
		t.Errorf("a connection came from %s", from)
	}
}
