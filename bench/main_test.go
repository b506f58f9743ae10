//go:build bench

package bench

import (
	"fmt"
	"os"
	"testing"

	"messaging-kafka/internal/testkit"
)

// roleVariable tells a copy of this program what it is to be, instead of running tests.
const roleVariable = "MESSAGING_KAFKA_BENCH_ROLE"

func TestMain(m *testing.M) {
	switch role := os.Getenv(roleVariable); role {
	case "":
		testkit.Main(m)
	case natsRole:
		if err := runNATS(os.Args[1], os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, "nats-server:", err)
			os.Exit(1)
		}
		os.Exit(0)
	default:
		fmt.Fprintf(os.Stderr, "unknown role %q\n", role)
		os.Exit(2)
	}
}
