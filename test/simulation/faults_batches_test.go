package simulation

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"hash/crc32"
	"math/rand/v2"
	"sync"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// reads tells whether a request changes nothing, so that its answer may as well be changed afterwards.
func (a *asked) reads() bool {
	switch a.key {
	case kmsg.ApiVersions, kmsg.Metadata, kmsg.FindCoordinator, kmsg.Fetch, kmsg.ListOffsets,
		kmsg.OffsetForLeaderEpoch, kmsg.OffsetFetch,
		kmsg.DescribeGroups, kmsg.ConsumerGroupDescribe, kmsg.ShareGroupDescribe, kmsg.DescribeConfigs,
		kmsg.DescribeProducers,
		kmsg.DescribeShareGroupOffsets:
		return true
	default:
		return false
	}
}

// A batch (magic 2) begins with its base offset and length. The magic byte is the 17th, the checksum follows and covers
// all that comes behind it: attributes, and after the 57th byte the number of records and the records.
const (
	atLength   = 8
	atMagic    = 16
	atChecksum = 17
	atCovered  = 21
	atCount    = 57
	atRecords  = 61
)

// findBatches finds where in an answer batches begin.
func findBatches(answer []byte) (found []int) {
	for i := 4; i+atRecords < len(answer); i++ {
		length := int(int32(binary.BigEndian.Uint32(answer[i+atLength:])))
		records := binary.BigEndian.Uint32(answer[i+atCount:])
		if answer[i+atMagic] == 2 && answer[i] == 0 && length >= 50 && i+12+length <= len(answer) && records > 0 &&
			records <= 1<<16 {
			found = append(found, i)
			i += 11 + length
		}
	}
	return found
}

// damage changes a byte that the checksum of a batch covers: of one that comes behind a good one of its partition,
// where there is such a batch, since what comes with a damaged batch is to be taken.
func damage(answer []byte, rng *rand.Rand) bool {
	batches := findBatches(answer)
	if len(batches) == 0 {
		return false
	}
	var behind []int
	for i := 1; i < len(batches); i++ {
		if batches[i-1]+12+int(binary.BigEndian.Uint32(answer[batches[i-1]+atLength:])) == batches[i] {
			behind = append(behind, batches[i])
		}
	}
	if len(behind) > 0 {
		batches = behind
	}
	i := batches[rng.IntN(len(batches))]
	length := int(int32(binary.BigEndian.Uint32(answer[i+atLength:])))
	answer[i+atCovered+rng.IntN(length-9)] ^= 1 << rng.IntN(8)
	return true
}

// changeBatches makes another answer of one with batches; nil where it has none.
func (a *asked) changeBatches(frame []byte, w way, rng *rand.Rand) ([]byte, error) {
	resp, err := a.decodeAnswer(frame)
	if err != nil {
		return nil, err
	}
	var logs []*[]byte
	switch resp := resp.(type) {
	case *kmsg.FetchResponse:
		for i := range resp.Topics {
			for j := range resp.Topics[i].Partitions {
				logs = append(logs, &resp.Topics[i].Partitions[j].RecordBatches)
			}
		}
	case *kmsg.ShareFetchResponse:
		for i := range resp.Topics {
			for j := range resp.Topics[i].Partitions {
				logs = append(logs, &resp.Topics[i].Partitions[j].Records)
			}
		}
	}
	for _, log := range logs {
		if len(*log) <= atRecords {
			continue
		}
		if w == batchPartial {
			*log = (*log)[:1+rng.IntN(len(*log)-1)]
		} else {
			*log = bomb((*log)[:12+binary.BigEndian.Uint32((*log)[atLength:])])
		}
		return a.encode(resp), nil
	}
	return nil, nil
}

// bombSize is more than any plan has room for.
const bombSize = 160 << 20

// bombed is made of one piece many times: what gunzips takes one behind the other.
var bombed = sync.OnceValue(func() []byte {
	var b bytes.Buffer
	z, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		panic(err)
	}
	const piece = 1 << 20
	if _, err := z.Write(make([]byte, piece)); err != nil {
		panic(err)
	}
	if err := z.Close(); err != nil {
		panic(err)
	}
	return bytes.Repeat(b.Bytes(), bombSize/piece)
})

// bomb is a batch at the place of another that is small and becomes large.
func bomb(batch []byte) []byte {
	made := append(append([]byte(nil), batch[:atRecords]...), bombed()...)
	binary.BigEndian.PutUint32(made[atLength:], uint32(len(made)-12))
	attributes := binary.BigEndian.Uint16(made[atCovered:])&^7 | 1 // gzip
	binary.BigEndian.PutUint16(made[atCovered:], attributes)
	binary.BigEndian.PutUint32(made[atChecksum:], crc32.Checksum(made[atCovered:], crc32.MakeTable(crc32.Castagnoli)))
	return made
}
