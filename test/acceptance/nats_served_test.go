//go:build acceptance

package acceptance

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/messaging-kafka/messaging-kafka/internal/payload"
	"github.com/messaging-kafka/messaging-kafka/internal/payload/wit"
	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

// served is a real component in the stand-in for a host of wasmCloud 2.x: the stand-in does on NATS what that host's
// plugin does, and wasmtime runs the component, behind the shim by which it gets messages and before the one by which
// it publishes and requests. Each message has an instance of its own.
type served struct {
	*testkit.MessagingPlugin
	wasm *testkit.WasiHost
}

func (s *served) Kill() {
	s.MessagingPlugin.Kill()
	s.wasm.Kill()
}

func (s *served) Start() {
	s.wasm.Start()
	s.MessagingPlugin.Start()
}

// wasmWorkload has a real component, which compose makes.
func wasmWorkload(compose func(t *testing.T) string) workload {
	return func(p *place, ns *testkit.NATSServer, opts testkit.MessagingPluginOptions, output string) application {
		p.t.Helper()
		var plugin atomic.Pointer[testkit.MessagingPlugin]
		side := httptest.NewServer(consumerSide(p.t, &plugin))
		p.t.Cleanup(side.Close)
		env := []string{"MESSAGING_KAFKA_URL=" + side.URL}
		if output != "" {
			env = append(env, "OUTPUT="+output)
		}
		wasm := testkit.StartWasiHost(p.t, compose(p.t), env...)
		client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
		p.t.Cleanup(client.CloseIdleConnections)
		opts.Instance = func() testkit.PluginHandler {
			return func(ctx context.Context, _ *testkit.MessagingPlugin, m testkit.Message) error {
				return handleMessage(ctx, client, wasm.URL(), m)
			}
		}
		plugin.Store(testkit.NewMessagingPlugin(p.t, ns, opts))
		return &served{plugin.Load(), wasm}
	}
}

// handleMessage calls a component's handle-message.
func handleMessage(ctx context.Context, client *http.Client, url string, m testkit.Message) error {
	body := wit.AppendMessages(nil, []payload.Message{{Subject: m.Subject, Body: m.Body, ReplyTo: m.ReplyTo}})
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", wit.MessagesType)
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		return errors.Join(err, fmt.Errorf("the component trapped: %s: %s", resp.Status, answer))
	}
	results, err := wit.DecodeResults(answer, 1)
	if err == nil && results[0] != nil {
		err = errors.New(*results[0])
	}
	return err
}

// consumerSide is the host's wasmcloud:messaging/consumer, as the shim asks for it.
func consumerSide(t *testing.T, plugin *atomic.Pointer[testkit.MessagingPlugin]) http.Handler {
	type answerer func(p *testkit.MessagingPlugin, r *http.Request, d *wit.Decoder) ([]byte, error)
	answering := func(answer answerer) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			body, err := io.ReadAll(r.Body)
			if err != nil {
				return // the component's instance is gone
			}
			text, err := answer(plugin.Load(), r, wit.NewBytesDecoder(body))
			if err != nil {
				t.Errorf("a component asks for %s in a way that nobody understands: %v", r.URL, err)
				http.Error(w, err.Error(), http.StatusBadRequest)
				return
			}
			w.Header().Set("Content-Type", wit.MessagesType)
			_, _ = w.Write(text) // an instance that is gone does not read it
		}
	}
	told := func(err error) *string {
		if err == nil {
			return nil
		}
		text := err.Error()
		return &text
	}
	mux := http.NewServeMux()
	publish := func(p *testkit.MessagingPlugin, _ *http.Request, d *wit.Decoder) ([]byte, error) {
		m, err := wit.DecodeMessage(d)
		if err != nil {
			return nil, err
		}
		err = p.Publish(testkit.Message{Subject: m.Subject, Body: m.Body, ReplyTo: m.ReplyTo})
		return wit.AppendPublished(nil, told(err)), nil
	}
	request := func(p *testkit.MessagingPlugin, r *http.Request, d *wit.Decoder) ([]byte, error) {
		ms, err := strconv.Atoi(r.FormValue("timeout-ms"))
		if err != nil {
			return nil, err
		}
		m, err := wit.DecodeRequestMessage(d)
		if err != nil {
			return nil, err
		}
		answer, failure := p.Request(m.Subject, m.Body, time.Duration(ms)*time.Millisecond)
		return wit.AppendMessageAnswer(nil, payload.Message{Subject: m.Subject, Body: answer}, told(failure)), nil
	}
	mux.Handle("POST /v1/messages/publish", answering(publish))
	mux.Handle("POST /v1/messages/request", answering(request))
	return mux
}

// withMessages puts the shim before a component by which it gets messages.
func withMessages(t *testing.T, component string) string {
	t.Helper()
	return testkit.Compose(t, testkit.ShimWasm(t, "messaging"), component)
}

// realEcho is the echo component as it is.
func realEcho(t *testing.T) string {
	t.Helper()
	consumer, bus := testkit.ShimWasm(t, "consumer"), testkit.ComponentWasm(t, "bus")
	return withMessages(t, testkit.Compose(t, testkit.EchoWasm(t), consumer, bus))
}

// realVerdicts is a component that replies with what becomes of each message.
func realVerdicts(t *testing.T) string {
	t.Helper()
	return withMessages(t, testkit.Compose(t, testkit.ComponentWasm(t, "verdicts"), testkit.ShimWasm(t, "consumer")))
}
