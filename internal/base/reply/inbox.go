package reply

import (
	"fmt"
	"strings"
)

// DefaultPrefix is where the inboxes of NATS clients are that have not been told otherwise: those of hosts, wash and
// wadm, and of wRPC in Rust and Go.
const DefaultPrefix = "_INBOX"

const (
	// maxLen bounds the length of a reply subject, which NATS bounds only together with the whole control line (4 KiB
	// by default) and which is echoed on each message of a call. Inboxes are some 50 bytes.
	maxLen = 1024
	// importPrefix is that of the subjects by which NATS servers take answers from one account to another.
	importPrefix = "_R_."
	// gatewayPrefix is what NATS servers put before a reply subject that came from another cluster, with two tokens
	// that name cluster and server. After them comes the subject that is answered in the end.
	gatewayPrefix = "_GR_."
	gatewayTokens = 2
	// call is in every subject on which wRPC functions are called.
	call = ".wrpc."
	// side is the beginning of the subjects by which hosts speak to providers, and of those that hosts listen to.
	side = "wasmbus."
)

// Inboxes are the reply subjects that are answered. The zero value has those below [DefaultPrefix].
type Inboxes struct {
	prefixes []string // each with a dot at its end
}

// New returns the inboxes below [DefaultPrefix] and below the given prefixes, which are written without a dot at the
// end.
func New(prefixes ...string) (Inboxes, error) {
	var in Inboxes
	for _, p := range prefixes {
		if err := CheckPrefix(p); err != nil {
			return Inboxes{}, err
		}
		in.prefixes = append(in.prefixes, p+".")
	}
	return in, nil
}

// CheckPrefix says why a prefix cannot be one of inboxes.
func CheckPrefix(p string) error {
	below := p + ".x"
	switch {
	case !Literal(p) || len(p) > maxLen/2:
		return fmt.Errorf("%.100q is no beginning of a NATS subject: write tokens with dots between them, without wildcards",
			p)
	case reserved(below), strings.HasPrefix(below, importPrefix), strings.HasPrefix(below, gatewayPrefix):
		return fmt.Errorf("%.100q is no place for inboxes: NATS or the lattice uses these subjects", p)
	}
	return nil
}

// Answer tells whether a message may be published on s because a peer has named it as its reply subject.
func (in Inboxes) Answer(s string) bool {
	if len(s) > maxLen || !Literal(s) {
		return false
	}
	if strings.HasPrefix(s, importPrefix) {
		return !reserved(s)
	}
	if rest, ok := strings.CutPrefix(s, gatewayPrefix); ok {
		for range gatewayTokens {
			if _, rest, ok = strings.Cut(rest, "."); !ok {
				return false
			}
		}
		s = rest
	}
	if reserved(s) {
		return false
	}
	if strings.HasPrefix(s, DefaultPrefix+".") {
		return true
	}
	for _, p := range in.prefixes {
		if strings.HasPrefix(s, p) {
			return true
		}
	}
	return false
}

// reserved tells of subjects that mean something to others: the NATS server's own and those of a lattice.
func reserved(s string) bool {
	return s[0] == '$' || strings.HasPrefix(s, side) || strings.Contains(s, call)
}

// Literal tells whether s is a subject that NATS delivers as it stands: tokens that are neither empty nor wildcards,
// without white space.
func Literal(s string) bool {
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
