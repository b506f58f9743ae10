package wit

import (
	"bytes"
	"errors"
	"io"
	"math"
	"reflect"
	"runtime"
	"testing"
)

// parts is a source that yields b cut into pieces of the given sizes, over and over; a size of 0 yields an empty
// part.
type parts struct {
	b     []byte
	sizes []int
	turn  int
	empty int
}

func (p *parts) Next() ([]byte, error) {
	if len(p.b) == 0 {
		return nil, io.EOF
	}
	n := len(p.b)
	if len(p.sizes) > 0 {
		n = min(n, p.sizes[p.turn%len(p.sizes)])
		p.turn++
		if p.empty++; n > 0 {
			p.empty = 0
		} else if p.empty > len(p.sizes) {
			n = 1 // all sizes are 0: get on all the same
		}
	}
	part := bytes.Clone(p.b[:n])
	p.b = p.b[n:]
	return part, nil
}

// read decodes one value of each named kind and returns them.
var readers = map[string]func(*Decoder) (any, error){
	"bool":   func(d *Decoder) (any, error) { return d.Bool() },
	"u8":     func(d *Decoder) (any, error) { return d.U8() },
	"u32":    func(d *Decoder) (any, error) { return d.U32() },
	"u64":    func(d *Decoder) (any, error) { return d.U64() },
	"string": func(d *Decoder) (any, error) { return d.String() },
	"bytes":  func(d *Decoder) (any, error) { return d.Bytes() },
	"option": func(d *Decoder) (any, error) { return d.Option() },
	"result": func(d *Decoder) (any, error) { return d.Result() },
	"case3":  func(d *Decoder) (any, error) { return d.Case(3) },
	"list": func(d *Decoder) (any, error) {
		return DecodeList(d, 1000, (*Decoder).U32)
	},
}

func TestValuesHaveTheirBytes(t *testing.T) {
	for _, c := range []struct {
		kind  string
		value any
		bytes []byte
	}{
		{"bool", false, []byte{0}},
		{"bool", true, []byte{1}},
		{"u8", uint8(200), []byte{200}},
		{"u32", uint32(0), []byte{0}},
		{"u32", uint32(300), []byte{0xac, 0x02}},
		{"u32", uint32(1000), []byte{0xe8, 0x07}},
		{"u32", uint32(30000), []byte{0xb0, 0xea, 0x01}},
		{"u32", uint32(1048576), []byte{0x80, 0x80, 0x40}},
		{"u32", uint32(math.MaxUint32), []byte{0xff, 0xff, 0xff, 0xff, 0x0f}},
		{"u64", uint64(math.MaxUint64), []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01}},
		{"string", "", []byte{0}},
		{"string", "orders", []byte{6, 'o', 'r', 'd', 'e', 'r', 's'}},
		{"string", "ü", []byte{2, 0xc3, 0xbc}},
		{"bytes", []byte{}, []byte{0}},
		{"bytes", []byte("hi"), []byte{2, 'h', 'i'}},
		{"option", true, []byte{1}},
		{"result", true, []byte{0}},
		{"result", false, []byte{1}},
		{"case3", uint32(2), []byte{2}},
		{"list", []uint32{1, 300}, []byte{2, 1, 0xac, 0x02}},
	} {
		if got := appendValue(nil, c.kind, c.value); !bytes.Equal(got, c.bytes) {
			t.Errorf("%s %v is encoded as % x, not % x", c.kind, c.value, got, c.bytes)
		}
		for _, sizes := range [][]int{nil, {1}, {2, 0, 1}} {
			d := NewDecoder(&parts{b: c.bytes, sizes: sizes}, 1000)
			got, err := readers[c.kind](d)
			if err != nil || !reflect.DeepEqual(got, c.value) {
				t.Errorf("% x in parts of %v is decoded as %s %v (%v), not %v", c.bytes, sizes, c.kind, got, err, c.value)
			}
		}
		for n := range c.bytes {
			if got, err := readers[c.kind](NewBytesDecoder(c.bytes[:n])); !errors.Is(err, ErrIncomplete) {
				t.Errorf("the first %d bytes of %s %v give %v and %v", n, c.kind, c.value, got, err)
			}
		}
	}
}

func appendValue(b []byte, kind string, value any) []byte {
	switch v := value.(type) {
	case bool:
		if kind == "result" {
			return AppendResult(b, v)
		}
		return AppendBool(b, v)
	case uint8:
		return append(b, v)
	case uint32:
		return AppendCase(b, v)
	case uint64:
		return AppendU64(b, v)
	case string:
		return AppendString(b, v)
	case []byte:
		return AppendBytes(b, v)
	case []uint32:
		b = AppendCount(b, len(v))
		for _, e := range v {
			b = AppendU32(b, e)
		}
		return b
	}
	panic("no such kind: " + kind)
}

func TestBadBytesAreRefused(t *testing.T) {
	for _, c := range []struct {
		name, kind string
		bytes      []byte
		want       error
	}{
		{"a bool of 2", "bool", []byte{2}, ErrMalformed},
		{"an option of 255", "option", []byte{255}, ErrMalformed},
		{"a result of 2", "result", []byte{2}, ErrMalformed},
		{"a u32 of 33 bits", "u32", []byte{0xff, 0xff, 0xff, 0xff, 0x1f}, ErrMalformed},
		{"a u32 of six bytes", "u32", []byte{0x80, 0x80, 0x80, 0x80, 0x80, 0x00}, ErrMalformed},
		{"a u64 of 65 bits", "u64", []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x03}, ErrMalformed},
		{"a string that is not UTF-8", "string", []byte{1, 0xff}, ErrMalformed},
		{"a surrogate in a string", "string", []byte{3, 0xed, 0xa0, 0x80}, ErrMalformed},
		{"a case that there is not", "case3", []byte{3}, ErrMalformed},
		{"a string of 4 GiB", "string", []byte{0xff, 0xff, 0xff, 0xff, 0x0f, 'x'}, ErrTooLarge},
		{"a list of 4 Gi elements", "list", []byte{0xff, 0xff, 0xff, 0xff, 0x0f, 1}, ErrTooLarge},
		{"a list of more elements than the caller allows", "list", []byte{0xe9, 0x07, 1}, ErrTooLarge},
		{"a string that ends too soon", "string", []byte{5, 'a', 'b'}, ErrIncomplete},
		{"nothing", "u8", nil, ErrIncomplete},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, sizes := range [][]int{nil, {1}} {
				d := NewDecoder(&parts{b: c.bytes, sizes: sizes}, 1<<20)
				if got, err := readers[c.kind](d); !errors.Is(err, c.want) {
					t.Errorf("decoded as %v with error %v, which is not %v", got, err, c.want)
				}
			}
		})
	}
}

func TestPaddedNumbersAreRead(t *testing.T) {
	if v, err := NewBytesDecoder([]byte{0x85, 0x80, 0x00}).U32(); err != nil || v != 5 {
		t.Errorf("a padded 5 is %d (%v)", v, err)
	}
}

func TestSourceErrorsComeThrough(t *testing.T) {
	want := errors.New("the source broke")
	d := NewDecoder(failing{want}, 10)
	for range 2 {
		if _, err := d.Bytes(); !errors.Is(err, want) {
			t.Errorf("error %v, want %v", err, want)
		}
	}
}

type failing struct{ err error }

func (f failing) Next() ([]byte, error) { return nil, f.err }

func TestLimitHoldsOverAllValues(t *testing.T) {
	d := NewDecoder(&parts{b: make([]byte, 100)}, 10)
	for i := range 10 {
		if _, err := d.U8(); err != nil {
			t.Fatalf("byte %d: %v", i, err)
		}
	}
	if _, err := d.U8(); !errors.Is(err, ErrTooLarge) {
		t.Errorf("the 11th byte of 10 gives %v", err)
	}
}

func TestClaimedLengthAllocatesLittle(t *testing.T) {
	claim := AppendU32(nil, 1<<30)
	claim = append(claim, "what has come"...)
	allocated := allocatedBy(func() {
		if _, err := NewDecoder(&parts{b: claim}, 1<<31).Bytes(); !errors.Is(err, ErrIncomplete) {
			t.Errorf("error %v", err)
		}
	})
	if most := uint64(4 * firstAlloc); allocated > most {
		t.Errorf("a claim of 1 GiB allocated %d bytes, more than %d", allocated, most)
	}
}

// allocatedBy returns the bytes that f allocates, other goroutines' included.
func allocatedBy(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

func TestBytesOfOneMessageAreNotCopied(t *testing.T) {
	b := AppendBytes(nil, make([]byte, 1<<20))
	d := NewBytesDecoder(b)
	got, err := d.Bytes()
	if err != nil || &got[0] != &b[len(b)-1<<20] {
		t.Errorf("the list was copied (%v)", err)
	}
	if cap(got) != len(got) {
		t.Error("an append to the list would overwrite what follows it")
	}
}

func TestTextIsAStringThatIsNotCopied(t *testing.T) {
	b := AppendString(AppendString(nil, "h\u00fc"), "")
	d := NewBytesDecoder(b)
	got, err := d.Text()
	if err != nil || string(got) != "h\u00fc" || &got[0] != &b[1] || cap(got) != len(got) {
		t.Errorf("%q (%v), capacity %d", got, err, cap(got))
	}
	if got, err := d.Text(); err != nil || got == nil || len(got) != 0 {
		t.Errorf("an empty text is %v (%v)", got, err)
	}
	if _, err := NewBytesDecoder([]byte("\x01\xff")).Text(); !errors.Is(err, ErrMalformed) {
		t.Errorf("what is not UTF-8 gives %v", err)
	}
}
