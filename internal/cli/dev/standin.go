package dev

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// DeadLetterTopic is where what the stand-in fails on goes, with [StandIn.DeadLetters].
const DeadLetterTopic = Topic + ".dead"

// failedAttempts is how often a record is tried that goes to the dead letters.
const failedAttempts = 3

// StandIn says how the stand-in for a component behaves.
type StandIn struct {
	// Processor has it export processor of messaging-kafka:records, which gets whole records in batches and returns what
	// is produced for each, instead of the handler of wasmcloud:messaging.
	Processor bool
	// Transactions has what a processor returns and the offsets committed together.
	Transactions bool
	// Failing has it answer each message with an error, so that it is retried.
	Failing bool
	// Slow is how long it takes for each message.
	Slow time.Duration
	// DeadLetters has a message go to [DeadLetterTopic] after some attempts.
	DeadLetters bool
}

// ErrStandIn says that a stand-in cannot do what it is asked to.
var ErrStandIn = errors.New("the stand-in")

// Export has the stand-in export one of [Interfaces], "" for what it has anyway. Its error says that it cannot.
func (s *StandIn) Export(name string) error {
	switch name {
	case "", messages:
		s.Processor = false
	case processor:
		s.Processor = true
	default:
		return fmt.Errorf("%w exports %s or %s: --interface %s needs --component or --url", ErrStandIn, messages, processor, name)
	}
	return nil
}

func (s StandIn) check(echoTimeout time.Duration) error {
	switch {
	case s.Slow < 0:
		return fmt.Errorf("%w takes no time less than none", ErrStandIn)
	case s.Slow >= echoTimeout:
		return fmt.Errorf("%w would take %s, and an echo is awaited for %s", ErrStandIn, s.Slow, echoTimeout)
	case s.Transactions && !s.Processor:
		return fmt.Errorf("%w publishes by itself, of which no transaction knows: have it be a processor, too", ErrStandIn)
	case s.DeadLetters && !s.Failing:
		return fmt.Errorf("%w fails on nothing that could become a dead letter: fail, too", ErrStandIn)
	}
	return nil
}

// behaviour is said after the stand-in's name.
func (s StandIn) behaviour() string {
	text := "a stand-in that publishes what it gets to the reply topic"
	switch {
	case s.Failing && s.Processor:
		text = "a stand-in for a processor that fails on each record"
	case s.Failing:
		text = "a stand-in that answers each message with an error"
	case s.Transactions:
		text = "a stand-in for a processor whose outputs reach the reply topic in one transaction with its offsets"
	case s.Processor:
		text = "a stand-in for a processor that returns what it gets for the reply topic"
	}
	if s.Slow > 0 {
		text += fmt.Sprintf(", after %s", s.Slow)
	}
	return text
}

// settings are what the link has for it.
func (s StandIn) settings(config map[string]string) {
	if s.Processor && s.Slow > 0 {
		config["batch_max_records"] = "1" // each takes its time, and a call no longer than handle_timeout
	}
	if s.Transactions {
		config["transactions"] = "true"
	}
	if s.DeadLetters {
		config["dead_letter_topic"] = DeadLetterTopic
		config["max_attempts"] = fmt.Sprint(failedAttempts)
	}
}

// link is the link of the stand-in as a host puts it. Records go to a processor by a link from the provider; messages
// come by the one that the component publishes over.
func (s StandIn) link(config map[string]string) map[string]any {
	if s.Processor {
		return map[string]any{
			"source_id": providerKey, "target": componentID, "name": linkName,
			"wit_namespace": "messaging-kafka", "wit_package": "records", "interfaces": []string{"processor"},
			"source_config": config,
		}
	}
	return map[string]any{
		"source_id": componentID, "target": providerKey, "name": linkName,
		"wit_namespace": "wasmcloud", "wit_package": "messaging", "interfaces": []string{"consumer"},
		"target_config": config,
	}
}

// topics are those that the link needs, and answers the one in which what comes back is.
func (s StandIn) topics() []string {
	topics := []string{Topic, ReplyTopic}
	if s.DeadLetters {
		topics = append(topics, DeadLetterTopic)
	}
	return topics
}

func (s StandIn) answers() string {
	if s.DeadLetters {
		return DeadLetterTopic
	}
	return ReplyTopic
}

// work takes its time; refusal is what the message is answered with, "" for nothing wrong.
func (s StandIn) work(ctx context.Context) (refusal string, err error) {
	if s.Slow > 0 {
		timer := time.NewTimer(s.Slow)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			return "", ctx.Err()
		}
	}
	if s.Failing {
		return "this stand-in fails on all that it gets, as it was asked to (--failing)", nil
	}
	return "", nil
}

// comesBack names what comes back of a line.
func (s StandIn) comesBack() string {
	if s.DeadLetters {
		return "its dead letter"
	}
	return "its echo"
}
