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
	// Failing has it answer each message with an error, so that it is retried.
	Failing bool
	// Slow is how long it takes for each message.
	Slow time.Duration
	// DeadLetters has a message go to [DeadLetterTopic] after some attempts.
	DeadLetters bool
}

// ErrStandIn says that a stand-in cannot do what it is asked to.
var ErrStandIn = errors.New("the stand-in")

func (s StandIn) check(echoTimeout time.Duration) error {
	switch {
	case s.Slow < 0:
		return fmt.Errorf("%w takes no time less than none", ErrStandIn)
	case s.Slow >= echoTimeout:
		return fmt.Errorf("%w would take %s, and an echo is awaited for %s", ErrStandIn, s.Slow, echoTimeout)
	case s.DeadLetters && !s.Failing:
		return fmt.Errorf("%w fails on nothing that could become a dead letter: fail, too", ErrStandIn)
	}
	return nil
}

// behaviour is said after the stand-in's name.
func (s StandIn) behaviour() string {
	text := "a stand-in that publishes what it gets to the reply topic"
	if s.Failing {
		text = "a stand-in that answers each message with an error"
	}
	if s.Slow > 0 {
		text += fmt.Sprintf(", after %s", s.Slow)
	}
	return text
}

// settings are what the link has for it.
func (s StandIn) settings(config map[string]string) {
	if s.DeadLetters {
		config["dead_letter_topic"] = DeadLetterTopic
		config["max_attempts"] = fmt.Sprint(failedAttempts)
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
		return "this stand-in fails on each message, as it was asked to (--failing)", nil
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
