package wrpc

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/messaging-kafka/messaging-kafka/internal/nats/refusal"
)

// A host says nothing when a call that it has taken, or was to take, is cut off: it was killed, it lost its connection,
// or its component was scaled or replaced. Three signs tell of it:
//
//   - Hosts serve each component by an inbox, a wildcard subscription that lives as long as what serves the
//     component's calls. A message to a subject of it that no call has reaches it and is ignored there; when the inbox
//     is gone, NATS answers with 503. So each inbox that has taken calls is asked once a second whether it is there,
//     and once more when the time of a call is over.
//   - When one call finds that nobody subscribes to a function, then nobody will take those that were made before it.
//   - The lattice tells when components are scaled and hosts stop, see [Client.Interrupted].

const (
	// askEvery is how often inboxes of peers are asked, which is how long a call waits for a peer that is gone.
	askEvery = time.Second
	// maxPeers bounds the inboxes that are asked. A host has one for each component.
	maxPeers = 1024
	// peerForgotten is how long an inbox is asked that takes no calls.
	peerForgotten = time.Minute
	// aliveToken stands in place of a call's token where an inbox is asked.
	aliveToken = "alive"
)

// peers are the inboxes of those that take calls, and what NATS refuses. Its lock is a leaf.
type peers struct {
	mu     sync.Mutex
	inbox  map[string]*peerInbox // by the prefix of the reply subjects in it
	absent map[string]uint64     // subjects of functions that nobody subscribes to, with the call that found it
	deaf   error                 // why no answer can be heard
	mute   bool                  // inboxes may not be asked
	round  uint64                // of asking
	wake   chan struct{}         // room for one token: there is something to do before the next second
}

// peerInbox is one inbox. It is a receiver of the answers that NATS gives for it.
type peerInbox struct {
	peers  *peers
	prefix string
	token  uint64 // of lookAfterPeers alone
	used   time.Time
	asked  uint64 // the first round in which it was asked; 0 before
	there  bool   // it was, when it was asked
	gone   bool   // NATS has said no
}

func (p *peers) init() {
	p.inbox, p.absent = make(map[string]*peerInbox), make(map[string]uint64)
	p.wake = make(chan struct{}, 1)
}

func (p *peers) signal() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// add notes that a peer has taken a call with this reply subject.
func (p *peers) add(reply string) {
	prefix := prefixOf(reply)
	p.mu.Lock()
	defer p.mu.Unlock()
	known := p.inbox[prefix]
	switch {
	case known != nil:
		known.used = time.Now()
	case prefix != "" && len(p.inbox) < maxPeers && !p.mute:
		p.inbox[prefix] = &peerInbox{peers: p, prefix: prefix, used: time.Now()}
		p.signal()
	}
}

// prefixOf is what the reply subjects of one inbox have in common.
func prefixOf(reply string) string {
	return reply[:strings.LastIndexByte(reply, '.')+1]
}

// missing notes that a call has found nobody to subscribe to its function.
func (p *peers) missing(subject string, call uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.absent[subject] = max(p.absent[subject], call)
	p.signal()
}

// deafness says why no answer can be heard; nil where one can.
func (p *peers) deafness() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.deaf
}

// forget is called when the connection is lost: NATS will say anew what it refuses, and inboxes may be others.
func (p *peers) forget() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.deaf, p.mute = nil, false
	for _, in := range p.inbox {
		in.asked, in.there, in.gone = 0, false, false
	}
}

// deliver implements receiver: NATS says that nobody is there.
func (in *peerInbox) deliver(_ string, m *nats.Msg) {
	if !errors.Is(acceptError(m), ErrNoResponders) {
		return
	}
	in.peers.mu.Lock()
	defer in.peers.mu.Unlock()
	in.gone = true
	in.peers.signal()
}

// noSubscriber is asked last in each round, and is there never: when NATS says so, it has answered for all that were
// asked before. It is a receiver of that answer.
type noSubscriber struct {
	peers   *peers
	subject string
	token   uint64
}

// deliver implements receiver. suffix is the number of the round.
func (n *noSubscriber) deliver(suffix string, _ *nats.Msg) {
	round, err := strconv.ParseUint(strings.TrimPrefix(suffix, "."), 10, 64)
	if err != nil {
		return // nobody of ours
	}
	n.peers.mu.Lock()
	defer n.peers.mu.Unlock()
	for _, in := range n.peers.inbox {
		if in.asked > 0 && in.asked <= round && !in.gone {
			in.there = true
		}
	}
}

// watchPeers ends calls that nobody will answer any more. It is a goroutine of its own.
func (c *Client) watchPeers() {
	tick := time.NewTicker(askEvery)
	defer tick.Stop()
	end := &noSubscriber{peers: &c.peers, subject: c.nc.NewInbox()}
	end.token, _ = c.in.add(end)
	defer c.in.remove(end.token)
	for {
		select {
		case <-tick.C:
			c.askPeers(end, true)
		case <-c.peers.wake:
			c.askPeers(end, false)
		case <-c.quit:
			return
		}
		c.failAbsent()
	}
}

// askPeers asks the inboxes of peers whether they are there: all of them, or those that have not been asked yet. Calls
// that are with one that is gone fail.
func (c *Client) askPeers(end *noSubscriber, all bool) {
	p := &c.peers
	var ask, drop []*peerInbox
	gone, serving := make(map[string]struct{}), make(map[string]struct{})
	calls := c.pending()
	for _, call := range calls {
		serving[prefixOf(call.servedBy())] = struct{}{}
	}
	now := time.Now()
	p.mu.Lock()
	p.round++
	round := p.round
	for prefix, in := range p.inbox {
		_, serves := serving[prefix]
		switch {
		case in.gone && in.there:
			gone[prefix] = struct{}{}
			delete(p.inbox, prefix)
			drop = append(drop, in)
		case !serves && now.Sub(in.used) > peerForgotten:
			delete(p.inbox, prefix)
			drop = append(drop, in)
		case in.gone, p.mute:
			// It has never been there: it is not one that outlasts a call, and tells nothing.
		case in.asked == 0:
			in.asked = round
			ask = append(ask, in)
		case all:
			ask = append(ask, in)
		}
	}
	p.mu.Unlock()
	for _, in := range drop {
		c.in.remove(in.token)
	}
	for _, in := range ask {
		if in.token == 0 {
			in.token, _ = c.in.add(in)
		}
		// One that cannot be sent is the loss of the connection, which all calls hear of.
		_ = c.nc.PublishRequest(in.prefix+aliveToken, c.in.subject(in.token), nil)
	}
	if len(ask) > 0 {
		_ = c.nc.PublishRequest(end.subject, c.in.subject(end.token)+"."+strconv.FormatUint(round, 10), nil)
	}
	if len(gone) == 0 {
		return
	}
	for _, call := range calls {
		if _, is := gone[prefixOf(call.servedBy())]; is {
			call.results.close(ErrCut)
		}
	}
}

// lastQuestion is asked of a peer when the time of its call is over, which may be sooner than peers are asked in turn.
// It is a receiver of NATS's answers: of one that the peer's inbox is gone, and then of one for a subject that is
// nobody's.
type lastQuestion struct {
	gone     bool // valid once answered is closed
	answered chan struct{}
	once     sync.Once
}

const lastSuffix = ".last"

// deliver implements receiver.
func (q *lastQuestion) deliver(suffix string, m *nats.Msg) {
	switch {
	case !errors.Is(acceptError(m), ErrNoResponders):
	case suffix == lastSuffix:
		q.once.Do(func() { close(q.answered) })
	case suffix == "":
		q.gone = true
	}
}

// gone asks whether a peer that was there is so no more. reply is the subject of its accept.
func (c *Client) gone(reply string) bool {
	prefix := prefixOf(reply)
	c.peers.mu.Lock()
	in := c.peers.inbox[prefix]
	ask := in != nil && in.there && !c.peers.mute
	c.peers.mu.Unlock()
	if !ask {
		return false
	}
	q := &lastQuestion{answered: make(chan struct{})}
	token, subject := c.in.add(q)
	defer c.in.remove(token)
	if c.nc.PublishRequest(prefix+aliveToken, subject, nil) != nil ||
		c.nc.PublishRequest(c.nc.NewInbox(), subject+lastSuffix, nil) != nil {
		return false
	}
	timer := time.NewTimer(confirmTimeout)
	defer timer.Stop()
	select {
	case <-q.answered:
		return q.gone
	case <-timer.C:
		return false
	}
}

// failAbsent fails the calls of functions to which nobody subscribed when a later one was made.
func (c *Client) failAbsent() {
	c.peers.mu.Lock()
	absent := c.peers.absent
	if len(absent) == 0 {
		c.peers.mu.Unlock()
		return
	}
	c.peers.absent = make(map[string]uint64)
	c.peers.mu.Unlock()
	for _, call := range c.pending() {
		if later, is := absent[call.subject]; is && call.number < later {
			call.lose(ErrNoResponders)
		}
	}
}

// Interrupted says that the lattice has told that a component was scaled or replaced, or, where target is "", that a
// host stops. target is as in [Invocation]. A host forgets then which calls waited for it, and ends one that it had
// taken as it ends one that traps. So calls that nobody has taken yet end now, and one that ends without a value about
// now was cut.
func (c *Client) Interrupted(target string) {
	c.cuts.note(target)
	for _, call := range c.pending() {
		if target == "" || strings.HasPrefix(call.subject, target+protocol) {
			call.lose(fmt.Errorf("%w: %w", ErrNotAccepted, ErrCut))
		}
	}
}

// interruptions remembers what was interrupted of late.
type interruptions struct {
	mu   sync.Mutex
	at   map[string]time.Time // by target; "" is all
	came chan struct{}        // closed, and made anew, with each
}

// interruptionLasts is for how long after an interruption a call without a value counts as cut by it.
const interruptionLasts = 2 * time.Second

func (i *interruptions) init() {
	i.at, i.came = make(map[string]time.Time), make(chan struct{})
}

func (i *interruptions) note(target string) {
	now := time.Now()
	i.mu.Lock()
	defer i.mu.Unlock()
	for other, at := range i.at {
		if now.Sub(at) > interruptionLasts {
			delete(i.at, other)
		}
	}
	i.at[target] = now
	close(i.came)
	i.came = make(chan struct{})
}

// near tells whether target was interrupted a moment ago, or is within the given time.
func (i *interruptions) near(target string, within time.Duration) bool {
	timer := time.NewTimer(max(within, 0))
	defer timer.Stop()
	for {
		i.mu.Lock()
		recent := time.Since(i.at[target]) <= interruptionLasts || time.Since(i.at[""]) <= interruptionLasts
		came := i.came
		i.mu.Unlock()
		if recent || within <= 0 {
			return recent
		}
		select {
		case <-came:
		case <-timer.C:
			return false
		}
	}
}

// refused takes an error of the connection. A refusal that concerns a call fails that call.
func (c *Client) refused(err error) {
	refused, ok := refusal.Of(err)
	if !ok {
		return
	}
	subject := refused.Subject
	why := fmt.Errorf("%w: %w", ErrRefused, err)
	if subject == c.in.wildcard() {
		c.peers.mu.Lock()
		c.peers.deaf = why
		c.peers.mu.Unlock()
		c.failAll(why)
		return
	}
	if strings.HasSuffix(subject, "."+aliveToken) {
		c.peers.mu.Lock()
		c.peers.mute = true
		c.peers.mu.Unlock()
		return
	}
	for _, call := range c.pending() {
		switch {
		case call.subject == subject || strings.HasPrefix(subject, c.in.prefix):
			call.lose(why) // the second: of the reply subject
		case !call.single && call.servedBy()+paramsSuffix == subject:
			call.results.close(fmt.Errorf("%w: %w", ErrNotAccepted, why)) // it never gets all its parameters
		}
	}
}
