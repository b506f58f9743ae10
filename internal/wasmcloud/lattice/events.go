package lattice

import (
	"encoding/json"
	"fmt"

	"github.com/nats-io/nats.go"
)

// ScaleWatcher is a [Handler] that hears when calls of components may have been cut off. These events make waits
// shorter; nothing may depend on it, since a NATS user may lack the right to hear the lattice's events.
type ScaleWatcher interface {
	// ComponentScaled is called when a host has scaled or replaced a component, to however many instances.
	ComponentScaled(component string)
	// HostStopped is called when a host of the lattice has stopped in order.
	HostStopped()
}

// The events of a lattice that tell of calls that were cut off.
const (
	eventScaled  = "component_scaled"
	eventStopped = "host_stopped"
)

// eventsSubject is the subject of the events of a name.
func (s *Session) eventsSubject(name string) string {
	return "wasmbus.evt." + s.data.Lattice + "." + name
}

func (r *run) subscribeEvents() error {
	watcher, ok := r.handler.(ScaleWatcher)
	if !ok {
		return nil
	}
	for name, callback := range map[string]nats.MsgHandler{
		eventScaled:  func(msg *nats.Msg) { r.onScaled(watcher, msg) },
		eventStopped: func(*nats.Msg) { watcher.HostStopped() },
	} {
		sub, err := r.nc.Subscribe(r.eventsSubject(name), callback)
		if err != nil {
			return fmt.Errorf("subscribing to %s: %w", r.eventsSubject(name), err)
		}
		r.requestSubs = append(r.requestSubs, sub)
	}
	return nil
}

// onScaled reads a CloudEvent of a host.
func (r *run) onScaled(watcher ScaleWatcher, msg *nats.Msg) {
	var event struct {
		Data struct {
			ComponentID string `json:"component_id"`
		} `json:"data"`
	}
	if err := json.Unmarshal(msg.Data, &event); err != nil || event.Data.ComponentID == "" {
		r.log.Debug("an event of the lattice cannot be read", "subject", msg.Subject, "error", err)
		return
	}
	watcher.ComponentScaled(event.Data.ComponentID)
}
