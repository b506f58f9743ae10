//go:build bench

package alone

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/messaging-kafka/messaging-kafka/bench"
	"github.com/messaging-kafka/messaging-kafka/bench/rig"
	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

var (
	inFlight = []int{1, 16, 64, 512}
	sizes    = []int{100, 1 << 10, 64 << 10, 1 << 20}
)

const (
	ordinarySize     = 1 << 10
	ordinaryInFlight = 64
)

// TestProvider is no test of how fast anything is: it fails when values are lost or something breaks.
func TestProvider(t *testing.T) {
	report := Report{
		Version: rig.Version(t), Software: rig.Software(t),
		Setup: Setup{Seconds: duration.Seconds(), Rounds: *rounds},
	}
	report.Started, report.Machine = rig.Began()
	b := setUp(t, inFlight, subject{key: "kafka", binary: rig.Build(t, "./bench/provider")})
	p := b.providers[0]
	b.startBridge(rig.Build(t, "./cmd/messaging-kafka"), inFlight)

	say("warming up")
	for _, way := range []string{Produce, ReadBack, Publish, Echo, HTTP, Request, Handle} {
		b.load(way, p, Shape{ordinaryInFlight, ordinarySize}, warmUp)
	}
	b.drain(p, ordinaryInFlight)
	for _, shape := range shapes() {
		report.Rounds = append(report.Rounds, b.measure(p, shape)...)
		b.drain(p, shape.InFlight)
	}
	for _, size := range sizes {
		report.Rounds = append(report.Rounds, b.bulk(p, size)...)
	}
	for _, shape := range append(shapes(), bulkShapes()...) {
		report.Rows = append(report.Rows, Summarise(shape, report.Rounds)...)
	}
	report.Judge(inFlight, ordinarySize)
	if err := report.Print(os.Stdout); err != nil {
		t.Error(err)
	}
	if *folder == "-" {
		return
	}
	if err := bench.WriteJSON(filepath.Join(*folder, "provider.json"), &report); err != nil {
		t.Error(err)
	}
}

// shapes are all numbers in flight with values of ordinary size, and all other sizes with an ordinary number.
func shapes() []Shape {
	var list []Shape
	for _, n := range inFlight {
		list = append(list, Shape{n, ordinarySize})
	}
	for _, size := range sizes {
		if size != ordinarySize {
			list = append(list, Shape{ordinaryInFlight, size})
		}
	}
	return list
}

// bulkShapes are those of a plain client that waits for nothing: no number is in flight.
func bulkShapes() []Shape {
	var list []Shape
	for _, size := range sizes {
		list = append(list, Shape{0, size})
	}
	return list
}

// measure runs the rounds of one shape. What drifts over time, such as a machine that others use, falls on all ways
// alike.
func (b *bed) measure(p *provider, shape Shape) []Round {
	b.t.Helper()
	var list []Round
	ways := slices.Clone(Ways)
	for round := 1; round <= *rounds; round++ {
		for _, way := range ways {
			stop := b.profile(p, way, shape, round)
			r := NewRound(way, shape, round, b.load(way, p, shape, *duration))
			stop()
			list = append(list, r)
		}
		slices.Reverse(ways)
	}
	line := fmt.Sprintf("%d in flight, %d B:", shape.InFlight, shape.Size)
	for _, row := range Summarise(shape, list) {
		line += fmt.Sprintf(" %s %.0f/s", row.Way, row.PerSecond.Median)
	}
	say("%s", line)
	return list
}

// bulk measures a plain client that produces and reads without waiting.
func (b *bed) bulk(p *provider, size int) []Round {
	b.t.Helper()
	shape := Shape{0, size}
	topic := fmt.Sprintf("limit.bulk.%d", size)
	admin := testkit.NewClient(b.t, b.seeds())
	var list []Round
	for round := 1; round <= *rounds; round++ {
		name := fmt.Sprintf("%s.%d", topic, round)
		admin.Topic(name, 1, topicConfig)
		produced := int64(0)
		list = append(list, b.timed(p, BulkProduce, shape, round, func() int64 {
			end := time.Now().Add(*duration)
			err := b.produce(name, size, func(n int64) bool { produced = n; return n%16 != 0 || time.Now().Before(end) })
			if err != nil {
				b.t.Fatal(err)
			}
			return produced
		}))
		list = append(list, b.timed(p, BulkConsume, shape, round, func() int64 { return b.consume(name, produced) }))
		admin.DeleteTopic(name)
	}
	return list
}

func (b *bed) seeds() []string {
	seeds, ok := b.producer.OptValue(kgo.SeedBrokers).([]string)
	if !ok {
		b.t.Fatal("the client does not say which brokers it has")
	}
	return seeds
}

// consume reads so many records.
func (b *bed) consume(topic string, want int64) int64 {
	b.t.Helper()
	cl := testkit.NewClient(b.t, b.seeds(), append(rig.ClientOptions(),
		kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))...).Client
	defer cl.Close()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	n := int64(0)
	for n < want {
		fetches := cl.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			b.t.Fatalf("reading %s: %v", topic, err)
		}
		n += int64(fetches.NumRecords())
	}
	return n
}

// timed measures something from its beginning to its end.
func (b *bed) timed(p *provider, way string, shape Shape, round int, do func() int64) Round {
	b.t.Helper()
	before, err := p.gauge.Read()
	if err != nil {
		b.t.Fatal(err)
	}
	begin := time.Now()
	done := do()
	took := time.Since(begin)
	after, err := p.gauge.Read()
	if err != nil {
		b.t.Fatal(err)
	}
	return NewRound(way, shape, round, rig.Result{Took: took, Done: int(done), Used: after.Since(before)})
}
