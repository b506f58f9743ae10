package memory

import "fmt"

// Share is what one piece of work, such as a request or an answer, holds of an [Account]. It is for one goroutine.
type Share struct {
	account *Account
	held    int64
}

// Share returns a share that holds nothing yet. [Share.Release] ends it.
func (a *Account) Share() Share { return Share{account: a} }

// NoRoomError is the error of a [Share] that cannot hold what it is to.
type NoRoomError struct {
	// Wanted is what the share would hold, in bytes.
	Wanted int64
	// Ever tells that there may be room another time: others hold it now.
	Ever bool
}

// Error implements error.
func (e *NoRoomError) Error() string {
	if !e.Ever {
		return fmt.Sprintf("there is no room for it: it takes %d bytes or more, and nothing may take as many (provider_max_memory)", e.Wanted)
	}
	return fmt.Sprintf("there is no room for its %d bytes at the moment: other records and calls hold the memory (provider_max_memory)", e.Wanted)
}

// Hold takes n bytes more, or gives some back where n is negative. Its error is a [*NoRoomError].
func (s *Share) Hold(n int64) error {
	if n > 0 && !s.account.Take(n) {
		return &NoRoomError{Wanted: s.held + n, Ever: s.account.FitsEver(s.held + n)}
	}
	if n < 0 {
		s.account.Give(-n)
	}
	s.held += n
	return nil
}

// Must counts n bytes that are there already.
func (s *Share) Must(n int64) {
	s.account.Must(n)
	s.held += n
}

// Release gives back all that is held.
func (s *Share) Release() {
	s.account.Give(s.held)
	s.held = 0
}

// Grow returns a buffer of size bytes with what b has: it is counted before it is made, and b no more.
func (s *Share) Grow(b []byte, size int64) ([]byte, error) {
	if err := s.Hold(size); err != nil {
		return nil, err
	}
	larger := append(make([]byte, 0, size), b...)
	return larger, s.Hold(-int64(cap(b)))
}
