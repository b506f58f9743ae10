package refusal

import (
	"errors"
	"regexp"

	"github.com/nats-io/nats.go"
)

// Refusal is a publish or a subscription that the server does not let a connection make.
type Refusal struct {
	Subject string
	// Subscription tells that it is a subscription, and no publish.
	Subscription bool
}

// text is what the server says: Permissions Violation for Subscription to "a.b" using queue "q".
var text = regexp.MustCompile(`(?i)permissions violation for (subscription|publish) to "([^"\s]+)"`)

// Of reads an error of a connection; ok is false where it is about anything else.
func Of(err error) (r Refusal, ok bool) {
	if !errors.Is(err, nats.ErrPermissionViolation) {
		return Refusal{}, false
	}
	match := text.FindStringSubmatch(err.Error())
	if match == nil {
		return Refusal{}, false
	}
	return Refusal{Subject: match[2], Subscription: match[1][0]|0x20 == 's'}, true
}
