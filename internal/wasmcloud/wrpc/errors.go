package wrpc

import (
	"errors"

	"github.com/messaging-kafka/messaging-kafka/internal/payload/wit"
)

// Errors of calls. They are wrapped with what was being done; compare with [errors.Is].
var (
	// ErrNoResponders says that nobody subscribes to the function: no such component runs, or the lattice has not
	// heard of it yet. The call has not been and will not be run. It is NATS status 503.
	ErrNoResponders = errors.New("no component serves the function")
	// ErrNotAccepted says that the call ended before any peer had taken it with all its parameters: its time was over, or
	// NATS refused it. It has not been run as far as anybody can tell; a peer that finds it later may still run it.
	ErrNotAccepted = errors.New("nobody took the call")
	// ErrRefused says that NATS does not let the client do what the call takes: a permission is missing.
	ErrRefused = errors.New("the lattice refuses the call")
	// ErrCut says that the peer that had taken the call is gone, or was stopped or replaced, before it answered. It may
	// have run the call all the same.
	ErrCut = errors.New("the host stopped serving the call before it was answered")
	// ErrIncomplete says that the peer ended a stream before the value in it was complete. As the end of results
	// it is all that wRPC tells of a call that failed: the component trapped, was refused, or ran out of time.
	ErrIncomplete = wit.ErrIncomplete
	// ErrDisconnected says that the NATS connection was lost (or was not there). Where the call was under way, the
	// peer may have run it all the same.
	ErrDisconnected = errors.New("the NATS connection was lost")
	// ErrClosed says that the client or server has been closed.
	ErrClosed = errors.New("wrpc: closed")
	// ErrMalformed says that bytes or a message of the peer are not what wRPC prescribes.
	ErrMalformed = wit.ErrMalformed
	// ErrTooLarge says that a stream or a value in it, or the headers of a call, exceed their limit.
	ErrTooLarge = wit.ErrTooLarge
)
