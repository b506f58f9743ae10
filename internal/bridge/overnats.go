package bridge

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/messaging-kafka/messaging-kafka/internal/bridge/config"
	"github.com/messaging-kafka/messaging-kafka/internal/bridge/natsconn"
	"github.com/messaging-kafka/messaging-kafka/internal/bridge/natsout"
	"github.com/messaging-kafka/messaging-kafka/internal/engine/route"
	"github.com/messaging-kafka/messaging-kafka/internal/record"
	"github.com/messaging-kafka/messaging-kafka/internal/settings"
)

// ProbedNATS is what is found out of the NATS of a route: the numbers of the certificates in nats_tls_ca_file that are
// left out, the subjects that the user may not subscribe to, what else is wrong, the rights that cannot be tried, and
// what the user has no right to ask.
type ProbedNATS struct {
	LeftOut                           []int
	Refused, Wrong, NotTried, Unknown []string
}

// ProbeNATS connects to the NATS of a route once, and says why that did not work. No message of anybody is taken: of
// what the route takes, subjects are subscribed to that nobody has. Nothing is published but questions to JetStream of
// the streams that the route needs.
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
		probed.NotTried = append(probed.NotTried, "read "+n.AdvisoryStream+" by a consumer")
	}
	var streams []natsout.StreamQuestion
	if r.Settings.HTTP.Deliver == settings.DeliverJetStream {
		streams, probed.Unknown = natsout.StreamQuestions(&r.Settings)
	}
	questions := make([]natsconn.Question, len(streams))
	for i := range streams {
		questions[i] = streams[i].Question
	}
	checked, err := natsconn.Check(ctx, n.Server, n.Queue, patterns, questions...)
	if err != nil {
		return probed, err
	}
	probed.Refused = checked.Refused
	for i := range streams {
		probed.judge(&streams[i], &checked.Answers[i])
	}
	slices.Sort(probed.Wrong) // what is wrong of several questions is told once
	probed.Wrong = slices.Compact(probed.Wrong)
	return probed, nil
}

// judge says what an answer, or none, of JetStream means.
func (p *ProbedNATS) judge(q *natsout.StreamQuestion, a *natsconn.Answer) {
	var wrong error
	refused, isRefused := errors.AsType[*natsconn.RefusedError](a.Err)
	switch {
	case isRefused && (refused.Deaf || !q.Needed):
		p.Unknown = append(p.Unknown, fmt.Sprintf("%s (%v)", q.What, refused))
		return
	case isRefused:
		wrong = fmt.Errorf("%w: allow it", refused)
	case errors.Is(a.Err, natsconn.ErrNoResponders):
		wrong = natsout.ErrNoJetStream
	case a.Err != nil:
		wrong = fmt.Errorf("JetStream does not say %s: %w", q.What, a.Err)
	default:
		wrong = q.Wrong(a.Data)
	}
	if wrong != nil {
		p.Wrong = append(p.Wrong, wrong.Error())
	}
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
