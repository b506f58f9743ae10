// Package security tests the whole provider, as a process of its own, on an Apache Kafka with every kind of listener:
// encryption, authentication, rights, rotation of credentials, and the words for what can go wrong. Whatever the
// provider says in the whole run is searched for the secrets that were used.
package security

import (
	"sync"
	"testing"

	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
	"github.com/messaging-kafka/messaging-kafka/test/ledger"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// run has every secret that is used in the whole run of the tests, and everything that is said.
var run ledger.Secrets

// watching has what was said searched after the last test, once.
var watching sync.Once

func TestApacheKafka44(t *testing.T) { onApacheKafka(t, testkit.Kafka4) }

func TestApacheKafka39(t *testing.T) { onApacheKafka(t, testkit.Kafka3) }

// onApacheKafka runs all tests on one broker that has every kind of listener.
func onApacheKafka(t *testing.T, version string) {
	if testing.Short() {
		t.Skip("starting Apache Kafka takes long")
	}
	c := startCluster(t, version)
	t.Run("every protocol and mechanism carries records", func(t *testing.T) { everyProtocol(t, c) })
	t.Run("hosts are taken in every form", func(t *testing.T) { everyFormOfHosts(t, c) })
	t.Run("defaults of the provider spare links their cluster", func(t *testing.T) { providerDefaults(t, c) })
	t.Run("failures are named, with the setting that mends them", func(t *testing.T) { everyFailure(t, c) })
	t.Run("failures of publishing are named", func(t *testing.T) { everyPublishFailure(t, c) })
	t.Run("rights", func(t *testing.T) { rights(t, c) })
	if version == testkit.Kafka4 {
		t.Run("health follows", func(t *testing.T) { healthFollows(t, c) })
	}
	// What takes its time does so beside the others.
	t.Run("under load", func(t *testing.T) {
		t.Run("a SCRAM password is changed", func(t *testing.T) { t.Parallel(); passwordRotation(t, c) })
		t.Run("client certificates are changed", func(t *testing.T) { t.Parallel(); certificateRotation(t, c) })
		t.Run("OAUTHBEARER tokens end", func(t *testing.T) { t.Parallel(); tokensThatEnd(t, c) })
	})
}
