package produce

import (
	"bytes"
	"context"
	"strconv"
	"sync"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/messaging-kafka/messaging-kafka/internal/record"
	"github.com/messaging-kafka/messaging-kafka/internal/settings"
)

// BenchmarkPublish measures a publish of 1 KiB, acknowledged, by so many publishers at once. The in-process broker
// shares the processors.
func BenchmarkPublish(b *testing.B) {
	for _, inFlight := range []int{1, 64} {
		b.Run(strconv.Itoa(inFlight)+" in flight", func(b *testing.B) {
			cluster := startKafka(b, kfake.SeedTopics(4, "t"), kfake.BlackholeProduce())
			publisher := publisherFor(b, cluster, settings.Producer{}, settings.CreateTopics{})
			out := record.Outgoing{Topic: "t", Partition: record.AnyPartition, Value: bytes.Repeat([]byte("v"), 1024)}
			if _, err := publish(context.Background(), publisher, out); err != nil {
				b.Fatal(err)
			}
			b.SetBytes(1024)
			b.ReportAllocs()
			b.ResetTimer()
			var all sync.WaitGroup
			turns := make(chan struct{}, inFlight)
			for range inFlight {
				all.Go(func() {
					for range turns {
						if _, err := publish(context.Background(), publisher, out); err != nil {
							b.Error(err)
						}
					}
				})
			}
			for range b.N {
				turns <- struct{}{}
			}
			close(turns)
			all.Wait()
		})
	}
}
