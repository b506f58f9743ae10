package produce

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"

	"github.com/messaging-kafka/messaging-kafka/internal/base/backoff"
	"github.com/messaging-kafka/messaging-kafka/internal/base/turn"
	"github.com/messaging-kafka/messaging-kafka/internal/engine/kafka"
	"github.com/messaging-kafka/messaging-kafka/internal/record"
	"github.com/messaging-kafka/messaging-kafka/internal/settings"
)

// transactionTimeout is when brokers abort a transaction whose producer is gone, within the next ten seconds by their
// default (transaction.abort.timed.out.transaction.cleanup.interval.ms). Until then nobody can read the partitions'
// offsets, nor readers with read_committed what comes behind, so it is short; a producer with the same id that comes
// sooner aborts it at once.
const transactionTimeout = 10 * time.Second

// Transactor stores records and a group's offsets together or not at all (KIP-98, KIP-447). It is one transactional
// producer. Commit is called by one goroutine at a time; Init and Close may be called beside it.
type Transactor struct {
	id     string
	opts   []kgo.Opt // of its client
	access *kafka.Access
	// largest is max_message_bytes. The client refuses by itself what is beyond it.
	largest int
	// ended is done when the client is closed, or is about to be; life has it be.
	ended context.Context
	life  context.CancelFunc
	// chunks bounds, by topic, the bytes that are produced before their acknowledgement is waited for. It has the topics
	// that have refused a batch as too large: the client fills batches up to max_message_bytes, and a broker refuses a
	// batch of many small records as a whole.
	chunks map[string]int
	// known are the topics whose partitions the client has noted, see learn.
	known map[string]struct{}
	// over is why the last transaction is none that another one may follow, see [ErrNotAborted].
	over error

	beginning turn.Turn
	failure   error // the last of Init; beginning protects it
	closing   sync.Once

	mu     sync.Mutex
	kgo    *kgo.Client
	closed bool
	asked  *requests // of the client; Commit alone reads it
}

// errNotEnded is of a transaction that has something and whose end no broker has heard of: what it has would belong to
// the next one.
var errNotEnded = errors.New("the client has not asked for the end of the transaction, which it takes for empty")

// errNotTried is of a transaction whose time is over before its end was asked for.
var errNotTried = errors.New("records of it are still without an answer")

// NewTransactor makes a transactional producer. Another one with the same id, in this process or elsewhere, is fenced
// off as soon as this one has called [Transactor.Init] or made its first transaction.
func NewTransactor(id string, access *kafka.Access, cluster settings.Cluster, producer settings.ProducerClient, log *slog.Logger) (*Transactor, error) {
	producer.Acks, producer.Idempotent = settings.AcksAll, true
	opts, err := producerOptions(cluster, producer)
	if err != nil {
		return nil, err
	}
	// Offsets are added the way of all brokers since 0.11 (AddOffsetsToTxn, then TxnOffsetCommit), which works under
	// the transaction protocol of KIP-890 as well. Newer versions of the request would need the client's own knowledge
	// of which of the two protocols is in use. With this limit it is the older one always, in which partitions are added
	// by a request of their own; with the newer one the client aborts what it takes for empty, and says that all is well.
	versions := kversion.Stable()
	versions.SetMaxKeyVersion(kmsg.TxnOffsetCommit.Int16(), 4)
	ctx, life := context.WithCancel(context.Background())
	opts = append(append(access.Options(), opts...), kgo.WithContext(ctx),
		kgo.TransactionalID(id), kgo.TransactionTimeout(transactionTimeout), kgo.MaxVersions(versions))
	cl, asked, err := newTransactionClient(opts)
	if err != nil {
		life()
		return nil, err
	}
	log.Debug("transactional producer made", "transactional_id", id)
	return &Transactor{
		id: id, opts: opts, kgo: cl, access: access, largest: int(producer.MaxMessageBytes), ended: ctx, life: life,
		chunks: make(map[string]int), known: make(map[string]struct{}), beginning: turn.New(), asked: asked,
	}, nil
}

func newTransactionClient(opts []kgo.Opt) (*kgo.Client, *requests, error) {
	asked := new(requests)
	cl, err := kgo.NewClient(append(slices.Clip(opts), kgo.WithHooks(asked))...)
	return cl, asked, err
}

// Init settles what a producer with the same id has left open, which is aborted: until then, or until its time is over,
// the group's offsets that are part of it cannot be read. Kafka does that with the first transaction of a producer too,
// but there is none before records have come, and none come before their offsets can be read. Its error wraps
// [ErrNotAborted] where this producer can begin no more.
func (t *Transactor) Init(ctx context.Context) error {
	// One at a time: the client has a lock for it, which it waits for without an end.
	if err := t.beginning.LockContext(ctx); err != nil {
		return fmt.Errorf("beginning as %s: %w", t.id, err)
	}
	defer t.beginning.Unlock()
	_, _, err := t.client().ProducerID(ctx)
	if err == nil {
		t.failure = nil
		return nil
	}
	if t.lasting(err) {
		return fmt.Errorf("%w: the producer %s cannot begin any more: %w", ErrNotAborted, t.id, err)
	}
	return fmt.Errorf("beginning as %s: %w", t.id, err)
}

// lasting tells whether the client has failed for good and gives the error of that each time, the very same, without
// asking Kafka: it takes a broker whose name, certificate or address is wrong for the end of the producer, although
// that can be mended. An attempt of its own makes an error of its own. t.beginning is held.
func (t *Transactor) lasting(err error) bool {
	last := t.failure
	t.failure = err
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded), errors.As(err, new(*kerr.Error)):
		return false // the caller's, or for the client to judge
	case last == nil || !reflect.TypeOf(err).Comparable():
		return false
	}
	return last == err //nolint:errorlint // the very value that the client keeps, not one that is like it
}

// Member is a group's member, by which the broker tells whether offsets are still its to commit.
type Member struct {
	Group, MemberID string
	Generation      int32
	InstanceID      string // "" for a dynamic member

	alone bool // see Alone
}

// Alone is in the place of a member for a group that nobody joins: its offsets are notes of whoever has the producer,
// and the id of the producer is what keeps others from writing them. Brokers refuse them while the group has members.
func Alone(group string) Member { return Member{Group: group, Generation: -1, alone: true} }

var (
	// ErrNotAborted says that a transaction failed and could not be aborted either. A new [Transactor] with the same id
	// settles that when it begins. This one is of no more use.
	ErrNotAborted = errors.New("the end of the transaction is not known")
	// ErrMaybeCommitted is an [ErrNotAborted] of a transaction that Kafka was asked to commit: whether it did is not
	// known. Without it nothing of the transaction can ever be read.
	ErrMaybeCommitted = fmt.Errorf("%w, and it may have been committed", ErrNotAborted)
	// ErrOutput says that Kafka has refused an output for good, so that the same transaction fails each time.
	ErrOutput = errors.New("an output is refused")
	// errNoMember says that the group has no such member at the moment.
	errNoMember = errors.New("not a member of the group")
)

// Commit stores outputs, of which there is at least one, and offsets in one transaction. With any error but
// [ErrNotAborted] nothing of it can be read. It is over soon after ctx ends, and the Transactor with it where nothing
// else would end it. member is asked for the member right before it is needed, and again when the group has moved on
// meanwhile; its error fails the transaction.
func (t *Transactor) Commit(ctx context.Context, member func() (Member, error), outputs []record.Outgoing, offsets []kmsg.TxnOffsetCommitRequestTopic) error {
	if t.over != nil {
		// Its user tries again what has failed, as at the end of a session, and it may have been committed.
		return fmt.Errorf("%w, that of the one before, so that none may follow: %s", ErrNotAborted, t.over.Error())
	}
	err := t.attempt(ctx, member, outputs, offsets)
	if errors.Is(err, ErrNotAborted) {
		t.over = err
	}
	return err
}

// attempt is one transaction, whose error says what its user has to know.
func (t *Transactor) attempt(ctx context.Context, member func() (Member, error), outputs []record.Outgoing, offsets []kmsg.TxnOffsetCommitRequestTopic) error {
	err := t.commit(ctx, member, outputs, offsets)
	// The client of one that was closed knows its producer id still and begins transactions, none of which it can end.
	if err != nil && t.ended.Err() != nil && !errors.Is(err, ErrNotAborted) {
		err = fmt.Errorf("%w: %w", ErrNotAborted, err)
	}
	if timeOver := ctx.Err(); timeOver != nil && errors.Is(err, kgo.ErrClientClosed) {
		// The client was closed for nothing but that.
		end := ErrNotAborted
		if errors.Is(err, ErrMaybeCommitted) {
			end = ErrMaybeCommitted
		}
		return fmt.Errorf("%w: %w: %s", end, timeOver, err.Error())
	}
	return err
}

// errNoOutputs is of a transaction that the client would never end: it does not hear of offsets.
var errNoOutputs = errors.New("there are no outputs to commit offsets with")

func (t *Transactor) commit(ctx context.Context, member func() (Member, error), outputs []record.Outgoing, offsets []kmsg.TxnOffsetCommitRequestTopic) error {
	if len(outputs) == 0 {
		return errNoOutputs
	}
	work, cancel := workTime(ctx)
	defer cancel()
	if t.asked.unanswered() {
		if err := t.renew(work, true); err != nil {
			return fmt.Errorf("%w: going on as %s: %w", ErrNotAborted, t.id, err)
		}
	}
	// First of all, because the client would do it without a time limit when the transaction begins, and take a broker
	// that is away for the end of the producer. An id that was taken away is for the client to judge.
	switch err := t.Init(work); {
	case errors.Is(err, ErrNotAborted):
		return err
	case err != nil && !errors.As(err, new(*kerr.Error)):
		return err
	}
	// Records that may have reached a broker hold the client up until they are answered, whatever becomes of their
	// context. There is nothing left to wait for when ctx ends, but the end of the client.
	defer context.AfterFunc(ctx, t.Close)()
	if err := t.client().BeginTransaction(); err != nil {
		return fmt.Errorf("%w: beginning: %w", ErrNotAborted, err)
	}
	joined := t.asked.joins.Load()
	err := t.produce(work, outputs)
	if err == nil {
		err = t.addOffsets(work, member, offsets)
	}
	if err == nil {
		err = t.end(ctx, kgo.TryCommit, joined)
		switch {
		case err == nil:
			return nil
		case errors.Is(err, errNotEnded):
			return fmt.Errorf("%w: committing: %w", ErrNotAborted, err)
		}
		err = fmt.Errorf("committing: %w", err)
		// With these it was not even tried, or the broker has said that it can only be aborted.
		if !errors.Is(err, errNotTried) && !errors.Is(err, kerr.OperationNotAttempted) && !errors.Is(err, kerr.TransactionAbortable) {
			return fmt.Errorf("%w: %w", ErrMaybeCommitted, err)
		}
	}
	// A broker that has not answered may still make offsets part of what this producer does next. Where a new one has the
	// transaction aborted, that cannot be any more: the end of it is of the new one's epoch, and so is what comes next.
	// Nor does an error that says nothing of what was done: records that were stored in spite of it have the sequence
	// numbers of the next ones of the same epoch, which a broker then takes for those, and does not store.
	open := t.asked.unanswered() || errors.Is(err, kerr.UnknownServerError)
	if !open {
		switch abortErr := t.end(ctx, kgo.TryAbort, joined); {
		case errors.Is(abortErr, errNotEnded):
			_, _, failure := t.client().ProducerID(ctx)
			open = failure == nil // else the client knows that it cannot go on like that
		case abortErr != nil:
			return fmt.Errorf("%w: aborting (%w) after: %w", ErrNotAborted, abortErr, err)
		}
	}
	if open || errors.Is(err, ErrOutput) {
		failure := t.renew(ctx, open)
		if failure == nil && open {
			failure = t.Init(ctx) // nobody can read what comes behind an open transaction
		}
		if failure != nil {
			return fmt.Errorf("%w: going on as %s (%w) after: %w", ErrNotAborted, t.id, failure, err)
		}
	}
	if errors.Is(err, kerr.UnknownTopicID) {
		t.client().PurgeTopicsFromProducing(topicsOf(outputs)...) // see recreations
		clear(t.known)
	}
	return err
}

// end ends the transaction. joined is how many requests to be part of one there were before it: with any in it, and
// none to end it, the error is [errNotEnded].
func (t *Transactor) end(ctx context.Context, try kgo.TransactionEndTry, joined int64) error {
	// The client hands over the records that have waited for a topic's partitions before it notes the partitions, by
	// which EndTransaction looks for what is part of the transaction. All may be stored within that moment, and the client
	// then takes the transaction, or the topic in it, for empty. It has a lock meanwhile that this waits for, with which
	// there is nothing to abort: each record has its answer.
	if err := t.client().AbortBufferedRecords(ctx); err != nil {
		return fmt.Errorf("%w: %w", errNotTried, err)
	}
	ended := t.asked.ends.Load()
	err := t.client().EndTransaction(ctx, try)
	if err == nil && t.asked.ends.Load() == ended && t.asked.joins.Load() > joined {
		return errNotEnded
	}
	return err
}

func topicsOf(records []record.Outgoing) []string {
	var topics []string
	for i := range records {
		if topic := records[i].Topic; !slices.Contains(topics, topic) {
			topics = append(topics, topic)
		}
	}
	return topics
}

// workTime is the time for what comes before the end of a transaction: some of ctx must remain for an abort.
func workTime(ctx context.Context) (context.Context, context.CancelFunc) {
	end, bounded := ctx.Deadline()
	if !bounded {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, time.Until(end)*2/3)
}

func (t *Transactor) produce(ctx context.Context, outputs []record.Outgoing) error {
	var first firstFailed
	if i, err := t.learn(ctx, outputs); err != nil {
		text := t.access.Explain(err).Text
		if refused(err) {
			err = fmt.Errorf("%w: %w", ErrOutput, err)
		}
		return fmt.Errorf("producing outputs: %w", &OutputError{Topic: outputs[i].Topic, Index: i, Text: text, err: err})
	}
	failed := kgo.AbortingFirstErrPromise(t.client())
	var tooLarge topicOnce
	var denied topicSet
	converted := make([]kgo.Record, len(outputs))
	waiting := make(map[string]int)
	for i := range outputs {
		topic, bytes := outputs[i].Topic, size(&outputs[i])
		if chunk, bounded := t.chunks[topic]; bounded {
			if waiting[topic] > 0 && waiting[topic]+bytes > chunk {
				if err := t.client().Flush(ctx); err != nil {
					break // the records fail by the same context
				}
				clear(waiting)
			}
			waiting[topic] += bytes
		}
		convert(&outputs[i], &converted[i])
		call := &recordContext{Context: ctx}
		converted[i].Context = call //nolint:fatcontext // each record has one, around the same
		done := failed.Promise()
		t.client().Produce(ctx, &converted[i], func(r *kgo.Record, err error) {
			if errors.Is(err, kerr.MessageTooLarge) {
				tooLarge.note(r.Topic)
			}
			if errors.Is(err, kerr.TopicAuthorizationFailed) {
				denied.note(r.Topic)
			}
			if err != nil {
				first.note(&outputs[i], i, call)
			}
			done(r, err)
		})
	}
	err := failed.Err()
	if err == nil {
		err = ctx.Err()
	}
	if err == nil {
		return nil
	}
	text := t.access.Explain(err).Text
	var final bool
	switch bytes, n := first.size(), first.partitions; {
	case n > 0:
		t.client().ForceMetadataRefresh() // it may have been added: the next transaction finds it
		final, text = true, noPartition(first.output.Partition, n)
	case errors.Is(err, kerr.MessageTooLarge) && bytes > t.largest: // the client's own refusal, in a batch of any size
		final, text = true, beyondMaxMessageBytes(bytes, t.largest)
	case errors.Is(err, kerr.MessageTooLarge) && t.largest <= brokerDefault && bytes+frameOverhead > brokerDefault:
		// Nothing is sent one by one in a transaction, and the client fills no batch beyond what brokers take by default.
		final, text = true, beyondUsualBatch(bytes)
	default:
		final = refused(err) && !(tooLarge.topic != "" && t.smaller(tooLarge.topic, outputs))
	}
	if final {
		err = fmt.Errorf("%w: %w", ErrOutput, err)
	}
	if first.output == nil { // time ran out before any of them was given up
		return fmt.Errorf("producing outputs: %s: %w", text, err)
	}
	failure := &OutputError{Topic: first.output.Topic, Index: first.index, Text: text, err: err}
	if among := denied.sorted(); len(among) > 1 {
		t.findDenied(ctx, failure, outputs, among)
	}
	return fmt.Errorf("producing outputs: %w", failure)
}

// beyondUsualBatch says why a record is not sent in a transaction that is not larger than max_message_bytes.
func beyondUsualBatch(bytes int) string {
	return fmt.Sprintf("the record is too large: its key, value and headers have %d bytes, and a batch of a transaction has up to %d, "+
		"as brokers take by default; send less or set max_message_bytes to more than %d (and the topic's max.message.bytes, if that is lower)",
		bytes, brokerDefault, brokerDefault)
}

// firstFailed keeps the first output that failed, after which the client gives up the others.
type firstFailed struct {
	once       sync.Once
	output     *record.Outgoing
	index      int
	partitions int // of its topic, where the partition that it is for is not one of them
}

func (f *firstFailed) note(output *record.Outgoing, index int, call *recordContext) {
	f.once.Do(func() {
		f.output, f.index, f.partitions = output, index, call.partitions
	})
}

// size is that of the output, 0 where none has failed.
func (f *firstFailed) size() int {
	if f.output == nil {
		return 0
	}
	return size(f.output)
}

// topicOnce keeps the first topic that it hears of.
type topicOnce struct {
	once  sync.Once
	topic string
}

func (o *topicOnce) note(topic string) { o.once.Do(func() { o.topic = topic }) }

// smaller makes the next batches for a topic half as large as those that it has refused. It reports false where single
// records are no larger than that: one of them is too large by itself.
func (t *Transactor) smaller(topic string, outputs []record.Outgoing) bool {
	sum, largest := 0, 0
	for i := range outputs {
		if outputs[i].Topic == topic {
			sum += size(&outputs[i])
			largest = max(largest, size(&outputs[i]))
		}
	}
	chunk := sum
	if before, bounded := t.chunks[topic]; bounded {
		chunk = min(sum, before)
	}
	if chunk <= largest {
		return false
	}
	t.chunks[topic] = chunk / 2
	return true
}

// refused tells whether a record fails each time, and not because of the moment or of the producer.
func refused(err error) bool {
	for _, answer := range []*kerr.Error{
		kerr.MessageTooLarge, kerr.RecordListTooLarge, kerr.InvalidRecord, kerr.InvalidTimestamp, kerr.InvalidTopicException,
		kerr.UnknownTopicOrPartition, kerr.TopicAuthorizationFailed, kerr.PolicyViolation, kerr.UnsupportedCompressionType,
		kerr.UnsupportedForMessageFormat,
	} {
		if errors.Is(err, answer) {
			return true
		}
	}
	return false
}

// addOffsets makes the offsets part of the transaction. The group's coordinator refuses them when the member has lost
// its partitions, which fails the transaction: that is what keeps two members from both having an effect.
func (t *Transactor) addOffsets(ctx context.Context, member func() (Member, error), offsets []kmsg.TxnOffsetCommitRequestTopic) error {
	id, epoch, err := t.client().ProducerID(ctx)
	if err != nil {
		return fmt.Errorf("asking for the producer id: %w", err)
	}
	m, err := member()
	if err != nil {
		return err
	}
	add := kmsg.NewPtrAddOffsetsToTxnRequest()
	add.TransactionalID, add.ProducerID, add.ProducerEpoch, add.Group = t.id, id, epoch, m.Group
	err = again(ctx, concurrentTries, concurrentWait, concurrent, func() error {
		resp, err := add.RequestWith(ctx, t.client())
		if err != nil {
			return err
		}
		return kerr.ErrorForCode(resp.ErrorCode)
	})
	if err != nil {
		return fmt.Errorf("adding the group %s to the transaction: %w", m.Group, err)
	}
	req := kmsg.NewPtrTxnOffsetCommitRequest()
	req.TransactionalID, req.ProducerID, req.ProducerEpoch, req.Topics = t.id, id, epoch, offsets
	return again(ctx, generationTries, generationWait, between, func() error {
		m, err := member()
		if err != nil {
			return err
		}
		return t.commitOffsets(ctx, req, m)
	})
}

func (t *Transactor) commitOffsets(ctx context.Context, req *kmsg.TxnOffsetCommitRequest, m Member) error {
	if !m.alone && (m.MemberID == "" || m.Generation < 0) {
		// The broker takes offsets from nobody in particular without a look at who owns the partitions.
		return errNoMember
	}
	req.Group, req.MemberID, req.Generation = m.Group, m.MemberID, m.Generation
	if m.InstanceID != "" {
		req.InstanceID = &m.InstanceID
	}
	resp, err := req.RequestWith(ctx, t.client())
	if err != nil {
		return fmt.Errorf("committing offsets in the transaction: %w", err)
	}
	for _, topic := range resp.Topics {
		for _, p := range topic.Partitions {
			if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
				return fmt.Errorf("committing the offset of %s/%d in the transaction: %w", topic.Topic, p.Partition, err)
			}
		}
	}
	return nil
}

const (
	concurrentWait  = 20 * time.Millisecond
	concurrentTries = 100
	generationWait  = 25 * time.Millisecond
	generationTries = 20
)

// concurrent tells that the coordinator is still ending the transaction before.
func concurrent(err error) bool { return errors.Is(err, kerr.ConcurrentTransactions) }

// between tells that the group has a new generation (or, with KIP-848, the member a new epoch, for which the broker has
// the same answer here) of which the member is about to learn.
func between(err error) bool {
	return errors.Is(err, kerr.IllegalGeneration) || errors.Is(err, kerr.StaleMemberEpoch) || errors.Is(err, kerr.RebalanceInProgress)
}

// again repeats a request while its error is a passing one.
func again(ctx context.Context, tries int, wait time.Duration, passing func(error) bool, request func() error) error {
	for try := 1; ; try++ {
		err := request()
		if err == nil || !passing(err) || try == tries || !backoff.Sleep(ctx, wait) {
			return err
		}
	}
}

// Close ends the producer, and with it a Commit that is under way. A transaction that is under way is left to the
// broker.
func (t *Transactor) Close() {
	t.closing.Do(func() {
		t.mu.Lock()
		cl := t.kgo
		t.closed = true
		t.mu.Unlock()
		t.life()
		cl.Close()
	})
}

func (t *Transactor) client() *kgo.Client {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.kgo
}

// renew makes another client in the place of one that takes a refusal of Kafka's for the end of its producer, as it
// does where a right on a topic is missing (AddPartitionsToTxn): it begins no transaction any more, although the last
// one was aborted and is over. Where the last one may be open still, or a broker may still do something in it, it does
// so in any case: the new one's first request has Kafka abort what is open and refuse what comes late.
func (t *Transactor) renew(ctx context.Context, inAnyCase bool) error {
	if err := t.beginning.LockContext(ctx); err != nil {
		return err
	}
	defer t.beginning.Unlock()
	unusable := t.client()
	if !inAnyCase {
		if _, _, err := unusable.ProducerID(ctx); !refused(err) {
			return nil
		}
	}
	made, asked, err := newTransactionClient(t.opts)
	if err != nil {
		return err
	}
	t.mu.Lock()
	if t.closed {
		unusable = made
	} else {
		t.kgo, t.asked = made, asked
	}
	t.mu.Unlock()
	t.failure = nil
	clear(t.known)
	unusable.Close()
	return nil
}
