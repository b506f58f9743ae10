package produce

import (
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// requests counts the requests about transactions of one client. It is a hook of the client, which ends a transaction
// that it takes for empty well, without a word to a broker, and which tries a request again whose answer is lost,
// though a broker may still do the first.
type requests struct{ joins, ends, sent, answered atomic.Int64 }

// isTransactional tells whether a request is about a transaction, and not within the protection that sequence numbers
// give records.
func isTransactional(key int16) bool {
	switch key {
	case kmsg.AddPartitionsToTxn.Int16(), kmsg.AddOffsetsToTxn.Int16(), kmsg.TxnOffsetCommit.Int16(), kmsg.EndTxn.Int16():
		return true
	}
	return false
}

// OnBrokerWrite implements [kgo.HookBrokerWrite].
func (r *requests) OnBrokerWrite(_ kgo.BrokerMetadata, key int16, _ int, _, _ time.Duration, err error) {
	if !isTransactional(key) {
		return
	}
	r.sent.Add(1) // whatever the error: it may have arrived
	switch key {
	case kmsg.AddPartitionsToTxn.Int16(), kmsg.AddOffsetsToTxn.Int16():
		r.joins.Add(1)
	case kmsg.EndTxn.Int16():
		if err == nil {
			r.ends.Add(1)
		}
	}
}

// OnBrokerRead implements [kgo.HookBrokerRead].
func (r *requests) OnBrokerRead(_ kgo.BrokerMetadata, key int16, _ int, _, _ time.Duration, err error) {
	if err == nil && isTransactional(key) {
		r.answered.Add(1)
	}
}

// unanswered tells whether a broker may still do what it was asked to and has not answered.
func (r *requests) unanswered() bool { return r.answered.Load() < r.sent.Load() }
