package consume

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/messaging-kafka/messaging-kafka/internal/engine/dispatch"
	"github.com/messaging-kafka/messaging-kafka/internal/observe/status"
	"github.com/messaging-kafka/messaging-kafka/internal/record"
	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

// waitProgress waits until the progress of partition 0 of t is as wanted.
func (c *copyOf) waitProgress(want func(status.Partition) bool) status.Partition {
	c.t.Helper()
	var p status.Partition
	testkit.Eventually(c.t, patience, func() error {
		list := c.Partitions()
		if len(list) != 1 || list[0].Topic != "t" || list[0].Partition != 0 || !want(list[0]) {
			return fmt.Errorf("progress is %+v", list)
		}
		p = list[0]
		return nil
	})
	return p
}

func TestProgressTellsLagAsKafkaCountsItAndInTime(t *testing.T) {
	t.Parallel()
	k := testkit.Kfake(t)
	k.Topic("t", 1)
	cl := testkit.NewClient(t, k.Brokers())
	written := time.Now().Add(-time.Hour)
	for i := range 10 {
		cl.Produce(&kgo.Record{Topic: "t", Value: fmt.Append(nil, i), Timestamp: written.Add(time.Duration(i) * time.Minute)})
	}
	release := make(chan struct{})
	h := &handler{name: "a", do: func(ctx context.Context, r *record.Record) (record.Kind, error) {
		if r.Offset < 4 {
			return record.Done, nil
		}
		select {
		case <-release:
			return record.Done, nil
		case <-ctx.Done():
			return record.Unanswered, ctx.Err()
		}
	}}
	c := start(t, k.Brokers(), h, map[string]string{"topic": "t", "order": "partition"})
	stuck := c.waitProgress(func(p status.Partition) bool { return p.Committed == 4 && p.End == 10 })
	if stuck.Lag != 6 || stuck.LagSeconds == nil || stuck.CommitAgeSeconds == nil || stuck.UncommittedSeconds != 0 ||
		stuck.OldestUnfinishedSeconds <= 0 || stuck.BufferedBytes <= 0 || stuck.Held != "" {
		t.Errorf("while the fifth record is handled: %+v", stuck)
	}
	// The fifth record was written 56 minutes ago.
	if age := *stuck.LagSeconds - 56*60; age < -1 || age > 60 {
		t.Errorf("the lag in time is %f s", *stuck.LagSeconds)
	}
	close(release)
	done := c.waitProgress(func(p status.Partition) bool { return p.Committed == 10 })
	if done.Lag != 0 || done.LagSeconds == nil || *done.LagSeconds != 0 || done.OldestUnfinishedSeconds != 0 || done.BufferedBytes != 0 {
		t.Errorf("at the end: %+v", done)
	}
}

func TestAHeldPartitionTellsItsReasonAndItsEndGrowsAllTheSame(t *testing.T) {
	t.Parallel()
	k := testkit.Kfake(t)
	k.Topic("t", 1)
	cl := testkit.NewClient(t, k.Brokers())
	cl.ProduceText("t", "bad")
	h := &handler{name: "a", do: func(context.Context, *record.Record) (record.Kind, error) {
		return record.Reject, errors.New("no such customer")
	}}
	c := start(t, k.Brokers(), h, map[string]string{"topic": "t", "on_reject": "stop"})
	held := c.waitProgress(func(p status.Partition) bool { return p.Held != "" })
	if want := "on_reject=stop: offset 0 was rejected: no such customer"; held.Held != want {
		t.Errorf("held by %q, want %q", held.Held, want)
	}
	testkit.InRunbook(t, "One partition stands still, the others go on", c.Status().Problems.String())
	cl.ProduceText("t", "more", "and more")
	// Nothing is fetched any more, so the broker is asked.
	grown := c.waitProgress(func(p status.Partition) bool { return p.End == 3 })
	if grown.Lag != 3 || grown.LagSeconds == nil || *grown.LagSeconds <= 0 {
		t.Errorf("after two more records: %+v", grown)
	}
}

func TestWhereTheEndIsNotKnownTheLagIsNot(t *testing.T) {
	t.Parallel()
	d := dispatch.New(dispatch.Config{})
	a := &assignment{Partition: d.Open("t", 0, 5), committed: commit{offset: 5}, end: -1}
	if p := a.describe(topicPartition{"t", 0}, time.Now()); p.Lag != -1 || p.LagSeconds != nil || p.CommitAgeSeconds != nil {
		t.Errorf("without an end: %+v", p)
	}
	a.noteBehind(time.Now())
	if !a.behindSince.IsZero() {
		t.Error("a partition whose end is not known is behind")
	}
	a.setEnd(5)
	if !a.behindSince.IsZero() {
		t.Error("a partition that is at its end is behind")
	}
	if p := a.describe(topicPartition{"t", 0}, time.Now()); p.Lag != 0 || p.LagSeconds == nil || *p.LagSeconds != 0 {
		t.Errorf("at its end: %+v", p)
	}
	a.setEnd(6)
	since := a.behindSince
	if since.IsZero() {
		t.Fatal("a partition that is not at its end is not behind")
	}
	if p := a.describe(topicPartition{"t", 0}, since.Add(time.Minute)); p.Lag != 1 || *p.LagSeconds != 60 {
		t.Errorf("a minute behind its end: %+v", p)
	}
	a.setEnd(7)
	if a.behindSince != since {
		t.Error("more records make a partition be behind for less long")
	}
}
