package wit

import "github.com/messaging-kafka/messaging-kafka/internal/record"

// AppendSent returns list<result<position, send-error>>, the result of producer.send.
func AppendSent(results []record.Result) []byte {
	bound := numbersBound
	for i := range results {
		bound += numbersBound + len(results[i].Topic)
	}
	b := AppendCount(make([]byte, 0, bound), len(results))
	for i := range results {
		if err := results[i].Err; err != nil {
			b = AppendSendError(AppendResult(b, false), SendErrorOf(err))
			continue
		}
		b = appendPosition(AppendResult(b, true), results[i].Position)
	}
	return b
}

// DecodeSent reads the result of producer.send, as a component does. The errors in it are [*SendError]s.
func DecodeSent(d *Decoder) ([]record.Result, error) {
	r := newReader(d)
	return DecodeList(d, maxRecords, func(*Decoder) (record.Result, error) {
		position, failure, err := decodeResult(r, r.position)
		return record.Result{Position: position, Err: failure}, err
	})
}

// DecodeAnswer reads the result of requester.request, as a component does. failure is what the component gets
// instead of an answer, a [*SendError].
func DecodeAnswer(d *Decoder) (answer *record.Record, failure, err error) {
	r := newReader(d)
	return decodeResult(r, r.incoming)
}

// decodeResult reads result<T, send-error>.
func decodeResult[T any](r *reader, ok func() (T, error)) (v T, failure, err error) {
	fine, err := r.d.Result()
	if err != nil {
		return v, nil, err
	}
	if fine {
		v, err = ok()
		return v, nil, err
	}
	e, err := r.sendError()
	if err != nil {
		return v, nil, err
	}
	return v, e, nil
}

// AppendAnswer returns result<incoming, send-error>, the result of requester.request: of failure where it is not nil.
func AppendAnswer(answer *record.Record, failure error) []byte {
	if failure != nil {
		return AppendSendError(AppendResult(nil, false), SendErrorOf(failure))
	}
	b := make([]byte, 0, 1+incomingBound(answer))
	return AppendIncoming(AppendResult(b, true), answer)
}
