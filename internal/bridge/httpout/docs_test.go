package httpout

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/messaging-kafka/messaging-kafka/internal/payload"
	"github.com/messaging-kafka/messaging-kafka/internal/payload/wit"
	"github.com/messaging-kafka/messaging-kafka/internal/record"
)

// section is a section of docs/bridge.md.
func section(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "..", "docs", "bridge.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(text), "\n## "+name+"\n")
	if !found {
		t.Fatalf("docs/bridge.md has no section %s", name)
	}
	rest, _, _ = strings.Cut(rest, "\n## ")
	return rest
}

// TestTheDocumentedSignalsAreThose of the code: each status of the table, alone and with others.
func TestTheDocumentedSignalsAreThose(t *testing.T) {
	words := map[record.Kind]string{
		record.Done: "done", record.Unavailable: "held", record.Retry: "delivered again later", record.Reject: "rejected",
		record.Unanswered: "each goes alone",
	}
	seen := map[int]bool{}
	for line := range strings.Lines(section(t, "Signals")) {
		cells := strings.Split(line, " | ")
		statuses := regexp.MustCompile("`([0-9]{3})`").FindAllStringSubmatch(cells[0], -1)
		if len(cells) != 4 || len(statuses) == 0 {
			continue
		}
		var list []int
		for _, s := range statuses {
			n, err := strconv.Atoi(s[1])
			if err != nil {
				t.Fatal(err)
			}
			list = append(list, n)
		}
		if strings.Contains(cells[0], " to ") {
			for n, last := list[0]+1, list[1]; n < last; n++ {
				list = append(list, n)
			}
		}
		several := cells[2]
		if several == "the same" {
			several = cells[1]
		}
		for _, status := range list {
			if seen[status] {
				continue // an earlier row has it
			}
			seen[status] = true
			for n, says := range map[int]string{1: cells[1], 2: several} {
				kind := record.Done
				if !isSuccess(status) {
					kind = judge(status, http.Header{}, "", n, time.Now()).Kind
				}
				if !strings.HasPrefix(says, words[kind]) {
					t.Errorf("%d of %d records: the table says %q, the code %s", status, n, says, kind)
				}
			}
		}
	}
	if len(seen) != 400 {
		t.Errorf("the table has %d statuses of 400", len(seen))
	}
}

// documented are the pairs of request and answer below the headings of a section, each as HTTP has them.
func documented(t *testing.T, of string) map[string][2]string {
	t.Helper()
	pairs := map[string][2]string{}
	for _, part := range strings.Split(of, "\n### `deliver: ")[1:] {
		name, rest, _ := strings.Cut(part, "`")
		blocks := regexp.MustCompile("(?s)```http\n(.*?)\n```").FindAllStringSubmatch(rest, -1)
		if len(blocks) != 2 {
			t.Fatalf("%s has %d examples", name, len(blocks))
		}
		pairs[name] = [2]string{blocks[0][1], blocks[1][1]}
	}
	return pairs
}

// serveRaw answers each request with the same bytes, after it was seen.
func serveRaw(t *testing.T, answer string, seen func(r *http.Request, body []byte)) string {
	t.Helper()
	return serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		seen(r, body)
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		_, _ = io.WriteString(conn, answer)
		_ = conn.Close()
	})
}

// compact leaves the spaces out of JSON; what is none stays as it is.
func compact(text []byte) string {
	var b bytes.Buffer
	if json.Compact(&b, text) != nil {
		return string(text)
	}
	return b.String()
}

// TestTheDocumentedBodiesAreThose that the receivers send and understand.
func TestTheDocumentedBodiesAreThose(t *testing.T) {
	noon := time.UnixMilli(1769860800123)
	batch := []*record.Record{
		{
			Topic: "orders", Partition: 3, Offset: 1042, Timestamp: noon, Attempt: 1, Key: []byte("customer-7"),
			Value:   []byte(`{"total": 41.970}`),
			Headers: []record.Header{{Key: "shop", Value: []byte("eu")}, {Key: "trace", Value: []byte{0xff, 0}}},
		},
		{Topic: "orders", Partition: 3, Offset: 1043, Timestamp: noon, Attempt: 2, Key: []byte("customer-7")},
	}
	reply := "orders.reply"
	bodies := section(t, "Bodies")
	for name, example := range documented(t, bodies) {
		t.Run(name, func(t *testing.T) {
			wantHead, wantBody, _ := strings.Cut(example[0], "\n\n")
			head, body, _ := strings.Cut(example[1], "\n\n")
			answer := strings.ReplaceAll(head, "\n", "\r\n") + fmt.Sprintf("\r\nContent-Length: %d\r\n\r\n", len(body)) + body
			var sent *http.Request
			var got []byte
			url := serveRaw(t, answer, func(r *http.Request, body []byte) { sent, got = r, body })
			o := Options{URL: url}
			var r record.Receiver
			give := batch[:1]
			switch name {
			case "http-records":
				r, give = receiver(t, o, JSON), batch
			case "http-messages":
				m, err := NewMessages(withDefaults(o), JSON, func(r *record.Record) (payload.Message, bool) {
					return payload.Message{Subject: r.Topic, Body: r.Value, ReplyTo: &reply}, true
				}, nil)
				if err != nil {
					t.Fatal(err)
				}
				defer m.Close()
				r = m
			case "http-cloudevents":
				r = events(t, o, Binary, replyTo(reply))
			default:
				t.Fatal("there is no such receiver")
			}
			outcomes := r.Receive(t.Context(), give)
			if compact(got) != compact([]byte(wantBody)) {
				t.Errorf("the body is\n%s\nand not\n%s", compact(got), compact([]byte(wantBody)))
			}
			for line := range strings.SplitSeq(wantHead, "\n") {
				name, value, isHeader := strings.Cut(line, ": ")
				if isHeader && sent.Header.Get(name) != value {
					t.Errorf("%s is %q, and not %q", name, sent.Header.Get(name), value)
				}
			}
			checkDocumented(t, name, outcomes)
		})
	}
	bytesOf := regexp.MustCompile("is `([0-9a-f ]{20,})`").FindStringSubmatch(bodies)
	want := wit.AppendProcessed(nil, []record.Outcome{
		{Kind: record.Done}, {Kind: record.Retry, Err: fmt.Errorf("the shop is closed")},
	})
	if raw, err := hex.DecodeString(strings.ReplaceAll(bytesOf[1], " ", "")); err != nil || !bytes.Equal(raw, want) {
		t.Errorf("the value encoding is % x", want)
	}
}

func checkDocumented(t *testing.T, name string, outcomes []record.Outcome) {
	t.Helper()
	switch first := outcomes[0]; name {
	case "http-records":
		if len(outcomes) != 2 || len(first.Outputs) != 1 || first.Outputs[0].Topic != "bills" || string(first.Outputs[0].Value) != "41.97" ||
			outcomes[1].Kind != record.Retry || outcomes[1].Err.Error() != "the shop is closed" {
			t.Errorf("%+v", outcomes)
		}
	case "http-messages":
		if first.Kind != record.Reject || first.Err.Error() != "no such customer" {
			t.Errorf("%+v", outcomes)
		}
	case "http-cloudevents":
		if len(first.Outputs) != 1 {
			t.Fatalf("%+v", outcomes)
		}
		out := first.Outputs[0]
		var names []string
		for _, h := range out.Headers {
			names = append(names, h.Key)
		}
		if want := []string{"ce_id", "ce_source", "ce_specversion", "ce_type", "content-type"}; !slices.Equal(names, want) ||
			string(out.Value) != `{"bill": 1}` || string(out.Key) != "customer-7" || out.Topic != "orders.reply" {
			t.Errorf("%+v", out)
		}
	}
}
