package request

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/messaging-kafka/messaging-kafka/internal/base/memory"
	"github.com/messaging-kafka/messaging-kafka/internal/engine/kafka"
	"github.com/messaging-kafka/messaging-kafka/internal/observe/status"
	"github.com/messaging-kafka/messaging-kafka/internal/record"
	"github.com/messaging-kafka/messaging-kafka/internal/settings"
)

// maxPending bounds the requests of one [Requester] that wait for an answer.
const maxPending = 10_000

var (
	// ErrTooMany is returned for a request beyond what may wait for answers at once.
	ErrTooMany = fmt.Errorf("too many requests in flight: %d wait for an answer already", maxPending)
	// ErrStopped is returned for requests during and after [Requester.Stop].
	ErrStopped = errors.New("no more requests are made: it is being shut down")
)

// Observer hears the ends of requests, for metrics. Its methods are called by many goroutines at once and must not
// block.
type Observer interface {
	// Answered is called with the time from the call of [Requester.Do] to the answer.
	Answered(took time.Duration)
	// TimedOut is called when the deadline of a request passes without an answer.
	TimedOut()
	// Late is called for an answer to a request of this Requester that nobody waits for any more: its deadline has
	// passed, or it has been answered before.
	Late()
}

// Config is what a [Requester] needs. All fields but Observer and Log must be set.
type Config struct {
	// Settings must name a ReplyTopic.
	Settings settings.Request
	// Create says whether and how the reply topic is created where it is missing.
	Create settings.CreateTopics
	Access *kafka.Access
	// MaxMessageBytes is the largest record that the link expects. A batch of answers may take a few of them.
	MaxMessageBytes int64
	// Memory is what answers are taken from until somebody has them; nil is without a limit. It is the requester's alone,
	// which closes it in the end.
	Memory *memory.Account
	// Publish stores a request. It returns when Kafka has acknowledged it, or when that failed.
	Publish  func(context.Context, ...record.Outgoing) []record.Result
	Observer Observer
	Log      *slog.Logger
}

// Requester sends the requests of one link and reads the answers. Several of them, in this process or others, can
// share a reply topic: each takes the answers to its own requests. Its methods may be called by many goroutines at
// once.
type Requester struct {
	cfg     Config
	pending *pending
	state   *state

	ctx    context.Context // ends when Stop is called
	cancel context.CancelFunc
	done   chan struct{} // closed when the reader has ended

	mu      sync.Mutex
	stopped bool
	calls   sync.WaitGroup // the running calls of Do; mu guards Add against Stop
}

// Start begins to read the reply topic in the background, from its end as of now. Trouble with Kafka shows in
// [Requester.Problems], never as an end.
func Start(cfg Config) *Requester {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Observer == nil {
		cfg.Observer = noObserver{}
	}
	r := &Requester{
		cfg:     cfg,
		pending: newPending(maxPending),
		state:   newState(cfg.Settings.ReplyTopic, cfg.Access),
		done:    make(chan struct{}),
	}
	r.ctx, r.cancel = context.WithCancel(context.Background())
	go r.read()
	return r
}

type noObserver struct{}

func (noObserver) Answered(time.Duration) {}
func (noObserver) TimedOut()              {}
func (noObserver) Late()                  {}

// Do sends a request and returns its answer. The deadline of ctx is the request's timeout. out.Topic may be a whole
// subject, as for a publish; headers of out that tell of another request are replaced.
//
// An error is one of Publish, or [ErrTooMany] or [ErrStopped], or says that no answer came in time and wraps the
// error of ctx, or says why answers cannot be read. It is in words for the author of the component.
func (r *Requester) Do(ctx context.Context, out record.Outgoing) (*record.Record, error) {
	began := time.Now()
	if err := r.refuse(out.Topic); err != nil {
		return nil, err
	}
	if !r.enter() {
		return nil, ErrStopped
	}
	defer r.calls.Done()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(r.ctx, func() { cancel(ErrStopped) })()

	// The entry is there before the request is sent: an answer can be faster than Kafka's acknowledgement.
	call, err := r.pending.add()
	if err != nil {
		return nil, err
	}
	defer r.pending.remove(call)
	if err := r.state.wait(ctx); err != nil {
		if ctx.Err() != nil {
			return nil, r.unanswered(ctx, out.Topic, began)
		}
		return nil, err
	}
	out.Headers = r.headers(out.Headers, call.correlation)
	if err := r.cfg.Publish(ctx, out)[0].Err; err != nil {
		if r.pending.remove(call) {
			return nil, r.unsent(ctx, err)
		}
		// Only the acknowledgement was lost, for there is an answer.
		return r.answered(call, began), nil
	}
	select {
	case answer := <-call.answer:
		r.cfg.Observer.Answered(time.Since(began))
		return answer, nil
	case <-ctx.Done():
		if r.pending.remove(call) {
			return nil, r.unanswered(ctx, out.Topic, began)
		}
		return r.answered(call, began), nil
	}
}

// answered takes the answer that is there for sure.
func (r *Requester) answered(c *call, began time.Time) *record.Record {
	r.cfg.Observer.Answered(time.Since(began))
	return <-c.answer
}

// refuse refuses requests that no answer can come to.
func (r *Requester) refuse(subject string) error {
	address, err := record.ParseSubject(subject)
	switch {
	case err != nil:
		return fmt.Errorf("requesting: %w", err)
	case address.Correlation != nil:
		return fmt.Errorf("requesting from %s: the subject is the address of an answer, which can be published to and not requested from", subject)
	case address.Topic == r.cfg.Settings.ReplyTopic:
		return fmt.Errorf("requesting from %s: that is the request_reply_topic, where answers are read", subject)
	}
	return nil
}

// headers adds those of the request to what the record carries.
func (r *Requester) headers(given []record.Header, correlation []byte) []record.Header {
	address := record.ReplyAddress{
		Topic: r.cfg.Settings.ReplyTopic, Partition: r.cfg.Settings.ReplyPartition, Correlation: correlation,
	}
	own := address.RequestHeaders()
	headers := make([]record.Header, 0, len(given)+len(own))
	for _, h := range given {
		if !slices.Contains([]string{record.CorrelationHeader, record.ReplyTopicHeader, record.ReplyPartitionHeader}, h.Key) {
			headers = append(headers, h)
		}
	}
	return append(headers, own...)
}

// unsent is the error of a request that failed to be published, or of which that is not known.
func (r *Requester) unsent(ctx context.Context, err error) error {
	switch {
	case errors.Is(context.Cause(ctx), ErrStopped):
		return ErrStopped
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		r.cfg.Observer.TimedOut()
	}
	return err
}

// unanswered is the error of a request whose ctx ended.
func (r *Requester) unanswered(ctx context.Context, topic string, began time.Time) error {
	if errors.Is(context.Cause(ctx), ErrStopped) {
		return ErrStopped
	}
	e := &unansweredError{err: ctx.Err()}
	if deadline, ok := ctx.Deadline(); ok && errors.Is(ctx.Err(), context.DeadlineExceeded) {
		r.cfg.Observer.TimedOut()
		e.text = fmt.Sprintf("no answer on %s within %s", r.cfg.Settings.ReplyTopic, deadline.Sub(began).Round(time.Millisecond))
	} else {
		e.text = fmt.Sprintf("the wait for an answer on %s was given up", r.cfg.Settings.ReplyTopic)
	}
	e.text = fmt.Sprintf("requesting from %s: %s", topic, e.text)
	if problems := r.Problems(); len(problems) > 0 {
		e.text += ": " + problems[0].Text
	}
	return e
}

// unansweredError leaves the text of the context's error out, which says nothing that its own does not.
type unansweredError struct {
	text string
	err  error
}

func (e *unansweredError) Error() string { return e.text }
func (e *unansweredError) Unwrap() error { return e.err }

func (r *Requester) enter() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stopped {
		return false
	}
	r.calls.Add(1)
	return true
}

// Pending is the number of requests that wait for an answer.
func (r *Requester) Pending() int { return r.pending.len() }

// Problems returns why answers cannot be read at present, in words for the operator. None means that all is well.
func (r *Requester) Problems() status.Problems { return r.state.problems() }

// Stop ends the reading and all running requests, with [ErrStopped]. It waits for them, at most until ctx ends. Only
// the first call has an effect; every call waits.
func (r *Requester) Stop(ctx context.Context) {
	r.mu.Lock()
	r.stopped = true
	r.mu.Unlock()
	r.cancel()
	ended := make(chan struct{})
	go func() {
		r.calls.Wait()
		<-r.done
		close(ended)
	}()
	select {
	case <-ended:
	case <-ctx.Done():
		r.cfg.Log.Warn("stopping the requests took too long", "topic", r.cfg.Settings.ReplyTopic, "requests", r.Pending())
	}
}
