package check

import (
	"bufio"
	"fmt"
	"io"
	"strings"

	"github.com/messaging-kafka/messaging-kafka/internal/settings"
)

// maxLine bounds a line of a file of settings: certificates on one line are the longest there are.
const maxLine = 1 << 20

// ReadProperties reads settings, one key=value on a line. Empty lines and lines that begin with # or ! are left out. A
// value goes to the end of its line, without the spaces around it; one in quotes is taken as it stands between them,
// and in double quotes \n, \t, \" and \\ mean what they do elsewhere. A line that ends with a backslash goes on in the
// next one, as in the files of Kafka's clients, whose names the settings know. An error names the line and shows no
// value.
func ReadProperties(in io.Reader) (map[string]string, error) {
	values := make(map[string]string)
	lines := bufio.NewScanner(in)
	lines.Buffer(make([]byte, 0, 4096), maxLine)
	for number := 1; lines.Scan(); number++ {
		line := lines.Text()
		if number == 1 {
			line = strings.TrimPrefix(line, "\ufeff")
		}
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' || line[0] == '!' {
			continue
		}
		first := number
		for settings.GoesOn(line) && lines.Scan() {
			number++
			next := strings.TrimSpace(lines.Text())
			if name, _, found := strings.Cut(next, "="); found && settings.Knows(strings.TrimSpace(name)) {
				return nil, fmt.Errorf(`line %d ends with a \, by which it would go on in the next one, a setting of its own: put the value into quotes`, number-1)
			}
			if line = line[:len(line)-1] + next; len(line) > maxLine {
				return nil, bufio.ErrTooLong
			}
		}
		key, text, found := strings.Cut(line, "=")
		key = strings.TrimSpace(key)
		if !found || key == "" {
			return nil, fmt.Errorf("line %d is not key=value", first)
		}
		value, err := unquote(strings.TrimSpace(text))
		if err != nil {
			return nil, fmt.Errorf("line %d: the value of %s %w", first, key, err)
		}
		if _, twice := values[key]; twice {
			return nil, fmt.Errorf("line %d: %s is given twice", first, key)
		}
		values[key] = value
	}
	if err := lines.Err(); err != nil {
		return nil, err
	}
	return values, nil
}

// unquote takes a value out of its quotes, if it has any.
func unquote(text string) (string, error) {
	if text == "" || (text[0] != '"' && text[0] != '\'') {
		return text, nil
	}
	quote := text[0]
	var value strings.Builder
	for i := 1; i < len(text); i++ {
		switch c := text[i]; {
		case c == quote:
			rest := strings.TrimSpace(text[i+1:])
			if rest != "" && rest[0] != '#' {
				return "", fmt.Errorf("goes on behind its closing quote: where the quotes belong to the value, put it into the other kind of quotes")
			}
			return value.String(), nil
		case c == '\\' && quote == '"' && i+1 < len(text):
			i++
			switch e := text[i]; e {
			case 'n':
				value.WriteByte('\n')
			case 't':
				value.WriteByte('\t')
			case '"', '\\':
				value.WriteByte(e)
			default:
				return "", fmt.Errorf(`has a \ before a character that needs none: write \\ for \, or use single quotes`)
			}
		default:
			value.WriteByte(c)
		}
	}
	return "", fmt.Errorf("begins with a quote that nothing closes: where it belongs to the value, put it into the other kind of quotes")
}
