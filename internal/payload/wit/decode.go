package wit

import (
	"errors"
	"fmt"
	"io"
	"math"
	"unicode/utf8"
	"unsafe"
)

// firstAlloc is how many bytes a value may make a Decoder allocate on its claimed length alone.
const firstAlloc = 16 << 10

// Source yields the parts of a byte stream, cut at arbitrary points.
type Source interface {
	// Next returns the next part, which from then on belongs to the caller, and io.EOF after the last one. An error
	// other than io.EOF is what a [Decoder] reports in its stead.
	Next() ([]byte, error)
}

// Decoder reads values from a byte stream while it arrives. It trusts no claim of the peer: a value's memory
// grows with the bytes that have come, not with the length that they announce.
//
// Errors wrap [ErrMalformed], [ErrTooLarge], [ErrIncomplete] or the source's own error; after one, the position in
// the stream is undefined. A Decoder is for one goroutine.
type Decoder struct {
	src  Source
	buf  []byte // what is unread of the last part
	left int64  // how many bytes may still be read
	end  error  // why src has ended
}

// NewDecoder decodes what src yields, limit bytes of it at most.
func NewDecoder(src Source, limit int64) *Decoder { return &Decoder{src: src, left: limit} }

// whole is a [Source] that is there already, and counted.
type whole struct {
	Holder
	b []byte
}

// Next implements Source.
func (w *whole) Next() ([]byte, error) {
	if w.b == nil {
		return nil, io.EOF
	}
	b := w.b
	w.b = nil
	return b, nil
}

// NewCountedDecoder decodes b and has h count what it makes of it. Values of type list<u8> share b's memory.
func NewCountedDecoder(b []byte, h Holder) *Decoder {
	return NewDecoder(&whole{Holder: h, b: b}, math.MaxInt64)
}

// NewBytesDecoder decodes b. Values of type list<u8> share b's memory.
func NewBytesDecoder(b []byte) *Decoder { return &Decoder{buf: b, left: int64(len(b))} }

// Ended tells whether the source has yielded all that it had, or failed.
func (d *Decoder) Ended() bool { return d.end != nil }

// End returns an error where something follows the values that were read.
func (d *Decoder) End() error {
	switch err := d.fill(); {
	case err == nil:
		return fmt.Errorf("there is more behind the value: %w", ErrMalformed)
	case errors.Is(err, ErrIncomplete):
		return nil
	default:
		return err
	}
}

// fill makes sure that there is an unread byte.
func (d *Decoder) fill() error {
	for len(d.buf) == 0 {
		if d.end != nil {
			return d.end
		}
		if d.src == nil {
			d.end = ErrIncomplete
			continue
		}
		part, err := d.src.Next()
		switch {
		case errors.Is(err, io.EOF):
			d.end = ErrIncomplete
		case err != nil:
			d.end = err
		default:
			d.buf = part
		}
	}
	return nil
}

// take returns the next length bytes. They are the caller's and may share memory with the message that they came in.
func (d *Decoder) take(length int64) ([]byte, error) {
	if length > d.left {
		return nil, fmt.Errorf("a value of %d bytes where %d are left: %w", length, d.left, d.beyond())
	}
	d.left -= length
	n := int(length)
	if n == 0 {
		return []byte{}, nil
	}
	if n <= len(d.buf) {
		b := d.buf[:n:n]
		d.buf = d.buf[n:]
		return b, nil
	}
	return d.gather(n)
}

// gather returns a value of n bytes that is not in one part. It keeps the parts until all are there, and only then
// makes the value, in one piece: a slice that grows along would have been three times as large for a while. Small parts
// are put together, so that a peer that sends single bytes cannot make each of them cost a slice.
func (d *Decoder) gather(n int) ([]byte, error) {
	var parts [][]byte
	joined := false // the last of parts is ours and has room
	got := 0
	for {
		part := d.buf[:min(len(d.buf), n-got)]
		d.buf = d.buf[len(part):]
		got += len(part)
		last := len(parts) - 1
		switch {
		case len(part) >= firstAlloc:
			parts, joined = append(parts, part), false
		case joined && cap(parts[last])-len(parts[last]) >= len(part):
			parts[last] = append(parts[last], part...)
		case len(part) > 0:
			parts, joined = append(parts, append(make([]byte, 0, min(n-got+len(part), 2*firstAlloc)), part...)), true
		}
		if got == n {
			break
		}
		if err := d.fill(); err != nil {
			return nil, err
		}
	}
	if len(parts) == 1 {
		return parts[0][:n:n], nil
	}
	if err := d.Hold(int64(n)); err != nil {
		return nil, err
	}
	b := make([]byte, 0, n)
	for i, part := range parts {
		b = append(b, part...)
		parts[i] = nil
	}
	return b, d.Hold(-int64(n)) // of the parts, of which nobody has anything any more
}

// Hold counts n bytes that are made of what came, until the call ends, or fewer where n is negative. An error, which
// wraps [ErrTooLarge], says that the calls of all peers hold so much already that there is no room. A caller that makes
// much more of a value than its bytes asks before.
func (d *Decoder) Hold(n int64) error {
	if h, ok := d.src.(Holder); ok && n != 0 {
		return h.Hold(n)
	}
	return nil
}

// U8 reads a u8.
func (d *Decoder) U8() (uint8, error) {
	if d.left <= 0 && d.src != nil {
		return 0, fmt.Errorf("more bytes than allowed: %w", ErrTooLarge)
	}
	if len(d.buf) == 0 {
		if err := d.fill(); err != nil {
			return 0, err
		}
	}
	c := d.buf[0]
	d.buf = d.buf[1:]
	d.left--
	return c, nil
}

// Bool reads a bool. Any byte but 0 and 1 is malformed.
func (d *Decoder) Bool() (bool, error) {
	c, err := d.U8()
	if err != nil {
		return false, err
	}
	if c > 1 {
		return false, fmt.Errorf("bool %#02x: %w", c, ErrMalformed)
	}
	return c == 1, nil
}

// unsigned reads an unsigned LEB128 number of at most bits bits. The wire allows padding (80 00 is 0) up to the
// number of bytes that the type can need.
func (d *Decoder) unsigned(bits uint) (uint64, error) {
	var v uint64
	for shift := uint(0); ; shift += 7 {
		c, err := d.U8()
		if err != nil {
			return 0, err
		}
		// In the last possible byte all bits beyond the type are an overflow, the one that announces a further
		// byte included.
		if rest := bits - shift; rest < 7 && c>>rest != 0 {
			return 0, fmt.Errorf("number over %d bits: %w", bits, ErrMalformed)
		}
		v |= uint64(c&0x7f) << shift
		if c&0x80 == 0 {
			return v, nil
		}
	}
}

// U32 reads a u32.
func (d *Decoder) U32() (uint32, error) {
	v, err := d.unsigned(32)
	return uint32(v), err
}

// U64 reads a u64.
func (d *Decoder) U64() (uint64, error) { return d.unsigned(64) }

// Bytes reads a list<u8>. The slice is never nil; it may share memory with the message that it came in.
func (d *Decoder) Bytes() ([]byte, error) {
	n, err := d.U32()
	if err != nil {
		return nil, err
	}
	return d.take(int64(n))
}

// beyond tells a value that cannot be complete, because all of the stream is here, from one over the limit.
func (d *Decoder) beyond() error {
	if d.src == nil {
		return ErrIncomplete
	}
	return ErrTooLarge
}

// Text reads a string, which must be UTF-8, as bytes. They are never nil and may share memory with the message that
// they came in.
func (d *Decoder) Text() ([]byte, error) {
	b, err := d.Bytes()
	if err != nil {
		return nil, err
	}
	if !utf8.Valid(b) {
		return nil, fmt.Errorf("string that is not UTF-8: %w", ErrMalformed)
	}
	return b, nil
}

// String reads a string, which must be UTF-8.
func (d *Decoder) String() (string, error) {
	b, err := d.Text()
	if err == nil && len(b) >= firstAlloc {
		err = d.Hold(int64(len(b)))
	}
	if err != nil {
		return "", err
	}
	return string(b), nil
}

// Count reads the number of elements of a list, which must not exceed most (nor the bytes that may still come:
// elements without any bytes are not supported).
func (d *Decoder) Count(most int) (int, error) {
	n, err := d.U32()
	if err != nil {
		return 0, err
	}
	if int64(n) > int64(most) {
		return 0, fmt.Errorf("list of %d elements, at most %d are allowed: %w", n, most, ErrTooLarge)
	}
	if int64(n) > d.left {
		return 0, fmt.Errorf("list of %d elements where %d bytes are left: %w", n, d.left, d.beyond())
	}
	return int(n), nil
}

// Option reads whether an option has a value, which is then next.
func (d *Decoder) Option() (bool, error) { return d.Bool() }

// OptionString reads an option<string>, nil for none.
func (d *Decoder) OptionString() (*string, error) {
	some, err := d.Option()
	if err != nil || !some {
		return nil, err
	}
	s, err := d.String()
	if err != nil {
		return nil, err
	}
	return &s, nil
}

// Result reads which arm of a result is next; true is ok.
func (d *Decoder) Result() (bool, error) {
	failed, err := d.Bool()
	return err == nil && !failed, err
}

// Case reads the index of a case of a variant or enum that has the given number of cases.
func (d *Decoder) Case(cases uint32) (uint32, error) {
	v, err := d.U32()
	if err != nil {
		return 0, err
	}
	if v >= cases {
		return 0, fmt.Errorf("case %d of %d: %w", v, cases, ErrMalformed)
	}
	return v, nil
}

// Grow makes room for another element of a list that is to have n in the end, and counts it.
func Grow[T any](d *Decoder, list []T, n int) ([]T, error) {
	if len(list) < cap(list) {
		return list, nil
	}
	grown := make([]T, len(list), max(min(n, 2*cap(list)), len(list)+1))
	if err := d.Hold(int64(cap(grown)-cap(list)) * int64(unsafe.Sizeof(*new(T)))); err != nil {
		return nil, err
	}
	copy(grown, list)
	return grown, nil
}

// DecodeList reads a list, each element with elem, and refuses one of more than most. Memory grows with the elements
// that have come.
func DecodeList[T any](d *Decoder, most int, elem func(*Decoder) (T, error)) ([]T, error) {
	n, err := d.Count(most)
	if err != nil {
		return nil, err
	}
	list := make([]T, 0, min(n, 64))
	for i := range n {
		if list, err = Grow(d, list, n); err != nil {
			return nil, err
		}
		v, err := elem(d)
		if err != nil {
			return nil, fmt.Errorf("element %d: %w", i, err)
		}
		list = append(list, v)
	}
	return list, nil
}
