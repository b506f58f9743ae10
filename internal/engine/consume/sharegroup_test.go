package consume

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/messaging-kafka/messaging-kafka/internal/record"
	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

// produceTransactions has a producer abort five records, commit five and abort five.
func produceTransactions(t *testing.T, brokers []string, topic string) {
	t.Helper()
	cl := testkit.NewClient(t, brokers, kgo.TransactionalID("tx"))
	for _, how := range []string{"aborted 1", "committed", "aborted 2"} {
		if err := cl.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		for i := range 5 {
			cl.Produce(&kgo.Record{Topic: topic, Value: fmt.Appendf(nil, "%s %d", how, i)})
		}
		if err := cl.EndTransaction(t.Context(), kgo.TransactionEndTry(how == "committed")); err != nil {
			t.Fatal(err)
		}
	}
}

// TestAShareGroupGetsNoAbortedRecords unless the link asks for them: the group's own config is the other way round.
func TestAShareGroupGetsNoAbortedRecords(t *testing.T) {
	t.Parallel()
	for isolation, want := range map[string]int{"": 5, "read_committed": 5, "read_uncommitted": 15} {
		t.Run("isolation="+isolation, func(t *testing.T) {
			t.Parallel()
			k := testkit.Kfake(t)
			k.Topic("t", 1)
			produceTransactions(t, k.Brokers(), "t")
			h := &handler{name: "a"}
			config := map[string]string{"topic": "t", "group_protocol": "share"}
			if isolation != "" {
				config["isolation"] = isolation
			}
			start(t, k.Brokers(), h, config)
			h.waitCalls(t, want)
			testkit.NewClient(t, k.Brokers()).ProduceText("t", "last")
			var others int
			for _, c := range h.waitCalls(t, want+1) {
				if c.value == "last" {
					others++
				}
			}
			if calls := h.seen(); len(calls) != want+1 || others != 1 {
				t.Errorf("%d calls, want %d: %v", len(calls), want+1, h.values())
			}
		})
	}
}

// TestAShareGroupWhoseIDIsTakenIsTold, and does not ask the broker without end: the client itself tells nobody.
func TestAShareGroupWhoseIDIsTakenIsTold(t *testing.T) {
	t.Parallel()
	for _, taken := range []string{"an offset", "a classic member", "a member of KIP-848"} {
		t.Run("by "+taken, func(t *testing.T) {
			t.Parallel()
			k := testkit.Kfake(t)
			k.Topic("t", 1)
			cl := testkit.NewClient(t, k.Brokers())
			kind := "classic"
			switch taken {
			case "an offset":
				cl.CommitOffset("g", "t", 0, 0)
			case "a member of KIP-848":
				kind = "consumer"
				fallthrough
			default:
				start(t, k.Brokers(), &handler{name: "other"}, map[string]string{"topic": "t", "group_protocol": kind}).waitHealthy()
			}
			var beats atomic.Int64
			k.ControlKey(int16(kmsg.ShareGroupHeartbeat), func(kmsg.Request) (kmsg.Response, error, bool) {
				k.KeepControl()
				beats.Add(1)
				return nil, nil, false
			})
			c := start(t, k.Brokers(), &handler{name: "a"}, map[string]string{"topic": "t", "group_protocol": "share"})
			c.waitProblem("group g exists as a group of the kind "+kind, "consumer_group", "group_protocol")
			if n := beats.Load(); n > 0 {
				t.Errorf("the broker was asked %d times to let the link join", n)
			}
		})
	}
}

// TestAGroupOfAnotherKindOnAShareGroupIsTold: it is there, but no group of the kind that the link asks for.
func TestAGroupOfAnotherKindOnAShareGroupIsTold(t *testing.T) {
	t.Parallel()
	for protocol, parts := range map[string][]string{
		"classic": {"group", "another consumer_group", "group_protocol"}, "consumer": {"kind", "share group", "another consumer_group", "group_protocol"},
	} {
		t.Run(protocol, func(t *testing.T) {
			t.Parallel()
			k := testkit.Kfake(t)
			k.Topic("t", 1)
			first := start(t, k.Brokers(), &handler{name: "a"}, map[string]string{"topic": "t", "group_protocol": "share"})
			testkit.NewClient(t, k.Brokers()).ProduceText("t", "x")
			first.h.waitCalls(t, 1)
			start(t, k.Brokers(), &handler{name: "b"}, map[string]string{"topic": "t", "group_protocol": protocol}).waitProblem(parts...)
		})
	}
}

// TestAShareGroupTellsOfRecordsThatWereLost: those that went from the log before they were delivered, and no others.
func TestAShareGroupTellsOfRecordsThatWereLost(t *testing.T) {
	t.Parallel()
	k := testkit.Kfake(t)
	k.Topic("t", 1)
	cl := testkit.NewClient(t, k.Brokers())
	release := make(chan struct{})
	h := &handler{name: "a", do: func(ctx context.Context, r *record.Record) (record.Kind, error) {
		if string(r.Value) == "wait" {
			select {
			case <-release:
			case <-ctx.Done():
				return record.Unanswered, ctx.Err()
			}
		}
		return record.Done, nil
	}}
	c := start(t, k.Brokers(), h, map[string]string{"topic": "t", "group_protocol": "share", "max_in_flight": "1"})
	cl.ProduceText("t", "1", "2", "3")
	h.waitCalls(t, 3)
	cl.ProduceText("t", "wait")
	h.waitCalls(t, 4)
	cl.ProduceText("t", "lost 1", "lost 2", "lost 3", "lost 4", "kept")
	cl.DeleteRecords("t", 0, 8)
	testkit.Eventually(t, patience, func() error {
		if n := c.counts.missed.Load(); n != 4 {
			return fmt.Errorf("%d records are counted as lost, want 4", n)
		}
		return nil
	})
	close(release)
	testkit.Eventually(t, patience, func() error {
		if !slices.Contains(h.values(), "kept") {
			return fmt.Errorf("came %v", h.values())
		}
		return nil
	})
	if !c.log.Contains("records were gone from the log") {
		t.Error("the log does not tell of it")
	}
	c.stop()

	// What went while nobody read is told by the next.
	cl.ProduceText("t", "lost 5", "lost 6")
	cl.DeleteRecords("t", 0, 11)
	next := start(t, k.Brokers(), &handler{name: "b"}, map[string]string{"topic": "t", "group_protocol": "share"})
	testkit.Eventually(t, patience, func() error {
		if n := next.counts.missed.Load(); n != 2 {
			return fmt.Errorf("%d records are counted as lost, want 2", n)
		}
		return nil
	})
}

// TestAShareGroupSaysHowManyRecordsWait for a component that takes no calls.
func TestAShareGroupSaysHowManyRecordsWait(t *testing.T) {
	t.Parallel()
	k := testkit.Kfake(t)
	k.Topic("t", 1)
	values := make([]string, 10)
	for i := range values {
		values[i] = fmt.Sprint(i)
	}
	testkit.NewClient(t, k.Brokers()).ProduceText("t", values...)
	var there atomic.Bool
	h := &handler{name: "a", do: func(context.Context, *record.Record) (record.Kind, error) {
		if there.Load() {
			return record.Done, nil
		}
		return record.Unavailable, errors.New("nobody")
	}}
	c := start(t, k.Brokers(), h, map[string]string{"topic": "t", "group_protocol": "share"})
	c.waitProblem("takes no calls", "10 records wait")
	there.Store(true)
	c.waitHealthy()
	testkit.Eventually(t, patience, func() error {
		if d := c.Status().Dispatch; d.Waiting != 0 || d.InFlight != 0 {
			return fmt.Errorf("%d records wait, %d are in flight", d.Waiting, d.InFlight)
		}
		return nil
	})
}
