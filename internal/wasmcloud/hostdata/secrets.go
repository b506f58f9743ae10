package hostdata

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"

	"github.com/messaging-kafka/messaging-kafka/internal/settings"
)

// Secrets are secrets in the clear, by name. A secret of kind Bytes is held as the text of these bytes.
type Secrets map[string]settings.Secret

// DecodeSecrets reads a map of secrets in the clear, as it stands in the host data and inside of what a link
// carries sealed: {"name":{"kind":"String","value":"…"},"other":{"kind":"Bytes","value":[1,2,3]}}. Its error names
// the secret that it could not read, never a value.
func DecodeSecrets(b []byte) (Secrets, error) {
	var s Secrets
	err := unmarshal(b, &s)
	return s, err
}

// badSecretError says which secret could not be read, and why, without a word of its value.
type badSecretError struct{ text string }

func (e *badSecretError) Error() string { return e.text }

// UnmarshalJSON implements json.Unmarshaler.
func (s *Secrets) UnmarshalJSON(b []byte) error {
	var w map[string]struct {
		Kind  string          `json:"kind"`
		Value json.RawMessage `json:"value"`
	}
	if err := json.Unmarshal(b, &w); err != nil || w == nil {
		return err
	}
	secrets := make(Secrets, len(w))
	for name, secret := range w {
		var text *string
		var err error
		switch secret.Kind {
		case "String":
			err = unmarshal(secret.Value, &text)
		case "Bytes":
			var bytes *[]byte
			if err = unmarshal(secret.Value, &bytes); bytes != nil {
				text = new(string(*bytes))
			}
		default:
			// The kind itself stays unsaid: in a map that is put together wrongly it could be the secret.
			return &badSecretError{fmt.Sprintf("secret %q is neither of kind String nor of kind Bytes", name)}
		}
		if err == nil && text == nil {
			err = errors.New("no value")
		}
		if err != nil {
			return &badSecretError{fmt.Sprintf("secret %q of kind %s: %v", name, secret.Kind, err)}
		}
		secrets[name] = settings.NewSecret(*text)
	}
	*s = secrets
	return nil
}

// unmarshal is json.Unmarshal with errors that quote nothing of the input. Those of encoding/json hold numbers and
// single characters of it.
func unmarshal(b []byte, into any) error {
	err := json.Unmarshal(b, into)
	if err == nil {
		return nil
	}
	if wrongType, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		kind, _, _ := strings.Cut(wrongType.Value, " ") // "number 12" holds the number
		if wrongType.Field == "" {
			return fmt.Errorf("a JSON %s stands where %s is wanted", kind, describe(wrongType))
		}
		return fmt.Errorf("field %q is or holds a JSON %s where %s is wanted", wrongType.Field, kind, describe(wrongType))
	}
	if secret, ok := errors.AsType[*badSecretError](err); ok {
		return secret
	}
	if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
		return fmt.Errorf("no valid JSON, from byte %d on", syntax.Offset)
	}
	return errors.New("no valid value") // base64 of bytes, for one
}

func describe(e *json.UnmarshalTypeError) string {
	if e.Type == reflect.TypeFor[settings.Secret]() {
		return "a string"
	}
	switch name := e.Type.Kind().String(); name {
	case "struct", "map":
		return "an object"
	case "slice":
		return "an array"
	case "uint8":
		return "a byte"
	case "uint64":
		return "a whole number"
	case "bool":
		return "true or false"
	default:
		return "a " + name
	}
}
