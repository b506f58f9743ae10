package consume

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/messaging-kafka/messaging-kafka/internal/base/backoff"
	"github.com/messaging-kafka/messaging-kafka/internal/base/memory"
	"github.com/messaging-kafka/messaging-kafka/internal/base/redact"
	"github.com/messaging-kafka/messaging-kafka/internal/engine/dispatch"
	"github.com/messaging-kafka/messaging-kafka/internal/engine/kafka"
	"github.com/messaging-kafka/messaging-kafka/internal/observe/status"
	"github.com/messaging-kafka/messaging-kafka/internal/record"
	"github.com/messaging-kafka/messaging-kafka/internal/settings"
)

// Config is what a [Consumer] needs. Fields must be set unless their comment says otherwise.
type Config struct {
	Settings settings.Link
	Access   *kafka.Access
	// Receiver hands records to the component that Component names; with Batches, in batches.
	Receiver  record.Receiver
	Batches   bool
	Component string
	// Words are what the link is called in what is told.
	Words status.Words
	// Outputs produces what the component makes of records; nil where it makes nothing.
	Outputs *dispatch.Outputs
	// TransactionalID is the id of the link's transactions, the same after a restart; needed with them.
	TransactionalID string
	// Send stores dead letters, and records in retry topics; it returns what became of each when the broker has said so.
	// It is needed where the settings name such topics.
	Send    func(context.Context, ...record.Outgoing) []record.Result
	Limiter *semaphore.Weighted // nil: no limit beyond the link's own
	// Memory is what the link's records are taken from; nil is without a limit beyond the link's own. It is the
	// consumer's alone, which closes it in the end.
	Memory   *memory.Account
	Observer Observer
	// Secrets are taken out of what dead letters and the status tell; nil knows none.
	Secrets *redact.Redactor
	Log     *slog.Logger
}

// Observer hears what happens, for metrics. Its methods are called by many goroutines at once and must not block.
type Observer interface {
	dispatch.Observer
	// Fetched is called with what came from Kafka.
	Fetched(records, bytes int)
	// Rebalanced is called when the group has given the link partitions, or none.
	Rebalanced()
	// Missed is called with the number of records that were gone from a topic before they could be read.
	Missed(records int64)
	// Committed is called after each commit of offsets, those within transactions included.
	Committed(err error)
	// Transaction is called after each transaction, with the time that it took and with what it was to store: records of
	// that many bytes. An error says that nothing was.
	Transaction(err error, took time.Duration, records, bytes int)
}

// Consumer reads the topics of one link until it is stopped. Its methods may be called by many goroutines at once.
type Consumer struct {
	cfg    Config
	origin *origin
	ctx    context.Context // ends when Stop is called
	cancel context.CancelFunc
	done   chan struct{}
	// shareRecords is how many records a share session fetches at once; the supervisor's alone.
	shareRecords int

	mu       sync.Mutex
	stops    []context.Context // how long each call of Stop may take
	ending   *ending           // the end of the current session; nil before it is being ended
	current  running
	failure  error // why there is no session
	unended  error // see problems
	restarts int
	forGood  bool // the end leaves no place in the group behind
}

// running is a session as the supervisor sees it.
type running interface {
	// run works until ctx ends or the session cannot go on.
	run(ctx context.Context) error
	// close ends the session in order, within the time of e, which may be brought forward meanwhile.
	close(e *ending)
	status() Status
	// member is as whom the session is in its group; "" where it is in none, or not known by name.
	member() string
	partitions(now time.Time) []status.Partition
}

const (
	// abandonAfter bounds the end of a session that is to be followed by another.
	abandonAfter = 30 * time.Second
	unheardAfter = time.Second
)

// restarting is the wait before a failed session is followed by another.
var restarting = backoff.Backoff{First: time.Second, Most: 30 * time.Second}

// Start begins to consume in the background. Trouble with Kafka shows in [Consumer.Status], never as an end.
func Start(cfg Config) *Consumer {
	ctx, cancel := context.WithCancel(context.Background())
	c := &Consumer{
		cfg: cfg, origin: newOrigin(&cfg.Settings.Consumer), ctx: ctx, cancel: cancel, done: make(chan struct{}),
		shareRecords: cfg.Settings.Delivery.MaxInFlight,
	}
	go c.supervise()
	return c
}

func (c *Consumer) supervise() {
	defer close(c.done)
	defer c.cfg.Memory.Close()
	failures := 0
	for {
		began := time.Now()
		err := c.session()
		if c.ctx.Err() != nil {
			return
		}
		if time.Since(began) > restarting.Most {
			failures = 0
		}
		failures++
		wait := restarting.After(failures)
		c.cfg.Log.Warn("consuming is begun anew", "reason", err, "retry_in", wait)
		c.setFailure(err)
		if !backoff.Sleep(c.ctx, wait) {
			return
		}
	}
}

// session runs one session from its client to its end.
func (c *Consumer) session() error {
	var s running
	var err error
	if c.cfg.Settings.Consumer.GroupProtocol == settings.GroupShare {
		s, err = newShareSession(&c.cfg, c.shareRecords)
	} else {
		s, err = newSession(&c.cfg, c.origin, c.unended)
	}
	if err != nil {
		return fmt.Errorf("making a Kafka client: %w", err)
	}
	c.mu.Lock()
	c.current, c.failure = s, nil
	c.mu.Unlock()
	err = s.run(c.ctx)
	switch {
	case errors.Is(err, errNoMemory):
		c.shareRecords = max(1, c.shareRecords/fewer)
	case errors.Is(err, errLarge):
		c.shareRecords = 1
	}

	s.close(c.beginEnding(err))
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ending.over()
	if groups, ok := s.(*session); ok {
		c.unended = groups.problems.getUnended()
	}
	c.current, c.ending = nil, nil
	return err
}

// beginEnding says how long the end of the current session may take: what Stop says, and where none has come yet what a
// session may take that is followed by another one. A Stop that comes later bounds it, too.
func (c *Consumer) beginEnding(failure error) *ending {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ending = newEnding()
	c.ending.forGood = c.forGood
	for _, ctx := range c.stops {
		c.ending.follow(ctx)
	}
	if len(c.stops) == 0 {
		// Not of c.ctx, so that a Stop leaves the commit the time that it has.
		within := abandonAfter
		if errors.Is(failure, errNoHeartbeat) || errors.Is(failure, errForgotten) || errors.Is(failure, errOtherMember) {
			within = unheardAfter // the group that is to be left does not hear that either, waits for others first, or has no such member
		}
		c.ending.endBy(time.Now().Add(within))
	}
	return c.ending
}

func (c *Consumer) setFailure(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.failure = err
	c.restarts++
}

// Stop ends consuming: no call of the component starts any more, running ones may finish within the link's
// drain_timeout, what is finished is committed and the group is left. All of that is bounded by ctx: when it ends, the
// rest is given up, and delivered again by whoever reads the partition next. Where Stop is called more than once, the
// ctx that ends first counts.
func (c *Consumer) Stop(ctx context.Context) {
	c.Hurry(ctx)
	c.cancel()
	<-c.done
}

// LeaveForGood has the Stop to come leave the group also where the link is a static member (group_instance_id), whose
// partitions the group would keep for its return.
func (c *Consumer) LeaveForGood() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.forGood = true
}

// Hurry bounds a Stop, under way or to come, by ctx as well, and does not wait for it.
func (c *Consumer) Hurry(ctx context.Context) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stops = append(c.stops, ctx)
	if c.ending != nil {
		c.ending.follow(ctx)
	}
}

// Member returns as whom the consumer is in its group, "" where it is in none.
func (c *Consumer) Member() string {
	c.mu.Lock()
	s := c.current
	c.mu.Unlock()
	if s == nil {
		return ""
	}
	return s.member()
}

// Status says how a consumer is doing.
type Status struct {
	// Problems are the reasons, in words for the operator, why records do not flow as they should. None means that
	// all is well.
	Problems status.Problems
	// Joined tells whether the link is a member of its group.
	Joined   bool
	Dispatch dispatch.Status
}

// Status returns a snapshot.
func (c *Consumer) Status() Status {
	c.mu.Lock()
	s, failure, unended := c.current, c.failure, c.unended
	c.mu.Unlock()
	if s != nil {
		return s.status()
	}
	if unended != nil && errors.Is(failure, unended) {
		kind, doing, cause := commitFailed(c.cfg.Access, unended)
		return Status{Problems: status.Problems{{Kind: kind, Text: doing + cause}}}
	}
	if failure == nil {
		return Status{Problems: status.Problems{{Kind: status.ProblemStarting, Text: "starting"}}}
	}
	return Status{Problems: status.Problems{{Kind: status.ProblemKafka, Text: c.cfg.Access.Explain(failure).Text}}}
}
