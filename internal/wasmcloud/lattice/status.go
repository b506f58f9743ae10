package lattice

import (
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

// StatusSource is a [Handler] that tells more of itself than its health, to whoever asks for it on
// wasmbus.rpc.{lattice}.{provider key}.status. The subject is this provider's own addition: hosts do not know it.
type StatusSource interface {
	// AnswerStatus returns an answer of at most limit bytes. It returns soon. It is not called any more when
	// [Session.Run] has returned.
	AnswerStatus(limit int) ([]byte, error)
}

// statusFresh is how long an answer is given again, so that many who ask cost no more than one.
const statusFresh = 250 * time.Millisecond

// statusAnswers is the state of the status subscription. Its callback has a goroutine of its own; a status takes longer
// than a health check, which must not wait for it.
type statusAnswers struct {
	mu    sync.Mutex
	ended bool
	text  []byte
	at    time.Time
}

func (s *Session) statusSubject() string { return s.subject(s.data.ProviderKey, "status") }

func (r *run) answerStatus(msg *nats.Msg) {
	teller, ok := r.handler.(StatusSource)
	r.statusAnswers.mu.Lock()
	defer r.statusAnswers.mu.Unlock()
	if !ok || r.statusAnswers.ended || !r.answerable(msg) {
		return
	}
	if now := time.Now(); r.statusAnswers.text == nil || now.Sub(r.statusAnswers.at) >= statusFresh {
		text, err := teller.AnswerStatus(int(r.nc.MaxPayload()))
		if err != nil {
			r.log.Warn("the status cannot be told", "error", err)
			return
		}
		r.statusAnswers.text, r.statusAnswers.at = text, now
	}
	if err := msg.Respond(r.statusAnswers.text); err != nil {
		r.log.Warn("answering a question for the status", "error", err)
	}
}

// endStatusAnswers returns when no status is being told, and no more will be.
func (r *run) endStatusAnswers() {
	r.statusAnswers.mu.Lock()
	defer r.statusAnswers.mu.Unlock()
	r.statusAnswers.ended = true
}
