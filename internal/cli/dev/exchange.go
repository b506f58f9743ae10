package dev

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/messaging-kafka/messaging-kafka/internal/base/text"
	"github.com/messaging-kafka/messaging-kafka/internal/engine/kafka"
)

// maxDue bounds the lines that are on their way.
const maxDue = 512

const (
	// maxNamed is how many missing lines an error names.
	maxNamed = 10
	// maxShown is how much of a value a person is shown, in bytes.
	maxShown = 2048
	// recordKey is the key of all lines. Records of one key keep their order, on the way to the component and in it.
	recordKey = "dev"
)

// digest stands for a value.
type digest [sha256.Size]byte

// due is a line whose echo is awaited.
type due struct {
	number int
	at     time.Time
}

// exchange sends lines and shows echoes. One goroutine owns it; two others feed it, and the Kafka client's callbacks.
type exchange struct {
	r      *runner
	client *kgo.Client
	access *kafka.Access

	records chan *kgo.Record // of the reply topic
	refused chan refusal     // lines that Kafka did not take
	over    chan struct{}    // closed when nobody looks at these any more

	callbacks sync.WaitGroup

	// due are the lines on their way, oldest first, by value: an echo has nothing else by which to tell it.
	due   map[digest][]due
	count int // of all due
	lines int // read so far
	// failed are the numbers of lines that were not sent, or whose echo was given up.
	failed []int
}

type refusal struct {
	key    digest
	number int
	err    error
}

// exchange runs until the input has ended and nothing is due any more, or ctx ends, or it must be given up.
func (r *runner) exchange(ctx context.Context) (err error) {
	x := &exchange{
		r: r, client: r.kafka, access: r.access, due: make(map[digest][]due),
		records: make(chan *kgo.Record), refused: make(chan refusal), over: make(chan struct{}),
	}
	in, stopReading, err := r.readLines()
	if err != nil {
		return err
	}
	stopPolling := x.poll()
	// The reader gives the terminal back, so it ends before the end is reported.
	err = errors.Join(x.run(ctx, in), stopReading())
	close(x.over)
	x.callbacks.Wait()
	stopPolling()
	return errors.Join(err, x.verdict(ctx))
}

// poll begins to read the reply topic; the function that it returns ends that.
func (x *exchange) poll() (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			fetches := x.client.PollFetches(ctx)
			fetches.EachError(func(topic string, _ int32, err error) {
				if ctx.Err() == nil {
					x.r.log.Warn("reading "+topic, "error", x.access.Explain(err).Text)
				}
			})
			for iter := fetches.RecordIter(); !iter.Done(); {
				select {
				case x.records <- iter.Next():
				case <-ctx.Done():
					return
				}
			}
		}
	}()
	return func() { cancel(); <-done }
}

// run returns an error only where it had to give up.
func (x *exchange) run(ctx context.Context, in *input) error {
	stall := time.NewTimer(x.r.opts.EchoTimeout)
	defer stall.Stop()
	x.ready()
	for open := true; open || x.count > 0; {
		lines := in.lines
		if !open || x.count >= maxDue {
			lines = nil
		}
		select {
		case l, more := <-lines:
			if open = more; !more {
				if in.err != nil {
					return in.err
				}
				continue
			}
			if x.count == 0 {
				stall.Reset(x.r.opts.EchoTimeout)
			}
			x.take(ctx, l)
		case record := <-x.records:
			ours, err := x.show(record)
			if err != nil {
				return fmt.Errorf("writing an echo: %w", err)
			}
			if ours {
				stall.Reset(x.r.opts.EchoTimeout)
			}
		case refused := <-x.refused:
			x.refuse(refused)
		case <-stall.C:
			if x.count == 0 {
				continue
			}
			x.giveUp(ctx)
			if !x.r.opts.Interactive {
				return nil // the verdict is an error
			}
		case <-x.r.host.done:
			return x.r.host.ended()
		case <-ctx.Done():
			return nil
		}
	}
	return nil
}

func (x *exchange) ready() {
	if x.r.opts.Interactive {
		x.r.screen.say("Type lines. Each goes to %s, and %s comes back on %s. Ctrl-D ends.\n",
			Topic, x.r.opts.StandIn.comesBack(), x.r.opts.StandIn.answers())
		return
	}
	x.r.screen.say("Each line of the input goes to %s, and %s comes back on %s.\n",
		Topic, x.r.opts.StandIn.comesBack(), x.r.opts.StandIn.answers())
}

// take sends a line.
func (x *exchange) take(ctx context.Context, l line) {
	x.lines++
	number := x.lines
	if l.err != nil {
		x.failed = append(x.failed, number)
		x.r.screen.warn("line %d was not sent: %v\n", number, l.err)
		return
	}
	key := digest(sha256.Sum256(l.value))
	x.due[key] = append(x.due[key], due{number, time.Now()})
	x.count++
	// Produce waits where the client's buffer is full. That ends with ctx, or when the client's own timeout fails what
	// is in the buffer.
	x.client.Produce(ctx, &kgo.Record{Key: []byte(recordKey), Value: l.value}, func(_ *kgo.Record, err error) {
		if err == nil {
			return
		}
		// Not from here: Produce itself may call back, and nobody takes anything while it does.
		x.callbacks.Go(func() {
			select {
			case x.refused <- refusal{key, number, err}:
			case <-x.over:
			}
		})
	})
}

// refuse notes that Kafka did not take a line.
func (x *exchange) refuse(f refusal) {
	waiting := x.due[f.key]
	i := slices.IndexFunc(waiting, func(d due) bool { return d.number == f.number })
	if i < 0 {
		return // given up before
	}
	x.setDue(f.key, slices.Delete(waiting, i, i+1))
	x.count--
	x.failed = append(x.failed, f.number)
	x.r.screen.warn("line %d was not taken by Kafka: %s\n", f.number, x.access.Explain(f.err).Text)
}

func (x *exchange) setDue(key digest, left []due) {
	if len(left) == 0 {
		delete(x.due, key)
		return
	}
	x.due[key] = left
}

// show prints an echo and tells whether it was due: what other programs produce to the topic is echoed as well.
func (x *exchange) show(record *kgo.Record) (ours bool, err error) {
	now := time.Now()
	took := "not from here"
	var since *time.Duration
	key := digest(sha256.Sum256(record.Value))
	waiting := x.due[key]
	if ours = len(waiting) > 0; ours {
		exact := now.Sub(waiting[0].at)
		since, took = &exact, round(exact).String()
		x.setDue(key, waiting[1:])
		x.count--
	}
	if x.r.opts.JSON {
		line, err := jsonLine(record, since)
		if err != nil {
			return ours, err
		}
		return ours, x.r.screen.show(line)
	}
	text := fmt.Appendf(nil, "%s partition %d offset %d (%s): ", record.Topic, record.Partition, record.Offset, took)
	return ours, x.r.screen.show(append(appendValue(text, record.Value, x.r.opts.Interactive), '\n'))
}

// giveUp says that the echoes that are due do not come, and stops to wait for them.
func (x *exchange) giveUp(ctx context.Context) {
	missing := x.dueNumbers()
	clear(x.due)
	x.count = 0
	x.failed = append(x.failed, missing...)
	x.r.screen.warn("no echo within %s of %s\n", x.r.opts.EchoTimeout, namesOf(missing))
	switch health, err := x.r.host.health(ctx); {
	case err != nil:
		x.r.screen.warn("the provider does not say how it is: %v\n", err)
	case !health.Healthy:
		x.r.screen.warn("the provider says: %s\n", health.Message)
	}
}

func (x *exchange) dueNumbers() []int {
	var numbers []int
	for _, waiting := range x.due {
		for _, d := range waiting {
			numbers = append(numbers, d.number)
		}
	}
	slices.Sort(numbers)
	return numbers
}

// verdict is the error about lines that did not come back. A person has seen them named and goes on.
func (x *exchange) verdict(ctx context.Context) error {
	missing := append(x.dueNumbers(), x.failed...)
	if len(missing) == 0 || x.r.opts.Interactive {
		return nil
	}
	slices.Sort(missing)
	text := fmt.Sprintf("%d of %d lines did not come back: %s", len(missing), x.lines, namesOf(missing))
	if ctx.Err() != nil {
		text = "interrupted: " + text
	}
	return errors.New(text)
}

func namesOf(numbers []int) string {
	names := text.List(numbers, maxNamed, strconv.Itoa)
	if len(numbers) > 1 {
		return "lines " + names
	}
	return "line " + names
}
