package dispatch

import "fmt"

// Unstored says of a record that Kafka does not take what was made of it, and why.
type Unstored struct {
	Topic     string
	Partition int32
	Offset    int64
	Err       error
	// Records is how many there are, this one included.
	Records int
}

// String names the cause first, and then the record.
func (u *Unstored) String() string {
	more := ""
	if u.Records > 1 {
		more = fmt.Sprintf(", and %d more", u.Records-1)
	}
	return fmt.Sprintf("%v (%s/%d, offset %d%s)", u.Err, u.Topic, u.Partition, u.Offset, more)
}

// UnstoredRecords are the records of which outputs could not be stored the last time that it was tried, by what their
// owner knows them by. A record is one of them until it has its verdict, whichever that is: who looks only for outputs
// that are stored at last would tell of one for ever that was rejected since.
type UnstoredRecords[K comparable] struct {
	of    map[K]unstored
	count uint64
}

type unstored struct {
	Unstored
	place uint64 // in the order in which they came
}

// Note notes a record of which outputs cannot be stored. It tells whether there was none before.
func (u *UnstoredRecords[K]) Note(k K, topic string, partition int32, offset int64, err error) (first bool) {
	if u.of == nil {
		u.of = make(map[K]unstored)
	}
	first = len(u.of) == 0
	before, again := u.of[k]
	if !again {
		u.count++
		before.place = u.count
	}
	u.of[k] = unstored{Unstored{Topic: topic, Partition: partition, Offset: offset, Err: err}, before.place}
	return first
}

// Over notes that nothing is to be stored of a record any more, or that all of it is.
func (u *UnstoredRecords[K]) Over(k K) { delete(u.of, k) }

// OverWhere is Over of all that are.
func (u *UnstoredRecords[K]) OverWhere(is func(K) bool) {
	for k := range u.of {
		if is(k) {
			delete(u.of, k)
		}
	}
}

// First is the record that has been one of them for longest; nil where there is none.
func (u *UnstoredRecords[K]) First() *Unstored {
	var first *unstored
	for _, one := range u.of {
		if first == nil || one.place < first.place {
			first = &one
		}
	}
	if first == nil {
		return nil
	}
	first.Records = len(u.of)
	return &first.Unstored
}
