//go:build bench

package alone

import (
	"flag"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/messaging-kafka/messaging-kafka/bench/rig"
)

var (
	duration = flag.Duration("duration", 600*time.Millisecond, "how long each round is measured")
	rounds   = flag.Int("rounds", 5, "rounds of each way, which alternate")
	folder   = flag.String("out", "../results", "`folder` for the results; - for none")
	profile  = flag.String("profile", "", "`folder` for profiles of the provider")
)

const (
	ramp = 150 * time.Millisecond
	// patience is how long a value may take before it counts as lost.
	patience = 60 * time.Second
	// warmUp is how long each way runs before anything counts. A broker gets several times faster while its compiler
	// finds out what is worth compiling.
	warmUp = 3 * time.Second
)

func TestMain(m *testing.M) { rig.Main(m) }

func say(format string, args ...any) { fmt.Printf(format+"\n", args...) }

// parseNumbers reads a list of numbers, in ascending order.
func parseNumbers(t *testing.T, list string) []int {
	t.Helper()
	numbers := rig.Numbers(t, list)
	slices.Sort(numbers)
	return numbers
}
