package httpin

import (
	"fmt"
	"io"
	"math"
	"net/http"

	"github.com/messaging-kafka/messaging-kafka/internal/base/memory"
	"github.com/messaging-kafka/messaging-kafka/internal/payload"
	"github.com/messaging-kafka/messaging-kafka/internal/payload/wit"
)

// held is what one request holds of the memory for all. It is for one goroutine.
type held struct {
	account *memory.Account
	n       int64
}

// Hold takes n bytes more, or gives some back where n is negative.
func (h *held) Hold(n int64) error {
	switch {
	case n < 0:
		h.account.Give(-n)
	case !h.account.Take(n):
		if !h.account.FitsEver(h.n + n) {
			return &failure{status: http.StatusRequestEntityTooLarge, text: fmt.Sprintf("what the body holds takes more memory than there is for one request (%d bytes so far)", h.n+n)}
		}
		return busy("there is no memory for the request at the moment")
	}
	h.n += n
	return nil
}

// must counts n bytes that are there already.
func (h *held) must(n int64) {
	h.account.Must(n)
	h.n += n
}

func (h *held) release() {
	h.account.Give(h.n)
	h.n = 0
}

// whole is a body that is there, for a [wit.Decoder] which counts what it makes of it.
type whole struct {
	*held
	b []byte
}

var _ wit.Holder = (*whole)(nil)

// Next implements wit.Source.
func (w *whole) Next() ([]byte, error) {
	if w.b == nil {
		return nil, io.EOF
	}
	b := w.b
	w.b = nil
	return b, nil
}

// decoder reads a body of the value encoding, which has an end of its own: one that is too short is incomplete.
func (x *exchange) decoder(b []byte) *wit.Decoder {
	return wit.NewDecoder(&whole{held: &x.held, b: b}, math.MaxInt64)
}

// holdJSON counts what is about to be made of JSON.
func (x *exchange) holdJSON(b []byte) error { return x.held.Hold(payload.JSONCost(b)) }
