package provider

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/messaging-kafka/messaging-kafka/internal/engine/produce"
	"github.com/messaging-kafka/messaging-kafka/internal/record"
	"github.com/messaging-kafka/messaging-kafka/internal/wasmcloud/guest"
	"github.com/messaging-kafka/messaging-kafka/internal/wasmcloud/lattice"
	"github.com/messaging-kafka/messaging-kafka/internal/wasmcloud/messaging"
)

var _ messaging.Consumer = (*Provider)(nil)

// Publish implements messaging.Consumer: it produces to the topic that the subject names and returns when the broker
// has acknowledged.
func (p *Provider) Publish(ctx context.Context, caller messaging.Caller, msg messaging.BrokerMessage) (err error) {
	defer func() { err = p.secrets.Err(err) }()
	r, err := p.route(ctx, "wasmcloud", "messaging", caller)
	if err != nil {
		return err
	}
	began := time.Now()
	out, err := r.form.outgoing(msg)
	if err == nil {
		err = r.send(ctx, caller, out)
	}
	r.metrics.Published(classOf(err), time.Since(began))
	if r.answersInVain(err) {
		return finalAnswer{err}
	}
	return err
}

// answersInVain tells whether an error is about the address that a request asks for its answer at, so that it is the same
// each time. Trouble with the link's own reply topic is the operator's, who mends it.
func (r *running) answersInVain(err error) bool {
	e, ok := errors.AsType[*produce.Error](err)
	if !ok || !e.Answer {
		return false
	}
	switch e.Class {
	case produce.ClassInvalid:
		return true
	case produce.ClassNotAuthorised, produce.ClassUnknownTopic:
		return !slices.ContainsFunc(r.settings.Consumer.Topics, func(topic string) bool {
			return e.Topic == ownReplyTopic(r.settings.Delivery.ReplyTopic, topic)
		})
	}
	return false
}

// finalAnswer is the error of an answer that can never be published. A component that returns it as its own ends the
// delivery of the request with that: one that is sent again would hold up what is behind it for ever.
type finalAnswer struct{ error }

func (e finalAnswer) Error() string { return rejectPrefix + " " + e.error.Error() }

func (e finalAnswer) Unwrap() error { return e.error }

// send publishes one record of a component.
func (r *running) send(ctx context.Context, caller guest.Caller, out record.Outgoing) error {
	list := []record.Outgoing{out}
	ctx, span := r.trace.Send(ctx, caller.Header, list)
	position, err := r.publish(ctx, list[0])
	if err == nil {
		span.Stored(position)
	}
	span.End(classOf(err), err)
	return err
}

// request publishes a request of a component and waits for the answer.
func (r *running) request(ctx context.Context, caller guest.Caller, out record.Outgoing) (*record.Record, error) {
	ctx, span := r.trace.Request(ctx, caller.Header, &out)
	answer, err := r.requester.Do(ctx, out)
	if err == nil {
		span.Answered(answer)
	}
	span.End(classOf(err), err)
	return answer, err
}

// Request implements messaging.Consumer.
func (p *Provider) Request(ctx context.Context, caller messaging.Caller, subject string, body []byte, timeout time.Duration) (_ messaging.BrokerMessage, err error) {
	defer func() { err = p.secrets.Err(err) }()
	r, err := p.route(ctx, "wasmcloud", "messaging", caller)
	if err != nil {
		return messaging.BrokerMessage{}, err
	}
	if r.requester == nil {
		return messaging.BrokerMessage{}, errNoReplyTopic
	}
	out, err := r.form.outgoing(messaging.BrokerMessage{Subject: subject, Body: body})
	if err != nil {
		return messaging.BrokerMessage{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	answer, err := r.request(ctx, caller, out)
	if err != nil {
		return messaging.BrokerMessage{}, err
	}
	msg := messaging.BrokerMessage{Subject: answer.Topic, Body: r.form.body(answer)}
	if address, ok := record.ReplyAddressOf(answer); ok && r.settings.Producer.Believes(address.Topic, "") {
		reply := address.String()
		msg.ReplyTo = &reply
	}
	return msg, nil
}

// linkPatience is how long a call waits for its link to come. A host lets the component call as soon as it has told us
// of the link, on another subject: the call can be the first to be read.
const linkPatience = time.Second

// route finds the link that a component used. A put that is being carried out is waited for.
func (p *Provider) route(ctx context.Context, namespace, pkg string, caller guest.Caller) (*running, error) {
	id := lattice.LinkID{
		Direction: lattice.AsTarget, Peer: caller.ComponentID,
		Namespace: namespace, Package: pkg, Name: caller.LinkName,
	}
	unit := p.find(ctx, id)
	if unit == nil {
		return nil, fmt.Errorf("component %s has no link named %q with this provider", caller.ComponentID, caller.LinkName)
	}
	select {
	case <-unit.settled:
	case <-ctx.Done():
		return nil, fmt.Errorf("waiting for link %s: %w", id, ctx.Err())
	}
	now, refused := unit.state()
	switch {
	case refused != nil:
		return nil, fmt.Errorf("link %s: %w", id, refused)
	case now == nil:
		return nil, fmt.Errorf("link %s has just been deleted", id)
	default:
		return now, nil
	}
}

// find returns the unit of a link, nil where there is none and none comes.
func (p *Provider) find(ctx context.Context, id lattice.LinkID) *link {
	ctx, cancel := context.WithTimeout(ctx, linkPatience)
	defer cancel()
	for {
		p.mu.RLock()
		unit, came, stopped := p.links[id], p.came, p.stopped
		p.mu.RUnlock()
		if unit != nil || stopped {
			return unit
		}
		select {
		case <-came:
		case <-ctx.Done():
			return nil
		}
	}
}

var errNoReplyTopic = errors.New("requests need a topic for their answers: set request_reply_topic on the link")

func classOf(err error) string {
	if err == nil {
		return string(produce.ClassOK)
	}
	var e *produce.Error
	if errors.As(err, &e) {
		return string(e.Class)
	}
	return string(produce.ClassOther)
}
