package produce

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/messaging-kafka/messaging-kafka/internal/base/backoff"
)

// dial makes the connections of the client and of the one for records that go alone.
func (c *client) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	conn, err := c.access.Dial(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	return &sentConn{Conn: conn, written: &c.written}, nil
}

// sentConn counts the Produce requests that begin to be written. The client tells of a request when it has been
// written; one that stands half-way in a broker that does not read is written in full when that goes on.
type sentConn struct {
	net.Conn
	written *atomic.Uint64
}

// Write implements [net.Conn]. The client writes each request at once: its size in four bytes, the key in two.
func (c *sentConn) Write(b []byte) (int, error) {
	if len(b) >= 6 && binary.BigEndian.Uint16(b[4:]) == uint16(kmsg.Produce) {
		c.written.Add(1)
	}
	return c.Conn.Write(b)
}

// refusedID returns the answer of a broker that gives this producer no id and does not by itself begin to. It asks past
// the client's own state, which keeps such an answer for ever: a right that is granted later would change nothing. The
// client judges brokers that do not answer, or do not know the request.
func (c *client) refusedID(ctx context.Context) error {
	resp, err := kmsg.NewPtrInitProducerIDRequest().RequestWith(ctx, c.client())
	if err != nil {
		return nil //nolint:nilerr // see above: the client says so itself, and tries again
	}
	if err := kerr.ErrorForCode(resp.ErrorCode); err != nil && !kerr.IsRetriable(err) && !errors.Is(err, kerr.ConcurrentTransactions) {
		return err
	}
	return nil
}

// final tells of an answer of a broker that the client does not ask again after.
func final(err error) bool { return errors.As(err, new(*kerr.Error)) && !kerr.IsRetriable(err) }

// identifyDelay spaces the attempts to get a producer id.
const identifyDelay = 250 * time.Millisecond

// identify sees that the producer is idempotent where the settings say so, before the first record is handed over: the
// client goes on without in silence where a broker does not know how (InitProducerId).
func (c *client) identify(p *callerLimit, topic string) *Error {
	if !c.producer.Idempotent || c.identified.Load() {
		return nil
	}
	ctx := p.context()
	late := func(err error) *Error {
		return c.neverSent(topic, "Kafka could not be asked for a producer id within publish_timeout ("+c.publishTimeout().String()+"); the record was not stored", err)
	}
	// One at a time: the client has a lock for it, which it waits for without an end, each time in a goroutine of its own.
	if err := c.identifying.LockContext(ctx); err != nil {
		return late(err)
	}
	defer c.identifying.Unlock()
	if c.identified.Load() {
		return nil
	}
	for {
		id := int64(-1)
		err := c.refusedID(ctx)
		if err == nil {
			producer := c.client()
			id, _, err = producer.ProducerID(ctx)
			if final(err) {
				// The broker has changed its mind since it was asked past the client, and may again.
				if renewed := c.renew(producer); renewed != nil {
					err = renewed
				}
			}
		}
		switch {
		case err == nil && id >= 0:
			c.identified.Store(true)
			return nil
		case err == nil:
			return &Error{Class: ClassOther, Topic: topic,
				Text: "the brokers do not let a producer be idempotent (they are older than Kafka 0.11, or something between does not pass InitProducerId), so a record might be stored twice; it was not sent. Where that is no harm, set idempotent=false"}
		case errors.Is(err, kgo.ErrClientClosed), final(err):
			d := c.access.Explain(err)
			return &Error{Class: classOf(d.Class), Topic: topic, Text: d.Text, err: err}
		}
		if !backoff.Sleep(ctx, identifyDelay) {
			return late(err)
		}
	}
}
