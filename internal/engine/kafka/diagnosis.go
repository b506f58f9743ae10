package kafka

import (
	"strings"

	"github.com/messaging-kafka/messaging-kafka/internal/base/redact"
	"github.com/messaging-kafka/messaging-kafka/internal/settings"
)

// Class is the kind of an error, out of a closed list that can label a metric.
type Class string

// The classes of errors that [Explain] tells apart.
const (
	ClassNone Class = "none" // no error

	// Reaching a broker.
	ClassDNS        Class = "dns"
	ClassRefused    Class = "refused"
	ClassTimeout    Class = "timeout"
	ClassNetwork    Class = "network"
	ClassAdvertised Class = "advertised_listener"
	ClassClosed     Class = "connection_closed"

	// Encryption.
	ClassTLSToPlaintext Class = "tls_to_plaintext_port"
	ClassPlaintextToTLS Class = "plaintext_to_tls_port"
	ClassTLSServerName  Class = "tls_server_name"
	ClassTLSUnknownCA   Class = "tls_unknown_ca"
	ClassTLSExpired     Class = "tls_expired"
	ClassTLSClientCert  Class = "tls_client_certificate"
	ClassTLSOther       Class = "tls_other"

	// Files that settings name.
	ClassFile Class = "file"

	// Authentication.
	ClassSASLNeeded     Class = "sasl_needed"
	ClassSASLNotOffered Class = "sasl_not_offered"
	ClassSASLMechanism  Class = "sasl_mechanism"
	ClassAuthentication Class = "authentication"
	ClassToken          Class = "oauth_token"
	ClassAWS            Class = "aws_credentials"

	// Rights.
	ClassTopicRights       Class = "topic_not_authorised"
	ClassGroupRights       Class = "group_not_authorised"
	ClassClusterRights     Class = "cluster_not_authorised"
	ClassTransactionRights Class = "transactional_id_not_authorised"

	// Topics and records.
	ClassUnknownTopic  Class = "unknown_topic"
	ClassInvalidTopic  Class = "invalid_topic"
	ClassTooLarge      Class = "too_large"
	ClassInvalidRecord Class = "invalid_record"
	ClassDamagedBatch  Class = "damaged_batch"
	ClassPolicy        Class = "policy"
	ClassNoLeader      Class = "no_leader"
	ClassReplicas      Class = "not_enough_replicas"
	ClassThrottled     Class = "throttled"
	ClassStorage       Class = "broker_storage"

	// Versions and groups.
	ClassBrokerTooOld   Class = "broker_too_old"
	ClassFenced         Class = "group_instance_fenced"
	ClassGroupProtocol  Class = "group_protocol"
	ClassGroupFull      Class = "group_full"
	ClassSessionTimeout Class = "session_timeout"
	ClassInvalidGroup   Class = "invalid_group"
	ClassCoordinator    Class = "coordinator"
	ClassProducerFenced Class = "producer_fenced"

	ClassShutDown Class = "shut_down"
	ClassOther    Class = "other"
)

// Diagnosis is what an error means.
type Diagnosis struct {
	Class Class
	// Text says in one line what is wrong and, where settings can mend it, which. It holds no secret.
	Text string
}

// situation is what is known about the client besides the error.
type situation struct {
	known     bool // the other fields are filled in
	seeds     []string
	protocol  settings.Protocol
	mechanism settings.Mechanism
	user      string
	hasCert   bool
	// secrets are taken out of what brokers say; nil knows none.
	secrets *redact.Redactor
	// worked tells whether a connection to an address, or to any where that is "", was made and authenticated; nil is no.
	worked func(addr string) bool
}

// who names the client as brokers know it.
func (s situation) who() string {
	switch {
	case s.user != "":
		return `the user "` + s.user + `"`
	case s.known && s.protocol.UsesTLS() && s.hasCert:
		return "the user of the client certificate"
	case s.known && !s.protocol.UsesSASL():
		return "the anonymous user (security_protocol is " + string(s.protocol) + ")"
	default:
		return "this user"
	}
}

// place names the broker where the error does not.
func (s situation) place(addr string) string {
	switch {
	case addr != "":
		return addr
	case len(s.seeds) > 0:
		return "the Kafka at " + strings.Join(s.seeds, ", ")
	default:
		return "the Kafka broker"
	}
}

// Explain names the cause of an error from Kafka, or from the way to it, and the setting that mends it. An error
// that it does not know keeps its own text. [Access.Explain] knows more and is to be preferred.
func Explain(err error) Diagnosis { return explain(err, situation{}) }

func explain(err error, in situation) Diagnosis {
	if err == nil {
		return Diagnosis{Class: ClassNone}
	}
	// The broker's own words are the most exact; what the network says is the least.
	for _, explainer := range []func(error, situation) (Diagnosis, bool){
		explainCredentials, explainBatch, explainBroker, explainTLS, explainNetwork, explainClient,
	} {
		if d, ok := explainer(err, in); ok {
			return d
		}
	}
	return Diagnosis{Class: ClassOther, Text: err.Error()}
}
