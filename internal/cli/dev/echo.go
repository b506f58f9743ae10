package dev

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/messaging-kafka/messaging-kafka/internal/payload/wit"
	"github.com/messaging-kafka/messaging-kafka/internal/wasmcloud/messaging"
	"github.com/messaging-kafka/messaging-kafka/internal/wasmcloud/wrpc"
)

const (
	consumerInstance = "wasmcloud:messaging/consumer@0.2.0"
	handlerInstance  = "wasmcloud:messaging/handler@0.2.0"
	// publishTimeout bounds the component's call of publish. The provider gives up after its publish_timeout, 30 s,
	// and can say why.
	publishTimeout = 40 * time.Second
)

// echo stands in for the component echo and for the host that would run it: it publishes the body of each message to
// the message's reply-to, if there is one.
type echo struct {
	client  *wrpc.Client
	lattice string
	as      StandIn
}

func (r *runner) startEcho(nc *nats.Conn) error {
	client, err := wrpc.NewClient(nc, wrpc.ClientOptions{Logger: r.log})
	if err != nil {
		return fmt.Errorf("starting the component: %w", err)
	}
	r.onStop("the component's calls", client.Close)
	server, err := wrpc.NewServer(nc, wrpc.ServerOptions{Prefix: r.opts.Lattice + "." + componentID, Logger: r.log})
	if err != nil {
		return fmt.Errorf("starting the component: %w", err)
	}
	r.onStop("the component", server.Shutdown)
	if r.opts.StandIn.Processor {
		err = server.Handle(processorInstance, "process", r.opts.StandIn.process)
	} else {
		e := &echo{client: client, lattice: r.opts.Lattice, as: r.opts.StandIn}
		err = server.Handle(handlerInstance, "handle-message", e.handleMessage)
	}
	if err != nil {
		return fmt.Errorf("starting the component: %w", err)
	}
	// The provider is started next and may call at once.
	if err := nc.FlushTimeout(stopTimeout); err != nil {
		return fmt.Errorf("starting the component: %w", err)
	}
	r.screen.say("component  %s, %s\n", componentID, r.opts.StandIn.behaviour())
	return nil
}

// handleMessage serves handler.handle-message. What the provider says against a publish is the component's own
// result::err, as in a guest that passes it on.
func (e *echo) handleMessage(ctx context.Context, _ nats.Header, params *wit.Decoder) ([]byte, error) {
	msg, err := messaging.DecodeBrokerMessage(params)
	if err != nil {
		return nil, fmt.Errorf("decoding the parameters of handle-message: %w", err)
	}
	failed, err := e.as.work(ctx)
	if err != nil {
		return nil, fmt.Errorf("taking time as asked: %w", err)
	}
	if failed != "" {
		return wit.AppendString(wit.AppendResult(nil, false), failed), nil
	}
	if msg.ReplyTo == nil {
		return wit.AppendResult(nil, true), nil
	}
	refusal, err := e.publish(ctx, messaging.BrokerMessage{Subject: *msg.ReplyTo, Body: msg.Body})
	if err != nil {
		return nil, err
	}
	if refusal != nil {
		return wit.AppendString(wit.AppendResult(nil, false), *refusal), nil
	}
	return wit.AppendResult(nil, true), nil
}

// publish calls consumer.publish over the component's link. refusal is the text of result::err.
func (e *echo) publish(ctx context.Context, msg messaging.BrokerMessage) (refusal *string, err error) {
	ctx, cancel := context.WithTimeout(ctx, publishTimeout)
	defer cancel()
	invocation := wrpc.Invocation{
		Target:   e.lattice + "." + providerKey,
		Instance: consumerInstance,
		Function: "publish",
		Header: nats.Header{
			"source-id": {componentID}, "target-id": {providerKey}, "link-name": {linkName},
		},
		Params: messaging.AppendBrokerMessage(nil, msg),
	}
	err = e.client.Invoke(ctx, invocation, func(d *wit.Decoder) error {
		ok, err := d.Result()
		if err != nil || ok {
			return err
		}
		text, err := d.String()
		refusal = &text
		return err
	})
	return refusal, err
}
