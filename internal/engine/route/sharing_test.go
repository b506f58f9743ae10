package route

import (
	"errors"
	"fmt"
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
)

// both are the links of a component in both directions, the given one first.
func both(first string, config map[string]string) (one, two link) {
	if first == "source" {
		return source(config), target(config)
	}
	return target(config), source(config)
}

const (
	targetID, sourceID, handlerID = "echo/default", "echo/default (as source)", "echo/default (messaging-kafka:records) (as source)"
	defaultGroup                  = "wasmcloud.default.echo.default"
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

// rejectBad is a receiver that can make nothing of what begins with "bad".
func rejectBad(_ string, r *record.Record) record.Outcome {
	if strings.HasPrefix(string(r.Value), "bad") {
		return record.Outcome{Kind: record.Reject, Err: errors.New("bad")}
	}
	return record.Outcome{Kind: record.Done}
}

// TestASharedReadingOutlivesEachOfItsLinks: whichever of two links was first, and whichever goes or is replaced, what
// the other one reads is delivered and dead-lettered on, by the same member of the group.
func TestASharedReadingOutlivesEachOfItsLinks(t *testing.T) {
	for _, first := range []string{"target", "source"} {
		for _, gone := range []string{"the first", "the second"} {
			for _, how := range []string{"deleted", "replaced", "replaced and deleted"} {
				t.Run(first+" first, "+gone+" "+how, func(t *testing.T) {
					virtually(t, func(b *bench) {
						b.topics("in", "in.reply", "dead")
						b.receive = rejectBad
						// Publishes of the target link are of no concern to the reading; a source link has none.
						one, two := both(first, b.config("in", "dead_letter_topic", "dead"))
						b.put(one)
						b.awaitStatus(func(s *status.Provider) error {
							if len(s.Links) != 1 || s.Links[0].State != status.Healthy {
								return fmt.Errorf("links %+v", s.Links)
							}
							return nil
						})
						b.put(two)
						b.waitShared()
						members := b.kc.MemberIDs(defaultGroup)

						goes, stays := one, two
						if gone == "the second" {
							goes, stays = two, one
						}
						left := map[bool]string{true: sourceID, false: targetID}[stays.label.Direction == status.Source]
						if how != "deleted" {
							// What is no part of the reading: the other link's reading goes on.
							goes = goes.with(b.config("in", "dead_letter_topic", "dead", "publish_timeout", "31s"))
							b.put(goes)
							b.kc.ProduceText("in", "bad 1")
							b.kc.Read("dead", 1)
							b.waitShared()
						}
						if how != "replaced" {
							b.set.Drop(goes.id)
							b.waitLines("link ended", 1)
						}
						if after := b.kc.MemberIDs(defaultGroup); !slices.Equal(after, members) {
							b.t.Errorf("the group's members changed from %v to %v", members, after)
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
					sasl := []kfake.Opt{
						kfake.EnableSASL(), kfake.Superuser("PLAIN", "old", "pass"), kfake.Superuser("PLAIN", "new", "pass"),
						kfake.Superuser("PLAIN", "test", "pass"),
					}
					own := []kgo.Opt{kgo.SASL(plain.Auth{User: "test", Pass: "pass"}.AsMechanism())}
					virtuallyWith(t, sasl, own, func(b *bench) {
						var d doors
						b.kafka.ControlKey(int16(kmsg.SASLAuthenticate), func(req kmsg.Request) (kmsg.Response, error, bool) {
							b.kafka.KeepControl()
							return d.control(req)
						})
						b.topics("in", "in.reply", "dead")
						b.receive = rejectBad
						as := func(user string) map[string]string {
							return b.config("in", "dead_letter_topic", "dead", "security_protocol", "SASL_PLAINTEXT", "sasl_mechanism", "PLAIN",
								"sasl_username", user, "sasl_password", "pass", "session_timeout", "30s")
						}
						one, two := both(first, as("old"))
						b.put(one)
						b.put(two)
						b.waitShared()
						members := b.kc.MemberIDs(defaultGroup)

						turns, other := one, two
						if rotated == "the second" {
							turns, other = two, one
						}
						b.put(turns.with(as("new")))
						b.waitLines("the link's credentials were replaced", 1)
						refused := "old"
						switch then {
						case "the other is rotated too":
							b.put(other.with(as("new")))
							b.waitLines("the link's credentials were replaced", 2)
						case "the other is deleted":
							b.set.Drop(other.id)
							b.waitLines("link ended", 1)
						case "it is deleted itself":
							b.set.Drop(turns.id)
							b.waitLines("link ended", 1)
							refused = "new"
						}
						d.refuse(refused)
						b.net.cut()
						b.kc.ProduceText("in", "bad 1", "bad 2", "bad 3")
						b.kc.Read("dead", 3)
						b.kc.WaitDrained(defaultGroup, "in")
						if after := b.kc.MemberIDs(defaultGroup); !slices.Equal(after, members) {
							b.t.Errorf("the group's members changed from %v to %v", members, after)
						}
					})
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
			virtually(t, func(b *bench) {
				b.topics("in", "in.reply", "dead")
				got := make(chan struct{}, 10)
				b.receive = func(string, *record.Record) record.Outcome {
					got <- struct{}{}
					return record.Outcome{Kind: record.Done}
				}
				allows, forbids := both(first, b.config("in", "log_payloads", "true"))
				forbids = forbids.with(b.config("in"))
				b.put(allows)
				b.put(forbids)
				b.waitShared()
				b.kc.ProduceText("in", "hidden")
				<-got
				b.set.Drop(forbids.id)
				b.waitLines("link ended", 1)
				b.kc.ProduceText("in", "written")
				<-got
				if text := b.log.String(); strings.Contains(text, "value=hidden") || !strings.Contains(text, "value=written") {
					b.t.Error("the log holds what a link forbids, or lacks what the other allows")
				}
			})
		})
	}
}

// TestLinksOfOneNameAreMembersOfTheirOwn: the links of a component that have one name are in one group by default. With
// static members each must have an id of its own, or they put each other out of the group.
func TestLinksOfOneNameAreMembersOfTheirOwn(t *testing.T) {
	for _, protocol := range []string{"classic", "consumer"} {
		for _, order := range [][]int{{0, 1, 2}, {2, 1, 0}} {
			t.Run(fmt.Sprint(protocol, order), func(t *testing.T) {
				virtually(t, func(b *bench) {
					b.topics("a", "b", "c")
					wait := b.count()
					more := []string{"group_instance_id", "auto", "group_protocol", protocol}
					links := []link{
						target(b.config("a", more...)),
						source(b.config("b", more...)),
						handler(b.config("c", more...)),
					}
					for n, i := range order {
						b.put(links[i])
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
					wait(map[string]int{"a raw": 40, "b raw": 40, "c record": 40})
					b.kc.WaitMembers(defaultGroup, 3)
					if strings.Contains(b.log.String(), "level=WARN") {
						b.t.Error("the log tells of trouble")
					}
				})
			})
		}
	}
}

// TestRecordsAreNotDividedBetweenTwoWays: of links in one group that would hand over the records of one topic in two
// ways, always the same one reads, whichever came first; the other says why it does not, and takes over when that is
// gone.
func TestRecordsAreNotDividedBetweenTwoWays(t *testing.T) {
	for name, c := range map[string]struct {
		reads, waits           func(b *bench) link
		way, otherWay          string
		readsID, waitsID, text string
	}{
		"both directions, another form": {
			func(b *bench) link { return target(b.config("in")) },
			func(b *bench) link {
				return source(b.config("x,in", "payload", "envelope"))
			},
			"in raw", "in envelope", targetID, sourceID, "reads in too, as a member of the same group (" + defaultGroup + ")",
		},
		"both packages": {
			func(b *bench) link { return handler(b.config("in")) },
			func(b *bench) link { return source(b.config("/i.*/")) },
			"in record", "in raw", "echo/default (messaging-kafka:records) (as source)", sourceID, "reads in too",
		},
		"one instance id": {
			func(b *bench) link {
				return target(b.config("in", "group_instance_id", "me"))
			},
			func(b *bench) link {
				return handler(b.config("x", "group_instance_id", "me"))
			},
			"in raw", "", targetID, "echo/default (messaging-kafka:records) (as source)", "with the same group_instance_id me",
		},
	} {
		for _, first := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, the one that reads first: %v", name, first), func(t *testing.T) {
				virtually(t, func(b *bench) {
					b.topics("in", "x")
					wait := b.count()
					reads, waits := c.reads(b), c.waits(b)
					links := []link{waits, reads}
					if first {
						links = []link{reads, waits}
					}
					for i, l := range links {
						b.put(l)
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
					wait(map[string]int{c.way: 40})
					b.kc.WaitDrained(defaultGroup, "in")
					if c.otherWay == "" {
						return
					}
					b.set.Drop(reads.id)
					b.waitLines("link ended", 1)
					b.produceMany("in", 40)
					wait(map[string]int{c.way: 40, c.otherWay: 40})
				})
			})
		}
	}
}

// TestLinksThatChangeOneAfterTheOtherShareAgain: for the moment in which only one of them has the new settings, they
// stand against each other.
func TestLinksThatChangeOneAfterTheOtherShareAgain(t *testing.T) {
	for _, first := range []string{"target", "source"} {
		t.Run(first+" first", func(t *testing.T) {
			virtually(t, func(b *bench) {
				b.topics("in", "in.reply")
				wait := b.count()
				one, two := both(first, b.config("in", "group_instance_id", "auto"))
				b.put(one)
				b.put(two)
				b.waitShared()
				b.produceMany("in", 40)
				wait(map[string]int{"in raw": 40})
				changed := b.config("in", "payload", "envelope", "group_instance_id", "auto")
				b.put(one.with(changed))
				b.put(two.with(changed))
				b.waitLines("link ready", 4)
				b.waitShared()
				b.produceMany("in", 40)
				wait(map[string]int{"in raw": 40, "in envelope": 40})
				b.kc.WaitMembers(defaultGroup, 1)
			})
		})
	}
}

// TestTheInstanceIDOfASharedReadingSurvivesARestart, in whatever order the host tells of the links: else the member
// that was would keep its partitions from being read until its session is over.
func TestTheInstanceIDOfASharedReadingSurvivesARestart(t *testing.T) {
	virtually(t, func(b *bench) {
		b.topics("in", "in.reply")
		wait := b.count()
		config := b.config("in", "group_instance_id", "auto")
		for i, first := range []string{"target", "source", "target"} {
			one, two := both(first, config)
			b.put(one)
			b.put(two)
			b.waitShared()
			b.produceMany("in", 40)
			wait(map[string]int{"in raw": 40 * (i + 1)})
			b.kc.WaitMembers(defaultGroup, 1)
			b.end()
			b.begin()
		}
	})
}
