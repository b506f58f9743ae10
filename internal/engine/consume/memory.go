package consume

import (
	"fmt"
	"time"

	"github.com/messaging-kafka/messaging-kafka/internal/base/backoff"
	"github.com/messaging-kafka/messaging-kafka/internal/base/memory"
	"github.com/messaging-kafka/messaging-kafka/internal/engine/kafka"
	"github.com/messaging-kafka/messaging-kafka/internal/observe/status"
)

const (
	// firstFetchBytes is what a fetch brings at first, and minFetchBytes what it brings at least. It grows as long as
	// there is room for what it becomes in memory.
	firstFetchBytes = 256 << 10
	minFetchBytes   = 64 << 10
	// fetchPart is the part of the buffer that the fetches from all brokers may be: small records, or many small headers,
	// take twenty times as much in memory as on their way, and where they are not compressed nothing stands between.
	fetchPart = 8
	// pollBytes is about how much one poll takes out of the client. It is there twice until it has been copied.
	pollBytes = 1 << 20
	// memoryWait is how long a link may wait for memory that others hold before that is a problem.
	memoryWait = 10 * time.Second
)

// memoryBackoff is for how long a partition rests for which there was no room.
var memoryBackoff = backoff.Backoff{First: 5 * time.Millisecond, Most: time.Second}

// mostFetch is the most that one fetch may bring, of so many brokers that are asked at once.
func mostFetch(cfg *Config, brokers int) int32 {
	return int32(min(int64(cfg.Settings.Consumer.FetchMaxBytes), max(cfg.Settings.Delivery.MaxBuffer/fetchPart/int64(max(brokers, 1)), minFetchBytes)))
}

// firstFetch is what fetches may bring at first.
func firstFetch(cfg *Config) int32 { return min(mostFetch(cfg, 1), firstFetchBytes) }

// fetchLimits bound what the client holds. A batch may be as large as the buffer, and as two of the largest records
// that the link may publish.
func fetchLimits(cfg *Config) kafka.FetchLimits {
	buffer := cfg.Settings.Delivery.MaxBuffer
	return kafka.FetchLimits{
		Batch:   max(buffer, 2*int64(cfg.Settings.Producer.Client.MaxMessageBytes)),
		Held:    buffer,
		Setting: "max_buffer",
		Account: cfg.Memory,
	}
}

// affords tells whether there is memory for more records. Where the link holds none, it asks for some in any case: the
// client has what it fetched, and that must be taken from it.
func (s *session) affords() bool {
	return s.cfg.Memory.Room(pollBytes) || s.d.Buffered() == 0
}

// pollSize is how many records to poll.
func (s *session) pollSize() int {
	size := s.recordSize
	if n := s.cl.BufferedFetchRecords(); n > 0 {
		size = max(size, s.cl.BufferedFetchBytes()/n)
	}
	return int(min(max(pollBytes/max(size, 1), 1), maxPoll))
}

// fitFetches makes fetches smaller when they bring more than there is room for, which would be fetched again, and
// larger again, slowly, when they do not.
func (s *session) fitFetches() {
	squeezed := s.fetched.OverLimit()
	s.mu.Lock()
	defer s.mu.Unlock()
	fit := s.fetchBytes
	if squeezed {
		fit = max(fit/2, min(minFetchBytes, fit))
	} else {
		fit = max(fit, min(fit+fit/16+1, s.mostBytes))
	}
	if fit != s.fetchBytes {
		s.fetchBytes = fit
		s.resize()
	}
}

// refusedForMemory lets a partition rest that was refused room for its next batch, and for longer each time: it is
// fetched again, and what it holds may be megabytes.
func (s *session) refusedForMemory(tp topicPartition, a *assignment) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a.noMemory++
	a.retryAt = time.Now().Add(memoryBackoff.After(a.noMemory))
	if !a.paused {
		a.paused = true
		s.cl.PauseFetchPartitions(map[string][]int32{tp.topic: {tp.partition}})
	}
	s.paused.Store(true)
}

// addMemoryProblem says when a link has to wait for what others hold.
func addMemoryProblem(ps *status.Problems, account *memory.Account) {
	if since := account.Waits(); !since.IsZero() && time.Since(since) > memoryWait && !account.Room(minShare) {
		ps.Add(status.ProblemMemory, fmt.Sprintf("reading waits since %s for memory that others hold: raise provider_max_memory, or lower max_buffer where it is held",
			since.UTC().Format(time.RFC3339)))
	}
}
