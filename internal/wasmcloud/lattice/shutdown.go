package lattice

import (
	"context"
	"encoding/json"
	"time"

	"github.com/nats-io/nats.go"
)

// replyTimeout bounds the wait until the reply to a shutdown has left. Nothing is lost when it has not.
const replyTimeout = time.Second

// onShutdown runs in the goroutine of the shutdown subscription.
func (r *run) onShutdown(msg *nats.Msg) {
	var request struct {
		HostID string `json:"host_id"`
	}
	if err := json.Unmarshal(msg.Data, &request); err != nil {
		r.log.Warn("a shutdown message cannot be read", "bytes", len(msg.Data))
		request.HostID = ""
	}
	// The same provider id may run on other hosts, and the subject is the same for all of them.
	if request.HostID != r.data.HostID {
		r.log.Debug("ignoring a shutdown for the copy of another host", "host", request.HostID)
		return
	}
	select {
	case r.stops <- msg:
	default: // one is enough
	}
}

// end ends the run: no more changes, then the handler's shutdown, then the reply if msg asks for one. The host kills
// the process on the reply, so nothing that matters may come after it.
func (r *run) end(msg *nats.Msg, timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()

	unsubscribe(r.changeSubs)
	close(r.quit)
	select {
	case <-r.worked:
	case <-time.After(timeout / 5):
		// The rest of the time belongs to the records that are under way on all the other links.
		r.log.Error("shutting down while the handler is still busy with a link")
	}
	r.endControls() // soon: what they wait for ends with them
	r.handler.Shutdown(ctx)

	if msg != nil && r.answerable(msg) {
		if err := msg.Respond([]byte("shutting down")); err != nil {
			r.log.Warn("replying to the host's shutdown", "error", err)
		}
		flushCtx, cancel := context.WithTimeout(context.Background(), replyTimeout)
		defer cancel()
		if err := r.nc.FlushWithContext(flushCtx); err != nil {
			r.log.Warn("flushing the reply to the host's shutdown", "error", err)
		}
	}

	unsubscribe(r.requestSubs)
	r.answering.Lock()
	r.ended = true
	r.answering.Unlock()
	r.endStatusAnswers()

	select {
	case <-r.worked:
		return nil
	default:
	}
	select {
	case <-r.worked:
		return nil
	case <-ctx.Done():
		return ErrStuck
	}
}

func unsubscribe(subs []*nats.Subscription) {
	for _, sub := range subs {
		// It fails only where the connection is closed, and then there is no subscription any more.
		_ = sub.Unsubscribe()
	}
}
