package httpout

import (
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"strings"

	"github.com/messaging-kafka/messaging-kafka/internal/base/memory"
	"github.com/messaging-kafka/messaging-kafka/internal/payload/wit"
	"github.com/messaging-kafka/messaging-kafka/internal/record"
)

const (
	// reasonMost is how much of a body that is read for its reason is read to its end, so that its connection can be used
	// again.
	reasonMost = 64 << 10
)

// mediaType is the media type of a body, without parameters and in lower case.
func mediaType(h http.Header) string {
	t, _, _ := strings.Cut(h.Get("Content-Type"), ";")
	return strings.ToLower(strings.TrimSpace(t))
}

// room is what one answer, and what is made of it, hold of the route's memory.
type room struct {
	account *memory.Account
	held    int64
	wanted  int64 // what it would have held, where there was no room
}

var errNoRoom = errors.New("there is no room for the application's answer: other records and calls hold the memory (provider_max_memory)")

// Hold implements wit.Holder.
func (r *room) Hold(n int64) error {
	if n > 0 && !r.account.Take(n) {
		r.wanted = r.held + n
		return errNoRoom
	}
	if n < 0 {
		r.account.Give(-n)
	}
	r.held += n
	return nil
}

// release gives back what is held: the answer has gone to the engine, which counts it for itself.
func (r *room) release() {
	r.account.Give(r.held)
	r.held = 0
}

// source is an answer that a wit.Decoder reads: what it makes of the answer is counted.
type source struct {
	*room
	body []byte
}

// Next implements wit.Source.
func (s *source) Next() ([]byte, error) {
	if s.body == nil {
		return nil, io.EOF
	}
	body := s.body
	s.body = nil
	return body, nil
}

// decoder decodes an answer that is read whole.
func (r *room) decoder(body []byte) *wit.Decoder {
	return wit.NewDecoder(&source{r, body}, math.MaxInt64)
}

// read returns the body of an answer whose status says that all is well, of most bytes at most.
func (r *room) read(resp *http.Response, most int64) ([]byte, error) {
	if coding := resp.Header.Get("Content-Encoding"); coding != "" && !strings.EqualFold(coding, "identity") {
		return nil, fmt.Errorf("it is compressed (Content-Encoding: %s), which nobody asked for", coding)
	}
	if resp.ContentLength > most {
		return nil, oversize(most)
	}
	if n := resp.ContentLength; n >= 0 {
		if err := r.Hold(n); err != nil {
			return nil, err
		}
		body := make([]byte, n)
		if _, err := io.ReadFull(resp.Body, body); err != nil {
			return nil, fmt.Errorf("reading the answer: %w", err)
		}
		return body, nil
	}
	var body []byte
	for {
		if len(body) == cap(body) {
			had, grown := int64(cap(body)), max(1<<10, min(2*int64(cap(body)), most+1))
			if err := r.Hold(grown); err != nil {
				return nil, err
			}
			body = append(make([]byte, 0, grown), body...)
			if err := r.Hold(-had); err != nil {
				return nil, err
			}
		}
		n, err := resp.Body.Read(body[len(body):cap(body)])
		body = body[:len(body)+n]
		switch {
		case int64(len(body)) > most:
			return nil, oversize(most)
		case errors.Is(err, io.EOF):
			return body, nil
		case err != nil:
			return nil, fmt.Errorf("reading the answer: %w", err)
		}
	}
}

func oversize(most int64) error {
	return fmt.Errorf("it has more than %d bytes (http_max_answer)", most)
}

// unreadable is what an answer that cannot be read means for each of n records. Where there is no room for it, that is
// nobody's doing: of several records each goes alone, for which there may be room, and a single one waits for it unless
// it could never have any.
func (r *room) unreadable(err error, n int) []record.Outcome {
	o := record.Outcome{Kind: record.Unanswered, Err: fmt.Errorf("the application's answer cannot be read: %w", err)}
	if n == 1 && errors.Is(err, errNoRoom) && r.account.FitsEver(r.wanted) {
		o.Kind = record.Unavailable
	}
	return record.Each(n, o)
}
