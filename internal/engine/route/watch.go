package route

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/messaging-kafka/messaging-kafka/internal/engine/produce"
	"github.com/messaging-kafka/messaging-kafka/internal/engine/schema"
	"github.com/messaging-kafka/messaging-kafka/internal/observe/status"
)

// watch finds out what is wrong with a link by which its component publishes: whether its cluster can be reached,
// which without traffic nothing else tells, and whether the topics are well again to which a publish failed.
type watch struct {
	publisher *produce.Publisher
	codec     *schema.Codec // nil where there is no schema registry
	// ping is false where something else finds out about the cluster.
	ping   bool
	cancel context.CancelFunc
	done   chan struct{}
	wake   chan struct{} // has room for one token: a topic has gone bad

	mu     sync.Mutex
	err    error // why the cluster cannot be reached
	topics map[string]badTopic
	// any tells without the lock whether there are topics: each publish asks.
	any atomic.Bool
}

// badTopic is a topic to which the last publish failed for a reason that is not the component's.
type badTopic struct {
	text   string
	failed time.Time
	// lasting is a reason that Kafka can be asked about. Others are over when publishes succeed, or when none has failed
	// for calmAfter.
	lasting bool
}

var errNotYetReached = errors.New("connecting")

const (
	watchEvery = 5 * time.Second
	watchAgain = time.Second
	// maxBadTopics bounds the topics that are remembered: they are enough to say that something is wrong.
	maxBadTopics = 20
	calmAfter    = 10 * time.Second
	// forgetAfter is when a topic that nobody publishes to any more is no problem any more, whatever it is like.
	forgetAfter = 5 * time.Minute
)

// watchPublishes watches until [watch.stop].
func watchPublishes(publisher *produce.Publisher, codec *schema.Codec, ping bool) *watch {
	ctx, cancel := context.WithCancel(context.Background())
	w := &watch{
		publisher: publisher, codec: codec, ping: ping, cancel: cancel, done: make(chan struct{}), wake: make(chan struct{}, 1),
		topics: make(map[string]badTopic),
	}
	if ping {
		w.err = errNotYetReached
	}
	go w.run(ctx)
	return w
}

func (w *watch) run(ctx context.Context) {
	defer close(w.done)
	for {
		err := w.reach(ctx)
		if err == nil {
			w.askTopics(ctx)
		}
		w.codec.Look(ctx)
		if ctx.Err() != nil {
			return
		}
		wait := watchEvery
		if _, away := w.codec.Away(); err != nil || away != nil || w.any.Load() {
			wait = watchAgain
		}
		select {
		case <-time.After(wait):
		case <-w.wake:
		case <-ctx.Done():
			return
		}
	}
}

// reach tells why the cluster cannot be reached.
func (w *watch) reach(ctx context.Context) error {
	if !w.ping {
		return nil
	}
	attempt, cancel := context.WithTimeout(ctx, watchEvery)
	defer cancel()
	err := w.publisher.Ping(attempt)
	if ctx.Err() != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.err = err
	return err
}

// published notes the end of a publish. topic is where it went, or was to go.
func (w *watch) published(topic string, err error) {
	if err == nil {
		if w.any.Load() {
			w.clear(topic)
		}
		return
	}
	var failure *produce.Error
	if !errors.As(err, &failure) || failure.Topic == "" || errors.Unwrap(failure) == nil {
		return // the provider refused the record itself: that is between the component and its link
	}
	bad := badTopic{text: failure.Error(), failed: time.Now()}
	switch failure.Class {
	case produce.ClassUnknownTopic, produce.ClassNotAuthorised:
		bad.lasting = true
	case produce.ClassTimedOut, produce.ClassUnavailable:
	default:
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	_, known := w.topics[failure.Topic]
	if !known && len(w.topics) == maxBadTopics {
		return
	}
	w.topics[failure.Topic] = bad
	w.any.Store(true)
	if !known {
		select {
		case w.wake <- struct{}{}:
		default:
		}
	}
}

func (w *watch) clear(topic string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.topics, topic)
	w.any.Store(len(w.topics) > 0)
}

// askTopics asks Kafka whether bad topics are well again.
func (w *watch) askTopics(ctx context.Context) {
	if !w.any.Load() {
		return
	}
	w.mu.Lock()
	before := maps.Clone(w.topics)
	w.mu.Unlock()
	ask, cancel := context.WithTimeout(ctx, watchEvery)
	defer cancel()
	unwell, err := w.publisher.Writable(ask, slices.Sorted(maps.Keys(before))...)
	if err != nil {
		return // that the cluster cannot be reached is told already, or will be
	}
	now := time.Now()
	w.mu.Lock()
	defer w.mu.Unlock()
	for topic, was := range before {
		is, still := w.topics[topic]
		if !still || is != was && !is.lasting {
			continue
		}
		well := unwell[topic] == nil && (is.lasting || now.Sub(is.failed) >= calmAfter)
		if well || now.Sub(is.failed) >= forgetAfter {
			delete(w.topics, topic)
		}
	}
	w.any.Store(len(w.topics) > 0)
}

func (w *watch) stop() {
	w.cancel()
	<-w.done
}

func (w *watch) problems() status.Problems {
	w.mu.Lock()
	defer w.mu.Unlock()
	var list status.Problems
	switch {
	case errors.Is(w.err, errNotYetReached):
		list.Add(status.ProblemStarting, w.err.Error())
	case w.err != nil:
		list.Add(status.ProblemKafka, w.err.Error())
	}
	for _, topic := range slices.Sorted(maps.Keys(w.topics)) {
		list.Add(status.ProblemPublish, w.topics[topic].text)
	}
	return list
}
