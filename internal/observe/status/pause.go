package status

import (
	"fmt"
	"time"
)

// Pause is why a link reads nothing although nothing is wrong with it.
type Pause struct {
	Since time.Time `json:"since"`
	// By is who wanted it, Why what he said of that.
	By  string `json:"by"`
	Why string `json:"why,omitempty"`
	// Kept tells that the pause outlasts a restart.
	Kept bool `json:"kept,omitempty"`
	// Until is when reading begins again by itself, as after a seek by another copy; nil is never.
	Until *time.Time `json:"until,omitempty"`
}

// String says it in words.
func (p *Pause) String() string {
	text := fmt.Sprintf("paused by %s since %s", p.By, p.Since.UTC().Format(time.RFC3339))
	if p.Until != nil {
		text = fmt.Sprintf("held by %s for a seek until %s", p.By, p.Until.UTC().Format(time.RFC3339))
	}
	if p.Why != "" {
		text += ": " + p.Why
	}
	return text
}
