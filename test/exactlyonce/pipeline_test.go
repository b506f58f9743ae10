//go:build exactlyonce

package exactlyonce

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/messaging-kafka/messaging-kafka/internal/record"
	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
	"github.com/messaging-kafka/messaging-kafka/test/fleet"
	"github.com/messaging-kafka/messaging-kafka/test/ledger"
)

// pipeline is one topic that goes through a component to another one.
type pipeline struct {
	name               string // of its component and its group too
	protocol           string
	transactions       bool
	in, out, deadTopic string
	producer           ledger.Producer
	seed               uint64
	mu                 sync.Mutex
	deliveries         map[ledger.ID]int
	calls, hangs       int
	traps, retries     int
}

func newPipeline(client *testkit.Client, seed uint64, protocol string, transactions bool) *pipeline {
	name := protocol + map[bool]string{true: "-transactions", false: "-plain"}[transactions]
	p := &pipeline{
		name: name, protocol: protocol, transactions: transactions, seed: seed,
		in: name + ".in", out: name + ".out", deadTopic: name + ".dead",
		deliveries: make(map[ledger.ID]int),
	}
	p.producer = ledger.Producer{Client: client.Client, Topic: p.in, Keys: keys, Seed: seed}
	return p
}

var errTrap = errors.New("this call traps")

// process is the component. What it does depends on the seed, the records and how often it has seen them.
func (p *pipeline) process(ctx context.Context, batch []*record.Record) ([]record.Outcome, error) {
	outcomes := make([]record.Outcome, len(batch))
	var hang, trap bool
	p.mu.Lock()
	p.calls++
	for i, r := range batch {
		id, err := ledger.ParseID(string(r.Value))
		if err != nil {
			p.mu.Unlock()
			return nil, err
		}
		p.deliveries[id]++
		now := rand.New(rand.NewPCG(p.seed+uint64(p.deliveries[id]), id.Number()))
		fate := FateOf(p.seed, id)
		switch luck := now.Float64(); {
		case fate.Reject:
			outcomes[i] = record.Outcome{Kind: record.Reject, Err: errors.New("this record must not be processed")}
		case fate.Fail:
			outcomes[i] = record.Outcome{Kind: record.Retry, Err: errors.New("this record cannot be processed")}
		case luck < 0.0002:
			hang = true
		case luck < 0.0008:
			trap = true
		case luck < 0.01:
			p.retries++
			outcomes[i] = record.Outcome{Kind: record.Retry, Err: errors.New("not now")}
		default:
			outcomes[i] = record.Outcome{Kind: record.Done, Outputs: OutputsOf(r, fate, p.out)}
		}
	}
	switch {
	case hang:
		p.hangs++
	case trap:
		p.traps++
	}
	p.mu.Unlock()
	if hang {
		fleet.Sleep(ctx, 2*handleTimeout)
		return nil, errTrap
	}
	if !fleet.Sleep(ctx, time.Duration(rand.Int64N(int64(20*time.Millisecond)))) || trap {
		return nil, errTrap
	}
	return outcomes, nil
}

// drained returns nil when everything that was produced is committed.
func (p *pipeline) drained(ctx context.Context, admin *kadm.Client) error {
	ends, committed, err := fleet.Offsets(ctx, admin, p.name, p.in)
	if err != nil {
		return err
	}
	if !maps.Equal(ends, committed) {
		return fmt.Errorf("%s: committed %v of %v", p.name, committed, ends)
	}
	return nil
}

// tally reads what came out. aborted is the number of records that only a read_uncommitted reader sees.
func (p *pipeline) tally(ctx context.Context, w *world) (t *Tally, aborted int, err error) {
	t = &Tally{Seed: p.seed}
	if t.Produced, err = p.producer.Places(); err != nil {
		return nil, 0, err
	}
	if t.End, t.Committed, err = fleet.Offsets(ctx, w.admin, p.name, p.in); err != nil {
		return nil, 0, err
	}
	all, stored, err := fleet.ReadAll(ctx, w.t, w.kafka.Brokers(), p.out)
	if err != nil {
		return nil, 0, err
	}
	t.AddOutputs(all)
	aborted = stored - len(all)
	if all, stored, err = fleet.ReadAll(ctx, w.t, w.kafka.Brokers(), p.deadTopic); err != nil {
		return nil, 0, err
	}
	t.AddDead(all)
	return t, aborted + stored - len(all), nil
}
