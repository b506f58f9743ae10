package testkit

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Batch is a record batch as it lies in a log and comes with a fetch: the values are those of its records, the first of
// which has the offset first.
func Batch(first int64, values ...string) []byte {
	records := make([]kmsg.Record, len(values))
	for i, value := range values {
		records[i].Value = []byte(value)
	}
	return seal(first, 0, len(records), recordBytes(records))
}

// CompressedBatch is a record batch as a producer sends it, compressed by a codec.
func CompressedBatch(t testing.TB, codec kgo.CompressionCodec, records ...kmsg.Record) []byte {
	t.Helper()
	compressor, err := kgo.DefaultCompressor(codec)
	if err != nil {
		t.Fatalf("making a compressor: %v", err)
	}
	plain := recordBytes(records)
	if compressor == nil { // no compression
		return seal(0, 0, len(records), plain)
	}
	compressed, kind := compressor.Compress(new(bytes.Buffer), plain)
	return seal(0, int16(kind), len(records), compressed)
}

func recordBytes(records []kmsg.Record) (b []byte) {
	for i, r := range records {
		r.OffsetDelta = int32(i)
		r.Length = int32(len(r.AppendTo(nil)) - 1) // without the length itself, which is one byte while it is 0
		b = r.AppendTo(b)
	}
	return b
}

func seal(first int64, attributes int16, n int, records []byte) []byte {
	b := kmsg.RecordBatch{
		FirstOffset: first, Magic: 2, Attributes: attributes, LastOffsetDelta: int32(n - 1), ProducerID: -1,
		ProducerEpoch: -1,
		FirstSequence: -1, NumRecords: int32(n), Records: records,
	}
	raw := b.AppendTo(nil)
	b.Length = int32(len(raw) - 12) // what comes after it
	raw = b.AppendTo(nil)
	binary.BigEndian.PutUint32(raw[17:], crc32.Checksum(raw[21:], crc32.MakeTable(crc32.Castagnoli)))
	return raw
}

// Damaged is a batch with one wrong byte in its checksum.
func Damaged(batch []byte) []byte {
	damaged := append([]byte(nil), batch...)
	damaged[17] ^= 1
	return damaged
}

// FetchAnswer answers a fetch of one partition with batches, or with an error where code is not 0. ok is false where
// the request does not ask for that partition from the offset at on.
func FetchAnswer(req kmsg.Request, partition int32, at int64, code int16,
	batches ...[]byte) (resp *kmsg.FetchResponse, ok bool) {
	fetch := req.(*kmsg.FetchRequest)
	resp = fetch.ResponseKind().(*kmsg.FetchResponse)
	for _, t := range fetch.Topics {
		for _, p := range t.Partitions {
			if p.Partition != partition || p.FetchOffset != at {
				continue
			}
			answer := kmsg.NewFetchResponseTopic()
			answer.Topic, answer.TopicID = t.Topic, t.TopicID
			ap := kmsg.NewFetchResponseTopicPartition()
			ap.Partition, ap.ErrorCode = partition, code
			end := at
			for _, b := range batches {
				ap.RecordBatches = append(ap.RecordBatches, b...)
				end = int64(binary.BigEndian.Uint64(b)) + int64(binary.BigEndian.Uint32(b[23:])) + 1
			}
			ap.HighWatermark, ap.LastStableOffset, ap.LogStartOffset = end, end, 0
			answer.Partitions = append(answer.Partitions, ap)
			resp.Topics = append(resp.Topics, answer)
			return resp, true
		}
	}
	return nil, false
}
