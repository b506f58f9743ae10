package provider

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/sasl/plain"

	"github.com/messaging-kafka/messaging-kafka/internal/observe/status"
	"github.com/messaging-kafka/messaging-kafka/internal/record"
	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
	"github.com/messaging-kafka/messaging-kafka/internal/wasmcloud/hostdata"
)

// both are the links of a component in both directions, the given one first.
func both(first string, config map[string]string) (one, two testkit.Link) {
	target, source := testkit.TargetLink("echo", "kafka", config), testkit.SourceLink("kafka", "echo", config)
	if first == "source" {
		return source, target
	}
	return target, source
}

// withConfig is a link with other settings.
func withConfig(l testkit.Link, config map[string]string) testkit.Link {
	if l.Source == "kafka" {
		l.SourceConfig = config
	} else {
		l.TargetConfig = config
	}
	return l
}

const (
	targetID, sourceID = "echo/default", "echo/default (as source)"
	defaultGroup       = "wasmcloud.default.echo.default"
)

// waitShared waits until one reading serves both links.
func (b *bench) waitShared() {
	b.t.Helper()
	b.awaitStatus(func(s *status.Provider) error {
		target, source := linkOf(s, targetID), linkOf(s, sourceID)
		if target.State != status.Healthy || source.State != status.Healthy || source.SharedWith != targetID {
			return fmt.Errorf("target %s %s, source %s %s, shared with %q", target.State, target.Reason, source.State, source.Reason, source.SharedWith)
		}
		return nil
	})
}

// startLogged starts a provider whose log can be read.
func (b *bench) startLogged() *testkit.Log {
	b.t.Helper()
	log := &testkit.Log{}
	b.host.StartProvider(testkit.ProviderSpec{Run: func(ctx context.Context, stdin io.Reader) error {
		data, err := hostdata.Read(ctx, stdin)
		if err != nil {
			return err
		}
		return Run(ctx, data, Options{Logger: log.Logger(), IgnoreParent: true})
	}}).WaitHealthy()
	b.t.Cleanup(func() {
		if b.t.Failed() {
			b.t.Logf("the provider's log:\n%s", log)
		}
	})
	return log
}

// waitLines waits until the log has n lines with a text.
func waitLines(t *testing.T, log *testkit.Log, text string, n int) {
	t.Helper()
	testkit.Eventually(t, testkit.DefaultTimeout, func() error {
		if got := strings.Count(log.String(), text); got < n {
			return fmt.Errorf("%d lines say %q, want %d", got, text, n)
		}
		return nil
	})
}

// rejectBad is a component that answers by publishing, and can make nothing of what begins with "bad".
func rejectBad(ctx context.Context, c *testkit.Component, call testkit.Call) error {
	if strings.HasPrefix(string(call.Body), "bad") {
		return errors.New("reject: bad")
	}
	return testkit.Echo(ctx, c, call)
}

// TestASharedReadingOutlivesEachOfItsLinks: whichever of two links was first, and whichever goes or is replaced, what
// the other one reads is delivered and dead-lettered on, by the same member of the group.
func TestASharedReadingOutlivesEachOfItsLinks(t *testing.T) {
	for _, first := range []string{"target", "source"} {
		for _, gone := range []string{"the first", "the second"} {
			for _, how := range []string{"deleted", "replaced", "replaced and deleted"} {
				t.Run(first+" first, "+gone+" "+how, func(t *testing.T) {
					t.Parallel()
					b := newBench(t)
					b.topics("in", "in.reply", "dead")
					testkit.NewComponent(t, b.nats, testkit.ComponentOptions{Handler: rejectBad})
					// Publishes of the target link are of no concern to the reading; a source link has none.
					one, two := both(first, b.config("in", "dead_letter_topic", "dead"))
					log := b.startLogged()
					b.host.PutLink(one)
					b.awaitStatus(func(s *status.Provider) error {
						if len(s.Links) != 1 || s.Links[0].State != status.Healthy {
							return fmt.Errorf("links %+v", s.Links)
						}
						return nil
					})
					b.host.PutLink(two)
					b.waitShared()
					members := b.kc.MemberIDs(defaultGroup)

					goes, stays := one, two
					if gone == "the second" {
						goes, stays = two, one
					}
					left := map[bool]string{true: sourceID, false: targetID}[stays.Source == "kafka"]
					if how != "deleted" {
						// What is no part of the reading: the other link's reading goes on.
						goes = withConfig(goes, b.config("in", "dead_letter_topic", "dead", "publish_timeout", "31s"))
						b.host.PutLink(goes)
						b.kc.ProduceText("in", "bad 1")
						b.kc.Read("dead", 1)
						b.waitShared()
					}
					if how != "replaced" {
						b.host.DeleteLink(goes)
						waitLines(t, log, "link ended", 1)
					}
					if after := b.kc.MemberIDs(defaultGroup); !slices.Equal(after, members) {
						t.Errorf("the group's members changed from %v to %v", members, after)
					}
					b.kc.ProduceText("in", "bad 2", "bad 3", "bad 4")
					want := 3
					if how != "deleted" {
						want++
					}
					b.kc.Read("dead", want)
					b.kc.WaitDrained(defaultGroup, "in")
					b.awaitStatus(func(s *status.Provider) error {
						for i := range s.Links {
							if l := &s.Links[i]; l.State != status.Healthy {
								return fmt.Errorf("%s is %s: %s", l.ID(), l.State, l.Reason)
							}
						}
						if how == "replaced" {
							left = targetID // where both are, that is where the figures stand
						}
						if l := linkOf(s, left); len(l.RecentDeadLetters) == 0 || l.Counters.DeadLetters != float64(want) {
							return fmt.Errorf("of %s %d dead letters are told, %v counted", left, len(l.RecentDeadLetters), l.Counters.DeadLetters)
						}
						return nil
					})
				})
			}
		}
	}
}

// doors is a fake Kafka of two users that can refuse one of them.
type doors struct {
	mu      sync.Mutex
	refused string
}

func (d *doors) refuse(user string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.refused = user
}

func (d *doors) control(req kmsg.Request) (kmsg.Response, error, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	r := req.(*kmsg.SASLAuthenticateRequest)
	if d.refused == "" || !strings.HasPrefix(string(r.SASLAuthBytes), "\x00"+d.refused+"\x00") {
		return nil, nil, false
	}
	resp := r.ResponseKind().(*kmsg.SASLAuthenticateResponse)
	resp.ErrorCode = kerr.SaslAuthenticationFailed.Code
	return resp, nil, true
}

// TestASharedReadingHasTheCredentialsOfItsLinks: new ones of either link are used at once, and those of a link that is
// gone are used no more.
func TestASharedReadingHasTheCredentialsOfItsLinks(t *testing.T) {
	for _, first := range []string{"target", "source"} {
		for _, rotated := range []string{"the first", "the second"} {
			for _, then := range []string{"the other is rotated too", "the other is deleted", "it is deleted itself"} {
				t.Run(first+" first, "+rotated+" rotated, "+then, func(t *testing.T) {
					t.Parallel()
					b := &bench{t: t, nats: testkit.NATS(t, testkit.NATSOptions{})}
					b.kafka = testkit.KfakeProxied(t, kfake.EnableSASL(), kfake.Superuser("PLAIN", "old", "pass"), kfake.Superuser("PLAIN", "new", "pass"), kfake.Superuser("PLAIN", "test", "pass"))
					var d doors
					b.kafka.ControlKey(int16(kmsg.SASLAuthenticate), func(req kmsg.Request) (kmsg.Response, error, bool) {
						b.kafka.KeepControl()
						return d.control(req)
					})
					b.host = testkit.NewFakeHost(t, b.nats, testkit.FakeHostOptions{ShutdownDelay: patientHost})
					b.kc = testkit.NewClient(t, b.kafka.Brokers(), kgo.SASL(plain.Auth{User: "test", Pass: "pass"}.AsMechanism()))
					b.topics("in", "in.reply", "dead")
					testkit.NewComponent(t, b.nats, testkit.ComponentOptions{Handler: rejectBad})
					as := func(user string) map[string]string {
						return b.config("in", "dead_letter_topic", "dead", "security_protocol", "SASL_PLAINTEXT", "sasl_mechanism", "PLAIN",
							"sasl_username", user, "sasl_password", "pass", "session_timeout", "30s")
					}
					one, two := both(first, as("old"))
					log := b.startLogged()
					b.host.PutLink(one)
					b.host.PutLink(two)
					b.waitShared()
					members := b.kc.MemberIDs(defaultGroup)

					turns, other := one, two
					if rotated == "the second" {
						turns, other = two, one
					}
					b.host.PutLink(withConfig(turns, as("new")))
					waitLines(t, log, "the link's credentials were replaced", 1)
					refused := "old"
					switch then {
					case "the other is rotated too":
						b.host.PutLink(withConfig(other, as("new")))
						waitLines(t, log, "the link's credentials were replaced", 2)
					case "the other is deleted":
						b.host.DeleteLink(other)
						waitLines(t, log, "link ended", 1)
					case "it is deleted itself":
						b.host.DeleteLink(turns)
						waitLines(t, log, "link ended", 1)
						refused = "new"
					}
					d.refuse(refused)
					for _, proxy := range b.kafka.Proxies() {
						proxy.Cut()
					}
					b.kc.ProduceText("in", "bad 1", "bad 2", "bad 3")
					b.kc.Read("dead", 3)
					b.kc.WaitDrained(defaultGroup, "in")
					if after := b.kc.MemberIDs(defaultGroup); !slices.Equal(after, members) {
						t.Errorf("the group's members changed from %v to %v", members, after)
					}
				})
			}
		}
	}
}

// TestASharedReadingWritesPayloadsWhereAllItsLinksAllowIt: what one link forbids is not written on behalf of the other,
// and is written when the one that forbade it is gone.
func TestASharedReadingWritesPayloadsWhereAllItsLinksAllowIt(t *testing.T) {
	for _, first := range []string{"target", "source"} {
		t.Run(first+" first", func(t *testing.T) {
			b := newBench(t)
			b.topics("in", "in.reply", "dead")
			got := make(chan struct{}, 10)
			testkit.NewComponent(t, b.nats, testkit.ComponentOptions{Handler: func(context.Context, *testkit.Component, testkit.Call) error {
				got <- struct{}{}
				return nil
			}})
			allows, forbids := both(first, b.config("in", "log_payloads", "true"))
			forbids = withConfig(forbids, b.config("in"))
			log := b.startLogged()
			b.host.PutLink(allows)
			b.host.PutLink(forbids)
			b.waitShared()
			b.kc.ProduceText("in", "hidden")
			<-got
			b.host.DeleteLink(forbids)
			waitLines(t, log, "link ended", 1)
			b.kc.ProduceText("in", "written")
			<-got
			if text := log.String(); strings.Contains(text, "value=hidden") || !strings.Contains(text, "value=written") {
				t.Error("the log holds what a link forbids, or lacks what the other allows")
			}
		})
	}
}

// ways counts what reaches a component by wasmcloud:messaging and by messaging-kafka:records. Bodies of messages that are
// envelopes count for themselves.
type ways struct {
	mu sync.Mutex
	by map[string]int
}

func (w *ways) add(way string, n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.by == nil {
		w.by = make(map[string]int)
	}
	w.by[way] += n
}

// wait waits until n have come by each of the given ways, and returns what came by others.
func (w *ways) wait(t *testing.T, want map[string]int) {
	t.Helper()
	testkit.Eventually(t, testkit.DefaultTimeout, func() error {
		w.mu.Lock()
		defer w.mu.Unlock()
		if !maps.Equal(w.by, want) {
			return fmt.Errorf("came %v, want %v", w.by, want)
		}
		return nil
	})
}

// component is the component "echo" with both interfaces.
func (w *ways) component(b *bench) {
	testkit.NewComponent(b.t, b.nats, testkit.ComponentOptions{Handler: func(_ context.Context, _ *testkit.Component, call testkit.Call) error {
		way := call.Subject + " raw"
		if strings.HasPrefix(string(call.Body), "{") {
			way = call.Subject + " envelope"
		}
		w.add(way, 1)
		return nil
	}})
	newRecordsComponent(b.t, b.nats, "echo", func(batch []*record.Record) []record.Outcome {
		outcomes := make([]record.Outcome, len(batch))
		for i, r := range batch {
			w.add(r.Topic+" record", 1)
			outcomes[i].Kind = record.Done
		}
		return outcomes
	})
}

func (b *bench) produceMany(topic string, n int) {
	values := make([]string, n)
	for i := range values {
		values[i] = fmt.Sprint("v", i)
	}
	b.kc.ProduceText(topic, values...)
}

// TestLinksOfOneNameAreMembersOfTheirOwn: the links of a component that have one name are in one group by default. With
// static members each must have an id of its own, or they put each other out of the group.
func TestLinksOfOneNameAreMembersOfTheirOwn(t *testing.T) {
	for _, protocol := range []string{"classic", "consumer"} {
		for _, order := range [][]int{{0, 1, 2}, {2, 1, 0}} {
			t.Run(fmt.Sprint(protocol, order), func(t *testing.T) {
				t.Parallel()
				b := newBench(t)
				b.topics("a", "b", "c")
				var w ways
				w.component(b)
				log := b.startLogged()
				more := []string{"group_instance_id", "auto", "group_protocol", protocol}
				links := []testkit.Link{
					testkit.TargetLink("echo", "kafka", b.config("a", more...)),
					testkit.SourceLink("kafka", "echo", b.config("b", more...)),
					recordsLink("kafka", "echo", "handler", b.config("c", more...)),
				}
				for n, i := range order {
					b.host.PutLink(links[i])
					b.awaitStatus(func(s *status.Provider) error {
						if len(s.Links) != n+1 || !s.Healthy {
							return fmt.Errorf("%d links: %s", len(s.Links), s.Message)
						}
						return nil
					})
				}
				for _, topic := range []string{"a", "b", "c"} {
					b.produceMany(topic, 40)
				}
				w.wait(t, map[string]int{"a raw": 40, "b raw": 40, "c record": 40})
				b.kc.WaitMembers(defaultGroup, 3)
				if strings.Contains(log.String(), "level=WARN") {
					t.Error("the log tells of trouble")
				}
			})
		}
	}
}

// TestRecordsAreNotDividedBetweenTwoWays: of links in one group that would hand over the records of one topic in two
// ways, always the same one reads, whichever came first; the other says why it does not, and takes over when that is
// gone.
func TestRecordsAreNotDividedBetweenTwoWays(t *testing.T) {
	for name, c := range map[string]struct {
		reads, waits           func(b *bench) testkit.Link
		way, otherWay          string
		readsID, waitsID, text string
	}{
		"both directions, another form": {
			func(b *bench) testkit.Link { return testkit.TargetLink("echo", "kafka", b.config("in")) },
			func(b *bench) testkit.Link {
				return testkit.SourceLink("kafka", "echo", b.config("x,in", "payload", "envelope"))
			},
			"in raw", "in envelope", targetID, sourceID, "reads in too, as a member of the same group (" + defaultGroup + ")",
		},
		"both packages": {
			func(b *bench) testkit.Link { return recordsLink("kafka", "echo", "handler", b.config("in")) },
			func(b *bench) testkit.Link { return testkit.SourceLink("kafka", "echo", b.config("/i.*/")) },
			"in record", "in raw", "echo/default (messaging-kafka:records) (as source)", sourceID, "reads in too",
		},
		"one instance id": {
			func(b *bench) testkit.Link {
				return testkit.TargetLink("echo", "kafka", b.config("in", "group_instance_id", "me"))
			},
			func(b *bench) testkit.Link {
				return recordsLink("kafka", "echo", "handler", b.config("x", "group_instance_id", "me"))
			},
			"in raw", "", targetID, "echo/default (messaging-kafka:records) (as source)", "with the same group_instance_id me",
		},
	} {
		for _, first := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, the one that reads first: %v", name, first), func(t *testing.T) {
				t.Parallel()
				b := newBench(t)
				b.topics("in", "x")
				var w ways
				w.component(b)
				log := b.startLogged()
				reads, waits := c.reads(b), c.waits(b)
				links := []testkit.Link{waits, reads}
				if first {
					links = []testkit.Link{reads, waits}
				}
				for i, l := range links {
					b.host.PutLink(l)
					b.awaitStatus(func(s *status.Provider) error {
						if len(s.Links) != i+1 {
							return fmt.Errorf("%d links", len(s.Links))
						}
						for i := range s.Links {
							if s.Links[i].State == status.Starting {
								return fmt.Errorf("%s is starting", s.Links[i].ID())
							}
						}
						return nil
					})
				}
				b.awaitStatus(func(s *status.Provider) error {
					one, two := linkOf(s, c.readsID), linkOf(s, c.waitsID)
					if one.State != status.Healthy || two.State != status.Unhealthy || !two.Problems.Has(status.ProblemRefused) ||
						!strings.Contains(two.Reason, c.text) || !strings.Contains(two.Reason, "link "+c.readsID+" ") {
						return fmt.Errorf("%s is %s: %s; %s is %s: %s", c.readsID, one.State, one.Reason, c.waitsID, two.State, two.Reason)
					}
					return nil
				})
				b.produceMany("in", 40)
				w.wait(t, map[string]int{c.way: 40})
				b.kc.WaitDrained(defaultGroup, "in")
				if c.otherWay == "" {
					return
				}
				b.host.DeleteLink(reads)
				waitLines(t, log, "link ended", 1)
				b.produceMany("in", 40)
				w.wait(t, map[string]int{c.way: 40, c.otherWay: 40})
			})
		}
	}
}

// TestLinksThatChangeOneAfterTheOtherShareAgain: for the moment in which only one of them has the new settings, they
// stand against each other.
func TestLinksThatChangeOneAfterTheOtherShareAgain(t *testing.T) {
	for _, first := range []string{"target", "source"} {
		t.Run(first+" first", func(t *testing.T) {
			b := newBench(t)
			b.topics("in", "in.reply")
			var w ways
			w.component(b)
			log := b.startLogged()
			one, two := both(first, b.config("in", "group_instance_id", "auto"))
			b.host.PutLink(one)
			b.host.PutLink(two)
			b.waitShared()
			b.produceMany("in", 40)
			w.wait(t, map[string]int{"in raw": 40})
			changed := b.config("in", "payload", "envelope", "group_instance_id", "auto")
			b.host.PutLink(withConfig(one, changed))
			b.host.PutLink(withConfig(two, changed))
			waitLines(t, log, "link ready", 4)
			b.waitShared()
			b.produceMany("in", 40)
			w.wait(t, map[string]int{"in raw": 40, "in envelope": 40})
			b.kc.WaitMembers(defaultGroup, 1)
		})
	}
}

// TestTheInstanceIDOfASharedReadingSurvivesARestart, in whatever order the host tells of the links: else the member that
// was would keep its partitions from being read until its session is over.
func TestTheInstanceIDOfASharedReadingSurvivesARestart(t *testing.T) {
	b := newBench(t)
	b.topics("in", "in.reply")
	var w ways
	w.component(b)
	config := b.config("in", "group_instance_id", "auto")
	for i, first := range []string{"target", "source", "target"} {
		one, two := both(first, config)
		b.host.DeleteLink(one)
		b.host.DeleteLink(two)
		b.host.PutLink(one)
		b.host.PutLink(two)
		p := b.host.StartProvider(testkit.ProviderSpec{Run: inProcess(t)})
		p.WaitHealthy()
		b.waitShared()
		b.produceMany("in", 40)
		w.wait(t, map[string]int{"in raw": 40 * (i + 1)})
		b.kc.WaitMembers(defaultGroup, 1)
		if r := p.Shutdown(); !r.Replied {
			t.Fatalf("shutdown: %+v", r)
		}
	}
}
