package wrpc

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/nats-io/nats.go"

	"github.com/messaging-kafka/messaging-kafka/internal/payload/wit"
)

// pending is a call of a client that is under way. peer is guarded by results.mu, which is also what awaitAccept
// sleeps on.
type pending struct {
	client  *Client
	ctx     context.Context // a Source's Next has no parameter for it; lives as long as the call
	subject string          // of the invocation
	number  uint64          // calls made later have higher ones
	results stream
	dec     wit.Decoder
	single  bool   // the first message held all parameters; set before it is published
	peer    string // the reply subject of the accept
}

// Next implements [wit.Source] on the results.
func (p *pending) Next() ([]byte, error) { return p.results.next(p.ctx) }

func (p *pending) Hold(n int64) error { return p.results.Hold(n) }

// deliver implements receiver.
func (p *pending) deliver(suffix string, m *nats.Msg) {
	switch suffix {
	case "":
		p.accept(m)
	case resultsSuffix:
		if len(m.Data) == 0 {
			p.results.close(io.EOF)
		} else {
			// An error is the end of the stream, where decode finds it.
			_ = p.results.push(m.Data)
		}
	}
}

// accept takes the server's accept, or NATS's word that there is no server. A server may repeat its accept; only
// the first one counts, as the end of the parameters must be sent once.
func (p *pending) accept(m *nats.Msg) {
	s := &p.results
	s.mu.Lock()
	if p.peer != "" || s.end != nil {
		repeated := p.peer == m.Reply
		s.mu.Unlock()
		if !repeated {
			// The results came to their end before this accept: its sender still waits for the parameters' end.
			p.client.closeStrayParams(m)
		}
		return
	}
	if !p.client.opts.Inboxes.Answer(m.Reply) {
		err := acceptError(m)
		_ = s.failLocked(err) // the same error
		s.mu.Unlock()
		if errors.Is(err, ErrNoResponders) {
			p.client.peers.missing(p.subject, p.number)
		}
		return
	}
	p.peer = m.Reply
	single := p.single
	s.wake()
	s.mu.Unlock()
	if single {
		// Here rather than in the call's goroutine, which this spares one wake-up.
		p.client.closeParams(m.Reply)
	}
	p.client.peers.add(m.Reply)
}

// acceptError says what a message to the reply subject means that is no accept.
func acceptError(m *nats.Msg) error {
	// nats.go puts the status line of a message into these two headers.
	switch code := m.Header.Get("Status"); code {
	case "":
		return fmt.Errorf("accept with reply subject %.80q: %w", m.Reply, ErrMalformed)
	case "503":
		return ErrNoResponders
	default:
		return &StatusError{Code: code, Description: m.Header.Get("Description")}
	}
}

// awaitAccept waits for the server's accept and returns the subject to send parameters to.
func (p *pending) awaitAccept(ctx context.Context) (string, error) {
	s := &p.results
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		if p.peer != "" {
			return p.peer, nil
		}
		if s.end != nil {
			if errors.Is(s.end, io.EOF) {
				return "", ErrIncomplete
			}
			return "", s.end
		}
		// An accept may have come in the moment in which ctx ended. One that comes from here on finds the call ended, so
		// that its sender hears of the end of the parameters all the same.
		if err := s.sleep(ctx); err != nil && p.peer == "" && s.end == nil {
			return "", s.failLocked(err)
		}
	}
}

// taken tells whether a server has shown that it has the call: by its accept, or by results or their end.
func (p *pending) taken() bool {
	s := &p.results
	s.mu.Lock()
	defer s.mu.Unlock()
	return p.takenLocked()
}

func (p *pending) takenLocked() bool {
	return p.peer != "" || p.results.total > 0 || errors.Is(p.results.end, io.EOF)
}

// servedBy returns the reply subject of the accept, "" where none has come.
func (p *pending) servedBy() string {
	p.results.mu.Lock()
	defer p.results.mu.Unlock()
	return p.peer
}

// lose fails a call that nobody has taken.
func (p *pending) lose(err error) {
	s := &p.results
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.end == nil && !p.takenLocked() {
		_ = s.failLocked(err) // the same error
	}
}
