package produce

import (
	"context"
	"math"
	"sync"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/messaging-kafka/messaging-kafka/internal/record"
)

// nowhere is a partition that no topic has.
const nowhere = math.MaxInt32

// learn has the client know the topics of outputs before there is a record for them. It hands over records that have
// waited for a topic's partitions before it has noted the partitions, and does not find them meanwhile: neither as part
// of the transaction when that ends, nor among those that fail when another one does, which is never told of then. With
// an error it tells which output is the first that is for such a topic.
func (t *Transactor) learn(ctx context.Context, outputs []record.Outgoing) (index int, err error) {
	type probe struct {
		first int
		call  recordContext
		err   error
	}
	var probes []*probe
	var waiting sync.WaitGroup
	for i := range outputs {
		topic := outputs[i].Topic
		if _, known := t.known[topic]; known {
			continue
		}
		t.known[topic] = struct{}{}
		p := &probe{first: i, call: recordContext{Context: ctx}}
		probes = append(probes, p)
		waiting.Add(1)
		// It is for no partition, so that it fails when these are known.
		t.client().Produce(ctx, &kgo.Record{Topic: topic, Partition: nowhere, Context: &p.call}, func(_ *kgo.Record, err error) {
			p.err = err
			waiting.Done()
		})
	}
	if len(probes) == 0 {
		return 0, nil
	}
	waiting.Wait()
	for _, p := range probes {
		if p.call.partitions > 0 {
			continue
		}
		delete(t.known, outputs[p.first].Topic)
		if err == nil {
			index, err = p.first, p.err
		}
	}
	if err != nil {
		return index, err
	}
	// It waits for a lock that the client has until the partitions are noted. There is nothing to abort.
	return probes[0].first, t.client().AbortBufferedRecords(ctx)
}
