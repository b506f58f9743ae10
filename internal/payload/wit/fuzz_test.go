package wit

import (
	"bytes"
	"errors"
	"math"
	"reflect"
	"testing"
	"unicode/utf8"
)

// FuzzRoundTrip: what is encoded is decoded to itself, wherever the bytes are cut, and nothing is left over.
func FuzzRoundTrip(f *testing.F) {
	f.Add(uint64(300), "orders", []byte("hi"), true, []byte{1})
	f.Add(uint64(math.MaxUint64), "", []byte{}, false, []byte{3, 0})
	f.Add(uint64(1<<32), "ü\x00", make([]byte, 5000), true, []byte{255, 1, 128})
	f.Fuzz(func(t *testing.T, u uint64, text string, body []byte, some bool, cuts []byte) {
		if !utf8.ValidString(text) {
			return
		}
		var option *string
		if some {
			option = &text
		}
		b := AppendU32([]byte{uint8(u)}, uint32(u))
		b = AppendU64(b, u)
		b = AppendString(b, text)
		b = AppendBytes(b, body)
		b = AppendOptionString(b, option)
		b = AppendResult(b, some)

		sizes := make([]int, len(cuts))
		for i, c := range cuts {
			sizes[i] = int(c)
		}
		d := NewDecoder(&parts{b: b, sizes: sizes}, int64(len(b)))
		expect(t, "u8", uint8(u), d.U8)
		expect(t, "u32", uint32(u), d.U32)
		expect(t, "u64", u, d.U64)
		expect(t, "string", text, d.String)
		got, err := d.Bytes()
		if err != nil || !bytes.Equal(got, body) {
			t.Fatalf("list: %d bytes (%v), want %d", len(got), err, len(body))
		}
		gotOption, err := d.OptionString()
		if err != nil || !reflect.DeepEqual(gotOption, option) {
			t.Fatalf("option: %v (%v), want %v", gotOption, err, option)
		}
		expect(t, "result", some, d.Result)
		if len(d.buf) != 0 || d.left != 0 {
			t.Fatalf("%d bytes are left over", d.left)
		}
	})
}

func expect[T comparable](t *testing.T, what string, want T, read func() (T, error)) {
	t.Helper()
	if got, err := read(); err != nil || got != want {
		t.Fatalf("%s: %v (%v), want %v", what, got, err, want)
	}
}

// FuzzDecode: whatever the bytes and wherever they are cut, the decoder returns the same values and the same kind of
// error as from one piece, does not panic, allocates no more than a bound that depends on the bytes that came alone,
// and what it returns can be encoded and decoded to the same again.
func FuzzDecode(f *testing.F) {
	f.Add([]byte{4, 5, 5}, []byte{6, 'o', 'r', 'd', 'e', 'r', 's', 2, 'h', 'i', 1, 2, 'x', 'y'}, []byte{1})
	f.Add([]byte{5}, []byte{0xff, 0xff, 0xff, 0xff, 0x0f}, []byte{2})
	f.Add([]byte{2, 3}, bytes.Repeat([]byte{0xff}, 40), []byte{7, 0})
	f.Add([]byte{9, 8, 7}, []byte{0xe8, 0x07, 1, 2, 3}, []byte{1, 2})
	kinds := []string{"bool", "u8", "u32", "u64", "string", "bytes", "option", "result", "case3", "list"}
	f.Fuzz(func(t *testing.T, script, b, cuts []byte) {
		script = script[:min(len(script), 64)]
		sizes := make([]int, len(cuts))
		for i, c := range cuts {
			sizes[i] = int(c)
		}
		whole, wholeErr := decodeScript(NewDecoder(&parts{b: b}, 1<<16), kinds, script)
		var cut []any
		var cutErr error
		allocated := allocatedBy(func() {
			cut, cutErr = decodeScript(NewDecoder(&parts{b: b, sizes: sizes}, 1<<16), kinds, script)
		})
		if !reflect.DeepEqual(whole, cut) || kindOf(wholeErr) != kindOf(cutErr) {
			t.Fatalf("in one piece %v (%v), cut %v (%v)", whole, wholeErr, cut, cutErr)
		}
		// firstAlloc for each value that is cut, and some for the values, the source's copies and the test itself.
		if most := uint64(len(script)+1)*2*firstAlloc + uint64(64*len(b)) + 1<<20; allocated > most {
			t.Fatalf("%d bytes allocated for %d bytes and %d values", allocated, len(b), len(script))
		}
		var again []byte
		for i, v := range whole {
			again = appendValue(again, kinds[int(script[i])%len(kinds)], v)
		}
		twice, err := decodeScript(NewBytesDecoder(again), kinds, script[:len(whole)])
		if err != nil || !reflect.DeepEqual(whole, twice) {
			t.Fatalf("%v became %v (%v)", whole, twice, err)
		}
	})
}

func decodeScript(d *Decoder, kinds []string, script []byte) ([]any, error) {
	var values []any
	for _, k := range script {
		v, err := readers[kinds[int(k)%len(kinds)]](d)
		if err != nil {
			return values, err
		}
		values = append(values, v)
	}
	return values, nil
}

func kindOf(err error) error {
	for _, kind := range []error{ErrMalformed, ErrTooLarge, ErrIncomplete} {
		if errors.Is(err, kind) {
			return kind
		}
	}
	return err
}
