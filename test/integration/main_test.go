// Package integration tests the whole provider against a real Apache Kafka. The host and the component are stand-ins
// of internal/testkit, which can do what no well-behaved host and component would.
package integration

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
	"github.com/messaging-kafka/messaging-kafka/internal/wasmcloud/hostdata"
	"github.com/messaging-kafka/messaging-kafka/internal/wasmcloud/provider"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// kafka4 is the Kafka that most tests share.
func kafka4(t *testing.T) *testkit.Kafka {
	t.Helper()
	return testkit.RealKafka(t, testkit.KafkaOptions{Properties: map[string]string{
		"log.cleaner.backoff.ms": "200", // compaction within a test
	}})
}

var program struct {
	once sync.Once
	path string
	err  error
}

// builtProgram is the program itself, built once for all tests.
func builtProgram(t *testing.T) string {
	t.Helper()
	program.once.Do(func() {
		dir, err := os.MkdirTemp("", "messaging-kafka-integration-")
		if err != nil {
			program.err = err
			return
		}
		testkit.AtExit(t, func() error { return os.RemoveAll(dir) })
		root, err := testkit.ProjectRoot()
		if err != nil {
			program.err = err
			return
		}
		program.path = filepath.Join(dir, "messaging-kafka")
		build := exec.Command("go", "build", "-o", program.path, "./cmd/messaging-kafka")
		build.Dir = root
		if out, err := build.CombinedOutput(); err != nil {
			program.err = fmt.Errorf("building the provider: %w\n%s", err, out)
		}
	})
	if program.err != nil {
		t.Fatal(program.err)
	}
	return program.path
}

// inProcess runs the provider as the program does, inside the test.
func inProcess(log *slog.Logger) func(context.Context, io.Reader) error {
	return func(ctx context.Context, stdin io.Reader) error {
		data, err := hostdata.Read(ctx, stdin)
		if err != nil {
			return err
		}
		return provider.Run(ctx, data, provider.Options{Logger: log, IgnoreParent: true})
	}
}
