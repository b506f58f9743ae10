package kafka

import (
	"bytes"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/messaging-kafka/messaging-kafka/internal/base/memory"
)

// FuzzDecompress decompresses what anybody may have written into a topic: nothing becomes larger than a batch may be,
// and what is taken of the budget for it is given back.
func FuzzDecompress(f *testing.F) {
	const most = 64 << 10
	text := []byte(strings.Repeat("record ", 1000))
	for _, codec := range []kgo.CompressionCodec{kgo.GzipCompression(), kgo.SnappyCompression(), kgo.Lz4Compression(),
		kgo.ZstdCompression()} {
		compressor, err := kgo.DefaultCompressor(codec)
		if err != nil {
			f.Fatal(err)
		}
		for _, value := range [][]byte{text, make([]byte, most), make([]byte, 4*most), nil} {
			var to bytes.Buffer
			src, kind := compressor.Compress(&to, value)
			f.Add(byte(kind), bytes.Clone(src))
		}
	}
	f.Fuzz(func(t *testing.T, codec byte, src []byte) {
		budget := memory.New(8 << 20)
		account := budget.Open("link")
		defer account.Close()
		fetched, err := NewFetched(FetchLimits{Batch: most, Held: 2 * most, Setting: "max_buffer", Account: account})
		if err != nil {
			t.Fatal(err)
		}
		defer fetched.Close()
		out, err := fetched.Decompress(src, kgo.CompressionCodecType(codec&7))
		if kgo.CompressionCodecType(codec&7) != kgo.CodecNone && err == nil && len(out) > most {
			t.Errorf("codec %d made %d bytes of %d, more than %d", codec&7, len(out), len(src), most)
		}
	})
}
