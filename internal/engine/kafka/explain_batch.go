package kafka

import (
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// NoOffset is the Offset of a [BatchError] where it is not known.
const NoOffset int64 = -1

// BatchError says that a batch of records came from Kafka and cannot be read.
type BatchError struct {
	// Offset is the offset that was to be read next: the batch is the one that holds it or the first behind it.
	Offset int64
	Err    error
}

// Error implements error.
func (e *BatchError) Error() string {
	if e.Offset == NoOffset {
		return fmt.Sprintf("a batch cannot be read: %v", e.Err)
	}
	return fmt.Sprintf("the batch at offset %d cannot be read: %v", e.Offset, e.Err)
}

// Unwrap returns what is wrong with the batch.
func (e *BatchError) Unwrap() error { return e.Err }

// ReadError is the error err of a fetched partition: a [BatchError] where it came up in a batch that came from Kafka,
// and not in what the client asked besides. next is the offset that was to be read next, [NoOffset] where it is not
// known.
func ReadError(f *kgo.FetchPartition, err error, next int64) error {
	_, answered := errors.AsType[*kerr.Error](err)
	_, tooLarge := errors.AsType[*kgo.ErrDecompressTooLarge](err)
	made := f.HighWatermark == 0 // of an error that the client has put among the fetches
	if answered || tooLarge || made {
		return err
	}
	return &BatchError{Offset: next, Err: err}
}

// explainBatch knows batches that came and cannot be read.
func explainBatch(err error, _ situation) (Diagnosis, bool) {
	batch, ok := errors.AsType[*BatchError](err)
	if !ok {
		return Diagnosis{}, false
	}
	which := fmt.Sprintf("the batch at offset %d", batch.Offset)
	if batch.Offset == NoOffset {
		which = "a batch"
	}
	if large, ok := errors.AsType[*BatchTooLargeError](err); ok {
		return sprintf(ClassTooLarge, "%s %s", which, large.about())
	}
	return sprintf(ClassDamagedBatch,
		"%s is damaged (%v): it is fetched again and again, and nothing behind it is read; make another replica the partition's leader, or have the records deleted up to behind it (kafka-delete-records.sh)",
		which, batch.Err)
}
