package admin

import (
	"context"
	"errors"
	"io"
	"mime"
	"net/http"
	"time"

	"github.com/messaging-kafka/messaging-kafka/internal/observe/control"
)

// Controller carries out what an operator asks of links.
type Controller interface {
	// Control carries out a request of the operator who is called so, and returns within half a minute.
	Control(ctx context.Context, operator string, r control.Request) control.Answer
}

// controlPath is the only one that changes anything.
const controlPath = "/control"

// maxControls bounds the requests to act on links that are answered at once. They have places of their own: they take
// longer than others.
const maxControls = 8

// controls answers requests to act on links. It is nil where nobody has a token.
func (s *Server) controls() http.Handler {
	tokens := newTokens(s.cfg.Tokens)
	if s.cfg.Controller == nil || !tokens.any() {
		return nil
	}
	slots := make(chan struct{}, maxControls)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// Who asks is known before anything of the body is read.
		operator := tokens.whose(r)
		if operator == "" {
			s.cfg.Log.Warn("a request to act was refused", "reason", "it shows none of the tokens of provider_control_tokens", "address", r.RemoteAddr)
			s.leaveBody(w, r)
			w.Header().Set("WWW-Authenticate", `Bearer realm="messaging-kafka"`)
			s.refuse(w, http.StatusUnauthorized, "this takes a token of provider_control_tokens, as Authorization: Bearer")
			return
		}
		if media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || media != "application/json" {
			s.leaveBody(w, r)
			s.refuse(w, http.StatusUnsupportedMediaType, "the Content-Type of a request is application/json")
			return
		}
		select {
		case slots <- struct{}{}:
			defer func() { <-slots }()
		default:
			s.leaveBody(w, r)
			w.Header().Set("Retry-After", "1")
			s.refuse(w, http.StatusServiceUnavailable, "too many requests at once")
			return
		}
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, control.MaxRequest))
		if large := (*http.MaxBytesError)(nil); errors.As(err, &large) {
			s.refuse(w, http.StatusRequestEntityTooLarge, "the request is too large")
			return
		}
		if err != nil {
			return // whoever asks has gone
		}
		// It would fire in the read by which net/http looks whether the caller has gone, and end the request.
		if err := http.NewResponseController(w).SetReadDeadline(time.Time{}); err != nil {
			s.cfg.Log.Error("the deadline of a request cannot be taken back", "error", err)
		}
		request, err := control.Parse(body)
		if err != nil {
			s.refuse(w, http.StatusBadRequest, err.Error())
			return
		}
		answer := s.cfg.Controller.Control(r.Context(), operator, request)
		s.answerJSON(w, statusOf(&answer), answer)
	})
}

func statusOf(a *control.Answer) int {
	if a.OK {
		return http.StatusOK
	}
	switch a.Code {
	case control.CodeBad:
		return http.StatusBadRequest
	case control.CodeUnknown:
		return http.StatusNotFound
	case control.CodeRefused:
		return http.StatusConflict
	default:
		return http.StatusInternalServerError
	}
}

// refuse answers a request that is not carried out, in the form of all answers.
func (s *Server) refuse(w http.ResponseWriter, code int, why string) {
	s.answerJSON(w, code, control.Answer{Error: why, Code: control.CodeRefused})
}
