//go:build e2e

// Package e2e tests against a real wasmCloud host and a real Wasm component. It needs the host of test/host, which
// `test/host/build` makes once; without it the tests are skipped, or fail where nothing may be skipped.
//
// Run it with: go test -tags e2e ./test/e2e
package e2e

import (
	"testing"

	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }
