package schema

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"

	"github.com/bufbuild/protocompile"
	"github.com/bufbuild/protocompile/linker"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"
)

// protobufCodec is a schema of Protobuf.
type protobufCodec struct {
	file    protoreflect.FileDescriptor
	types   *dynamicpb.Types
	message protoreflect.MessageDescriptor // the one that is written
	indexes []int                          // of that
}

// mainFile is what the schema itself is called among the files that it imports.
const mainFile = "messaging-kafka-schema.proto"

// compileProtobuf reads a schema of Protobuf. What it imports is a reference of that name, or one of the files that
// come with Protobuf.
func compileProtobuf(text string, references []reference, message string) (codec, error) {
	sources := protobufSources{mainFile: text}
	for _, r := range references {
		sources[r.name] = r.text
	}
	compiler := protocompile.Compiler{Resolver: protocompile.WithStandardImports(sources), MaxParallelism: 1}
	files, err := compiler.Compile(context.Background(), mainFile)
	if err != nil {
		return nil, err
	}
	c := protobufCodec{file: files[0]}
	all, err := registryOf(files[0])
	if err != nil {
		return nil, err
	}
	c.types = dynamicpb.NewTypes(all)
	if c.file.Messages().Len() == 0 {
		return nil, fmt.Errorf("it has no message")
	}
	c.message, c.indexes = c.file.Messages().Get(0), []int{0}
	if message != "" {
		found, err := all.FindDescriptorByName(protoreflect.FullName(message))
		of, is := found.(protoreflect.MessageDescriptor)
		if err != nil || !is || of.ParentFile() != c.file {
			return nil, fmt.Errorf("it has no message %s, which schema_message names", message)
		}
		c.message, c.indexes = of, indexesOf(of)
	}
	return c, nil
}

// protobufSources are schemas by the names under which they are imported, and never files of this machine.
type protobufSources map[string]string

// FindFileByPath implements protocompile.Resolver. Some clients register a schema as the base64 of its descriptor.
func (s protobufSources) FindFileByPath(path string) (protocompile.SearchResult, error) {
	text, is := s[path]
	if !is {
		return protocompile.SearchResult{}, protoregistry.NotFound
	}
	var descriptor descriptorpb.FileDescriptorProto
	if raw, err := base64.StdEncoding.DecodeString(text); err == nil && proto.Unmarshal(raw, &descriptor) == nil {
		descriptor.Name = &path
		nameInJSON(descriptor.MessageType)
		return protocompile.SearchResult{Proto: &descriptor}, nil
	}
	return protocompile.SearchResult{Source: strings.NewReader(text)}, nil
}

// nameInJSON gives fields the names in JSON that they have by default, and which such descriptors leave out.
func nameInJSON(messages []*descriptorpb.DescriptorProto) {
	for _, m := range messages {
		for _, f := range m.Field {
			if f.JsonName == nil {
				f.JsonName = new(camelCase(f.GetName()))
			}
		}
		nameInJSON(m.NestedType)
	}
}

// camelCase is a name without its underscores, behind which letters are large.
func camelCase(name string) string {
	var b []byte
	large := false
	for _, c := range []byte(name) {
		switch {
		case c == '_':
			large = true
			continue
		case large && c >= 'a' && c <= 'z':
			c -= 'a' - 'A'
		}
		large = false
		b = append(b, c)
	}
	return string(b)
}

// registryOf are a file and all that it imports.
func registryOf(file linker.File) (*protoregistry.Files, error) {
	all := &protoregistry.Files{}
	var add func(f protoreflect.FileDescriptor) error
	add = func(f protoreflect.FileDescriptor) error {
		if _, err := all.FindFileByPath(f.Path()); err == nil {
			return nil
		}
		imports := f.Imports()
		for i := range imports.Len() {
			if err := add(imports.Get(i).FileDescriptor); err != nil {
				return err
			}
		}
		return all.RegisterFile(f)
	}
	return all, add(file)
}

// indexesOf is where a message stands in its file, outermost first.
func indexesOf(m protoreflect.MessageDescriptor) []int {
	if outer, is := m.Parent().(protoreflect.MessageDescriptor); is {
		return append(indexesOf(outer), m.Index())
	}
	return []int{m.Index()}
}

// at is the message that stands at indexes.
func (c protobufCodec) at(indexes []int) (protoreflect.MessageDescriptor, error) {
	within := c.file.Messages()
	var found protoreflect.MessageDescriptor
	for _, i := range indexes {
		if i >= within.Len() {
			return nil, unfit("its schema has no message at the indexes %v", indexes)
		}
		if found = within.Get(i); found.IsMapEntry() {
			return nil, unfit("its schema has no message at the indexes %v", indexes)
		}
		within = found.Messages()
	}
	return found, nil
}

// decode implements codec.
func (c protobufCodec) decode(value []byte, limit int) ([]byte, error) {
	indexes, value, err := parseIndexes(value)
	if err != nil {
		return nil, err
	}
	of, err := c.at(indexes)
	if err != nil {
		return nil, err
	}
	// What is made of the value is measured before it is made.
	left := measure{left: limit, types: c.types}
	if err := left.message(of, value, 0); err != nil {
		return nil, err
	}
	if left.left < 0 {
		return nil, &tooLargeError{limit}
	}
	message := dynamicpb.NewMessage(of)
	if err := (proto.UnmarshalOptions{Resolver: c.types, RecursionLimit: maxDepth}).Unmarshal(value, message); err != nil {
		return nil, unfit("it is no message %s of Protobuf", of.FullName())
	}
	text, err := protojson.MarshalOptions{Resolver: c.types}.Marshal(message)
	if err != nil {
		return nil, unfit("its message %s has something for which JSON has no form", of.FullName())
	}
	var out bytes.Buffer
	if err := json.Compact(&out, text); err != nil { // the library puts spaces in by chance
		return nil, fmt.Errorf("compacting what protojson has made: %w", err)
	}
	return out.Bytes(), nil
}

// encode implements codec.
func (c protobufCodec) encode(b, text []byte, limit int) ([]byte, error) {
	message := dynamicpb.NewMessage(c.message)
	if err := (protojson.UnmarshalOptions{Resolver: c.types, RecursionLimit: maxDepth}).Unmarshal(text, message); err != nil {
		return nil, c.refused(text, err)
	}
	b = appendIndexes(b, c.indexes)
	if proto.Size(message) > limit {
		return nil, unfit("it would have more than %d bytes", limit)
	}
	b, err := (proto.MarshalOptions{Deterministic: true}).MarshalAppend(b, message)
	if err != nil {
		return nil, unfit("a required field of the message %s is missing", c.message.FullName())
	}
	return b, nil
}

// place and field are what the library's errors say that is not of the value.
var (
	errorPlace = regexp.MustCompile(`\(line (\d+):(\d+)\)`)
	errorField = regexp.MustCompile(`invalid value for [a-z0-9]+ (?:type|field [A-Za-z0-9_.]+)`)
)

// refused says why JSON is no message, without what the JSON says.
func (c protobufCodec) refused(text []byte, err error) error {
	if len(bytes.TrimSpace(text)) == 0 {
		return unfit("it is empty, and no JSON")
	}
	said := err.Error()
	why := "is no JSON"
	switch field := errorField.FindString(said); {
	case field != "":
		why = "has an " + field
	case strings.Contains(said, "unknown field"):
		why = "has a field that the message has not"
	case strings.Contains(said, "duplicate field"), strings.Contains(said, "already set"):
		why = "has a field twice"
	case json.Valid(text):
		why = "does not fit"
	}
	if at := errorPlace.FindStringSubmatch(said); at != nil {
		why += fmt.Sprintf(", at line %s, column %s", at[1], at[2])
	}
	return unfit("as the message %s it %s", c.message.FullName(), why)
}
