package dev

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"

	"github.com/messaging-kafka/messaging-kafka/internal/payload/wit"
	"github.com/messaging-kafka/messaging-kafka/internal/record"
)

const processorInstance = "messaging-kafka:records/processor@0.1.0"

// process serves processor.process: what comes in goes out to the reply topic, with its key and its headers.
func (s StandIn) process(ctx context.Context, _ nats.Header, params *wit.Decoder) ([]byte, error) {
	batch, err := wit.DecodeBatch(params)
	if err != nil {
		return nil, fmt.Errorf("decoding the parameters of process: %w", err)
	}
	outcomes := make([]record.Outcome, len(batch))
	for i, r := range batch {
		failed, err := s.work(ctx)
		if err != nil {
			return nil, fmt.Errorf("taking time as asked: %w", err)
		}
		if failed != "" {
			outcomes[i] = record.Outcome{Kind: record.Retry, Err: errors.New(failed)}
			continue
		}
		outcomes[i] = record.Outcome{Kind: record.Done, Outputs: []record.Outgoing{{
			Topic: ReplyTopic, Partition: record.AnyPartition, Key: r.Key, Value: r.Value, Headers: r.Headers,
		}}}
	}
	return wit.AppendProcessed(nil, outcomes), nil
}
