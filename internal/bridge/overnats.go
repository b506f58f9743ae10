package bridge

import (
	"context"

	"github.com/messaging-kafka/messaging-kafka/internal/bridge/config"
	"github.com/messaging-kafka/messaging-kafka/internal/bridge/natsconn"
	"github.com/messaging-kafka/messaging-kafka/internal/bridge/natsout"
	"github.com/messaging-kafka/messaging-kafka/internal/engine/route"
	"github.com/messaging-kafka/messaging-kafka/internal/record"
	"github.com/messaging-kafka/messaging-kafka/internal/settings"
)

// ProbeNATS connects to the NATS of a route once, and says why that did not work. Nothing is published or subscribed
// to. It also returns the numbers of the certificates in nats_tls_ca_file that are left out.
func ProbeNATS(ctx context.Context, r *config.Route) (leftOut []int, err error) {
	return natsconn.LeftOut(&r.Settings.NATS.Server), natsconn.Check(ctx, r.Settings.NATS.Server)
}

// overNATS makes what hands over the records of a route by NATS.
func (b *Bridge) overNATS(name string, d route.Delivery) record.Receiver {
	o := natsout.Options{
		Route: name, Conn: b.nats.Acquire(d.Settings.NATS.Server), Settings: d.Settings, Message: messages(d), Form: d.Form,
		Trace: d.Trace, GiveUp: d.GiveUp, Log: d.Log,
	}
	switch d.Settings.HTTP.Deliver {
	case settings.DeliverJetStream:
		return natsout.NewStream(o)
	case settings.DeliverNATS:
		return natsout.NewPlain(o)
	default:
		return natsout.NewReply(o)
	}
}
