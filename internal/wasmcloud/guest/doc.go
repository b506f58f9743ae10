// Package guest holds what calls from and to components have in common, whatever the interface: who calls, which
// headers go along, how long a call may take, what an error may say, and what the end of a call tells.
package guest

import "time"

// MaxCall bounds every call that a component makes. It is the time after which hosts, in their default setting, end
// the guest that waits for it (--max-execution-time-ms).
const MaxCall = 10 * time.Minute

// RequestGrace is how much longer than its time-out a request may take, so that its own time-out, which can say what
// was missing, comes before the context's.
const RequestGrace = time.Second
