package httpin

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/messaging-kafka/messaging-kafka/internal/base/memory"
	"github.com/messaging-kafka/messaging-kafka/internal/engine/route"
	"github.com/messaging-kafka/messaging-kafka/internal/payload/wit"
)

// failure is the answer to a request that is not carried out, or of which that is not known.
type failure struct {
	status int
	text   string
	// after is when the same request may fare better; 0 tells nothing of that.
	after time.Duration
	// end closes the connection: it has a body that nobody reads, or comes from somebody unknown.
	end bool
	// audit has the log tell of it: somebody asked for what is not theirs.
	audit bool
	// offsets say what became of each record, where there are several.
	offsets []offset
}

func (f *failure) Error() string { return f.text }

// soon is when to come again where there is no room at the moment.
const soon = time.Second

func badRequest(format string, args ...any) *failure {
	return &failure{status: http.StatusBadRequest, text: fmt.Sprintf(format, args...)}
}

func busy(text string) *failure {
	return &failure{status: http.StatusTooManyRequests, text: text, after: soon}
}

// noRoom is the failure of a request that would hold more memory than there is.
func noRoom(none *memory.NoRoomError) *failure {
	if none.Ever {
		return busy("there is no memory for the request at the moment")
	}
	return &failure{status: http.StatusRequestEntityTooLarge, text: fmt.Sprintf(
		"what the body holds takes more memory than there is for one request (%d bytes so far)", none.Wanted)}
}

// failureOf makes one of any error.
func failureOf(err error) *failure {
	if f, ok := errors.AsType[*failure](err); ok {
		return f
	}
	if none, ok := errors.AsType[*memory.NoRoomError](err); ok {
		return noRoom(none)
	}
	switch {
	case errors.Is(err, wit.ErrTooLarge):
		return &failure{status: http.StatusRequestEntityTooLarge, text: err.Error()}
	case errors.Is(err, wit.ErrMalformed), errors.Is(err, wit.ErrIncomplete):
		return badRequest("%v", err)
	}
	return &failure{status: http.StatusInternalServerError, text: err.Error()}
}

// statuses are those of records that were not stored.
var statuses = map[wit.SendCase]int{
	wit.TooLarge:      http.StatusRequestEntityTooLarge,
	wit.UnknownTopic:  http.StatusNotFound,
	wit.NotAuthorised: http.StatusForbidden,
	wit.TimedOut:      http.StatusGatewayTimeout,
	wit.Unavailable:   http.StatusServiceUnavailable,
	wit.Invalid:       http.StatusBadRequest,
	wit.Other:         http.StatusInternalServerError,
}

// notStored is the failure of a request whose one record was not stored.
func notStored(e *wit.SendError) *failure {
	f := &failure{status: statuses[e.Case], text: sendText(e)}
	if f.status == http.StatusServiceUnavailable {
		f.after = soon
	}
	return f
}

func sendText(e *wit.SendError) string {
	if e.Text == "" {
		return e.Error()
	}
	return wit.ErrorText(e.Text)
}

// sendError is what a caller is told of an error of a route.
func (s *Server) sendError(err error) *wit.SendError {
	fit := *route.SendErrorOf(err)
	fit.Text = s.o.Fit(fit.Text)
	return &fit
}

// failed is the body of an answer that is a failure.
type failed struct {
	ErrorCode int    `json:"error_code"`
	Message   string `json:"message"`
	// Offsets are what became of the records, where some of them may have been stored.
	Offsets []offset `json:"offsets,omitempty"`
}

func (f *failure) body(fit func(string) string) []byte {
	b, err := json.Marshal(failed{f.status, wit.ErrorText(fit(f.text)), f.offsets})
	if err != nil {
		panic(fmt.Sprintf("writing a number and a text as JSON: %v", err)) // which cannot fail
	}
	return b
}
