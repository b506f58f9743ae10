package consume

import (
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

const (
	// unansweredFor is for how long after a commit without an answer it may still reach the group's coordinator, and
	// recommitEvery how often offsets are committed again meanwhile that have been committed already.
	unansweredFor = time.Minute
	recommitEvery = 5 * time.Second
)

// unansweredCommits keeps account of commits that were sent and not answered. Their connections are gone, and the
// client has sent them again by others; but a broker that stood still, or a network, may hold what was sent and hand it
// over after newer commits of the same member, which the coordinator then takes for an older state of the group: it
// takes all that a member commits. So offsets are committed again for as long as that may be.
//
// It is a hook of the Kafka client. Its methods may be called by many goroutines at once.
type unansweredCommits struct {
	mu    sync.Mutex
	until time.Time
}

var _ kgo.HookBrokerE2E = (*unansweredCommits)(nil)

// OnBrokerE2E notes commits that are not answered.
func (l *unansweredCommits) OnBrokerE2E(_ kgo.BrokerMetadata, key int16, e2e kgo.BrokerE2E) {
	if key != kmsg.OffsetCommit.Int16() || e2e.WriteErr == nil && e2e.ReadErr == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.until = time.Now().Add(unansweredFor)
}

// possible tells whether a commit may still arrive that was sent before others.
func (l *unansweredCommits) possible(now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return now.Before(l.until)
}
