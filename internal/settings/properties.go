package settings

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// property is one line of a properties file, those that it goes on with included.
type property struct {
	key, value string
	line       int
	// named tells that the key is written like a name, with = or : behind it. What is not may be a piece of a value
	// that was broken into lines, and so of a secret.
	named bool
}

// maxName bounds the names that are told of a file, in bytes; those of Kafka's clients are shorter.
const maxName = 64

// isNamed tells whether what stands before the first =, : or space of a line is written like a name of Kafka's clients.
func isNamed(name, rest string) bool {
	if name == "" || len(name) > maxName || !strings.HasPrefix(strings.TrimLeft(rest, " \t\f"), "=") &&
		!strings.HasPrefix(strings.TrimLeft(rest, " \t\f"), ":") {
		return false
	}
	for part := range strings.FieldsFuncSeq(name, func(c rune) bool { return c == '.' || c == '_' || c == '-' }) {
		if strings.Trim(part, "abcdefghijklmnopqrstuvwxyz") != "" {
			return false
		}
	}
	return true
}

// parseProperties reads a file as Kafka's Java clients or librdkafka have it. The two differ in what a backslash means;
// a file that does not show whose it is must have none in a value. An error shows nothing of a value.
func parseProperties(text string) ([]property, error) {
	lines := naturalLines(text)
	kafka, java := false, false
	for _, line := range lines {
		name, _ := splitProperty(line)
		kafka = kafka || ofLibrdkafka[canonical(name)]
		java = java || ofJava(canonical(name))
	}
	if kafka && !java {
		return plainProperties(lines)
	}
	return javaProperties(lines, java && !kafka)
}

func naturalLines(text string) []string {
	text = strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(strings.TrimPrefix(text, "\ufeff"))
	return strings.Split(text, "\n")
}

// isNote tells a line that says nothing.
func isNote(line string) bool {
	line = strings.TrimLeft(line, " \t\f")
	return line == "" || line[0] == '#' || line[0] == '!'
}

// plainProperties are those of librdkafka: what stands behind the = is the value.
func plainProperties(lines []string) ([]property, error) {
	var all []property
	for i, line := range lines {
		if isNote(line) {
			continue
		}
		name, value, found := strings.Cut(line, "=")
		if name = strings.TrimSpace(name); !found || name == "" {
			return nil, fmt.Errorf("line %d is not name=value", i+1)
		}
		all = append(all, property{name, strings.TrimSpace(value), i + 1, isNamed(name, "=")})
	}
	return all, nil
}

// javaProperties are those of java.util.Properties: lines go on behind a backslash, and a backslash before a character
// has a meaning, where that is known to be meant.
func javaProperties(lines []string, escapes bool) ([]property, error) {
	var all []property
	for i := 0; i < len(lines); i++ {
		number, line := i+1, lines[i]
		if isNote(line) {
			continue
		}
		for GoesOn(line) && i+1 < len(lines) {
			i++
			line = line[:len(line)-1] + strings.TrimLeft(lines[i], " \t\f")
		}
		name, value := splitProperty(line)
		named := isNamed(name, strings.TrimLeft(line, " \t\f")[len(name):])
		name = unescapeJava(name)
		if name == "" {
			return nil, fmt.Errorf("line %d is not name=value", number)
		}
		if strings.Contains(value, `\`) {
			if !escapes {
				return nil, fmt.Errorf(`line %d has a \, which means one thing to Java and another to librdkafka, and nothing here shows whose file this is: give what stands there by itself`, number)
			}
			value = unescapeJava(value)
		}
		all = append(all, property{name, value, number, named})
	}
	return all, nil
}

// GoesOn tells whether a line of a properties file goes on in the next one: an odd number of backslashes ends it.
func GoesOn(line string) bool {
	return (len(line)-len(strings.TrimRight(line, `\`)))%2 == 1
}

// splitProperty splits a line at the first =, : or space that no backslash stands before.
func splitProperty(line string) (name, value string) {
	line = strings.TrimLeft(line, " \t\f")
	end := len(line)
	for i := 0; i < len(line); i++ {
		if line[i] == '\\' {
			i++
			continue
		}
		if strings.IndexByte("=: \t\f", line[i]) >= 0 {
			end = i
			break
		}
	}
	name, value = line[:end], strings.TrimLeft(line[end:], " \t\f")
	if value != "" && (value[0] == '=' || value[0] == ':') {
		value = strings.TrimLeft(value[1:], " \t\f")
	}
	return name, value
}

// unescapeJava undoes the escapes of java.util.Properties.
func unescapeJava(text string) string {
	if !strings.Contains(text, `\`) {
		return text
	}
	var out strings.Builder
	for i := 0; i < len(text); i++ {
		if text[i] != '\\' {
			out.WriteByte(text[i])
			continue
		}
		if i++; i == len(text) {
			break // as Java does
		}
		switch c := text[i]; c {
		case 't':
			out.WriteByte('\t')
		case 'n':
			out.WriteByte('\n')
		case 'r':
			out.WriteByte('\r')
		case 'f':
			out.WriteByte('\f')
		case 'u':
			if unit, ok := codeUnit(text[i-1:]); ok {
				i += codeUnitBytes - len(`\u`)
				if low, ok := codeUnit(text[i+1:]); ok && utf16.DecodeRune(unit, low) != utf8.RuneError {
					unit = utf16.DecodeRune(unit, low) // beyond 16 bits Java writes two
					i += codeUnitBytes
				}
				out.WriteRune(unit)
				continue
			}
			out.WriteByte('u')
		default:
			out.WriteByte(c)
		}
	}
	return out.String()
}

// codeUnitBytes are those of \u and its digits.
const codeUnitBytes = 6

// codeUnit reads \u and four digits at the beginning of a text.
func codeUnit(text string) (rune, bool) {
	if len(text) < codeUnitBytes || !strings.HasPrefix(text, `\u`) {
		return 0, false
	}
	n, err := strconv.ParseUint(text[len(`\u`):codeUnitBytes], 16, 16)
	return rune(n), err == nil
}

// ofLibrdkafka are names, in canonical form, that Java's clients do not know.
var ofLibrdkafka = map[string]bool{
	"metadata_broker_list": true, "sasl_mechanisms": true, "sasl_username": true, "sasl_password": true,
	"ssl_ca_location": true, "ssl_ca_pem": true, "ssl_certificate_location": true, "ssl_certificate_pem": true,
	"ssl_key_location": true, "ssl_key_pem": true, "enable_ssl_certificate_verification": true,
	"sasl_oauthbearer_client_id": true, "sasl_oauthbearer_client_secret": true, "sasl_oauthbearer_extensions": true,
	"compression_codec": true, "message_max_bytes": true, "message_timeout_ms": true, "queue_buffering_max_ms": true,
	"socket_timeout_ms": true, "fetch_wait_max_ms": true, "topic_metadata_refresh_interval_ms": true,
	"request_required_acks": true, "debug": true, "statistics_interval_ms": true, "api_version_request": true,
}

// ofJava tells the names, in canonical form, that librdkafka does not know.
func ofJava(name string) bool {
	return name == "sasl_jaas_config" || strings.HasPrefix(name, "ssl_truststore_") ||
		strings.HasPrefix(name, "ssl_keystore_") && name != "ssl_keystore_location" && name != "ssl_keystore_password" ||
		strings.HasSuffix(name, "_serializer") || strings.HasSuffix(name, "_deserializer") ||
		strings.HasSuffix(name, "_handler_class") || slices.Contains([]string{"max_poll_records", "interceptor_classes"},
		name)
}
