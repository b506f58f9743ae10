package pemtext

import (
	"bytes"
	"encoding/base64"
	"net/url"
	"regexp"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// mark begins what is meant to be PEM.
const mark = "-----BEGIN"

// IsPEM tells whether text is meant to be PEM.
func IsPEM(text string) bool { return strings.Contains(text, mark) }

// maxWraps is how often a text may be encoded once more: a secret of Kubernetes that was made of its own data is twice.
const maxWraps = 2

// unwrap takes off what was put around a whole text: UTF-16, base64, and the escapes of URLs. What it returns is PEM
// text, or what there is otherwise: bytes of DER or of a key store among others.
func unwrap(data []byte) []byte {
	data = plainText(data)
	for range maxWraps {
		text := string(data)
		switch {
		case IsPEM(text):
			return []byte(unescapeURL(text))
		case strings.Contains(text, "%2D%2D%2D%2D%2DBEGIN"), strings.Contains(text, "%2d%2d%2d%2d%2dBEGIN"):
			if plain, err := url.PathUnescape(text); err == nil {
				return []byte(unescapeURL(plain))
			}
			return data
		}
		inner, ok := fromBase64(text)
		if !ok {
			return data
		}
		data = plainText(inner)
	}
	if text := string(data); IsPEM(text) {
		return []byte(unescapeURL(text))
	}
	return data
}

// plainText is data as UTF-8 without a byte order mark. Windows writes UTF-16 where a program's output goes to a file.
func plainText(data []byte) []byte {
	big := bytes.HasPrefix(data, []byte{0xfe, 0xff})
	if !big && !bytes.HasPrefix(data, []byte{0xff, 0xfe}) {
		return bytes.TrimPrefix(data, []byte("\ufeff"))
	}
	units := make([]uint16, 0, len(data)/2)
	for i := 2; i+1 < len(data); i += 2 {
		if big {
			units = append(units, uint16(data[i])<<8|uint16(data[i+1]))
		} else {
			units = append(units, uint16(data[i+1])<<8|uint16(data[i]))
		}
	}
	var text []byte
	for _, r := range utf16.Decode(units) {
		text = utf8.AppendRune(text, r)
	}
	return text
}

// unescapeURL undoes the escapes of a URL's path, and of a form where a space became a plus.
func unescapeURL(text string) string {
	undo := url.PathUnescape
	if strings.Contains(text, mark+"+") {
		undo = url.QueryUnescape
	} else if !strings.Contains(text, mark+"%20") {
		return text
	}
	if plain, err := undo(text); err == nil {
		return plain
	}
	return text
}

// fromBase64 decodes what is base64 and nothing else, whatever its line breaks, in quotes or not.
func fromBase64(text string) ([]byte, bool) {
	const shortest = 48 // bytes of base64: there is no shorter key
	text = squeeze(strings.Trim(strings.TrimSpace(text), `"'`))
	if len(text) < shortest {
		return nil, false
	}
	data, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		data, err = base64.RawStdEncoding.DecodeString(text)
	}
	return data, err == nil
}

// written is a line break as it is written where there must be none: \n, \r\n, and those again in a text with escapes.
var written = regexp.MustCompile(`\\+r(?:\\+n)?|\\+n|\\+(?:\r?\n)`)

// squeeze takes all line breaks, real and written, and all white space out of text.
func squeeze(text string) string {
	return strings.Map(func(r rune) rune {
		switch r {
		case ' ', '\t', '\r', '\n', '\v', '\f', '\u00a0', '\u200b', '\ufeff':
			return -1
		}
		return r
	}, written.ReplaceAllString(text, "\n"))
}
