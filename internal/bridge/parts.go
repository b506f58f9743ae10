package bridge

import (
	"context"
	"fmt"

	"github.com/messaging-kafka/messaging-kafka/internal/bridge/config"
	"github.com/messaging-kafka/messaging-kafka/internal/bridge/httpout"
	"github.com/messaging-kafka/messaging-kafka/internal/engine/route"
	"github.com/messaging-kafka/messaging-kafka/internal/observe/status"
	"github.com/messaging-kafka/messaging-kafka/internal/payload"
	"github.com/messaging-kafka/messaging-kafka/internal/record"
	"github.com/messaging-kafka/messaging-kafka/internal/settings"
	"github.com/messaging-kafka/messaging-kafka/internal/settings/role"
)

// part is what the engine is asked for one direction of a route.
type part struct {
	id     route.ID
	label  route.Label
	wanted route.Wanted
}

// The variants of a route, in the order in which they are told.
const (
	reading    = "0 reading"
	publishing = "1 publishing"
)

// parts are what the engine does for a route of a bridge: one for what it reads, and one for what is published by it.
// Messages that go one by one are read and published by one, as by a link of wasmcloud:messaging, which knows then for
// whose records callers answer.
func (b *Bridge) parts(bridge string, r *config.Route) []part {
	var list []part
	does := RoleOf(r)
	if r.Reads() {
		list = append(list, part{
			id:     route.ID{Peer: bridge, Name: r.Name, Variant: reading},
			label:  route.Label{Package: string(r.Settings.HTTP.Deliver), Direction: status.Source},
			wanted: route.Wanted{Role: does, Settings: withoutCredentials(r.Settings), Receiver: b.receiver(r)},
		})
	}
	if (r.Publishes || r.TakesNATS()) && (!r.Reads() || !does.Publishes()) {
		from := status.Callers
		if !r.Publishes {
			from = status.NATSMessages
		}
		list = append(list, part{
			id:     route.ID{Peer: bridge, Name: r.Name, Variant: publishing},
			label:  route.Label{Package: from, Direction: status.Target},
			wanted: route.Wanted{Role: role.Produce, Settings: publishingOf(&r.Settings)},
		})
	}
	return list
}

// RoleOf is what the engine does for a route that hands records over, and for one that does not.
func RoleOf(r *config.Route) role.Role {
	switch s := &r.Settings; {
	case !r.Reads():
		return role.Produce
	case s.HTTP.Deliver == settings.DeliverJetStream || s.HTTP.Deliver == settings.DeliverNATS:
		return role.Messages
	case s.HTTP.Deliver != settings.DeliverMessages:
		return role.Process // an answer may have records to produce
	case s.Delivery.Batch.MaxRecords > 1:
		return role.Handle
	case r.Publishes:
		return role.Messaging
	default:
		return role.Messages
	}
}

// publishingOf are the settings of a route without what it reads and how that is handed over, so that a change of those
// does not touch what is published.
func publishingOf(s *settings.Link) settings.Link {
	p := *s
	p.Consumer = settings.Consumer{Group: s.Consumer.Group}
	p.Delivery = settings.Delivery{Payload: s.Delivery.Payload}
	p.HTTP, p.NATS = settings.HTTP{}, settings.NATS{}
	return p
}

// receiver makes what hands over the records of a route.
func (b *Bridge) receiver(r *config.Route) func(route.Delivery) record.Receiver {
	name, shown := r.Name, b.shownBy(r)
	return func(d route.Delivery) record.Receiver {
		if d.Settings.HTTP.Deliver.OverNATS() {
			return b.overNATS(name, d)
		}
		o := toApplication(name, &d.Settings.HTTP, shown)
		o.Memory = b.Memory.Open("answers for route " + name)
		r, err := receiverOf(o, d)
		if err != nil {
			o.Memory.Close()
			return impossible{fmt.Errorf("records cannot be handed over: %w", err)}
		}
		return r
	}
}

// toApplication says where the records of a route go, and how.
func toApplication(name string, h *settings.HTTP, shown *credentials) httpout.Options {
	return httpout.Options{
		Route: name, URL: h.URL, Host: h.Host, Connections: h.Connections, HTTP2: h.Protocol == settings.HTTP2,
		MaxAnswer: h.MaxAnswer, Current: shown.secrets, Pair: shown.pair, TLS: tlsOf(h, shown.certificate),
	}
}

func receiverOf(o httpout.Options, d route.Delivery) (record.Receiver, error) {
	format := httpout.Value
	if d.Settings.HTTP.Format == settings.FormatJSON {
		format = httpout.JSON
	}
	switch d.Settings.HTTP.Deliver {
	case settings.DeliverMessages:
		return httpout.NewMessages(o, format, messages(d), d.Trace)
	case settings.DeliverCloudEvents:
		mode := map[settings.HTTPMode]httpout.Mode{
			settings.ModeBinary: httpout.Binary, settings.ModeStructured: httpout.Structured, settings.ModeBatched: httpout.Batched,
		}[d.Settings.HTTP.Mode]
		return httpout.NewEvents(o, mode, d.ReplyTo, d.Trace)
	default:
		return httpout.NewRecords(o, format, d.Settings.Delivery.Batch.Binary == settings.BinaryBase64, d.Trace)
	}
}

// messages makes messages of records, as far as the settings do not skip them.
func messages(d route.Delivery) func(*record.Record) (payload.Message, bool) {
	skip := d.Settings.Delivery.Tombstones == settings.TombstonesSkip
	return func(r *record.Record) (payload.Message, bool) {
		if skip && r.Value == nil {
			return payload.Message{}, false
		}
		return d.Message(r), true
	}
}

// impossible holds the records of a route that cannot hand them over, so that health tells of it.
type impossible struct{ err error }

// Receive implements record.Receiver.
func (i impossible) Receive(_ context.Context, batch []*record.Record) []record.Outcome {
	return record.Each(len(batch), record.Outcome{Kind: record.Unavailable, Err: i.err})
}
