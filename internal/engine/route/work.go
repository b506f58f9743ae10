package route

import (
	"context"
	"errors"
	"log/slog"
	"reflect"

	"github.com/messaging-kafka/messaging-kafka/internal/engine/kafka"
	"github.com/messaging-kafka/messaging-kafka/internal/engine/produce"
	"github.com/messaging-kafka/messaging-kafka/internal/observe/status"
	"github.com/messaging-kafka/messaging-kafka/internal/settings"
)

// work is what one set of settings of a route has at work.
type work struct {
	shared   *shared
	readings *readings
	log      *slog.Logger
	wanted   *Wanted
	// settings are those of ask, with the credentials of the moment; the route's goroutine has them for itself.
	settings   settings.Link
	publishing *publishing // nil where nobody publishes by the route
	claim      *claim      // nil where nothing is to be read
}

// start makes everything but what reads; see [Route.apply].
func (r *Route) start(ask *Wanted) (*work, error) {
	w := &work{shared: r.shared, readings: r.readings, log: r.log, wanted: ask, settings: ask.Settings, claim: newClaim(r, ask)}
	payloads := newPayloads(r.log, ask.Settings.LogPayloads)
	if ask.Role.Publishes() {
		var err error
		if w.publishing, err = startPublishing(r, ask, payloads); err != nil {
			return nil, err
		}
	}
	return w, nil
}

// rotate takes over settings that differ in nothing but credentials: membership in the group and records in flight
// stay. It reports false where more has changed.
func (w *work) rotate(now *settings.Link) bool {
	before, after := w.settings, *now
	before.Cluster.Security, after.Cluster.Security = settings.Security{}, settings.Security{}
	if !equalSettings(&before, &after) {
		return false
	}
	var handle *produce.Handle
	if w.publishing != nil {
		var err error
		if handle, err = w.shared.pool.Acquire(now.Cluster, now.Producer.Client); err != nil {
			w.log.Error("the new credentials cannot be used for publishing", "error", err)
			return false
		}
	}
	if err := w.useCredentials(now.Cluster.Security); err != nil {
		if !errors.Is(err, kafka.ErrNewClientNeeded) {
			w.log.Error("the new credentials cannot be used", "error", err)
		}
		w.shared.release(handle, w.log)
		return false
	}
	w.settings = *now
	if w.publishing != nil {
		w.shared.release(w.publishing.publisher.Use(handle), w.log)
	}
	return true
}

// useCredentials has the clients of the route that run, and what reads for it, use other credentials.
func (w *work) useCredentials(security settings.Security) error {
	if w.publishing != nil && w.publishing.answers != nil {
		if err := w.publishing.answers.Update(security); err != nil {
			return err
		}
	}
	if w.claim == nil {
		return nil
	}
	return w.readings.rotate(w.claim, security)
}

// stopReading ends the route's part in what reads for it within ctx. It can be published by on.
func (w *work) stopReading(ctx context.Context) {
	if w.claim != nil {
		w.readings.forget(ctx, w.claim)
	}
}

// stop ends everything within ctx, what reads first.
func (w *work) stop(ctx context.Context) {
	w.stopReading(ctx)
	if w.publishing != nil {
		w.publishing.stop(ctx)
	}
}

func (w *work) problems() status.Problems {
	var list status.Problems
	if w.claim != nil {
		list = append(list, w.claim.problems()...)
	}
	if w.publishing != nil {
		list = append(list, w.publishing.problems()...)
	}
	return list
}

// equalSettings compares what links ask for. Regular expressions are compared by their text.
func equalSettings(a, b *settings.Link) bool {
	x, y := *a, *b
	if (x.Consumer.TopicPattern == nil) != (y.Consumer.TopicPattern == nil) {
		return false
	}
	if x.Consumer.TopicPattern != nil && x.Consumer.TopicPattern.String() == y.Consumer.TopicPattern.String() {
		x.Consumer.TopicPattern, y.Consumer.TopicPattern = nil, nil
	}
	return reflect.DeepEqual(x, y)
}
