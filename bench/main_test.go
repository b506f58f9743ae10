//go:build bench

package bench_test

import (
	"testing"

	"github.com/messaging-kafka/messaging-kafka/bench/rig"
)

func TestMain(m *testing.M) { rig.Main(m) }
