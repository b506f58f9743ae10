package kafka

import (
	"crypto/sha256"
	"encoding/json"

	"github.com/messaging-kafka/messaging-kafka/internal/settings"
)

// ClusterKey is the identity by which links share one connection to Kafka: equal keys mean the same cluster, reached
// as the same user in the same way, with the same producer settings. It is comparable and holds no secret.
type ClusterKey [sha256.Size]byte

// NewClusterKey returns the identity of a client with these settings.
func NewClusterKey(cluster settings.Cluster, producer settings.ProducerClient) ClusterKey {
	secrets := secretsOf(cluster.Security)
	cluster.Security.Registry = settings.RegistryAuth{} // which brokers never see
	// Secrets marshal as a placeholder, so their texts come beside the settings; JSON keeps the borders between
	// values, which plain concatenation would lose.
	hash := sha256.New()
	if err := json.NewEncoder(hash).Encode(struct {
		Cluster  settings.Cluster
		Producer settings.ProducerClient
		Secrets  []string
	}{cluster, producer, secrets}); err != nil {
		// Strings, numbers and maps of strings cannot fail to marshal.
		panic("kafka: marshalling settings: " + err.Error())
	}
	return ClusterKey(hash.Sum(nil))
}

// secretsOf are those that a client authenticates with.
func secretsOf(s settings.Security) []string {
	return []string{
		s.Password.Reveal(), s.TLSKey.Reveal(), s.TLSKeyPassword.Reveal(), s.OAuthClientSecret.Reveal(),
		s.AWSSecretAccessKey.Reveal(), s.AWSSessionToken.Reveal(),
	}
}
