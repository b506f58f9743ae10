package schema

import (
	"encoding/binary"
	"math"
)

// headSize is what a framed value begins with: the magic byte and the id of its schema.
const headSize = 5

// parseFrame takes a framed value apart. It returns false for one that is not framed.
func parseFrame(value []byte) (id uint32, payload []byte, framed bool) {
	if len(value) < headSize || value[0] != 0 {
		return 0, nil, false
	}
	return binary.BigEndian.Uint32(value[1:headSize]), value[headSize:], true
}

// appendFrame appends what a value of the schema begins with.
func appendFrame(b []byte, id uint32) []byte { return binary.BigEndian.AppendUint32(append(b, 0), id) }

// maxIndexes bounds how deep a message of Protobuf stands within others.
const maxIndexes = 100

// parseIndexes reads which message of a schema of Protobuf a value is: its place in the file, and within each message
// around it. They are zigzag numbers after their count; a count of zero is the first message.
func parseIndexes(payload []byte) (indexes []int, message []byte, err error) {
	next := func() (int64, error) {
		n, size := binary.Varint(payload)
		if size <= 0 || n < 0 || n > math.MaxInt32 {
			return 0, unfit("the indexes of its message are damaged")
		}
		payload = payload[size:]
		return n, nil
	}
	count, err := next()
	switch {
	case err != nil:
		return nil, nil, err
	case count == 0:
		return []int{0}, payload, nil
	case count > maxIndexes:
		return nil, nil, unfit("its message stands in %d others, and no more than %d are read", count, maxIndexes)
	}
	indexes = make([]int, count)
	for i := range indexes {
		index, err := next()
		if err != nil {
			return nil, nil, err
		}
		indexes[i] = int(index)
	}
	return indexes, payload, nil
}

// appendIndexes appends indexes as [parseIndexes] reads them.
func appendIndexes(b []byte, indexes []int) []byte {
	if len(indexes) == 1 && indexes[0] == 0 {
		return append(b, 0)
	}
	b = binary.AppendVarint(b, int64(len(indexes)))
	for _, index := range indexes {
		b = binary.AppendVarint(b, int64(index))
	}
	return b
}
