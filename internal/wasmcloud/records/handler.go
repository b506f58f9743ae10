package records

import (
	"context"
	"fmt"

	"github.com/messaging-kafka/messaging-kafka/internal/payload/wit"
	"github.com/messaging-kafka/messaging-kafka/internal/record"
	"github.com/messaging-kafka/messaging-kafka/internal/wasmcloud/guest"
	"github.com/messaging-kafka/messaging-kafka/internal/wasmcloud/wrpc"
)

// HandlerClient calls handler@0.1.0 and processor@0.1.0 of components. It is safe for concurrent use.
type HandlerClient struct {
	client   *wrpc.Client
	lattice  string
	provider string
	base64   bool
}

// NewHandlerClient calls over client in the given lattice. Components see providerKey as the source of the calls.
func NewHandlerClient(client *wrpc.Client, lattice, providerKey string) *HandlerClient {
	return &HandlerClient{client: client, lattice: lattice, provider: providerKey}
}

// WithBase64 returns a client whose calls give components base64 in place of list<u8>.
func (c *HandlerClient) WithBase64() *HandlerClient {
	with := *c
	with.base64 = true
	return &with
}

// Handle has the component handle a batch of records and returns what it said of each, as [record.Receiver] wants it.
// A call that ended without an answer that can be read, or with another number of results, ended so for each record.
// Trace headers go along with a ctx made by [guest.WithTraceHeaders].
func (c *HandlerClient) Handle(ctx context.Context, componentID, linkName string,
	batch []*record.Record) []record.Outcome {
	return c.call(ctx, componentID, linkName, batch, handlerInstance, "handle", wit.DecodeHandled)
}

// Process has the component process a batch, as [HandlerClient.Handle] has it handle one. The outcomes have the
// records that the component made, whose bytes share memory with the messages that they came in.
func (c *HandlerClient) Process(ctx context.Context, componentID, linkName string,
	batch []*record.Record) []record.Outcome {
	return c.call(ctx, componentID, linkName, batch, processorInstance, "process", wit.DecodeProcessed)
}

func (c *HandlerClient) call(
	ctx context.Context, componentID, linkName string, batch []*record.Record, instance, function string,
	decode func(*wit.Decoder, int) ([]record.Outcome, error),
) []record.Outcome {
	var outcomes []record.Outcome
	err := c.client.Invoke(ctx, wrpc.Invocation{
		Target:   c.lattice + "." + componentID,
		Instance: instance,
		Function: function,
		Header:   guest.CallHeader(ctx, c.provider, componentID, linkName),
		Params:   wit.AppendBatch(nil, batch, c.base64),
	}, func(d *wit.Decoder) (err error) {
		outcomes, err = decode(d, len(batch))
		return err
	})
	if err != nil {
		return record.Each(len(batch),
			guest.Failed(fmt.Errorf("handing %d records to component %s: %w", len(batch), componentID, err)))
	}
	return outcomes
}
