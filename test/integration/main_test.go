// Package integration tests the whole provider against a real Apache Kafka. The host and the component are stand-ins
// of internal/testkit, which can do what no well-behaved host and component would.
package integration

import (
	"context"
	"io"
	"log/slog"
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
