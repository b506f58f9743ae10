package wrpc

import (
	"fmt"

	"github.com/messaging-kafka/messaging-kafka/internal/base/reply"
)

// protocol is the part of each invocation subject that names protocol and version.
const protocol = ".wrpc.0.0.1."

const (
	paramsSuffix  = ".params"
	resultsSuffix = ".results"
)

// invocationSubject returns the subject that function of instance is called on. A function outside of any instance
// has an empty one.
func invocationSubject(prefix, instance, function string) (string, error) {
	subject := prefix + protocol + instance + "." + function
	if instance == "" {
		subject = prefix + protocol + function
	}
	if prefix == "" || function == "" || !reply.Literal(subject) {
		return "", fmt.Errorf("%q is no subject that can be called: %w", subject, ErrMalformed)
	}
	return subject, nil
}
