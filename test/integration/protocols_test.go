package integration

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

// moody fails each record whose body begins with "fail" at its first call and rejects those that begin with "reject".
func moody(_ context.Context, _ *testkit.Component, msg testkit.Call, times int) error {
	switch {
	case strings.HasPrefix(string(msg.Body), "reject"):
		return errors.New("reject: cannot be read")
	case strings.HasPrefix(string(msg.Body), "fail") && times == 1:
		return errors.New("not this time")
	}
	return nil
}

// moodyBodies are n bodies of which every tenth fails once and every tenth is rejected.
func moodyBodies(n int) (all, good, bad []string) {
	for i := range n {
		switch i % 10 {
		case 3:
			all = append(all, fmt.Sprintf("fail%d", i))
			good = append(good, all[i])
		case 7:
			all = append(all, fmt.Sprintf("reject%d", i))
			bad = append(bad, all[i])
		default:
			all = append(all, fmt.Sprintf("good%d", i))
			good = append(good, all[i])
		}
	}
	return all, good, bad
}

func TestTheConsumerProtocolDeliversRetriesAndDeadLetters(t *testing.T) {
	r := newRig(t, kafka4(t).Brokers())
	in, dead := r.topic("in", 4), r.topic("dead", 1)
	j := newJournal()
	r.component(testkit.ComponentOptions{Handler: j.handler(moody)})
	r.link("echo", r.config(in, "group_protocol", "consumer", "dead_letter_topic", dead))
	one := r.start()
	r.kc.WaitMembers(r.group("echo"), 1)
	all, good, bad := moodyBodies(200)
	half := len(all) / 2
	r.kc.ProduceText(in, all[:half]...)
	j.waitDone(t, half*9/10)
	// A second copy joins, takes over a part, and leaves it again.
	two := r.start()
	r.kc.WaitMembers(r.group("echo"), 2)
	r.kc.ProduceText(in, all[half:]...)
	j.waitDone(t, len(good))
	r.kc.WaitDrained(r.group("echo"), in)
	if again := j.checkEach(t, good, false); again > 64 {
		t.Errorf("%d records were handled again, more than can have been in flight when partitions moved", again)
	}
	if letters := valuesOf(r.kc.Read(dead, len(bad))); !sameTexts(letters, bad) {
		t.Errorf("dead letters %v, want %v", letters, bad)
	}
	one.stop()
	r.kc.WaitMembers(r.group("echo"), 1)
	r.kc.ProduceText(in, "last0", "last1", "last2", "last3")
	j.waitDone(t, len(good)+4)
	two.stop()
	r.kc.WaitMembers(r.group("echo"), 0)
}

func sameTexts(a, b []string) bool {
	a, b = slices.Clone(a), slices.Clone(b)
	slices.Sort(a)
	slices.Sort(b)
	return slices.Equal(a, b)
}

// setGroup sets a config of a share group.
func (r *rig) setGroup(group, name, value string) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), testkit.DefaultTimeout)
	defer cancel()
	config := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
	config.Name, config.Value, config.Op = name, &value, kmsg.IncrementalAlterConfigOpSet
	resource := kmsg.NewIncrementalAlterConfigsRequestResource()
	resource.ResourceType, resource.ResourceName = kmsg.ConfigResourceTypeGroupConfig, group
	resource.Configs = append(resource.Configs, config)
	req := kmsg.NewPtrIncrementalAlterConfigsRequest()
	req.Resources = append(req.Resources, resource)
	resp, err := req.RequestWith(ctx, r.kc.Client)
	if err != nil {
		r.t.Fatalf("setting %s of group %s: %v", name, group, err)
	}
	for _, res := range resp.Resources {
		if res.ErrorCode != 0 {
			r.t.Fatalf("setting %s of group %s: %d %s", name, group, res.ErrorCode, *res.ErrorMessage)
		}
	}
}

func TestAShareGroupDeliversReleasesAndRejects(t *testing.T) {
	r := newRig(t, kafka4(t).Brokers())
	in, dead := r.topic("in", 2), r.topic("dead", 1)
	j := newJournal()
	r.component(testkit.ComponentOptions{Handler: j.handler(moody)})
	r.link("echo", r.config(in, "group_protocol", "share", "dead_letter_topic", dead, "max_in_flight", "16"))
	all, good, bad := moodyBodies(200)
	r.kc.ProduceText(in, all...)
	// Two copies share even the records of one partition.
	one, two := r.start(), r.start()
	j.waitDone(t, len(good))
	if again := j.checkEach(t, good, false); again > 0 {
		t.Errorf("%d records were handled again, though no copy ended", again)
	}
	if letters := valuesOf(r.kc.Read(dead, len(bad))); !sameTexts(letters, bad) {
		t.Errorf("dead letters %v, want %v", letters, bad)
	}
	one.stop()
	r.kc.ProduceText(in, "last")
	j.waitDone(t, len(good)+1)
	two.stop()

	// What was accepted or rejected is never seen again.
	begun, _ := j.count()
	three := r.start()
	r.kc.ProduceText(in, "after")
	j.waitDone(t, len(good)+2)
	if now, _ := j.count(); now != begun+1 {
		t.Errorf("%d calls for one new record: %+v", now-begun, j.history()[begun:])
	}
	three.stop()
}

func TestAShareGroupGetsNoAbortedRecords(t *testing.T) {
	r := newRig(t, kafka4(t).Brokers())
	in := r.topic("in", 1)
	producer := testkit.NewClient(t, r.brokers, kgo.TransactionalID("tx-"+in))
	for _, how := range []string{"aborted", "committed", "aborted"} {
		if err := producer.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		producer.ProduceText(in, how, how, how, how, how)
		if err := producer.EndTransaction(t.Context(), kgo.TransactionEndTry(how == "committed")); err != nil {
			t.Fatal(err)
		}
	}
	j := newJournal()
	r.component(testkit.ComponentOptions{Handler: j.handler(func(context.Context, *testkit.Component, testkit.Call,
		int) error {
		return nil
	})})
	r.link("echo", r.config(in, "group_protocol", "share"))
	one := r.start()
	r.kc.ProduceText(in, "last")
	testkit.Eventually(t, patience, func() error {
		if n := len(j.history()); n < 6 {
			return fmt.Errorf("%d calls", n)
		}
		return nil
	})
	if calls := j.history(); len(calls) != 6 {
		t.Errorf("%d calls for five committed records and one more: %+v", len(calls), calls)
	}
	one.stop()
}

func TestAShareGroupTellsOfRecordsThatWereLost(t *testing.T) {
	r := newRig(t, kafka4(t).Brokers())
	in := r.topic("in", 1)
	release := make(chan struct{})
	j := newJournal()
	r.component(testkit.ComponentOptions{Handler: j.handler(func(ctx context.Context, _ *testkit.Component,
		msg testkit.Call, _ int) error {
		if string(msg.Body) == "wait" {
			select {
			case <-release:
			case <-ctx.Done():
			}
		}
		return nil
	})})
	r.link("echo", r.config(in, "group_protocol", "share", "max_in_flight", "1"))
	one := r.start()
	r.kc.ProduceText(in, "1", "2", "3")
	j.waitDone(t, 3)
	r.kc.ProduceText(in, "wait")
	j.waitBegun(t, 4)
	r.kc.ProduceText(in, "lost 1", "lost 2", "lost 3", "lost 4", "kept")
	r.kc.DeleteRecords(in, 0, 8)
	lost := func(n *node, want int) {
		t.Helper()
		testkit.Eventually(t, patience, func() error {
			if got := n.logged("records were gone from the log", fmt.Sprintf("records_lost=%d", want)); got != 1 {
				return fmt.Errorf("%d lines tell of %d lost records", got, want)
			}
			return nil
		})
	}
	lost(one, 4)
	close(release)
	j.waitDone(t, 5)
	one.stop()
	r.kc.ProduceText(in, "lost 5", "lost 6")
	r.kc.DeleteRecords(in, 0, 11)
	two := r.start()
	lost(two, 2)
	two.stop()
}

// TestAShareGroupLosesNoRecordToTheBrokersLimit: a record that the broker will not deliver again gets its dead letter,
// whatever max_attempts says, and so does one whose deliveries were used up by stops while no component ran, or whose
// last call a stop has given up.
func TestAShareGroupLosesNoRecordToTheBrokersLimit(t *testing.T) {
	const limit = 5 // Kafka's own
	r := newRig(t, kafka4(t).Brokers())
	t.Run("attempts", func(t *testing.T) {
		in, dead := r.topic("failing", 1), r.topic("failing.dead", 1)
		j := newJournal()
		r.component(testkit.ComponentOptions{ID: "failing",
			Handler: j.handler(func(context.Context, *testkit.Component, testkit.Call, int) error {
				return errors.New("never")
			})})
		link := r.link("failing", r.config(in, "group_protocol", "share", "dead_letter_topic", dead, "max_attempts", "100"))
		c := r.start()
		r.kc.ProduceText(in, "bad")
		letter := r.kc.Read(dead, 1)[0]
		if calls := len(j.history()); calls != limit {
			t.Errorf("%d calls before the dead letter, want %d", calls, limit)
		}
		for _, h := range letter.Headers {
			if h.Key == "kafka_dlt-exception-message" && !strings.Contains(string(h.Value), "share.delivery.count.limit") {
				t.Errorf("the dead letter says %q", h.Value)
			}
		}
		c.stop()
		r.host.DeleteLink(link)
	})
	t.Run("stops", func(t *testing.T) {
		in, dead := r.topic("away", 1), r.topic("away.dead", 1)
		r.link("away", r.config(in, "group_protocol", "share", "dead_letter_topic", dead))
		c := r.start()
		r.kc.ProduceText(in, "1")
		for range limit {
			c.WaitUnhealthy("component away takes no calls")
			c.stop()
			c.Restart()
		}
		if letters := valuesOf(r.kc.Read(dead, 1)); !sameTexts(letters, []string{"1"}) {
			t.Errorf("dead letters %v", letters)
		}
		c.stop()
	})
	t.Run("a stop during the last call", func(t *testing.T) {
		in, dead := r.topic("cut", 1), r.topic("cut.dead", 1)
		j := newJournal()
		r.component(testkit.ComponentOptions{ID: "cut",
			Handler: j.handler(func(_ context.Context, _ *testkit.Component, _ testkit.Call, times int) error {
				if times == limit {
					return testkit.ErrHang
				}
				return errors.New("not yet")
			})})
		r.link("cut", r.config(in, "group_protocol", "share", "dead_letter_topic", dead, "max_attempts", "100"))
		c := r.start()
		r.kc.ProduceText(in, "bad")
		j.waitBegun(t, limit)
		c.stop()
		if n := sum(r.kc.EndOffsets(dead)); n != 1 {
			t.Errorf("%d dead letters after the stop, want one: nobody delivers the record again", n)
		}
		if n := c.logged("a record was given back, and the broker delivers it no more"); n != 0 {
			t.Errorf("the log tells %d times of a record without a dead letter", n)
		}
	})
}

func TestAShareGroupWhoseIDIsTakenSaysSo(t *testing.T) {
	r := newRig(t, kafka4(t).Brokers())
	in := r.topic("in", 1)
	r.kc.CommitOffset(r.group("echo"), in, 0, 0)
	r.component(testkit.ComponentOptions{})
	r.link("echo", r.config(in, "group_protocol", "share"))
	one := r.start()
	one.WaitUnhealthy("exists as a group of the kind classic", "consumer_group")
	one.stop()
}

func TestARecordOfAShareGroupIsHeldForAsLongAsItsCallTakes(t *testing.T) {
	// Five times the second for which the broker locks the record.
	const handling = 5 * time.Second
	r := newRig(t, kafka4(t).Brokers())
	in := r.topic("in", 1)
	r.setGroup(r.group("echo"), "share.record.lock.duration.ms", "1000")
	j := newJournal()
	r.component(testkit.ComponentOptions{Handler: j.handler(
		func(ctx context.Context, _ *testkit.Component, msg testkit.Call, _ int) error {
			if string(msg.Body) == "slow" {
				select {
				case <-time.After(handling):
				case <-ctx.Done():
				}
			}
			return nil
		})})
	r.link("echo", r.config(in, "group_protocol", "share", "max_in_flight", "4"))
	r.start()
	r.kc.ProduceText(in, "slow")
	j.waitBegun(t, 1)
	// Another copy gets the record as soon as its lock runs out, if nobody renews it; that it reads shows by the others.
	two := r.start()
	want := []string{"slow"}
	for i := range 10 {
		want = append(want, fmt.Sprintf("quick%d", i))
		r.kc.ProduceText(in, want[i+1])
		j.waitDone(t, i+1)
	}
	j.waitDone(t, len(want))
	if two.metric("messaging_kafka_fetched_records_total") == 0 {
		t.Error("the other copy has read nothing: it could not have shown the record twice")
	}
	j.checkEach(t, want, true)
	if calls := j.history(); len(calls) != len(want) {
		t.Errorf("%d calls for %d records: %+v", len(calls), len(want), calls)
	}
	for _, c := range r.copies {
		c.stop()
	}
}

func TestAShareGroupTakesNoMoreThanItsComponentIsGiven(t *testing.T) {
	const records = 200
	r := newRig(t, kafka4(t).Brokers())
	in := r.topic("in", 1)
	// What was taken but waited its turn would be lost to the lock after a second, five times over, and then for good.
	r.setGroup(r.group("echo"), "share.record.lock.duration.ms", "1000")
	j := newJournal()
	r.component(testkit.ComponentOptions{Handler: j.handler(
		func(ctx context.Context, _ *testkit.Component, _ testkit.Call, _ int) error {
			select {
			case <-time.After(100 * time.Millisecond):
			case <-ctx.Done():
			}
			return nil
		})})
	r.link("echo", r.config(in, "group_protocol", "share", "max_in_flight", "4"))
	all := keyed(in, "v", records, records)
	testkit.NewClient(t, r.brokers, kgo.ProducerLinger(100*time.Millisecond)).Produce(all...) // one batch
	// What one copy has lost, the other one gets.
	one, two := r.start(), r.start()
	j.waitDone(t, records)
	r.kc.ProduceText(in, "last")
	j.waitDone(t, records+1)
	one.stop()
	two.stop()
	j.checkEach(t, append(valuesOf(all), "last"), true)
}
