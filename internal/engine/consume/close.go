package consume

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/messaging-kafka/messaging-kafka/internal/settings"
)

// close ends the session: calls may finish within drain_timeout, their offsets are committed, the group is left. All
// of that is over soon after e is.
func (s *session) close(e *ending) {
	defer context.AfterFunc(e, s.kill)()
	defer s.cutOff()
	cut, uncut := e.step(lastCommitTime)
	defer uncut()
	defer context.AfterFunc(cut, s.cutOff)()
	s.stop()
	s.mu.Lock()
	s.closing = true
	s.mu.Unlock()
	// Before the loops are waited for: a poll waits for a revocation that is under way, and that for calls.
	drain, cancel := e.step(func(left time.Duration) time.Duration { return drainTime(left, s.cfg.Settings.Delivery.DrainTimeout) })
	s.d.Close(drain)
	cancel()
	s.unguard()
	s.guarding.Wait()
	s.loops.Wait()
	last, cancel := e.step(lastCommitTime)
	if err := s.commit(last, nil); err != nil {
		s.log.Warn("the last commit failed: what was handled since the one before will be delivered again", "error", err)
	}
	cancel()
	s.mu.Lock()
	clear(s.assigned)
	s.mu.Unlock()
	if err := s.leave(e); err != nil && !errors.Is(err, context.Canceled) {
		s.log.Warn("leaving the group failed: the broker notices at the session timeout", "error", err)
	}
	s.cl.CloseAllowingRebalance()
	// Close polls once more, and throws away what it finds, such as the error of a group that is out of reach. Of its
	// goroutines the one that leaves the group may begin after that, and would wait for that poll's end for ever.
	s.cl.AllowRebalance()
	s.kill()
	s.fetched.Close()
	s.d.Release()
	s.closeTransactor()
}

func (s *session) closeTransactor() {
	if s.transactor != nil {
		s.transactor.Close()
	}
}

// leave leaves the group. A static member of a classic group stays in it: it is awaited until the session timeout. One
// of a KIP-848 group says that it will be back, or the broker would not let its successor in before that.
//
// The client may take too long. It does not leave a classic group while its request to join waits for an answer, which
// the broker gives only when all other members have joined as well, or the rebalance timeout has thrown them out. A
// request past the client makes the broker answer at once: it knows no such member any more.
func (s *session) leave(e *ending) error {
	c := &s.cfg.Settings.Consumer
	// The client takes the other protocol where a broker is too old for KIP-848.
	kip848 := c.GroupProtocol == settings.GroupConsumer && !s.fence.classic()
	polite, cancel := e.step(leaveTime)
	err := s.cl.LeaveGroupContext(polite)
	late := polite.Err() != nil
	cancel()
	member := s.member()
	switch {
	case member == "":
		return err
	case kip848 && (err != nil || c.InstanceID != ""):
		// For a static member the client's own request lacks the instance id, and the broker refuses it.
		return s.leaveConsumer(e, member, e.forGood)
	case !kip848 && (late && c.InstanceID == "" || e.forGood && c.InstanceID != ""):
		return s.leaveClassic(e, member)
	}
	return err
}

// leaveClassic leaves a classic group past the client.
func (s *session) leaveClassic(ctx context.Context, member string) error {
	req := kmsg.NewPtrLeaveGroupRequest()
	req.Group, req.MemberID = s.cfg.Settings.Consumer.Group, member // one of the two, by the version of the request
	m := kmsg.NewLeaveGroupRequestMember()
	m.MemberID = member
	if id := s.cfg.Settings.Consumer.InstanceID; id != "" {
		m.InstanceID = &id
	}
	req.Members = append(req.Members, m)
	resp, err := req.RequestWith(ctx, s.cl)
	if err == nil {
		err = kerr.ErrorForCode(resp.ErrorCode)
	}
	return leftAlready("leaving the group past the client", err)
}

// The epochs by which a member of a KIP-848 group says that it leaves it, and that it does so to come back soon.
const (
	epochLeave       = -1
	epochStaticLeave = -2
)

// leaveConsumer leaves a KIP-848 group past the client; forGood is that a static member does not come back soon.
func (s *session) leaveConsumer(ctx context.Context, member string, forGood bool) error {
	req := kmsg.NewPtrConsumerGroupHeartbeatRequest()
	req.Group, req.MemberID, req.MemberEpoch = s.cfg.Settings.Consumer.Group, member, epochLeave
	if id := s.cfg.Settings.Consumer.InstanceID; id != "" {
		req.InstanceID = &id
		if !forGood {
			req.MemberEpoch = epochStaticLeave
		}
	}
	resp, err := req.RequestWith(ctx, s.cl)
	if err == nil {
		err = kerr.ErrorForCode(resp.ErrorCode)
	}
	return leftAlready("leaving the group past the client", err)
}

// leftAlready is nil for errors that say that the group has no such member any more, which is what was wanted.
func leftAlready(doing string, err error) error {
	switch {
	case err == nil, errors.Is(err, kerr.UnknownMemberID), errors.Is(err, kerr.GroupIDNotFound), errors.Is(err, kerr.FencedInstanceID):
		return nil
	}
	return fmt.Errorf("%s: %w", doing, err)
}
