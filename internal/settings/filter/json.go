package filter

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"reflect"
	"strconv"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
)

// scanned is how many bytes an evaluation may read of a value: this many, or this many times the value.
const (
	scanned      = 16 << 20
	scannedTimes = 16
)

// reader counts what an evaluation reads of the bytes of one value, which are valid JSON.
type reader struct{ left int }

// What an evaluation can fail of.
var (
	errScanned  = errors.New("the expression reads the value too often")
	errNotJSON  = errors.New("the record's value is not JSON")
	errNumber   = errors.New("a number of the value is too large")
	errElements = fmt.Errorf("a list of the value has more than %d elements", maxElements)
)

// read takes note of n bytes that are read.
func (d *reader) read(n int) error {
	if d.left -= n; d.left < 0 {
		return errScanned
	}
	return nil
}

// document is what a record's value is to an expression: null, what its JSON says, or an error.
func document(value []byte) ref.Val {
	if value == nil {
		return types.NullValue
	}
	if !json.Valid(value) {
		return types.WrapErr(errNotJSON)
	}
	d := &reader{left: max(scanned, scannedTimes*len(value))}
	return d.node(bytes.TrimSpace(value))
}

// node is a part of a value. raw is one value of JSON without space around it.
func (d *reader) node(raw []byte) ref.Val {
	switch raw[0] {
	case '{':
		return &object{d, raw}
	case '[':
		return &array{reader: d, raw: raw, size: -1}
	case '"':
		if err := d.read(len(raw)); err != nil {
			return types.WrapErr(err)
		}
		return types.String(text(raw))
	case 't':
		return types.True
	case 'f':
		return types.False
	case 'n':
		return types.NullValue
	default:
		return number(raw)
	}
}

// text is what a string of JSON says.
func text(raw []byte) string {
	if inner := raw[1 : len(raw)-1]; bytes.IndexByte(inner, '\\') < 0 {
		return string(bytes.ToValidUTF8(inner, []byte("\uFFFD")))
	}
	var s string
	if err := json.Unmarshal(raw, &s); err != nil {
		panic(fmt.Sprintf("a string of valid JSON: %v", err))
	}
	return s
}

// maxExact is the first of the whole numbers that a double does not tell from its neighbours.
const maxExact = 1 << 53

// number is a double, as numbers of JSON are in CEL; but a whole one that a double may not hold as it is, an id, say,
// is an int or uint, and equals no other.
func number(raw []byte) ref.Val {
	if !bytes.ContainsAny(raw, ".eE") {
		if n, err := strconv.ParseInt(string(raw), 10, 64); err == nil {
			if n >= maxExact || n <= -maxExact {
				return types.Int(n)
			}
			return types.Double(n)
		}
		if n, err := strconv.ParseUint(string(raw), 10, 64); err == nil {
			return types.Uint(n)
		}
	}
	f, err := strconv.ParseFloat(string(raw), 64)
	if err != nil || math.IsInf(f, 0) {
		return types.WrapErr(errNumber)
	}
	return types.Double(f)
}

func isSpace(c byte) bool { return c == ' ' || c == '\n' || c == '\r' || c == '\t' }

// skipString returns where the string ends that begins at i.
func skipString(b []byte, i int) int {
	for i++; ; i++ {
		switch b[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
}

// skip returns where the value ends that begins at i.
func skip(b []byte, i int) int {
	switch b[i] {
	case '"':
		return skipString(b, i)
	case '{', '[':
		for depth := 0; ; {
			switch b[i] {
			case '"':
				i = skipString(b, i)
				continue
			case '{', '[':
				depth++
			case '}', ']':
				if depth--; depth == 0 {
					return i + 1
				}
			}
			i++
		}
	default:
		for i < len(b) && !isSpace(b[i]) && b[i] != ',' && b[i] != '}' && b[i] != ']' {
			i++
		}
		return i
	}
}

// cursor goes through the members of an object or the elements of an array.
type cursor struct {
	*reader
	raw []byte
	at  int // of the next name or element, or of the closing bracket
}

func (d *reader) within(raw []byte) cursor {
	c := cursor{d, raw, 1}
	c.space()
	return c
}

func (c *cursor) space() {
	for isSpace(c.raw[c.at]) {
		c.at++
	}
}

// more tells whether there is another member or element.
func (c *cursor) more() bool { return c.at < len(c.raw)-1 }

// value takes the value at the cursor and goes on behind the comma after it.
func (c *cursor) value() ([]byte, error) {
	began := c.at
	end := skip(c.raw, began)
	c.at = end
	c.space()
	if c.raw[c.at] == ',' {
		c.at++
		c.space()
	}
	return c.raw[began:end], c.read(c.at - began)
}

// name takes the name at the cursor and goes on to the value.
func (c *cursor) name() ([]byte, error) {
	began := c.at
	end := skipString(c.raw, began)
	c.at = end
	c.space()
	c.at++ // the colon
	c.space()
	return c.raw[began:end], c.read(c.at - began)
}

// object is an object of JSON. Where a name is there twice the last one counts, and size and iteration count both.
type object struct {
	*reader
	raw []byte
}

// Find implements traits.Mapper.
func (o *object) Find(key ref.Val) (ref.Val, bool) {
	name, is := key.(types.String)
	if !is {
		if types.IsError(key) {
			return key, false
		}
		return nil, false // names are strings, and another key is not there
	}
	var found []byte
	for c := o.within(o.raw); c.more(); {
		has, err := c.name()
		if err != nil {
			return types.WrapErr(err), false
		}
		value, err := c.value()
		if err != nil {
			return types.WrapErr(err), false
		}
		if isName(has, string(name)) {
			found = value
		}
	}
	if found == nil {
		return nil, false
	}
	return o.node(found), true
}

// isName tells whether a string of JSON says name.
func isName(raw []byte, name string) bool {
	inner := raw[1 : len(raw)-1]
	if string(inner) == name {
		return bytes.IndexByte(inner, '\\') < 0
	}
	return bytes.IndexByte(inner, '\\') >= 0 && text(raw) == name
}

// Get implements traits.Mapper.
func (o *object) Get(key ref.Val) ref.Val {
	v, found := o.Find(key)
	if !found && v == nil {
		return types.NewErr("no such key: %v", key)
	}
	return v
}

// Contains implements traits.Mapper.
func (o *object) Contains(key ref.Val) ref.Val {
	v, found := o.Find(key)
	if !found && v != nil {
		return v
	}
	return types.Bool(found)
}

// Size implements traits.Mapper.
func (o *object) Size() ref.Val {
	n := 0
	for c := o.within(o.raw); c.more(); n++ {
		if _, err := c.name(); err != nil {
			return types.WrapErr(err)
		}
		if _, err := c.value(); err != nil {
			return types.WrapErr(err)
		}
	}
	return types.Int(n)
}

// Iterator implements traits.Mapper: it gives the names.
func (o *object) Iterator() traits.Iterator { return &iterator{cursor: o.within(o.raw), names: true} }

// Fold implements traits.Foldable.
func (o *object) Fold(f traits.Folder) {
	for c := o.within(o.raw); c.more(); {
		name, err := c.name()
		if err == nil {
			var value []byte
			if value, err = c.value(); err == nil {
				if !f.FoldEntry(types.String(text(name)), o.node(value)) {
					return
				}
				continue
			}
		}
		f.FoldEntry(types.WrapErr(err), types.WrapErr(err))
		return
	}
}

// Equal implements ref.Val.
func (o *object) Equal(other ref.Val) ref.Val {
	m, is := other.(traits.Mapper)
	if !is {
		return types.False
	}
	mine, theirs := o.Size(), m.Size()
	if types.IsError(mine) || mine != theirs {
		return firstError(mine, theirs)
	}
	for it := o.Iterator(); it.HasNext() == types.True; {
		name := it.Next()
		if types.IsError(name) {
			return name
		}
		value, _ := o.Find(name)
		with, found := m.Find(name)
		if !found {
			return firstError(value, with)
		}
		if equal := same(value, with); equal != types.True {
			return equal
		}
	}
	return types.True
}

// firstError is the first of values that is an error, or false where none is.
func firstError(values ...ref.Val) ref.Val {
	for _, v := range values {
		if v != nil && types.IsError(v) {
			return v
		}
	}
	return types.False
}

func same(a, b ref.Val) ref.Val {
	if types.IsError(a) || types.IsError(b) {
		return firstError(a, b)
	}
	return types.Equal(a, b)
}

// ConvertToNative implements ref.Val.
func (*object) ConvertToNative(to reflect.Type) (any, error) {
	return nil, fmt.Errorf("an object of JSON is no %v", to)
}

// ConvertToType implements ref.Val.
func (o *object) ConvertToType(to ref.Type) ref.Val { return convert(o, types.MapType, to) }

func convert(v ref.Val, is *types.Type, to ref.Type) ref.Val {
	switch to {
	case is:
		return v
	case types.TypeType:
		return is
	}
	return types.NewErr("type conversion error from '%s' to '%s'", is, to)
}

// AggregateSize tells CEL's bound on memory that the object takes none: its bytes are the record's.
func (*object) AggregateSize(types.AggregateSizer) uint32 { return 1 }

// Type implements ref.Val.
func (*object) Type() ref.Type { return types.MapType }

// Value implements ref.Val.
func (o *object) Value() any { return o }

// array is an array of JSON.
type array struct {
	*reader
	raw  []byte
	size int // -1 until it is known
}

// Size implements traits.Lister.
func (a *array) Size() ref.Val {
	if a.size < 0 {
		n := 0
		for c := a.within(a.raw); c.more(); n++ {
			if _, err := c.value(); err != nil {
				return types.WrapErr(err)
			}
		}
		a.size = n
	}
	return types.Int(a.size)
}

// Get implements traits.Lister.
func (a *array) Get(index ref.Val) ref.Val {
	n, err := types.GetOrError(index)
	if err != nil {
		return types.WrapErr(err)
	}
	c := a.within(a.raw)
	for i := 0; n >= 0 && c.more(); i++ {
		raw, err := c.value()
		switch {
		case err != nil:
			return types.WrapErr(err)
		case i == n:
			return a.node(raw)
		}
	}
	return types.NewErr("index out of bounds: %d", n)
}

// Contains implements traits.Lister.
func (a *array) Contains(value ref.Val) ref.Val {
	for it := a.Iterator(); it.HasNext() == types.True; {
		if equal := same(it.Next(), value); equal != types.False {
			return equal
		}
	}
	return types.False
}

// Iterator implements traits.Lister.
func (a *array) Iterator() traits.Iterator { return &iterator{cursor: a.within(a.raw)} }

// Fold implements traits.Foldable. Without it CEL would ask for one element after another by its index.
func (a *array) Fold(f traits.Folder) {
	c := a.within(a.raw)
	for i := 0; c.more(); i++ {
		value, err := c.value()
		if err != nil {
			f.FoldEntry(i, types.WrapErr(err))
			return
		}
		if !f.FoldEntry(i, a.node(value)) {
			return
		}
	}
}

// Add implements traits.Lister.
func (a *array) Add(other ref.Val) ref.Val {
	if _, is := other.(traits.Lister); !is {
		return types.MaybeNoSuchOverloadErr(other)
	}
	var all []ref.Val
	for it := a.Iterator(); it.HasNext() == types.True; {
		if len(all) == maxElements {
			return types.WrapErr(errElements)
		}
		all = append(all, it.Next())
	}
	return types.NewRefValList(types.DefaultTypeAdapter, all).Add(other)
}

// Equal implements ref.Val.
func (a *array) Equal(other ref.Val) ref.Val {
	l, is := other.(traits.Lister)
	if !is {
		return types.False
	}
	mine, theirs := a.Size(), l.Size()
	if types.IsError(mine) || mine != theirs {
		return firstError(mine, theirs)
	}
	it, with := a.Iterator(), l.Iterator()
	for it.HasNext() == types.True && with.HasNext() == types.True {
		if equal := same(it.Next(), with.Next()); equal != types.True {
			return equal
		}
	}
	return types.True
}

// ConvertToNative implements ref.Val.
func (*array) ConvertToNative(to reflect.Type) (any, error) {
	return nil, fmt.Errorf("an array of JSON is no %v", to)
}

// ConvertToType implements ref.Val.
func (a *array) ConvertToType(to ref.Type) ref.Val { return convert(a, types.ListType, to) }

// AggregateSize tells CEL's bound on memory that the array takes none: its bytes are the record's.
func (*array) AggregateSize(types.AggregateSizer) uint32 { return 1 }

// Type implements ref.Val.
func (*array) Type() ref.Type { return types.ListType }

// Value implements ref.Val.
func (a *array) Value() any { return a }

// iterator gives the elements of an array, or the names of an object.
type iterator struct {
	cursor
	names  bool
	failed bool
}

// HasNext implements traits.Iterator.
func (i *iterator) HasNext() ref.Val { return types.Bool(!i.failed && i.more()) }

// Next implements traits.Iterator.
func (i *iterator) Next() ref.Val {
	var name []byte
	var err error
	if i.names {
		name, err = i.cursor.name()
	}
	var value []byte
	if err == nil {
		value, err = i.cursor.value()
	}
	switch {
	case err != nil:
		i.failed = true
		return types.WrapErr(err)
	case i.names:
		return types.String(text(name))
	default:
		return i.node(value)
	}
}

// ConvertToNative implements ref.Val.
func (*iterator) ConvertToNative(reflect.Type) (any, error) {
	return nil, errors.New("an iterator is no value")
}

// ConvertToType implements ref.Val.
func (*iterator) ConvertToType(ref.Type) ref.Val { return types.NewErr("an iterator is no value") }

// Equal implements ref.Val.
func (*iterator) Equal(ref.Val) ref.Val { return types.NewErr("an iterator is no value") }

// Type implements ref.Val.
func (*iterator) Type() ref.Type { return types.IteratorType }

// Value implements ref.Val.
func (*iterator) Value() any { return nil }
