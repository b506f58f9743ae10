package admin

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/messaging-kafka/messaging-kafka/internal/observe/status"
)

// healthz tells whether the process works, which is that it tells its status in time. Kafka, the lattice and links are
// not its business: a restart, which is what follows where this is not well, mends none of them.
func (s *Server) healthz(w http.ResponseWriter, r *http.Request) {
	if _, err := s.status(r.Context()); err != nil {
		answerText(w, http.StatusServiceUnavailable, err.Error())
		return
	}
	answerText(w, http.StatusOK, "alive")
}

// readyz tells whether all that the provider was asked to do works, and what does not.
func (s *Server) readyz(w http.ResponseWriter, r *http.Request) {
	p, err := s.status(r.Context())
	if err != nil {
		answerText(w, http.StatusServiceUnavailable, err.Error())
		return
	}
	if reasons := notReady(&p); len(reasons) > 0 {
		answerText(w, http.StatusServiceUnavailable, strings.Join(reasons, "\n"))
		return
	}
	answerText(w, http.StatusOK, strings.Join(append([]string{"ready"}, pausedLinks(&p)...), "\n"))
}

// pausedLinks are lines that tell of links that somebody has paused: nothing is wrong with them, and they do not read.
func pausedLinks(p *status.Provider) (lines []string) {
	for i := range p.Links {
		if l := &p.Links[i]; l.State == status.Paused {
			lines = append(lines, fmt.Sprintf("%s %s: %s", p.Words.Link(), l.ID(), l.Reason))
		}
	}
	return lines
}

// notReady says why a provider is not ready, a line for each of its own problems and for each link.
func notReady(p *status.Provider) []string {
	reasons := p.Problems.Texts()
	for i := range p.Links {
		if l := &p.Links[i]; l.State != status.Healthy && l.State != status.Paused {
			reason := l.Reason
			if reason == "" {
				reason = string(l.State)
			}
			reasons = append(reasons, fmt.Sprintf("%s %s: %s", p.Words.Link(), l.ID(), reason))
		}
	}
	if len(reasons) == 0 && !p.Healthy {
		reasons = append(reasons, p.Message)
	}
	return reasons
}

func answerText(w http.ResponseWriter, code int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(code)
	fmt.Fprintln(w, text)
}

func (s *Server) links(w http.ResponseWriter, r *http.Request) {
	p, err := s.status(r.Context())
	if err != nil {
		answerText(w, http.StatusServiceUnavailable, err.Error())
		return
	}
	p.Control = s.cfg.Controller != nil && len(s.cfg.Tokens) > 0
	s.answerJSON(w, http.StatusOK, p)
}

// serveHistory answers what was recorded after ?since=, which is one of the times of an earlier answer; all without it.
func (s *Server) serveHistory(w http.ResponseWriter, r *http.Request) {
	since := int64(0)
	if text := r.URL.Query().Get("since"); text != "" {
		var err error
		if since, err = strconv.ParseInt(text, 10, 64); err != nil {
			answerText(w, http.StatusBadRequest, "since is a time of an earlier answer: milliseconds since 1970")
			return
		}
	}
	s.answerJSON(w, http.StatusOK, s.history.since(since, time.Now()))
}

func (s *Server) answerJSON(w http.ResponseWriter, code int, v any) {
	text, err := json.Marshal(v)
	if err != nil {
		s.cfg.Log.Error("an answer of the admin address cannot be encoded", "error", err)
		answerText(w, http.StatusInternalServerError, "the answer cannot be encoded")
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_, _ = w.Write(text) // a reader that has gone needs no answer
}
