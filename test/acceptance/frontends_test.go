//go:build acceptance

package acceptance

import (
	"testing"

	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// frontEnd is one way from Kafka to an application and back, with what it honestly cannot do.
type frontEnd struct {
	name string
	// start starts an application and the program, with one route between Kafka and it.
	start func(p *place, settings map[string]string)
	// settings are those that all its routes have, whole those by which keys, headers and null get through, batches those
	// by which several records go in one call.
	settings map[string]string
	whole    []string
	batches  []string
	// returns says that outputs are a part of the verdict, sends that a handler sends them.
	returns, sends bool
	// attempts says that the application knows how often a record came.
	attempts bool
	// cannot has the names of cases, each with the reason.
	cannot map[string]string
}

// Why something cannot be.
const (
	oneByOne     = "`wasmcloud:messaging` has one message a call"
	ownPublishes = "the component publishes by itself, which is in nobody's transaction"
	ownHeaders   = "whoever gets whole records reads the address of the answer in their headers"
)

var frontEnds = []*frontEnd{
	{
		name: "lattice, messages", start: startLatticeMessages, attempts: true,
		settings: map[string]string{"reply_topic": out},
		whole:    []string{"payload", "envelope", "tombstones", "envelope"},
		cannot:   map[string]string{"batches": oneByOne, "transactions": ownPublishes},
	},
	{
		name: "lattice, records", start: startLatticeRecords, returns: true, attempts: true,
		cannot: map[string]string{"answers": ownHeaders},
	},
}
