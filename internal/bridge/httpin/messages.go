package httpin

import (
	"errors"
	"net/http"

	"github.com/messaging-kafka/messaging-kafka/internal/engine/route"
	"github.com/messaging-kafka/messaging-kafka/internal/payload"
	"github.com/messaging-kafka/messaging-kafka/internal/payload/wit"
)

// messagesPublish is consumer.publish of wasmcloud:messaging.
func (x *exchange) messagesPublish() error {
	msg, isJSON, err := readBody(x, wit.MessagesType, wit.MessagesTypeJSON, wit.DecodeMessage, wit.DecodeMessageJSON)
	if err != nil {
		return err
	}
	failure := x.publish(msg)
	if isJSON {
		return x.reply(http.StatusOK, x.media, wit.AppendPublishedJSON(nil, failure))
	}
	return x.reply(http.StatusOK, x.media, wit.AppendPublished(nil, failure))
}

// publish publishes a message and returns what the component is told of an error.
func (x *exchange) publish(msg payload.Message) *string {
	if err := x.notAllowed(msg.Subject); err != nil {
		return x.told(err)
	}
	ctx, cancel := x.deadline(maxCall)
	defer cancel()
	return x.told(x.sender.Publish(ctx, x.trace(), msg))
}

// messagesRequest is consumer.request.
func (x *exchange) messagesRequest() error {
	timeout, err := x.timeout()
	if err != nil {
		return err
	}
	msg, isJSON, err := readBody(x, wit.MessagesType, wit.MessagesTypeJSON, wit.DecodeRequestMessage, decodeRequestJSON)
	if err != nil {
		return err
	}
	var answer payload.Message
	failure := x.told(x.notAllowed(msg.Subject))
	if failure == nil {
		ctx, cancel := x.deadline(timeout + requestGrace)
		defer cancel()
		answer, err = x.sender.RequestMessage(ctx, x.trace(), msg, timeout)
		failure = x.told(err)
	}
	x.held.Must(2 * int64(len(answer.Body))) // and what it is written as
	if isJSON {
		return x.reply(http.StatusOK, x.media, wit.AppendMessageAnswerJSON(nil, answer, failure))
	}
	return x.reply(http.StatusOK, x.media, wit.AppendMessageAnswer(nil, answer, failure))
}

// decodeRequestJSON reads the message of a request, which asks for its answer by being one.
func decodeRequestJSON(b []byte) (payload.Message, error) {
	msg, err := wit.DecodeMessageJSON(b)
	if err == nil && msg.ReplyTo != nil {
		err = badRequest("the message of a request has no reply-to")
	}
	return msg, err
}

// told is what a component is told of an error, nil where there is none. An answer that can never be published ends
// with that: a component that returns the text as its own error has the request rejected, where one that is sent again
// would hold up what is behind it for ever.
func (x *exchange) told(err error) *string {
	if err == nil {
		return nil
	}
	text := x.o.Fit(err.Error())
	if _, final := errors.AsType[*route.AnswerError](err); final {
		text = payload.RejectPrefix + " " + text
	}
	return &text
}
