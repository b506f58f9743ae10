package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/messaging-kafka/messaging-kafka/bench"
	"github.com/messaging-kafka/messaging-kafka/bench/alone"
)

// The documents of the project itself: whoever records new results writes the documents as well.
func TestTheDocumentsAreWhatTheResultsSay(t *testing.T) {
	if err := run("../..", false); err != nil {
		t.Error(err)
	}
}

func results(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	for _, dir := range []string{"docs", "bench/results"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	shape := alone.Shape{InFlight: 64, Size: 1024}
	rate := bench.Spread{Median: 12345, Low: 10000, High: 15000}
	provider := alone.Report{
		Machine: bench.Machine{CPU: "a processor", Cores: 2, Load: 5}, Version: "v1",
		Goals: []bench.Goal{{Text: "a goal", Value: 0.5, Reached: true}, {Text: "another", Value: 2}},
		Rows: []alone.Row{
			{Way: alone.NATS, Shape: shape, PerSecond: rate},
			{Way: alone.Handle, Shape: shape, PerSecond: rate, Ratios: map[string]bench.Spread{alone.NATS: {Median: 0.5}}, CPU: map[string]float64{bench.Provider: 25.5}},
			{Way: alone.BulkProduce, Shape: alone.Shape{Size: 1024}, PerSecond: rate},
		},
	}
	scale := alone.ScaleReport{Points: []alone.Point{{Of: alone.Links, N: 500, Links: 500, Partitions: 500, Copies: 1,
		Memory: 158.2}}}
	scale.Slopes = []alone.Slope{{Of: alone.Links, What: "memory", Unit: "KiB", Each: 280, Before: 310}}
	if err := errors.Join(
		bench.WriteJSON(filepath.Join(root, "bench/results/provider.json"), &provider),
		bench.WriteJSON(filepath.Join(root, "bench/results/scale.json"), &scale),
		os.WriteFile(filepath.Join(root, "bench/results/micro.txt"), []byte(micro), 0o644),
		os.WriteFile(filepath.Join(root, "docs/performance.md"), []byte(skeleton), 0o644),
	); err != nil {
		t.Fatal(err)
	}
	return root
}

const (
	micro = `goos: linux
pkg: github.com/messaging-kafka/messaging-kafka/internal/wasmcloud/wrpc
BenchmarkCall/wrpc/inflight=64-2  100  30000 ns/op  31000 calls/s  5600 B/op  58 allocs/op
BenchmarkCall/wrpc/inflight=64-2  100  10000 ns/op  31000 calls/s  5500 B/op  57 allocs/op
BenchmarkCall/wrpc/inflight=64-2  100  20000 ns/op  31000 calls/s  5700 B/op  59 allocs/op
PASS
ok  	messaging-kafka/internal/wasmcloud/wrpc	0.9s
`
	skeleton = `# Performance
before
<!-- begin: provider -->
old
<!-- end: provider -->
<!-- begin: scale -->
<!-- end: scale -->
<!-- begin: packages -->
<!-- end: packages -->
after
`
)

func TestResultsGetIntoTheDocuments(t *testing.T) {
	root := results(t)
	if err := run(root, false); err == nil {
		t.Error("old documents pass")
	}
	if err := run(root, true); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(root, "docs/performance.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"before", "after", "| a goal | 0.5 | reached |", "| another | 2 | not reached |", "busy with other things",
		"| 64 | 1,024 | handle | 12,345 ±20 % |", "0.50 NATS", "| 25.5 |", "| unbounded | 1,024 | bulk produce |",
		"| 1 | 500 | 500 |", "| links | memory | 280 KiB | 310 KiB |",
		"| wrpc: Call/wrpc/inflight=64 | 20,000 | 5,600 | 58 |",
	} {
		if !strings.Contains(string(text), want) {
			t.Errorf("no %q in:\n%s", want, text)
		}
	}
	if strings.Contains(string(text), "old") {
		t.Error("the old text is still there")
	}
	if err := run(root, false); err != nil {
		t.Errorf("documents that have just been written: %v", err)
	}
	picture, err := os.ReadFile(filepath.Join(root, "docs/performance.svg"))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(picture), "<polyline") {
		t.Errorf("nothing is drawn:\n%s", picture)
	}
}

func TestWhatIsMissingIsNamed(t *testing.T) {
	for _, test := range []struct{ name, file, text, want string }{
		{"a mark", "docs/performance.md", strings.Replace(skeleton, "<!-- end: scale -->", "", 1), "end: scale"},
		{"results", "bench/results/scale.json", "{", "reading results"},
		{"a number", "bench/results/micro.txt", "BenchmarkX 1 two ns/op", "two"},
	} {
		t.Run(test.name, func(t *testing.T) {
			root := results(t)
			if err := os.WriteFile(filepath.Join(root, test.file), []byte(test.text), 0o644); err != nil {
				t.Fatal(err)
			}
			if err := run(root, true); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v, want a word of %q", err, test.want)
			}
		})
	}
}

func TestThousandsAreSetApart(t *testing.T) {
	for v, want := range map[float64]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567",
		-1000: "-1,000", 0.1: "0.1"} {
		if got := thousands(v); got != want {
			t.Errorf("%v is written %q", v, got)
		}
	}
}
