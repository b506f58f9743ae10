package fleet

import (
	"context"
	"net"
	"strconv"
	"testing"
	"time"

	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

// FreeAddresses returns n addresses of 127.0.0.1 that nobody listens on.
func FreeAddresses(t testing.TB, n int) []string {
	t.Helper()
	base, err := testkit.FreePorts(n)
	if err != nil {
		t.Fatal(err)
	}
	var addresses []string
	for i := range n {
		addresses = append(addresses, net.JoinHostPort("127.0.0.1", strconv.Itoa(base+i)))
	}
	return addresses
}

// Sleep tells whether it slept to the end.
func Sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// Until calls check every now and then until it returns nil, and returns its last error where it has not within
// timeout.
func Until(ctx context.Context, timeout time.Duration, check func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	for {
		attempt, cancel := context.WithTimeout(ctx, 10*time.Second)
		err := check(attempt)
		cancel()
		if err == nil || ctx.Err() != nil {
			return err
		}
		Sleep(ctx, 200*time.Millisecond)
	}
}
