//go:build acceptance

package acceptance

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/messaging-kafka/messaging-kafka/internal/bridge"
	"github.com/messaging-kafka/messaging-kafka/internal/payload/wit"
	"github.com/messaging-kafka/messaging-kafka/internal/record"
	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

// routeName is the one route of a bridge here, caller the one who asks it, with token.
const (
	routeName = "acceptance"
	caller    = "application"
	token     = "token-of-the-application"
)

// program is a bridge inside the test, with a file of its own.
type program struct {
	probe
	path   string
	listen string // where applications ask it, "" for nowhere
	log    testkit.Log

	end  context.CancelFunc
	done chan error
}

func newProgram(t *testing.T, path string) *program {
	b := &program{probe: probe{t: t, admin: freeAddress(t)}, path: path}
	b.ended = func() {
		select {
		case err := <-b.done:
			t.Fatalf("the bridge ended: %v", err)
		default:
		}
	}
	return b
}

// startBridge starts a bridge with one route, which hands records over to a URL.
func startBridge(p *place, deliver, url string, settings map[string]string) {
	p.t.Helper()
	startBridgeTo(p, map[string]string{"deliver": deliver, "url": url}, settings)
}

// startBridgeTo starts a bridge with one route, which hands records over as where says.
func startBridgeTo(p *place, where, settings map[string]string) {
	p.t.Helper()
	b := newProgram(p.t, filepath.Join(p.t.TempDir(), "bridge.yaml"))
	if p.fe.asks || settings["request_reply_topic"] != "" {
		b.listen = p.listen
	}
	route := maps.Clone(where)
	maps.Copy(route, settings)
	b.Change(route)
	p.t.Cleanup(func() {
		_ = b.stop() // how it ends matters to no test here
		if p.t.Failed() {
			p.t.Logf("log of the bridge:\n%s", b.log.String())
		}
	})
	b.Start()
	p.server = b
}

// Change writes the file anew, as a whole, with the settings of the route: what the first one had stays where they say
// nothing else.
func (b *program) Change(settings map[string]string) {
	b.t.Helper()
	route := make(map[string]string)
	if old, err := os.ReadFile(b.path); err == nil {
		var file struct{ Routes map[string]map[string]string }
		if err := json.Unmarshal(old, &file); err != nil {
			b.t.Fatal(err)
		}
		route = file.Routes[routeName]
	}
	maps.Copy(route, settings)
	file := map[string]any{"admin_address": b.admin, "routes": map[string]any{routeName: route}}
	if b.listen != "" {
		file["listen"] = b.listen
		file["callers"] = map[string]any{caller: map[string]string{"token": token, "routes": routeName}}
	}
	content, err := json.Marshal(file) // which is YAML, too
	if err == nil {
		err = os.WriteFile(b.path+".new", content, 0o600)
	}
	if err == nil {
		err = os.Rename(b.path+".new", b.path)
	}
	if err != nil {
		b.t.Fatal(err)
	}
}

func (b *program) Start() {
	b.t.Helper()
	ctx, end := context.WithCancel(context.Background())
	b.end, b.done = end, make(chan error, 1)
	done := b.done
	go func() {
		defer close(done)
		done <- bridge.Run(ctx, bridge.Options{
			Path: b.path, Log: slog.New(slog.NewTextHandler(&b.log, nil)),
			Lookup: func(string) (string, bool) { return "", false },
		})
	}()
}

func (b *program) stop() error {
	b.end()
	return <-b.done
}

func (b *program) Stop() {
	b.t.Helper()
	if err := b.stop(); err != nil {
		b.t.Errorf("the bridge ended with %v", err)
	}
}

// asker asks a bridge for what an application wants.
type asker struct {
	url    string
	client *http.Client
}

func newAsker(p *place) *asker {
	transport := &http.Transport{}
	p.t.Cleanup(transport.CloseIdleConnections)
	return &asker{url: "http://" + p.listen, client: &http.Client{Transport: transport}}
}

// post returns the body of the answer.
func (a *asker) post(ctx context.Context, path, mediaType string, body []byte) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, a.url+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", mediaType)
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := a.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", resp.Status, answer)
	}
	return answer, err
}

// publish has a message stored, as consumer.publish does.
func (a *asker) publish(ctx context.Context, subject string, body []byte) error {
	message := wit.AppendOption(wit.AppendBytes(wit.AppendString(nil, subject), body), false)
	answer, err := a.post(ctx, "/v1/messages/publish", wit.MessagesType, message)
	if err != nil {
		return err
	}
	d := wit.NewBytesDecoder(answer)
	return result(d)
}

// requestMessage asks as consumer.request does.
func (a *asker) requestMessage(ctx context.Context, topic string, value []byte) ([]byte, error) {
	request := wit.AppendBytes(wit.AppendString(nil, topic), value)
	answer, err := a.post(ctx, "/v1/messages/request?timeout-ms=10000", wit.MessagesType, request)
	if err != nil {
		return nil, err
	}
	d := wit.NewBytesDecoder(answer)
	if err := result(d); err != nil {
		return nil, err
	}
	message, err := wit.DecodeMessage(d)
	return message.Body, err
}

// requestRecord asks as requester.request does.
func (a *asker) requestRecord(ctx context.Context, topic string, value []byte) ([]byte, error) {
	request := wit.AppendOutgoing(nil, &record.Outgoing{Topic: topic, Partition: record.AnyPartition, Value: value})
	answer, err := a.post(ctx, "/v1/records/request?timeout-ms=10000", wit.RecordsType, request)
	if err != nil {
		return nil, err
	}
	r, failure, err := wit.DecodeAnswer(wit.NewBytesDecoder(answer))
	if err = errors.Join(err, failure); err != nil {
		return nil, err
	}
	return r.Value, nil
}

// result reads which arm of a result<…, string> is there, and the error if it is that.
func result(d *wit.Decoder) error {
	ok, err := d.Result()
	if err != nil || ok {
		return err
	}
	text, err := d.String()
	return errors.Join(err, errors.New(text))
}
