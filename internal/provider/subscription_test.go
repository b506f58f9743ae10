package provider

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/sasl/plain"

	"messaging-kafka/internal/hostdata"
	"messaging-kafka/internal/status"
	"messaging-kafka/internal/testkit"
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
					refused := "old"
					switch then {
					case "the other is rotated too":
						b.host.PutLink(withConfig(other, as("new")))
					case "the other is deleted":
						b.host.DeleteLink(other)
					case "it is deleted itself":
						b.host.DeleteLink(turns)
						refused = "new"
					}
					lines := map[string]int{"the link's credentials were replaced": 1, "link ended": 1}
					if then == "the other is rotated too" {
						lines = map[string]int{"the link's credentials were replaced": 2}
					}
					for line, n := range lines {
						waitLines(t, log, line, n)
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
