package route

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/messaging-kafka/messaging-kafka/internal/base/backoff"
	"github.com/messaging-kafka/messaging-kafka/internal/base/redact"
	"github.com/messaging-kafka/messaging-kafka/internal/engine/produce"
	"github.com/messaging-kafka/messaging-kafka/internal/engine/schema"
	"github.com/messaging-kafka/messaging-kafka/internal/observe/status"
	"github.com/messaging-kafka/messaging-kafka/internal/record"
	"github.com/messaging-kafka/messaging-kafka/internal/settings"
)

// newCodec returns what stands between a route and its values, nil where the settings have no schema registry. What it
// makes counts as memory for what, in words.
func (s *shared) newCodec(settings *settings.Link, what string) (*schema.Codec, error) {
	if !settings.Schema.Enabled() {
		return nil, nil
	}
	return schema.NewCodec(s.schemas, settings, s.Memory.Open(what))
}

// decodes hands records over as their schemas say, and frames what is made of them. A record that is not what its
// schema says is rejected without a call; while the registry cannot be asked, records wait.
type decodes struct {
	record.Receiver
	codec   *schema.Codec
	secrets *redact.Redactor
}

// Receive implements record.Receiver.
func (d decodes) Receive(ctx context.Context, batch []*record.Record) []record.Outcome {
	held := &schema.Held{}
	defer held.Free()
	outcomes := make([]record.Outcome, len(batch))
	ready := make([]*record.Record, 0, len(batch))
	places := make([]int, 0, len(batch))
	for i, r := range batch {
		made, err := d.codec.Decode(ctx, r, held)
		if err != nil {
			outcomes[i] = d.refused(err)
			outcomes[i].Uncalled = outcomes[i].Kind == record.Reject
			if outcomes[i].Kind == record.Reject {
				continue
			}
			// Those behind it come after it.
			for j := i + 1; j < len(batch); j++ {
				outcomes[j] = outcomes[i]
			}
			break
		}
		ready, places = append(ready, made), append(places, i)
	}
	if len(ready) == 0 {
		return outcomes
	}
	said := record.Counted(d.Receiver.Receive(ctx, ready), len(ready))
	for i, at := range places {
		outcomes[at] = d.framed(ctx, said[i])
	}
	return outcomes
}

// refused is what becomes of a record for an error of its codec.
func (d decodes) refused(err error) record.Outcome {
	fit := errors.New(d.secrets.Clip(err.Error(), maxReason))
	if _, unfit := errors.AsType[*schema.UnfitError](err); unfit {
		return record.Outcome{Kind: record.Reject, Err: fit}
	}
	reason := record.SchemasAway
	if _, short := errors.AsType[*schema.ShortError](err); short {
		reason = record.NoMemory
	}
	return record.Outcome{Kind: record.Unavailable, Err: &record.Refusal{Reason: reason, Err: fit}}
}

// askingAgain is the wait between two attempts to frame an output, for as long as the call has time: its record would
// have to be handled again.
var askingAgain = backoff.Backoff{First: 100 * time.Millisecond, Most: 2 * time.Second}

// framed returns an outcome whose outputs are as their schemas say.
func (d decodes) framed(ctx context.Context, o record.Outcome) record.Outcome {
	if len(o.Outputs) == 0 {
		return o
	}
	outputs := slices.Clone(o.Outputs) // the others are the Receiver's
	for i := range outputs {
		for failures := 1; ; failures++ {
			out, err := d.codec.Encode(ctx, outputs[i])
			if err == nil {
				outputs[i] = out
				break
			}
			refused := d.refused(err)
			if refused.Kind == record.Reject || !backoff.Sleep(ctx, askingAgain.Spread(failures)) {
				return refused
			}
		}
	}
	o.Outputs = outputs
	return o
}

// frame frames records to publish. Those that are refused have their results already, and are not among the ready ones;
// places says where each of these belongs.
func (p *publishing) frame(ctx context.Context, list []record.Outgoing) (ready []record.Outgoing, places []int, results []record.Result) {
	results = make([]record.Result, len(list))
	for i := range list {
		out, err := p.codec.Encode(ctx, list[i])
		if err == nil {
			ready, places = append(ready, out), append(places, i)
			continue
		}
		results[i] = record.Result{Position: record.Position{Topic: list[i].Topic, Partition: list[i].Partition, Offset: -1}, Err: schemaError(list[i].Topic, err)}
	}
	return ready, places, results
}

// schemaError is an error of a codec as one of a publish.
func schemaError(topic string, err error) error {
	class := produce.ClassUnavailable
	if _, unfit := errors.AsType[*schema.UnfitError](err); unfit {
		class = produce.ClassInvalid
	}
	return &produce.Error{Class: class, Topic: topic, Text: err.Error()}
}

// decodeAnswer makes JSON of the answer to a request.
func (p *publishing) decodeAnswer(ctx context.Context, answer *record.Record) (*record.Record, error) {
	held := &schema.Held{}
	defer held.Free() // it goes on to the caller, and counts there
	made, err := p.codec.Decode(ctx, answer, held)
	if err != nil {
		e := schemaError(answer.Topic, fmt.Errorf("the answer has come, and cannot be given: %w", err))
		return nil, e
	}
	return made, nil
}

// addSchemaProblem says that the registry cannot be asked.
func addSchemaProblem(list *status.Problems, codec *schema.Codec) {
	if since, why := codec.Away(); why != nil {
		list.Add(status.ProblemSchemas, fmt.Sprintf("the schemas of records cannot be had since %s: %v", since.UTC().Format(time.RFC3339), why))
	}
}
