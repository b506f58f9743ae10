package dispatch

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/messaging-kafka/messaging-kafka/internal/record"
	"github.com/messaging-kafka/messaging-kafka/internal/settings"
)

// TestTheProblemOfOutputsEndsWithTheVerdict that their record gets, whichever it is, or when it is nobody's here any
// more.
func TestTheProblemOfOutputsEndsWithTheVerdict(t *testing.T) {
	nowhere := []record.Outgoing{{Topic: "nowhere"}}
	for name, c := range map[string]struct {
		then   record.Outcome // of the same record, later
		change func(cfg *Config)
		end    func(p *Partition)
		commit int64
	}{
		"other outputs": {then: record.Outcome{Kind: record.Done, Outputs: []record.Outgoing{{Topic: "out"}}}, commit: 1},
		"no outputs":    {then: record.Outcome{Kind: record.Done}, commit: 1},
		"skipped":       {then: record.Outcome{Kind: record.Reject, Err: errors.New("no")}, commit: 1},
		"a dead letter": {then: record.Outcome{Kind: record.Reject, Err: errors.New("no")}, commit: 1, change: func(cfg *Config) {
			cfg.DeadLetter = func(context.Context, *record.Record, int, error) error { return nil }
		}},
		"one that holds":     {then: record.Outcome{Kind: record.Reject, Err: errors.New("no")}, commit: -1, change: func(cfg *Config) { cfg.Delivery.OnReject = settings.RejectStop }},
		"a failure":          {then: record.Outcome{Kind: record.Retry, Err: errors.New("not yet")}, commit: -1},
		"a partition's end":  {then: record.Outcome{Kind: record.Done, Outputs: nowhere}, commit: -1, end: func(p *Partition) { p.Close(context.Background()) }},
		"a partition's loss": {then: record.Outcome{Kind: record.Done, Outputs: nowhere}, commit: -1, end: func(p *Partition) { p.Abandon() }},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var later atomic.Bool
				s := &batchScript{handle: func(_ context.Context, batch []*record.Record) []record.Outcome {
					outcomes := record.Each(len(batch), record.Outcome{Kind: record.Done, Outputs: nowhere})
					if later.Load() {
						outcomes = record.Each(len(batch), c.then)
					}
					return outcomes
				}}
				cfg, _ := batchConfig(s)
				cfg.Outputs.Produce = func(_ context.Context, outputs []record.Outgoing) error {
					for i := range outputs {
						if outputs[i].Topic == "nowhere" {
							return errors.New("there is no such topic")
						}
					}
					return nil
				}
				if c.change != nil {
					c.change(&cfg)
				}
				d := New(cfg)
				p := d.Open("t", 0, 0)
				p.Add(keyed(1), first)
				time.Sleep(time.Second)
				if st := d.Status().Outputs; st == nil || st.String() != "there is no such topic (t/0, offset 0)" {
					t.Fatalf("the status says %v", st)
				}
				later.Store(true)
				if c.end != nil {
					c.end(p)
				}
				time.Sleep(time.Minute)
				synctest.Wait()
				if st := d.Status().Outputs; st != nil {
					t.Errorf("the status still says %v", st)
				}
				if c.end == nil {
					mustCommit(t, p, c.commit)
				}
				d.Close(t.Context())
			})
		})
	}
}

// TestTheProblemOfOutputsIsThatOfItsRecord and no other's, whose outputs are stored meanwhile.
func TestTheProblemOfOutputsIsThatOfItsRecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mended atomic.Bool
		s := &batchScript{handle: func(_ context.Context, batch []*record.Record) []record.Outcome {
			outcomes := make([]record.Outcome, len(batch))
			for i, r := range batch {
				outcomes[i] = record.Outcome{Kind: record.Done, Outputs: []record.Outgoing{{Topic: "out", Value: r.Key}}}
			}
			return outcomes
		}}
		cfg, _ := batchConfig(s)
		cfg.Delivery.Batch.MaxRecords = 1
		cfg.Outputs.Produce = func(_ context.Context, outputs []record.Outgoing) error {
			if key := string(outputs[0].Value); key != "good" && !mended.Load() {
				return errors.New(key + " is too large")
			}
			return nil
		}
		d := New(cfg)
		p := d.Open("t", 0, 0)
		records := keyed(3, "fat", "fatter", "good")
		p.Add(records[:1], first)
		synctest.Wait()
		p.Add(records[1:], first)
		time.Sleep(10 * time.Second)
		if st := d.Status().Outputs; st == nil || st.String() != "fat is too large (t/0, offset 0, and 1 more)" {
			t.Errorf("the status says %v", st)
		}
		mended.Store(true)
		time.Sleep(time.Minute)
		synctest.Wait()
		mustCommit(t, p, 3)
		if st := d.Status().Outputs; st != nil {
			t.Errorf("the status still says %v", st)
		}
		d.Close(t.Context())
	})
}
