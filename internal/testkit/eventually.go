package testkit

import (
	"testing"
	"time"
)

// DefaultTimeout is how long helpers of this package wait for something that a working system does at once. It is
// generous, because it is only ever used up by a test that fails.
const DefaultTimeout = time.Minute

const pollInterval = 5 * time.Millisecond

// Eventually calls check until it returns nil and fails the test at once with check's last error when it has not
// within timeout. check runs on the test's own goroutine, so it may use t; one that blocks holds the test up.
func Eventually(t testing.TB, timeout time.Duration, check func() error) {
	t.Helper()
	begin := time.Now()
	interval := pollInterval
	for {
		err := check()
		if err == nil {
			return
		}
		if waited := time.Since(begin); waited >= timeout {
			t.Fatalf("not so after %v: %v", waited.Round(time.Millisecond), err)
		}
		time.Sleep(interval)
		// Checks against a real Kafka are not free: slow down when it takes longer.
		interval = min(interval*3/2, 200*time.Millisecond)
	}
}
