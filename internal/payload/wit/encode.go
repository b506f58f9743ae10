package wit

import "encoding/binary"

// The Append functions append the encoding of a value to b (the value encoding of the WebAssembly component model:
// LEB128 numbers, length-prefixed strings and lists) to b and return the extended slice, as [append] does. Records,
// tuples, parameters and results have no encoding of their own: their fields follow one another. There are the types
// that the interfaces of this provider use.

// AppendBool appends a bool.
func AppendBool(b []byte, v bool) []byte {
	if v {
		return append(b, 1)
	}
	return append(b, 0)
}

// AppendU32 appends a u32.
func AppendU32(b []byte, v uint32) []byte { return binary.AppendUvarint(b, uint64(v)) }

// AppendU64 appends a u64.
func AppendU64(b []byte, v uint64) []byte { return binary.AppendUvarint(b, v) }

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
