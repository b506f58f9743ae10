package kafka

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"
	"unsafe"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/messaging-kafka/messaging-kafka/internal/base/memory"
)

// ErrNoRoom is the error of a partition whose next batch was not decompressed, since what was fetched before has not
// been taken yet, or the provider has no memory left for it. The partition is fetched again from where it was; nothing
// is lost.
var ErrNoRoom = errors.New("no room for the next batch yet")

// BatchTooLargeError is the error of a partition whose next batch takes more memory, once it is decompressed, than
// there is for one. The partition stands before it.
type BatchTooLargeError struct {
	// Limit is what a batch may take, in bytes of records or, where Structs is set, of them with the structs that hold
	// them.
	Limit   int64
	Structs bool
	// Setting is what lets the batch through when it is raised.
	Setting string
}

func (e *BatchTooLargeError) Error() string { return "the next batch " + e.about() }

func (e *BatchTooLargeError) about() string {
	what := "decompresses to"
	if e.Structs {
		what = "takes, with all its records and headers,"
	}
	return fmt.Sprintf("%s more than the %d bytes that there are for one: it waits in Kafka, and so does what is behind it; raise %s",
		what, e.Limit, e.Setting)
}

// FetchLimits bound what one client holds of what it has fetched.
type FetchLimits struct {
	// Batch bounds the bytes of one decompressed batch; a few times as much is the bound of what it takes as records.
	Batch int64
	// Held bounds what fetched batches take together; a single one may be larger.
	Held int64
	// Setting is the one that these follow from, for people.
	Setting string
	// Account is what is taken from; nil is without a limit.
	Account *memory.Account
	// Whole is for share groups: see [Fetched.Decompress].
	Whole bool
}

// batchCost is how many times [FetchLimits.Batch] the records of a batch may take: they are structs that are larger
// than small records are.
const batchCost = 4

// Fetched bounds what a client holds of what it has fetched and nobody has taken from it. The client's own limits count
// compressed bytes, of which a million can be a billion. It is a decompressor, and a hook, of one client.
type Fetched struct {
	limits FetchLimits
	small  kgo.Decompressor // of what becomes up to smallBatch
	inner  kgo.Decompressor

	mu        sync.Mutex
	held      int64
	recent    int64 // what of held came since the last poll
	overLimit bool
	refusal   error
}

// NewFetched makes the bounds of a client. [Fetched.Close] follows when the client is closed.
func NewFetched(limits FetchLimits) (*Fetched, error) {
	if most := limits.Account.Largest(); most < limits.Batch {
		limits.Batch, limits.Setting = most, "provider_max_memory"
	}
	small, err := lend(kgo.MaxDecompressBatchBytes(int(min(limits.Batch, smallBatch))))
	if err != nil {
		return nil, err
	}
	inner, err := lend(kgo.MaxDecompressBatchBytes(int(min(limits.Batch, maxBatch))), kgo.WithPools(sized{limits.Batch}))
	if err != nil {
		return nil, err
	}
	return &Fetched{limits: limits, small: small, inner: inner}, nil
}

// lend makes a decompressor. The library makes one with a limit for its own clients alone; this one never connects.
func lend(opts ...kgo.Opt) (kgo.Decompressor, error) {
	lender, err := kgo.NewClient(opts...)
	if err != nil {
		return nil, fmt.Errorf("making a decompressor: %w", err)
	}
	defer lender.Close()
	inner, ok := lender.OptValue(kgo.WithDecompressor).(kgo.Decompressor)
	if !ok {
		return nil, errors.New("making a decompressor: the Kafka client has none")
	}
	return inner, nil
}

// smallBatch is what most batches stay below. They are decompressed side by side, with buffers that are kept; of larger
// ones, one at a time for the whole process.
const smallBatch = 1 << 20

// sized makes the slices that large batches are decompressed into as large as these will be, as far as that can be told
// before: buffers that grow hold three times as much for a moment, and the library keeps them.
type sized struct{ limit int64 }

// GetDecompressBytes implements [kgo.PoolDecompressBytes]. The library itself finds the size of snappy and zstd.
func (s sized) GetDecompressBytes(src []byte, codec kgo.CompressionCodecType) []byte {
	var n int64
	switch codec {
	case kgo.CodecGzip:
		if len(src) >= 4 {
			n = min(int64(binary.LittleEndian.Uint32(src[len(src)-4:])), int64(len(src))*gzipRatio)
		}
	case kgo.CodecLz4:
		n = lz4Size(src)
	case kgo.CodecNone, kgo.CodecSnappy, kgo.CodecZstd:
	}
	if n <= 0 {
		return nil
	}
	// The library reads one byte beyond the limit where a batch is too large. It wants some room at the end, or grows the
	// slice.
	return make([]byte, 0, min(n, s.limit+1)+bytes.MinRead)
}

// PutDecompressBytes implements [kgo.PoolDecompressBytes]: nothing is kept.
func (sized) PutDecompressBytes([]byte) {}

// How many bytes a byte can become at most.
const (
	gzipRatio = 1032
	lz4Ratio  = 255
)

// lz4Size is the most that a frame of lz4 becomes by its blocks' headers, 0 where it is none that can be read.
func lz4Size(src []byte) (n int64) {
	if len(src) < 7 || binary.LittleEndian.Uint32(src) != 0x184D2204 {
		return 0
	}
	flags, block := src[4], int64(1)<<(8+2*(src[5]>>4&7))
	at := 7 // the magic number, flags, sizes and their checksum
	if flags&8 != 0 {
		at += 8 // the size of the content
	}
	if flags&1 != 0 {
		at += 4 // a dictionary
	}
	for at+4 <= len(src) {
		size := int(binary.LittleEndian.Uint32(src[at:]))
		at += 4
		stored := size>>31 != 0
		size &= 1<<31 - 1
		if size == 0 {
			return n
		}
		if size > len(src)-at {
			return 0
		}
		if stored {
			n += int64(size)
		} else {
			n += min(block, int64(size)*lz4Ratio)
		}
		if at += size; flags&16 != 0 {
			at += 4 // the block's checksum
		}
	}
	return n
}

// maxBatch is the most that the library decompresses.
const maxBatch = 1<<31 - 1

var (
	_ kgo.Decompressor       = (*Fetched)(nil)
	_ kgo.HookFetchBatchRead = (*Fetched)(nil)
)

// Options are those of the client.
func (f *Fetched) Options() []kgo.Opt { return []kgo.Opt{kgo.WithDecompressor(f), kgo.WithHooks(f)} }

// Decompress implements [kgo.Decompressor]. The client fetches again what it refuses: an error that comes behind
// batches of the same partition makes the client forget what is behind them, and one that comes first is the
// partition's.
//
// Not so in share groups, where the client tells the broker that records behind an error do not exist. There, nothing
// is returned in place of the batch, which the client takes for damaged, and gives the records back; [Fetched.Refusal]
// says why.
func (f *Fetched) Decompress(src []byte, codec kgo.CompressionCodecType) ([]byte, error) {
	if codec == kgo.CodecNone {
		return src, nil
	}
	out, err := f.decompress(src, codec)
	if err != nil && f.limits.Whole && f.refused(err) {
		return nil, nil
	}
	return out, err
}

func (f *Fetched) decompress(src []byte, codec kgo.CompressionCodecType) ([]byte, error) {
	if f.full() {
		return nil, ErrNoRoom
	}
	out, err := f.small.Decompress(src, codec)
	if errors.Is(err, kgo.ErrMaxDecompress) && f.limits.Batch > smallBatch {
		done := f.limits.Account.Alone(f.limits.Batch)
		out, err = f.inner.Decompress(src, codec)
		if spare := cap(out) - len(out); spare > smallBatch+len(out)/4 {
			out = slices.Clone(out)
		}
		done()
	}
	switch {
	case errors.Is(err, kgo.ErrMaxDecompress):
		// Not wrapped: the client would never fetch the partition again.
		return nil, &BatchTooLargeError{Limit: f.limits.Batch, Setting: f.limits.Setting}
	case err != nil:
		return nil, err
	}
	cost := batchMemory(out)
	if cost > batchCost*f.limits.Batch {
		return nil, &BatchTooLargeError{Limit: batchCost * f.limits.Batch, Structs: true, Setting: f.limits.Setting}
	}
	if !f.limits.Account.FitsEver(cost) {
		return nil, &BatchTooLargeError{Limit: cost - 1, Structs: true, Setting: "provider_max_memory"}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.held > 0 && f.held+cost > f.limits.Held || !f.limits.Account.Take(cost) {
		f.overLimit = true
		return nil, ErrNoRoom
	}
	f.held += cost
	f.recent += cost
	return out, nil
}

// full tells whether to decompress nothing more. One batch always may be, so that there is a way on.
func (f *Fetched) full() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.held >= f.limits.Held && f.held > 0 {
		f.overLimit = true
		return true
	}
	return false
}

// refused keeps why a batch was refused; it is false for errors that are the data's.
func (f *Fetched) refused(err error) bool {
	if _, large := errors.AsType[*BatchTooLargeError](err); !large && !errors.Is(err, ErrNoRoom) {
		return false
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.refusal == nil || errors.Is(f.refusal, ErrNoRoom) {
		f.refusal = err
	}
	return true
}

// Refusal returns why a batch has been refused since it was last called, nil where none was. It is for share groups.
func (f *Fetched) Refusal() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	err := f.refusal
	f.refusal = nil
	return err
}

// OnFetchBatchRead implements [kgo.HookFetchBatchRead]: it counts batches that are not compressed. They are there
// already; the sizes of fetches bound them.
func (f *Fetched) OnFetchBatchRead(_ kgo.BrokerMetadata, _ string, _ int32, m kgo.FetchBatchMetrics) {
	if m.CompressionType != 0 {
		return
	}
	cost := int64(m.UncompressedBytes) + int64(m.NumRecords)*fetchedRecord
	f.limits.Account.Must(cost)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.held += cost
	f.recent += cost
	if f.held > f.limits.Held {
		f.overLimit = true
	}
}

// Taken is called with what a poll has returned, once that is not needed any more, and forgets its records: the client
// would hold them until the last one of the same fetch has been polled. In share groups, where the client needs them,
// it does not. left is the number of records that the client still holds. It returns about what they took.
func (f *Fetched) Taken(fetches kgo.Fetches, left int64) (took int64) {
	fetches.EachRecord(func(r *kgo.Record) { took += fetchedMemory(r) })
	if !f.limits.Whole {
		fetches.EachPartition(func(p kgo.FetchTopicPartition) { clear(p.Records) })
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	// Records that the client throws away are taken by nobody. So where it holds none, no more can be left than what it is
	// just making records of.
	rest := max(0, f.held-took)
	if left == 0 {
		rest = min(rest, f.recent)
	}
	f.limits.Account.Give(f.held - rest)
	f.held, f.recent = rest, 0
	return took
}

// OverLimit tells whether more was fetched since it was last called than there was room for: fetches should be smaller.
func (f *Fetched) OverLimit() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	was := f.overLimit
	f.overLimit = false
	return was
}

// Held is what the client holds.
func (f *Fetched) Held() int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.held
}

// Close gives back what is held.
func (f *Fetched) Close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.limits.Account.Give(f.held)
	f.held = 0
}

// The memory that the client uses for a record and for a header: a struct, and the pointer to it or the text of its
// key.
const (
	fetchedRecord = int64(unsafe.Sizeof(kgo.Record{})) + 8
	fetchedHeader = int64(unsafe.Sizeof(kgo.RecordHeader{})) + 16
)

// fetchedMemory is what a record takes in the client.
func fetchedMemory(r *kgo.Record) int64 {
	n := fetchedRecord + int64(len(r.Key)+len(r.Value)) + int64(len(r.Headers))*fetchedHeader
	for _, h := range r.Headers {
		n += int64(len(h.Key) + len(h.Value))
	}
	return n
}

// batchMemory is what a decompressed batch takes once the client has made records of it. It trusts nothing: where the
// bytes are no records, the client finds that out.
func batchMemory(b []byte) int64 {
	n := int64(len(b))
	if len(b) > 0 && b[0] == 0 {
		// A set of messages, as they were before Kafka 0.11: each begins with an offset and has 34 bytes of its own.
		return n + n/34*fetchedRecord
	}
	for len(b) > 0 {
		length, used := binary.Varint(b)
		if used <= 0 || length <= 0 || length > int64(len(b)-used) {
			return n
		}
		n += fetchedRecord + headersOf(b[used:used+int(length)])*fetchedHeader
		b = b[used+int(length):]
	}
	return n
}

// headersOf is the number of headers that a record (of message format 2) names, which is no more than there can be.
func headersOf(b []byte) int64 {
	b = b[1:]     // the attributes
	for range 2 { // the differences to the batch's timestamp and offset
		_, used := binary.Varint(b)
		if used <= 0 {
			return 0
		}
		b = b[used:]
	}
	for range 2 { // key and value
		length, used := binary.Varint(b)
		if used <= 0 || length > int64(len(b)-used) {
			return 0
		}
		b = b[used+int(max(length, 0)):]
	}
	count, used := binary.Varint(b)
	if used <= 0 || count < 0 {
		return 0
	}
	return min(count, int64(len(b)-used)/2)
}
