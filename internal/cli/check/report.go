package check

import (
	"fmt"
	"io"
	"strings"

	"github.com/messaging-kafka/messaging-kafka/internal/engine/kafka"
)

// Status is how a step went. The words are part of the JSON form.
type Status string

// The states of a step, and of a whole check: the worst of its steps.
const (
	OK      Status = "ok"
	Warn    Status = "warn" // it works, and somebody should know something
	Fail    Status = "fail" // the link does not work like this
	Skipped Status = "skipped"
)

func (s Status) rank() int {
	switch s {
	case Fail:
		return 2
	case Warn:
		return 1
	default:
		return 0
	}
}

func worse(a, b Status) Status {
	if b.rank() > a.rank() {
		return b
	}
	return a
}

// Step is a kind of step. The words are part of the JSON form.
type Step string

// The steps, in their order.
const (
	StepSettings   Step = "settings"
	StepName       Step = "name"
	StepTCP        Step = "tcp"
	StepTLS        Step = "tls"
	StepSASL       Step = "sasl"
	StepVersions   Step = "versions"
	StepCluster    Step = "cluster"
	StepListener   Step = "listener"
	StepTopic      Step = "topic"
	StepRead       Step = "read"
	StepGroup      Step = "group"
	StepWrite      Step = "write"
	StepIdempotent Step = "idempotent"
	StepLag        Step = "lag"
	// StepURL is the application of a bridge's route.
	StepURL Step = "url"
	// StepNATS is the NATS of a bridge's route.
	StepNATS Step = "nats"
)

// steps are those that need a connection, in their order.
var steps = []Step{StepName, StepTCP, StepTLS, StepSASL, StepVersions, StepCluster, StepListener, StepTopic, StepRead,
	StepGroup, StepWrite, StepIdempotent, StepLag}

// Finding is what one step found out about one thing.
type Finding struct {
	Step Step `json:"step"`
	// Target is what the step was about: a setting, an address, a broker, a topic, a group; "" for the link.
	Target string `json:"target,omitempty"`
	Status Status `json:"status"`
	// Class is the kind of a failure, "" where there is none.
	Class kafka.Class `json:"class,omitempty"`
	// Text says in one line what was found, and what to do about it. It holds no secret.
	Text string `json:"text"`
}

// Lag is how far a group is behind in one partition.
type Lag struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	// Committed is the group's offset, nil where it has none yet.
	Committed *int64 `json:"committed"`
	// Start and End are the offsets of the oldest record and of the next one to be written (with
	// isolation=read_committed, the end of what is committed); -1 where they are not known.
	Start int64 `json:"start"`
	End   int64 `json:"end"`
	// Behind is the number of offsets from Committed to End, nil where either is not known.
	Behind *int64 `json:"lag"`
}

// Result is what a check found out about one link.
type Result struct {
	// Link is the link's name for people.
	Link   string    `json:"link"`
	Status Status    `json:"status"`
	Steps  []Finding `json:"steps"`
	// Lag is there for links that read, where the group's offsets could be had.
	Lag []Lag `json:"lag,omitempty"`
}

// Count tells how many findings have a status.
func (r *Result) Count(s Status) int {
	n := 0
	for _, f := range r.Steps {
		if f.Status == s {
			n++
		}
	}
	return n
}

// label is a status as a person should see it at a glance.
func (s Status) label() string {
	switch s {
	case Fail:
		return "FAIL"
	case Skipped:
		return "skip"
	default:
		return string(s)
	}
}

// Print writes a finding as one line.
func (f Finding) Print(out io.Writer) error {
	text := f.Text
	if f.Target != "" && !strings.HasPrefix(text, f.Target) {
		text = f.Target + ": " + text
	}
	_, err := fmt.Fprintf(out, "%-4s  %-10s  %s\n", f.Status.label(), f.Step, text)
	return err
}
