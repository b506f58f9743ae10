package record

import (
	"encoding/binary"
	"math"
)

// ReplyAddressOf reads where the sender of r wants an answer, and whether r asks for one at all. It does if it
// carries a [ReplyTopicHeader] that names a topic as Kafka allows it: a name from a stranger's header must not become a
// subject that reads as something else. A partition that is not one is left out of the address, so that the answer
// still reaches the topic.
//
// The address is what the record's sender says, whoever that is: it is for the link to say whether it is believed. It
// holds its own copy of the correlation id, which is never nil.
func ReplyAddressOf(r *Record) (ReplyAddress, bool) {
	topic, ok := r.Header(ReplyTopicHeader)
	if !ok || !IsTopicName(topic) {
		return ReplyAddress{}, false
	}
	address := ReplyAddress{Topic: string(topic), Partition: AnyPartition, Correlation: []byte{}}
	if partition, ok := r.Header(ReplyPartitionHeader); ok && len(partition) == 4 {
		if n := binary.BigEndian.Uint32(partition); n <= math.MaxInt32 {
			address.Partition = int32(n)
		}
	}
	if correlation, ok := r.Header(CorrelationHeader); ok {
		address.Correlation = append(address.Correlation, correlation...)
	}
	return address, true
}

// RequestHeaders are the headers by which a request asks for its answer at this address; [ReplyAddressOf] reads
// them.
func (a ReplyAddress) RequestHeaders() []Header {
	headers := make([]Header, 0, 3)
	if len(a.Correlation) > 0 {
		headers = append(headers, Header{Key: CorrelationHeader, Value: a.Correlation})
	}
	headers = append(headers, Header{Key: ReplyTopicHeader, Value: []byte(a.Topic)})
	if a.Partition >= 0 {
		headers = append(headers,
			Header{Key: ReplyPartitionHeader, Value: binary.BigEndian.AppendUint32(nil, uint32(a.Partition))})
	}
	return headers
}
