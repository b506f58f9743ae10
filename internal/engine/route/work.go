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
	// settings are those of wanted, with the credentials of the moment; the route's goroutine has them for itself.
	settings   settings.Link
	publishing *publishing // nil where nobody publishes by the route
	claim      *claim      // nil where nothing is to be read
	told       bool        // that it is ready
}

// start makes everything but what reads; see [Route.apply].
func (r *Route) start(wanted *Wanted) (*work, error) {
	w := &work{shared: r.shared, readings: r.readings, log: r.log, wanted: wanted, settings: wanted.Settings, claim: newClaim(r, wanted)}
	payloads := newPayloads(r.log, wanted.Settings.LogPayloads)
	if wanted.Role.Publishes() {
		var err error
		if w.publishing, err = startPublishing(r, wanted, payloads); err != nil {
			return nil, err
		}
	}
	return w, nil
}

// rotate takes over settings that differ in nothing but credentials: membership in the group and records in flight
// stay. It reports false where more has changed. What it returns releases the producers that are not used any more,
// which takes its time; nil is that there are none.
func (w *work) rotate(now *settings.Link) (exchanged bool, left func(context.Context)) {
	before, after := w.settings, *now
	before.Cluster.Security, after.Cluster.Security = settings.Security{}, settings.Security{}
	if !equalSettings(&before, &after) {
		return false, nil
	}
	var handle *produce.Handle
	if w.publishing != nil {
		var err error
		if handle, err = w.shared.pool.Acquire(now.Cluster, now.Producer.Client); err != nil {
			w.log.Error("the new credentials cannot be used for publishing", "error", err)
			return false, nil
		}
	}
	old, err := w.useCredentials(now.Cluster.Security)
	if err != nil {
		if !errors.Is(err, kafka.ErrNewClientNeeded) {
			w.log.Error("the new credentials cannot be used", "error", err)
		}
		return false, releaser(w.log, old, handle)
	}
	w.settings = *now
	if w.publishing != nil {
		handle = w.publishing.publisher.Use(handle)
	}
	return true, releaser(w.log, old, handle)
}

// end ends the route's part in what reads for it, and returns what is left to be done. It can be published by until the
// rest of that is.
func (w *work) end() remains {
	var left remains
	if w.claim != nil {
		left = w.readings.forget(w.claim)
	}
	if w.publishing == nil {
		return left
	}
	before := left.rest
	left.rest = func(ctx context.Context) {
		if before != nil {
			before(ctx)
		}
		w.publishing.stop(ctx)
	}
	return left
}

// useCredentials has the clients of the route that run, and what reads for it, use other credentials. It returns a
// handle that is to be released.
func (w *work) useCredentials(security settings.Security) (*produce.Handle, error) {
	if w.publishing != nil {
		if err := w.publishing.codec.Use(&security); err != nil {
			return nil, err
		}
	}
	if w.publishing != nil && w.publishing.answers != nil {
		if err := w.publishing.answers.Update(security); err != nil {
			return nil, err
		}
	}
	if w.claim == nil {
		return nil, nil
	}
	return w.readings.rotate(w.claim, security)
}

// tellReady logs once that nothing runs any more of what was before.
func (w *work) tellReady() {
	if w.told {
		return
	}
	w.told = true
	if w.wanted.Role.Delivers() && !w.wanted.Settings.Consumer.Enabled() {
		w.log.Warn("no topic is named: nothing will be delivered")
	}
	w.log.Info(w.shared.Words.Pick("link ready", "route ready"), "interface", w.wanted.Role.String(), "settings", w.wanted.Settings)
}

func (w *work) problems() status.Problems {
	var list status.Problems
	if w.claim != nil && w.shared.pauses.of(w.claim.id.named()) == nil {
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
