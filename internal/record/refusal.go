package record

// Refusal is the error of an [Unavailable] outcome where somebody is there, and takes no records for a reason that an
// operator mends in one known way.
type Refusal struct {
	Reason Reason
	Err    error
}

// Error implements error.
func (r *Refusal) Error() string { return r.Err.Error() }

// Unwrap returns what was said.
func (r *Refusal) Unwrap() error { return r.Err }

// Reason is why somebody takes no records who is there.
type Reason uint8

// The reasons of a [Refusal].
const (
	// BadCredentials are credentials that the receiver does not take.
	BadCredentials Reason = iota + 1
	// ProxyAsks is a proxy on the way that wants credentials of its own.
	ProxyAsks
	// Redirected is a receiver that is elsewhere now.
	Redirected
	// SchemasAway is a schema registry that cannot be asked what the record holds, and NoMemory that there is none for
	// what it holds. The engine says so itself.
	SchemasAway
	NoMemory
)
