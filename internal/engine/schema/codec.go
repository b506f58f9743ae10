package schema

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/sr"
)

// codec makes JSON of the values of one schema, and such values of JSON.
type codec interface {
	// decode makes JSON of what stands behind the frame of a value, of limit bytes at most.
	decode(value []byte, limit int) ([]byte, error)
	// encode appends what stands behind the frame, of limit bytes at most.
	encode(b, text []byte, limit int) ([]byte, error)
}

// reference is a schema that another one refers to, as it calls it.
type reference struct{ name, text string }

// compile reads a schema. What it refers to comes first, in the order in which they refer to each other. message is the
// message of a schema of Protobuf that is written, "" for the first one.
func compile(kind sr.SchemaType, text string, references []reference, message string) (c codec, err error) {
	// The schema is a stranger's, and so is the code that reads it: a fault of that is the schema's, and no end of all.
	defer func() {
		if fault := recover(); fault != nil {
			c, err = nil, fmt.Errorf("reading it fails: %v", fault)
		}
	}()
	switch kind {
	case sr.TypeAvro:
		return compileAvro(text, references)
	case sr.TypeProtobuf:
		return compileProtobuf(text, references, message)
	case sr.TypeJSON:
		return compileJSON(text, references)
	default:
		return nil, fmt.Errorf("it is of the kind %v, which is none of AVRO, PROTOBUF and JSON", kind)
	}
}
