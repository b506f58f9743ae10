package exactlyonce

import (
	"fmt"
	"strconv"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/messaging-kafka/messaging-kafka/internal/record"
	"github.com/messaging-kafka/messaging-kafka/test/ledger"
)

// Headers of outputs.
const (
	headerFrom = "from"
	headerNth  = "nth"
)

// OutputsOf makes the outputs of a record for a topic, as its fate has them.
func OutputsOf(r *record.Record, fate Fate, topic string) []record.Outgoing {
	outs := make([]record.Outgoing, fate.Outputs)
	for i := range outs {
		outs[i] = record.Outgoing{
			Topic: topic, Partition: record.AnyPartition, Key: r.Key, Value: r.Value, Headers: []record.Header{
				{Key: headerFrom, Value: []byte(ledger.At(r.Partition, r.Offset).String())},
				{Key: headerNth, Value: []byte(strconv.Itoa(i + 1))},
			},
		}
	}
	return outs
}

// AddOutputs adds what stands in the topic of outputs. What was produced is known before.
func (t *Tally) AddOutputs(all []*kgo.Record) {
	for _, r := range all {
		o := Output{At: ledger.At(r.Partition, r.Offset)}
		var err error
		if o.ID, err = ledger.ParseID(string(r.Value)); err == nil {
			err = o.readHeaders(r.Headers)
		}
		if _, ours := t.Produced[o.ID]; err != nil || !ours {
			t.Strangers = append(t.Strangers, fmt.Sprintf("the output at %v: %v", o.At, err))
			continue
		}
		t.Outputs = append(t.Outputs, o)
	}
}

// AddDead adds what stands in the topic of dead letters. What was produced is known before.
func (t *Tally) AddDead(all []*kgo.Record) {
	for _, r := range all {
		id, err := ledger.ParseID(string(r.Value))
		if _, ours := t.Produced[id]; err != nil || !ours {
			t.Strangers = append(t.Strangers, fmt.Sprintf("the dead letter at %d@%d: %v", r.Partition, r.Offset, err))
			continue
		}
		t.Dead = append(t.Dead, id)
	}
}

func (o *Output) readHeaders(headers []kgo.RecordHeader) (err error) {
	for _, h := range headers {
		switch h.Key {
		case headerFrom:
			o.From, err = ledger.ParsePlace(string(h.Value))
		case headerNth:
			o.Nth, err = strconv.Atoi(string(h.Value))
		}
		if err != nil {
			return err
		}
	}
	return nil
}
