package consume

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/messaging-kafka/messaging-kafka/internal/base/backoff"
	"github.com/messaging-kafka/messaging-kafka/internal/base/deadline"
	"github.com/messaging-kafka/messaging-kafka/internal/engine/dispatch"
	"github.com/messaging-kafka/messaging-kafka/internal/engine/kafka"
	"github.com/messaging-kafka/messaging-kafka/internal/observe/status"
	"github.com/messaging-kafka/messaging-kafka/internal/record"
)

// shareSession is one membership in a share group (KIP-932). There the broker keeps the state of each record, so
// there are no offsets, no order and no partitions of one's own: each record is accepted, released for another
// delivery, or rejected. The client takes a record that is left undecided at the next poll for accepted, so each poll
// is followed through to its last verdict before the next.
type shareSession struct {
	cfg      *Config
	log      *slog.Logger
	cl       *kgo.Client
	caller   dispatch.Caller
	letters  dispatch.DeadLetters
	problems problems
	stable   kafka.StableOffsets
	// fetched bounds what the client makes of a fetch, records how many of them one brings.
	fetched *kafka.Fetched
	records int
	// limit is the number of deliveries after which the broker drops a record, 0 where it is not known. It is set before
	// the loops begin.
	limit int
	// crowded takes the error that ends the session: a fetch brought more than there is room for, or the group is another.
	crowded chan error
	fetches *shareFetches
	// settled are the partitions that have been given out and fetched. Only the monitor uses it.
	settled map[topicPartition]struct{}
	// renewed has room for one token: the client is to find a topic again.
	renewed chan struct{}
	loops   sync.WaitGroup
	stop    context.CancelFunc
	// calls is what running calls live in; it outlasts the loops by the time that a stop leaves them.
	calls     context.Context
	giveUp    context.CancelFunc
	deadlines *deadline.Shared // of single calls
	// lasting is what the dead letters live in of records that the broker does not deliver again. It outlasts calls, since
	// a call that a stop has given up is what such a letter tells of.
	lasting    context.Context
	endLetters context.CancelFunc
	// life is the client's own context; kill ends it, and with it whatever the client waits for.
	life context.Context
	kill context.CancelFunc

	mu          sync.Mutex
	polled      time.Time // when the records came that are being handled; zero where there are none
	inFlight    int
	buffered    int64
	unavailable dispatch.Hold
	unstored    dispatch.UnstoredRecords[*record.Record]
	running     dispatch.Calls
	large       map[topicPartition]error // partitions that are not read because of a batch that is too large
	waiting     int                      // of inFlight: records that no component has taken yet
	positions   map[topicPartition]*groupPosition
	acquired    map[topicPartition][]int64
}

// shareFetchWait is the longest that a broker may hold a fetch of a share group that has nothing to bring.
const shareFetchWait = 50 * time.Millisecond

func newShareSession(cfg *Config, records int) (*shareSession, error) {
	s := &shareSession{
		cfg: cfg, log: cfg.Log, records: records, fetches: newShareFetches(),
		renewed: make(chan struct{}, 1), crowded: make(chan error, 1),
		large: make(map[topicPartition]error), positions: make(map[topicPartition]*groupPosition), acquired: make(map[topicPartition][]int64),
	}
	limits := fetchLimits(cfg)
	limits.Whole = true
	var err error
	if s.fetched, err = kafka.NewFetched(limits); err != nil {
		return nil, err
	}
	s.readyCalls(context.Background())
	s.life, s.kill = context.WithCancel(context.Background())
	s.problems.group, s.problems.access, s.problems.log = cfg.Settings.Consumer.Group, cfg.Access, cfg.Log
	if err := kgo.ValidateOpts(s.options()...); err != nil {
		s.giveUp()
		s.endLetters()
		s.kill()
		return nil, err
	}
	return s, nil
}

// readyCalls makes what calls of the component and the end of their records need, all of which ends with parent at the
// latest.
func (s *shareSession) readyCalls(parent context.Context) {
	s.calls, s.giveUp = context.WithCancel(parent)
	s.lasting, s.endLetters = context.WithCancel(parent)
	timeout := s.cfg.Settings.Delivery.HandleTimeout
	s.deadlines = deadline.New(s.calls, timeout, timeout+timeout/100, nil)
	s.caller = dispatch.Caller{
		Receiver: s.cfg.Receiver, Batches: s.cfg.Batches, Limiter: s.cfg.Limiter, Timeout: timeout,
		Observer: s.cfg.Observer, Log: s.log,
	}
	s.letters.Store, s.letters.Delivery, s.letters.Observer = s.cfg.deadLetter(), &s.cfg.Settings.Delivery, s.cfg.Observer
}

func (s *shareSession) options() []kgo.Opt {
	cfg := s.cfg
	return append(append(clientOptions(cfg), s.fetched.Options()...),
		kgo.WithContext(s.life),
		kgo.ShareGroup(cfg.Settings.Consumer.Group),
		// Acknowledgements and the leave wait for the fetch that is under way, and a host leaves a stop 300 ms.
		kgo.FetchMaxWait(min(cfg.Settings.Consumer.FetchMaxWait, shareFetchWait)),
		kgo.ShareMaxRecords(int32(s.records)),
		// Strictly so, and no fetch before the poll that wants it: what waits in the client is locked but not renewed, and
		// each lock that runs out brings the record nearer to the number of deliveries after which the broker drops it.
		kgo.ShareMaxRecordsStrict(),
		kgo.ShareAckCallback(s.acknowledged),
		kgo.WithHooks(&s.problems, s.fetches),
	)
}

func (s *shareSession) run(ctx context.Context) error {
	ctx, s.stop = context.WithCancel(ctx)
	if err := s.join(ctx); err != nil || s.cl == nil {
		return err
	}
	s.loops.Go(func() { s.monitor(ctx) })
	s.loops.Go(func() { s.poll(ctx) })
	s.loops.Go(func() { s.watchGroup(ctx) })
	s.loops.Go(func() { s.watchLost(ctx) })
	if s.cfg.Settings.Consumer.ReadCommitted {
		s.loops.Go(func() { s.watchStable(ctx) })
	}
	select {
	case err := <-s.crowded:
		return err
	case <-ctx.Done():
		return nil
	}
}

// join makes the client, which joins the group by itself, when the group is a share group that knows where to start and
// which records are meant: with the first fetch of a partition the broker decides where it begins, and for good. Only
// the end of ctx is no error and leaves no client.
func (s *shareSession) join(ctx context.Context) error {
	plain, err := kgo.NewClient(s.cfg.Access.Options()...)
	if err != nil {
		return err
	}
	defer plain.Close()
	for {
		var found []problem
		if err := s.knowsShareGroups(ctx, plain); err != nil {
			found = []problem{{kind: status.ProblemKafka, err: err}}
		} else if err := s.otherKind(ctx, plain); err != nil {
			found = []problem{{kind: status.ProblemGroup, err: err}}
		} else {
			found = s.configure(ctx, plain)
		}
		if ctx.Err() != nil {
			return nil
		}
		s.problems.setChecks(found)
		if found == nil {
			// Before the first fetch, with which the broker passes over what is gone.
			s.lookForLost(ctx, plain, s.cfg.Settings.Consumer.Topics)
			s.cl, err = kgo.NewClient(s.options()...)
			return err
		}
		if !backoff.Sleep(ctx, checkAgain) {
			return nil
		}
	}
}

func (*shareSession) knowsShareGroups(ctx context.Context, plain *kgo.Client) error {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	return checkShareProtocol(ctx, kadm.NewClient(plain))
}

// monitor watches the topics.
func (s *shareSession) monitor(ctx context.Context) {
	w := watcher{
		cfg: s.cfg, cl: s.cl, adm: kadm.NewClient(s.cl),
		before:  func(context.Context) error { return nil },
		awaited: s.awaited,
		report:  s.problems.setChecks,
	}
	w.watch(ctx, s.renewed)
}

// watchStable watches the last stable offsets of the topics: no member of the group gets records beyond them.
func (s *shareSession) watchStable(ctx context.Context) {
	adm := kadm.NewClient(s.cl)
	for backoff.Sleep(ctx, kafka.StableEvery) {
		look, cancel := context.WithTimeout(ctx, measureLimit)
		if topics := s.cl.GetConsumeTopics(); len(topics) > 0 {
			partitions := make(map[string][]int32)
			details, _ := adm.Metadata(look, topics...) // that it fails is told by the monitor
			for topic, detail := range details.Topics {
				partitions[topic] = detail.Partitions.Numbers()
			}
			s.stable.Look(look, s.cl, partitions)
		}
		cancel()
	}
}

func (s *shareSession) poll(ctx context.Context) {
	for ctx.Err() == nil {
		// The client fetches for as long as it is polled, and an error that lasts comes with each fetch: what is not told
		// again in all that time is over.
		polling, cancel := context.WithTimeout(ctx, errorOver)
		fetches := s.cl.PollRecords(polling, s.records)
		refusal := s.fetched.Refusal()
		if errors.Is(fetches.Err0(), context.DeadlineExceeded) {
			s.problems.clearPartitions()
		}
		cancel()
		failed := false
		recreated := make(map[string]struct{})
		fetches.EachPartition(func(f kgo.FetchTopicPartition) {
			if f.Topic == "" || ctx.Err() != nil {
				return
			}
			tp := topicPartition{f.Topic, f.FetchPartition.Partition}
			if len(f.Records) > 0 {
				s.fetches.brought(tp) // its records may be handled for long, and nothing is fetched meanwhile
			}
			if f.Err == nil {
				s.problems.clearPartition(tp)
				s.problems.clearPartition(topicPartition{f.Topic, -1})
				return
			}
			if errors.Is(f.Err, kerr.UnknownTopicID) {
				recreated[f.Topic] = struct{}{}
			}
			failed = true // records may have come with it all the same
			if refusal != nil {
				s.refused(tp, refusal)
				return
			}
			s.problems.setPartition(tp, kafka.ReadError(&f.FetchPartition, f.Err, kafka.NoOffset))
		})
		if fetches.IsClientClosed() {
			return
		}
		s.handle(ctx, fetches.Records())
		s.fetched.Taken(fetches, 0)
		s.renew(slices.Sorted(maps.Keys(recreated)))
		if failed {
			backoff.Sleep(ctx, errorPause)
		}
	}
}

// renew has the client forget topics that were deleted and created again, which it would take for the old ones for
// ever, and find them anew.
func (s *shareSession) renew(topics []string) {
	if len(topics) == 0 {
		return
	}
	s.log.Warn("topics were deleted and created again: they are begun anew", "topics", topics)
	s.cl.PurgeTopicsFromConsuming(slices.Clone(topics)...)
	s.cl.AddConsumeTopics(topics...) // nothing where there is a pattern: it matches again
	s.fetches.forget(topics)
	s.mu.Lock()
	maps.DeleteFunc(s.positions, func(tp topicPartition, _ *groupPosition) bool { return slices.Contains(topics, tp.topic) })
	s.mu.Unlock()
	s.problems.clearTopics(topics)
	s.problems.left() // until the monitor has seen that the topics are read
	signal(s.renewed)
}

// handle brings every record of a poll to its verdict.
func (s *shareSession) handle(ctx context.Context, fetched []*kgo.Record) {
	if len(fetched) == 0 {
		return
	}
	bytes := 0
	s.setPolled(time.Now())
	defer s.setPolled(time.Time{})
	held := &heldRecords{open: make(map[*kgo.Record]struct{}, len(fetched))}
	for _, f := range fetched {
		held.open[f] = struct{}{}
	}
	keeping, stopKeeping := context.WithCancel(s.calls)
	var keeper sync.WaitGroup
	keeper.Go(func() { s.keep(keeping, held, time.Until(fetched[0].AcquisitionDeadline())) })
	var calls sync.WaitGroup
	for _, f := range fetched {
		r := kafka.CopyRecord(f)
		bytes += r.Size()
		s.take(1, r.Cost())
		s.hold(topicPartition{r.Topic, r.Partition}, r.Offset)
		calls.Go(func() {
			defer s.take(-1, -r.Cost())
			ack := s.decide(ctx, f, r)
			s.settle(topicPartition{r.Topic, r.Partition}, r.Offset, ack)
			held.decide(f, ack)
		})
	}
	s.cfg.Observer.Fetched(len(fetched), bytes)
	calls.Wait()
	stopKeeping()
	keeper.Wait()
	flush, cancel := context.WithTimeout(s.calls, commitTimeout)
	defer cancel()
	if err := s.cl.FlushAcks(flush); err != nil && s.calls.Err() == nil {
		s.log.Warn("acknowledging records failed: the broker will deliver them again", "error", err)
	}
}

// These end a session whose fetches bring more than there is room for. The next one fetches fewer records, or, so that
// it is known in which partition a batch is too large, one by one. Each time that records are given back brings them
// nearer to the number of deliveries after which the broker drops them, so these are large steps.
var (
	errNoMemory = errors.New("a fetch brought more than there is memory for")
	errLarge    = errors.New("a fetch brought a batch that is larger than there is memory for")
)

const fewer = 8

// refused acts on a batch that was not decompressed, of a fetch whose records the client has given back. Where it can
// never be, its partition is not read any more, since each time that its records are fetched counts as a delivery.
func (s *shareSession) refused(tp topicPartition, refusal error) {
	large, found := errors.AsType[*kafka.BatchTooLargeError](refusal)
	if !found || s.records > 1 {
		cause := errNoMemory
		if found {
			cause = errLarge
		}
		select {
		case s.crowded <- cause:
		default:
		}
		return
	}
	s.mu.Lock()
	s.large[tp] = fmt.Errorf("%w; the partition is read again when this is put anew or changed", large)
	s.mu.Unlock()
	s.cl.PauseFetchPartitions(map[string][]int32{tp.topic: {tp.partition}})
	s.log.Error("a batch is too large for the memory that there is for it: its partition is not read any more", "topic", tp.topic, "partition", tp.partition, "error", large)
}

func (s *shareSession) setPolled(at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.polled = at
}

func (s *shareSession) take(records int, bytes int64) {
	s.cfg.Memory.Must(bytes)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.inFlight += records
	s.buffered += bytes
}

// wait counts a record that waits for a component to take calls, or waits no more.
func (s *shareSession) wait(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waiting += n
}

// heldRecords are the records of a poll that are still to be decided. Its lock keeps a record from being renewed after
// its verdict.
type heldRecords struct {
	mu   sync.Mutex
	open map[*kgo.Record]struct{}
}

func (h *heldRecords) decide(f *kgo.Record, status kgo.AckStatus) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.open, f)
	f.Ack(status)
}

func (h *heldRecords) renew() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for f := range h.open {
		f.Ack(kgo.AckRenew)
	}
}

// keep tells the broker, several times in the time that it leaves us a record, of verdicts and of records that are
// still being handled, so that it gives neither to somebody else. lock is that time.
func (s *shareSession) keep(ctx context.Context, held *heldRecords, lock time.Duration) {
	every := min(max(lock/4, minKeep), maxKeep)
	for backoff.Sleep(ctx, every) {
		held.renew()
		if err := s.cl.FlushAcks(ctx); err != nil && ctx.Err() == nil {
			s.log.Warn("acknowledging records failed: the broker may deliver them again", "error", err)
		}
	}
}

// errorOver is for how long a share group's error is not told again when it is over.
const errorOver = 5 * time.Second

const (
	minKeep = 50 * time.Millisecond
	maxKeep = 5 * time.Second
)

func (s *shareSession) setUnavailable(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case err != nil:
		if s.unavailable.Cause == nil {
			s.log.Warn("nobody takes calls: records wait", "reason", err)
		}
		s.unavailable.Because(err, time.Now())
	case s.unavailable.Cause != nil:
		s.log.Info("calls are taken again")
		s.unavailable = dispatch.Hold{}
	}
}

// noteUnstored keeps, for the status, why outputs of a record cannot be produced.
func (s *shareSession) noteUnstored(r *record.Record, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.unstored.Note(r, r.Topic, r.Partition, r.Offset, err) {
		s.log.Error("outputs cannot be produced; their records wait", "topic", r.Topic, "partition", r.Partition, "offset", r.Offset,
			"error", err)
	}
}

// nothingUnstored notes that a record has its verdict.
func (s *shareSession) nothingUnstored(r *record.Record) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.unstored.Over(r)
}

// acknowledged hears from the client how the broker took acknowledgements.
func (s *shareSession) acknowledged(_ *kgo.Client, results kgo.ShareAckResults) {
	s.cfg.Observer.Committed(results.Error())
	if err := results.Error(); err != nil {
		s.log.Warn("the broker refused acknowledgements: it will deliver the records again", "error", err)
	}
}

// close ends the session: running calls may finish within drain_timeout; what is undecided then is released, or gets
// its dead letter where the broker would drop it.
func (s *shareSession) close(e *ending) {
	defer s.kill()
	defer s.endLetters()
	defer context.AfterFunc(e, s.kill)() // the client's end waits for answers without an end
	s.stop()
	setting := s.cfg.Settings.Delivery.DrainTimeout
	drain, cancel := e.step(func(left time.Duration) time.Duration { return drainTime(left, setting) })
	after := context.AfterFunc(drain, s.giveUp)
	letters, cancelLetters := e.step(func(left time.Duration) time.Duration { return lastLetterTime(left, setting) })
	afterLetters := context.AfterFunc(letters, s.endLetters)
	s.loops.Wait()
	after()
	cancel()
	afterLetters()
	cancelLetters()
	if s.cl == nil {
		s.giveUp()
		return // it has never joined
	}
	if err := s.cl.LeaveGroupContext(e); err != nil && !errors.Is(err, context.Canceled) {
		s.log.Warn("leaving the share group failed: the broker notices at the session timeout", "error", err)
	}
	s.giveUp()
	s.cl.CloseAllowingRebalance()
	s.fetched.Close()
}

func (*shareSession) member() string { return "" }

func (s *shareSession) status() Status {
	letters := s.letters.Err()
	s.mu.Lock()
	st := Status{Dispatch: dispatch.Status{
		InFlight: s.inFlight - s.waiting, Waiting: s.waiting, Buffered: s.buffered, Oldest: s.polled,
		Unavailable: s.unavailable, DeadLetter: letters, Outputs: s.unstored.First(),
		OldestCall: s.running.Oldest(), Hanging: s.running.Hanging(time.Now()), Failing: s.running.Failing(time.Now(), s.inFlight > 0),
		LastFailure: s.running.LastFailure(),
	}}
	large := maps.Clone(s.large)
	s.mu.Unlock()
	st.Joined, st.Problems = s.problems.list()
	for _, tp := range slices.SortedFunc(maps.Keys(large), compareTopicPartitions) {
		st.Problems.Add(status.ProblemPartition, fmt.Sprintf("reading %s: %v", tp, large[tp]))
	}
	addOpenTransactions(&st.Problems, &s.stable)
	addMemoryProblem(&st.Problems, s.cfg.Memory)
	addDispatchProblems(&st.Problems, &st.Dispatch, s.cfg)
	return st
}
