// Command provider is the provider with its profiles served over HTTP, for the benchmarks alone. A host starts it like
// messaging-kafka itself.
package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	_ "net/http/pprof" // serves the profiles
	"os"
	"os/signal"
	"runtime"
	"syscall"
	"time"

	"github.com/messaging-kafka/messaging-kafka/bench"
	"github.com/messaging-kafka/messaging-kafka/internal/observe/telemetry"
	"github.com/messaging-kafka/messaging-kafka/internal/wasmcloud/hostdata"
	"github.com/messaging-kafka/messaging-kafka/internal/wasmcloud/provider"
)

// address is where profiles are served. A host clears the environment of its providers and gives them no arguments, so
// the linker sets it: -X main.address=127.0.0.1:6060. Where that is empty, the environment does (addressVariable).
var address string

const (
	addressVariable = "MESSAGING_KAFKA_BENCH_ADDRESS"
	// waitsVariable, if set, adds the profiles of what goroutines wait for, which cost time themselves.
	waitsVariable = "MESSAGING_KAFKA_BENCH_WAITS"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintf(os.Stderr, "profiled provider: %v\n", err)
		os.Exit(1)
	}
}

func run() error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if address == "" {
		address = os.Getenv(addressVariable)
	}
	if os.Getenv(waitsVariable) != "" {
		runtime.SetMutexProfileFraction(10)
		runtime.SetBlockProfileRate(int(10 * time.Microsecond))
	}
	http.HandleFunc("/runtime", bench.ServeRuntime)
	profiles := &http.Server{Addr: address, ReadHeaderTimeout: 5 * time.Second}
	failed := make(chan error, 1)
	go func() { failed <- profiles.ListenAndServe() }()
	defer func() {
		_ = profiles.Close() // the process ends anyway
		if err := <-failed; !errors.Is(err, http.ErrServerClosed) {
			fmt.Fprintf(os.Stderr, "profiled provider: serving profiles: %v\n", err)
		}
	}()

	data, err := hostdata.Read(ctx, os.Stdin)
	if err != nil {
		return err
	}
	return provider.Run(ctx, data, provider.Options{
		Logger: telemetry.NewLogger(os.Stderr, data.LogLevel, data.StructuredLogging),
	})
}
