package dev

import (
	"encoding/json"
	"fmt"

	"github.com/nats-io/nats.go"

	"github.com/messaging-kafka/messaging-kafka/internal/base/reply"
)

// serveControl answers the two questions of the control interface by which a lattice's providers are found: which hosts
// there are, and what they run. It is for the embedded lattice alone: in somebody else's, this is no host to count on.
func (h *host) serveControl() error {
	type provider struct {
		ID string `json:"id"`
	}
	for subject, response := range map[string]any{
		"ping":        map[string]any{"id": h.id, "lattice": h.lattice, "labels": map[string]string{}},
		"get." + h.id: map[string]any{"host_id": h.id, "components": []any{}, "providers": []provider{{providerKey}}},
	} {
		text, err := json.Marshal(map[string]any{"success": true, "message": "", "response": response})
		if err != nil {
			return err
		}
		// Whoever asked may be gone, and asks again.
		if _, err := h.nc.Subscribe("wasmbus.ctl.v1."+h.lattice+".host."+subject, func(m *nats.Msg) {
			if (reply.Inboxes{}).Answer(m.Reply) {
				_ = m.Respond(text)
			}
		}); err != nil {
			return fmt.Errorf("serving the control interface: %w", err)
		}
	}
	return nil
}
