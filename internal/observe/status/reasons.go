package status

import (
	"regexp"
	"slices"
	"sync"
	"time"

	"github.com/messaging-kafka/messaging-kafka/internal/base/text"
)

// MaxReasons bounds the reasons of dead letters that a link tells.
const MaxReasons = 20

// Reason is why records became dead letters.
type Reason struct {
	// Text is that of the last of them: those that differ in nothing but numbers, names with a digit in them and what
	// stands in quotes count as the same.
	Text string `json:"text"`
	// Count is how many there were since the link began, or since the reason was last forgotten for others.
	Count int64 `json:"count"`
	// First and Last are when the first and the last of them came.
	First time.Time `json:"first"`
	Last  time.Time `json:"last"`
	// Topic, Partition and Offset tell the last record.
	Topic     string `json:"topic,omitempty"`
	Partition *int32 `json:"partition,omitempty"`
	Offset    *int64 `json:"offset,omitempty"`
}

// DeadLetters keeps the last dead letters of a link, and counts them by their reason. The zero value is ready; all
// methods may be called by many goroutines at once.
type DeadLetters struct {
	events Events

	mu      sync.Mutex
	reasons []counted // the one that came last is the last
}

type counted struct {
	key string
	Reason
}

// Add keeps a dead letter whose reason is given. Of more than [MaxReasons] the one is forgotten that has not come for
// longest.
func (d *DeadLetters) Add(e Event, reason string) {
	d.events.Add(e)
	reason = text.Clip(reason, MaxEventText)
	one := counted{likeness(reason), Reason{First: e.Time}}
	d.mu.Lock()
	defer d.mu.Unlock()
	switch i := slices.IndexFunc(d.reasons, func(c counted) bool { return c.key == one.key }); {
	case i >= 0:
		one = d.reasons[i]
		d.reasons = slices.Delete(d.reasons, i, i+1)
	case len(d.reasons) == MaxReasons:
		d.reasons = slices.Delete(d.reasons, 0, 1)
	}
	one.Text, one.Last, one.Topic, one.Partition, one.Offset = reason, e.Time, e.Topic, e.Partition, e.Offset
	one.Count++
	d.reasons = append(d.reasons, one)
}

// List returns the last dead letters, newest first.
func (d *DeadLetters) List() []Event { return d.events.List() }

// Reasons returns the reasons, the one that came last first.
func (d *DeadLetters) Reasons() []Reason {
	d.mu.Lock()
	defer d.mu.Unlock()
	list := make([]Reason, 0, len(d.reasons))
	for _, c := range slices.Backward(d.reasons) {
		list = append(list, c.Reason)
	}
	return list
}

// varying is what differs between texts that say the same: what stands in quotes, numbers, and names with a digit.
var varying = regexp.MustCompile(`"[^"]*"|'[^']*'|[\pL_-]*[0-9][\pL0-9_-]*`)

// likeness is a text without what varies in it.
func likeness(reason string) string { return varying.ReplaceAllLiteralString(reason, "#") }
