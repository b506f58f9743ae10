package record

import "context"

// Outcome is what a component said of one record of a batch.
type Outcome struct {
	// Verdict is what became of the delivery of the record.
	Verdict Verdict
	// Err says in words for the operator why Verdict is not [Done]. It is nil with [Done].
	Err error
	// Outputs are the records that the component made of the record, to be produced before the record's offset is
	// committed. There are none unless Verdict is [Done].
	Outputs []Outgoing
}

// BatchDeliverer hands batches of records to a component, as [Deliverer] hands over single ones.
type BatchDeliverer interface {
	// DeliverBatch hands over records of one partition, in the order of their offsets, and waits for the outcomes:
	// one for each record, in the order of batch. An error is about the call as a whole: there are no outcomes then,
	// and the verdict on every record is [Retry]. It wraps [ErrUnavailable] where no component was reached.
	// DeliverBatch returns soon after ctx ends, with ctx's error; the component may still be at work on the batch
	// then. batch is not kept after the return, nor changed. It is called by many goroutines at once.
	DeliverBatch(ctx context.Context, batch []*Record) ([]Outcome, error)
}
