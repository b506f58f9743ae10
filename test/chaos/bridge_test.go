package chaos

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/messaging-kafka/messaging-kafka/internal/payload/wit"
	"github.com/messaging-kafka/messaging-kafka/internal/record"
	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
	"github.com/messaging-kafka/messaging-kafka/test/exactlyonce"
	"github.com/messaging-kafka/messaging-kafka/test/fleet"
	"github.com/messaging-kafka/messaging-kafka/test/ledger"
)

// What the bridges read, and where they store what the application makes of it.
const (
	bridgeIn    = "chaos.texts"
	bridgeOut   = "chaos.lines"
	bridgeDead  = "chaos.texts.dead"
	bridgeGroup = "chaos-bridge.texts"

	bridgePartitions = 6
)

// bridges are copies of a bridge, and the application behind HTTP that they hand records over to, in transactions.
type bridges struct {
	w        *world
	producer *ledger.Producer
	app      *testkit.HTTPApp
	copies   []*testkit.Process

	mu         sync.Mutex
	deliveries map[ledger.ID]int
	deeds      map[string]int
	badStops   []string
}

func newBridges(w *world, client *testkit.Client) *bridges {
	b := &bridges{w: w, deliveries: make(map[ledger.ID]int), deeds: make(map[string]int)}
	client.Topic(bridgeIn, bridgePartitions, nil)
	client.Topic(bridgeOut, 3, nil)
	client.Topic(bridgeDead, 2, nil)
	b.producer = &ledger.Producer{Client: client.Client, Topic: bridgeIn, Keys: keys, Seed: w.cfg.seed + 1}
	b.app = testkit.NewHTTPApp(w.t, http.HandlerFunc(b.serve))
	for i, address := range fleet.FreeAddresses(w.t, bridgeCopies) {
		path := filepath.Join(w.t.TempDir(), fmt.Sprintf("bridge-%d.yaml", i+1))
		if err := os.WriteFile(path, []byte(b.file(address)), 0o600); err != nil {
			w.t.Fatal(err)
		}
		b.copies = append(b.copies, testkit.StartProcess(w.t, "bridge", "--config", path))
	}
	return b
}

func (b *bridges) file(admin string) string {
	return fmt.Sprintf(`name: chaos-bridge
admin_address: %s
hosts: [%s]
group_protocol: %s
metadata_max_age: 5s
dial_timeout: 2s
request_timeout: 5s
routes:
  texts:
    topic: %s
    deliver: http-records
    url: %s/
    transactions: true
    start: earliest
    dead_letter_topic: %s
    allowed_topics: %s
    max_attempts: 6
    max_in_flight: 16
    batch_max_records: 50
    handle_timeout: %s
    retry_backoff: 50ms
    retry_backoff_max: 500ms
    rebalance_timeout: 20s
    drain_timeout: 4s
%s`, admin, strings.Join(b.w.kafka.ProxiedBrokers(), ", "), b.w.cfg.protocol, bridgeIn, b.app.URL(), bridgeDead, bridgeOut, handleTimeout,
		map[bool]string{true: fmt.Sprintf("    session_timeout: %s\n", sessionTime)}[b.w.cfg.protocol == "classic"])
}

// serve is the application. What it does depends on the seed, the records and how often it has seen them.
func (b *bridges) serve(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the bridge gave the request up, or the application is being killed
	}
	batch, err := wit.DecodeBatch(wit.NewBytesDecoder(body))
	if err != nil {
		b.w.t.Errorf("a request that is none: %v", err)
		return
	}
	outcomes, deed := b.decide(batch)
	if !fleet.Sleep(r.Context(), time.Duration(rand.Int64N(int64(20*time.Millisecond)))) {
		return
	}
	b.mu.Lock()
	b.deeds[deed]++
	b.mu.Unlock()
	w.Header().Set("Content-Type", wit.RecordsType)
	answer := wit.AppendProcessed(nil, outcomes)
	switch deed {
	case "hangs":
		fleet.Sleep(r.Context(), 2*handleTimeout)
		panic(http.ErrAbortHandler)
	case "fails":
		http.Error(w, "this request fails", http.StatusInternalServerError)
	case "answers for too few":
		_, _ = w.Write(wit.AppendProcessed(nil, outcomes[1:])) // a bridge that went does not read it
	case "answers for too many":
		_, _ = w.Write(wit.AppendProcessed(nil, append(slices.Clone(outcomes), outcomes[0])))
	case "breaks off":
		w.Header().Set("Content-Length", fmt.Sprint(len(answer)))
		_, _ = w.Write(answer[:len(answer)/2])
		panic(http.ErrAbortHandler)
	default:
		_, _ = w.Write(answer)
	}
}

// answers is what the application mostly does with a request.
const answers = "answers"

// decide says what becomes of the records of a request, and what the application does with the request itself.
func (b *bridges) decide(batch []*record.Record) (outcomes []record.Outcome, deed string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	deed = answers
	outcomes = make([]record.Outcome, len(batch))
	for i, r := range batch {
		id, err := ledger.ParseID(string(r.Value))
		if err != nil {
			b.w.t.Errorf("a record that is none of ours: %v", err)
		}
		b.deliveries[id]++
		now := rand.New(rand.NewPCG(b.w.cfg.seed+uint64(b.deliveries[id]), id.Number()))
		fate := exactlyonce.FateOf(b.w.cfg.seed, id)
		outcomes[i] = record.Outcome{Kind: record.Retry, Err: errors.New("not now")}
		switch luck := now.Float64(); {
		case luck < 0.0005:
			deed = "hangs"
		case luck < 0.0025:
			deed = "fails"
		case luck < 0.0035:
			deed = "answers for too few"
		case luck < 0.0045:
			deed = "answers for too many"
		case luck < 0.0055:
			deed = "breaks off"
		case fate.Reject:
			outcomes[i] = record.Outcome{Kind: record.Reject, Err: errors.New("this record must not be processed")}
		case fate.Fail:
			outcomes[i] = record.Outcome{Kind: record.Retry, Err: errors.New("this record cannot be processed")}
		case luck < 0.015:
		default:
			outcomes[i] = record.Outcome{Kind: record.Done, Outputs: exactlyonce.OutputsOf(r, fate, bridgeOut)}
		}
	}
	return outcomes, deed
}

// carryOut breaks something of the bridges, holds, and mends it.
func (b *bridges) carryOut(ctx context.Context, f fleet.Fault) {
	if f.Kind == KillApp {
		b.app.Kill()
		fleet.Sleep(ctx, f.Hold)
		b.app.Start()
		return
	}
	p := b.copies[f.Target-1]
	if p.Exited() {
		b.badStop("bridge %d had ended by itself", f.Target)
		p.Start()
		return
	}
	switch f.Kind {
	case KillBridge:
		p.Kill()
	case TermBridge:
		b.end(f.Target)
	case PauseBridge:
		p.Signal(syscall.SIGSTOP)
		fleet.Sleep(ctx, f.Hold)
		p.Signal(syscall.SIGCONT)
		return
	default:
		panic("this fault is for no bridge: " + string(f.Kind))
	}
	fleet.Sleep(ctx, f.Hold)
	p.Start()
}

// end ends a copy in order.
func (b *bridges) end(nth int) {
	p := b.copies[nth-1]
	p.Signal(syscall.SIGTERM)
	if err := p.Wait(15 * time.Second); err != nil { // its own limit is 10 s
		b.badStop("bridge %d ended with %v on SIGTERM", nth, err)
	}
}

func (b *bridges) badStop(format string, args ...any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.badStops = append(b.badStops, fmt.Sprintf(format, args...))
}

// flows returns nil once records come through.
func (b *bridges) flows() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.deeds[answers] == 0 {
		return errors.New("the application behind HTTP has answered nothing yet")
	}
	return nil
}

// drained returns nil when all that was produced is committed.
func (b *bridges) drained(ctx context.Context) error {
	ends, committed, err := fleet.Offsets(ctx, b.w.admin, bridgeGroup, bridgeIn)
	if err == nil && !maps.Equal(ends, committed) {
		err = fmt.Errorf("the bridges have committed %v of %v", committed, ends)
	}
	return err
}

// check ends the bridges and holds what came out against the rules.
func (b *bridges) check(ctx context.Context) ([]ledger.Row, error) {
	for i := range b.copies {
		b.end(i + 1)
	}
	t := &exactlyonce.Tally{Seed: b.w.cfg.seed}
	var err error
	if t.Produced, err = b.producer.Places(); err != nil {
		return nil, err
	}
	if t.End, t.Committed, err = fleet.Offsets(ctx, b.w.admin, bridgeGroup, bridgeIn); err != nil {
		return nil, err
	}
	outputs, storedOutputs, err := fleet.ReadAll(ctx, b.w.t, b.w.kafka.Brokers(), bridgeOut)
	if err != nil {
		return nil, err
	}
	letters, storedLetters, err := fleet.ReadAll(ctx, b.w.t, b.w.kafka.Brokers(), bridgeDead)
	if err != nil {
		return nil, err
	}
	t.AddOutputs(outputs)
	t.AddDead(letters)
	c := t.Check(true)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.w.told.Say("bridges: %d records, %d outputs, %d dead letters, %d records of aborted transactions; the application: %v",
		c.Records, len(t.Outputs), len(t.Dead), storedOutputs+storedLetters-len(outputs)-len(letters), b.deeds)
	return []ledger.Row{
		ledger.Never("over HTTP, records are lost", ledger.Breaches{N: len(c.Lost), Details: c.Details}),
		ledger.Never("over HTTP, outputs and dead letters are there more than once", ledger.Breaches{N: c.Twice + c.Both, Details: c.Details}),
		ledger.Never("over HTTP, outputs stand out of the order of their records", ledger.Breaches{N: c.Disorder, Details: c.Details}),
		ledger.Never("over HTTP, partitions are not committed to their end", ledger.Breaches{N: c.Uncommitted, Details: c.Details}),
		ledger.Never("bridges end in another way than they should", ledger.Each(b.badStops)),
	}, nil
}

// logs are what the bridges have written, by the names of files.
func (b *bridges) logs() map[string]string {
	files := make(map[string]string)
	for i, p := range b.copies {
		files[fmt.Sprintf("bridge-%d.log", i+1)] = p.Output()
	}
	return files
}
