//go:build acceptance

package acceptance

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/messaging-kafka/messaging-kafka/internal/payload/wit"
	"github.com/messaging-kafka/messaging-kafka/internal/record"
	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

// answerFunc answers a request with a body of the request's own media type.
type answerFunc func(ctx context.Context, mediaType string, body []byte) ([]byte, error)

// serveBatches starts a program that answers batches as the shims do: a trap is a 500, and who has ended answers
// nothing.
func serveBatches(t *testing.T, answer answerFunc) *testkit.HTTPApp {
	t.Helper()
	return testkit.NewHTTPApp(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mediaType, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
		if err != nil {
			t.Errorf("a request without a media type: %v", err)
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return // whoever sent it is gone
		}
		answer, err := answer(r.Context(), mediaType, body)
		switch {
		case errors.Is(err, errGivenUp):
			panic(http.ErrAbortHandler)
		case err != nil:
			http.Error(w, err.Error(), http.StatusInternalServerError)
		default:
			w.Header().Set("Content-Type", mediaType)
			_, _ = w.Write(answer) // whoever has gone asks again
		}
	}))
}

// startRecords starts a program behind deliver=http-records.
func startRecords(p *place, settings map[string]string) {
	p.t.Helper()
	app, asker := &standIn{}, newAsker(p)
	program := serveBatches(p.t, func(ctx context.Context, mediaType string, body []byte) ([]byte, error) {
		var batch []*record.Record
		var err error
		if mediaType == wit.RecordsTypeJSON {
			batch, err = recordsOf(body)
		} else {
			batch, err = wit.DecodeBatch(wit.NewBytesDecoder(body))
		}
		if err != nil {
			p.t.Errorf("a batch that is none: %v", err)
			return nil, err
		}
		outcomes, err := app.process(ctx, batch, asker.requestRecord)
		if err != nil {
			return nil, err
		}
		if mediaType == wit.RecordsTypeJSON {
			return verdictsOf(outcomes)
		}
		return wit.AppendProcessed(nil, outcomes), nil
	})
	p.app = program
	startBridge(p, "http-records", program.URL(), settings)
}

// jsonPayload is a payload as JSON has it: null, or an object with one of both.
type jsonPayload struct {
	Text   *string `json:"text,omitempty"`
	Base64 *string `json:"base64,omitempty"`
}

func (p *jsonPayload) bytes() ([]byte, error) {
	switch {
	case p == nil:
		return nil, nil
	case p.Text != nil:
		return []byte(*p.Text), nil
	default:
		return base64.StdEncoding.DecodeString(*p.Base64)
	}
}

func payloadOf(b []byte) *jsonPayload {
	if b == nil {
		return nil
	}
	text := base64.StdEncoding.EncodeToString(b)
	return &jsonPayload{Base64: &text}
}

type jsonHeader struct {
	Name  string       `json:"name"`
	Value *jsonPayload `json:"value"`
}

// jsonRecord is an incoming and an outgoing of records.v1+json, by encoding/json.
type jsonRecord struct {
	Topic     string       `json:"topic"`
	Timestamp int64        `json:"timestamp"`
	Key       *jsonPayload `json:"key"`
	Value     *jsonPayload `json:"value"`
	Headers   []jsonHeader `json:"headers"`
	Attempt   int          `json:"attempt,omitempty"`
}

func recordsOf(body []byte) ([]*record.Record, error) {
	var list []jsonRecord
	if err := json.Unmarshal(body, &list); err != nil {
		return nil, err
	}
	batch := make([]*record.Record, len(list))
	for i, one := range list {
		r := &record.Record{Topic: one.Topic, Timestamp: time.UnixMilli(one.Timestamp), Attempt: one.Attempt}
		var keyErr, valueErr error
		r.Key, keyErr = one.Key.bytes()
		r.Value, valueErr = one.Value.bytes()
		err := errors.Join(keyErr, valueErr)
		for _, h := range one.Headers {
			value, headerErr := h.Value.bytes()
			err = errors.Join(err, headerErr)
			r.Headers = append(r.Headers, record.Header{Key: h.Name, Value: value})
		}
		if err != nil {
			return nil, err
		}
		batch[i] = r
	}
	return batch, nil
}

func verdictsOf(outcomes []record.Outcome) ([]byte, error) {
	list := make([]map[string]any, len(outcomes))
	for i, o := range outcomes {
		switch o.Kind {
		case record.Done:
			outputs := make([]jsonRecord, len(o.Outputs))
			for i, out := range o.Outputs {
				outputs[i] = jsonRecord{
					Topic: out.Topic, Timestamp: out.Timestamp.UnixMilli(), Key: payloadOf(out.Key), Value: payloadOf(out.Value),
				}
				for _, h := range out.Headers {
					outputs[i].Headers = append(outputs[i].Headers, jsonHeader{h.Key, payloadOf(h.Value)})
				}
			}
			list[i] = map[string]any{"ok": outputs}
		case record.Reject:
			list[i] = map[string]any{"reject": o.Err.Error()}
		default:
			list[i] = map[string]any{"retry": o.Err.Error()}
		}
	}
	return json.Marshal(list)
}

// startMessages starts a program behind deliver=http-messages.
func startMessages(p *place, settings map[string]string) {
	p.t.Helper()
	app, asker := &standIn{}, newAsker(p)
	program := serveBatches(p.t, func(ctx context.Context, _ string, body []byte) ([]byte, error) {
		batch, err := wit.DecodeMessages(wit.NewBytesDecoder(body))
		if err != nil {
			p.t.Errorf("messages that are none: %v", err)
			return nil, err
		}
		results := make([]*string, len(batch))
		for i, message := range batch {
			value, err := app.obey(ctx, message.Body, 0, asker.requestMessage)
			if err == nil && message.ReplyTo != nil {
				err = asker.publish(ctx, *message.ReplyTo, value)
			}
			switch text := ""; {
			case errors.Is(err, errTrap), errors.Is(err, errGivenUp), ctx.Err() != nil:
				return nil, errors.Join(err, ctx.Err())
			case errors.As(err, new(rejected)):
				text = "reject:" + err.Error()
				results[i] = &text
			case err != nil:
				text = err.Error()
				results[i] = &text
			}
		}
		return wit.AppendResults(nil, results), nil
	})
	p.app = program
	startBridge(p, "http-messages", program.URL(), settings)
}

// startEvents starts a program behind deliver=http-cloudevents. Its answer to an event has the attributes of the event,
// as Knative's have.
func startEvents(p *place, settings map[string]string) {
	p.t.Helper()
	app, asker := &standIn{}, newAsker(p)
	program := testkit.NewHTTPApp(p.t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return // whoever sent it is gone
		}
		var value []byte
		if mediaType := r.Header.Get("Content-Type"); strings.HasPrefix(mediaType, "application/cloudevents-batch+json") {
			err = obeyEvents(r.Context(), app, asker, body)
		} else {
			value, err = app.obey(r.Context(), body, 0, asker.requestMessage)
		}
		switch {
		case errors.Is(err, errGivenUp), r.Context().Err() != nil:
			panic(http.ErrAbortHandler)
		case errors.As(err, new(rejected)):
			http.Error(w, err.Error(), http.StatusUnprocessableEntity)
		case err != nil:
			http.Error(w, err.Error(), http.StatusInternalServerError)
		case value == nil:
			w.WriteHeader(http.StatusNoContent)
		default:
			for name, values := range r.Header {
				if strings.HasPrefix(name, "Ce-") || name == "Content-Type" {
					w.Header()[name] = values
				}
			}
			_, _ = w.Write(value) // whoever has gone asks again
		}
	}))
	p.app = program
	startBridge(p, "http-cloudevents", program.URL(), settings)
}

// obeyEvents handles a list of events, which nobody answers one by one: what is made of them is published.
func obeyEvents(ctx context.Context, app *standIn, asker *asker, body []byte) error {
	var events []struct {
		Data   any    `json:"data"`
		Base64 []byte `json:"data_base64"`
	}
	if err := json.Unmarshal(body, &events); err != nil {
		return err
	}
	for _, e := range events {
		given := e.Base64
		if text, is := e.Data.(string); is {
			given = []byte(text)
		}
		value, err := app.obey(ctx, given, 0, nil)
		if err == nil {
			err = asker.publish(ctx, out, value)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
