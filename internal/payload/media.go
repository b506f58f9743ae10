package payload

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"strings"
	"unicode/utf8"
)

// The types of data of which the record does not tell any.
const (
	textType   = "text/plain; charset=utf-8"
	binaryType = "application/octet-stream"
)

// media is what a content type says about how data stands in JSON.
type media struct {
	text string
	// json tells that data is a JSON value, as opposed to text in a string (JSON event format, 3.1.1).
	json bool
	// foreign tells that the text is in another charset, so that its bytes are not those of the string.
	foreign bool
}

func parseMedia(text string) (media, error) {
	kind, parameters, err := mime.ParseMediaType(text)
	if err != nil {
		return media{}, fmt.Errorf("is not a media type: %w", err)
	}
	_, subtype, ok := strings.Cut(kind, "/")
	if !ok || !isAttributeText(text) {
		return media{}, errors.New("is not a media type of the form type/subtype")
	}
	m := media{text: text, json: subtype == "json" || strings.HasSuffix(subtype, "+json")}
	switch strings.ToLower(parameters["charset"]) {
	case "", "utf-8", "utf8", "us-ascii":
	default:
		m.foreign = true
	}
	return m, nil
}

// maxNesting bounds the JSON that stands in an envelope as JSON. Parsers have limits to how deeply values may nest,
// some of 128, and one value must not make the whole envelope unreadable.
const maxNesting = 100

// isEmbeddable tells whether value is JSON that can stand in other JSON and be read back from it byte for byte.
func isEmbeddable(value []byte) bool {
	return len(value) > 0 && len(bytes.TrimSpace(value)) == len(value) && utf8.Valid(value) && json.Valid(value) &&
		nesting(value) <= maxNesting
}

// nesting is how deeply the arrays and objects of valid JSON nest.
func nesting(value []byte) int {
	depth, deepest := 0, 0
	inString := false
	for i := 0; i < len(value); i++ {
		switch c := value[i]; {
		case inString && c == '\\':
			i++
		case c == '"':
			inString = !inString
		case inString:
		case c == '{' || c == '[':
			depth++
			deepest = max(deepest, depth)
		case c == '}' || c == ']':
			depth--
		}
	}
	return deepest
}
