package lattice

import (
	"github.com/nats-io/nats.go"

	"github.com/messaging-kafka/messaging-kafka/internal/base/redact"
)

// maxLoggedSubject bounds what of a peer's subject gets into the log.
const maxLoggedSubject = 100

// answerable tells whether a question can be answered. One that asks for no answer is none; one whose answer would go
// to anything but an inbox is nobody's but an attacker's, who has no right to publish there himself.
func (r *run) answerable(question *nats.Msg) bool {
	if question.Reply == "" {
		return false
	}
	if r.options.Inboxes.Answer(question.Reply) {
		return true
	}
	r.log.Warn("a question is not answered: its reply subject is no inbox", "subject", question.Subject,
		"reply", redact.Short{Text: question.Reply, Limit: maxLoggedSubject})
	return false
}
