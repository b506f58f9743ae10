package wrpc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/messaging-kafka/messaging-kafka/internal/payload/wit"
)

// call is a call of a server. It ends when its results have been sent and its handler has returned: the results
// wait for the end of the parameters, which shows that the caller has taken the accept.
//
// Three goroutines meet here: the inbox's callback (deliver), the handler's (run) and the timer's (tick).
type call struct {
	server  *Server
	handler Handler
	caller  string // the reply subject of the invocation
	subject string
	header  nats.Header
	first   []byte
	kept    int64 // see keep
	refused bool
	from    string // who calls, as [ServerOptions.Source] has it

	// place, source and came are guarded by Server.mu.
	place  place
	source *source
	came   time.Time // where it had to wait

	received atomic.Int64 // bytes of parameters
	complete atomic.Bool  // the end of the parameters came

	token  uint64
	own    string // the reply subject of the accept
	params stream
	dec    wit.Decoder

	// mu guards what follows. It may be held while mu of a stream is taken, but not while something is published.
	mu        sync.Mutex
	timer     *time.Timer
	began     time.Time // not changed once the call is accepted
	lastHeard time.Time // when the last message of the parameters came
	repeats   int
	heard     bool   // a message of the parameters came: the caller has taken the accept
	closed    bool   // their end came
	returned  bool   // the handler has returned
	sending   bool   // somebody has begun to send the results
	sent      bool   // all is sent
	left      bool   // the call has ended
	result    []byte // what the handler has returned
}

// Next implements [wit.Source] on the parameters.
func (c *call) Next() ([]byte, error) {
	if c.params.drained() {
		c.server.await(c)
	}
	return c.params.next(c.server.ctx)
}

func (c *call) Hold(n int64) error { return c.params.Hold(n) }

// callCost is what a call takes besides its headers and parameters, with the goroutine that runs it.
const callCost = 4 << 10

// keep takes what the call holds before it is accepted; it is given back when the call ends, and what its first message
// takes when that stands with the other parameters.
func (c *call) keep() error {
	c.kept = callCost + headerBytes(c.header)
	if err := c.server.params.take(c.kept + int64(len(c.first))); err != nil {
		c.kept = 0
		return err
	}
	return nil
}

// start accepts the call and runs its handler.
func (c *call) start() {
	c.accept()
	// The shutdown cancels first and then cuts off the calls that are in the inbox, where accept has put this one:
	// so either it has found the call there, or it is found out here.
	if err := c.server.ctx.Err(); err != nil {
		c.abandon(cutOffText, ErrClosed)
		c.finish(nil, ErrClosed)
		return
	}
	c.server.begin(c)
}

// refuse ends the call without a value: in the way of other calls, or, where patient is false, at once and without
// any trace of it in memory.
func (c *call) refuse(patient bool) {
	c.handler = nil
	c.refused = true
	if c.kept > 0 {
		c.server.params.give(c.kept + int64(len(c.first)))
		c.kept = 0
	}
	c.first, c.header = nil, nil
	if patient {
		c.returned = true
		c.accept()
		return
	}
	c.server.publish(c.caller, c.server.in.subject(0), nil)
	c.server.publish(c.caller+resultsSuffix, "", nil)
}

func (c *call) accept() {
	s := c.server
	c.params.limit, c.params.shared = s.opts.MaxParamsBytes, &s.params
	c.dec = *wit.NewDecoder(c, s.opts.MaxParamsBytes)
	c.received.Store(int64(len(c.first)))
	if len(c.first) > 0 && !c.refused {
		// An error is the end of the stream, where the handler finds it.
		_ = c.params.push(c.first)
		s.params.give(int64(len(c.first)))
	}
	c.first = nil
	c.began = time.Now()
	c.lastHeard = c.began
	c.token, c.own = s.in.add(c)
	s.publish(c.caller, c.own, nil)
	c.mu.Lock()
	if !c.closed && !c.left {
		c.timer = time.AfterFunc(s.opts.AcceptInterval, c.tick)
	}
	c.mu.Unlock()
}

// deliver implements receiver.
func (c *call) deliver(suffix string, m *nats.Msg) {
	if suffix != paramsSuffix {
		return
	}
	if len(m.Data) > 0 {
		c.mu.Lock()
		c.heard = true
		c.lastHeard = time.Now()
		c.mu.Unlock()
		c.received.Add(int64(len(m.Data)))
		if c.refused {
			return
		}
		if err := c.params.push(m.Data); err != nil {
			c.server.counts.malformed.Add(1)
			c.abandon("the parameters of a call are too large", err)
		}
		return
	}
	c.params.close(io.EOF)
	c.complete.Store(true)
	c.mu.Lock()
	c.heard = true
	c.closed = true
	if c.timer != nil {
		c.timer.Stop()
	}
	send := c.returned && !c.sending
	c.sending = c.sending || send
	result := c.result
	c.mu.Unlock()
	switch {
	case !send:
		c.server.resume(c)
	case int64(len(result)) <= c.server.nc.MaxPayload():
		c.send(result)
	default:
		// Many messages would keep the callback from the other calls.
		c.server.work.Go(func() { c.send(result) })
	}
}

// run runs the handler and ends the call however it returns.
func (c *call) run() {
	var result []byte
	err := errNoReturn
	defer func() {
		if r := recover(); r != nil {
			err = &panicError{value: r, stack: debug.Stack()}
		}
		c.finish(result, err)
	}()
	result, err = c.handler(c.server.ctx, c.header, &c.dec)
}

// finish takes what the handler has returned.
func (c *call) finish(result []byte, err error) {
	if err != nil {
		result = nil
		c.server.failed(c.subject, err)
	}
	c.mu.Lock()
	c.returned = true
	c.result = result
	// A failed call need not wait for parameters that nobody reads; any of them has shown that the accept was taken.
	send := !c.sending && (c.closed || err != nil && c.heard)
	c.sending = c.sending || send
	c.mu.Unlock()
	if send {
		c.send(result)
		return
	}
	if !c.leave() {
		c.server.await(c) // the results wait for the caller
	}
}

// tick is the timer's: it repeats the accept until the caller shows that it has it, and gives the call up when the
// end of the parameters does not come.
func (c *call) tick() {
	o := &c.server.opts
	now := time.Now()
	c.mu.Lock()
	if c.closed || c.sending {
		c.mu.Unlock()
		return
	}
	deadline := c.deadlineLocked()
	if !now.Before(deadline) {
		c.mu.Unlock()
		c.server.counts.unclosed.Add(1)
		c.abandon("a caller did not end its parameters", context.DeadlineExceeded)
		return
	}
	wait := deadline.Sub(now)
	repeat := !c.heard && c.repeats < o.AcceptRepeats
	if repeat {
		c.repeats++
		if c.repeats < o.AcceptRepeats {
			wait = min(wait, o.AcceptInterval<<min(c.repeats, 16))
		}
	}
	c.timer.Reset(wait)
	c.mu.Unlock()
	if repeat {
		c.server.counts.repeated.Add(1)
		c.server.publish(c.caller, c.own, nil)
	}
}

// deadlineLocked is when the call is given up if nothing more comes.
func (c *call) deadlineLocked() time.Time {
	last := c.last()
	if next := c.lastHeard.Add(c.server.opts.ParamsTimeout); next.Before(last) {
		return next
	}
	return last
}

// last is when the call is given up whatever still comes now and then: what has come of the parameters is worth some
// time, and single bytes are worth none.
func (c *call) last() time.Time {
	o := &c.server.opts
	worth := time.Duration(float64(c.received.Load()) / float64(o.MinParamsRate) * float64(time.Second))
	return c.began.Add(min(o.ParamsTimeout+worth, 10*o.ParamsTimeout))
}

// abandon ends the call without a value, whether or not its handler has returned.
func (c *call) abandon(text string, err error) {
	c.mu.Lock()
	send := !c.sending
	c.sending = true
	c.mu.Unlock()
	if !send {
		return
	}
	c.params.close(err)
	c.server.warnSeldom(text, "subject", c.subject, "error", err)
	c.send(nil)
}

// send sends the results, nil for none. It is called once, by whoever has set sending.
func (c *call) send(result []byte) {
	s := c.server
	results := c.caller + resultsSuffix
	for len(result) > 0 {
		// An empty message would be taken for the end, so a connection that has no payload size yet gets none.
		n := min(int64(len(result)), s.nc.MaxPayload())
		if n <= 0 || !s.publish(results, "", result[:n]) {
			break
		}
		result = result[n:]
	}
	s.publish(results, "", nil)
	c.mu.Lock()
	c.sent = true
	c.mu.Unlock()
	c.leave()
}

// leave frees what the call holds once its results have been sent and its handler has returned. It tells whether that
// is so, now or before.
func (c *call) leave() bool {
	c.mu.Lock()
	over := c.returned && c.sent
	leave := over && !c.left
	c.left = c.left || leave
	if leave && c.timer != nil {
		c.timer.Stop()
	}
	c.mu.Unlock()
	if leave {
		c.server.in.remove(c.token)
		c.params.release(errEnded)
		if c.kept > 0 {
			c.server.params.give(c.kept)
		}
		c.server.leave(c)
	}
	return over
}

var (
	errEnded     = errors.New("the call has ended")
	errDisplaced = errors.New("others needed its place")
	errNoReturn  = errors.New("the handler ended its goroutine instead of returning")
)

// panicError is a panic of a handler.
type panicError struct {
	value any
	stack []byte
}

func (e *panicError) Error() string { return fmt.Sprintf("the handler panicked: %v", e.value) }
