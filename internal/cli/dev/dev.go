package dev

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/messaging-kafka/messaging-kafka/internal/engine/kafka"
	"github.com/messaging-kafka/messaging-kafka/internal/observe/telemetry"
)

// The names of what takes part.
const (
	DefaultLattice = "dev"
	// DefaultAdmin is a free port of the loopback.
	DefaultAdmin = "127.0.0.1:0"
	// Topic is read by the provider for the component.
	Topic = "wasmcloud.echo"
	// ReplyTopic is where the component's answers are published.
	ReplyTopic = Topic + ".reply"

	providerKey = "messaging-kafka"
	componentID = "echo"
	linkName    = "default"
)

const (
	defaultStartTimeout = 30 * time.Second
	defaultEchoTimeout  = 30 * time.Second
	// stopTimeout bounds the end of each part.
	stopTimeout = 5 * time.Second
)

// Options say what to run. In, Out and Err are needed.
type Options struct {
	// Hosts are the bootstrap addresses of a Kafka to use instead of the embedded one, separated by commas.
	Hosts string
	// Data is the directory in which the embedded Kafka keeps its data; "" is memory. It goes without Hosts only.
	Data string
	// KafkaPort and NATSPort are where the embedded ones listen; 0 is a free port.
	KafkaPort, NATSPort int
	// NATSURL is the NATS server of a lattice to join instead of an embedded one.
	NATSURL string
	// Lattice is the lattice's name, [DefaultLattice] where it is "".
	Lattice string
	// Admin is the address on which the provider serves its page, metrics and health; [DefaultAdmin] where it is "".
	Admin string
	// Verbose shows all of the provider's log instead of warnings and errors alone.
	Verbose bool

	// Quiet says nothing but what came back and what is wrong.
	Quiet bool
	// JSON writes what comes back as one JSON object a line (see [Record]).
	JSON bool
	// StandIn is how the stand-in for the component behaves. It has no meaning with a component.
	StandIn StandIn

	// In has one record's value a line. A read of an *os.File is called off when Run ends; Run waits for the reads
	// of any other reader, which therefore must not block for ever.
	In io.Reader
	// Out gets the echoes, Err all else.
	Out, Err io.Writer
	// Interactive says that In and Out are a terminal with a person before it: lines are edited at a prompt, and
	// what went wrong with one line does not make Run fail.
	Interactive bool

	// StartTimeout bounds the wait for the link to be healthy, EchoTimeout the wait for the next of the echoes that
	// are due. 30 s is the default of both.
	StartTimeout, EchoTimeout time.Duration
}

func (o Options) withDefaults() Options {
	o.Lattice = cmp.Or(o.Lattice, DefaultLattice)
	o.Admin = cmp.Or(o.Admin, DefaultAdmin)
	o.StartTimeout = cmp.Or(o.StartTimeout, defaultStartTimeout)
	o.EchoTimeout = cmp.Or(o.EchoTimeout, defaultEchoTimeout)
	return o
}

// ErrLattice says that the lattice's name cannot be part of a NATS subject.
var ErrLattice = errors.New("this is no name of a lattice")

// ErrHostsAndData says that data cannot be kept for a Kafka that is not ours.
var ErrHostsAndData = errors.New("a data directory is for the embedded Kafka, which is not used where hosts are given")

// Run starts everything, sends the lines of opts.In to [Topic] and shows what comes back on [ReplyTopic], until In
// ends and all echoes are there, or ctx ends. Then it stops everything in order and waits until it is gone.
//
// It returns nil where every line came back. Otherwise its error says what is missing, or what could not be started;
// the end of ctx alone is no error.
func Run(ctx context.Context, opts Options) (err error) {
	opts = opts.withDefaults()
	if opts.Hosts != "" && opts.Data != "" {
		return ErrHostsAndData
	}
	if err := checkLattice(opts.Lattice); err != nil {
		return err
	}
	if err := opts.StandIn.check(opts.EchoTimeout); err != nil {
		return err
	}
	if err := opts.checkPorts(ctx); err != nil {
		return err
	}
	s := newScreen(opts.Out, opts.Err)
	s.quiet = opts.Quiet
	r := &runner{opts: opts, screen: s}
	r.log = telemetry.NewLogger(s, r.level(), false)
	// All that is started is stopped, in the opposite order, whatever happened; ctx may have ended by then.
	defer func() { err = errors.Join(err, r.stop(context.WithoutCancel(ctx))) }()

	defer s.sayEarly("starting NATS, Kafka, the stand-in and the provider\n")()
	if err := r.start(ctx); err != nil {
		if ctx.Err() != nil {
			s.say("interrupted while starting\n")
			return nil
		}
		return err
	}
	return r.exchange(ctx)
}

// checkLattice refuses names that change the meaning of the subjects that they stand in.
func checkLattice(name string) error {
	for token := range strings.SplitSeq(name, ".") {
		if token == "" || strings.ContainsAny(token, "*> \t\r\n\x00") {
			return fmt.Errorf("%w: %q", ErrLattice, name)
		}
	}
	return nil
}

// runner is one run: what was started and how it is stopped.
type runner struct {
	opts   Options
	screen *screen
	log    *slog.Logger

	host   *host
	kafka  *kgo.Client
	access *kafka.Access
	group  string // of the provider's consumer
	stops  []stop
}

type stop struct {
	what string
	do   func(context.Context) error
}

// level is that of the provider's log.
func (r *runner) level() string {
	if r.opts.Verbose {
		return "info"
	}
	return "warn"
}

func (r *runner) onStop(what string, do func(context.Context) error) {
	r.stops = append(r.stops, stop{what, do})
}

func (r *runner) stop(ctx context.Context) error {
	var all []error
	for _, stop := range slices.Backward(r.stops) {
		ctx, cancel := context.WithTimeout(ctx, stopTimeout)
		if err := stop.do(ctx); err != nil {
			all = append(all, fmt.Errorf("stopping %s: %w", stop.what, err))
		}
		cancel()
	}
	r.stops = nil
	return errors.Join(all...)
}

// start brings everything up and tells of each part as soon as it is there.
func (r *runner) start(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, r.opts.StartTimeout)
	defer cancel()
	url, err := r.startNATS()
	if err != nil {
		return err
	}
	config, err := r.startKafka(ctx)
	if err != nil {
		return err
	}
	if err := r.startHost(ctx, url); err != nil {
		return err
	}
	return r.startLink(ctx, config)
}
