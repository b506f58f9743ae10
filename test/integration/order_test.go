package integration

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

// The body of a record of these tests is "key:sequence", with sequences that rise within each key.
func keyOf(body string) string {
	key, _, _ := strings.Cut(body, ":")
	return key
}

// checkOrder fails the test when a call of a key began before the one before it had ended, or when a record came
// before its predecessor was done. sameLane tells whether two bodies belong to one order.
func checkOrder(t *testing.T, calls []call, want []string, laneOf func(string) string) {
	t.Helper()
	next := make(map[string][]string) // what is still to come, by lane
	for _, body := range want {
		next[laneOf(body)] = append(next[laneOf(body)], body)
	}
	last := make(map[string]call)
	for _, c := range calls {
		lane := laneOf(c.body)
		if before, ok := last[lane]; ok && c.begin.Before(before.end) {
			t.Errorf("%q began while %q was being handled", c.body, before.body)
		}
		last[lane] = c
		if len(next[lane]) == 0 || next[lane][0] != c.body {
			t.Errorf("%q was called, want %.1q", c.body, next[lane])
			continue
		}
		if c.err == nil {
			next[lane] = next[lane][1:]
		}
	}
	for _, lane := range slices.Sorted(maps.Keys(next)) {
		if len(next[lane]) > 0 {
			t.Errorf("never done: %v", next[lane])
		}
	}
}

// orders are the settings that keep an order, with the lane that a record is in by its body.
var orders = []struct {
	order  string
	laneOf func(string) string
}{
	{"key", keyOf},
	{"partition", func(string) string { return "" }},
}

// runDry produces records, starts the provider, and returns the calls that it took to have them all done.
func (r *rig) runDry(j *journal, topic string, all []*kgo.Record) (*node, []call) {
	r.t.Helper()
	r.kc.Produce(all...)
	p := r.start()
	j.waitDone(r.t, len(all))
	r.kc.WaitDrained(r.group("echo"), topic)
	return p, j.history()
}

func TestKeysKeepTheirOrderAndDoNotWaitForEachOther(t *testing.T) {
	const records, keys, handling = 100, 10, 100 * time.Millisecond
	took := make(map[string]time.Duration)
	for _, test := range orders {
		t.Run("order="+test.order, func(t *testing.T) {
			r := newRig(t, kafka4(t).Brokers())
			in := r.topic("in", 1)
			j := newJournal()
			r.component(testkit.ComponentOptions{Handler: j.handler(
				func(ctx context.Context, _ *testkit.Component, _ testkit.Call, _ int) error {
					select {
					case <-time.After(handling):
					case <-ctx.Done():
					}
					return nil
				})})
			r.link("echo", r.config(in, "order", test.order))
			all := keyed(in, "", records, keys)
			for i, rec := range all {
				rec.Value = fmt.Appendf(nil, "%s:%d", rec.Key, i/keys)
			}
			p, calls := r.runDry(j, in, all)
			took[test.order] = calls[len(calls)-1].end.Sub(calls[0].begin)
			t.Logf("%d records of %d keys, %v each: %v", records, keys, handling, took[test.order].Round(time.Millisecond))
			checkOrder(t, calls, valuesOf(all), test.laneOf)
			p.stop()
		})
	}
	if took["key"] >= took["partition"]/4 {
		t.Errorf("by key it takes %v, by partition %v: want less than a quarter", took["key"], took["partition"])
	}
}

func TestOrderSurvivesFailuresAndRetries(t *testing.T) {
	const records, keys = 300, 10
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	for _, test := range orders {
		t.Run("order="+test.order, func(t *testing.T) {
			r := newRig(t, kafka4(t).Brokers())
			in := r.topic("in", 1)
			j := newJournal()
			// What fails depends on the body and the number of the try alone, so that a seed can be tried again.
			r.component(testkit.ComponentOptions{Handler: j.handler(
				func(_ context.Context, _ *testkit.Component, msg testkit.Call, times int) error {
					hash := seed
					for _, b := range fmt.Appendf(nil, "%s#%d", msg.Body, times) {
						hash = (hash ^ uint64(b)) * 1099511628211
					}
					switch hash >> 32 % 10 {
					case 0, 1, 2:
						return errors.New("not this time")
					case 3:
						return testkit.ErrTrap
					}
					return nil
				})})
			r.link("echo", r.config(in, "order", test.order, "retry_backoff", "1ms", "retry_backoff_max", "20ms"))
			all := keyed(in, "", records, keys)
			for i, rec := range all {
				rec.Value = fmt.Appendf(nil, "%s:%d", rec.Key, i/keys)
			}
			p, calls := r.runDry(j, in, all)
			if len(calls) <= records {
				t.Errorf("%d calls for %d records: nothing failed", len(calls), records)
			}
			checkOrder(t, calls, valuesOf(all), test.laneOf)
			p.stop()
		})
	}
}
