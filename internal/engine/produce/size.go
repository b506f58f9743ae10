package produce

import (
	"encoding/binary"

	"github.com/messaging-kafka/messaging-kafka/internal/record"
)

// frameOverhead is the most that a batch of one record takes besides what [size] counts: 61 bytes for the batch's
// own header (KIP-98), and for the record its length, attributes, timestamp and offset deltas and the lengths of
// key, value and list of headers, as variable-length numbers of up to 5 bytes (the timestamp up to 10).
const frameOverhead = 61 + 5 + 1 + 10 + 5 + 5 + 5 + 5

// size is what max_message_bytes limits: the bytes of key, value and headers, with the lengths of the headers'
// parts, before compression. A record of exactly max_message_bytes is sent.
func size(r *record.Outgoing) int {
	n := len(r.Key) + len(r.Value)
	for i := range r.Headers {
		h := &r.Headers[i]
		n += varintLen(len(h.Key)) + len(h.Key) + varintLen(len(h.Value)) + len(h.Value)
	}
	return n
}

// varintLen is the length of a zigzag variable-length number.
func varintLen(n int) int {
	var buf [binary.MaxVarintLen64]byte
	return binary.PutVarint(buf[:], int64(n))
}
