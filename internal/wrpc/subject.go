package wrpc

import (
	"fmt"
	"strings"
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
	if prefix == "" || function == "" || !literal(subject) {
		return "", fmt.Errorf("%q is no subject that can be called: %w", subject, ErrMalformed)
	}
	return subject, nil
}

// literal tells whether s is a subject that NATS delivers as it stands: tokens that are neither empty nor wildcards,
// without white space.
func literal(s string) bool {
	if s == "" || s[len(s)-1] == '.' {
		return false
	}
	start := 0
	for i := 0; i <= len(s); i++ {
		if i < len(s) && s[i] != '.' {
			if s[i] <= ' ' || s[i] == 0x7f {
				return false
			}
			continue
		}
		switch i - start {
		case 0:
			return false
		case 1:
			if s[start] == '*' || s[start] == '>' {
				return false
			}
		}
		start = i + 1
	}
	return true
}

// answerable tells whether a peer may have messages sent to s. What a peer calls its reply subject is sent to under
// our permissions, so nothing may pass that is served by others: the NATS server's own subjects and subjects of
// invocations (where each of our messages would be taken for a new call, without end if it is one of our own).
func answerable(s string) bool {
	return len(s) <= maxReply && literal(s) && s[0] != '$' && !strings.Contains(s, protocol)
}

// maxReply bounds the length of a reply subject, which NATS bounds only together with the whole control line (4 KiB
// by default) and which is echoed on each message of a call. Inboxes are some 50 bytes.
const maxReply = 1024
