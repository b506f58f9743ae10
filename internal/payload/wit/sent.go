package wit

import "github.com/messaging-kafka/messaging-kafka/internal/record"

// AppendSent returns list<result<position, send-error>>, the result of producer.send.
func AppendSent(positions []record.Position, errs []error) []byte {
	bound := numbersBound
	for i := range positions {
		bound += numbersBound + len(positions[i].Topic)
	}
	b := AppendCount(make([]byte, 0, bound), len(positions))
	for i := range positions {
		if errs != nil && errs[i] != nil {
			b = AppendSendError(AppendResult(b, false), SendErrorOf(errs[i]))
			continue
		}
		b = appendPosition(AppendResult(b, true), positions[i])
	}
	return b
}

// DecodeSent reads the result of producer.send, as a component does. positions and errs are those of
// producer.send: as long as the list, with a nil error where the record was stored, the errors [*SendError]s.
func DecodeSent(d *Decoder) (positions []record.Position, errs []error, err error) {
	r := newReader(d)
	_, err = DecodeList(d, maxRecords, func(*Decoder) (struct{}, error) {
		position, failure, err := decodeResult(r, r.position)
		positions, errs = append(positions, position), append(errs, failure)
		return struct{}{}, err
	})
	if err != nil {
		return nil, nil, err
	}
	return positions, errs, nil
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
