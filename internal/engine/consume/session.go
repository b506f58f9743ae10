package consume

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/messaging-kafka/messaging-kafka/internal/base/turn"
	"github.com/messaging-kafka/messaging-kafka/internal/engine/dispatch"
	"github.com/messaging-kafka/messaging-kafka/internal/engine/kafka"
	"github.com/messaging-kafka/messaging-kafka/internal/engine/produce"
	"github.com/messaging-kafka/messaging-kafka/internal/observe/status"
	"github.com/messaging-kafka/messaging-kafka/internal/record"
	"github.com/messaging-kafka/messaging-kafka/internal/settings"
)

// session is one membership in a consumer group.
type session struct {
	cfg *Config
	log *slog.Logger
	cl  *kgo.Client
	adm *kadm.Client
	d   *dispatch.Dispatcher
	// transactor is not nil where outputs and offsets are committed together.
	transactor *produce.Transactor
	// progress and freed have room for one token each: the dispatcher has finished something. One wakes a poll that
	// waits for room, the other the pacer where a partition is paused.
	progress chan struct{}
	freed    chan struct{}
	paused   atomic.Bool // a partition may be paused
	problems problems
	origin   *origin
	stable   kafka.StableOffsets
	// fetched bounds what the client has fetched and is not taken yet, fetchBytes what one fetch may bring and mostBytes
	// what that may be; s.mu protects both.
	fetched               *kafka.Fetched
	fetchBytes, mostBytes int32
	// recordSize is about what a record of the last poll took in the client; the poll loop's alone.
	recordSize int64
	fence      fence
	fetching   fetching
	unanswered unansweredCommits
	loops      sync.WaitGroup
	stop       context.CancelFunc
	// guarding is the fence's guard, which unguard ends: calls that may finish at the end are none that nobody watches.
	guarding sync.WaitGroup
	unguard  context.CancelFunc
	// kill ends the client's own context, and with it whatever the client waits for.
	kill context.CancelFunc
	// ready is closed when cl and adm are set. The client joins the group in goroutines of its own, whose callbacks may
	// come before kgo.NewClient has returned.
	ready chan struct{}
	// cut ends commits that are under way when the session stops, after the time that it gives them.
	cut    context.Context
	cutOff context.CancelFunc
	// early has room for one token: outputs wait that take much room. It lets the committer not wait for its interval.
	early chan struct{}
	// joined has room for one token: the group has told what it gives this member.
	joined chan struct{}
	// offsetsAlone leaves out which records beyond an offset are finished, because a broker takes so little metadata.
	// s.committing protects it.
	offsetsAlone bool
	// fatal takes the first error that a session cannot recover from.
	fatal chan error

	committing turn.Turn
	mu         sync.Mutex
	assigned   map[topicPartition]*assignment
	settled    settled
	// stale are topics that were deleted and created again, renewing has room for one token: there are some.
	stale    map[string]struct{}
	renewing chan struct{}
	// unsure has room for one token: there are partitions to be given a place that the leader's log may not have.
	unsure  chan struct{}
	closing bool
	// wakePoll ends the poll that is under way.
	wakePoll context.CancelFunc
}

type topicPartition struct {
	topic     string
	partition int32
}

func (tp topicPartition) String() string {
	if tp.partition < 0 {
		return tp.topic // an error of the topic as a whole
	}
	return fmt.Sprintf("%s/%d", tp.topic, tp.partition)
}

// assignment is a partition that the group has given to this session. session.mu protects it.
type assignment struct {
	*dispatch.Partition
	committed   commit    // its metadata goes with every commit of the partition
	committedAt time.Time // by this session
	end         int64     // -1: not known
	endAt       time.Time // when it was
	askedAt     time.Time // when the end was last asked for
	behindSince time.Time // since when, to our knowledge, committed is below end without a step ahead
	paused      bool
	failure
	// stopped is why the partition is not read any more, nil when it is.
	stopped error
	// member is the id of the membership that the partition was given to.
	member string
	tx     transaction
}

// clientOptions are the options that all kinds of groups share.
func clientOptions(cfg *Config) []kgo.Opt {
	c := &cfg.Settings.Consumer
	opts := cfg.Access.Options()
	if c.TopicPattern != nil {
		// Without topics that are excluded, the client has the broker match the pattern in a group of KIP-848: that one
		// matches Kafka's internal topics too, and a link that read the topic of its own commits would feed it for ever.
		patterns := []string{c.TopicPattern.String()}
		for _, retries := range cfg.Settings.Delivery.RetryTopicNames() {
			patterns = append(patterns, regexp.QuoteMeta(retries))
		}
		opts = append(opts, kgo.ConsumeRegex(), kgo.ConsumeTopics("^(?:"+strings.Join(patterns, "|")+")$"),
			kgo.ConsumeExcludeTopics(kafka.InternalTopics.String()))
	} else {
		opts = append(opts, kgo.ConsumeTopics(slices.Concat(c.Topics, cfg.Settings.Delivery.RetryTopicNames())...))
	}
	isolation := kgo.ReadUncommitted()
	if c.ReadCommitted {
		isolation = kgo.ReadCommitted()
	}
	return append(opts,
		kgo.FetchIsolationLevel(isolation),
		kgo.FetchMaxBytes(firstFetch(cfg)),
		kgo.FetchMaxPartitionBytes(min(firstFetch(cfg), maxPartitionFetch)),
		kgo.FetchMaxWait(c.FetchMaxWait),
		kgo.Rack(c.Rack),
		kgo.SessionTimeout(c.SessionTimeout),
		kgo.RebalanceTimeout(c.RebalanceTimeout),
		kgo.HeartbeatInterval(min(heartbeatEvery, c.SessionTimeout/5)),
	)
}

// heartbeatEvery is how often a member asks whether the group has changed. It is how long a partition lies idle when a
// copy hands it over, so it is shorter than the 3 s of Kafka's own clients; a heartbeat costs the broker next to
// nothing.
const heartbeatEvery = time.Second

// newSession makes a session that begins where from says. unended is what [problems] keeps of the one before.
func newSession(cfg *Config, from *origin, unended error) (*session, error) {
	s := &session{
		cfg: cfg, log: cfg.Log, origin: from,
		progress:   make(chan struct{}, 1),
		freed:      make(chan struct{}, 1),
		early:      make(chan struct{}, 1),
		joined:     make(chan struct{}, 1),
		stale:      make(map[string]struct{}),
		renewing:   make(chan struct{}, 1),
		unsure:     make(chan struct{}, 1),
		ready:      make(chan struct{}),
		fatal:      make(chan error, 1),
		assigned:   make(map[topicPartition]*assignment),
		committing: turn.New(),
	}
	s.cut, s.cutOff = context.WithCancel(context.Background())
	c := &cfg.Settings.Consumer
	s.problems.group, s.problems.access, s.problems.log = c.Group, cfg.Access, cfg.Log
	s.problems.inherit(unended)
	s.fence.session, s.fence.rebalance = c.SessionTimeout, c.RebalanceTimeout
	var err error
	if s.fetched, err = kafka.NewFetched(fetchLimits(cfg)); err != nil {
		return nil, err
	}
	s.fetchBytes, s.recordSize = firstFetch(cfg), pollBytes/16
	s.mostBytes = s.fetchBytes
	s.d = dispatch.New(dispatch.Config{
		Delivery:       cfg.Settings.Delivery,
		Receiver:       cfg.Receiver,
		Batches:        cfg.Batches,
		Outputs:        cfg.Outputs,
		Transactional:  cfg.transactional(),
		DeadLetter:     cfg.deadLetter(),
		MakeDeadLetter: cfg.letter(),
		MakeRetry:      cfg.newRetry,
		Send:           cfg.Send,
		Limiter:        cfg.Limiter,
		Progress:       s.finished,
		Memory:         cfg.Memory,
		Observer:       cfg.Observer,
		Log:            cfg.Log,
	})
	type rebalanced = func(context.Context, *kgo.Client, map[string][]int32)
	whenReady := func(f rebalanced) rebalanced {
		return func(ctx context.Context, cl *kgo.Client, partitions map[string][]int32) {
			<-s.ready
			f(ctx, cl, partitions)
		}
	}
	life, kill := context.WithCancel(context.Background())
	s.kill = kill
	opts := append(append(clientOptions(cfg), s.fetched.Options()...),
		kgo.WithContext(life),
		kgo.ConsumerGroup(c.Group),
		kgo.DisableAutoCommit(),
		kgo.BlockRebalanceOnPoll(),
		// Transaction markers take offsets too: only who sees them can commit beyond them and reach a lag of 0.
		kgo.KeepControlRecords(),
		kgo.ConsumeStartOffset(kgo.NewOffset().AtStart()),
		// An offset that is not in the log any more is for us to see, count and act on.
		kgo.ConsumeResetOffset(kgo.NoResetOffset()),
		kgo.AdjustFetchOffsetsFn(func(ctx context.Context, fetched map[string]map[int32]kgo.Offset) (map[string]map[int32]kgo.Offset, error) {
			<-s.ready
			return s.startOffsets(ctx, fetched)
		}),
		kgo.OnPartitionsAssigned(whenReady(s.onAssigned)),
		kgo.OnPartitionsRevoked(whenReady(s.onRevoked)),
		kgo.OnPartitionsLost(whenReady(s.onLost)),
		kgo.WithHooks(&s.problems, &s.fence, &s.fetching, &s.unanswered),
		kgo.Dialer(cfg.Access.DialTelling(s.fence.answered)),
	)
	if c.GroupProtocol == settings.GroupConsumer {
		opts = append(opts, kgo.ServerSideBalancer(), kgo.Balancers(kgo.StickyBalancer()))
	} else {
		opts = append(opts, kgo.Balancers(balanceApart(classicBalancer(c), &cfg.Settings.Delivery)))
	}
	if c.InstanceID != "" {
		opts = append(opts, kgo.InstanceID(c.InstanceID))
	}
	if cfg.transactional() {
		s.transactor, err = produce.NewTransactor(cfg.TransactionalID, cfg.Access, cfg.Settings.Cluster, cfg.Settings.Producer.Client, cfg.Log)
		if err != nil {
			return nil, fmt.Errorf("making the transactional producer: %w", err)
		}
	}
	cl, err := kgo.NewClient(opts...)
	if err != nil {
		s.closeTransactor()
		kill()
		return nil, err
	}
	s.cl, s.adm = cl, kadm.NewClient(cl)
	close(s.ready)
	return s, nil
}

// run polls, commits and watches until ctx ends or the session cannot go on.
func (s *session) run(ctx context.Context) error {
	watch, unguard := context.WithCancel(context.WithoutCancel(ctx))
	s.unguard = unguard
	if s.cfg.Settings.Consumer.GroupProtocol != settings.GroupConsumer {
		// With KIP-848 the broker alone knows its session timeout.
		s.guarding.Go(func() { s.guard(watch) })
	}
	ctx, s.stop = context.WithCancel(ctx)
	loops := []func(context.Context){s.poll, s.pace, s.commitLoop, s.monitor, s.measure, s.watchIdle, s.watchPlaces, s.renew}
	if s.transactor != nil {
		loops = append(loops, s.settle)
	}
	for _, loop := range loops {
		s.loops.Go(func() { loop(ctx) })
	}
	select {
	case err := <-s.fatal:
		return err
	case <-ctx.Done():
		return nil
	}
}

// signal leaves a token in a channel of one place; one that lies there already says the same.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// fail ends the session; only the first error counts.
func (s *session) fail(err error) {
	select {
	case s.fatal <- err:
	default:
	}
}

func (s *session) member() string {
	id, _ := s.cl.GroupMetadata()
	return id
}

func (s *session) status() Status {
	st := Status{Dispatch: s.d.Status()}
	st.Joined, st.Problems = s.problems.list()
	s.mu.Lock()
	s.addUnsettled(&st)
	var held status.Problems
	for _, tp := range slices.SortedFunc(maps.Keys(s.assigned), compareTopicPartitions) {
		a := s.assigned[tp]
		if a.stopped != nil {
			st.Problems.Add(status.ProblemPartition, fmt.Sprintf("%s is not read: %v", tp, a.stopped))
		}
		if reason := a.Held(); reason != nil {
			held.Add(status.ProblemHeld, fmt.Sprintf("%s stands still (on_reject=stop): %v", tp, reason))
		}
	}
	s.mu.Unlock()
	addOpenTransactions(&st.Problems, &s.stable)
	addMemoryProblem(&st.Problems, s.cfg.Memory)
	addDispatchProblems(&st.Problems, &st.Dispatch, s.cfg)
	st.Problems = append(st.Problems, held...)
	return st
}

// maxFailure bounds a component's error in a problem in bytes. The whole of it is in the log.
const maxFailure = 1 << 10

// HangingText says in words which calls hang.
func HangingText(h *dispatch.Hanging, now time.Time) string {
	return fmt.Sprintf("%d calls are under way and none has gone well since the oldest began, %s ago (%s/%d, offset %d)",
		h.Calls, now.Sub(h.Began).Round(time.Second), h.Topic, h.Partition, h.Offset)
}

// addUnavailable says in words that nobody takes calls, and since when. The kind is that of the cause, which may be
// another one than the hold began with.
func addUnavailable(ps *status.Problems, d *dispatch.Status, cfg *Config) {
	hold := &d.Unavailable
	kind, says, since := status.ProblemUnavailable, cfg.Words.Receiver(cfg.Component)+" takes no calls since", hold.Since
	if refusal, ok := errors.AsType[*record.Refusal](hold.Cause); ok {
		since = hold.CauseSince
		switch refusal.Reason {
		case record.BadCredentials:
			kind, says = status.ProblemCredentials, "credentials are refused since"
		case record.ProxyAsks:
			kind, says = status.ProblemProxy, "a proxy asks for credentials since"
		case record.Redirected:
			kind, says = status.ProblemRedirect, "records are redirected, and redirects are refused, since"
		case record.SchemasAway:
			kind, says = status.ProblemSchemas, "the schemas of records cannot be had since"
		case record.NoMemory:
			kind, says = status.ProblemMemory, "there is no memory for what records hold since"
		}
	}
	utc := func(t time.Time) string { return t.UTC().Format(time.RFC3339) }
	text := fmt.Sprintf("%s %s, %d records wait: %v", says, utc(since), d.Waiting, hold.Cause)
	switch {
	case hold.Since.Equal(hold.CauseSince):
	case kind == status.ProblemUnavailable:
		text += fmt.Sprintf(" (for this reason since %s)", utc(hold.CauseSince))
	default:
		text += fmt.Sprintf(" (no calls are taken since %s)", utc(hold.Since))
	}
	ps.Add(kind, text)
}

// addDispatchProblems says in words what keeps the dispatcher from delivering.
func addDispatchProblems(ps *status.Problems, d *dispatch.Status, cfg *Config) {
	held := d.Unavailable.Cause != nil
	if held {
		addUnavailable(ps, d, cfg)
	}
	if f := d.Failing; f != nil && !held {
		oldest := ""
		if !d.OldestCall.IsZero() {
			oldest = fmt.Sprintf("; the oldest call has been under way for %s", max(0, time.Since(d.OldestCall)).Round(time.Second))
		}
		ps.Add(status.ProblemFailing, fmt.Sprintf("failing: %d of the last %d calls: %s (%s/%d, offset %d; since %s%s)", f.Calls, f.Calls,
			cfg.Secrets.Clip(f.Err.Error(), maxFailure), f.Topic, f.Partition, f.Offset, f.Since.UTC().Format(time.RFC3339), oldest))
	}
	// A component may take nearly as long for each call, and is well.
	if h := d.Hanging; h != nil && !held && time.Since(h.Began) >= cfg.Settings.Delivery.HandleTimeout/4*3 {
		ps.Add(status.ProblemFailing, fmt.Sprintf("hanging: %s, of at most handle_timeout (%s)", HangingText(h, time.Now()), cfg.Settings.Delivery.HandleTimeout))
	}
	if d.Outputs != nil {
		ps.Add(status.ProblemOutputs, "outputs cannot be produced: "+d.Outputs.String())
	}
	if d.RetryTopic != nil {
		ps.Add(status.ProblemRetryTopics, fmt.Sprintf("records that failed cannot be written to their retry topics: %v", d.RetryTopic))
	}
	if d.DeadLetter != nil {
		ps.Add(status.ProblemDeadLetters, fmt.Sprintf("dead letters cannot be written to %s: %v", cfg.Settings.Delivery.DeadLetterTopic, d.DeadLetter))
	}
}
