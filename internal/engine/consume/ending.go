package consume

import (
	"context"
	"math"
	"sync"
	"time"
)

// ending is the time that the end of a session may take. It is a context that ends at its deadline, which a Stop brings
// forward that comes while a session is already being ended, and with it the deadlines of the steps under way. Its
// methods may be called by many goroutines at once.
type ending struct {
	context.Context
	cancel context.CancelFunc
	// forGood tells that nobody comes back soon, whom the group could wait for.
	forGood bool

	mu       sync.Mutex
	end      time.Time // zero: none
	timer    *time.Timer
	steps    map[*step]struct{}
	followed []func() bool
}

func newEnding() *ending {
	ctx, cancel := context.WithCancel(context.Background())
	return &ending{Context: ctx, cancel: cancel, steps: make(map[*step]struct{})}
}

// Deadline implements context.Context.
func (e *ending) Deadline() (deadline time.Time, ok bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.end, !e.end.IsZero()
}

// follow has e end when ctx does, if not earlier, and its steps give way to ctx's deadline.
func (e *ending) follow(ctx context.Context) {
	if deadline, ok := ctx.Deadline(); ok {
		e.endBy(deadline)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.followed = append(e.followed, context.AfterFunc(ctx, e.cancel))
}

// endBy brings the deadline forward.
func (e *ending) endBy(deadline time.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.end.IsZero() && !deadline.Before(e.end) {
		return
	}
	e.end = deadline
	if e.timer != nil {
		e.timer.Stop()
	}
	e.timer = time.AfterFunc(time.Until(deadline), e.cancel)
	for s := range e.steps {
		s.fit()
	}
}

// over frees what e holds, when the end is reached.
func (e *ending) over() {
	e.cancel()
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.timer != nil {
		e.timer.Stop()
	}
	for _, unfollow := range e.followed {
		unfollow()
	}
}

// step is the context of one step of an end.
type step struct {
	context.Context
	cancel context.CancelFunc
	ending *ending
	// may says how long the step may take of the time that is left.
	may func(left time.Duration) time.Duration

	// ending.mu protects these.
	end   time.Time
	timer *time.Timer
}

// step begins a step that may take a part of the time that is left. Its context is to be canceled when it is over.
func (e *ending) step(may func(left time.Duration) time.Duration) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(e)
	s := &step{Context: ctx, cancel: cancel, ending: e, may: may}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.steps[s] = struct{}{}
	s.fit()
	return s, s.over
}

// fit sets the step's end by the time that is left, and never later than it was. ending.mu is held.
func (s *step) fit() {
	left := time.Duration(math.MaxInt64)
	if !s.ending.end.IsZero() {
		left = time.Until(s.ending.end)
	}
	now := time.Now()
	end := now.Add(s.may(left))
	if !s.end.IsZero() && !end.Before(s.end) {
		return
	}
	s.end = end
	if s.timer != nil {
		s.timer.Stop()
	}
	s.timer = time.AfterFunc(end.Sub(now), s.cancel)
}

// Deadline implements context.Context.
func (s *step) Deadline() (deadline time.Time, ok bool) {
	s.ending.mu.Lock()
	defer s.ending.mu.Unlock()
	return s.end, true
}

func (s *step) over() {
	s.cancel()
	s.ending.mu.Lock()
	defer s.ending.mu.Unlock()
	s.timer.Stop()
	delete(s.ending.steps, s)
}

// drainTime is how long running calls may take at the end: the link's drain_timeout, but some of what is left must
// remain for the commit and for leaving the group.
func drainTime(left, setting time.Duration) time.Duration {
	return max(min(setting, left-min(left/2, closeReserve)), 0)
}

// lastLetterTime is when the dead letters of a share group have to be stored that calls make due which were given up at
// the end: those of records that the broker drops. It is the end of the calls and half of what remains then.
func lastLetterTime(left, setting time.Duration) time.Duration {
	drain := drainTime(left, setting)
	return drain + part(left-drain, 2, time.Second)
}

// closeReserve is the part of a stop that is kept for the last commit and for leaving the group.
const closeReserve = 100 * time.Millisecond

// lastCommitTime is how long the last commit may take. A commit that fails costs that records are delivered again; a
// group that is not left costs that nobody reads the partitions until the session timeout. So time is kept for leaving.
func lastCommitTime(left time.Duration) time.Duration { return part(left, 2, commitTimeout) }

// leaveTime is how long the client may take to leave the group by itself.
func leaveTime(left time.Duration) time.Duration { return part(left, 3, time.Second) }

// part is the nth part of the time that is left, but at most most.
func part(left time.Duration, n int, most time.Duration) time.Duration {
	return max(min(left/time.Duration(n), most), 0)
}
