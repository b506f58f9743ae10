package natsconn

import (
	"context"
	"time"

	"github.com/nats-io/nats.go"
)

// Subscription is one that is made as soon as there is a connection, and made again with each.
type Subscription struct {
	conn           *Conn
	subject, queue string
	handle         nats.MsgHandler
	sub            *nats.Subscription // nil until it is made; Conn.mu protects it
}

// Subscribe has the messages of a subject handled one after another, in a queue group.
func (c *Conn) Subscribe(subject, queue string, handle nats.MsgHandler) *Subscription {
	s := &Subscription{conn: c, subject: subject, queue: queue, handle: handle}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wanted[s] = true
	if c.nc != nil {
		s.begin()
	}
	return s
}

// sent is something that was published on a subject.
type sent struct {
	on string
	at time.Time
}

// refusedWithin is how long a server takes at most to say that it does not allow a publish.
const refusedWithin = 5 * time.Second

// Answer answers a message. That the server does not allow it is known later only, and health has it then until an
// answer gets through.
func (c *Conn) Answer(m *nats.Msg, body []byte) error {
	c.mu.Lock()
	if c.judge(); c.answered.on == "" {
		c.answered = sent{m.Reply, time.Now()}
	}
	c.mu.Unlock()
	return m.Respond(body)
}

// judge takes an answer that was not refused for one that got through. c.mu is held.
func (c *Conn) judge() {
	if c.answered.on != "" && time.Since(c.answered.at) > refusedWithin {
		c.mute, c.answered = false, sent{}
	}
}

// Settle returns when the server knows of all subscriptions that were made before, or ctx has ended; without a
// connection at once.
func (c *Conn) Settle(ctx context.Context) {
	c.mu.Lock()
	nc, err := c.connected()
	c.mu.Unlock()
	if err != nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, flushTimeout)
	defer cancel()
	_ = nc.FlushWithContext(ctx) // where it fails there is no connection any more, or no time
}

// begin makes the subscription. Conn.mu is held.
func (s *Subscription) begin() {
	sub, err := s.conn.nc.QueueSubscribe(s.subject, s.queue, s.handle)
	if err == nil {
		err = sub.SetPendingLimits(pendingMessages, pendingBytes)
	}
	if err != nil {
		// Only a connection that ends refuses it: what the settings let through is a subject.
		s.conn.log.Error("a subject of NATS cannot be subscribed to", "subject", s.subject, "error", err)
		return
	}
	s.sub = sub
}

// Drain ends the subscription: no more messages come, and when it returns those that had come have been handed over
// and no handler runs any more, unless ctx has ended before.
func (s *Subscription) Drain(ctx context.Context) {
	s.conn.mu.Lock()
	delete(s.conn.wanted, s)
	delete(s.conn.refused, s.subject)
	sub := s.sub
	s.conn.mu.Unlock()
	if sub == nil || !sub.IsValid() {
		return
	}
	ended := make(chan struct{})
	sub.SetClosedHandler(func(string) { close(ended) }) // after the last message has been handled
	if err := sub.Drain(); err != nil {
		return // the connection has ended, and the subscription with it
	}
	// There may be no connection, without which a server's word that nothing more comes does not arrive.
	timer := time.NewTimer(drainTimeout)
	defer timer.Stop()
	select {
	case <-ended:
		return
	case <-timer.C:
	case <-ctx.Done():
	}
	_ = sub.Unsubscribe() // it fails where the connection has ended meanwhile, and the subscription with it
	<-ended
}
