package bridge

import (
	"github.com/messaging-kafka/messaging-kafka/internal/bridge/natsout"
	"github.com/messaging-kafka/messaging-kafka/internal/engine/route"
	"github.com/messaging-kafka/messaging-kafka/internal/record"
	"github.com/messaging-kafka/messaging-kafka/internal/settings"
)

// overNATS makes what hands over the records of a route by NATS.
func (b *Bridge) overNATS(name string, d route.Delivery) record.Receiver {
	o := natsout.Options{
		Route: name, Conn: b.nats.Acquire(d.Settings.NATS.Server), Settings: d.Settings, Message: messages(d), Form: d.Form,
		Trace: d.Trace,
	}
	switch d.Settings.HTTP.Deliver { //nolint:exhaustive // the others are not over NATS
	case settings.DeliverJetStream:
		return natsout.NewStream(o)
	case settings.DeliverNATS:
		return natsout.NewPlain(o)
	default:
		return natsout.NewReply(o)
	}
}
