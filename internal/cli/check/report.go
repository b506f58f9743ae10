package check

import (
	"cmp"
	"fmt"
	"io"
	"slices"
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
	// StepSchemas is the schema registry of a link that has one.
	StepSchemas Step = "schemas"
	// StepListen is an address on which a bridge listens.
	StepListen Step = "listen"
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
	Kind Kind `json:"kind"`
	// Link is the link's name for people, Direction who calls whom by it, and Interface by what.
	Link      string `json:"link"`
	Direction string `json:"direction,omitempty"`
	Interface string `json:"interface,omitempty"`

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

// Printer writes findings, a line for each. Those that were skipped for the same reason have one line together.
type Printer struct {
	Out io.Writer
	// Colour has the states in colour, by ANSI's sequences.
	Colour bool

	skipped []Finding // that wait for others
	err     error
}

// Print writes a finding, or keeps it until another one comes.
func (p *Printer) Print(f Finding) {
	if f.Status == Skipped {
		if !p.alike(f) {
			p.flush()
		}
		p.skipped = append(p.skipped, f)
		return
	}
	p.flush()
	p.line(f.Status, string(f.Step), []string{f.Target}, f.Text)
}

// Flush writes what was kept, and returns the first error of all writing.
func (p *Printer) Flush() error {
	p.flush()
	return p.err
}

// alike tells whether a finding says the same as those that wait, of one more step or of one more target.
func (p *Printer) alike(f Finding) bool {
	steps, targets := true, true
	for _, other := range p.skipped {
		if other.Text != f.Text {
			return false
		}
		steps, targets = steps && other.Step == f.Step, targets && other.Target == f.Target
	}
	return steps || targets
}

func (p *Printer) flush() {
	if len(p.skipped) == 0 {
		return
	}
	var done []Step
	var targets []string
	for _, f := range p.skipped {
		if !slices.Contains(done, f.Step) {
			done = append(done, f.Step)
		}
		if !slices.Contains(targets, f.Target) {
			targets = append(targets, f.Target)
		}
	}
	p.line(Skipped, namesOf(done), targets, p.skipped[0].Text)
	p.skipped = nil
}

// namesOf names steps, the first and the last of three and more that follow one another.
func namesOf(done []Step) string {
	names := make([]string, len(done))
	follow := true
	for i, step := range done {
		names[i] = string(step)
		follow = follow && slices.Index(steps, step) == slices.Index(steps, done[0])+i
	}
	if len(done) > 2 && follow {
		return names[0] + " to " + names[len(names)-1]
	}
	return strings.Join(names, ", ")
}

func (p *Printer) line(status Status, step string, targets []string, text string) {
	if target := strings.Join(targets, ", "); target != "" && !strings.HasPrefix(text, target) {
		text = target + ": " + text
	}
	label := fmt.Sprintf("%-4s", status.label())
	if p.Colour {
		label = "\x1b[" + status.colour() + "m" + label + "\x1b[0m"
	}
	_, err := fmt.Fprintf(p.Out, "%s  %-10s  %s\n", label, step, text)
	p.err = cmp.Or(p.err, err)
}

// colour is the ANSI colour of a status, as messaging-kafka status has it.
func (s Status) colour() string {
	switch s {
	case Fail:
		return "31;1"
	case Warn:
		return "33"
	case OK:
		return "32"
	default:
		return "2"
	}
}
