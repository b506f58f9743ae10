package dev

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"time"

	"github.com/messaging-kafka/messaging-kafka/internal/observe/status"
)

const (
	// tellEvery is how often the bridge is asked what is wrong with the component.
	tellEvery = 500 * time.Millisecond
	// slowCall is how long a call may take before a person is told that it goes on.
	slowCall = 5 * time.Second
)

// name is what the component is called before people.
func (c *Component) name() string {
	if c.URL != "" {
		return c.URL
	}
	return filepath.Base(c.Path)
}

// told is what a person was told last.
type told struct {
	wrong bool // that something is
	slow  bool // that a call goes on
}

// tell says what is wrong with the component, once each, until ctx ends: that it fails, that it takes no calls, and
// that a call goes on and on.
func (t *trial) tell(ctx context.Context) {
	tick := time.NewTicker(tellEvery)
	defer tick.Stop()
	var before told
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		links, err := t.links(ctx)
		if err != nil {
			continue // while it ends, and while the machine is too busy: it is asked again
		}
		var text string
		before, text = before.next(t.component.name(), links)
		if text != "" {
			t.screen.say("%s\n", text)
		}
	}
}

// next compares what is with what was told, and returns what is to be told now; "" is nothing.
func (was told) next(name string, links []status.Link) (now told, text string) {
	var problems []string
	var oldest float64
	for i := range links {
		oldest = max(oldest, links[i].OldestCallSeconds)
		for _, p := range links[i].Problems {
			if p.Kind == status.ProblemFailing || p.Kind == status.ProblemUnavailable {
				problems = append(problems, p.Text)
			}
		}
	}
	now = told{wrong: len(problems) > 0, slow: oldest >= slowCall.Seconds()}
	switch {
	case now.wrong && !was.wrong:
		return now, fmt.Sprintf("%s: %s", name, strings.Join(problems, "; "))
	case now.slow && !was.slow:
		goesOn := time.Duration(oldest * float64(time.Second)).Round(time.Second)
		return now, fmt.Sprintf("%s has been at work on a call for %s", name, goesOn)
	case was.wrong && !now.wrong:
		return now, name + " is well again"
	default:
		return now, ""
	}
}

// links are those of the bridge.
func (t *trial) links(ctx context.Context) ([]status.Link, error) {
	ctx, cancel := context.WithTimeout(ctx, rpcTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+t.admin+"/links", http.NoBody)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close() // it was only read
	var p status.Provider
	if err := json.NewDecoder(resp.Body).Decode(&p); err != nil {
		return nil, fmt.Errorf("reading the status of the bridge: %w", err)
	}
	return p.Links, nil
}

// trapOf is what a line of wasmtime's says of a trap, "" where it tells of none.
func trapOf(line string) string {
	_, trap, is := strings.Cut(line, "wasm trap: ")
	if !is {
		return ""
	}
	return strings.TrimSpace(trap)
}
