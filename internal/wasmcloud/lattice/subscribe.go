package lattice

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/messaging-kafka/messaging-kafka/internal/base/backoff"
)

// maxChanges bounds the messages that wait for the link worker, maxChangeBytes their bytes. A host with more links
// than that has them in the host data; only what is put faster than the worker takes it waits here.
const maxChanges = 16 << 10

// flushTimeout bounds one wait for the server's word that it has the subscriptions.
const flushTimeout = 5 * time.Second

func (s *Session) prefix() string { return "wasmbus.rpc." + s.data.Lattice + "." }

// subject is one of the provider's subjects in the lattice: wasmbus.rpc.{lattice}.{id}.{operation}.
func (s *Session) subject(id, operation string) string { return s.prefix() + id + "." + operation }

// putSubject has the provider's curve key instead of its id where the host gave keys. The subject with the id then
// gets a legacy copy of each put too, changed or not; listening to both would be to hear everything twice.
func (s *Session) putSubject() string {
	id := s.data.ProviderKey
	if s.opener.public != "" {
		id = s.opener.public
	}
	return s.subject(id, "linkdefs.put")
}

// subscribe makes the subscriptions and returns when the server has them. None is in a queue group: each copy
// of the provider, on whichever host, must hear everything.
func (r *run) subscribe(ctx context.Context) error {
	id := r.data.ProviderKey
	r.links.putSubject = r.putSubject()
	r.links.deleteSubject = r.subject(id, "linkdefs.del")
	r.links.configSubject = r.subject(id, "config.update")
	for _, subject := range []string{r.links.putSubject, r.links.deleteSubject, r.links.configSubject} {
		sub, err := r.nc.ChanSubscribe(subject, r.arrived)
		if err != nil {
			return fmt.Errorf("subscribing to %s: %w", subject, err)
		}
		r.changeSubs = append(r.changeSubs, sub)
	}
	r.problems.countLost(r.lost)

	// Each of these has a goroutine of its own in nats.go, so no link work can hold them up.
	for operation, callback := range map[string]nats.MsgHandler{
		"health":           r.answerHealth,
		"default.shutdown": r.onShutdown,
		"status":           r.answerStatus,
		"control":          r.onControl,
	} {
		if _, tells := r.handler.(StatusSource); operation == "status" && !tells {
			continue
		}
		if operation == "control" && r.mayControl() == nil {
			continue
		}
		sub, err := r.nc.Subscribe(r.subject(id, operation), callback)
		if err != nil {
			return fmt.Errorf("subscribing to %s: %w", r.subject(id, operation), err)
		}
		r.requestSubs = append(r.requestSubs, sub)
	}
	if err := r.subscribeEvents(); err != nil {
		return err
	}
	return r.flush(ctx)
}

// flush waits until the server has confirmed the subscriptions. When the connection breaks meanwhile, nats.go sends
// them again with the next one, so there is nothing to do but to wait again.
func (r *run) flush(ctx context.Context) error {
	for {
		flushCtx, cancel := context.WithTimeout(ctx, flushTimeout)
		err := r.nc.FlushWithContext(flushCtx)
		cancel()
		switch {
		case ctx.Err() != nil: // also where the confirmation came: no link is to be begun
			return context.Cause(ctx)
		case err == nil:
			return nil
		case r.nc.IsClosed():
			return ErrClosed
		}
		r.log.Warn("the lattice has not confirmed the subscriptions yet", "error", err)
		if !backoff.Sleep(ctx, connecting.First) {
			return context.Cause(ctx)
		}
	}
}

// lost counts the messages that found the queue of changes full. nats.go logs the first through onAsyncError.
func (r *run) lost() int {
	total := r.changes.dropped()
	for _, sub := range r.changeSubs {
		// The error says that the subscription is over; the count is then of no interest.
		if n, err := sub.Dropped(); err == nil {
			total += n
		}
	}
	return total
}
