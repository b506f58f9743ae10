// Package simulation runs the engine (consume, dispatch, produce, transactions) of several copies of the provider
// against a fake Kafka in virtual time (testing/synctest): hours of trouble take seconds, since nobody waits for a
// clock. A seed draws the settings, the records, what the component answers, and the faults: errors in answers,
// connections that are cut, slow or frozen, bytes that are damaged on their way, leaders and coordinators that move,
// copies that are killed, stopped and started. Then the faults end, everything has to drain, and the invariants are
// checked against what the log really holds. docs/delivery.md refers to them by their names.
//
// Each run that make simulate makes has a process of its own, built so that goroutines run in an order that the seed
// fixes: it is repeated to the byte. In the tests of this package they do not, so there a seed repeats the story of a
// run and, nearly always, its end, but not each interleaving.
//
//	make simulate                 fresh seeds for five minutes; FOR=1h for as long
//	make simulate SEED=7          one seed, with its story
package simulation
