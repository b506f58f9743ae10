package pemtext

import (
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"regexp"
	"strings"
	"unicode"
)

// block is what stands between a line that begins one and the line that ends it.
type block struct {
	label string
	der   []byte
	// cipher is how a key is encrypted in the way of old, as its header says, "" for not.
	cipher string
	// trouble is why the bytes are not to be had; it goes on after "a certificate that".
	trouble string
}

// encode returns the block as PEM text.
func (b *block) encode() []byte { return pem.EncodeToMemory(&pem.Block{Type: b.label, Bytes: b.der}) }

// label is what stands behind BEGIN and END.
const label = ` *([A-Z0-9#]+(?: +[A-Z0-9#]+)*) *-----`

var (
	begins = regexp.MustCompile(`-----BEGIN +` + label)
	ends   = regexp.MustCompile(`-----END +` + label)
	// encrypted is what stands before the base64 of a key that is encrypted in the way of old. Where the line breaks are
	// lost, the cipher tells how many digits there are.
	encrypted = regexp.MustCompile(`^\s*Proc-Type:\s*4,\s*ENCRYPTED\s*DEK-Info:\s*` +
		`((?:AES-\d+-CBC),\s*[0-9A-Fa-f]{32}|(?:DES(?:-EDE3)?-CBC),\s*[0-9A-Fa-f]{16}|[A-Z0-9-]+,\s*[0-9A-Fa-f]+\s)`)
	headers = regexp.MustCompile(`(?m)^[A-Za-z0-9-]+:.*$`)
)

// blocks finds the blocks of PEM text. What stands outside of them is nobody's business, as ever in PEM.
func blocks(text string) []block {
	var found []block
	text = strings.ReplaceAll(text, "\u00a0", " ")
	for {
		at := begins.FindStringSubmatchIndex(text)
		if at == nil {
			return found
		}
		b := block{label: oneSpace(text[at[2]:at[3]])}
		text = text[at[1]:]
		end, next := ends.FindStringSubmatchIndex(text), begins.FindStringIndex(text)
		switch {
		case end != nil && (next == nil || end[0] < next[0]):
			b.read(text[:end[0]])
			if as := oneSpace(text[end[2]:end[3]]); as != b.label && b.trouble == "" {
				// The labels are not shown: in a file that a link names, they may be anything.
				b.trouble = "begins as one thing and ends as another: its BEGIN and END lines differ"
			}
			text = text[end[1]:]
		case next != nil: // whose end is missing
			b.read(text[:next[0]])
			text = text[next[0]:]
		default:
			b.read(text)
			text = ""
		}
		found = append(found, b)
	}
}

func oneSpace(s string) string { return strings.Join(strings.Fields(s), " ") }

// read takes the bytes out of what stands between the lines that begin and end a block.
func (b *block) read(body string) {
	body = written.ReplaceAllString(body, "\n")
	if m := encrypted.FindStringSubmatch(body); m != nil {
		b.cipher = strings.Join(strings.Fields(m[1]), "")
		body = body[len(m[0]):]
	}
	body = headers.ReplaceAllString(body, "")
	if strings.Contains(body, "...") || strings.Contains(body, "…") || strings.Contains(body, "***") {
		b.trouble = "was shortened by somebody: it has dots or stars in place of a part"
		return
	}
	line := 1
	var text strings.Builder
	for _, r := range body {
		switch {
		case r == '\n':
			line++
		case unicode.IsSpace(r), strings.ContainsRune("\"',\u200b\ufeff", r): // of a list in JSON or a program, of a web page
		case r == '=' || r < 0x80 && (unicode.IsLetter(r) || unicode.IsDigit(r) || r == '+' || r == '/'):
			text.WriteRune(r)
		default:
			b.trouble = fmt.Sprintf("has a character in its line %d that no base64 has", line)
			return
		}
	}
	b.decode(text.String())
}

// decode reads base64 as far as it goes and says whether something is missing, by the length that the bytes begin with.
func (b *block) decode(text string) {
	text = strings.TrimRight(text, "=")
	if strings.Contains(text, "=") {
		b.trouble = "has a = in its middle: two of them have run into one another"
		return
	}
	const quantum = 4 // characters for three bytes
	if len(text)%quantum == 1 {
		text = text[:len(text)-1] // no byte ends there, so that something is missing
	}
	data, err := base64.RawStdEncoding.DecodeString(text)
	if err != nil { // not by what was let through
		b.trouble = "is damaged"
		return
	}
	b.der = data
	if b.cipher != "" { // of which only its owner knows how long it is
		if len(data) == 0 {
			b.trouble = "is empty"
		}
		return
	}
	size, known := derSize(data)
	switch {
	case len(data) == 0:
		b.trouble = "is empty"
	case !known:
		b.trouble = "is damaged at its beginning"
	case size > len(data):
		b.trouble = fmt.Sprintf("is cut off or lacks a part: %d of its %d bytes are there", len(data), size)
	case size < len(data):
		b.trouble = fmt.Sprintf("has %d bytes too many, of which some do not belong to it", len(data)-size)
	}
	if b.trouble != "" {
		b.der = nil
	}
}

// derSize is how long a sequence of DER says to be, its own head included.
func derSize(data []byte) (int, bool) {
	const sequence, long, most = 0x30, 0x80, 3 // bytes of a length: what is larger is none of ours
	if len(data) < 2 || data[0] != sequence {
		return 0, false
	}
	n := int(data[1])
	if n < long {
		return 2 + n, true
	}
	n -= long
	if n == 0 || n > most || len(data) < 2+n {
		return 0, false
	}
	size := 0
	for _, c := range data[2 : 2+n] {
		size = size<<8 | int(c)
	}
	return 2 + n + size, true
}
