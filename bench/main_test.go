//go:build bench

package bench_test

import (
	"testing"

	"messaging-kafka/bench/rig"
)

func TestMain(m *testing.M) { rig.Main(m) }
