package provider

import (
	"errors"
	"fmt"

	"messaging-kafka/internal/lattice"
	"messaging-kafka/internal/settings"
)

// job is what a link has the provider do. It follows from the WIT package and the interfaces that the link names.
type job uint8

const (
	// jobMessages calls wasmcloud:messaging/handler: one message a call.
	jobMessages job = iota
	// jobMessaging serves wasmcloud:messaging/consumer, and calls the handler where the link names a topic, as the
	// original provider did.
	jobMessaging
	// jobHandle and jobProcess call messaging-kafka:records/handler and processor: batches of records.
	jobHandle
	jobProcess
	// jobRecords serves messaging-kafka:records/producer and requester.
	jobRecords
)

func (j job) String() string {
	return [...]string{
		"wasmcloud:messaging/handler", "wasmcloud:messaging/consumer",
		"messaging-kafka:records/handler", "messaging-kafka:records/processor", "messaging-kafka:records/producer",
	}[j]
}

// batches tells whether the component takes batches.
func (j job) batches() bool { return j == jobHandle || j == jobProcess }

// records tells whether the component has whole records, and no messages.
func (j job) records() bool { return j.batches() || j == jobRecords }

// publishes tells whether the component calls the provider over the link.
func (j job) publishes() bool { return j == jobMessaging || j == jobRecords }

// check refuses settings that say nothing for what the link does.
func (j job) check(s *settings.Link) error {
	switch {
	case j == jobRecords && s.Consumer.Enabled():
		return errors.New("topic: records reach the component by a link with this provider as source and the interface handler or processor; " +
			"a link with this provider as target and the interfaces producer and requester only publishes")
	case s.Delivery.Transactions && j != jobProcess:
		return fmt.Errorf("transactions: only a link with the interface messaging-kafka:records/processor has outputs to commit with the offsets, this one has %s", j)
	}
	return nil
}

// jobOf reads what a link asks for, and refuses what this provider does not do.
func jobOf(l *lattice.Link) (job, error) {
	source := l.ID.Direction == lattice.AsSource
	var served map[string]job
	switch pkg := l.ID.Namespace + ":" + l.ID.Package; {
	case pkg == "wasmcloud:messaging" && source:
		served = map[string]job{"handler": jobMessages}
	case pkg == "wasmcloud:messaging":
		served = map[string]job{"consumer": jobMessaging}
	case pkg == "messaging-kafka:records" && source:
		served = map[string]job{"handler": jobHandle, "processor": jobProcess}
	case pkg == "messaging-kafka:records":
		served = map[string]job{"producer": jobRecords, "requester": jobRecords}
	default:
		return 0, fmt.Errorf("this provider serves wasmcloud:messaging and messaging-kafka:records, not %s", pkg)
	}
	if len(l.Interfaces) == 0 {
		return 0, errors.New("the link names no interface")
	}
	var does job
	for i, name := range l.Interfaces {
		j, ok := served[name]
		if !ok {
			return 0, fmt.Errorf("a link of %s:%s with this provider as %s cannot have the interface %s", l.ID.Namespace, l.ID.Package, l.ID.Direction, name)
		}
		if i > 0 && j != does {
			return 0, errors.New("records go either to handler or to processor: make two links with different names for both")
		}
		does = j
	}
	return does, nil
}
