package kafka

import (
	"bytes"
	"encoding/binary"
	"errors"
	"runtime"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/messaging-kafka/messaging-kafka/internal/base/memory"
)

// batch encodes records as they stand in a batch.
func batch(n int, value []byte, headers int) []byte {
	var out []byte
	for i := range n {
		r := kmsg.Record{OffsetDelta: int32(i), Value: value}
		for range headers {
			r.Headers = append(r.Headers, kmsg.Header{Key: "k"})
		}
		b := r.AppendTo(nil)[1:] // without the length, which is 0
		out = append(binary.AppendVarint(out, int64(len(b))), b...)
	}
	return out
}

func zstd(t *testing.T, b []byte) []byte {
	t.Helper()
	c, err := kgo.DefaultCompressor(kgo.ZstdCompression())
	if err != nil {
		t.Fatal(err)
	}
	out, _ := c.Compress(new(bytes.Buffer), b)
	return bytes.Clone(out)
}

func fetched(t *testing.T, limits FetchLimits) *Fetched {
	t.Helper()
	f, err := NewFetched(limits)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestABatchCostsWhatItsRecordsTake(t *testing.T) {
	for _, c := range []struct{ records, headers int }{{1, 0}, {1000, 0}, {10, 100}} {
		b := batch(c.records, []byte("v"), c.headers)
		want := int64(len(b)) + int64(c.records)*fetchedRecord + int64(c.records*c.headers)*fetchedHeader
		if got := batchMemory(b); got != want {
			t.Errorf("%d records with %d headers cost %d, want %d", c.records, c.headers, got, want)
		}
		if got := batchMemory(b[:len(b)-1]); got > want {
			t.Errorf("cut short it costs %d, more than %d", got, want)
		}
	}
}

func FuzzBatchMemory(f *testing.F) {
	f.Add(batch(3, []byte("value"), 2))
	f.Add([]byte{0, 0, 0, 0, 0, 0, 0, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		if got := batchMemory(b); got < int64(len(b)) || got > int64(len(b))*(fetchedRecord+fetchedHeader+1) {
			t.Errorf("%d bytes cost %d", len(b), got)
		}
	})
}

func TestBatchesAreRefusedBeyondWhatThereIs(t *testing.T) {
	budget := memory.New(100 << 20)
	account := budget.Open("link")
	f := fetched(t, FetchLimits{Batch: 8 << 20, Held: 3 << 20, Setting: "max_buffer", Account: account})
	large := zstd(t, batch(1, make([]byte, 9<<20), 0))
	var tooLarge *BatchTooLargeError
	if _, err := f.Decompress(large, kgo.CodecZstd); !errors.As(err, &tooLarge) || errors.Is(err, kgo.ErrMaxDecompress) {
		t.Fatalf("a batch of 9 MiB where 8 are allowed: %v", err)
	}
	small := zstd(t, batch(100_000, []byte("v"), 1)) // 1 MiB that becomes 23
	if _, err := f.Decompress(small, kgo.CodecZstd); err != nil {
		t.Fatalf("a batch that fits, and the first one: %v", err)
	}
	if _, err := f.Decompress(zstd(t, batch(1, make([]byte, 1<<20), 0)), kgo.CodecZstd); !errors.Is(err, ErrNoRoom) {
		t.Fatalf("a second batch beyond what may be held: %v", err)
	}
	if !f.OverLimit() || f.OverLimit() {
		t.Error("that there was too little room is not told, or told again")
	}
	if f.Held() != account.Used() || f.Held() < 20<<20 {
		t.Errorf("%d bytes are held, and the account says %d", f.Held(), account.Used())
	}
	many := zstd(t, batch(200_000, []byte("v"), 0))
	f.Close()
	if account.Used() != 0 {
		t.Errorf("after the end the account says %d", account.Used())
	}
	if _, err := f.Decompress(many, kgo.CodecZstd); !errors.As(err, &tooLarge) || !tooLarge.Structs {
		t.Errorf("a small batch of more records than there is memory for: %v", err)
	}
}

// The client takes records behind an error in a share group for records that do not exist, and tells the broker so.
func TestInAShareGroupARefusedBatchIsEmptyAndNoError(t *testing.T) {
	f := fetched(t, FetchLimits{Batch: 1 << 20, Held: 1 << 20, Setting: "max_buffer", Whole: true})
	if out, err := f.Decompress(zstd(t, batch(1, make([]byte, 2<<20), 0)), kgo.CodecZstd); err != nil || len(out) != 0 {
		t.Fatalf("%d bytes and %v", len(out), err)
	}
	if _, large := errors.AsType[*BatchTooLargeError](f.Refusal()); !large || f.Refusal() != nil {
		t.Error("why it was refused is not told once")
	}
	if _, err := f.Decompress([]byte("no zstd"), kgo.CodecZstd); err == nil || f.Refusal() != nil {
		t.Errorf("what cannot be decompressed is taken for refused: %v", err)
	}
}

// Buffers that grow take three times as much as they hold in the end. What a batch becomes is told by what it says of
// itself, however false, within its limit.
func TestLargeBatchesAreDecompressedIntoWhatTheyNeed(t *testing.T) {
	const size = 12 << 20
	for name, codec := range map[kgo.CompressionCodecType]kgo.CompressionCodec{kgo.CodecGzip: kgo.GzipCompression(),
		kgo.CodecLz4: kgo.Lz4Compression()} {
		compressor, err := kgo.DefaultCompressor(codec)
		if err != nil {
			t.Fatal(err)
		}
		plain := batch(1, make([]byte, size), 0)
		src, used := compressor.Compress(new(bytes.Buffer), plain)
		if used != name {
			t.Fatalf("codec %d was used, not %d", used, name)
		}
		pool := sized{16 << 20}
		if got := cap(pool.GetDecompressBytes(src, used)); got < len(plain) || got > size+5<<20 {
			t.Errorf("codec %d: %d bytes are made for %d", used, got, size)
		}
		if got := cap((sized{4 << 20}).GetDecompressBytes(src, used)); got > 4<<20+bytes.MinRead+1024 {
			t.Errorf("codec %d: %d bytes are made where 4 MiB are allowed", used, got)
		}
		f := fetched(t, FetchLimits{Batch: 16 << 20, Held: 16 << 20})
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		out, err := f.Decompress(src, used)
		runtime.ReadMemStats(&after)
		if err != nil || !bytes.Equal(out, plain) {
			t.Errorf("codec %d: %d bytes, %v", used, len(out), err)
		}
		// The attempt at a small one has some, too.
		if made := after.TotalAlloc - before.TotalAlloc; made > 3*size {
			t.Errorf("codec %d: %d bytes were made for a batch of %d", used, made, size)
		}
		if used == kgo.CodecGzip { // a size that is not so
			for _, says := range []uint32{0, 1, 1 << 31} {
				wrong := bytes.Clone(src)
				binary.LittleEndian.PutUint32(wrong[len(wrong)-4:], says)
				if n := cap(pool.GetDecompressBytes(wrong, used)); n > 17<<20 {
					t.Errorf("%d bytes are made for a batch that says %d of itself", n, says)
				}
				if _, err := f.Decompress(wrong, used); err == nil {
					t.Error("a batch that says a false size of itself was taken")
				}
			}
		}
		for n := range src { // nothing that is cut off makes it fail otherwise
			if n < 64 || n%997 == 0 {
				_ = cap(pool.GetDecompressBytes(src[:n], used))
			}
		}
	}
}

func TestABatchTakesNoMoreThanAPartOfTheBudget(t *testing.T) {
	account := memory.New(16 << 20).Open("link")
	f := fetched(t, FetchLimits{Batch: 64 << 20, Held: 64 << 20, Setting: "max_buffer", Account: account})
	_, err := f.Decompress(zstd(t, batch(1, make([]byte, 5<<20), 0)), kgo.CodecZstd)
	large, ok := errors.AsType[*BatchTooLargeError](err)
	if !ok || large.Limit != 4<<20 || large.Setting != "provider_max_memory" {
		t.Errorf("a batch of 5 MiB where there are 16 for everything: %v", err)
	}
	if _, err := f.Decompress(zstd(t, batch(1, make([]byte, 3<<20), 0)), kgo.CodecZstd); err != nil {
		t.Errorf("a batch of 3 MiB: %v", err)
	}
	if used := account.Used(); used < 3<<20 || used > 4<<20 {
		t.Errorf("%d bytes are taken for it", used)
	}
}
