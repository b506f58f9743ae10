//go:build bench

package alone

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/messaging-kafka/messaging-kafka/bench/rig"
	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

// leastBacklog is how many bytes lie there at least. They cost little, and a rate is guessed too low where the machine
// has just been busy.
const leastBacklog = 8 << 20

// handle lets records go to their component that lie in the topic before the load begins.
func (b *bed) handle(p *provider, shape Shape, job rig.Job) rig.Result {
	b.t.Helper()
	topic := handleTopic(p.key, shape.InFlight)
	lies := p.backlog[topic]
	if lies.rate == 0 {
		// A call of the component without Kafka is the same on the wire, so no record goes faster.
		lies.rate = float64(b.load(WRPC, p, shape, 100*time.Millisecond).Done) / 0.1
	}
	job.Do, job.Component = rig.Handle, gateID(p.key, shape.InFlight)
	for {
		seconds := (job.Ramp + job.Duration).Seconds()
		b.fill(topic, lies, max(int64(1.3*lies.rate*seconds), leastBacklog/int64(shape.Size))+2*int64(shape.InFlight),
			shape.Size)
		r := b.component.Do(job)
		if r.Err != "" {
			return r
		}
		lies.handled = r.Handled[job.Component]
		if lies.handled < lies.produced {
			lies.rate = float64(r.Done) / r.Took.Seconds()
			return r
		}
		say("handle, %d in flight, %d B: there were too few records; again with more", shape.InFlight, shape.Size)
		lies.rate *= 2
	}
}

// fill produces until so many records lie there.
func (b *bed) fill(topic string, lies *backlog, want int64, size int) {
	b.t.Helper()
	missing := want - (lies.produced - lies.handled)
	if missing <= 0 {
		return
	}
	if err := b.produce(topic, size, func(n int64) bool { return n < missing }); err != nil {
		b.t.Fatal(err)
	}
	lies.produced += missing
}

// produce produces values as fast as it can for as long as more says so, and waits for the last acknowledgement.
func (b *bed) produce(topic string, size int, more func(n int64) bool) error {
	value := rig.Values(size)(0)
	var mu sync.Mutex
	var failed error
	for n := int64(0); more(n); n++ {
		b.producer.Produce(context.Background(), &kgo.Record{Topic: topic, Value: value}, func(_ *kgo.Record, err error) {
			if err != nil {
				mu.Lock()
				failed = err
				mu.Unlock()
			}
		})
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := b.producer.Flush(ctx); err != nil {
		return fmt.Errorf("producing to %s: %w", topic, err)
	}
	mu.Lock()
	defer mu.Unlock()
	return failed
}

// drain lets what lies in a topic pass, so that values of another size can follow.
func (b *bed) drain(p *provider, inFlight int) {
	b.t.Helper()
	lies, id := p.backlog[handleTopic(p.key, inFlight)], gateID(p.key, inFlight)
	b.component.Do(rig.Job{Do: rig.Open, Component: id})
	testkit.Eventually(b.t, 2*testkit.DefaultTimeout, func() error {
		lies.handled = b.component.Do(rig.Job{Do: rig.Count}).Handled[id]
		if lies.handled < lies.produced {
			return fmt.Errorf("%d of %d records were handled", lies.handled, lies.produced)
		}
		return nil
	})
	b.component.Do(rig.Job{Do: rig.Shut, Component: id})
	lies.rate = 0
}
