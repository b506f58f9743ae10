package httpin

import (
	"fmt"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"
)

// example is a command of the documents, and what it prints.
type example struct{ command, answer string }

// readExamples are the commands in a document that begin with a program's name.
func readExamples(t *testing.T, path, program string) []example {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var list []example
	lines := strings.Split(string(text), "\n")
	for i := 0; i < len(lines); i++ {
		command, ok := strings.CutPrefix(lines[i], "    $ "+program+" ")
		if !ok {
			continue
		}
		for strings.HasSuffix(command, `\`) {
			i++
			command = strings.TrimSuffix(command, `\`) + strings.TrimSpace(lines[i])
		}
		e := example{command: command}
		for i+1 < len(lines) && strings.HasPrefix(lines[i+1], "    ") && !strings.HasPrefix(lines[i+1], "    $ ") {
			i++
			e.answer += strings.TrimSpace(lines[i])
		}
		list = append(list, e)
	}
	return list
}

// word is one of a command line: quoted in one of two ways, or not at all.
var word = regexp.MustCompile(`'[^']*'|"[^"]*"|\S+`)

// curl makes the request that curl sends for a command line.
func curl(command, url string) (*http.Request, error) {
	var words []string
	for _, w := range word.FindAllString(command, -1) {
		words = append(words, strings.Trim(w, `'"`))
	}
	method, body, address, header := http.MethodGet, "", "", http.Header{}
	for i := 0; i < len(words); i++ {
		switch w := words[i]; w {
		case "-H":
			i++
			name, value, _ := strings.Cut(words[i], ": ")
			header.Add(name, strings.ReplaceAll(value, "$TOKEN", ordersToken))
		case "-d":
			i++
			method, body = http.MethodPost, words[i]
		default:
			if strings.HasPrefix(w, "-") || address != "" {
				return nil, fmt.Errorf("the test does not know %s", w)
			}
			address = strings.Replace(w, "http://127.0.0.1:8088", url, 1)
		}
	}
	request, err := http.NewRequest(method, address, strings.NewReader(body))
	if err == nil {
		request.Header = header
	}
	return request, err
}

func TestTheExamplesOfTheDocumentsAreAnsweredSo(t *testing.T) {
	b := newBenchWith(t, map[string]int32{"orders": 1, "prices": 1, "shop.answers": 1}, map[string]string{
		"allowed_topics": "orders, prices", "request_reply_topic": "shop.answers", "publish_timeout": "5s",
	}, nil)
	b.answering("prices")
	examples := readExamples(t, "../../../docs/bridge.md", "curl")
	for _, e := range examples {
		request, err := curl(e.command, "http://"+b.server.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		if got := b.do(request); got.body != e.answer {
			t.Errorf("curl %s\nanswers %d %s\nwhere the document has %s", e.command, got.status, got.body, e.answer)
		}
	}
	if len(examples) < 9 {
		t.Errorf("there are %d examples", len(examples))
	}
}
