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

// parts are what the engine does for a route of a bridge.
func parts(bridge string, r *config.Route) []part {
	return []part{{
		id:     route.ID{Peer: bridge, Name: r.Name},
		label:  route.Label{Direction: status.Source},
		wanted: route.Wanted{Role: roleOf(&r.Settings), Settings: r.Settings, Receiver: receiver(r.Name)},
	}}
}

// roleOf is what the engine does for a route that hands records over.
func roleOf(s *settings.Link) role.Role {
	switch {
	case s.HTTP.Deliver != settings.DeliverMessages:
		return role.Process // an answer may have records to produce
	case s.Delivery.Batch.MaxRecords > 1:
		return role.Handle
	default:
		return role.Messages
	}
}

// receiver makes what hands over the records of a route.
func receiver(name string) func(route.Delivery) record.Receiver {
	return func(d route.Delivery) record.Receiver {
		h := &d.Settings.HTTP
		o := httpout.Options{
			Route: name, URL: h.URL, Host: h.Host, Connections: h.Connections, HTTP2: h.Protocol == settings.HTTP2,
			Bearer: h.BearerToken, Key: h.HMACKey, MaxAnswer: h.MaxAnswer,
		}
		format := httpout.Value
		if h.Format == settings.FormatJSON {
			format = httpout.JSON
		}
		r, err := receiverOf(o, format, d)
		if err != nil {
			return impossible{fmt.Errorf("records cannot be handed over: %w", err)}
		}
		return r
	}
}

func receiverOf(o httpout.Options, format httpout.Format, d route.Delivery) (record.Receiver, error) {
	if d.Settings.HTTP.Deliver == settings.DeliverMessages {
		return httpout.NewMessages(o, format, messages(d), d.Trace)
	}
	return httpout.NewRecords(o, format, d.Settings.Delivery.Batch.Binary == settings.BinaryBase64, d.Trace)
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
