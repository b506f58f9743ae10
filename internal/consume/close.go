package consume

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"messaging-kafka/internal/settings"
)

// close ends the session: calls may finish within drain_timeout, their offsets are committed, the group is left. All
// of that is over soon after ctx ends.
func (s *session) close(ctx context.Context) {
	defer context.AfterFunc(ctx, s.kill)()
	defer s.cutOff()
	defer time.AfterFunc(lastCommitTime(ctx), s.cutOff).Stop()
	s.stop()
	s.mu.Lock()
	s.closing = true
	s.mu.Unlock()
	// Before the loops are waited for: a poll waits for a revocation that is under way, and that for calls.
	drain, cancel := context.WithTimeout(ctx, drainTime(ctx, s.cfg.Settings.Delivery.DrainTimeout))
	s.d.Close(drain)
	cancel()
	s.loops.Wait()
	last, cancel := context.WithTimeout(ctx, lastCommitTime(ctx))
	if err := s.commit(last, nil); err != nil {
		s.log.Warn("the last commit failed: what was handled since the one before will be delivered again", "error", err)
	}
	cancel()
	s.mu.Lock()
	clear(s.assigned)
	s.mu.Unlock()
	if err := s.leave(ctx); err != nil && !errors.Is(err, context.Canceled) {
		s.log.Warn("leaving the group failed: the broker notices at the session timeout", "error", err)
	}
	s.cl.CloseAllowingRebalance()
	// Close polls once more, and throws away what it finds, such as the error of a group that is out of reach. Of its
	// goroutines the one that leaves the group may begin after that, and would wait for that poll's end for ever.
	s.cl.AllowRebalance()
	s.kill()
	s.closeTransactor()
}

func (s *session) closeTransactor() {
	if s.transactor != nil {
		s.transactor.Close()
	}
}

// leave leaves the group, unless the member is a static one.
//
// The client does not leave while its request to join waits for an answer, and the broker gives that only when all
// other members have joined as well, or the rebalance timeout has thrown them out. A request past the client makes
// the broker answer at once: it knows no such member any more.
func (s *session) leave(ctx context.Context) error {
	polite, cancel := context.WithTimeout(ctx, politeTime(ctx))
	err := s.cl.LeaveGroupContext(polite)
	cancel()
	c := &s.cfg.Settings.Consumer
	if !errors.Is(err, context.DeadlineExceeded) || c.InstanceID != "" || c.GroupProtocol == settings.GroupConsumer {
		return err
	}
	member, _ := s.cl.GroupMetadata()
	if member == "" {
		return err
	}
	req := kmsg.NewPtrLeaveGroupRequest()
	req.Group, req.MemberID = c.Group, member // one of the two, by the version of the request
	m := kmsg.NewLeaveGroupRequestMember()
	m.MemberID = member
	req.Members = append(req.Members, m)
	resp, err := req.RequestWith(ctx, s.cl)
	if err == nil {
		err = kerr.ErrorForCode(resp.ErrorCode)
	}
	if err != nil && !errors.Is(err, kerr.UnknownMemberID) {
		return fmt.Errorf("leaving while others join: %w", err)
	}
	return nil
}

// drainTime is how long running calls may take at the end: the link's drain_timeout, but some of what ctx leaves
// must remain for the commit and for leaving the group.
func drainTime(ctx context.Context, setting time.Duration) time.Duration {
	drain := setting
	if deadline, ok := ctx.Deadline(); ok {
		left := time.Until(deadline)
		drain = min(drain, left-min(left/2, closeReserve))
	}
	return max(drain, 0)
}

// closeReserve is the part of a stop that is kept for the last commit and for leaving the group.
const closeReserve = 100 * time.Millisecond

// lastCommitTime is how long the last commit may take. A commit that fails costs that records are delivered again; a
// group that is not left costs that nobody reads the partitions until the session timeout. So time is kept for leaving.
func lastCommitTime(ctx context.Context) time.Duration { return part(ctx, 2, commitTimeout) }

// politeTime is how long the client may take to leave the group by itself.
func politeTime(ctx context.Context) time.Duration { return part(ctx, 3, time.Second) }

// part is the nth part of the time that ctx leaves, but at most most.
func part(ctx context.Context, n int, most time.Duration) time.Duration {
	deadline, ok := ctx.Deadline()
	if !ok {
		return most
	}
	return max(min(time.Until(deadline)/time.Duration(n), most), 0)
}
