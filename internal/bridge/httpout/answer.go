package httpout

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/messaging-kafka/messaging-kafka/internal/base/memory"
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

// read returns the body of an answer whose status says that all is well.
func (d *delivery) read(resp *http.Response) ([]byte, error) {
	most := d.client.o.MaxAnswer
	if coding := resp.Header.Get("Content-Encoding"); coding != "" && !strings.EqualFold(coding, "identity") {
		return nil, fmt.Errorf("it is compressed (Content-Encoding: %s), which nobody asked for", coding)
	}
	if resp.ContentLength > most {
		return nil, oversize(most)
	}
	if n := resp.ContentLength; n >= 0 {
		body, err := d.held.Grow(nil, n)
		if err != nil {
			return nil, err
		}
		body = body[:n]
		if _, err = io.ReadFull(resp.Body, body); err != nil {
			return nil, fmt.Errorf("reading the answer: %w", err)
		}
		return body, nil
	}
	var body []byte
	for {
		if len(body) == cap(body) {
			var err error
			if body, err = d.held.Grow(body, max(1<<10, min(2*int64(cap(body)), most+1))); err != nil {
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
func unreadable(err error, n int) []record.Outcome {
	o := record.Outcome{Kind: record.Unanswered, Err: fmt.Errorf("the application's answer cannot be read: %w", err)}
	if none, ok := errors.AsType[*memory.NoRoomError](err); ok && n == 1 && none.Ever {
		o.Kind = record.Unavailable
	}
	return record.Each(n, o)
}
