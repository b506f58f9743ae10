package lattice

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"

	"github.com/messaging-kafka/messaging-kafka/internal/settings"
)

// Direction says which end of a link the provider is.
type Direction uint8

const (
	// AsTarget links have the component call the provider (the link's interface is consumer).
	AsTarget Direction = iota + 1
	// AsSource links have the provider call the component (the link's interface is handler).
	AsSource
)

func (d Direction) String() string {
	switch d {
	case AsTarget:
		return "target"
	case AsSource:
		return "source"
	default:
		return "unknown"
	}
}

// LinkID tells one link of the provider from all others. A component may be linked several times, in both
// directions and under several names. LinkID is comparable.
type LinkID struct {
	Direction Direction
	// Peer is the id of the component at the other end.
	Peer string
	// Namespace and Package are those of the WIT package, wasmcloud and messaging for instance.
	Namespace, Package string
	// Name is the link name, mostly "default".
	Name string
}

// String is short enough for a health message: "echo/default" for the usual target link, with what differs from it
// added.
func (id LinkID) String() string {
	s := id.Peer + "/" + id.Name
	if id.Namespace != "wasmcloud" || id.Package != "messaging" {
		s += " (" + id.Namespace + ":" + id.Package + ")"
	}
	if id.Direction != AsTarget {
		s += " (as " + id.Direction.String() + ")"
	}
	return s
}

// Link is the provider's side of a link. It must not be changed by whoever gets it. It formats and logs without the
// values of Config, in which there may be a password.
type Link struct {
	ID LinkID
	// Interfaces are sorted and without repeats.
	Interfaces []string
	Config     map[string]string
	Secrets    map[string]settings.Secret
}

// String names the link, its interfaces and the keys it sets.
func (l Link) String() string {
	return fmt.Sprintf("link %s %q (config %q, secrets %q)", l.ID, l.Interfaces,
		slices.Sorted(maps.Keys(l.Config)), slices.Sorted(maps.Keys(l.Secrets)))
}

// Format implements fmt.Formatter, so that no verb shows the values.
func (l Link) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, l.String()) }

// LogValue implements slog.LogValuer.
func (l Link) LogValue() slog.Value { return slog.StringValue(l.String()) }

// MarshalJSON implements json.Marshaler with the text of String.
func (l Link) MarshalJSON() ([]byte, error) { return json.Marshal(l.String()) }

// bytes is about what the link takes in memory, and what is made of it: the settings that are read of it, and the link
// as others show it.
func (l *Link) bytes() int64 {
	n := 512
	for key, value := range l.Config {
		n += 2*(len(key)+len(value)) + 64
	}
	for key, value := range l.Secrets {
		n += 2*(len(key)+len(value.Reveal())) + 64
	}
	return int64(n)
}

func (l *Link) equal(other *Link) bool {
	return l.ID == other.ID &&
		slices.Equal(l.Interfaces, other.Interfaces) &&
		maps.Equal(l.Config, other.Config) &&
		maps.EqualFunc(l.Secrets, other.Secrets, func(a, b settings.Secret) bool { return a.Reveal() == b.Reveal() })
}

// Health is the provider's answer to a health check.
type Health struct {
	Healthy bool
	// Message says what is wrong; it is not sent where Healthy is true.
	Message string
}

// Handler hears what the lattice wants of the provider.
//
// PutLink, RejectLink, DeleteLink and UpdateConfig are called by one goroutine, one after another, in the order in
// which the host published. They hold up each other and nothing else, and should return soon: whatever may take long
// belongs into the background. Health and Shutdown are called by other goroutines, at any time.
type Handler interface {
	// PutLink tells of a new link, or of one whose interfaces, config or secrets changed, or of one that can be read
	// again after it was rejected.
	PutLink(Link)
	// RejectLink tells of a link that cannot be used, and why, in words without secrets. It may be one that was put
	// before and is to be replaced by this one. [Handler.DeleteLink] follows when it is deleted.
	RejectLink(LinkID, error)
	// DeleteLink tells that a link put or rejected before is gone.
	DeleteLink(LinkID)
	// UpdateConfig tells of a changed configuration of the provider itself: all of it.
	UpdateConfig(map[string]string)
	// Health must answer from memory: the host waits two seconds for it. It is not called any more when
	// [Session.Run] has returned.
	Health() Health
	// Shutdown ends everything that must not be cut off: it stops to take records, drains and commits. ctx ends
	// before the host loses its patience and kills the process. It is called once, and no other method but Health is
	// called afterwards, unless one of them has not returned by then.
	Shutdown(ctx context.Context)
}
