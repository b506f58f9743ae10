package bridge

import (
	"context"
	"strings"

	"github.com/messaging-kafka/messaging-kafka/internal/bridge/config"
	"github.com/messaging-kafka/messaging-kafka/internal/bridge/natsconn"
	"github.com/messaging-kafka/messaging-kafka/internal/bridge/natsout"
	"github.com/messaging-kafka/messaging-kafka/internal/engine/route"
	"github.com/messaging-kafka/messaging-kafka/internal/record"
	"github.com/messaging-kafka/messaging-kafka/internal/settings"
)

// ProbedNATS is what is found out of the NATS of a route: the numbers of the certificates in nats_tls_ca_file that are
// left out, the subjects that the user may not subscribe to, and the rights that cannot be tried.
type ProbedNATS struct {
	LeftOut           []int
	Refused, NotTried []string
}

// ProbeNATS connects to the NATS of a route once, and says why that did not work. Nothing is published, and no message
// of anybody is taken: of what the route takes, subjects are subscribed to that nobody has.
func ProbeNATS(ctx context.Context, r *config.Route) (probed ProbedNATS, err error) {
	n := &r.Settings.NATS
	probed.LeftOut = natsconn.LeftOut(&n.Server)
	var patterns []string
	for _, subject := range n.PublishSubjects {
		if strings.ContainsAny(subject, "*>") {
			patterns = append(patterns, subject)
		} else {
			probed.NotTried = append(probed.NotTried, "subscribe to "+subject)
		}
	}
	if r.Settings.HTTP.Deliver.OverNATS() {
		probed.NotTried = append(probed.NotTried, "publish on "+n.Subject)
	}
	if len(n.PublishSubjects) > 0 {
		probed.NotTried = append(probed.NotTried, "publish answers on _INBOX.>")
	}
	if n.AdvisoryStream != "" {
		probed.NotTried = append(probed.NotTried, "use the API of JetStream for nats_advisory_stream")
	}
	probed.Refused, err = natsconn.Check(ctx, n.Server, n.Queue, patterns...)
	return probed, err
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
