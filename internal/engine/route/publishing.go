package route

import (
	"context"
	"errors"
	"log/slog"

	"github.com/messaging-kafka/messaging-kafka/internal/engine/kafka"
	"github.com/messaging-kafka/messaging-kafka/internal/engine/produce"
	"github.com/messaging-kafka/messaging-kafka/internal/engine/request"
	"github.com/messaging-kafka/messaging-kafka/internal/engine/schema"
	"github.com/messaging-kafka/messaging-kafka/internal/observe/status"
	"github.com/messaging-kafka/messaging-kafka/internal/observe/telemetry"
	"github.com/messaging-kafka/messaging-kafka/internal/observe/tracing"
	"github.com/messaging-kafka/messaging-kafka/internal/payload"
	"github.com/messaging-kafka/messaging-kafka/internal/record"
	"github.com/messaging-kafka/messaging-kafka/internal/settings"
)

// publishing is what somebody publishes by on one route.
type publishing struct {
	settings settings.Link // as they were at the start: of what can change, here are no more than credentials
	form     *payload.Form
	log      *slog.Logger
	metrics  *telemetry.LinkMetrics
	trace    *tracing.Link
	payloads *payloads // nil where the log must not have them
	watch    *watch
	codec    *schema.Codec // nil where there is no schema registry
	// requester is nil where the settings have no topic for answers, which it reads by answers.
	requester *request.Requester
	answers   *kafka.Access
	publisher *produce.Publisher
}

func startPublishing(r *Route, wanted *Wanted, payloads *payloads) (*publishing, error) {
	p := &publishing{
		settings: wanted.Settings, form: payload.FormOf(&wanted.Settings), log: r.log, payloads: payloads,
		metrics: r.shared.Metrics.Link(r.id.Peer, r.id.Name),
		trace:   r.shared.Tracer.Link(r.id.Peer, r.id.Name, wanted.Settings.Consumer.Group),
	}
	var err error
	if p.codec, err = r.shared.newCodec(&wanted.Settings, "values published by "+r.shared.Words.Link()+" "+r.name); err != nil {
		return nil, err
	}
	handle, err := r.shared.pool.Acquire(wanted.Settings.Cluster, wanted.Settings.Producer.Client)
	if err != nil {
		p.codec.Close()
		return nil, err
	}
	p.publisher = produce.NewPublisher(handle, p.settings.Producer, p.settings.Create, p.metrics.Stored)
	if err := p.startRequester(r); err != nil {
		p.codec.Close()
		return nil, errors.Join(err, handle.Release(context.Background()))
	}
	p.watch = watchPublishes(p.publisher, p.codec, !wanted.Settings.Consumer.Enabled())
	return p, nil
}

func (p *publishing) startRequester(r *Route) error {
	if p.settings.Request.ReplyTopic == "" {
		return nil
	}
	access, err := kafka.NewAccess(p.settings.Cluster, p.log)
	if err != nil {
		return err
	}
	access.Watch(r.shared.Metrics.Client("replies"))
	access.ConnectBy(r.shared.Connector)
	access.Redact(r.shared.Secrets)
	p.answers = access
	p.requester = request.Start(request.Config{
		Settings: p.settings.Request, Create: p.settings.Create, Access: access,
		MaxMessageBytes: int64(p.settings.Producer.Client.MaxMessageBytes),
		Memory:          r.shared.Memory.Open("answers for " + r.shared.Words.Link() + " " + r.name),
		Publish:         p.publish, Observer: p.metrics, Log: p.log,
	})
	return nil
}

// publish publishes records and notes how that ended.
func (p *publishing) publish(ctx context.Context, list ...record.Outgoing) []record.Result {
	p.payloads.publishing(list...)
	if p.codec == nil {
		return p.store(ctx, list)
	}
	ready, places, results := p.frame(ctx, list)
	if len(ready) == 0 {
		return results
	}
	for i, result := range p.store(ctx, ready) {
		results[places[i]] = result
	}
	return results
}

func (p *publishing) store(ctx context.Context, list []record.Outgoing) []record.Result {
	results := p.publisher.Publish(ctx, list...)
	for i := range results {
		p.watch.published(results[i].Topic, results[i].Err)
	}
	return results
}

// stop ends publishing within ctx.
func (p *publishing) stop(ctx context.Context) {
	p.watch.stop()
	if p.requester != nil {
		p.requester.Stop(ctx)
	}
	if err := p.publisher.Release(ctx); err != nil {
		p.log.Warn("publishes were cut off by the end", "error", err)
	}
	p.codec.Close()
}

func (p *publishing) problems() status.Problems {
	var list status.Problems
	if p.requester != nil {
		list = append(list, p.requester.Problems()...)
	}
	list = append(list, p.watch.problems()...)
	addSchemaProblem(&list, p.codec)
	return list
}
