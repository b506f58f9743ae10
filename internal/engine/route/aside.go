package route

import (
	"context"
	"slices"
)

// aside is what goes on beside a route within replaceTimeout: the end of what the route has replaced. The route's
// goroutine begins it and waits for it at the end.
type aside struct {
	cut context.CancelFunc
	// readEnded is closed when nothing is read by it any more, ended when all of it is over.
	readEnded, ended chan struct{}
}

func (a *aside) over() bool { return closed(a.ended) }

// remains are what is left to be done when something is replaced or gone, and takes its time: the end of a reading, and
// then what else; nil is nothing.
type remains struct{ reading, rest func(context.Context) }

// maxBeside bounds what goes on beside one route, whatever comes how fast. Of a reading that ends there is one at most,
// since the next one begins when it has ended; what is more is publishes of settings that were replaced.
const maxBeside = 8

// doBeside has what is left done beside the route; it returns nil where that is nothing. Where there is too much of it
// already, the oldest that reads no more is cut off.
func (r *Route) doBeside(left remains) *aside {
	if left.reading == nil && left.rest == nil {
		return nil
	}
	r.beside = slices.DeleteFunc(r.beside, (*aside).over)
	if len(r.beside) >= maxBeside {
		i := slices.IndexFunc(r.beside, func(a *aside) bool { return closed(a.readEnded) && a != r.waits })
		r.beside[i].cut()
		<-r.beside[i].ended // soon
		r.beside = slices.Delete(r.beside, i, i+1)
	}
	ctx, cancel := context.WithTimeout(r.applying, replaceTimeout)
	a := &aside{cut: cancel, readEnded: make(chan struct{}), ended: make(chan struct{})}
	r.beside = append(r.beside, a)
	if left.reading == nil {
		close(a.readEnded)
	}
	go r.goOn(ctx, a, left)
	return a
}

func (r *Route) goOn(ctx context.Context, a *aside, left remains) {
	defer r.signal()
	defer close(a.ended)
	defer a.cut()
	if left.reading != nil {
		left.reading(ctx)
		close(a.readEnded)
		r.signal()
	}
	if left.rest != nil {
		left.rest(ctx)
	}
}

// readingEnds tells whether something is still read for the route by settings of before.
func (r *Route) readingEnds() bool {
	return slices.ContainsFunc(r.beside, func(a *aside) bool { return !closed(a.readEnded) })
}

// closed tells whether a channel is closed on which nothing is sent.
func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
