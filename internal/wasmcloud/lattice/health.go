package lattice

import (
	"bytes"
	"encoding/json"
	"strings"

	"github.com/nats-io/nats.go"

	"github.com/messaging-kafka/messaging-kafka/internal/base/text"
)

// maxHealthMessage bounds the message in bytes. The host puts it into a log line and an event.
const maxHealthMessage = 4 << 10

// answerHealth runs in the goroutine of the health subscription, which nothing else uses.
func (r *run) answerHealth(msg *nats.Msg) {
	r.answering.Lock()
	defer r.answering.Unlock()
	if r.ended {
		return
	}
	if !r.answerable(msg) {
		return
	}
	health := r.handler.Health()
	if trouble := r.problems.text(); trouble != "" {
		if r.options.Fit != nil {
			trouble = r.options.Fit(trouble)
		}
		if health.Healthy {
			health.Message = "" // a good word has no place in front of a bad one
		}
		health.Healthy = false
		health.Message = strings.TrimSuffix(trouble+"; "+health.Message, "; ")
	}
	if err := msg.Respond(health.encode()); err != nil {
		r.log.Warn("answering a health check", "error", err)
	}
}

// encode writes a HealthCheckResponse of wasmcloud-core: {"healthy":true}, or {"healthy":false,"message":"…"}.
func (h Health) encode() []byte {
	response := struct {
		Healthy bool   `json:"healthy"`
		Message string `json:"message,omitempty"`
	}{Healthy: h.Healthy}
	if !h.Healthy {
		response.Message = text.Clip(h.Message, maxHealthMessage)
	}
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false) // people read it
	if err := encoder.Encode(response); err != nil {
		panic(err) // a bool and a string cannot fail
	}
	return bytes.TrimSuffix(b.Bytes(), []byte{'\n'})
}
