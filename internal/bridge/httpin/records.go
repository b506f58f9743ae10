package httpin

import (
	"net/http"
	"strconv"
	"time"

	"github.com/messaging-kafka/messaging-kafka/internal/payload/wit"
	"github.com/messaging-kafka/messaging-kafka/internal/record"
)

// readBody reads a body in one of two forms, which it names: the value encoding, or JSON of the same shape. What is
// made of it is counted.
func readBody[T any](
	x *exchange, value, json string, decode func(*wit.Decoder) (T, error), decodeJSON func([]byte) (T, error),
) (v T, isJSON bool, err error) {
	if isJSON, err = x.takes(value, json); err != nil {
		return v, isJSON, err
	}
	b, err := x.body()
	if err != nil {
		return v, isJSON, err
	}
	if isJSON {
		if err := x.holdJSON(b); err != nil {
			return v, isJSON, err
		}
		v, err = decodeJSON(b)
		return v, isJSON, err
	}
	d := x.decoder(b)
	if v, err = decode(d); err == nil {
		err = d.End()
	}
	return v, isJSON, err
}

// recordsSend is producer.send.
func (x *exchange) recordsSend() error {
	list, isJSON, err := readBody(x, wit.RecordsType, wit.RecordsTypeJSON, wit.DecodeOutgoings, wit.DecodeOutgoingsJSON)
	if err != nil {
		return err
	}
	results, err := x.send(list)
	if err != nil {
		return err
	}
	if isJSON {
		return x.reply(http.StatusOK, x.media, wit.AppendSentJSON(nil, results))
	}
	return x.reply(http.StatusOK, x.media, wit.AppendSent(results))
}

// recordsRequest is requester.request.
func (x *exchange) recordsRequest() error {
	timeout, err := x.timeout()
	if err != nil {
		return err
	}
	out, isJSON, err := readBody(x, wit.RecordsType, wit.RecordsTypeJSON, wit.DecodeOutgoing, wit.DecodeOutgoingJSON)
	if err != nil {
		return err
	}
	answer, failure := x.request(out, timeout)
	if answer != nil {
		x.held.Must(2 * answer.Cost()) // and what it is written as
	}
	if isJSON {
		return x.reply(http.StatusOK, x.media, wit.AppendAnswerJSON(nil, answer, failure))
	}
	return x.reply(http.StatusOK, x.media, wit.AppendAnswer(answer, failure))
}

func (x *exchange) request(out record.Outgoing, timeout time.Duration) (*record.Record, error) {
	if err := x.notAllowed(out.Topic); err != nil {
		return nil, err
	}
	ctx, cancel := x.deadline(timeout + requestGrace)
	defer cancel()
	answer, err := x.sender.Request(ctx, x.trace(), out, timeout)
	if err != nil {
		return nil, x.sendError(err)
	}
	return answer, nil
}

const (
	// timeoutParam is how long a request over Kafka may take, in milliseconds.
	timeoutParam = "timeout-ms"
	// requestGrace is how much longer than its time-out a request may take, so that its own time-out, which can say
	// what was missing, comes before the context's.
	requestGrace = time.Second
	// defaultTimeout is that of a request that names none.
	defaultTimeout = 30 * time.Second
)

func (x *exchange) timeout() (time.Duration, error) {
	values, err := x.query(timeoutParam)
	if err != nil {
		return 0, err
	}
	text, there := values[timeoutParam]
	if !there {
		return defaultTimeout, nil
	}
	ms, err := strconv.ParseUint(text, 10, 32)
	if err != nil || ms == 0 {
		return 0, badRequest("%s is a number of milliseconds, from 1 on", timeoutParam)
	}
	return min(time.Duration(ms)*time.Millisecond, maxCall-requestGrace), nil
}
