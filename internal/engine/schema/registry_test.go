package schema

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/sr"

	"github.com/messaging-kafka/messaging-kafka/internal/settings"
)

// Who waits for the same schema waits for one question, and nobody asks for what is known.
func TestARegistryIsAskedOnceForAll(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		id := r.register(t, "t", sr.TypeAvro, `"int"`)
		release := make(chan struct{})
		r.answer(func(w http.ResponseWriter, req *http.Request) {
			<-release
			r.Handler().ServeHTTP(w, req)
		})
		pool := NewPool(r.connect, slog.New(slog.DiscardHandler))
		var waiting sync.WaitGroup
		for range 50 {
			codec, err := NewCodec(pool, link(), nil)
			if err != nil {
				t.Fatal(err)
			}
			waiting.Go(func() {
				defer codec.Close()
				if text, err := read(codec, "t", append(appendFrame(nil, id), 2)); text != "1" || err != nil {
					t.Errorf("read %q, %v", text, err)
				}
			})
		}
		synctest.Wait()
		if n := r.questions(); n != 1 {
			t.Errorf("50 who want to know have asked %d times", n)
		}
		close(release)
		waiting.Wait()
	})
}

// What the registry answers decides whether the record can wait for anything.
func TestWhoIsToBlameForWhatARegistrySays(t *testing.T) {
	t.Parallel()
	fails := func(status, code int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "http://elsewhere.example.com/")
			w.WriteHeader(status)
			if code != 0 {
				_, _ = fmt.Fprintf(w, `{"error_code":%d,"message":"they say so"}`, code)
			}
		}
	}
	says := func(text string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(text)) }
	}
	for name, c := range map[string]struct {
		answer http.HandlerFunc
		away   bool
		want   string
	}{
		"an id that is not known":      {fails(404, 40403), false, "the schema registry does not know schema 7, they say so"},
		"a server that is no registry": {fails(404, 0), true, "check schema_registry"},
		"a page of a proxy":            {says("<html>log in</html>"), true, "asking for schema 7: what answers is no schema registry: check schema_registry"},
		"nothing":                      {says("{}"), true, "its answer has no schema"},
		"no rights":                    {fails(403, 40301), true, "status 403, they say so: check schema_registry_username"},
		"bad credentials":              {fails(401, 0), true, "status 401: check schema_registry_username"},
		"too many questions":           {fails(429, 0), true, "status 429"},
		"a fault":                      {fails(500, 50001), true, "status 500, they say so"},
		"elsewhere":                    {fails(307, 0), true, "it redirects, which is not followed"},
		"a schema of no kind":          {says(`{"schema":"x","schemaType":"AVRO"}`), false, "schema 7 cannot be used"},
		"more than is read":            {says(`{"schema":"` + strings.Repeat("x", 2*maxAnswer) + `"}`), false, "the answer has more than 1048576 bytes"},
		"a fault with a large page": {func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusBadGateway)
			_, _ = w.Write(make([]byte, 2*maxAnswer))
		}, true, "status 502"},
		"no answer in time": {func(_ http.ResponseWriter, req *http.Request) { <-req.Context().Done() }, true, "asking registry for schema 7: no answer within schema_registry_timeout (5s)"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t)
				r.answer(c.answer)
				began := time.Now()
				_, err := read(r.codec(t, nil), "t", append(appendFrame(nil, 7), 2))
				_, away := errors.AsType[*AwayError](err)
				_, unfit := errors.AsType[*UnfitError](err)
				if away != c.away || unfit == c.away || !strings.Contains(fmt.Sprint(err), c.want) {
					t.Errorf("%v (away %t), want %q (away %t)", err, away, c.want, c.away)
				}
				if took := time.Since(began); took > 5*time.Second {
					t.Errorf("it took %s, with schema_registry_timeout=5s", took)
				}
			})
		})
	}
}

// A registry that is away is asked less and less often, whatever for, and is known to be back when it is.
func TestARegistryThatIsAwayIsLeftInPeace(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		codec := r.codec(t, nil)
		id := r.register(t, "t", sr.TypeAvro, `"int"`)
		r.answer(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) })
		for range 600 {
			for other := range 3 {
				if _, err := read(codec, "t", append(appendFrame(nil, id+uint32(other)), 2)); err == nil {
					t.Fatal("read without a schema")
				}
			}
			time.Sleep(100 * time.Millisecond)
		}
		if n := r.questions(); n < 10 || n > 20 {
			t.Errorf("in a minute it was asked %d times", n)
		}
		if since, why := codec.Away(); why == nil || time.Since(since) < 50*time.Second {
			t.Errorf("away since %s: %v", since, why)
		}
		r.answer(nil)
		time.Sleep(6 * time.Second)
		codec.Look(t.Context())
		if _, why := codec.Away(); why != nil {
			t.Errorf("it is back, and said to be away: %v", why)
		}
	})
}

// A schema for which a registry has an answer of no use alone holds up nothing but what needs it.
func TestOneSchemaThatCannotBeHadHoldsUpNoOther(t *testing.T) {
	t.Parallel()
	for name, broken := range map[string]http.HandlerFunc{
		"a fault": func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusInternalServerError)
			_, _ = w.Write([]byte(`{"error_code":50001,"message":"they say so"}`))
		},
		"a kind that is not known": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte(`{"schema":"x","schemaType":"XML"}`))
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t)
				codec := r.codec(t, nil)
				var ids []uint32
				for i := range 5 {
					ids = append(ids, r.register(t, fmt.Sprint("t", i), sr.TypeAvro, fmt.Sprintf(`{"type":"fixed","name":"F","size":%d}`, i+1)))
				}
				asked := 0
				r.answer(func(w http.ResponseWriter, req *http.Request) {
					if strings.HasPrefix(req.URL.Path, "/schemas/ids/90") {
						asked++
						broken(w, req)
						return
					}
					r.Handler().ServeHTTP(w, req)
				})
				bad := append(appendFrame(nil, 90), 2)
				if _, err := read(codec, "t", append(appendFrame(nil, ids[0]), 1)); err != nil {
					t.Fatal(err)
				}
				for range 60 {
					if _, err := read(codec, "t", bad); err == nil {
						t.Fatal("read without a schema")
					}
					time.Sleep(time.Second)
				}
				if asked < 5 || asked > 20 {
					t.Errorf("in a minute it was asked %d times for what it does not give", asked)
				}
				for i, id := range ids {
					if _, err := read(codec, "t", append(appendFrame(nil, id), make([]byte, i+1)...)); err != nil {
						t.Errorf("schema %d: %v", id, err)
					}
				}
				if since, why := codec.Away(); why == nil || time.Since(since) < 50*time.Second {
					t.Errorf("away since %s: %v", since, why)
				}
				// It is not told for ever when nobody wants it any more.
				for range 60 {
					time.Sleep(wantedFor / 30)
					codec.Look(t.Context())
				}
				if _, why := codec.Away(); why != nil {
					t.Errorf("nobody has asked for it for long: %v", why)
				}
				// And it is noticed when it is there.
				_, _ = read(codec, "t", bad)
				r.answer(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{"schema":"\"int\""}`)) })
				time.Sleep(6 * time.Second)
				codec.Look(t.Context())
				if _, why := codec.Away(); why != nil {
					t.Errorf("it is there, and said not to be: %v", why)
				}
				if text, err := read(codec, "t", bad); text != "1" || err != nil {
					t.Errorf("read %q, %v", text, err)
				}
			})
		})
	}
}

// The latest schema of a subject is asked for again after a while, and one that is not known after a shorter while.
func TestTheLatestSchemaIsNoticed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		codec := r.codec(t, nil)
		if _, err := write(codec, "t", `1`); err == nil {
			t.Fatal("written without a schema")
		}
		first := r.register(t, "t", sr.TypeAvro, `"int"`)
		time.Sleep(unknownFor)
		idOf := func() uint32 {
			t.Helper()
			framed, err := write(codec, "t", `1`)
			if err != nil {
				t.Fatal(err)
			}
			id, _, _ := parseFrame(framed)
			return id
		}
		if id := idOf(); id != first {
			t.Errorf("written by schema %d, want %d", id, first)
		}
		second := r.register(t, "t", sr.TypeAvro, `"long"`)
		if id := idOf(); id != first {
			t.Errorf("at once written by schema %d: the registry is asked each time", id)
		}
		time.Sleep(latestFor + time.Second)
		idOf() // which has it asked for
		synctest.Wait()
		if id := idOf(); id != second {
			t.Errorf("a minute later written by schema %d, want %d", id, second)
		}
		r.answer(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) })
		for range 5 {
			time.Sleep(time.Hour)
			if id := idOf(); id != second {
				t.Errorf("without a registry written by schema %d, want %d", id, second)
			}
		}
	})
}

func TestWhatIsKeptIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		codec := r.codec(t, nil)
		doc := strings.Repeat("x", 100_000)
		r.answer(func(w http.ResponseWriter, _ *http.Request) {
			_, _ = fmt.Fprintf(w, `{"schema":"{\"type\":\"enum\",\"name\":\"E\",\"doc\":\"%s\",\"symbols\":[\"A\"]}"}`, doc)
		})
		for id := range uint32(120) {
			if text, err := read(codec, "t", append(appendFrame(nil, id), 0)); text != `"A"` || err != nil {
				t.Fatal(text, err)
			}
		}
		registry := codec.registry()
		registry.mu.Lock()
		defer registry.mu.Unlock()
		sum := 0
		for _, a := range registry.kept {
			sum += a.bytes
		}
		if registry.bytes != sum || sum > maxKeptText || len(registry.kept) < 50 || len(registry.kept) == 120 {
			t.Errorf("%d schemas of %d bytes are kept, counted as %d", len(registry.kept), sum, registry.bytes)
		}
	})
}

// What a schema refers to is fetched with it, and what that refers to: in all three languages.
func TestASchemaMayReferToAnotherByTwoNames(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.registerAs(t, "common", sr.TypeJSON, `{"type":"integer"}`)
	id := r.register(t, "two", sr.TypeJSON, `{"properties":{"a":{"$ref":"a.json"},"b":{"$ref":"b.json"}}}`,
		sr.SchemaReference{Name: "a.json", Subject: "common", Version: 1}, sr.SchemaReference{Name: "b.json", Subject: "common", Version: 1})
	const value = `{"a":1,"b":2}`
	got, err := read(r.codec(t, nil), "two", append(appendFrame(nil, id), value...))
	if err != nil || got != value {
		t.Errorf("read %q, %v", got, err)
	}
}

func TestReferences(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	ref := func(name, subject string) sr.SchemaReference {
		return sr.SchemaReference{Name: name, Subject: subject, Version: 1}
	}
	r.registerAs(t, "money", sr.TypeAvro, `{"type":"record","name":"shop.Money","fields":[{"name":"n","type":"int"}]}`)
	r.registerAs(t, "line", sr.TypeAvro, `{"type":"record","name":"shop.Line","fields":[{"name":"m","type":"shop.Money"}]}`, ref("shop.Money", "money"))
	r.register(t, "avro", sr.TypeAvro, `{"type":"record","name":"O","namespace":"shop","fields":[{"name":"l","type":"Line"},{"name":"m","type":"Money"}]}`,
		ref("shop.Line", "line"), ref("shop.Money", "money"))
	r.registerAs(t, "money.proto", sr.TypeProtobuf, `syntax = "proto3"; package shop; message Money { int32 n = 1; }`)
	r.register(t, "proto", sr.TypeProtobuf, `syntax = "proto3"; package shop; import "money.proto"; message O { Money m = 1; }`, ref("money.proto", "money.proto"))
	r.registerAs(t, "money.json", sr.TypeJSON, `{"type":"integer","minimum":1}`)
	r.register(t, "json", sr.TypeJSON, `{"properties":{"m":{"$ref":"money.json"}}}`, ref("money.json", "money.json"))
	codec := r.codec(t, nil)
	for topic, text := range map[string]string{"avro": `{"l":{"m":{"n":1}},"m":{"n":2}}`, "proto": `{"m":{"n":1}}`, "json": `{"m":1}`} {
		framed, err := write(codec, topic, text)
		if err != nil {
			t.Errorf("%s: %v", topic, err)
			continue
		}
		if got, err := read(codec, topic, framed); got != text || err != nil {
			t.Errorf("%s: %s, %v", topic, got, err)
		}
	}
	if _, err := write(codec, "json", `{"m":0}`); err == nil {
		t.Error("what a JSON Schema refers to says nothing")
	}
}

// Parts, topics and subjects are as the settings have them.
func TestWhatSettingsSayOfSchemas(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.registerAs(t, "orders-key", sr.TypeAvro, `"long"`)
	r.registerAs(t, "com.example.Order", sr.TypeAvro, `"string"`)
	named := r.codec(t, nil, func(s *settings.Link) { s.Schema.Subject = "com.example.Order" })
	if _, err := write(named, "whatever", `"x"`); err != nil {
		t.Error(err)
	}
	keys := r.codec(t, nil, func(s *settings.Link) { s.Schema.Parts, s.Schema.Topics = settings.SchemaKey, []string{"orders*"} })
	out, err := keys.Encode(t.Context(), outgoingOf("orders?partition=1", "7", "as it is"))
	if _, _, framed := parseFrame(out.Key); err != nil || !framed || string(out.Value) != "as it is" {
		t.Errorf("a key of an answer: %x, %q, %v", out.Key, out.Value, err)
	}
	if out, err := keys.Encode(t.Context(), outgoingOf("audit", "k", "v")); err != nil || string(out.Key) != "k" {
		t.Errorf("a topic without schemas: %q, %v", out.Key, err)
	}
	in := recordOf("orders", []byte("as it is"))
	in.Key = out.Key
	made, err := keys.Decode(t.Context(), in, new(Held))
	if err != nil || string(made.Key) != "7" || string(made.Value) != "as it is" || made.MadeJSON() || made.Stored() != in {
		t.Errorf("read as %q, %q, %v", made.Key, made.Value, err)
	}
	passing := r.codec(t, nil, func(s *settings.Link) { s.Schema.Unframed = settings.UnframedPass })
	if text, err := read(passing, "orders", []byte("plain")); text != "plain" || err != nil {
		t.Errorf("a value that is not framed: %q, %v", text, err)
	}
}
