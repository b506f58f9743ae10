package consume

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/messaging-kafka/messaging-kafka/internal/base/backoff"
)

// errForgotten ends a session of which the group says that it has gone on without the member.
var errForgotten = errors.New("the group has gone on without this member, as it says to a commit: its partitions may have another owner by now")

// errNoHeartbeat ends a session that the group can be expected to have given up.
var errNoHeartbeat = errors.New("the group has had no sign of life from here for session_timeout: its partitions may have another owner by now")

// fence keeps account of a classic group's member: until when the broker can be trusted to take it for alive. The
// broker counts session_timeout from when it takes a heartbeat, and then gives the partitions to others, whether the
// member hears of that or not; the client hears of it only when the broker is within reach again, and would let calls
// begin until then. The fence counts from when a heartbeat that was taken was sent, which is earlier, so it is over
// before the broker's time is. A broker that answers with an error, such as that it does not coordinate the group any
// more, has taken none, and what it counts from begins before its answer arrives.
//
// It is a hook of the Kafka client. Its methods may be called by many goroutines at once.
type fence struct {
	session, rebalance time.Duration

	mu sync.Mutex
	// alive is when the broker has taken the member for alive last; zero while there is no membership. sure is when it is
	// known to have: an answer to a request to join was given at some time since that was sent, and the broker counts from
	// then. With alive a member that has waited for others for long has time to go on, without it no more than that.
	alive, sure time.Time
	// waiting is when the member began to wait for the others in a rebalance, zero while it does not. It sends no
	// heartbeats then, and the broker expects none until the others are there, which can take rebalance. Nobody can see
	// whether the answer is on its way, or lost; to suspect it would end the session in every long rebalance. What the
	// group says to a commit meanwhile is heard, see passedBy.
	waiting time.Time
	// behind is when a commit was refused first for its generation since then.
	behind time.Time
	joins  bool // it has asked to join, by the classic protocol
}

var (
	_ kgo.HookBrokerWrite = (*fence)(nil)
	_ kgo.HookBrokerE2E   = (*fence)(nil)
)

func waitsForOthers(key int16) bool {
	return key == kmsg.JoinGroup.Int16() || key == kmsg.SyncGroup.Int16()
}

// OnBrokerWrite notes the beginning of a wait for other members.
func (f *fence) OnBrokerWrite(_ kgo.BrokerMetadata, key int16, _ int, _, _ time.Duration, err error) {
	if err != nil || !waitsForOthers(key) {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.waiting, f.joins = time.Now(), true
}

// answered is a [kafka.MembershipAnswer]: it notes signs of life. Answers that say that the member is none are for the
// client, which acts on them at once.
func (f *fence) answered(key int16, sent time.Time, code int16) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch kmsg.Key(key) {
	case kmsg.Heartbeat:
		if code == 0 || code == kerr.RebalanceInProgress.Code {
			f.heard(sent)
		}
	case kmsg.SyncGroup:
		f.waiting = time.Time{}
		if code == 0 {
			f.heard(sent) // the broker begins to count when it has both this and the leader's
		} else {
			f.alive = f.sure
		}
	case kmsg.JoinGroup:
		f.waiting = time.Time{}
		if code == 0 {
			f.heard(sent)
			f.alive = time.Now() // what counts more exactly, SyncGroup, follows at once
		}
	default: // no other answer says how the member is
	}
}

// OnBrokerE2E notes the end of a wait that broke off. It is begun again at once, and until then the member is as alive
// as it was.
func (f *fence) OnBrokerE2E(_ kgo.BrokerMetadata, key int16, e2e kgo.BrokerE2E) {
	if !waitsForOthers(key) || e2e.WriteErr == nil && e2e.ReadErr == nil {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.waiting, f.alive = time.Time{}, f.sure
}

// heard notes that the broker has taken the member for alive since a time. f.mu is held.
func (f *fence) heard(since time.Time) {
	f.sure = later(f.sure, since)
	f.alive = later(f.alive, f.sure)
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// classic tells whether a group has been run by the classic protocol.
func (f *fence) classic() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.joins
}

// waits tells whether the member waits for others in a rebalance.
func (f *fence) waits() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return !f.waiting.IsZero()
}

// left is how long the broker can still be trusted to take the member for alive.
func (f *fence) left(now time.Time) time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	end := f.alive.Add(f.session)
	if !f.waiting.IsZero() {
		end = later(end, f.waiting.Add(f.rebalance+f.session))
	}
	return end.Sub(now)
}

// passedBy tells, of a commit that was refused, whether the group has gone on without a member that waits for others:
// its request to join was lost, and no heartbeat tells it. A refusal for the generation alone may also be met just
// before the answer to the request arrives, so it has to last.
func (f *fence) passedBy(refused error, now time.Time) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	// A static member is unknown by another name where its instance id is another's by now.
	unknown := errors.Is(refused, kerr.UnknownMemberID) || errors.Is(refused, kerr.FencedInstanceID)
	behind := errors.Is(refused, kerr.IllegalGeneration)
	switch {
	case f.waiting.IsZero(): // heartbeats tell, and the client acts on them
		return false
	case unknown:
		return true
	case !behind:
		return false
	case f.behind.Before(f.waiting):
		f.behind = now
	}
	return now.Sub(f.behind) >= f.session/2
}

// guard gives all calls up and ends the session when the fence is over, until ctx ends.
func (s *session) guard(ctx context.Context) {
	// A member that has just got its first partitions is found soon.
	idle := s.fence.session / 10
	for wait := idle; backoff.Sleep(ctx, wait); {
		s.mu.Lock()
		holds := len(s.assigned) > 0
		s.mu.Unlock()
		if wait = idle; !holds {
			continue
		}
		// A wait for others that comes to nothing leaves less time than there was.
		if wait = min(idle, s.fence.left(time.Now())); wait > 0 {
			continue
		}
		s.leaveCalls(errNoHeartbeat)
		return
	}
}

// leaveCalls gives all calls up and ends the session.
func (s *session) leaveCalls(why error) {
	s.log.Warn("all calls are given up", "reason", why)
	s.abandon()
	s.fail(why)
}

// abandon gives up all partitions as those of another member.
func (s *session) abandon() {
	s.mu.Lock()
	going := make([]*assignment, 0, len(s.assigned))
	for _, a := range s.assigned {
		going = append(going, a)
	}
	s.closing = true // what is assigned from here on is none of this session's
	s.mu.Unlock()
	for _, a := range going {
		a.Abandon()
	}
}
