package provider

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/messaging-kafka/messaging-kafka/internal/engine/route"
	"github.com/messaging-kafka/messaging-kafka/internal/payload"
	"github.com/messaging-kafka/messaging-kafka/internal/wasmcloud/guest"
	"github.com/messaging-kafka/messaging-kafka/internal/wasmcloud/lattice"
	"github.com/messaging-kafka/messaging-kafka/internal/wasmcloud/messaging"
)

var _ messaging.Consumer = (*Provider)(nil)

// Publish implements messaging.Consumer: it produces to the topic that the subject names and returns when the broker
// has acknowledged.
func (p *Provider) Publish(ctx context.Context, caller messaging.Caller, msg messaging.BrokerMessage) (err error) {
	defer func() { err = p.Secrets.Err(err) }()
	r, err := p.route(ctx, "wasmcloud", "messaging", caller)
	if err != nil {
		return err
	}
	err = r.Publish(ctx, caller.Header, payload.Message(msg))
	if e, final := errors.AsType[*route.AnswerError](err); final {
		return finalAnswer{e}
	}
	return err
}

// finalAnswer is the error of an answer that can never be published. A component that returns it as its own ends the
// delivery of the request with that: one that is sent again would hold up what is behind it for ever.
type finalAnswer struct{ error }

func (e finalAnswer) Error() string { return payload.RejectPrefix + " " + e.error.Error() }

func (e finalAnswer) Unwrap() error { return e.error }

// Request implements messaging.Consumer.
func (p *Provider) Request(ctx context.Context, caller messaging.Caller, subject string, body []byte,
	timeout time.Duration) (_ messaging.BrokerMessage, err error) {
	defer func() { err = p.Secrets.Err(err) }()
	r, err := p.route(ctx, "wasmcloud", "messaging", caller)
	if err != nil {
		return messaging.BrokerMessage{}, err
	}
	answer, err := r.RequestMessage(ctx, caller.Header, payload.Message{Subject: subject, Body: body}, timeout)
	return messaging.BrokerMessage(answer), err
}

// linkPatience is how long a call waits for its link to come. A host lets the component call as soon as it has told us
// of the link, on another subject: the call can be the first to be read.
const linkPatience = time.Second

// route finds the route of the link that a component used.
func (p *Provider) route(ctx context.Context, namespace, pkg string, caller guest.Caller) (*route.Route, error) {
	ctx, cancel := context.WithTimeout(ctx, linkPatience)
	defer cancel()
	r := p.Routes.Find(ctx, idOf(lattice.LinkID{
		Direction: lattice.AsTarget, Peer: caller.ComponentID, Namespace: namespace, Package: pkg, Name: caller.LinkName,
	}))
	if r == nil {
		return nil, fmt.Errorf("component %s has no link named %q with this provider", caller.ComponentID, caller.LinkName)
	}
	return r, nil
}
