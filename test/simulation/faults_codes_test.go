package simulation

import (
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// code is an error that a broker may answer a request with.
type code struct {
	err *kerr.Error
	// top tells that it is the answer's own, and not that of a topic, partition or member in it.
	top bool
	// refused tells that it may come in place of the work, done that it may come although the work is done. Of requests
	// that change nothing the two are the same, and refused stands for both.
	refused, done bool
}

// codes is a list of errors that a broker answers in one way.
type codes []code

func refused(errs ...*kerr.Error) (list codes) {
	for _, err := range errs {
		list = append(list, code{err: err, refused: true})
	}
	return list
}

// either are errors that come in place of the work as well as after it: its end was not known when the broker lost its
// part in it.
func either(errs ...*kerr.Error) (list codes) {
	for _, err := range errs {
		list = append(list, code{err: err, refused: true, done: true})
	}
	return list
}

func done(errs ...*kerr.Error) (list codes) {
	for _, err := range errs {
		list = append(list, code{err: err, done: true})
	}
	return list
}

// ofTheWhole has the errors be the answer's own.
func (list codes) ofTheWhole() codes {
	for i := range list {
		list[i].top = true
	}
	return list
}

func (list codes) and(more ...codes) codes { return slices.Concat(append([]codes{list}, more...)...) }

var (
	moved   = []*kerr.Error{kerr.NotCoordinator, kerr.CoordinatorNotAvailable}
	moving  = append(moved[:2:2], kerr.CoordinatorLoadInProgress)
	leading = []*kerr.Error{kerr.NotLeaderForPartition, kerr.FencedLeaderEpoch, kerr.UnknownLeaderEpoch,
		kerr.KafkaStorageError}
	absent   = []*kerr.Error{kerr.UnknownTopicOrPartition, kerr.TopicAuthorizationFailed}
	noGroup  = []*kerr.Error{kerr.GroupAuthorizationFailed, kerr.InvalidGroupID}
	noMember = []*kerr.Error{kerr.UnknownMemberID, kerr.IllegalGeneration, kerr.RebalanceInProgress,
		kerr.FencedInstanceID}
	producer = []*kerr.Error{kerr.InvalidProducerEpoch, kerr.ProducerFenced, kerr.InvalidProducerIDMapping,
		kerr.InvalidTxnState,
		kerr.TransactionalIDAuthorizationFailed, kerr.TransactionAbortable, kerr.TransactionCoordinatorFenced}
	unknown = []*kerr.Error{kerr.UnknownServerError}
)

// answerable are the errors that a broker may give to each request that the engine makes, by Kafka's guide to its
// protocol and by what its brokers do: those that pass and the others. What a request of the engine is answered with
// must be among them, and each of them must have been answered once (coverage).
var answerable = map[kmsg.Key]codes{
	kmsg.ApiVersions: refused(kerr.UnsupportedVersion, kerr.InvalidRequest, kerr.UnknownServerError).ofTheWhole(),
	kmsg.Metadata: refused(kerr.LeaderNotAvailable, kerr.UnknownTopicOrPartition, kerr.TopicAuthorizationFailed,
		kerr.InvalidTopicException,
		kerr.UnknownTopicID, kerr.ReplicaNotAvailable, kerr.ListenerNotFound, kerr.UnknownServerError),
	kmsg.SASLHandshake: refused(kerr.UnsupportedSaslMechanism, kerr.IllegalSaslState).ofTheWhole(),
	kmsg.SASLAuthenticate: refused(kerr.SaslAuthenticationFailed, kerr.UnsupportedSaslMechanism,
		kerr.IllegalSaslState).ofTheWhole(),
	kmsg.FindCoordinator: refused(kerr.CoordinatorNotAvailable, kerr.CoordinatorLoadInProgress,
		kerr.GroupAuthorizationFailed,
		kerr.TransactionalIDAuthorizationFailed, kerr.InvalidRequest, kerr.UnknownServerError),

	kmsg.Fetch: refused(leading...).and(refused(absent...), refused(unknown...), refused(kerr.OffsetOutOfRange,
		kerr.CorruptMessage,
		kerr.ReplicaNotAvailable, kerr.OffsetNotAvailable, kerr.UnknownTopicID, kerr.InconsistentTopicID,
		kerr.UnsupportedCompressionType,
		kerr.OffsetMovedToTieredStorage),
		refused(kerr.FetchSessionIDNotFound, kerr.InvalidFetchSessionEpoch, kerr.FetchSessionTopicIDError,
			kerr.UnknownTopicID, kerr.InconsistentTopicID,
			kerr.UnknownServerError).ofTheWhole()),
	kmsg.ListOffsets: refused(leading...).and(refused(absent...), refused(unknown...),
		refused(kerr.LeaderNotAvailable, kerr.ReplicaNotAvailable,
			kerr.OffsetNotAvailable, kerr.UnsupportedForMessageFormat, kerr.RequestTimedOut)),
	kmsg.OffsetForLeaderEpoch: refused(leading...).and(refused(absent...), refused(unknown...),
		refused(kerr.ReplicaNotAvailable, kerr.OffsetNotAvailable)),

	kmsg.OffsetFetch: refused(moving...).and(refused(noGroup...), refused(unknown...), refused(kerr.UnknownMemberID,
		kerr.StaleMemberEpoch,
		kerr.GroupIDNotFound)).ofTheWhole().and(refused(absent...), refused(kerr.UnstableOffsetCommit,
		kerr.UnknownTopicID)),
	kmsg.OffsetCommit: either(moved...).and(refused(kerr.CoordinatorLoadInProgress), refused(noMember...),
		refused(noGroup...), refused(absent...),
		refused(kerr.StaleMemberEpoch, kerr.FencedMemberEpoch, kerr.GroupIDNotFound, kerr.OffsetMetadataTooLarge,
			kerr.InvalidCommitOffsetSize, kerr.UnknownTopicID),
		either(kerr.RequestTimedOut, kerr.UnknownServerError)),

	kmsg.JoinGroup: either(moved...).and(refused(kerr.CoordinatorLoadInProgress), refused(noGroup...),
		refused(kerr.UnknownMemberID, kerr.FencedInstanceID,
			kerr.InconsistentGroupProtocol, kerr.InvalidSessionTimeout, kerr.GroupMaxSizeReached, kerr.MemberIDRequired,
			kerr.RebalanceInProgress),
		either(kerr.UnknownServerError)).ofTheWhole(),
	kmsg.SyncGroup: either(moved...).and(refused(kerr.CoordinatorLoadInProgress), refused(noMember...),
		refused(noGroup...),
		refused(kerr.InconsistentGroupProtocol), either(kerr.UnknownServerError)).ofTheWhole(),
	kmsg.Heartbeat: refused(moving...).and(refused(noMember...), refused(noGroup...), refused(unknown...)).ofTheWhole(),
	kmsg.LeaveGroup: either(moved...).and(refused(kerr.CoordinatorLoadInProgress), refused(noGroup...),
		either(kerr.UnknownServerError)).ofTheWhole().
		and(refused(kerr.UnknownMemberID, kerr.FencedInstanceID, kerr.GroupIDNotFound)),
	kmsg.ConsumerGroupHeartbeat: either(moved...).and(refused(kerr.CoordinatorLoadInProgress), refused(noGroup...),
		refused(kerr.UnknownMemberID,
			kerr.FencedMemberEpoch, kerr.UnsupportedAssignor, kerr.UnreleasedInstanceID, kerr.FencedInstanceID,
			kerr.GroupMaxSizeReached,
			kerr.InvalidRequest, kerr.InvalidRegularExpression, kerr.TopicAuthorizationFailed, kerr.GroupIDNotFound),
		either(kerr.UnknownServerError)).ofTheWhole(),
	kmsg.DescribeGroups: refused(moving...).and(refused(noGroup...), refused(unknown...),
		refused(kerr.GroupIDNotFound)),
	kmsg.ConsumerGroupDescribe: refused(moving...).and(refused(noGroup...), refused(unknown...),
		refused(kerr.GroupIDNotFound,
			kerr.TopicAuthorizationFailed, kerr.InvalidRequest)),

	kmsg.Produce: either(kerr.NotLeaderForPartition, kerr.KafkaStorageError, kerr.UnknownTopicOrPartition,
		kerr.UnknownServerError).and(
		done(kerr.NotEnoughReplicasAfterAppend, kerr.RequestTimedOut, kerr.DuplicateSequenceNumber),
		refused(kerr.TopicAuthorizationFailed, kerr.NotEnoughReplicas, kerr.CorruptMessage, kerr.MessageTooLarge,
			kerr.RecordListTooLarge,
			kerr.InvalidTopicException, kerr.InvalidRequiredAcks, kerr.InvalidTimestamp, kerr.InvalidRecord,
			kerr.UnsupportedForMessageFormat,
			kerr.UnsupportedCompressionType, kerr.UnknownTopicID, kerr.PolicyViolation, kerr.ThrottlingQuotaExceeded,
			kerr.ClusterAuthorizationFailed,
			kerr.OutOfOrderSequenceNumber, kerr.UnknownProducerID, kerr.ConcurrentTransactions),
		refused(producer...)),
	kmsg.InitProducerID: either(moved...).and(refused(kerr.CoordinatorLoadInProgress, kerr.ConcurrentTransactions,
		kerr.ClusterAuthorizationFailed,
		kerr.InvalidTransactionTimeout, kerr.InvalidProducerEpoch, kerr.ProducerFenced, kerr.InvalidProducerIDMapping,
		kerr.TransactionalIDAuthorizationFailed, kerr.TransactionAbortable), either(kerr.RequestTimedOut,
		kerr.UnknownServerError)).ofTheWhole(),
	kmsg.AddPartitionsToTxn: either(moved...).and(refused(kerr.CoordinatorLoadInProgress, kerr.ConcurrentTransactions,
		kerr.OperationNotAttempted),
		refused(absent...), refused(producer...), either(kerr.UnknownServerError)),
	kmsg.AddOffsetsToTxn: either(moved...).and(refused(kerr.CoordinatorLoadInProgress, kerr.ConcurrentTransactions),
		refused(noGroup...),
		refused(producer...), either(kerr.UnknownServerError)).ofTheWhole(),
	kmsg.TxnOffsetCommit: either(moved...).and(refused(kerr.CoordinatorLoadInProgress), refused(noMember...),
		refused(noGroup...), refused(absent...),
		refused(producer...), refused(kerr.StaleMemberEpoch, kerr.FencedMemberEpoch, kerr.OffsetMetadataTooLarge,
			kerr.InvalidCommitOffsetSize,
			kerr.UnsupportedForMessageFormat), either(kerr.RequestTimedOut, kerr.UnknownServerError)),
	kmsg.EndTxn: either(moved...).and(refused(kerr.CoordinatorLoadInProgress), refused(producer...),
		either(kerr.ConcurrentTransactions, kerr.UnknownServerError)).ofTheWhole(),

	kmsg.DescribeProducers: refused(absent...).and(refused(unknown...), refused(kerr.NotLeaderForPartition)),
	kmsg.CreateTopics: refused(kerr.TopicAlreadyExists, kerr.NotController, kerr.PolicyViolation,
		kerr.InvalidReplicationFactor, kerr.InvalidPartitions,
		kerr.InvalidConfig, kerr.ClusterAuthorizationFailed, kerr.TopicAuthorizationFailed,
		kerr.ThrottlingQuotaExceeded, kerr.InvalidTopicException).
		and(either(kerr.RequestTimedOut, kerr.UnknownServerError)),

	kmsg.DescribeConfigs: refused(kerr.GroupAuthorizationFailed, kerr.ClusterAuthorizationFailed, kerr.InvalidRequest,
		kerr.InvalidConfig, kerr.UnknownServerError),
	kmsg.IncrementalAlterConfigs: refused(kerr.GroupAuthorizationFailed, kerr.ClusterAuthorizationFailed,
		kerr.InvalidRequest, kerr.InvalidConfig,
		kerr.PolicyViolation, kerr.NotController).and(either(kerr.RequestTimedOut, kerr.UnknownServerError)),
	kmsg.ShareGroupDescribe: refused(moving...).and(refused(noGroup...), refused(unknown...),
		refused(kerr.GroupIDNotFound, kerr.TopicAuthorizationFailed,
			kerr.InvalidRequest)),
	kmsg.ShareGroupHeartbeat: either(moved...).and(refused(kerr.CoordinatorLoadInProgress), refused(noGroup...),
		refused(kerr.UnknownMemberID,
			kerr.FencedMemberEpoch, kerr.GroupMaxSizeReached, kerr.InvalidRequest, kerr.TopicAuthorizationFailed,
			kerr.GroupIDNotFound),
		either(kerr.UnknownServerError)).ofTheWhole(),
	kmsg.ShareFetch: refused(absent...).and(refused(unknown...), refused(kerr.NotLeaderForPartition,
		kerr.FencedLeaderEpoch, kerr.KafkaStorageError,
		kerr.CorruptMessage, kerr.UnknownTopicID, kerr.InconsistentTopicID, kerr.InvalidRecordState),
		refused(kerr.ShareSessionNotFound, kerr.InvalidShareSessionEpoch, kerr.ShareSessionLimitReached,
			kerr.GroupAuthorizationFailed,
			kerr.UnknownMemberID, kerr.InvalidRequest, kerr.UnknownServerError).ofTheWhole()),
	kmsg.ShareAcknowledge: either(kerr.NotLeaderForPartition, kerr.KafkaStorageError, kerr.UnknownServerError).and(
		refused(absent...),
		refused(kerr.InvalidRecordState, kerr.UnknownTopicID, kerr.FencedLeaderEpoch, kerr.InvalidRequest),
		refused(kerr.ShareSessionNotFound, kerr.InvalidShareSessionEpoch, kerr.GroupAuthorizationFailed,
			kerr.UnknownMemberID, kerr.InvalidRequest,
			kerr.UnknownServerError).ofTheWhole()),
	kmsg.DescribeShareGroupOffsets: refused(moving...).and(refused(noGroup...), refused(unknown...),
		refused(kerr.GroupIDNotFound)),
}

// makes are the requests that the engine makes by a plan.
func (p *plan) makes() []kmsg.Key {
	keys := []kmsg.Key{kmsg.ApiVersions, kmsg.Metadata, kmsg.FindCoordinator, kmsg.ListOffsets}
	if p.protocol == "share" {
		keys = append(keys, kmsg.ShareGroupHeartbeat, kmsg.ShareGroupDescribe, kmsg.ShareFetch, kmsg.ShareAcknowledge,
			kmsg.DescribeShareGroupOffsets, kmsg.DescribeConfigs, kmsg.DescribeGroups, kmsg.ConsumerGroupDescribe)
	} else {
		keys = append(keys, kmsg.Fetch, kmsg.OffsetForLeaderEpoch, kmsg.OffsetFetch)
	}
	switch p.protocol {
	case "classic":
		keys = append(keys, kmsg.JoinGroup, kmsg.SyncGroup, kmsg.Heartbeat, kmsg.LeaveGroup, kmsg.DescribeGroups)
	case "consumer":
		keys = append(keys, kmsg.ConsumerGroupHeartbeat, kmsg.ConsumerGroupDescribe)
	}
	if p.exactly {
		keys = append(keys, kmsg.AddPartitionsToTxn, kmsg.AddOffsetsToTxn, kmsg.TxnOffsetCommit, kmsg.EndTxn)
	} else if p.protocol != "share" {
		keys = append(keys, kmsg.OffsetCommit)
	}
	if p.publishes && p.protocol == "share" {
		keys = append(keys, kmsg.Fetch) // of answers
	}
	if p.processor || p.publishes || p.config["dead_letter_topic"] != "" {
		keys = append(keys, kmsg.Produce, kmsg.InitProducerID)
	}
	if p.tokens != nil || p.bearers {
		keys = append(keys, kmsg.SASLHandshake, kmsg.SASLAuthenticate)
	}
	if p.creates {
		keys = append(keys, kmsg.CreateTopics)
	}
	if p.configures {
		keys = append(keys, kmsg.IncrementalAlterConfigs)
	}
	if p.config["isolation"] != "read_uncommitted" {
		keys = append(keys, kmsg.DescribeProducers) // of open transactions
	}
	return keys
}

// answers are the errors that a broker may answer a request with by a plan: some are for transactions alone, or for
// static members.
func (p *plan) answers(key kmsg.Key) codes {
	return slices.DeleteFunc(slices.Clone(answerable[key]), func(c code) bool {
		switch c.err {
		case kerr.FencedInstanceID, kerr.UnreleasedInstanceID:
			return p.config["group_instance_id"] == ""
		case kerr.UnknownMemberID, kerr.StaleMemberEpoch:
			return key == kmsg.OffsetFetch && p.protocol != "consumer"
		case kerr.TransactionalIDAuthorizationFailed, kerr.ProducerFenced, kerr.InvalidProducerIDMapping,
			kerr.InvalidTxnState,
			kerr.TransactionAbortable, kerr.TransactionCoordinatorFenced, kerr.ConcurrentTransactions,
			kerr.InvalidTransactionTimeout:
			return !p.exactly
		case kerr.ClusterAuthorizationFailed:
			return p.exactly && key == kmsg.InitProducerID
		}
		return false
	})
}
