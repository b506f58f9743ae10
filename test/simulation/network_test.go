package simulation

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

var errCut = errors.New("the simulated network is cut")

// network is the way of one copy to Kafka. Its zero value is a good one.
type network struct {
	name  string
	stack *kfake.VirtualNetwork
	layer *layer
	// ill is told when something happens to what passes, joined when a request to join was under way; nil where nobody
	// wants to know.
	ill    func()
	joined func(from, to time.Time)
	// alive is told when a member of a classic group has heard that it was taken for alive, by a request of which time,
	// waits when it begins to wait for others; nil where nobody wants to know.
	alive, waits func(at time.Time)

	mu     sync.Mutex
	rng    *rand.Rand
	away   bool // nobody can connect, and connections are gone
	slow   time.Duration
	lame   float64       // the share of answers that wait for slow
	worm   float64       // the share of fetch answers with a damaged byte
	misled *code         // what requests to the group are answered with, in place of the work; nil is nothing
	ambush *ambush       // what happens at a request; nil is nothing
	frozen chan struct{} // nothing passes until it is closed; nil where everything does
	deaf   chan struct{} // no answer to a fetch does so until then
	conns  map[*conn]struct{}
	last   []said
}

func newNetwork(name string, stack *kfake.VirtualNetwork, l *layer, rng *rand.Rand) *network {
	return &network{name: name, stack: stack, layer: l, rng: rng, conns: make(map[*conn]struct{})}
}

func (n *network) dial(ctx context.Context, kind, address string) (net.Conn, error) {
	n.mu.Lock()
	away := n.away
	n.mu.Unlock()
	if i := n.layer.tokens; i != nil && address == tokenAddress {
		return i.connect() // it is elsewhere
	}
	if away {
		return nil, errCut
	}
	inner, err := n.stack.DialContext(ctx, kind, address)
	if err != nil {
		return nil, err
	}
	c := n.connect(inner)
	n.mu.Lock()
	defer n.mu.Unlock()
	n.conns[c] = struct{}{}
	return c, nil
}

func (n *network) tellIll() {
	if n.ill != nil {
		n.ill()
	}
}

// cut closes all connections; with away none can be made until mend.
func (n *network) cut(away bool) {
	n.tellIll()
	n.mu.Lock()
	n.away = n.away || away
	var open []*conn
	for c := range n.conns {
		open = append(open, c)
	}
	n.mu.Unlock()
	for _, c := range open {
		_ = c.Close() // the other end notices
	}
}

// mend makes the network a good one again.
func (n *network) mend() {
	n.tellIll()
	n.mu.Lock()
	defer n.mu.Unlock()
	n.away, n.slow, n.lame, n.worm, n.misled, n.ambush = false, 0, 0, 0, nil, nil
	n.thawNow()
}

// thaw has everything pass again.
func (n *network) thaw() { n.set((*network).thawNow) }

// thawNow is thaw. n.mu is held.
func (n *network) thawNow() {
	if n.frozen != nil {
		close(n.frozen)
		n.frozen = nil
	}
	if n.deaf != nil {
		close(n.deaf)
		n.deaf = nil
	}
}

func (n *network) set(change func(*network)) {
	n.tellIll()
	n.mu.Lock()
	defer n.mu.Unlock()
	change(n)
}

// freeze has nothing pass any more, and nobody notice.
func (n *network) freeze() {
	n.set(func(n *network) {
		if n.frozen == nil {
			n.frozen = make(chan struct{})
		}
	})
}

// thawed waits until everything passes.
func (n *network) thawed(closed <-chan struct{}) {
	n.mu.Lock()
	frozen := n.frozen
	n.mu.Unlock()
	n.await(frozen, closed)
}

// hears waits until answers to requests of a kind pass.
func (n *network) hears(key kmsg.Key, closed <-chan struct{}) {
	n.mu.Lock()
	deaf := n.deaf
	n.mu.Unlock()
	if key == kmsg.Fetch {
		n.await(deaf, closed)
	}
}

func (*network) await(end, closed <-chan struct{}) {
	if end == nil {
		return
	}
	select {
	case <-end:
	case <-closed:
	}
}

// conn is the client's end of a connection to a broker. Requests and answers pass in between as wholes, the answers in
// the order of their requests.
type conn struct {
	net.Conn // the client's
	broker   net.Conn
	ours     net.Conn // the other end of the client's
	n        *network

	session session // of takeRequests alone

	closing sync.Once
	closed  chan struct{}
	// under are the requests under way, in their order.
	under chan *asked

	mu      sync.Mutex
	asked   map[int32]*asked // by correlation id, those that the broker is to answer
	since   time.Time        // when the span began in which requests are counted
	many    int
	lingers bool // a request is still to arrive when the client has gone
}

const (
	// latency is how long each answer takes at least. Without it a client that asks again at once would stop the clock.
	latency = time.Millisecond
	// span and tooMany are when a client asks without a break: a moment of it, such as while leaders move, is the
	// client's way.
	span    = 30 * time.Second
	tooMany = 20_000
	// waiting is more requests than a client has under way on one connection.
	waiting = 1024
)

// count is the invariant asks-with-breaks: no client asks thousands of times a second for long.
func (c *conn) count(key kmsg.Key) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := time.Now(); now.Sub(c.since) > span {
		c.since, c.many = now, 0
	}
	if c.many++; c.many == tooMany {
		c.n.layer.wrong("asks-with-breaks", "%s: %d requests within %s, the last one %s; before that: %s", c.n.name, tooMany,
			time.Since(c.since), key.Name(), c.n.recently())
	}
}

// remember keeps what was answered last.
func (n *network) remember(key kmsg.Key, errs []string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	line := fmt.Sprint(key.Name(), errs)
	if last := len(n.last) - 1; last >= 0 && n.last[last].line == line {
		n.last[last].until, n.last[last].times = time.Now(), n.last[last].times+1
		return
	}
	n.last = append(n.last, said{line, time.Now(), 1})
	n.last = n.last[max(0, len(n.last)-40):]
}

// said is what brokers have answered some times in a row.
type said struct {
	line  string
	until time.Time
	times int
}

func (n *network) recently() (text string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, s := range n.last {
		text += fmt.Sprintf("\n\t%s ago: %s, %d times", time.Since(s.until), s.line, s.times)
	}
	return text
}

func (n *network) connect(broker net.Conn) *conn {
	ours, clients := net.Pipe()
	c := &conn{
		Conn: clients, broker: broker, ours: ours, n: n, closed: make(chan struct{}), under: make(chan *asked,
			waiting), asked: make(map[int32]*asked),
	}
	go c.takeRequests()
	go c.takeAnswers()
	go c.giveAnswers()
	return c
}

// read reads one message: a size, and that many bytes.
func read(from net.Conn) ([]byte, error) {
	var size [4]byte
	if _, err := io.ReadFull(from, size[:]); err != nil {
		return nil, err
	}
	whole := make([]byte, 4+binary.BigEndian.Uint32(size[:]))
	copy(whole, size[:])
	_, err := io.ReadFull(from, whole[4:])
	return whole, err
}

// wait waits, and reports false when the connection is closed first.
func (c *conn) wait(d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-c.closed:
		return false
	}
}

// takeRequests takes requests to the broker.
func (c *conn) takeRequests() {
	defer func() { _ = c.Close() }()
	for {
		frame, err := read(c.ours)
		if err != nil {
			return
		}
		a, err := newAsked(frame)
		if err != nil {
			panic(err) // the client is at fault
		}
		if a.key == kmsg.Fetch {
			a.fetch = frame
		}
		c.count(a.key)
		covered.asked(a.key)
		c.n.layer.note(a, frame)
		if c.n.waits != nil && (a.key == kmsg.JoinGroup || a.key == kmsg.SyncGroup) {
			c.n.waits(a.since)
		}
		c.n.thawed(c.closed)
		if !c.pass(a, frame) {
			return
		}
	}
}

// pass does to a request what the rules say, and reports false where the connection ends with it.
func (c *conn) pass(a *asked, frame []byte) bool {
	var instead []byte
	r := c.n.layer.use(a.key, func(r *rule) bool {
		switch r.way {
		case requestCut, requestHalf, requestLate, requestTooOld:
			return true
		default:
			return r.way == coded && !r.done && !a.reads()
		}
	}, func(r *rule) (ok bool) {
		if r.way != coded {
			return true
		}
		var err error
		instead, err = a.refuse(r.code, frame)
		return err == nil
	})
	if r != nil {
		c.n.tellIll()
	}
	if r == nil && instead == nil {
		instead = c.n.mislead(a, frame)
	}
	if r == nil && instead == nil {
		instead = c.n.layer.refuse(a, frame)
	}
	if r == nil && instead == nil {
		instead = a.nobodysLeave(frame)
	}
	if instead != nil {
		a.answer <- instead
		c.under <- a
		return true
	}
	if r != nil {
		switch r.way {
		case requestCut:
			return false
		case requestHalf:
			_, _ = c.broker.Write(frame[:4+r.rng.IntN(len(frame)-4)]) // it is cut either way
			return false
		case requestLate:
			if !c.wait(r.late()) {
				return false
			}
		case requestTooOld:
			c.linger(frame, r.late())
			return false
		default:
		}
	}
	if i := c.n.layer.tokens; i != nil {
		answer, ok := c.session.admit(i, a, frame)
		if !ok {
			return false
		}
		if answer != nil {
			a.answer <- answer
			c.under <- a
			return true
		}
	}
	if !answered(a, frame) {
		_, err := c.broker.Write(frame)
		return err == nil
	}
	c.n.lure(a, frame)
	c.mu.Lock()
	c.asked[a.id] = a
	c.mu.Unlock()
	c.under <- a
	_, err := c.broker.Write(frame)
	return err == nil
}

// nobodysLeave is what Kafka answers to who leaves for a while as a static member and does not say which; nil where it
// is none of these. The fake broker takes it.
func (a *asked) nobodysLeave(frame []byte) []byte {
	if a.key != kmsg.ConsumerGroupHeartbeat {
		return nil
	}
	req, err := a.decodeRequest(frame)
	if err != nil {
		return nil // the broker says so
	}
	if leave, ok := req.(*kmsg.ConsumerGroupHeartbeatRequest); !ok || leave.MemberEpoch != -2 || leave.InstanceID != nil {
		return nil
	}
	resp := a.newResponse().(*kmsg.ConsumerGroupHeartbeatResponse)
	resp.ErrorCode = kerr.InvalidRequest.Code
	return a.encode(resp)
}

// ambush is what happens when a request arrives that names a member of the group, before it is done.
type ambush struct {
	key    kmsg.Key
	spring func(member string, instance *string)
}

// lure springs an ambush that waits for such a request.
func (n *network) lure(a *asked, frame []byte) {
	n.mu.Lock()
	waits := n.ambush
	n.mu.Unlock()
	if waits == nil || waits.key != a.key {
		return
	}
	req, err := a.decodeRequest(frame)
	if err != nil {
		return // the broker says so
	}
	member, instance := memberOf(req)
	if member == "" {
		return
	}
	n.mu.Lock()
	first := n.ambush == waits
	n.ambush = nil
	n.mu.Unlock()
	if first {
		waits.spring(member, instance)
	}
}

// mislead is the answer of a broker that does not coordinate the group; nil where the request reaches the one that
// does.
func (n *network) mislead(a *asked, frame []byte) []byte {
	n.mu.Lock()
	with := n.misled
	n.mu.Unlock()
	top, toGroup := toGroups[a.key]
	if with == nil || !toGroup {
		return nil
	}
	c := *with
	c.top = top
	answer, err := a.refuse(c, frame)
	if err != nil {
		return nil // there is nothing in it
	}
	covered.code(a.key, c, false)
	return answer
}

// answered tells whether a broker answers a request: it does not where a producer wants no acknowledgement.
func answered(a *asked, frame []byte) bool {
	if a.key != kmsg.Produce {
		return true
	}
	req, err := a.decodeRequest(frame)
	return err != nil || req.(*kmsg.ProduceRequest).Acks != 0
}

// linger cuts the client off and has its last request arrive later, by itself.
func (c *conn) linger(frame []byte, late time.Duration) {
	c.mu.Lock()
	c.lingers = true
	c.mu.Unlock()
	_ = c.Close() // the broker's end stays
	c.n.layer.late.Go(func() {
		defer func() { _ = c.broker.Close() }()
		time.Sleep(late)
		if _, err := c.broker.Write(frame); err == nil {
			time.Sleep(longest) // for the broker to do it
		}
	})
}

// takeAnswers takes what the broker answers.
func (c *conn) takeAnswers() {
	defer func() { _ = c.Close() }()
	for {
		frame, err := read(c.broker)
		if err != nil {
			return
		}
		id := int32(binary.BigEndian.Uint32(frame[4:]))
		c.mu.Lock()
		a := c.asked[id]
		delete(c.asked, id)
		c.mu.Unlock()
		if a != nil {
			a.answer <- frame
		}
	}
}

// giveAnswers gives answers to the client, in the order of the requests.
func (c *conn) giveAnswers() {
	defer func() { _, _ = c.Close(), c.ours.Close() }()
	var behind []byte // an answer that changes places with the next
	for {
		var a *asked
		select {
		case a = <-c.under:
		case <-c.patience(behind):
			if _, err := c.ours.Write(behind); err != nil {
				return
			}
			behind = nil
			continue
		case <-c.closed:
			return
		}
		var frame []byte
		select {
		case frame = <-a.answer:
			c.noteJoin(a)
		case <-c.closed:
			c.noteJoin(a)
			return
		}
		c.n.thawed(c.closed)
		c.n.hears(a.key, c.closed)
		out, held := c.treat(a, frame)
		if held {
			behind = append(behind, frame...)
			continue
		}
		for _, part := range out {
			if part.wait > 0 && !c.wait(part.wait) {
				return
			}
			if part.end {
				return
			}
			if _, err := c.ours.Write(part.bytes); err != nil {
				return
			}
		}
		if !held && len(out) > 0 {
			c.noteAlive(a, frame)
		}
		if behind != nil && len(out) > 0 {
			covered.way(a.key, answerSwapped)
			if _, err := c.ours.Write(behind); err != nil {
				return
			}
			behind = nil
		}
	}
}

// noteJoin tells of a request to join that is under way no more.
func (c *conn) noteJoin(a *asked) {
	if a.key == kmsg.JoinGroup && c.n.joined != nil {
		c.n.joined(a.since, time.Now())
	}
}

// noteAlive tells of an answer that reaches a member of a classic group, where it says that it is one.
func (c *conn) noteAlive(a *asked, frame []byte) {
	if c.n.alive == nil || a.key != kmsg.Heartbeat && a.key != kmsg.JoinGroup && a.key != kmsg.SyncGroup {
		return
	}
	decoded, err := a.decodeAnswer(frame)
	if err != nil {
		return // it was damaged
	}
	switch resp := decoded.(type) {
	case *kmsg.HeartbeatResponse:
		if resp.ErrorCode == 0 || resp.ErrorCode == kerr.RebalanceInProgress.Code {
			c.n.alive(a.since)
		}
	case *kmsg.JoinGroupResponse:
		if resp.ErrorCode == 0 {
			c.n.alive(time.Now())
		}
	case *kmsg.SyncGroupResponse:
		if resp.ErrorCode == 0 {
			c.n.alive(a.since)
		}
	}
}

// patience is how long an answer waits for the next one to change places with it; for ever where there is none.
func (c *conn) patience(behind []byte) <-chan time.Time {
	if behind == nil {
		return nil
	}
	return time.After(2 * time.Second)
}

// part is what happens next to an answer: a wait, then bytes that the client gets, or the end of the connection.
type part struct {
	wait  time.Duration
	bytes []byte
	end   bool
}

// treat says what becomes of an answer.
func (c *conn) treat(a *asked, frame []byte) (out []part, held bool) {
	if changed := a.lose(c.n, frame); changed != nil {
		frame = changed
	}
	wait := latency + c.n.mistreat(a.key, frame) + a.unhurried(frame)
	r := c.n.layer.use(a.key, func(r *rule) bool {
		if r.way == coded {
			return r.done || a.reads()
		}
		switch r.way {
		case requestCut, requestHalf, requestLate, requestTooOld:
			return false
		default:
			return true
		}
	}, func(r *rule) bool {
		switch r.way {
		case coded:
			resp, err := a.decodeAnswer(frame)
			if err != nil || !fail(resp, r.code, r.rng) {
				return false
			}
			frame = a.encode(resp)
		case batchDamaged:
			return damage(frame, r.rng)
		case batchPartial, batchBomb:
			changed, err := a.changeBatches(frame, r.way, r.rng)
			if err != nil || changed == nil {
				return false
			}
			frame = changed
		default:
		}
		return true
	})
	c.n.remember(a.key, c.n.layer.told(a, frame))
	out = []part{{wait: wait, bytes: frame}}
	if r == nil {
		return out, false
	}
	c.n.tellIll()
	switch r.way {
	case answerCut:
		return []part{{wait: wait, end: true}}, false
	case answerHalf:
		return []part{{wait: wait, bytes: frame[:1+r.rng.IntN(len(frame)-1)]}, {end: true}}, false
	case answerLate:
		out[0].wait += r.late()
	case answerLost:
		return nil, false
	case answerTwice:
		out = append(out, out[0])
	case answerSwapped:
		return nil, true
	case answerShort:
		short := append([]byte(nil), frame[:8+r.rng.IntN(max(len(frame)-8, 1))]...)
		binary.BigEndian.PutUint32(short, uint32(len(short)-4))
		out[0].bytes = short
	case answerDamaged:
		out[0].bytes = disguise(frame, r.rng)
	case answerPieces:
		out = nil
		for rest := frame; len(rest) > 0; {
			n := 1 + r.rng.IntN(len(rest))
			out = append(out, part{wait: wait, bytes: rest[:n]})
			rest, wait = rest[n:], time.Duration(r.rng.Int64N(int64(2*time.Second)))
		}
	default:
	}
	return out, false
}

// unhurried is how long Kafka would have waited with an answer to a fetch that has no records and tells of partitions
// of a topic that is no more: it waits for records of the others, and tells then. The fake broker answers at once, and
// the client, which has others that are well, asks again at once.
func (a *asked) unhurried(frame []byte) time.Duration {
	if a.key != kmsg.Fetch || a.fetch == nil {
		return 0
	}
	decoded, err := a.decodeAnswer(frame)
	if err != nil {
		return 0 // it was damaged
	}
	gone := false
	for _, topic := range decoded.(*kmsg.FetchResponse).Topics {
		for _, p := range topic.Partitions {
			switch {
			case len(p.RecordBatches) > 0:
				return 0
			case p.ErrorCode == kerr.UnknownTopicOrPartition.Code, p.ErrorCode == kerr.UnknownTopicID.Code:
				gone = true
			case p.ErrorCode != 0:
				return 0
			}
		}
	}
	if !gone {
		return 0
	}
	req, err := a.decodeRequest(a.fetch)
	if err != nil {
		return 0 // the broker has read it
	}
	most := a.since.UnixMilli() + int64(req.(*kmsg.FetchRequest).MaxWaitMillis)
	return max(time.Until(time.UnixMilli(most)), 0)
}

// disguise damages the head of an answer: its size, or the id of the request that it belongs to. What is behind that
// has no checksum of its own but for batches of records, so nobody could tell damage there from what a broker says.
func disguise(frame []byte, rng *rand.Rand) []byte {
	damaged := append([]byte(nil), frame...)
	damaged[rng.IntN(8)] ^= 1 << rng.IntN(8)
	return damaged
}

// mistreat damages an answer as the network of the moment does, and says how long it takes.
func (n *network) mistreat(key kmsg.Key, answer []byte) (wait time.Duration) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.worm > 0 && (key == kmsg.Fetch || key == kmsg.ShareFetch) && n.rng.Float64() < n.worm {
		if damage(answer, n.rng) {
			covered.way(key, batchDamaged)
		}
	}
	if n.slow > 0 && n.rng.Float64() < n.lame {
		return time.Duration(n.rng.Int64N(int64(n.slow)))
	}
	return 0
}

func (c *conn) Close() error {
	c.closing.Do(func() {
		close(c.closed)
		c.n.mu.Lock()
		delete(c.n.conns, c)
		c.n.mu.Unlock()
		c.mu.Lock()
		lingers := c.lingers
		c.mu.Unlock()
		if !lingers {
			_ = c.broker.Close() // what passes between them ends by that
		}
		_ = c.ours.Close()
	})
	return c.Conn.Close()
}
