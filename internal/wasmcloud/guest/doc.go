// Package guest holds what calls from and to components have in common, whatever the interface: who calls, which
// headers go along, how long a call may take, what an error may say, and what the end of a call tells.
//
// [CallerOf] reads from the headers of a call which component makes it and by which link; [CallHeader] and
// [LinkHeader] are the headers of calls that the provider makes. Traces travel in them. [Failed] turns the error of a
// call into a [record.Outcome]: whether nobody took it (Unavailable), somebody took it and gave no answer
// (Unanswered), or it answered with an error.
//
// messaging and records call with it, provider uses it to find routes. What a component's own error text means is
// payload's to say. It starts no goroutine.
package guest

import "time"

// MaxCall bounds every call that a component makes. It is the time after which hosts, in their default setting, end
// the guest that waits for it (--max-execution-time-ms).
const MaxCall = 10 * time.Minute

// RequestGrace is how much longer than its time-out a request may take, so that its own time-out, which can say what
// was missing, comes before the context's.
const RequestGrace = time.Second
