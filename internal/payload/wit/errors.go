package wit

import "errors"

// Why a value cannot be decoded. The errors are wrapped with what was being read; compare with [errors.Is].
var (
	// ErrIncomplete says that the bytes ended before the value was complete. As the end of a call's results it is all
	// that wRPC tells of a call that failed.
	ErrIncomplete = errors.New("the peer ended the call without a value")
	// ErrMalformed says that the bytes are not those of a value.
	ErrMalformed = errors.New("malformed data")
	// ErrTooLarge says that a value, or all of them together, exceed their limit.
	ErrTooLarge = errors.New("data exceeds its limit")
)
