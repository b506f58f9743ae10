package role

import (
	"errors"
	"fmt"

	"github.com/messaging-kafka/messaging-kafka/internal/settings"
)

// Role is what one link has the provider do.
type Role uint8

const (
	// Messaging serves wasmcloud:messaging/consumer, and calls the handler where the link names a topic, as the
	// original provider did.
	Messaging Role = iota
	// Messages calls wasmcloud:messaging/handler: one message a call.
	Messages
	// Handle calls messaging-kafka:records/handler: batches of records, one verdict for each.
	Handle
	// Process calls messaging-kafka:records/processor: the same, and outcomes have records to publish.
	Process
	// Produce serves messaging-kafka:records/producer and requester.
	Produce
)

// The WIT packages whose interfaces a link can have.
const (
	MessagingPackage = "wasmcloud:messaging"
	RecordsPackage   = "messaging-kafka:records"
)

// String is the name of the interface, with its package.
func (r Role) String() string {
	return [...]string{
		MessagingPackage + "/consumer", MessagingPackage + "/handler",
		RecordsPackage + "/handler", RecordsPackage + "/processor", RecordsPackage + "/producer",
	}[r]
}

// Batches tells whether the component takes batches.
func (r Role) Batches() bool { return r == Handle || r == Process }

// Delivery names how records reach the component: by messages in both directions of a link, or by one of the interfaces
// for batches.
func (r Role) Delivery() string {
	if r.Batches() {
		return r.String()
	}
	return "messages"
}

// Delivers tells whether the link is there to call the component, and for nothing else.
func (r Role) Delivers() bool { return r == Messages || r.Batches() }

// Records tells whether the component has whole records, and no messages.
func (r Role) Records() bool { return r.Batches() || r == Produce }

// Publishes tells whether the component calls the provider over the link.
func (r Role) Publishes() bool { return r == Messaging || r == Produce }

// Produces tells whether records of the component's making are produced by the link: what it publishes, or returns.
func (r Role) Produces() bool { return r.Publishes() || r == Process }

// Check refuses settings that say nothing for what the link does. Its errors begin with the name of the setting.
func (r Role) Check(s *settings.Link) error {
	switch {
	case r == Produce && s.Consumer.Enabled():
		return &settings.Error{Key: "topic",
			Problem: "records reach the component by a link with this provider as source and the interface handler or processor; " +
				"a link with this provider as target and the interfaces producer and requester only publishes"}
	case s.Delivery.Transactions && r != Process:
		return &settings.Error{Key: "transactions", Problem: fmt.Sprintf(
			"only a link with the interface %s has outputs to commit with the offsets, this one has %s", Process, r)}
	}
	return nil
}

// Of reads what a link asks for, and refuses what this provider does not do. source tells that the provider is the
// link's source: it calls the component. pkg is the namespace and name of the WIT package, such as [RecordsPackage].
func Of(source bool, pkg string, interfaces []string) (Role, error) {
	var served map[string]Role
	switch {
	case pkg == MessagingPackage && source:
		served = map[string]Role{"handler": Messages}
	case pkg == MessagingPackage:
		served = map[string]Role{"consumer": Messaging}
	case pkg == RecordsPackage && source:
		served = map[string]Role{"handler": Handle, "processor": Process}
	case pkg == RecordsPackage:
		served = map[string]Role{"producer": Produce, "requester": Produce}
	default:
		return 0, fmt.Errorf("this provider serves %s and %s, not %s", MessagingPackage, RecordsPackage, pkg)
	}
	if len(interfaces) == 0 {
		return 0, errors.New("the link names no interface")
	}
	var does Role
	for i, name := range interfaces {
		r, ok := served[name]
		if !ok {
			end := "target"
			if source {
				end = "source"
			}
			return 0, fmt.Errorf("a link of %s with this provider as %s cannot have the interface %s", pkg, end, name)
		}
		if i > 0 && r != does {
			return 0, errors.New("records go either to handler or to processor: make two links with different names for both")
		}
		does = r
	}
	return does, nil
}
