package wit

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/messaging-kafka/messaging-kafka/internal/record"
)

// The cases of types.failure.
const (
	failureRetry uint32 = iota
	failureReject
	failureCases
)

// noReason stands for the text of a failure that has none: an operator who reads it should know whose silence it is.
const noReason = "no reason was given"

// AppendHandled appends list<result<_, failure>>, the result of handler.handle, as a component does. Outputs have no
// place in it.
func AppendHandled(b []byte, outcomes []record.Outcome) []byte {
	return appendOutcomes(b, outcomes, false)
}

// AppendProcessed appends list<result<list<outgoing>, failure>>, the result of processor.process, as a component
// does. It grows b once, unless errors have long texts.
func AppendProcessed(b []byte, outcomes []record.Outcome) []byte {
	bound := numbersBound * (1 + len(outcomes))
	for i := range outcomes {
		for j := range outcomes[i].Outputs {
			bound += outgoingBound(&outcomes[i].Outputs[j])
		}
	}
	return appendOutcomes(slices.Grow(b, bound), outcomes, true)
}

func appendOutcomes(b []byte, outcomes []record.Outcome, outputs bool) []byte {
	b = AppendCount(b, len(outcomes))
	for i := range outcomes {
		o := &outcomes[i]
		done := o.Kind == record.Done
		b = AppendResult(b, done)
		switch {
		case !done:
			b = appendFailure(b, o)
		case outputs:
			b = appendOutgoings(b, o.Outputs)
		}
	}
	return b
}

func appendFailure(b []byte, o *record.Outcome) []byte {
	index := failureRetry
	if o.Kind == record.Reject {
		index = failureReject
	}
	text := ""
	if o.Err != nil {
		text = o.Err.Error()
	}
	return AppendString(AppendCase(b, index), ErrorText(text))
}

// DecodeHandled reads list<result<_, failure>>, the result of handler.handle for a batch of n records. Another number
// of results is an error.
func DecodeHandled(d *Decoder, n int) ([]record.Outcome, error) {
	return newReader(d).outcomes(n, false)
}

// DecodeProcessed reads list<result<list<outgoing>, failure>>, the result of processor.process for a batch of n
// records. Another number of results is an error.
func DecodeProcessed(d *Decoder, n int) ([]record.Outcome, error) {
	return newReader(d).outcomes(n, true)
}

// outcomes reads the result of handler.handle or, with outputs, of processor.process for a batch of n records.
func (r *reader) outcomes(n int, outputs bool) ([]record.Outcome, error) {
	results, err := r.d.Count(math.MaxInt)
	if err != nil {
		return nil, err
	}
	if results != n {
		return nil, fmt.Errorf("there are %d results for a batch of %d records: there must be one for each",
			results, n)
	}
	list := make([]record.Outcome, n)
	for i := range list {
		if err := r.outcome(&list[i], outputs); err != nil {
			return nil, fmt.Errorf("result %d: %w", i, err)
		}
	}
	return list, nil
}

func (r *reader) outcome(o *record.Outcome, outputs bool) error {
	ok, err := r.d.Result()
	switch {
	case err != nil:
		return err
	case !ok:
		return r.failure(o)
	case outputs:
		if o.Outputs, err = r.outgoings(); err != nil {
			return err
		}
	}
	o.Kind = record.Done
	return nil
}

func (r *reader) failure(o *record.Outcome) error {
	index, err := r.d.Case(failureCases)
	if err != nil {
		return fmt.Errorf("decoding failure: %w", err)
	}
	text, err := r.d.String()
	if err != nil {
		return fmt.Errorf("decoding the text of a failure: %w", err)
	}
	o.Kind = record.Retry
	if index == failureReject {
		o.Kind = record.Reject
	}
	if text == "" {
		text = noReason
	}
	o.Err = errors.New(text)
	return nil
}
