package status

import (
	"slices"
	"sync"

	"github.com/messaging-kafka/messaging-kafka/internal/base/text"
)

// Events keeps the last [MaxEvents] of a kind. The zero value is ready; all methods may be called by many goroutines at
// once.
type Events struct {
	mu   sync.Mutex
	last []Event // oldest first
}

// Add keeps an event. One that says the same as the last but for its time and offset is counted there instead, so that
// a repeat does not push out everything else.
func (e *Events) Add(event Event) {
	event.Text = text.Clip(event.Text, MaxEventText)
	e.mu.Lock()
	defer e.mu.Unlock()
	if n := len(e.last); n > 0 && e.last[n-1].same(&event) {
		event.Count = max(1, e.last[n-1].Count) + 1
		e.last[n-1] = event
		return
	}
	if len(e.last) == MaxEvents {
		copy(e.last, e.last[1:])
		e.last = e.last[:MaxEvents-1]
	}
	e.last = append(e.last, event)
}

func (e *Event) same(other *Event) bool {
	return e.Level == other.Level && e.Text == other.Text && e.Topic == other.Topic &&
		(e.Partition == nil) == (other.Partition == nil) && (e.Partition == nil || *e.Partition == *other.Partition)
}

// List returns a copy, newest first.
func (e *Events) List() []Event {
	e.mu.Lock()
	defer e.mu.Unlock()
	list := make([]Event, 0, len(e.last))
	for _, event := range slices.Backward(e.last) {
		list = append(list, event)
	}
	return list
}
