package kafka

import (
	"errors"
	"fmt"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
)

// explainCredentials knows the errors of getting something to authenticate with.
func explainCredentials(err error, _ situation) (Diagnosis, bool) {
	if file, ok := errors.AsType[*FileError](err); ok {
		return Diagnosis{ClassFile, file.Error()}, true
	}
	if token, ok := errors.AsType[*TokenError](err); ok {
		if file, ok := errors.AsType[*FileError](token.Err); ok {
			return Diagnosis{ClassFile, file.Error()}, true
		}
		return Diagnosis{ClassToken,
			token.Error() + ": check oauth_token_endpoint, oauth_client_id, oauth_client_secret and oauth_scope"}, true
	}
	if errors.Is(err, errNoAWSRegion) {
		return Diagnosis{ClassAWS, errNoAWSRegion.Error()}, true
	}
	if e, ok := errors.AsType[*AWSError](err); ok {
		return Diagnosis{ClassAWS,
			e.Error() + ": set aws_access_key_id and aws_secret_access_key, aws_credentials_file, or aws_role_arn with aws_web_identity_token_file, or give the machine a role (a wasmCloud host clears the environment of the provider)"}, true
	}
	return Diagnosis{}, false
}

const brokerTooOldText = "the broker is too old for what is asked of it: group_protocol=consumer needs Kafka 4.0 and group_protocol=share needs 4.2; set group_protocol=classic, or update the broker"

// createPolicyText is what a policy means that a topic to be created does not fit.
const createPolicyText = "a policy of the cluster (create.topic.policy.class.name) forbids to create the topic as create_topics asks: create it by hand, or set create_topics_partitions and create_topics_replication to what the policy takes"

// createRightsText is what a missing right means of who would create a topic.
const createRightsText = "the topic does not exist, and create_topics cannot help: the user needs the ACL Create on the topic or the cluster"

// saslAgainText is what a broker means that speaks of no SASL on a connection that was authenticated: sessions are
// authenticated anew before they end (KIP-368), and brokers take that no sooner than after a second.
const saslAgainText = "{where} did not take a new authentication of a connection that it had authenticated: a new connection is made; if this comes again and again, its sessions are too short to be renewed (connections.max.reauth.ms: make it 10 s or more), or its listener was changed to one without SASL"

// brokerAnswers says what each error code of the Kafka protocol means here. A text may use {who} and {where}.
var brokerAnswers = map[*kerr.Error]Diagnosis{
	kerr.SaslAuthenticationFailed: {ClassAuthentication,
		"{where} refused the credentials of {who}: check the user name and password (sasl_username, sasl_password, or the settings of the sasl_mechanism in use) and that the user exists for this mechanism"},
	kerr.UnsupportedSaslMechanism: {ClassSASLMechanism,
		"{where} does not offer this sasl_mechanism: set sasl_mechanism to one that its listener has enabled"},
	kerr.IllegalSaslState: {ClassSASLNotOffered,
		"{where} does not use SASL on this port: set security_protocol to PLAINTEXT or SSL, or connect to the port of a SASL listener"},
	kerr.SecurityDisabled: {ClassClusterRights, "the cluster has no authorisation switched on"},

	kerr.TopicAuthorizationFailed: {ClassTopicRights,
		"{who} is not authorised for the topic: publishing needs the ACL Write, consuming needs Read, both on the topic"},
	kerr.GroupAuthorizationFailed: {ClassGroupRights,
		"{who} is not authorised for the consumer group: it needs the ACL Read on the group (consumer_group)"},
	kerr.ClusterAuthorizationFailed: {ClassClusterRights,
		"{who} is not authorised on the cluster: an idempotent producer needs the ACL Write on a topic, and before Kafka 2.8 the ACL IdempotentWrite on the cluster; grant it, or set idempotent=false"},
	kerr.TransactionalIDAuthorizationFailed: {ClassTransactionRights,
		"{who} is not authorised for the transactional id: it needs the ACLs Write and Describe on it"},
	kerr.DelegationTokenAuthorizationFailed: {ClassAuthentication, "{who} is not authorised to use this delegation token"},

	kerr.UnknownTopicOrPartition: {ClassUnknownTopic,
		"the topic or partition does not exist, or {who} may not see it: create the topic, set create_topics, or grant the ACL Describe"},
	kerr.UnknownTopicID: {ClassUnknownTopic, "the topic was deleted, and perhaps made anew, while it was in use"},
	kerr.InvalidTopicException: {ClassInvalidTopic,
		"the topic's name is not one that Kafka allows: 1 to 249 of the characters a-z, A-Z, 0-9, '.', '_' and '-'"},
	kerr.TopicAlreadyExists: {ClassInvalidTopic, "a topic of this name exists already"},
	kerr.InvalidPartitions: {ClassInvalidTopic,
		"the number of partitions for a new topic is not allowed: check create_topics_partitions"},
	kerr.InvalidReplicationFactor: {ClassInvalidTopic,
		"the cluster has not as many brokers as a new topic is to have replicas: set create_topics_replication to fewer, or make the broker's default (default.replication.factor) fewer"},
	kerr.PolicyViolation: {ClassPolicy, "a policy of the cluster forbids it"},

	kerr.MessageTooLarge: {ClassTooLarge,
		"the record is larger than the topic allows: raise the topic's max.message.bytes, or send less"},
	kerr.RecordListTooLarge: {ClassTooLarge,
		"the batch of records is larger than the topic's segment size: lower max_message_bytes, or raise the topic's segment.bytes"},
	kerr.InvalidRecord: {ClassInvalidRecord,
		"the broker found the record invalid: a compacted topic takes no record without a key, and a topic may limit how far timestamps are off"},
	kerr.InvalidTimestamp: {ClassInvalidRecord, "the record's timestamp is further from now than the topic allows"},
	kerr.CorruptMessage:   {ClassInvalidRecord, "the broker received the record damaged"},
	kerr.UnsupportedCompressionType: {ClassBrokerTooOld,
		"the broker does not know this compression: zstd needs Kafka 2.1; set compression to another"},
	kerr.InvalidRequiredAcks: {ClassInvalidRecord, "the broker does not accept this value of acks"},

	kerr.LeaderNotAvailable: {ClassNoLeader,
		"the partition has no leader at the moment: its brokers are down or an election is going on"},
	kerr.NotLeaderForPartition: {ClassNoLeader, "the partition's leader is moving to another broker"},
	kerr.ReplicaNotAvailable:   {ClassNoLeader, "the partition's replica is not available at the moment"},
	kerr.OffsetNotAvailable:    {ClassNoLeader, "the partition's new leader is not ready yet"},
	kerr.BrokerNotAvailable:    {ClassNoLeader, "the broker is not available at the moment"},
	kerr.FencedLeaderEpoch:     {ClassNoLeader, "the partition's leader is moving to another broker"},
	kerr.UnknownLeaderEpoch:    {ClassNoLeader, "the partition's new leader is not ready yet"},
	kerr.NotEnoughReplicas: {ClassReplicas,
		"the partition has fewer in-sync replicas than the topic's min.insync.replicas: brokers are down, or acks=all cannot be met"},
	kerr.NotEnoughReplicasAfterAppend: {ClassReplicas,
		"the record was written to fewer replicas than the topic's min.insync.replicas: brokers are down"},
	kerr.KafkaStorageError: {ClassStorage, "the broker's disk failed"},
	kerr.ThrottlingQuotaExceeded: {ClassThrottled,
		"a quota of the cluster is used up: {who} sends too much, or changes topics too often"},
	kerr.RequestTimedOut: {ClassTimeout,
		"the broker did not finish in time: its replicas may be slow or down"},

	kerr.UnsupportedVersion: {ClassBrokerTooOld, brokerTooOldText},
	kerr.UnsupportedForMessageFormat: {ClassBrokerTooOld,
		"the topic's message format is too old for what is asked: headers and idempotence need Kafka 0.11 (message.format.version)"},

	kerr.FencedInstanceID: {ClassFenced,
		"another member joined the group with the same group_instance_id: give each copy its own, or leave group_instance_id out"},
	kerr.UnreleasedInstanceID: {ClassFenced,
		"a member with the same group_instance_id is still in the group: give each copy its own, or wait for session_timeout"},
	kerr.InconsistentGroupProtocol: {ClassGroupProtocol,
		"the group's members share its partitions in another way than this member: " + cooperativeText},
	kerr.GroupIDNotFound: {ClassInvalidGroup,
		"there is no such group of this kind: it was deleted, or its id is that of a group of another kind, as a share group is. Use another consumer_group, or make group_protocol the kind of the group"},
	kerr.GroupMaxSizeReached: {ClassGroupFull,
		"the group has as many members as the broker allows (group.max.size)"},
	kerr.InvalidSessionTimeout: {ClassSessionTimeout,
		"the broker does not allow this session_timeout: it must lie between its group.min.session.timeout.ms and group.max.session.timeout.ms"},
	kerr.InvalidGroupID: {ClassInvalidGroup,
		"the broker does not accept the name of the consumer group: check consumer_group"},
	kerr.CoordinatorNotAvailable:   {ClassCoordinator, "the group's coordinator is not available at the moment"},
	kerr.CoordinatorLoadInProgress: {ClassCoordinator, "the group's coordinator is still starting"},
	kerr.NotCoordinator:            {ClassCoordinator, "the group's coordinator is moving to another broker"},
	kerr.RebalanceInProgress:       {ClassCoordinator, "the group is being rebalanced"},
	kerr.IllegalGeneration:         {ClassCoordinator, "the group was rebalanced without this member"},
	kerr.UnknownMemberID: {ClassCoordinator,
		"the group no longer knows this member: it was silent for longer than session_timeout, or the group was reset"},
	kerr.FencedMemberEpoch: {ClassCoordinator,
		"the group has given this member up: it was silent for too long; it joins again"},
	kerr.StaleMemberEpoch: {ClassCoordinator, "the group is being rebalanced"},
	kerr.UnsupportedAssignor: {ClassGroupProtocol,
		"the broker does not have the assignor that the group asks for (group.consumer.assignors)"},
	kerr.InvalidShareSessionEpoch: {ClassCoordinator, "the share group's session with the broker is made anew"},
	kerr.ShareSessionNotFound:     {ClassCoordinator, "the share group's session with the broker is made anew"},
	kerr.ShareSessionLimitReached: {ClassGroupFull,
		"the broker has as many sessions of share groups as it allows (group.share.max.share.sessions)"},
	kerr.OffsetMetadataTooLarge: {ClassInvalidGroup, "the broker does not accept the metadata of the committed offset"},
	kerr.InvalidProducerEpoch: {ClassProducerFenced,
		"the broker no longer accepts this producer's sequence; the next publish starts a new one"},
	kerr.ProducerFenced: {ClassProducerFenced, "another producer has taken over the transactional id"},
	kerr.OutOfOrderSequenceNumber: {ClassProducerFenced,
		"the broker lost part of this producer's sequence; whether the record was stored is not known"},
	kerr.UnknownProducerID: {ClassProducerFenced,
		"the broker has forgotten this producer; the next publish starts a new sequence"},
	kerr.InvalidProducerIDMapping: {ClassProducerFenced,
		"the broker has forgotten this producer; the next publish starts a new sequence"},
	kerr.UnsupportedEndpointType: {ClassBrokerTooOld,
		"the address is that of a controller, not of a broker: check hosts"},
	kerr.MismatchedEndpointType: {ClassRefused, "the address is that of a controller, not of a broker: check hosts"},
}

func explainBroker(err error, in situation) (Diagnosis, bool) {
	if throttled, ok := errors.AsType[*ThrottleError](err); ok {
		return Diagnosis{ClassThrottled,
			fmt.Sprintf("a quota of the cluster is used up: %s holds %s back, last for %s; raise the quota (producer_byte_rate, consumer_byte_rate or request_percentage of the user or of client_id), or send less",
				throttled.Addr, in.who(), throttled.Wait)}, true
	}
	var answer *kerr.Error
	if !errors.As(err, &answer) {
		return Diagnosis{}, false
	}
	words := wordsOf(err, answer)
	d, ok := brokerAnswers[answer]
	_, creating := errors.AsType[*CreateError](err)
	mismatch, mismatched := errors.AsType[*GroupMismatchError](err)
	switch {
	case !ok:
		d = Diagnosis{ClassOther, fmt.Sprintf("%s answered %s: %s", in.place(addressOf(err)), answer.Message,
			answer.Description)}
		d.Text = in.saying(d.Text, words)
		return d, true
	case creating && d.Class == ClassPolicy:
		d.Text = createPolicyText
	case creating && (d.Class == ClassTopicRights || d.Class == ClassClusterRights):
		d.Text = createRightsText
	case mismatched:
		d.Text = mismatch.text()
	case d.Class == ClassSASLNotOffered && in.worked != nil && in.worked(addressOf(err)):
		d = Diagnosis{ClassClosed, saslAgainText}
	}
	d.Text = strings.NewReplacer("{who}", in.who(), "{where}", in.place(addressOf(err))).Replace(d.Text)
	if in.mechanism != "" && (d.Class == ClassAuthentication || d.Class == ClassSASLMechanism) {
		d.Text += fmt.Sprintf(" (sasl_mechanism is %s)", in.mechanism)
	}
	d.Text = in.saying(d.Text, words)
	return d, true
}

// addressOf finds the broker's address in an error, "" where it has none.
func addressOf(err error) string {
	if dial, ok := errors.AsType[*DialError](err); ok {
		return dial.Addr
	}
	if broker, ok := errors.AsType[*BrokerError](err); ok {
		return broker.Addr
	}
	return ""
}
