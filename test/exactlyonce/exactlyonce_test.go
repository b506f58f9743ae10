//go:build exactlyonce

package exactlyonce

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
	"github.com/messaging-kafka/messaging-kafka/test/fleet"
)

func TestMain(m *testing.M) { testkit.Main(m) }

func TestEachOutputIsThereExactlyOnceWhileEverythingBreaks(t *testing.T) {
	cfg := configure(t)
	w := newWorld(t, cfg)
	w.told.Say("%v", cfg)
	ctx, cancel := context.WithCancel(context.Background())
	var background sync.WaitGroup
	defer background.Wait()
	defer cancel()

	produced := make(chan error, len(w.pipelines))
	for _, p := range w.pipelines {
		background.Go(func() { produced <- p.producer.Run(ctx, cfg.records, cfg.duration) })
	}
	background.Go(func() { w.report(ctx) })
	if err := fleet.Until(ctx, 2*time.Minute, w.flows); err != nil {
		t.Fatalf("nothing flows although nothing is broken yet: %v%s", err, w.health())
	}
	w.breakThings(ctx)
	w.told.Say("all is mended; the rest must run dry")
	// A copy that was starting or cut off when the links were changed last did not hear of it.
	w.link(0)
	for range w.pipelines {
		select {
		case err := <-produced:
			if err != nil {
				t.Fatalf("producing: %v", err)
			}
		case <-time.After(2 * time.Minute):
			t.Fatal("Kafka has not acknowledged all records 2 minutes after the last fault")
		}
	}
	if err := w.runDry(ctx); err != nil {
		w.keep()
		t.Fatalf("the rest does not run dry: %v%s", err, w.health())
	}
	w.told.Say("%s", w.summary())
	w.count(ctx)
	if t.Failed() || os.Getenv("EXACTLYONCE_KEEP") != "" {
		w.keep()
	}
}

// flows returns nil once records of all pipelines come through.
func (w *world) flows(context.Context) error {
	for _, p := range w.pipelines {
		p.mu.Lock()
		calls := p.calls
		p.mu.Unlock()
		if calls == 0 {
			return errors.New("no call yet of " + p.name)
		}
	}
	return nil
}

// report prints a line of progress now and then.
func (w *world) report(ctx context.Context) {
	for fleet.Sleep(ctx, 5*time.Second) {
		var parts []string
		for _, p := range w.pipelines {
			_, acknowledged := p.producer.Counts()
			p.mu.Lock()
			parts = append(parts, fmt.Sprintf("%s %d of %d", p.name, len(p.deliveries), acknowledged))
			p.mu.Unlock()
		}
		w.told.Say("delivered: %s", strings.Join(parts, ", "))
	}
}

// count reads what came out, prints it, and fails the test where a promise was broken.
func (w *world) count(ctx context.Context) {
	var details strings.Builder
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "PIPELINE\tRECORDS\tOUTPUTS\tDEAD\tLOST\tTWICE\tBOTH\tOUT OF ORDER\tUNCOMMITTED\tABORTED\tCALLS\tDELIVERIES\tHANGS\tTRAPS\tRETRIES")
	for _, p := range w.pipelines {
		p.mu.Lock()
		defer p.mu.Unlock()
		tally, aborted, err := p.tally(ctx, w)
		if err != nil {
			w.t.Errorf("%s: %v", p.name, err)
			continue
		}
		deliveries := 0
		for _, n := range p.deliveries {
			deliveries += n
		}
		c := tally.Check(p.transactions)
		fmt.Fprintf(table, "%s\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\n", p.name, c.Records,
			len(tally.Outputs), len(tally.Dead),
			len(c.Lost), c.Twice, c.Both, c.Disorder, c.Uncommitted, aborted, p.calls, deliveries, p.hangs, p.traps, p.retries)
		broken := len(c.Lost) > 0 || c.Uncommitted > 0 || c.Disorder > 0 || len(tally.Strangers) > 0
		if p.transactions {
			broken = broken || c.Twice > 0 || c.Both > 0
		}
		if broken {
			w.t.Errorf("%s does not keep its promise", p.name)
			if err := c.PrintDetails(&details, p.name); err != nil {
				w.t.Error(err)
			}
		}
	}
	if err := table.Flush(); err != nil {
		w.t.Error(err)
	}
	fmt.Print(details.String())
}

// summary says what happened, for those who ask whether the run was hard enough.
func (w *world) summary() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	log := ""
	for _, p := range w.logs {
		log += p.Output()
	}
	return fmt.Sprintf("%d sessions ended by trouble, %d transactions of unknown end; faults: %v",
		strings.Count(log, "consuming is begun anew"),
		strings.Count(log, "the end of the transaction is not known"), &w.faults)
}
