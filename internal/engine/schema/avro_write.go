package schema

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// within says in which field an error is.
func within(field string, err error) error {
	if e, ok := errors.AsType[*UnfitError](err); ok && len(e.Text) < 512 {
		return unfit("%s: %s", field, e.Text)
	}
	return err
}

// parseJSON reads one JSON value, whose numbers keep their digits. Of a member that is there twice, one would be lost,
// and so would bytes that are no UTF-8.
func parseJSON(text []byte) (any, error) {
	if !utf8.Valid(text) {
		return nil, unfit("it is no JSON, which is UTF-8")
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	first, err := d.Token()
	if err != nil {
		return nil, notJSON(text, err)
	}
	value, err := parseValue(d, first, 1)
	if err != nil {
		if _, known := errors.AsType[*UnfitError](err); known {
			return nil, err
		}
		return nil, notJSON(text, err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, unfit("something stands behind its JSON")
	}
	return value, nil
}

// parseValue reads the value that begins with a token.
func parseValue(d *json.Decoder, token json.Token, depth int) (any, error) {
	delim, opens := token.(json.Delim)
	if !opens {
		return token, nil
	}
	if depth > maxDepth {
		return nil, unfit("it is nested more than %d deep", maxDepth)
	}
	list, object := []any{}, map[string]any{}
	for d.More() {
		token, err := d.Token()
		if err != nil {
			return nil, err
		}
		name, isName := token.(string)
		if delim == '{' {
			if _, twice := object[name]; twice || !isName {
				return nil, unfit("an object has a member twice")
			}
			if token, err = d.Token(); err != nil {
				return nil, err
			}
		}
		value, err := parseValue(d, token, depth+1)
		if err != nil {
			return nil, err
		}
		if delim == '{' {
			object[name] = value
		} else {
			list = append(list, value)
		}
	}
	if _, err := d.Token(); err != nil {
		return nil, err
	}
	if delim == '{' {
		return object, nil
	}
	return list, nil
}

// notJSON says where a text is no JSON, and nothing of what it says there.
func notJSON(text []byte, err error) error {
	switch syntax, ok := errors.AsType[*json.SyntaxError](err); {
	case len(bytes.TrimSpace(text)) == 0:
		return unfit("it is empty, and no JSON")
	case ok:
		return unfit("it is no JSON, at byte %d", syntax.Offset)
	default:
		return unfit("it is no JSON: it ends too early")
	}
}

// encode implements codec.
func (c avroCodec) encode(b, text []byte, limit int) ([]byte, error) {
	value, err := parseJSON(text)
	if err != nil {
		return nil, err
	}
	w := avroWriter{out: b, limit: len(b) + limit}
	if err := w.write(c.root, value); err != nil {
		return nil, err
	}
	return w.out, nil
}

// avroWriter makes a value of Avro of JSON, and of defaults, which the schema has as values of Go.
type avroWriter struct {
	out   []byte
	limit int // of out, in bytes: a default may be of any size, and be there for each item of an array
	depth int
	// inDefault tells that what is written is the default of a field.
	inDefault bool
}

func (w *avroWriter) long(n int64) { w.out = binary.AppendVarint(w.out, n) }

func (w *avroWriter) sized(text string) {
	w.long(int64(len(text)))
	w.out = append(w.out, text...)
}

func (w *avroWriter) write(t *avroType, value any) error {
	if w.depth++; w.depth > maxDepth {
		return unfit("it is nested more than %d deep", maxDepth)
	}
	defer func() { w.depth-- }()
	if len(w.out) > w.limit {
		return unfit("it would have more than %d bytes", w.limit)
	}
	switch t.kind {
	case "null":
		if value != nil {
			return wanted("null", value)
		}
		return nil
	case "boolean":
		is, ok := value.(bool)
		if !ok {
			return wanted("true or false", value)
		}
		w.out = append(w.out, map[bool]byte{true: 1}[is])
		return nil
	case "int", "long":
		return w.whole(t, value)
	case "float", "double":
		return w.float(t, value)
	case "string":
		text, ok := value.(string)
		if !ok {
			return wanted("a string", value)
		}
		w.sized(text)
		return nil
	case "bytes", "fixed":
		return w.bytes(t, value)
	case "enum":
		text, ok := value.(string)
		if !ok {
			return wanted("a string", value)
		}
		i := slices.Index(t.symbols, text)
		if i < 0 {
			return unfit("it is none of the symbols of the enum %s", t.name)
		}
		w.long(int64(i))
		return nil
	case "array":
		return w.array(t, value)
	case "map":
		return w.object(t, value)
	case "union":
		return w.union(t, value)
	default:
		return w.record(t, value)
	}
}

// wanted says what a value is and what it should be, and nothing of the value.
func wanted(what string, value any) error {
	return unfit("it is %s and should be %s", kindOf(value), what)
}

// kindOf is what a value is in words.
func kindOf(value any) string {
	switch value.(type) {
	case nil:
		return "null"
	case bool:
		return "true or false"
	case string, []byte:
		return "a string"
	case []any:
		return "an array"
	case map[string]any:
		return "an object"
	default:
		return "a number"
	}
}

func (w *avroWriter) whole(t *avroType, value any) error {
	bits := 64
	if t.kind == "int" {
		bits = 32
	}
	text, ok := numberText(value)
	if !ok {
		return wanted("a whole number", value)
	}
	n, err := strconv.ParseInt(text, 10, bits)
	if err != nil {
		// What is written with a point or an exponent can be whole, as JSON knows one kind of number.
		f, isFloat := new(big.Float).SetPrec(128).SetString(text)
		if len(text) > 64 || !isFloat || !f.IsInt() {
			return unfit("it is not a whole number of %d bits", bits)
		}
		var exact big.Accuracy
		if n, exact = f.Int64(); exact != big.Exact || bits == 32 && n != int64(int32(n)) {
			return unfit("it is not a whole number of %d bits", bits)
		}
	}
	w.long(n)
	return nil
}

// numberText is a number as JSON writes it.
func numberText(value any) (string, bool) {
	switch n := value.(type) {
	case json.Number:
		return n.String(), true
	case int32, int64, int:
		return fmt.Sprint(n), true
	case float32:
		return strconv.FormatFloat(float64(n), 'g', -1, 32), true
	case float64:
		return strconv.FormatFloat(n, 'g', -1, 64), true
	default:
		return "", false
	}
}

func (w *avroWriter) float(t *avroType, value any) error {
	bits := 64
	if t.kind == "float" {
		bits = 32
	}
	text, ok := numberText(value)
	if name, is := value.(string); is && slices.Contains(noNumbers, name) {
		text, ok = name, true
	}
	if !ok {
		return wanted("a number", value)
	}
	f, err := strconv.ParseFloat(text, bits)
	if err != nil {
		return unfit("it is too large for a %s", t.kind)
	}
	if bits == 32 {
		w.out = binary.LittleEndian.AppendUint32(w.out, math.Float32bits(float32(f)))
	} else {
		w.out = binary.LittleEndian.AppendUint64(w.out, math.Float64bits(f))
	}
	return nil
}

func (w *avroWriter) bytes(t *avroType, value any) error {
	b, isBytes := value.([]byte) // of a default
	if !isBytes {
		var err error
		if t.decimal {
			b, err = decimalBytes(t, value)
		} else {
			b, err = latin(value)
		}
		if err != nil {
			return err
		}
	}
	if t.kind == "bytes" {
		w.long(int64(len(b)))
	} else if len(b) != t.size {
		return unfit("it has %d bytes, and the fixed %s has %d", len(b), t.name, t.size)
	}
	w.out = append(w.out, b...)
	return nil
}

// latin are the bytes that a string stands for, each of whose characters is one.
func latin(value any) ([]byte, error) {
	text, ok := value.(string)
	if !ok {
		return nil, wanted("a string, each of whose characters is a byte", value)
	}
	b := make([]byte, 0, len(text))
	for _, r := range text {
		if r > math.MaxUint8 {
			return nil, unfit("it has characters that are no bytes: each stands for the byte with its number, up to 255")
		}
		b = append(b, byte(r))
	}
	return b, nil
}

// decimalBytes is a decimal in two's complement, of as few bytes as hold it, or of those of its fixed.
func decimalBytes(t *avroType, value any) ([]byte, error) {
	text, ok := value.(string)
	if !ok {
		if text, ok = numberText(value); !ok {
			return nil, wanted("a decimal, as a string", value)
		}
	}
	whole, behind, _ := strings.Cut(text, ".")
	digits := strings.TrimPrefix(whole, "-") + behind
	if len(digits) > maxDecimal || len(behind) > t.scale || digits == "" || strings.Trim(digits, "0123456789") != "" {
		return nil, unfit("it is no decimal with at most %d digits behind its point", t.scale)
	}
	digits = strings.TrimLeft(digits+strings.Repeat("0", t.scale-len(behind)), "0")
	if len(digits) > t.precision {
		return nil, unfit("it has more than the %d digits that its decimal has", t.precision)
	}
	n, _ := new(big.Int).SetString("0"+digits, 10)
	if strings.HasPrefix(whole, "-") {
		n.Neg(n)
	}
	size := n.BitLen()/8 + 1 // one bit is for the sign
	if n.Sign() < 0 {
		size = new(big.Int).Not(n).BitLen()/8 + 1
	}
	if t.kind == "fixed" {
		if size > t.size {
			return nil, unfit("it has more than the %d bytes of the fixed %s", t.size, t.name)
		}
		size = t.size
	}
	if n.Sign() < 0 {
		n.Add(n, new(big.Int).Lsh(big.NewInt(1), uint(8*size)))
	}
	return n.FillBytes(make([]byte, size)), nil
}

func (w *avroWriter) array(t *avroType, value any) error {
	list, ok := value.([]any)
	if !ok {
		return wanted("an array", value)
	}
	if len(list) > 0 {
		w.long(int64(len(list)))
	}
	for _, item := range list {
		if err := w.write(t.items, item); err != nil {
			return err
		}
	}
	w.long(0)
	return nil
}

func (w *avroWriter) object(t *avroType, value any) error {
	object, ok := value.(map[string]any)
	if !ok {
		return wanted("an object", value)
	}
	if len(object) > 0 {
		w.long(int64(len(object)))
	}
	// In one order, so that the same JSON is the same value.
	for _, key := range slices.Sorted(maps.Keys(object)) {
		w.sized(key)
		if err := w.write(t.items, object[key]); err != nil {
			return err
		}
	}
	w.long(0)
	return nil
}

func (w *avroWriter) record(t *avroType, value any) error {
	object, ok := value.(map[string]any)
	if !ok {
		return wanted("an object, the record "+t.name, value)
	}
	taken := 0
	for i := range t.fields {
		f := &t.fields[i]
		given, is := object[f.name]
		switch {
		case is:
			taken++
		case f.hasDefault:
			if err := w.writeDefault(f); err != nil {
				return within(f.name, err)
			}
			continue
		case f.of.kind == "union" && f.of.null >= 0:
			given = nil // which is what its absence says
		default:
			return unfit("the field %s is missing", f.name)
		}
		if err := w.write(f.of, given); err != nil {
			return within(f.name, err)
		}
	}
	if taken == len(object) {
		return nil
	}
	for name := range object {
		if !slices.ContainsFunc(t.fields, func(f avroField) bool { return f.name == name }) {
			return unfit("it has a field that the record %s has not", t.name)
		}
	}
	return nil
}

func (w *avroWriter) writeDefault(f *avroField) error {
	was := w.inDefault
	w.inDefault = true
	defer func() { w.inDefault = was }()
	return w.write(f.of, f.def)
}

// union writes the value of a branch: the one that is named, or the only one that can be meant.
func (w *avroWriter) union(t *avroType, value any) error {
	i, inner := t.branchOf(value, w.inDefault)
	if i < 0 {
		return unfit(`it is %s, which is not one branch of its union: write {"%s": …}, with the name of the branch that is meant`,
			kindOf(value), t.branchNames())
	}
	w.long(int64(i))
	return w.write(t.branches[i], inner)
}

func (t *avroType) branchNames() string {
	var names []string
	for _, b := range t.branches {
		if b.kind != "null" {
			names = append(names, b.name)
		}
	}
	return strings.Join(names, "|")
}

// branchOf finds the branch that a value is of, -1 where that is not certain, and the value within. Of a default it is
// the first that takes it.
func (t *avroType) branchOf(value any, isDefault bool) (int, any) {
	if value == nil {
		return t.null, nil
	}
	if object, is := value.(map[string]any); is && len(object) == 1 && !isDefault {
		for name, inner := range object {
			if i := t.branch(name); i >= 0 && name != "null" && (t.optional == nil || !t.optional.has(name)) {
				return i, inner
			}
		}
	}
	if t.optional != nil {
		return 1 - t.null, value
	}
	found := -1
	for i, b := range t.branches {
		if !b.takes(value) {
			continue
		}
		if found >= 0 && !isDefault {
			return -1, nil
		}
		if found < 0 {
			found = i
		}
	}
	return found, value
}

// has tells whether an object with a member of the name can be a value of the type.
func (t *avroType) has(name string) bool {
	return t.kind == "map" || slices.ContainsFunc(t.fields, func(f avroField) bool { return f.name == name })
}

// takes tells whether values of the type have the kind of JSON that a value is of.
func (t *avroType) takes(value any) bool {
	switch v := value.(type) {
	case bool:
		return t.kind == "boolean"
	case string:
		return t.kind == "string" || t.kind == "bytes" || t.kind == "fixed" || t.kind == "enum" ||
			(t.kind == "float" || t.kind == "double") && slices.Contains(noNumbers, v)
	case []byte:
		return t.kind == "bytes" || t.kind == "fixed"
	case []any:
		return t.kind == "array"
	case map[string]any:
		return t.kind == "map" || t.kind == "record"
	case int32:
		return t.kind == "int"
	case int64:
		return t.kind == "long"
	case float32:
		return t.kind == "float"
	case float64:
		return t.kind == "double"
	default:
		return t.kind == "int" || t.kind == "long" || t.kind == "float" || t.kind == "double" || t.decimal
	}
}

// noNumbers are what JSON has no numbers for, as Avro writes them.
var noNumbers = []string{"NaN", "Infinity", "-Infinity"}
