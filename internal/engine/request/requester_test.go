package request

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/messaging-kafka/messaging-kafka/internal/record"
	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

// topics makes a fake Kafka with the topics of the tests.
func topics(t *testing.T, partitions int32) *testkit.FakeKafka {
	t.Helper()
	k := testkit.Kfake(t)
	k.Topic("requests", partitions)
	k.Topic("answers", partitions)
	return k
}

func TestARequestCarriesSpringsHeadersAndItsOwn(t *testing.T) {
	t.Parallel()
	k := topics(t, 3)
	cfg, seen := config(t, k.Brokers())
	requests := make(chan *kgo.Record, 1)
	newReplier(t, k.Brokers(), func(rp *replier, r *kgo.Record) {
		requests <- r
		a := answer(r)
		a.Key, a.Headers = []byte("k"), append(a.Headers, kgo.RecordHeader{Key: "x", Value: []byte("y")})
		rp.send(a)
	})
	r := start(t, cfg)
	out := request("hello")
	out.Headers = []record.Header{
		{Key: "traceparent", Value: []byte("00-1-2-3")},
		{Key: "kafka_correlationId", Value: []byte("of another request")},
		{Key: "kafka_replyPartition", Value: []byte{0, 0, 0, 9}},
	}
	ctx, cancel := context.WithTimeout(t.Context(), testkit.DefaultTimeout)
	defer cancel()
	got, err := r.Do(ctx, out)
	if err != nil {
		t.Fatal(err)
	}
	if string(got.Key) != "k" || string(got.Value) != "re: hello" || got.Topic != "answers" || got.Timestamp.IsZero() {
		t.Errorf("the answer is %+v", got)
	}
	if v, ok := got.Header("x"); !ok || string(v) != "y" {
		t.Errorf("the answer's headers are %v", got.Headers)
	}
	sent := <-requests
	var keys []string
	for _, h := range sent.Headers {
		keys = append(keys, h.Key)
	}
	if want := []string{"traceparent", "kafka_correlationId", "kafka_replyTopic"}; !slices.Equal(keys, want) {
		t.Errorf("the request has the headers %v, want %v", keys, want)
	}
	if id := header(sent, "kafka_correlationId"); len(id) != 16 || string(header(sent, "kafka_replyTopic")) != "answers" {
		t.Errorf("the request has the headers %v", sent.Headers)
	}
	seen.want(t, 1, 0, 0)
}

func TestThousandCallersOfTwoCopiesInFlightEachGetTheirOwnAnswer(t *testing.T) {
	t.Parallel()
	inFlight(t, topics(t, 4).Brokers())
}

// inFlight has two copies share a reply topic, each with a thousand callers. No request is answered before all are
// there, and then they are in a random order.
func inFlight(t *testing.T, brokers []string) {
	const copies, callers = 2, 1000
	var waiting []*kgo.Record
	newReplier(t, brokers, func(rp *replier, r *kgo.Record) {
		if waiting = append(waiting, answer(r)); len(waiting) == copies*callers {
			rand.Shuffle(len(waiting), func(i, j int) { waiting[i], waiting[j] = waiting[j], waiting[i] })
			rp.send(waiting...)
		}
	})
	var all []*counts
	var calls sync.WaitGroup
	for member := range copies {
		cfg, seen := config(t, brokers)
		all = append(all, seen)
		r := start(t, cfg)
		for caller := range callers {
			calls.Go(func() {
				text := fmt.Sprintf("%d of member %d", caller, member)
				got, err := ask(t, r, text)
				if err != nil {
					t.Errorf("%s: %v", text, err)
				} else if string(got.Value) != "re: "+text {
					t.Errorf("%s got %q", text, got.Value)
				}
			})
		}
	}
	calls.Wait()
	for _, seen := range all {
		seen.want(t, callers, 0, 0)
	}
}

func TestALateAnswerIsCountedAndDropped(t *testing.T) {
	t.Parallel()
	k := topics(t, 1)
	cfg, seen := config(t, k.Brokers())
	publishWhole(&cfg)
	other, seenByOther := config(t, k.Brokers())
	held := make(chan *kgo.Record, 1)
	rp := newReplier(t, k.Brokers(), func(rp *replier, r *kgo.Record) {
		if string(r.Value) == "hold" {
			held <- answer(r)
			return
		}
		echo(rp, r)
	})
	r, o := start(t, cfg), start(t, other)
	ready(t, r)
	ready(t, o)

	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := r.Do(ctx, request("hold"))
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "no answer on answers within 50ms") {
		t.Fatalf("got %v", err)
	}
	if n := r.Pending(); n != 0 {
		t.Errorf("%d requests are pending", n)
	}
	seen.want(t, 0, 1, 0)
	late := <-held
	rp.send(late)
	seen.want(t, 0, 1, 1)
	mustAnswer(t, r, "next")
	mustAnswer(t, o, "of the other copy")
	seen.want(t, 1, 1, 1)
	seenByOther.want(t, 1, 0, 0) // to which the late answer was nothing
}

func TestASecondAnswerIsCountedAsLate(t *testing.T) {
	t.Parallel()
	k := topics(t, 1)
	cfg, seen := config(t, k.Brokers())
	newReplier(t, k.Brokers(), func(rp *replier, r *kgo.Record) { rp.send(answer(r), answer(r)) })
	mustAnswer(t, start(t, cfg), "a")
	seen.want(t, 1, 0, 1)
}

func TestACallerThatGivesUpIsNotATimeout(t *testing.T) {
	t.Parallel()
	k := topics(t, 1)
	cfg, seen := config(t, k.Brokers())
	publishWhole(&cfg)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	newReplier(t, k.Brokers(), func(*replier, *kgo.Record) { cancel() })
	_, err := start(t, cfg).Do(ctx, request("a"))
	if !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "given up") {
		t.Errorf("got %v", err)
	}
	seen.want(t, 0, 0, 0)
}

func TestAnAnswerThatComesBeforeTheAcknowledgementCounts(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ ack error }{
		"the acknowledgement comes after it": {},
		"the acknowledgement is lost":        {ack: errors.New("no acknowledgement")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := topics(t, 1)
			cfg, seen := config(t, k.Brokers())
			newReplier(t, k.Brokers(), echo)
			publish := cfg.Publish
			var r *Requester
			started := make(chan struct{})
			cfg.Publish = func(ctx context.Context, outs ...record.Outgoing) []record.Result {
				<-started
				results := publish(ctx, outs...)
				if results[0].Err != nil {
					return results
				}
				testkit.Eventually(t, testkit.DefaultTimeout, func() error {
					if n := r.Pending(); n > 0 {
						return fmt.Errorf("%d pending", n)
					}
					return nil
				})
				results[0].Err = test.ack
				return results
			}
			r = start(t, cfg)
			close(started)
			mustAnswer(t, r, "a")
			seen.want(t, 1, 0, 0)
		})
	}
}

func TestAFailedPublishIsToldAtOnce(t *testing.T) {
	t.Parallel()
	k := topics(t, 1)
	cfg, seen := config(t, k.Brokers())
	r := start(t, cfg)
	ctx, cancel := context.WithTimeout(t.Context(), testkit.DefaultTimeout)
	defer cancel()
	_, err := r.Do(ctx, record.Outgoing{Topic: "not-there", Partition: record.AnyPartition})
	if err == nil || !strings.Contains(err.Error(), "publishing to not-there") || ctx.Err() != nil {
		t.Errorf("got %v", err)
	}
	if n := r.Pending(); n != 0 {
		t.Errorf("%d requests are pending", n)
	}
	seen.want(t, 0, 0, 0)
}

func TestSubjectsThatCannotBeRequestedFromAreRefused(t *testing.T) {
	t.Parallel()
	k := topics(t, 1)
	cfg, _ := config(t, k.Brokers())
	neverPublish(t, &cfg)
	r := start(t, cfg)
	for subject, want := range map[string]string{
		"":                        "names no topic",
		"answers":                 "request_reply_topic",
		"answers?partition=0":     "request_reply_topic",
		"other?correlation=00":    "address of an answer",
		"other?correlation=00ffx": "not hexadecimal",
	} {
		_, err := r.Do(t.Context(), record.Outgoing{Topic: subject})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want word of %q", subject, err, want)
		}
	}
}

func TestRequestsBeyondTheBoundAreRefused(t *testing.T) {
	t.Parallel()
	k := topics(t, 1)
	cfg, _ := config(t, k.Brokers())
	release := make(chan struct{})
	arrived := make(chan struct{}, 1)
	newReplier(t, k.Brokers(), func(rp *replier, r *kgo.Record) {
		arrived <- struct{}{}
		<-release
		echo(rp, r)
	})
	r := start(t, cfg)
	r.pending.limit = 1
	var first sync.WaitGroup
	first.Go(func() {
		if _, err := ask(t, r, "first"); err != nil {
			t.Errorf("the first: %v", err)
		}
	})
	<-arrived
	if _, err := ask(t, r, "second"); !errors.Is(err, ErrTooMany) {
		t.Errorf("the second: %v", err)
	}
	close(release)
	first.Wait()
	if _, err := ask(t, r, "third"); err != nil {
		t.Errorf("the third: %v", err)
	}
}

func TestStopEndsRunningRequests(t *testing.T) {
	t.Parallel()
	k := topics(t, 1)
	cfg, seen := config(t, k.Brokers())
	arrived := make(chan struct{}, 1)
	newReplier(t, k.Brokers(), func(*replier, *kgo.Record) { arrived <- struct{}{} })
	r := start(t, cfg)
	var call sync.WaitGroup
	call.Go(func() {
		if _, err := ask(t, r, "a"); !errors.Is(err, ErrStopped) {
			t.Errorf("the running request: %v", err)
		}
	})
	<-arrived
	ctx, cancel := context.WithTimeout(t.Context(), testkit.DefaultTimeout)
	defer cancel()
	r.Stop(ctx)
	call.Wait()
	if _, err := ask(t, r, "b"); !errors.Is(err, ErrStopped) {
		t.Errorf("a request after the stop: %v", err)
	}
	r.Stop(ctx) // again
	if ctx.Err() != nil {
		t.Error("the stop did not end")
	}
	seen.want(t, 0, 0, 0)
}
