package httpin

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// document is openapi.json as far as the tests read it.
type document struct {
	t        *testing.T
	compiler *jsonschema.Compiler
	Paths    map[string]map[string]struct {
		RequestBody struct {
			Content map[string]struct {
				Examples map[string]struct{ Value json.RawMessage }
			}
		}
		Responses map[string]struct {
			Ref     string `json:"$ref"`
			Content map[string]json.RawMessage
		}
	}
}

func readDocument(t *testing.T) *document {
	t.Helper()
	d := &document{t: t, compiler: jsonschema.NewCompiler()}
	if err := json.Unmarshal(openAPI, d); err != nil {
		t.Fatal(err)
	}
	whole, err := jsonschema.UnmarshalJSON(strings.NewReader(string(openAPI)))
	if err != nil {
		t.Fatal(err)
	}
	d.compiler.DefaultDraft(jsonschema.Draft2020) // which OpenAPI 3.1 has
	d.compiler.AssertContent()
	d.compiler.AssertFormat()
	if err := d.compiler.AddResource("openapi.json", whole); err != nil {
		t.Fatal(err)
	}
	return d
}

// validate holds a text to the schema at a place of the document, which is named by its keys.
func (d *document) validate(text string, at ...string) {
	d.t.Helper()
	for i := range at {
		at[i] = strings.NewReplacer("~", "~0", "/", "~1", "{", "%7B", "}", "%7D").Replace(at[i])
	}
	place := "openapi.json#/" + strings.Join(at, "/")
	schema, err := d.compiler.Compile(place)
	if err != nil {
		d.t.Fatal(err)
	}
	value, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
	if err != nil {
		d.t.Errorf("%s is no JSON: %v", text, err)
	} else if err := schema.Validate(value); err != nil {
		d.t.Errorf("%s: %v", text, err)
	}
}

func TestTheDocumentHasWhatIsServed(t *testing.T) {
	b := newSunk(t, new(sink), nil)
	a := b.ask(http.MethodGet, "/openapi.json", "", nil, "Authorization", "")
	if a.status != 200 || a.body != string(openAPI) || a.header.Get("Content-Type") != "application/json" {
		t.Errorf("answered %d %s", a.status, a.header)
	}
	d := readDocument(t)
	served := map[string]string{"/topics/{topic}": topicEndpoint.method}
	for path, at := range endpoints {
		served[path] = at.method
	}
	documented := map[string]string{}
	for path, methods := range d.Paths {
		for method := range methods {
			documented[path] = strings.ToUpper(method)
		}
	}
	if !maps.Equal(served, documented) {
		t.Errorf("served are %v, documented %v", served, documented)
	}
	for path, methods := range d.Paths {
		for method, op := range methods {
			for media := range op.RequestBody.Content {
				a := b.ask(strings.ToUpper(method), strings.ReplaceAll(path, "{topic}", "orders"), media, []byte("x"))
				if a.status == 415 {
					t.Errorf("%s %s: %s is refused: %s", method, path, media, a.body)
				}
			}
		}
	}
}

func TestTheDocumentsExamplesAreAnsweredAsItSays(t *testing.T) {
	b := newBenchWith(t, map[string]int32{"orders": 3, "answers": 1},
		map[string]string{"request_reply_topic": "answers", "publish_timeout": "5s"}, nil)
	b.answering("orders")
	d := readDocument(t)
	sent := 0
	for path, methods := range d.Paths {
		for method, op := range methods {
			for media, content := range op.RequestBody.Content {
				for name, example := range content.Examples {
					t.Run(fmt.Sprintf("%s %s %s", path, media, name), func(t *testing.T) {
						b.t, d.t = t, t
						body := string(example.Value)
						if media == "text/plain" {
							if err := json.Unmarshal(example.Value, &body); err != nil {
								t.Fatal(err)
							}
						} else {
							d.validate(body, "paths", path, method, "requestBody", "content", media, "schema")
						}
						a := b.ask(strings.ToUpper(method), strings.ReplaceAll(path, "{topic}", "orders"), media, []byte(body))
						if a.status != 200 || strings.Contains(a.body, "error") {
							t.Errorf("answered %d %s", a.status, a.body)
						}
						d.validate(a.body, "paths", path, method, "responses", "200", "content", a.header.Get("Content-Type"), "schema")
						sent++
					})
				}
			}
		}
	}
	if sent < 12 {
		t.Errorf("%d examples were sent", sent)
	}
}

func TestTheDocumentHasEachFailure(t *testing.T) {
	s := &sink{hold: make(chan struct{}), began: make(chan struct{}, 1)}
	b := newSunk(t, s, func(o *Options) {
		o.MaxBody, o.Callers[0].MaxInFlight = 100, 1
		o.Callers = append(o.Callers, Caller{Name: "gone", Tokens: secret("token-of-somebody-0"), Routes: []string{"gone"}})
	})
	d := readDocument(t)
	seen := map[int]bool{}
	fail := func(path string, status int, media, body string, headers ...string) {
		t.Helper()
		a := b.post(path, media, body, headers...)
		if a.status != status {
			t.Errorf("answered %d %s, want %d", a.status, a.body, status)
		}
		if path, _, _ = strings.Cut(path, "?"); strings.HasPrefix(path, "/topics/") {
			path = "/topics/{topic}"
		}
		if d.Paths[path]["post"].Responses[strconv.Itoa(status)].Ref != "#/components/responses/Failure" {
			t.Errorf("%s has no answer %d", path, status)
		}
		d.validate(a.body, "components", "schemas", "Failure")
		seen[status] = true
	}
	fail("/topics/a%20b", 400, "text/plain", "x")
	fail("/v1/records/send", 400, "application/vnd.messaging-kafka.records.v1+json", "x")
	fail("/topics/orders", 401, "text/plain", "x", "Authorization", "")
	fail("/topics/orders", 403, "text/plain", "x", routeHeader, "another")
	fail("/topics/orders", 413, "text/plain", strings.Repeat("x", 101))
	fail("/v1/messages/publish", 415, "text/plain", "x")
	fail("/topics/orders", 421, "text/plain", "x", "Host", "evil.example")
	fail("/topics/orders", 503, "text/plain", "x", "Authorization", "Bearer token-of-somebody-0")
	over := make(chan struct{})
	go func() {
		defer close(over)
		b.post("/topics/orders", "text/plain", "x").want(t, 200, "")
	}()
	<-s.began
	fail("/topics/orders", 429, "text/plain", "x")
	close(s.hold)
	<-over
	if got := slices.Sorted(maps.Keys(seen)); fmt.Sprint(got) != "[400 401 403 413 415 421 429 503]" {
		t.Errorf("seen %v", got)
	}
	// Those of records that were not stored.
	for _, status := range statuses {
		if d.Paths["/topics/{topic}"]["post"].Responses[strconv.Itoa(status)].Ref == "" {
			t.Errorf("/topics/{topic} has no answer %d", status)
		}
	}
}
