package schema

import (
	"encoding/binary"
	"math"
	"math/big"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/messaging-kafka/messaging-kafka/internal/payload"
)

// avroReader makes JSON of a value of Avro as it goes through it, so that no more is in memory than the JSON.
type avroReader struct {
	in    []byte
	out   []byte
	limit int // of out, in bytes
	depth int
}

// decode implements codec.
func (c avroCodec) decode(value []byte, limit int) ([]byte, error) {
	r := avroReader{in: value, out: make([]byte, 0, min(limit, 2*len(value)+64)), limit: limit}
	if err := r.read(c.root); err != nil {
		return nil, err
	}
	if len(r.in) > 0 {
		return nil, unfit("%d bytes are left over behind it", len(r.in))
	}
	return r.out, nil
}

func (r *avroReader) read(t *avroType) error {
	if r.depth++; r.depth > maxDepth {
		return unfit("it is nested more than %d deep", maxDepth)
	}
	defer func() { r.depth-- }()
	if err := r.readOf(t); err != nil {
		return err
	}
	if len(r.out) > r.limit {
		return &tooLargeError{r.limit}
	}
	return nil
}

func (r *avroReader) readOf(t *avroType) error {
	switch t.kind {
	case "null":
		r.out = append(r.out, "null"...)
		return nil
	case "boolean":
		return r.boolean()
	case "int", "long":
		n, err := r.long()
		if err == nil && t.kind == "int" && (n < math.MinInt32 || n > math.MaxInt32) {
			err = unfit("an int has more than 32 bits")
		}
		r.out = strconv.AppendInt(r.out, n, 10)
		return err
	case "float", "double":
		return r.float(t)
	case "string":
		text, err := r.sized(t.kind)
		if err != nil {
			return err
		}
		return r.text(text)
	case "bytes", "fixed":
		return r.bytes(t)
	case "enum":
		n, err := r.long()
		if err == nil && (n < 0 || n >= int64(len(t.symbols))) {
			err = unfit("an enum %s has no symbol %d", t.name, n)
		}
		if err != nil {
			return err
		}
		return r.text([]byte(t.symbols[n]))
	case "array":
		return r.blocks('[', ']', func() error { return r.read(t.items) })
	case "map":
		return r.blocks('{', '}', func() error {
			key, err := r.sized("key of a map")
			if err == nil {
				err = r.text(key)
			}
			if err != nil {
				return err
			}
			r.out = append(r.out, ':')
			return r.read(t.items)
		})
	case "union":
		return r.union(t)
	default:
		return r.record(t)
	}
}

// long reads a number as Avro writes it, in zigzag order and parts of seven bits.
func (r *avroReader) long() (int64, error) {
	n, size := binary.Varint(r.in)
	if size <= 0 {
		return 0, r.cut("a number")
	}
	r.in = r.in[size:]
	return n, nil
}

func (*avroReader) cut(what string) error { return unfit("it ends within %s", what) }

// take takes n bytes of the value.
func (r *avroReader) take(n int64, what string) ([]byte, error) {
	if n < 0 || n > int64(len(r.in)) {
		return nil, r.cut(what)
	}
	b := r.in[:n]
	r.in = r.in[n:]
	return b, nil
}

func (r *avroReader) sized(what string) ([]byte, error) {
	n, err := r.long()
	if err != nil {
		return nil, err
	}
	return r.take(n, "a "+what)
}

// text writes a string. Bytes that are no UTF-8 cannot be told by JSON.
func (r *avroReader) text(text []byte) error {
	if !utf8.Valid(text) {
		return unfit("a string is not UTF-8")
	}
	r.out = payload.AppendString(r.out, text)
	return nil
}

func (r *avroReader) boolean() error {
	b, err := r.take(1, "a boolean")
	switch {
	case err != nil:
		return err
	case b[0] > 1:
		return unfit("a boolean is neither true nor false")
	}
	r.out = strconv.AppendBool(r.out, b[0] == 1)
	return nil
}

func (r *avroReader) float(t *avroType) error {
	bits := 64
	if t.kind == "float" {
		bits = 32
	}
	b, err := r.take(int64(bits/8), "a "+t.kind)
	if err != nil {
		return err
	}
	var number float64
	if bits == 32 {
		number = float64(math.Float32frombits(binary.LittleEndian.Uint32(b)))
	} else {
		number = math.Float64frombits(binary.LittleEndian.Uint64(b))
	}
	switch {
	case math.IsNaN(number):
		r.out = append(r.out, `"NaN"`...)
	case math.IsInf(number, 1):
		r.out = append(r.out, `"Infinity"`...)
	case math.IsInf(number, -1):
		r.out = append(r.out, `"-Infinity"`...)
	default:
		r.out = strconv.AppendFloat(r.out, number, 'g', -1, bits)
	}
	return nil
}

// bytes writes bytes as Avro's JSON has them, each as the character with its number, or as the decimal that they are.
func (r *avroReader) bytes(t *avroType) error {
	n := int64(t.size)
	if t.kind == "bytes" {
		var err error
		if n, err = r.long(); err != nil {
			return err
		}
	}
	b, err := r.take(n, t.kind)
	if err != nil {
		return err
	}
	if t.decimal {
		return r.decimal(t, b)
	}
	runes := make([]byte, 0, len(b)+len(b)/2)
	for _, c := range b {
		runes = utf8.AppendRune(runes, rune(c))
	}
	r.out = payload.AppendString(r.out, runes)
	return nil
}

// maxDecimal bounds the bytes of a decimal. Their conversion takes more than its length in time.
const maxDecimal = 1 << 10

func (r *avroReader) decimal(t *avroType, b []byte) error {
	if len(b) > maxDecimal {
		return unfit("a decimal has %d bytes, and no more than %d are read", len(b), maxDecimal)
	}
	r.out = append(append(append(r.out, '"'), decimalText(b, t.scale)...), '"')
	return nil
}

// decimalText is the decimal number whose digits are b, a number in two's complement, with scale of them behind the
// point.
func decimalText(b []byte, scale int) string {
	n := new(big.Int).SetBytes(b)
	if len(b) > 0 && b[0]&0x80 != 0 {
		n.Sub(n, new(big.Int).Lsh(big.NewInt(1), uint(8*len(b))))
	}
	digits, sign := n.String(), ""
	if digits[0] == '-' {
		digits, sign = digits[1:], "-"
	}
	if scale <= 0 {
		return sign + digits
	}
	if missing := scale + 1 - len(digits); missing > 0 {
		digits = strings.Repeat("0", missing) + digits
	}
	point := len(digits) - scale
	return sign + digits[:point] + "." + digits[point:]
}

// blocks goes through the blocks of an array or a map. A block may claim any number of items that take no bytes; they
// make JSON each, which is bounded.
func (r *avroReader) blocks(begin, end byte, item func() error) error {
	r.out = append(r.out, begin)
	for first := true; ; {
		count, err := r.long()
		switch {
		case err != nil:
			return err
		case count == 0:
			r.out = append(r.out, end)
			return nil
		case count == math.MinInt64:
			return unfit("a block claims a number of items that there is not")
		case count < 0: // its size in bytes stands behind it, for those who want to skip it
			count = -count
			if _, err := r.long(); err != nil {
				return err
			}
		}
		for ; count > 0; count-- {
			if !first {
				r.out = append(r.out, ',')
			}
			first = false
			if err := item(); err != nil {
				return err
			}
		}
	}
}

// union writes the value of a branch: as it is where null is the only other one, else with the name of its branch.
func (r *avroReader) union(t *avroType) error {
	n, err := r.long()
	if err != nil {
		return err
	}
	if n < 0 || n >= int64(len(t.branches)) {
		return unfit("a union has no branch %d", n)
	}
	branch := t.branches[n]
	if t.optional != nil || len(t.branches) == 1 || branch.kind == "null" {
		return r.read(branch)
	}
	r.out = append(payload.AppendString(append(r.out, '{'), branch.name), ':')
	if err := r.read(branch); err != nil {
		return err
	}
	r.out = append(r.out, '}')
	return nil
}

func (r *avroReader) record(t *avroType) error {
	r.out = append(r.out, '{')
	for i := range t.fields {
		if i > 0 {
			r.out = append(r.out, ',')
		}
		r.out = append(payload.AppendString(r.out, t.fields[i].name), ':')
		if err := r.read(t.fields[i].of); err != nil {
			return within(t.fields[i].name, err)
		}
	}
	r.out = append(r.out, '}')
	return nil
}
