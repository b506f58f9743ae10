package testkit

import (
	"fmt"
	"os"
	"slices"
	"sync"
	"testing"

	"go.uber.org/goleak"
)

// fakeKafkaStuck is what a fake Kafka leaves behind now and then that is closed in the moment in which a control
// function wakes up: it ends without letting go of the lock that the broker's loop wants.
var fakeKafkaStuck = goleak.IgnoreAnyFunction("github.com/twmb/franz-go/pkg/kfake.(*Cluster).continueSleptControl")

// shared is what tests of one package use together; Main stops it after the last of them.
var shared struct {
	mu     sync.Mutex
	inMain bool
	stops  []func() error
}

// AtExit has [Main] call stop after the last of the package's tests, for what they share. It fails the test when the
// package has no Main, for then nothing would.
func AtExit(t testing.TB, stop func() error) {
	t.Helper()
	shared.mu.Lock()
	defer shared.mu.Unlock()
	if !shared.inMain {
		t.Fatal("this helper is shared by the package's tests: hand TestMain to testkit.Main, which stops it")
	}
	shared.stops = append(shared.stops, stop)
}

// Main runs a package's tests from its TestMain, stops what they shared, fails when goroutines are left over, and
// exits the process. ignore adds to the goroutines that may stay, each with its reason at the call.
func Main(m *testing.M, ignore ...goleak.Option) {
	shared.mu.Lock()
	shared.inMain = true
	shared.mu.Unlock()

	code := m.Run()

	shared.mu.Lock()
	stops := shared.stops
	shared.stops = nil
	shared.mu.Unlock()
	for _, stop := range slices.Backward(stops) {
		if err := stop(); err != nil {
			fmt.Fprintf(os.Stderr, "testkit: stopping what the tests shared: %v\n", err)
			code = max(code, 1)
		}
	}
	// A failed test may well leave something behind; its failure is what there is to read.
	if code == 0 {
		if err := goleak.Find(append(ignore, fakeKafkaStuck)...); err != nil {
			fmt.Fprintf(os.Stderr, "testkit: goroutines left over: %v\n", err)
			code = 1
		}
	}
	os.Exit(code)
}

// CheckLeaks fails the test when it ends with goroutines that were not there at this call. It goes first in a test,
// so that its check comes after all other clean-ups. Tests that run in parallel with others cannot use it.
func CheckLeaks(t testing.TB, ignore ...goleak.Option) {
	t.Helper()
	ignore = append(ignore, goleak.IgnoreCurrent(), fakeKafkaStuck)
	t.Cleanup(func() {
		if !t.Failed() {
			goleak.VerifyNone(t, ignore...)
		}
	})
}
