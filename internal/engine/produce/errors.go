package produce

import (
	"errors"

	"github.com/messaging-kafka/messaging-kafka/internal/engine/kafka"
)

// Class is the kind of a publish's end, out of a closed list that can label a metric.
type Class string

// The classes of ends.
const (
	ClassOK            Class = "ok" // no error
	ClassTooLarge      Class = "too_large"
	ClassUnknownTopic  Class = "unknown_topic"
	ClassNotAuthorised Class = "not_authorised"
	ClassTimedOut      Class = "timed_out"
	ClassUnavailable   Class = "unavailable"
	ClassInvalid       Class = "invalid"
	ClassOther         Class = "other"
)

// Classes returns all classes, for metrics that start at zero.
func Classes() []Class {
	return []Class{ClassOK, ClassTooLarge, ClassUnknownTopic, ClassNotAuthorised, ClassTimedOut, ClassUnavailable, ClassInvalid, ClassOther}
}

// Error is a record that was not stored, or of which that is not known. Its text is for the author of the component
// that published it.
type Error struct {
	Class Class
	Topic string
	// Text says what is wrong and what mends it. It holds no secret and nothing of the record.
	Text string
	// Size is what the record has and Limit what it may have, in bytes, with [ClassTooLarge]; Limit is 0 where the
	// broker alone knows it.
	Size, Limit int
	// Answer says that the record was the answer to a request, whose sender has chosen the topic.
	Answer bool
	err    error
}

// Error implements error.
func (e *Error) Error() string {
	if e.Topic == "" {
		return "publishing: " + e.Text
	}
	return "publishing to " + e.Topic + ": " + e.Text
}

// Unwrap returns the cause, nil where the provider refused the record itself.
func (e *Error) Unwrap() error { return e.err }

// ClassOf is the class of an error of a publish; nil has [ClassOK].
func ClassOf(err error) Class {
	if err == nil {
		return ClassOK
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Class
	}
	return ClassOther
}

// Refused tells whether Kafka has refused a record, or would, as things are: its topic, its rights or its size are not
// those of the moment.
func Refused(err error) bool {
	switch ClassOf(err) {
	case ClassTooLarge, ClassUnknownTopic, ClassNotAuthorised, ClassInvalid:
		return true
	default:
		return false
	}
}

func invalid(topic, text string) *Error {
	return &Error{Class: ClassInvalid, Topic: topic, Text: text}
}

// classOf maps what the Kafka side knows to what a publish distinguishes.
func classOf(c kafka.Class) Class {
	switch c {
	case kafka.ClassNone:
		return ClassOK
	case kafka.ClassTooLarge:
		return ClassTooLarge
	case kafka.ClassUnknownTopic:
		return ClassUnknownTopic
	case kafka.ClassTopicRights, kafka.ClassGroupRights, kafka.ClassClusterRights, kafka.ClassTransactionRights:
		return ClassNotAuthorised
	case kafka.ClassTimeout:
		return ClassTimedOut
	case kafka.ClassInvalidTopic, kafka.ClassInvalidRecord, kafka.ClassPolicy:
		return ClassInvalid
	case kafka.ClassBrokerTooOld, kafka.ClassProducerFenced, kafka.ClassOther:
		return ClassOther
	default: // every other class is a way of Kafka not being there
		return ClassUnavailable
	}
}
