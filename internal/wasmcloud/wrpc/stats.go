package wrpc

import "sync/atomic"

// counters are what a server counts; the fields are those of [Stats].
type counters struct {
	calls, repeated, refused, unclosed, malformed, failed atomic.Uint64
}

// Stats are the counts of a [Server] since its start, and its calls of this moment.
type Stats struct {
	// Calls counts the invocations that came, those that were refused or dropped included.
	Calls uint64
	// AcceptsRepeated counts repetitions of accepts.
	AcceptsRepeated uint64
	// Refused counts calls that came while too many were running.
	Refused uint64
	// Unclosed counts calls that were given up because the end of their parameters did not come.
	Unclosed uint64
	// Malformed counts calls that could not be answered and calls with too large parameters.
	Malformed uint64
	// Failed counts calls whose handler returned an error or panicked.
	Failed uint64
	// Running is the number of calls that are running, Waiting that of calls that wait to be, Awaited that of calls
	// whose caller has to send more.
	Running, Waiting, Awaited int
}

// Stats returns the counts. They are not taken at one moment.
func (s *Server) Stats() Stats {
	s.mu.Lock()
	running, waiting, awaited := s.places.running, s.places.waiting, s.places.awaited
	s.mu.Unlock()
	return Stats{
		Calls:           s.counts.calls.Load(),
		AcceptsRepeated: s.counts.repeated.Load(),
		Refused:         s.counts.refused.Load(),
		Unclosed:        s.counts.unclosed.Load(),
		Malformed:       s.counts.malformed.Load(),
		Failed:          s.counts.failed.Load(),
		Running:         running,
		Waiting:         waiting,
		Awaited:         awaited,
	}
}
