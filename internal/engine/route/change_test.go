package route

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/messaging-kafka/messaging-kafka/internal/observe/status"
	"github.com/messaging-kafka/messaging-kafka/internal/payload"
	"github.com/messaging-kafka/messaging-kafka/internal/record"
)

// hanging takes records and answers for none of them until it may, or the time for a call is over.
type hanging struct {
	begun chan struct{}
	may   chan struct{}

	mu            sync.Mutex
	running, most int
}

func newHanging() *hanging {
	return &hanging{begun: make(chan struct{}, 100), may: make(chan struct{})}
}

// Receive implements record.Receiver.
func (h *hanging) Receive(ctx context.Context, batch []*record.Record) []record.Outcome {
	h.mu.Lock()
	h.running++
	h.most = max(h.most, h.running)
	h.mu.Unlock()
	h.begun <- struct{}{}
	defer func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.running--
	}()
	select {
	case <-h.may:
		return record.Each(len(batch), record.Outcome{Kind: record.Done})
	case <-ctx.Done():
		return record.Each(len(batch), record.Outcome{Kind: record.Retry, Err: ctx.Err()})
	}
}

// mostAtOnce is how many calls there were at once.
func (h *hanging) mostAtOnce() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.most
}

// mayPublish waits until nothing is left to be done at once, and then wants that the route may publish to one topic and
// not to another.
func (b *bench) mayPublish(r *Route, allowed, refused string) {
	b.t.Helper()
	synctest.Wait()
	ctx, cancel := context.WithTimeout(b.t.Context(), time.Second)
	defer cancel()
	if err := r.Publish(ctx, nil, payload.Message{Subject: allowed, Body: []byte("x")}); err != nil {
		b.t.Errorf("to %s: %v", allowed, err)
	}
	if err := r.Publish(ctx, nil, payload.Message{Subject: refused, Body: []byte("x")}); err == nil {
		b.t.Errorf("to %s: the settings of before still hold", refused)
	}
}

// holdPublishes has Kafka take n requests with records and not answer them until that is called.
func (b *bench) holdPublishes(n int64) (arrived <-chan struct{}, answer func()) {
	came, hold := make(chan struct{}, n), make(chan struct{})
	var taken atomic.Int64
	b.kafka.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
		b.kafka.KeepControl()
		if taken.Add(1) <= n {
			came <- struct{}{}
			b.kafka.SleepControl(func() { <-hold })
		}
		return nil, nil, false
	})
	answer = sync.OnceFunc(func() { close(hold) })
	b.t.Cleanup(answer)
	return came, answer
}

// TestEachOfManyChangesPublishesByItsSettingsAtOnce, whatever the changes before it wait for. The old reading ends in
// its time beside that, and only then the next one begins: by the settings of the last change.
func TestEachOfManyChangesPublishesByItsSettingsAtOnce(t *testing.T) {
	const changes = 20
	for _, ended := range []bool{true, false} {
		t.Run(fmt.Sprint("the call ends by itself: ", ended), func(t *testing.T) {
			virtually(t, func(b *bench) {
				b.topics("in", "in.reply", "a", "b")
				h := newHanging()
				put := func(allowed string, more ...string) *Route {
					config := b.config("in", append([]string{"allowed_topics", allowed, "drain_timeout", "10m", "group_instance_id", "auto"}, more...)...)
					return b.putWith(target(config), func(Delivery) record.Receiver { return h })
				}
				put("b")
				b.kc.ProduceText("in", "v")
				<-h.begun
				members := b.kc.MemberIDs(defaultGroup)
				began := time.Now()
				for i := range changes {
					allowed, refused := "a", "b"
					if i%2 == 1 {
						allowed, refused = refused, allowed
					}
					b.mayPublish(put(allowed, "max_in_flight", fmt.Sprint(10+i)), allowed, refused)
				}
				if took := time.Since(began); took > time.Second {
					b.t.Errorf("%d changes took %v", changes, took)
				}
				if now := b.kc.MemberIDs(defaultGroup); len(now) != 1 || now[0] != members[0] {
					b.t.Errorf("while the old reading ends the group's members are %v, before they were %v", now, members)
				}
				if ended {
					close(h.may)
					b.kc.WaitDrained(defaultGroup, "in")
				} else {
					<-h.begun // again, by the reading that comes after the old one
					close(h.may)
				}
				b.waitLines(fmt.Sprintf("max_in_flight=%d", 10+changes-1), 1)
				b.awaitStatus(func(s *status.Provider) error {
					if l := linkOf(s, targetID); l.State != status.Healthy {
						return errors.New(l.Reason)
					}
					return nil
				})
				if took := time.Since(began); took > replaceTimeout+5*time.Second || ended && took > 10*time.Second {
					b.t.Errorf("reading by the last settings began after %v", took)
				}
				b.kc.WaitDrained(defaultGroup, "in")
				b.kc.WaitMembers(defaultGroup, 1)
				if most := h.mostAtOnce(); most != 1 {
					b.t.Errorf("%d calls for one record at once", most)
				}
			})
		})
	}
}

// TestAChangeIsAtOnceWhateverTheOneBeforeItWaitsFor: publishes that hang, by a producer whose settings or credentials
// are others now; another link, before which this one must not read.
func TestAChangeIsAtOnceWhateverTheOneBeforeItWaitsFor(t *testing.T) {
	for sentence, change := range map[string][]string{
		"a producer of other settings": {"compression", "gzip"},
		"a producer of another user":   {"security_protocol", "SASL_PLAINTEXT", "sasl_mechanism", "PLAIN", "sasl_username", "new", "sasl_password", "pass"},
	} {
		t.Run(sentence, func(t *testing.T) {
			virtually(t, func(b *bench) {
				b.topics("a", "b", "slow")
				arrived, answer := b.holdPublishes(1)
				r := b.put(target(b.config("", "allowed_topics", "slow")))
				published := make(chan error, 1)
				go func() {
					published <- r.Publish(context.WithoutCancel(b.t.Context()), nil, payload.Message{Subject: "slow", Body: []byte("x")})
				}()
				<-arrived
				b.put(target(b.config("", append([]string{"allowed_topics", "slow"}, change...)...)))
				synctest.Wait() // or the change that follows takes its place
				b.mayPublish(b.put(target(b.config("", "allowed_topics", "a"))), "a", "b")
				b.mayPublish(b.put(target(b.config("", "allowed_topics", "b"))), "b", "a")
				answer()
				if err := <-published; err != nil {
					b.t.Errorf("the publish that hung: %v", err)
				}
			})
		})
	}
	t.Run("another link", func(t *testing.T) {
		virtually(t, func(b *bench) {
			b.topics("in", "in.reply", "a", "b")
			b.set.Open(ID{"echo", "default", "0"}, target(nil).label) // what it is to do is never said
			b.mayPublish(b.put(target(b.config("in", "allowed_topics", "a"))), "a", "b")
			b.mayPublish(b.put(target(b.config("in", "allowed_topics", "b"))), "b", "a")
		})
	})
	t.Run("a call, and the change is one that cannot be carried out", func(t *testing.T) {
		virtually(t, func(b *bench) {
			b.topics("in", "in.reply", "a", "b")
			h := newHanging()
			put := func(allowed string) *Route {
				return b.putWith(target(b.config("in", "allowed_topics", allowed, "drain_timeout", "10m")), func(Delivery) record.Receiver { return h })
			}
			r := put("a")
			b.kc.ProduceText("in", "v")
			<-h.begun
			b.mayPublish(put("b"), "b", "a")
			r.Refuse(errors.New("no"))
			synctest.Wait()
			if err := r.Publish(b.t.Context(), nil, payload.Message{Subject: "b"}); err == nil {
				b.t.Error("a link that is refused publishes")
			}
			b.mayPublish(put("a"), "a", "b")
			b.kc.WaitMembers(defaultGroup, 1)
			close(h.may)
			b.kc.WaitDrained(defaultGroup, "in")
		})
	})
}

// TestWhatManyChangesLeaveBehindIsBounded: where publishes hang by all the producers that changes one after the other
// have replaced, the oldest are cut off.
func TestWhatManyChangesLeaveBehindIsBounded(t *testing.T) {
	virtually(t, func(b *bench) {
		const changes = 3 * maxBeside
		b.topics("slow", "other")
		arrived, answer := b.holdPublishes(changes)
		var published [changes]chan error
		var r *Route
		for i := range published {
			r = b.put(target(b.config("", "allowed_topics", "slow", "compression", []string{"none", "gzip", "snappy", "lz4", "zstd"}[i%5])))
			synctest.Wait()
			published[i] = make(chan error, 1)
			go func() {
				published[i] <- r.Publish(context.WithoutCancel(b.t.Context()), nil, payload.Message{Subject: "slow", Body: []byte("x")})
			}()
			<-arrived
		}
		if n := len(r.beside); n != maxBeside {
			b.t.Errorf("%d things go on beside the route, want %d", n, maxBeside)
		}
		answer()
		for i := range published {
			if err := <-published[i]; (err == nil) != (i >= changes-1-maxBeside) {
				b.t.Errorf("publish %d of %d: %v", i, changes, err)
			}
		}
		b.mayPublish(r, "slow", "other")
	})
}
