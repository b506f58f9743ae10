package soak

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
	"github.com/messaging-kafka/messaging-kafka/test/fleet"
)

// natsUser is the name by which the NATS server knows the provider.
const natsUser = "soak"

// connections are the provider's connections to the NATS server.
func (w *world) connections(subjects bool) ([]*server.ConnInfo, error) {
	list, err := w.nats.Server().Connz(&server.ConnzOptions{Username: true, Subscriptions: subjects, Limit: math.MaxInt32})
	if err != nil {
		return nil, fmt.Errorf("listing connections: %w", err)
	}
	var ours []*server.ConnInfo
	for _, c := range list.Conns {
		if c.AuthorizedUser == natsUser {
			ours = append(ours, c)
		}
	}
	return ours, nil
}

// listens returns the id of the provider's one connection to the NATS server, by which it hears of links.
func (w *world) listens() (connection uint64, err error) {
	ours, err := w.connections(true)
	if err != nil {
		return 0, err
	}
	if len(ours) != 1 {
		return 0, fmt.Errorf("the provider has %d connections to the NATS server", len(ours))
	}
	subjects := strings.Join(ours[0].Subs, " ")
	for _, part := range []string{".linkdefs.put", ".linkdefs.del", ".health"} {
		if !strings.Contains(subjects, part) {
			return 0, errors.New("the provider does not listen to " + part)
		}
	}
	return ours[0].Cid, nil
}

// faults break connections and stop components now and then until ctx ends. One lane each, so that they meet. nth
// counts them over the whole run, for those that take turns.
func (w *world) faults(ctx context.Context, lane int, low, high time.Duration, carryOut func(nth int, r *rand.Rand)) {
	r := rand.New(rand.NewPCG(w.cfg.seed, uint64(lane)))
	for wait := low / 3; fleet.Sleep(ctx, wait); wait = between(r, low, high) {
		carryOut(w.turns[lane], r) // each lane is one goroutine
		w.turns[lane]++
	}
}

func between(r *rand.Rand, low, high time.Duration) time.Duration {
	return low + time.Duration(r.Int64N(int64(high-low)))
}

// cutLattice takes the provider's connection to the NATS server away for a moment or longer.
func (w *world) cutLattice(nth int, r *rand.Rand) {
	w.gate.Lock()
	defer w.gate.Unlock()
	// An answer says that the provider has everything that the host sent before the question.
	var before uint64
	if err := fleet.Until(context.Background(), testkit.DefaultTimeout, func(ctx context.Context) (err error) {
		if before, err = w.listens(); err == nil {
			_, err = w.provider.Health(ctx)
		}
		return err
	}); err != nil {
		w.complain("the provider does not answer for its health: %v", err)
		return
	}
	if nth%2 == 0 {
		w.did("resets of the lattice")
		w.lattice.Cut()
	} else {
		w.did("cuts of the lattice")
		w.lattice.Down()
		fleet.Sleep(context.Background(), between(r, 100*time.Millisecond, 3*time.Second))
		w.lattice.Up()
	}
	// The server may take the old connection for alive a moment longer.
	if err := fleet.Until(context.Background(), testkit.DefaultTimeout, func(context.Context) error {
		if now, err := w.listens(); err != nil || now != before {
			return err
		}
		return errors.New("the old connection is still there")
	}); err != nil {
		w.complain("the provider does not come back to the lattice: %v", err)
	}
}

// cutKafka takes the connections to Kafka away.
func (w *world) cutKafka(nth int, r *rand.Rand) {
	proxy := w.kafka.Proxies()[0]
	if nth%2 == 0 {
		w.did("resets of Kafka")
		proxy.Cut()
		return
	}
	w.did("cuts of Kafka")
	proxy.Down()
	fleet.Sleep(context.Background(), between(r, 100*time.Millisecond, 3*time.Second))
	proxy.Up()
}

// stopComponent scales a component to 0 for a while.
func (w *world) stopComponent(nth int, r *rand.Rand) {
	w.did("components stopped")
	hold := between(r, 100*time.Millisecond, 3*time.Second)
	if i := nth % (len(w.batches) + 1); i < len(w.batches) {
		w.batches[i].stop()
		fleet.Sleep(context.Background(), hold)
		w.batches[i].start()
		return
	}
	w.worker.Stop()
	fleet.Sleep(context.Background(), hold)
	w.worker.Start()
}
