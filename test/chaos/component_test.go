package chaos

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
	"github.com/messaging-kafka/messaging-kafka/test/fleet"
	"github.com/messaging-kafka/messaging-kafka/test/ledger"
)

// witness is the component: it writes every call down and misbehaves by the seed.
type witness struct {
	seed uint64

	mu        sync.Mutex
	calls     []seen
	times     map[ledger.ID]int
	finished  map[ledger.ID]bool
	strangers []string
	open      int
}

// seen is a call with the inbox of the connection that it came from, which names its caller later.
type seen struct {
	Call
	inbox string
}

func newWitness(seed uint64) *witness {
	return &witness{seed: seed, times: make(map[ledger.ID]int), finished: make(map[ledger.ID]bool)}
}

// handle is a testkit.HandlerFunc.
func (w *witness) handle(ctx context.Context, _ *testkit.Component, call testkit.Call) error {
	id, err := ledger.ParseID(string(call.Body))
	if err != nil || call.Subject != topic {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.strangers = append(w.strangers, fmt.Sprintf("a call on %s: %v", call.Subject, err))
		return errors.New("reject: no record of ours")
	}
	at, nth := w.begin(id, inboxOf(call.Reply))
	answer, err := w.behave(ctx, id, nth)
	w.end(at, answer)
	return err
}

// inboxOf cuts a reply subject down to the part that all calls of a connection share.
func inboxOf(subject string) string {
	tokens := strings.SplitN(subject, ".", 3)
	return strings.Join(tokens[:min(2, len(tokens))], ".")
}

func (w *witness) begin(id ledger.ID, inbox string) (at, nth int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.times[id]++
	w.open++
	w.calls = append(w.calls, seen{Call{ID: id, Begin: time.Now()}, inbox})
	return len(w.calls) - 1, w.times[id]
}

func (w *witness) end(at int, answer Answer) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.open--
	c := &w.calls[at]
	c.End, c.Answer = time.Now(), answer
	if answer == Done {
		w.finished[c.ID] = true
	}
}

// behave does the component's work on the nth call of a record. What it does depends on the seed, the record and n
// alone. Some records can never be handled, some are rejected; the others fail now and then.
func (w *witness) behave(ctx context.Context, id ledger.ID, nth int) (Answer, error) {
	always := rand.New(rand.NewPCG(w.seed, uint64(id.Key)<<32|uint64(id.Seq)))
	now := rand.New(rand.NewPCG(w.seed+uint64(nth), uint64(id.Key)<<32|uint64(id.Seq)))
	fate, luck := always.Float64(), now.Float64()
	work := time.Duration(now.Int64N(int64(15 * time.Millisecond)))
	if luck > 0.99 {
		work = 200*time.Millisecond + 80*work // up to 1.4 s
	}
	if hang := luck < 0.0015; hang {
		// The caller gives up at handle_timeout. It never hears the trap that ends this.
		fleet.Sleep(ctx, 2*handleTimeout)
		return Silent, testkit.ErrTrap
	}
	if !fleet.Sleep(ctx, work) {
		return Silent, testkit.ErrHang
	}
	switch {
	case fate < 0.001:
		return Failed, errors.New("this record cannot be handled")
	case fate < 0.003:
		return Rejected, errors.New("reject: this record must not be handled")
	case luck < 0.01:
		return Trapped, testkit.ErrTrap
	case luck < 0.03:
		return Failed, errors.New("not now")
	default:
		return Done, nil
	}
}

func (w *witness) counts() (calls, done, open int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.calls), len(w.finished), w.open
}
