package schema

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
)

// jsonCodec is a JSON Schema. Its values are JSON already, and are looked at in both directions.
type jsonCodec struct{ schema *jsonschema.Schema }

// mainURL is what the schema itself is called, for what it refers to.
const mainURL = "registry:///schema.json"

// loadNothing keeps a schema from having anything read that the registry has not given: neither a file of this machine
// nor what is at a URL.
type loadNothing struct{}

// Load implements jsonschema.URLLoader.
func (loadNothing) Load(of string) (any, error) {
	return nil, fmt.Errorf("it refers to %s, which is none of its references in the registry", of)
}

// compileJSON reads a JSON Schema.
func compileJSON(text string, references []reference) (codec, error) {
	compiler := jsonschema.NewCompiler()
	compiler.UseLoader(loadNothing{})
	add := func(name, text string) error {
		schema, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
		if err != nil {
			return fmt.Errorf("it is no JSON: %w", err)
		}
		if err := checkNumbers(schema); err != nil {
			return err
		}
		return compiler.AddResource(name, schema)
	}
	for _, r := range references {
		at, err := url.Parse(r.name)
		if err != nil {
			return nil, fmt.Errorf("its reference %q is no URL: %w", r.name, err)
		}
		base, err := url.Parse(mainURL)
		if err != nil {
			return nil, fmt.Errorf("reading %s: %w", mainURL, err)
		}
		if err := add(base.ResolveReference(at).String(), r.text); err != nil {
			return nil, fmt.Errorf("reading the schema %s, to which it refers: %w", r.name, err)
		}
	}
	if err := add(mainURL, text); err != nil {
		return nil, err
	}
	schema, err := compiler.Compile(mainURL)
	if err != nil {
		return nil, err
	}
	return jsonCodec{schema}, nil
}

// decode implements codec.
func (c jsonCodec) decode(value []byte, limit int) ([]byte, error) {
	if len(value) > limit {
		return nil, &tooLargeError{limit}
	}
	return value, c.check(value)
}

// encode implements codec.
func (c jsonCodec) encode(b, text []byte, limit int) ([]byte, error) {
	if len(text) > limit {
		return nil, unfit("it has more than %d bytes", limit)
	}
	if err := c.check(text); err != nil {
		return nil, err
	}
	return append(b, text...), nil
}

func (c jsonCodec) check(text []byte) error {
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return notJSON(text, err)
	}
	if err := checkNumbers(value); err != nil {
		return err
	}
	err = c.schema.Validate(value)
	if err == nil {
		return nil
	}
	broken, ok := errors.AsType[*jsonschema.ValidationError](err)
	if !ok {
		return unfit("it cannot be held against its schema")
	}
	for len(broken.Causes) > 0 {
		broken = broken.Causes[0]
	}
	// Where in the schema, not where in the value: its names are the value's own.
	where := strings.Join(broken.ErrorKind.KeywordPath(), "/")
	_, fragment, _ := strings.Cut(broken.SchemaURL, "#")
	if missing, is := broken.ErrorKind.(*kind.Required); is {
		return unfit("it does not hold to its schema: %s at %q is missing", strings.Join(missing.Missing, ", "), fragment)
	}
	return unfit("it does not hold to its schema: %s at %q is broken", where, fragment)
}

// maxDigits is how long a number may be without its exponent. Numbers are compared as fractions of whole numbers: of
// 1e999999 that would be half a megabyte, and of 1e1000001 big.Rat makes none, which the library takes for one.
// A double has 309 digits before its point.
const maxDigits = 1000

// checkNumbers refuses a value in which a number has too many digits.
func checkNumbers(value any) error {
	switch value := value.(type) {
	case json.Number:
		digits, power, _ := strings.Cut(strings.ToLower(value.String()), "e")
		n := 0
		if power != "" {
			var err error
			if n, err = strconv.Atoi(power); err != nil { // larger than any int
				n = maxDigits + 1
			}
		}
		if n > maxDigits || n < -maxDigits || len(digits)+max(n, -n) > maxDigits {
			return unfit("it has a number of more than %d digits", maxDigits)
		}
	case []any:
		for _, item := range value {
			if err := checkNumbers(item); err != nil {
				return err
			}
		}
	case map[string]any:
		for _, member := range value {
			if err := checkNumbers(member); err != nil {
				return err
			}
		}
	}
	return nil
}
