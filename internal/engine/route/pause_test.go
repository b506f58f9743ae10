package route

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/messaging-kafka/messaging-kafka/internal/engine/consume"
	"github.com/messaging-kafka/messaging-kafka/internal/observe/control"
	"github.com/messaging-kafka/messaging-kafka/internal/observe/status"
	"github.com/messaging-kafka/messaging-kafka/internal/payload"
	"github.com/messaging-kafka/messaging-kafka/internal/record"
	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

var echoName = Name{"echo", "default"}

func byAlice() status.Pause {
	return status.Pause{Since: time.Now(), By: "alice", Why: "the shop moves"}
}

// quietly pauses a name and waits until nothing of it is read.
func (b *bench) quietly(name Name) {
	b.t.Helper()
	if err := b.set.Pause(name, byAlice()); err != nil {
		b.t.Fatal(err)
	}
	b.awaitQuiet(name)
}

func (b *bench) awaitQuiet(name Name) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), testkit.DefaultTimeout)
	defer cancel()
	if err := b.set.AwaitQuiet(ctx, name); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) awaitState(id string, state status.State) {
	b.t.Helper()
	b.awaitStatus(func(s *status.Provider) error {
		if l := linkOf(s, id); l.State != state {
			return fmt.Errorf("%s is %s: %s", id, l.State, l.Reason)
		}
		return nil
	})
}

// other is another copy of the program.
func (b *bench) other() *bench {
	o := &bench{t: b.t, net: b.net, kafka: b.kafka, kc: b.kc}
	o.begin()
	b.t.Cleanup(o.end)
	return o
}

func TestAPausedLinkReadsNothingAndIsWell(t *testing.T) {
	virtually(t, func(b *bench) {
		b.topics("in", "in.reply")
		wait := b.count()
		r := b.put(target(b.config("in")))
		b.produceMany("in", 10)
		wait(map[string]int{"in raw": 10})
		b.quietly(echoName)
		b.kc.WaitMembers(defaultGroup, 0)
		b.kc.WaitDrained(defaultGroup, "in") // what was handled is committed
		b.produceMany("in", 10)
		time.Sleep(time.Minute)
		wait(map[string]int{"in raw": 10})

		s := b.set.Status(status.Provider{})
		l := linkOf(&s, targetID)
		if l.State != status.Paused || l.State.Ill() || l.Paused == nil || l.Paused.By != "alice" || !strings.Contains(l.Reason, "paused by alice since ") ||
			!strings.HasSuffix(l.Reason, ": the shop moves") {
			t.Errorf("its state is %s, its reason %q", l.State, l.Reason)
		}
		if !s.Healthy || s.Message != "" || len(b.set.Problems()) != 0 {
			t.Errorf("a pause is told as a problem: %q", s.Message)
		}
		if snapshot := b.set.Snapshot(); snapshot.Links[0].State != status.Paused {
			t.Errorf("the metrics say that it is %s", snapshot.Links[0].State)
		}
		if err := r.Publish(b.t.Context(), nil, payload.Message{Subject: "in.reply", Body: []byte("v")}); err != nil {
			t.Errorf("nothing can be published by it: %v", err)
		}
		if !b.set.Resume(echoName, "bob") || b.set.Resume(echoName, "bob") {
			t.Error("the pause is not told when it is ended")
		}
		wait(map[string]int{"in raw": 20})
		b.awaitState(targetID, status.Healthy)
		events := linkOf(new(b.set.Status(status.Provider{})), targetID).RecentErrors
		if !slices.ContainsFunc(events, func(e status.Event) bool { return strings.HasPrefix(e.Text, "paused by alice") }) ||
			!slices.ContainsFunc(events, func(e status.Event) bool { return e.Text == "resumed by bob" }) {
			t.Errorf("the events do not tell who did what: %+v", events)
		}
	})
}

// TestAPauseIsOfAllLinksOfAName, or one of both directions would read on for the other.
func TestAPauseIsOfAllLinksOfAName(t *testing.T) {
	virtually(t, func(b *bench) {
		b.topics("in", "in.reply")
		b.put(target(b.config("in")))
		b.put(source(b.config("in")))
		b.waitShared()
		b.quietly(echoName)
		b.kc.WaitMembers(defaultGroup, 0)
		b.awaitState(targetID, status.Paused)
		b.awaitState(sourceID, status.Paused)
		b.set.Resume(echoName, "alice")
		b.waitShared()
		b.kc.WaitMembers(defaultGroup, 1)
	})
}

// TestAPausedStaticMemberLeaves: its place would keep its partitions from everybody, and offsets from being set.
func TestAPausedStaticMemberLeaves(t *testing.T) {
	for _, protocol := range []string{"classic", "consumer"} {
		t.Run(protocol, func(t *testing.T) {
			virtually(t, func(b *bench) {
				b.topics("in", "in.reply")
				b.put(target(b.config("in", "group_instance_id", "auto", "group_protocol", protocol)))
				b.kc.WaitMembers(defaultGroup, 1)
				began := time.Now()
				b.quietly(echoName)
				b.kc.WaitMembers(defaultGroup, 0)
				if took := time.Since(began); took > 5*time.Second {
					t.Errorf("it is a member for another %s, as long as its session lasts", took)
				}
			})
		})
	}
}

// TestAPauseOutlastsItsLink, since a link whose settings change is deleted and put again.
func TestAPauseOutlastsItsLink(t *testing.T) {
	virtually(t, func(b *bench) {
		b.topics("in", "in.reply", "in2", "in2.reply")
		wait := b.count()
		first := target(b.config("in"))
		b.put(first)
		b.awaitState(targetID, status.Healthy)
		b.quietly(echoName)
		b.put(first.with(b.config("in2"))) // replaced
		b.set.Drop(first.id)
		b.waitLines("link ended", 1)
		b.put(first.with(b.config("in2", "max_in_flight", "3")))
		b.awaitState(targetID, status.Paused)
		b.produceMany("in2", 5)
		time.Sleep(time.Minute)
		wait(map[string]int{})
		b.set.Resume(echoName, "alice")
		wait(map[string]int{"in2 raw": 5})
	})
}

func TestALinkThatReadsNothingIsNotPaused(t *testing.T) {
	virtually(t, func(b *bench) {
		b.put(target(b.config("")))
		b.awaitState(targetID, status.Healthy)
		if err := b.set.Pause(echoName, byAlice()); !errors.Is(err, ErrReadsNothing) {
			t.Errorf("pausing it says %v", err)
		}
		if _, err := b.set.Seek(b.t.Context(), echoName, targetID, &control.Target{To: control.ToEnd}, false, nil); !errors.Is(err, ErrReadsNothing) {
			t.Errorf("setting its offsets says %v", err)
		}
		if err := b.set.Hold(echoName, "h", byAlice()); !errors.Is(err, ErrReadsNothing) {
			t.Errorf("holding it says %v", err)
		}
	})
}

func TestALinkThatIsIllIsNotCalledPaused(t *testing.T) {
	virtually(t, func(b *bench) {
		b.topics("in", "in.reply")
		r := b.put(target(b.config("in")))
		b.awaitState(targetID, status.Healthy)
		b.quietly(echoName)
		r.Refuse(errors.New("nothing of it makes sense"))
		b.awaitState(targetID, status.Unhealthy)
	})
}

func TestARestartBeginsAnewByTheSameSettings(t *testing.T) {
	virtually(t, func(b *bench) {
		b.topics("in", "in.reply")
		wait := b.count()
		b.put(target(b.config("in")))
		b.produceMany("in", 10)
		wait(map[string]int{"in raw": 10})
		b.kc.WaitMembers(defaultGroup, 1)
		before := b.kc.MemberIDs(defaultGroup)
		ctx, cancel := context.WithTimeout(b.t.Context(), testkit.DefaultTimeout)
		defer cancel()
		over := b.set.AwaitAnew(ctx, echoName)
		b.set.Restart(echoName, "alice")
		if err := over(); err != nil {
			t.Fatal(err)
		}
		b.kc.WaitMembers(defaultGroup, 1)
		if after := b.kc.MemberIDs(defaultGroup); slices.Equal(before, after) {
			t.Errorf("the member is still %v", after)
		}
		b.produceMany("in", 10)
		wait(map[string]int{"in raw": 20})
		b.awaitState(targetID, status.Healthy)

		b.quietly(echoName)
		b.set.Restart(echoName, "alice")
		b.awaitState(targetID, status.Paused)
		b.kc.WaitMembers(defaultGroup, 0)
	})
}

func TestLinksAreFoundByWhatTheyAreCalled(t *testing.T) {
	virtually(t, func(b *bench) {
		b.topics("in", "in.reply")
		b.put(target(b.config("in")))
		b.put(source(b.config("in")))
		other := target(b.config(""))
		other.id.Peer = "shop"
		b.put(other)
		third := target(b.config(""))
		third.id.Name = "third"
		b.put(third)
		for text, want := range map[string]Name{
			"echo/default": echoName, sourceID: echoName, "shop/default": {"shop", "default"}, "third": {"echo", "third"},
		} {
			if got, err := b.set.Lookup(text); err != nil || got != want {
				t.Errorf("%q is %v, %v", text, got, err)
			}
		}
		if _, err := b.set.Lookup("default"); !errors.Is(err, ErrAmbiguous) || !strings.Contains(err.Error(), "echo/default, shop/default") {
			t.Errorf("a name that two have says %v", err)
		}
		if _, err := b.set.Lookup("fourth"); !errors.Is(err, ErrNoLink) {
			t.Errorf("a name that nobody has says %v", err)
		}
	})
}

// manually has the test say to which partitions records go.
var manually = []kgo.Opt{kgo.RecordPartitioner(kgo.ManualPartitioner())}

// hold holds a link in some copies, and returns what releases it.
func hold(t *testing.T, copies ...*bench) (release func()) {
	t.Helper()
	for _, b := range copies {
		if err := b.set.Hold(echoName, "one", until(time.Minute)); err != nil {
			t.Fatal(err)
		}
	}
	for _, b := range copies {
		b.awaitQuiet(echoName)
	}
	return func() {
		for _, b := range copies {
			b.set.Release(echoName, "one")
		}
	}
}

func until(after time.Duration) status.Pause {
	return status.Pause{Since: time.Now(), By: "alice", Until: new(time.Now().Add(after))}
}

// seekTo sets offsets as an operator would have it done.
func (b *bench) seekTo(to control.Target) ([]control.Move, error) {
	return b.set.Seek(b.t.Context(), echoName, targetID, &to, false, nil)
}

// TestASeekSetsOffsetsOfAllCopies: two copies are held, one of them sets the offsets, and both go on from there. Each
// record comes again as often as it was meant to.
func TestASeekSetsOffsetsOfAllCopies(t *testing.T) {
	for _, protocol := range []string{"classic", "consumer"} {
		t.Run(protocol, func(t *testing.T) {
			virtuallyWith(t, nil, manually, func(b *bench) {
				b.topics("in", "in.reply")
				o := b.other()
				came := make(chan string, 1000)
				for _, one := range []*bench{b, o} {
					one.receive = func(_ string, r *record.Record) record.Outcome {
						came <- fmt.Sprintf("%d/%d", r.Partition, r.Offset)
						return record.Outcome{Kind: record.Done}
					}
					one.put(target(one.config("in", "group_protocol", protocol)))
				}
				b.kc.WaitMembers(defaultGroup, 2)
				var early, late []string
				produce := func(n int) (all []string) {
					for i := range n {
						for p := range int32(3) {
							b.kc.Produce(&kgo.Record{Topic: "in", Partition: p, Value: []byte(fmt.Sprint(i))})
						}
					}
					for p, end := range b.kc.EndOffsets("in") {
						for at := end - int64(n); at < end; at++ {
							all = append(all, fmt.Sprintf("%d/%d", p, at))
						}
					}
					return all
				}
				expect := func(what string, want []string) {
					t.Helper()
					var got []string
					for range want {
						select {
						case one := <-came:
							got = append(got, one)
						case <-time.After(testkit.DefaultTimeout):
							t.Fatalf("%s: %d of %d records came", what, len(got), len(want))
						}
					}
					time.Sleep(10 * time.Second) // virtual: what is too much would come
					for len(came) > 0 {
						got = append(got, <-came)
					}
					slices.Sort(got)
					if want = slices.Sorted(slices.Values(want)); !slices.Equal(got, want) {
						t.Errorf("%s: came %v, want %v", what, got, want)
					}
				}
				early = produce(4)
				expect("at first", early)
				time.Sleep(time.Minute)
				since := time.Now()
				late = produce(3)
				expect("a minute later", late)
				b.kc.WaitDrained(defaultGroup, "in")

				for _, test := range []struct {
					what string
					to   control.Target
					want []string
				}{
					{"from the start", control.Target{To: control.ToStart}, slices.Concat(early, late)},
					{"from a time", control.Target{To: control.ToTime, Time: &since}, late},
					{"from an offset", control.Target{To: control.ToOffset, Offset: new(int64(5)), Partition: new(int32(1))}, []string{"1/5", "1/6"}},
					{"from the end", control.Target{To: control.ToEnd}, nil},
					{"from a time to come", control.Target{To: control.ToTime, Time: new(since.Add(1000 * time.Hour))}, nil},
				} {
					release := hold(t, b, o)
					moves, err := o.seekTo(test.to)
					if err != nil {
						t.Fatalf("%s: %v", test.what, err)
					}
					for _, m := range moves {
						if m.From != 7 {
							t.Errorf("%s: partition %d was at %d", test.what, m.Partition, m.From)
						}
					}
					release()
					expect(test.what, test.want)
					b.kc.WaitMembers(defaultGroup, 2)
				}
			})
		})
	}
}

// TestASeekIsRefusedWhileSomebodyReads: commits of the members would take the offsets back.
func TestASeekIsRefusedWhileSomebodyReads(t *testing.T) {
	virtually(t, func(b *bench) {
		b.topics("in", "in.reply")
		wait := b.count()
		o := b.other()
		b.put(target(b.config("in")))
		b.produceMany("in", 9)
		wait(map[string]int{"in raw": 9})
		o.put(target(o.config("in")))
		b.kc.WaitMembers(defaultGroup, 2)
		b.kc.WaitDrained(defaultGroup, "in")
		release := hold(t, b)
		before := b.kc.Committed(defaultGroup, "in")
		_, err := b.seekTo(control.Target{To: control.ToStart})
		if !errors.Is(err, consume.ErrMembers) || !strings.Contains(err.Error(), "members, whose own commits would take its offsets back: ") {
			t.Errorf("it says %v", err)
		}
		if after := b.kc.Committed(defaultGroup, "in"); fmt.Sprint(after) != fmt.Sprint(before) {
			t.Errorf("the offsets went from %v to %v", before, after)
		}
		release()
		b.awaitState(targetID, status.Healthy)
		b.kc.WaitMembers(defaultGroup, 2)
	})
}

func TestSeeksThatMakeNoSenseAreRefused(t *testing.T) {
	virtuallyWith(t, nil, manually, func(b *bench) {
		b.topics("in", "in.reply")
		wait := b.count()
		b.put(target(b.config("in")))
		b.kc.Produce(&kgo.Record{Topic: "in", Partition: 0, Value: []byte("v")})
		wait(map[string]int{"in raw": 1})
		b.kc.WaitDrained(defaultGroup, "in")
		b.quietly(echoName)
		before := b.kc.Committed(defaultGroup, "in")
		for want, to := range map[string]control.Target{
			"offset 2 is not in the log of in/0, which has those from 0 to 1": {To: control.ToOffset, Offset: new(int64(2)), Partition: new(int32(0))},
			"topic out is none of those that it reads: in":                    {To: control.ToEnd, Topic: "out"},
			"it reads no such partition":                                      {To: control.ToEnd, Partition: new(int32(7))},
		} {
			if _, err := b.seekTo(to); err == nil || err.Error() != want {
				t.Errorf("%+v says %v", to, err)
			}
		}
		moves, err := b.set.Seek(b.t.Context(), echoName, targetID, &control.Target{To: control.ToStart}, true, nil)
		if want := (control.Move{Topic: "in", Partition: 0, From: 1, To: 0}); err != nil || len(moves) != 3 || moves[0] != want {
			t.Errorf("a dry run says %+v, %v", moves, err)
		}
		if after := b.kc.Committed(defaultGroup, "in"); fmt.Sprint(after) != fmt.Sprint(before) {
			t.Errorf("the offsets went from %v to %v", before, after)
		}
		if mine := b.set.Members(echoName); mine == nil || len(mine) > 0 {
			t.Errorf("who reads nothing is in its group as %q", mine)
		}
		b.set.Drop(target(nil).id)
		b.put(target(b.config("in", "group_protocol", "share", "consumer_group", "shared")))
		b.awaitState(targetID, status.Paused)
		if _, err := b.seekTo(control.Target{To: control.ToStart}); !errors.Is(err, consume.ErrShareGroup) {
			t.Errorf("of a share group it says %v", err)
		}
	})
}

// TestASeekKeepsWhatTheGroupKnowsOfItsTopics: by it a partition that is added later is read from its start.
func TestASeekKeepsWhatTheGroupKnowsOfItsTopics(t *testing.T) {
	virtuallyWith(t, nil, manually, func(b *bench) {
		b.topics("in", "in.reply")
		wait := b.count()
		b.put(target(b.config("in", "start", "latest")))
		b.awaitState(targetID, status.Healthy)
		b.kc.WaitMembers(defaultGroup, 1)
		b.kc.Produce(&kgo.Record{Topic: "in", Partition: 0, Value: []byte("v")})
		wait(map[string]int{"in raw": 1})
		b.quietly(echoName)
		if _, err := b.seekTo(control.Target{To: control.ToStart}); err != nil {
			t.Fatal(err)
		}
		b.kc.AddPartitions("in", 1)
		testkit.NewClient(b.t, []string{broker}, append(manually, kgo.Dialer(b.net.stack.DialContext))...).Produce(&kgo.Record{Topic: "in", Partition: 3, Value: []byte("v")})
		b.set.Resume(echoName, "alice")
		wait(map[string]int{"in raw": 3})
	})
}

// TestAHoldEndsByItself: who has asked for it may be gone.
func TestAHoldEndsByItself(t *testing.T) {
	virtually(t, func(b *bench) {
		b.topics("in", "in.reply")
		b.put(target(b.config("in")))
		b.awaitState(targetID, status.Healthy)
		began := time.Now()
		if err := b.set.Hold(echoName, "one", until(30*time.Second)); err != nil {
			t.Fatal(err)
		}
		b.awaitQuiet(echoName)
		b.awaitState(targetID, status.Paused)
		if err := b.set.Hold(echoName, "two", until(30*time.Second)); !errors.Is(err, ErrHeld) {
			t.Errorf("another hold says %v", err)
		}
		b.set.Release(echoName, "two")
		if err := b.set.Hold(echoName, "one", until(40*time.Second)); err != nil {
			t.Errorf("the same again says %v", err)
		}
		b.awaitState(targetID, status.Healthy)
		if took := time.Since(began); took < 40*time.Second || took > 45*time.Second {
			t.Errorf("it was over after %s", took)
		}
		b.waitLines("it was held for long enough", 1)

		b.quietly(echoName) // and a pause outlasts a hold
		if err := b.set.Hold(echoName, "one", until(time.Second)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		b.awaitState(targetID, status.Paused)
	})
}

func TestPausesAreBounded(t *testing.T) {
	t.Parallel()
	var p pauses
	pause := func(h *halt) error {
		h.paused = new(byAlice())
		return nil
	}
	for i := range maxPauses {
		if err := p.change(Name{"echo", fmt.Sprint(i)}, pause); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.change(echoName, pause); !errors.Is(err, errPauses) {
		t.Errorf("one more says %v", err)
	}
	if err := p.change(Name{"echo", "0"}, pause); err != nil {
		t.Errorf("one that is there says %v", err)
	}
	for i := range maxPauses {
		if err := p.change(Name{"echo", fmt.Sprint(i)}, func(h *halt) error { *h = halt{}; return nil }); err != nil {
			t.Fatal(err)
		}
	}
	if len(p.by) != 0 {
		t.Errorf("%d are left", len(p.by))
	}
}
