package route

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/messaging-kafka/messaging-kafka/internal/engine/produce"
	"github.com/messaging-kafka/messaging-kafka/internal/payload"
	"github.com/messaging-kafka/messaging-kafka/internal/record"
)

// Trace are the headers of a call that carry its trace; nil where there are none.
type Trace = map[string][]string

// UnusableError says why a route cannot be used at the moment, whatever it is asked.
type UnusableError struct{ err error }

func (e *UnusableError) Error() string { return e.err.Error() }

func (e *UnusableError) Unwrap() error { return e.err }

// AnswerError is about the address at which a record asks for its answer: the same each time that the record is
// handled.
type AnswerError struct{ err error }

func (e *AnswerError) Error() string { return e.err.Error() }

func (e *AnswerError) Unwrap() error { return e.err }

// publishing returns what is published by. Settings that are being carried out for the first time are waited for.
func (r *Route) publishing(ctx context.Context) (*publishing, error) {
	unusable := func(format string, args ...any) (*publishing, error) {
		return nil, &UnusableError{r.shared.Secrets.Err(fmt.Errorf(format, args...))}
	}
	name := r.shared.Words.Link() + " " + r.name
	select {
	case <-r.settled:
	case <-ctx.Done():
		return unusable("waiting for %s: %w", name, ctx.Err())
	}
	now, refused := r.state()
	switch {
	case refused != nil:
		return unusable("%s: %w", name, refused)
	case now == nil:
		return unusable("%s has just been deleted", name)
	case now.publishing == nil:
		return unusable("%s is not for publishing: its interface is %s", name, now.wanted.Role)
	default:
		return now.publishing, nil
	}
}

// Publish produces the record that a message is and returns when the broker has acknowledged it. Its errors are
// [*produce.Error], [*UnusableError] or [*AnswerError]. As those of all that routes do, they say nothing secret.
func (r *Route) Publish(ctx context.Context, from Trace, msg payload.Message) error {
	p, err := r.publishing(ctx)
	if err != nil {
		return err
	}
	began := time.Now()
	out, err := p.outgoing(msg)
	if err == nil {
		err = p.send(ctx, from, []record.Outgoing{out})[0].Err
	}
	p.metrics.Published(classOf(err), time.Since(began))
	fit := r.shared.Secrets.Err(err)
	if p.badAnswerAddress(err) {
		return &AnswerError{fit}
	}
	return fit
}

// outgoing makes the record for a message.
func (p *publishing) outgoing(msg payload.Message) (record.Outgoing, error) {
	out, err := p.form.Outgoing(msg)
	if err != nil {
		return record.Outgoing{}, &produce.Error{Class: produce.ClassInvalid, Text: err.Error()}
	}
	return out, nil
}

// badAnswerAddress tells whether an error is about the address that a request asks for its answer at, so that it is the
// same each time. Trouble with the link's own reply topic is the operator's, who mends it.
func (p *publishing) badAnswerAddress(err error) bool {
	e, ok := errors.AsType[*produce.Error](err)
	if !ok || !e.Answer {
		return false
	}
	switch e.Class {
	case produce.ClassInvalid:
		return true
	case produce.ClassNotAuthorised, produce.ClassUnknownTopic:
		return !slices.ContainsFunc(p.settings.Consumer.Topics, func(topic string) bool {
			return e.Topic == p.settings.Delivery.ReplyTopicFor(topic)
		})
	default:
		return false
	}
}

// Send produces records and returns when the broker has acknowledged or refused each; it says of each, in their order,
// what became of it.
func (r *Route) Send(ctx context.Context, from Trace, list []record.Outgoing) []record.Result {
	p, err := r.publishing(ctx)
	if err != nil {
		return slices.Repeat([]record.Result{{Err: err}}, len(list))
	}
	began := time.Now()
	results := p.send(ctx, from, list)
	took := time.Since(began)
	for i := range results {
		p.metrics.Published(classOf(results[i].Err), took)
		results[i].Err = r.shared.Secrets.Err(results[i].Err)
	}
	return results
}

// send publishes records of a component. The span says what happened to the first that was not stored.
func (p *publishing) send(ctx context.Context, from Trace, list []record.Outgoing) []record.Result {
	ctx, span := p.trace.Send(ctx, from, list)
	results := p.publish(ctx, list...)
	var first error
	for i := range results {
		if first = results[i].Err; first != nil {
			break
		}
	}
	if first == nil && len(results) == 1 {
		span.Stored(results[0].Position)
	}
	span.End(classOf(first), first)
	return results
}

// ErrNoReplyTopic is the error of requests by a route that has no topic for their answers.
var ErrNoReplyTopic = errors.New("requests need a topic for their answers: set request_reply_topic")

// Request produces a record as a request and waits for the answer, for so long.
func (r *Route) Request(ctx context.Context, from Trace, out record.Outgoing, timeout time.Duration) (*record.Record, error) {
	p, err := r.publishing(ctx)
	if err != nil {
		return nil, err
	}
	answer, err := p.request(ctx, from, out, timeout)
	return answer, r.shared.Secrets.Err(err)
}

// RequestMessage produces a message as a request and waits for the answer, as a message, for so long.
func (r *Route) RequestMessage(ctx context.Context, from Trace, msg payload.Message, timeout time.Duration) (payload.Message, error) {
	p, err := r.publishing(ctx)
	if err != nil {
		return payload.Message{}, err
	}
	if p.requester == nil {
		return payload.Message{}, ErrNoReplyTopic
	}
	out, err := p.outgoing(msg)
	if err != nil {
		return payload.Message{}, r.shared.Secrets.Err(err)
	}
	answer, err := p.request(ctx, from, out, timeout)
	if err != nil {
		return payload.Message{}, r.shared.Secrets.Err(err)
	}
	return p.form.Answer(answer), nil
}

// request publishes a request of a component and waits for the answer.
func (p *publishing) request(ctx context.Context, from Trace, out record.Outgoing, timeout time.Duration) (*record.Record, error) {
	if p.requester == nil {
		return nil, ErrNoReplyTopic
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	ctx, span := p.trace.Request(ctx, from, &out)
	answer, err := p.requester.Do(ctx, out)
	if err == nil {
		span.Answered(answer)
		answer, err = p.decodeAnswer(ctx, answer)
	}
	span.End(classOf(err), err)
	return answer, err
}

func classOf(err error) string { return string(produce.ClassOf(err)) }
