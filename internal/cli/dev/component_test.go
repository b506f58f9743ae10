package dev

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/messaging-kafka/messaging-kafka/internal/cli/dev/wasm"
	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

func TestHowAComponentIsServedFollowsFromItsInterfaces(t *testing.T) {
	types := "messaging-kafka:records/types@0.1.0"
	for name, test := range map[string]struct {
		found wasm.Interfaces
		want  string // what is asked for
		way   string
		plugs []string
		asks  bool
		text  string // of the error
	}{
		"a processor": {wasm.Interfaces{Imports: []string{types, "wasi:io/poll@0.2.6"}, Exports: []string{"init", "messaging-kafka:records/processor@0.1.0"}},
			"", processor, nil, false, ""},
		"a handler that publishes and has a config": {wasm.Interfaces{
			Imports: []string{
				"wasi:config/store@0.2.0-draft", "messaging-kafka:records/producer@0.1.0",
				"messaging-kafka:records/requester@0.1.0",
			},
			Exports: []string{"messaging-kafka:records/handler@0.1.0"},
		}, "", handler, []string{"config", "producer"}, true, ""},
		"messages": {wasm.Interfaces{Imports: []string{"wasmcloud:messaging/consumer@0.2.0"}, Exports: []string{"wasmcloud:messaging/handler@0.2.0"}},
			"", messages, []string{"consumer"}, true, ""},
		"plain HTTP": {wasm.Interfaces{Imports: []string{"wasi:http/types@0.2.4"}, Exports: []string{"wasi:http/incoming-handler@0.2.4"}},
			"", plainHTTP, nil, false, ""},
		"the one that is asked for": {wasm.Interfaces{Exports: []string{"messaging-kafka:records/processor@0.1.0", "messaging-kafka:records/handler@0.1.0"}},
			handler, handler, nil, false, ""},
		"one that it does not have": {wasm.Interfaces{Exports: []string{"messaging-kafka:records/processor@0.1.0"}},
			handler, "", nil, false, "x.wasm does not export messaging-kafka:records/handler, but messaging-kafka:records/processor@0.1.0"},
		"one that nobody knows": {wasm.Interfaces{}, "grpc", "", nil, false, `"grpc" is not one of processor, handler, messages, http`},
		"nothing":               {wasm.Interfaces{}, "", "", nil, false, "x.wasm exports nothing, and none of"},
		"a missing import": {wasm.Interfaces{Imports: []string{"wasmcloud:bus/lattice@2.0.0"}, Exports: []string{"messaging-kafka:records/handler@0.1.0"}},
			"", "", nil, false, "x.wasm imports wasmcloud:bus/lattice@2.0.0, which nothing here has"},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := planFor("x.wasm", test.found, test.want)
			if test.text != "" {
				if !errors.Is(err, ErrComponent) || !strings.Contains(err.Error(), test.text) {
					t.Fatalf("%v, want %q", err, test.text)
				}
				return
			}
			if err != nil || p.way.name != test.way || !slices.Equal(p.plugs, test.plugs) || p.publishes != test.asks {
				t.Errorf("%+v, %v", p, err)
			}
		})
	}
}

// tried runs RunComponent with text on the input.
func tried(t *testing.T, text string, opts Options, c Component) outcome {
	t.Helper()
	var out bytes.Buffer
	log := new(testkit.Log)
	opts.In, opts.Out, opts.Err = strings.NewReader(text), &out, log
	ctx, cancel := context.WithTimeout(t.Context(), 2*testkit.DefaultTimeout)
	defer cancel()
	err := RunComponent(ctx, opts, c)
	if ctx.Err() != nil {
		t.Fatalf("the run does not end; it said\n%s", log)
	}
	return outcome{err, out.String(), log.String()}
}

type jsonRecord struct {
	Value struct {
		Text string `json:"text"`
	} `json:"value"`
}

// shouting is a program that answers each record with one that is louder, and refuses what is loud already.
func shouting(t *testing.T) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		var records []jsonRecord
		if err == nil {
			err = json.Unmarshal(body, &records)
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		answers := make([]any, len(records))
		for i, one := range records {
			loud := strings.ToUpper(one.Value.Text)
			if loud == one.Value.Text {
				answers[i] = map[string]string{"reject": "that is loud already"}
				continue
			}
			answers[i] = map[string]any{"ok": []any{map[string]any{"topic": "loud", "value": map[string]string{"text": loud}}}}
		}
		w.Header().Set("Content-Type", "application/vnd.messaging-kafka.records.v1+json")
		_ = json.NewEncoder(w).Encode(answers)
	}))
	t.Cleanup(server.Close)
	return server.URL
}

func TestAProgramIsTriedByItsURL(t *testing.T) {
	o := tried(t, "a\nB\nc\n", Options{}, Component{
		URL: shouting(t),
		Set: []string{"topic=quiet", "http_format=json", "dead_letter_topic=quiet.dead", "transactions=true"},
	})
	if o.err != nil {
		t.Fatalf("%v\n%s", o.err, o.log)
	}
	lines := strings.Split(strings.TrimSpace(o.out), "\n")
	slices.Sort(lines)
	if len(lines) != 3 || !strings.HasSuffix(lines[0], ": A") || !strings.HasSuffix(lines[1], ": C") ||
		!strings.HasPrefix(lines[2], "quiet.dead partition 0 ") || !strings.Contains(lines[2], "that is loud already") {
		t.Errorf("it showed\n%s\nand said\n%s", o.out, o.log)
	}
}

// TestNoLineIsMissedBeforeTheGroupHasBegun: somebody else's topic is read from its end, and one that is empty has its
// end where the lines go. The group has a position when its first commit is there, which is held up here until the run
// has asked for it again and again.
func TestNoLineIsMissedBeforeTheGroupHasBegun(t *testing.T) {
	cluster := testkit.Kfake(t)
	cluster.Topic("quiet", 2)
	asked := make(chan struct{})
	ended, end := context.WithCancel(t.Context())
	defer end()
	log := new(testkit.Log)
	var held atomic.Bool
	cluster.ControlKey(int16(kmsg.OffsetFetch), func(kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		select {
		case asked <- struct{}{}:
		default:
		}
		return nil, nil, false
	})
	var early atomic.Bool
	cluster.ControlKey(int16(kmsg.OffsetCommit), func(kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		if held.Swap(true) {
			return nil, nil, false
		}
		cluster.SleepControl(func() {
			for range 3 {
				select {
				case <-asked:
				case <-ended.Done():
				}
			}
		})
		early.Store(log.Contains("Each line goes to quiet"))
		return nil, nil, false
	})
	var out bytes.Buffer
	err := RunComponent(t.Context(), Options{
		In: strings.NewReader("a\nb\n"), Out: &out, Err: log, Hosts: cluster.Brokers()[0],
	}, Component{URL: shouting(t), Set: []string{
		"topic=quiet", "http_format=json", "dead_letter_topic=dead", "create_topics=true",
	}})
	if err != nil || !held.Load() || early.Load() {
		t.Errorf("%v; a position was committed: %t, and lines were taken before: %t\n%s", err, held.Load(), early.Load(), log)
	}
}

func TestAProgramThatIsNotThereIsNamed(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	url := server.URL
	server.Close()
	o := tried(t, "a\n", Options{EchoTimeout: 5 * time.Second}, Component{URL: url})
	if o.err == nil || !strings.Contains(o.err.Error(), "1 records of "+Topic+" are not handled") ||
		!strings.Contains(o.err.Error(), "refused") {
		t.Errorf("%v\n%s", o.err, o.log)
	}
}

func TestWhatCannotBeTriedIsToldBeforeAnythingIsStarted(t *testing.T) {
	folder := t.TempDir()
	module := filepath.Join(folder, "module.wasm")
	if err := os.WriteFile(module, []byte("\x00asm\x01\x00\x00\x00"), 0o600); err != nil {
		t.Fatal(err)
	}
	for want, c := range map[string]Component{
		"give the file of a component, or the URL": {},
		"no file to watch behind a URL":            {URL: "http://127.0.0.1:1/", Watch: true},
		"no such file":                             {Path: filepath.Join(folder, "none.wasm")},
		"make a component of it":                   {Path: module},
		"--set takes KEY=VALUE":                    {URL: "http://127.0.0.1:1/", Set: []string{"topic"}},
		"--set gives topic twice":                  {URL: "http://127.0.0.1:1/", Set: []string{"topic=a", "start=latest", "topic=b"}},
		`--env takes NAME=VALUE, not "LONE"`:       {URL: "http://127.0.0.1:1/", Env: []string{"A=1", "LONE"}},
		`--env takes NAME=VALUE, not ""`:           {URL: "http://127.0.0.1:1/", Env: []string{"=1"}},
		"--env gives A twice":                      {URL: "http://127.0.0.1:1/", Env: []string{"A=1", "A=2"}},
		"the nearest known key is topic":           {URL: "http://127.0.0.1:1/", Set: []string{"topik=a"}},
		"topic is a pattern":                       {URL: "http://127.0.0.1:1/", Set: []string{"topic=/a.*/", "reply_topic=none"}},
		"a share group has handled everything":     {URL: "http://127.0.0.1:1/", Set: []string{"group_protocol=share"}},
	} {
		o := tried(t, "", Options{}, c)
		if !errors.Is(o.err, ErrComponent) || !strings.Contains(o.err.Error(), want) {
			t.Errorf("%+v: %v, want %q", c, o.err, want)
		}
	}
}
