package status

import (
	"slices"
	"strings"
)

// ProblemKind says what a [Problem] is about. States and remedies are chosen by it, never by the words of a text.
type ProblemKind string

// The kinds of problems.
const (
	// ProblemStarting is none yet: something has not been done for the first time.
	ProblemStarting ProblemKind = "starting"
	// ProblemRefused is a link whose settings cannot work.
	ProblemRefused ProblemKind = "refused"
	// ProblemKafka is a cluster that cannot be reached, or does not let the link in.
	ProblemKafka ProblemKind = "kafka"
	// ProblemTopic is a topic that is missing, or that the link may not use as it is to.
	ProblemTopic ProblemKind = "topic"
	// ProblemGroup is a group that could not be joined, or was left.
	ProblemGroup ProblemKind = "group"
	// ProblemPartition is a partition that cannot be read, ProblemHeld one that stands still because of a record.
	ProblemPartition ProblemKind = "partition"
	ProblemHeld      ProblemKind = "held"
	// ProblemMemory is reading that waits for memory which other links, or calls, hold.
	ProblemMemory ProblemKind = "memory"
	// ProblemCommit is an offset that cannot be committed.
	ProblemCommit ProblemKind = "commit"
	// ProblemCredentials are credentials that the receiver of records refuses, ProblemProxy a proxy before it that asks
	// for some, ProblemRedirect a receiver that is elsewhere now.
	ProblemCredentials ProblemKind = "credentials"
	ProblemProxy       ProblemKind = "proxy"
	ProblemRedirect    ProblemKind = "redirect"
	// ProblemSchemas is a schema registry that cannot be asked.
	ProblemSchemas ProblemKind = "schemas"
	// ProblemUnavailable is a component that takes no calls, ProblemFailing one that takes them and fails.
	ProblemUnavailable ProblemKind = "unavailable"
	ProblemFailing     ProblemKind = "failing"
	// ProblemOutputs are outputs of the component that cannot be produced, ProblemDeadLetters dead letters, and
	// ProblemRetryTopics records that failed and cannot be stored where they are to wait.
	ProblemOutputs     ProblemKind = "outputs"
	ProblemDeadLetters ProblemKind = "dead_letters"
	ProblemRetryTopics ProblemKind = "retry_topics"
	// ProblemPublish is a topic to which the component's publishes fail.
	ProblemPublish ProblemKind = "publish"
	// ProblemReplies are answers to requests that cannot be read.
	ProblemReplies ProblemKind = "replies"
	// ProblemNATS is a NATS of the bridge's routes that cannot be reached, or does not allow what they need.
	ProblemNATS ProblemKind = "nats"
	// ProblemConfig is the provider's own config where it cannot be used, ProblemCalls that components make more calls
	// than can be served. Both are the provider's, not a link's.
	ProblemConfig ProblemKind = "config"
	ProblemCalls  ProblemKind = "calls"
)

// Problem is one reason why a link, or the provider itself, is not well, in words for the operator.
type Problem struct {
	Kind ProblemKind `json:"kind"`
	Text string      `json:"text"`
}

// Problems are what is wrong, the weightiest first. None means that all is well.
type Problems []Problem

// Add appends a problem whose text is not told yet.
func (ps *Problems) Add(kind ProblemKind, text string) {
	if slices.ContainsFunc(*ps, func(p Problem) bool { return p.Text == text }) {
		return
	}
	*ps = append(*ps, Problem{kind, text})
}

// Texts are the texts alone.
func (ps Problems) Texts() []string {
	texts := make([]string, len(ps))
	for i, p := range ps {
		texts[i] = p.Text
	}
	return texts
}

// String joins the texts: "topic orders: it does not exist; joining group shop".
func (ps Problems) String() string { return strings.Join(ps.Texts(), "; ") }

// Has tells whether a problem of the kind is among them.
func (ps Problems) Has(kind ProblemKind) bool {
	return slices.ContainsFunc(ps, func(p Problem) bool { return p.Kind == kind })
}

// State is the state of a link that has these problems and is not being stopped. It is failing where nothing else is
// wrong than that the component fails.
func (ps Problems) State() State {
	switch {
	case len(ps) == 0:
		return Healthy
	case slices.ContainsFunc(ps, func(p Problem) bool { return p.Kind != ProblemStarting && p.Kind != ProblemFailing }):
		return Unhealthy
	case ps.Has(ProblemFailing):
		return Failing
	default:
		return Starting
	}
}
