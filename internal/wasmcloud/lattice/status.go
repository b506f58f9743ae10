package lattice

import (
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

// StatusTeller is a [Handler] that tells more of itself than its health, to whoever asks for it on
// wasmbus.rpc.{lattice}.{provider key}.status. The subject is this provider's own addition: hosts do not know it.
type StatusTeller interface {
	// TellStatus returns an answer of at most limit bytes. It returns soon. It is not called any more when
	// [Session.Run] has returned.
	TellStatus(limit int) ([]byte, error)
}

// statusFresh is how long an answer is given again, so that many who ask cost no more than one.
const statusFresh = 250 * time.Millisecond

// telling is the state of the status subscription. Its callback has a goroutine of its own; a status takes longer than
// a health check, which must not wait for it.
type telling struct {
	mu    sync.Mutex
	ended bool
	text  []byte
	at    time.Time
}

func (s *Session) statusSubject() string { return s.subject(s.data.ProviderKey, "status") }

func (r *run) answerStatus(msg *nats.Msg) {
	teller, ok := r.handler.(StatusTeller)
	r.telling.mu.Lock()
	defer r.telling.mu.Unlock()
	if !ok || r.telling.ended || !r.answerable(msg) {
		return
	}
	if now := time.Now(); r.telling.text == nil || now.Sub(r.telling.at) >= statusFresh {
		text, err := teller.TellStatus(int(r.nc.MaxPayload()))
		if err != nil {
			r.log.Warn("the status cannot be told", "error", err)
			return
		}
		r.telling.text, r.telling.at = text, now
	}
	if err := msg.Respond(r.telling.text); err != nil {
		r.log.Warn("answering a question for the status", "error", err)
	}
}

// endTelling returns when no status is being told, and no more will be.
func (r *run) endTelling() {
	r.telling.mu.Lock()
	defer r.telling.mu.Unlock()
	r.telling.ended = true
}
