package wit

import (
	"encoding/binary"
	"math"
)

// The Append functions append the encoding of a value to b (the value encoding of the WebAssembly component model:
// LEB128 numbers, length-prefixed strings and lists) to b and return the extended slice, as [append] does. Records,
// tuples, parameters and results have no encoding of their own: their fields follow one another.

// AppendBool appends a bool.
func AppendBool(b []byte, v bool) []byte {
	if v {
		return append(b, 1)
	}
	return append(b, 0)
}

// AppendU8 appends a u8 (and, converted, an s8), which is not LEB128 but the byte itself.
func AppendU8(b []byte, v uint8) []byte { return append(b, v) }

// AppendU16 appends a u16.
func AppendU16(b []byte, v uint16) []byte { return binary.AppendUvarint(b, uint64(v)) }

// AppendU32 appends a u32.
func AppendU32(b []byte, v uint32) []byte { return binary.AppendUvarint(b, uint64(v)) }

// AppendU64 appends a u64.
func AppendU64(b []byte, v uint64) []byte { return binary.AppendUvarint(b, v) }

// AppendS16 appends an s16.
func AppendS16(b []byte, v int16) []byte { return AppendS64(b, int64(v)) }

// AppendS32 appends an s32.
func AppendS32(b []byte, v int32) []byte { return AppendS64(b, int64(v)) }

// AppendS64 appends an s64 as signed LEB128. (That is two's complement; encoding/binary's varint is zigzag.)
func AppendS64(b []byte, v int64) []byte {
	for {
		c := byte(v & 0x7f)
		v >>= 7
		if (v == 0 && c&0x40 == 0) || (v == -1 && c&0x40 != 0) {
			return append(b, c)
		}
		b = append(b, c|0x80)
	}
}

// AppendF32 appends an f32.
func AppendF32(b []byte, v float32) []byte {
	return binary.LittleEndian.AppendUint32(b, math.Float32bits(v))
}

// AppendF64 appends an f64.
func AppendF64(b []byte, v float64) []byte {
	return binary.LittleEndian.AppendUint64(b, math.Float64bits(v))
}

// AppendString appends a string. It must be valid UTF-8, or the peer fails the whole call; use
// [strings.ToValidUTF8] on text of doubtful origin.
func AppendString(b []byte, s string) []byte {
	b = binary.AppendUvarint(b, uint64(len(s)))
	return append(b, s...)
}

// AppendBytes appends a list<u8>.
func AppendBytes(b, v []byte) []byte {
	b = binary.AppendUvarint(b, uint64(len(v)))
	return append(b, v...)
}

// AppendCount appends the number of elements of a list, which the caller then appends one after another.
func AppendCount(b []byte, n int) []byte { return binary.AppendUvarint(b, uint64(n)) }

// AppendOption appends whether an option has a value; where it has, the caller appends it next.
func AppendOption(b []byte, some bool) []byte { return AppendBool(b, some) }

// AppendOptionString appends an option<string>, none for nil.
func AppendOptionString(b []byte, s *string) []byte {
	if s == nil {
		return AppendOption(b, false)
	}
	return AppendString(AppendOption(b, true), *s)
}

// AppendResult appends which arm of a result follows; the caller appends the arm's value, if its type has one.
func AppendResult(b []byte, ok bool) []byte { return AppendBool(b, !ok) }

// AppendCase appends the index of a variant's or enum's case; the caller appends the case's value, if it has one.
func AppendCase(b []byte, index uint32) []byte { return AppendU32(b, index) }

// AppendFlags appends n flags (at most 64), the first in bit 0 of v.
func AppendFlags(b []byte, v uint64, n int) []byte {
	for ; n > 0; n -= 8 {
		b = append(b, byte(v))
		v >>= 8
	}
	return b
}
