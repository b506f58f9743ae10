package schema

import (
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"
)

// measure counts about how much memory a message of Protobuf takes, as JSON and while that is made, before anything is:
// a message of two bytes can stand for hundreds.
type measure struct {
	left  int
	types *dynamicpb.Types
}

// What things take in memory, or in JSON, whichever is more.
const (
	costMessage = 160
	costElement = 24
)

// message takes what a message costs off what is left.
func (m *measure) message(of protoreflect.MessageDescriptor, value []byte, depth int) error {
	if depth > maxDepth {
		return unfit("it is nested more than %d deep", maxDepth)
	}
	m.left -= costMessage
	isAny := of.FullName() == "google.protobuf.Any"
	var url string
	var inner []byte
	for len(value) > 0 && m.left >= 0 {
		number, kind, size := protowire.ConsumeTag(value)
		if size < 0 {
			return unfit("it is no message %s of Protobuf", of.FullName())
		}
		value = value[size:]
		size = protowire.ConsumeFieldValue(number, kind, value)
		if size < 0 {
			return unfit("it is no message %s of Protobuf", of.FullName())
		}
		raw := value[:size]
		value = value[size:]
		field := of.Fields().ByNumber(number)
		if field == nil {
			m.left -= len(raw) + costElement // it is kept with what is not known
			continue
		}
		content := raw
		if kind == protowire.BytesType {
			content, _ = protowire.ConsumeBytes(raw)
		} else if kind == protowire.StartGroupType {
			content, _ = protowire.ConsumeGroup(number, raw)
		}
		if isAny && number == 1 {
			url = string(content)
		} else if isAny && number == 2 {
			inner = content
		}
		if err := m.field(field, kind, content, depth); err != nil {
			return err
		}
	}
	if isAny && m.left >= 0 {
		if of, err := m.types.FindMessageByURL(url); err == nil {
			return m.message(of.Descriptor(), inner, depth+1)
		}
	}
	return nil
}

// field takes off what one occurrence of a field costs.
func (m *measure) field(f protoreflect.FieldDescriptor, kind protowire.Type, content []byte, depth int) error {
	m.left -= costElement + len(f.JSONName())
	switch {
	case f.Message() != nil && (kind == protowire.BytesType || kind == protowire.StartGroupType):
		return m.message(f.Message(), content, depth+1)
	case f.Kind() == protoreflect.StringKind:
		m.left -= len(content)
		for _, c := range content {
			if c < ' ' || c == 0x7f {
				m.left -= len(`\u0000`)
			} else if c == '"' || c == '\\' {
				m.left--
			}
		}
	case f.Kind() == protoreflect.BytesKind:
		m.left -= len(content)*4/3 + 4
	default:
		m.left -= m.elements(f, kind, content)
	}
	return nil
}

// elements is what numbers cost, of which a field may have many packed together.
func (*measure) elements(f protoreflect.FieldDescriptor, kind protowire.Type, content []byte) int {
	n := 1
	if kind == protowire.BytesType {
		switch f.Kind() {
		case protoreflect.Fixed32Kind, protoreflect.Sfixed32Kind, protoreflect.FloatKind:
			n = len(content) / 4
		case protoreflect.Fixed64Kind, protoreflect.Sfixed64Kind, protoreflect.DoubleKind:
			n = len(content) / 8
		default:
			n = 0
			for _, c := range content { // each ends with a byte that has no other behind it
				if c < 0x80 {
					n++
				}
			}
		}
	}
	each := costElement
	if f.Enum() != nil {
		longest := 0
		for i := range f.Enum().Values().Len() {
			longest = max(longest, len(f.Enum().Values().Get(i).Name()))
		}
		each += longest
	}
	return n * each
}
