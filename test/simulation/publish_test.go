package simulation

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/messaging-kafka/messaging-kafka/internal/engine/route"
	"github.com/messaging-kafka/messaging-kafka/internal/observe/status"
	"github.com/messaging-kafka/messaging-kafka/internal/record"
	"github.com/messaging-kafka/messaging-kafka/internal/settings/role"
)

const (
	sent      = "sent"      // what the component publishes
	questions = "questions" // what it asks
	replies   = "replies"   // where the answers come
	// answerTime is how long it waits for an answer, and for what it publishes.
	answerTime = 30 * time.Second
)

// senderID is the link by which the component publishes and asks.
var senderID = route.ID{Peer: "guest", Name: "sender", Variant: "0"}

func (p *plan) sender() *link {
	return &link{
		id: senderID, role: role.Produce, direction: status.Target, there: true,
		config: map[string]string{"request_reply_topic": replies, "request_timeout": "10s", "metadata_max_age": "30s"},
	}
}

// published is what became of a record that the component has published.
type published struct {
	number string
	result record.Result
}

// publish has the component of some copy publish records, with and without keys and values, and ask questions.
func (w *world) publish(ctx context.Context) {
	rng := newRand(w.plan.seed, "publish")
	for i := 0; sleep(ctx, time.Duration(rng.Int64N(int64(20*w.plan.pause)))); i++ {
		r, asks, n := w.anyCopy(rng), rng.IntN(3) == 0, 1+rng.IntN(3)
		list := make([]record.Outgoing, n)
		for j := range list {
			number := fmt.Appendf(nil, "p%d-%d", i, j)
			list[j] = record.Outgoing{
				Topic: sent, Partition: record.AnyPartition, Value: number, Headers: []record.Header{{Key: numberHeader, Value: number}},
			}
			if k := rng.IntN(w.plan.keys + 1); k > 0 {
				list[j].Key = fmt.Appendf(nil, "k%d", k)
				if rng.IntN(5) == 0 {
					list[j].Value = nil
				}
			}
		}
		w.calls.Go(func() {
			if asks {
				w.ask(r, fmt.Sprint("q", i))
				return
			}
			w.send(r, list)
		})
	}
}

// sender is the link of a copy by which the component publishes; nil where there is none at the moment.
func (r *replica) sender(ctx context.Context) *route.Route {
	routes := r.set()
	if routes == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	return routes.Find(ctx, senderID)
}

func (w *world) send(r *replica, list []record.Outgoing) {
	ctx, cancel := context.WithTimeout(context.Background(), answerTime)
	defer cancel()
	one := r.sender(ctx)
	if one == nil {
		return
	}
	results := one.Send(ctx, nil, list)
	w.mu.Lock()
	defer w.mu.Unlock()
	for i, result := range results {
		w.sent = append(w.sent, published{string(list[i].Headers[0].Value), result})
	}
}

// ask has the component of a copy ask a question, and tells whether it was answered. A wrong answer breaks answers-fit.
func (w *world) ask(r *replica, number string) bool {
	ctx, cancel := context.WithTimeout(context.Background(), answerTime)
	defer cancel()
	one := r.sender(ctx)
	if one == nil {
		return false
	}
	question := record.Outgoing{Topic: questions, Partition: record.AnyPartition, Value: []byte(number)}
	answer, err := one.Request(ctx, nil, question, answerTime)
	if err == nil && string(answer.Value) != "answer to "+number {
		w.fail("answers-fit", "%s was answered with %q", number, answer.Value)
	}
	covered.kind(map[bool]string{true: "question answered", false: "question not answered"}[err == nil])
	return err == nil
}

// answer answers questions, not all of them in the chaos, and some twice.
func (w *world) answer(ctx context.Context) {
	rng := newRand(w.plan.seed, "answer")
	cl := w.client(kgo.ConsumeTopics(questions), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	defer cl.Close()
	for ctx.Err() == nil {
		cl.PollFetches(ctx).EachRecord(func(q *kgo.Record) {
			times := 1
			switch x := rng.IntN(20); {
			case x == 0 && !w.quiet.Load():
				times = 0
			case x == 1:
				times = 2
			}
			a := &kgo.Record{Topic: replies, Value: append([]byte("answer to "), q.Value...)}
			for _, h := range q.Headers {
				if h.Key == "kafka_correlationId" {
					a.Headers = append(a.Headers, h)
				}
			}
			for range times {
				again := *a
				cl.Produce(context.Background(), &again, nil)
			}
		})
	}
	if err := cl.Flush(context.Background()); err != nil {
		w.fail("world", "answering: %v", err)
	}
}

// judgePublished are the invariants published-is-stored, a record whose publishing went well is where the component was
// told, and one that is said not to be stored is nowhere, and answers-fit, each copy's question is answered at the end.
func (w *world) judgePublished() {
	for _, r := range w.copies {
		answered := false
		for try := 0; try < 3 && !answered; try++ {
			answered = w.ask(r, fmt.Sprint("last-", r.name, try))
		}
		if !answered {
			w.fail("answers-fit", "%s gets no answer to a question when all is well", r.name)
		}
	}
	stored := make(map[string][]record.Position)
	for _, r := range w.readAll(sent) {
		number := storedAt(r).number
		stored[number] = append(stored[number], record.Position{Topic: sent, Partition: r.Partition, Offset: r.Offset})
	}
	for _, p := range w.sent {
		at, is := p.result.Position, false
		for _, found := range stored[p.number] {
			is = is || found == at
		}
		switch err := p.result.Err; {
		case err == nil && !is:
			w.fail("published-is-stored", "%s was said to be at %v, and is at %v", p.number, at, stored[p.number])
		case err != nil && strings.Contains(err.Error(), "was not stored") && len(stored[p.number]) > 0:
			w.fail("published-is-stored", "%s is stored at %v, and was said not to be: %v", p.number, stored[p.number], err)
		}
	}
}
