package security

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

// redWithin is how soon health must name what has gone bad.
const redWithin = 30 * time.Second

// healthFollows takes away, one after another, what links need, and gives it back.
func healthFollows(t *testing.T, c *cluster) {
	r := newRig(t, c, nil, nil)
	in, out := r.topic("in", 1), r.topic("out", 1)
	read, write, group := acl("Read topic "+in), acl("Write topic "+out), acl("Read group "+r.group("reader"))
	c.scramUser(t, "watched", "watched-password")
	c.grant(t, "watched", read, acl("Describe topic "+in), write, acl("Describe topic "+out), group)
	scram := config("hosts", c.SASLBrokers()[0], "security_protocol", "SASL_PLAINTEXT", "sasl_mechanism", "SCRAM-SHA-256",
		"sasl_username", "watched")
	secrets := config("sasl_password", "watched-password")
	// One link that reads and has nothing to do, one that publishes all the time, one that could, and one by tokens.
	r.component("reader")
	r.link("reader", with(reading(in), flat(scram)...), secrets)
	writer := r.component("writer")
	r.link("writer", with(scram, "publish_timeout", "3s"), secrets)
	r.link("idler", config("hosts", c.Brokers()[0]), nil)
	r.component("bearer")
	bearerIn := r.topic("bearer", 1)
	bearer := with(with(reading(bearerIn), "hosts", c.SASLBrokers()[0], "security_protocol", "SASL_PLAINTEXT"),
		c.oauth()...)
	r.link("bearer", bearer, config("oauth_client_secret", c.issuer.secret))

	h := r.watchHealth()
	for _, component := range []string{"reader", "writer", "idler", "bearer"} {
		h.green(component)
	}
	publishing := keepPublishing(t, writer, out)
	publishing.goesOn(t)

	// Tokens are refused from here on; the one in use is good until it ends.
	c.issuer.refusing.Store(true)
	tokensBad := time.Now()

	t.Run("a right that is taken", func(t *testing.T) {
		began := time.Now()
		c.revoke(t, "watched", read)
		c.revoke(t, "watched", write)
		h.red(t, "reader", began, in, `"watched"`, "not authorised for the topic", "Read")
		h.red(t, "writer", began, out, `"watched"`, "not authorised for the topic", "Write")
		began = time.Now()
		c.grant(t, "watched", read, write)
		h.greenAgain(t, began, "reader", "writer")
		publishing.goesOn(t)
	})
	t.Run("a right on the group that is taken", func(t *testing.T) {
		began := time.Now()
		c.revoke(t, "watched", group)
		h.red(t, "reader", began, `"watched"`, "not authorised for the consumer group", "Read", "consumer_group")
		began = time.Now()
		c.grant(t, "watched", group)
		h.greenAgain(t, began, "reader")
	})
	t.Run("a topic that is deleted", func(t *testing.T) {
		began := time.Now()
		r.kc.DeleteTopic(in)
		r.kc.DeleteTopic(out)
		h.red(t, "reader", began, "topic "+in, "create_topics")
		h.red(t, "writer", began, out, "create_topics")
		began = time.Now()
		r.kc.Topic(in, 1, nil)
		r.kc.Topic(out, 1, nil)
		h.greenAgain(t, began, "reader", "writer")
		publishing.goesOn(t)
	})
	t.Run("a token that is refused", func(t *testing.T) {
		h.red(t, "bearer", tokensBad, c.issuer.tokenURL(), "invalid_client", "the client has been disabled")
		t.Logf("the first request for a token was refused %s after tokens were",
			time.Unix(0, c.issuer.refused.Load()).Sub(tokensBad).Round(time.Millisecond))
		c.issuer.refusing.Store(false)
		h.greenAgain(t, time.Now(), "bearer")
	})
	all := []string{"reader", "writer", "idler", "bearer"}
	t.Run("a broker that hangs", func(t *testing.T) {
		began := time.Now()
		c.PauseNode(t, 1)
		resume := sync.OnceFunc(func() { c.ResumeNode(t, 1) })
		defer resume()
		for component, word := range map[string]string{
			"reader": "did not answer in time", "writer": "no acknowledgement", "idler": "did not answer in time",
			"bearer": "did not answer in time",
		} {
			h.red(t, component, began, word)
		}
		began = time.Now()
		resume()
		h.greenAgain(t, began, all...)
		publishing.goesOn(t)
	})
	t.Run("a broker that is stopped", func(t *testing.T) {
		began := time.Now()
		c.KillNode(t, 1)
		for _, component := range all {
			h.red(t, component, began, "connection refused")
		}
		c.StartNode(t, 1)
		h.greenAgain(t, time.Now(), all...)
		publishing.goesOn(t)
	})
	publishing.stop()
}

// publishing is a component that publishes again and again, whatever becomes of it.
type publishing struct {
	stop func()
	ok   atomic.Int64
	mu   sync.Mutex
	last error
}

// goesOn waits until publishes succeed.
func (p *publishing) goesOn(t *testing.T) {
	t.Helper()
	began, from := time.Now(), p.ok.Load()
	testkit.Eventually(t, testkit.DefaultTimeout, func() error {
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.ok.Load() < from+2 {
			return fmt.Errorf("nothing is published: %w", p.last)
		}
		return nil
	})
	t.Logf("published again after %.1f s", time.Since(began).Seconds())
}

func keepPublishing(t *testing.T, c *testkit.Component, topic string) *publishing {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	p := &publishing{}
	var done sync.WaitGroup
	p.stop = func() { cancel(); done.Wait() }
	t.Cleanup(p.stop)
	done.Go(func() {
		for ctx.Err() == nil {
			attempt, cancel := context.WithTimeout(ctx, 10*time.Second)
			err := c.Publish(attempt, testkit.Message{Subject: topic, Body: []byte("tick")})
			cancel()
			p.mu.Lock()
			p.last = err
			p.mu.Unlock()
			if err == nil {
				p.ok.Add(1)
			}
			select {
			case <-time.After(200 * time.Millisecond):
			case <-ctx.Done():
			}
		}
	})
	return p
}

// healthLog is what health says of each link, and since when.
type healthLog struct {
	r *rig

	mu    sync.Mutex
	links map[string]linkHealth // by component; absent is healthy
	asked int
}

type linkHealth struct {
	text  string
	since time.Time // of being not healthy
	as    time.Time // of this text
}

const healthEvery = 100 * time.Millisecond

// watchHealth asks for health again and again until the test ends.
func (r *rig) watchHealth() *healthLog {
	h := &healthLog{r: r, links: make(map[string]linkHealth)}
	ctx, cancel := context.WithCancel(r.t.Context())
	var done sync.WaitGroup
	done.Go(func() {
		for ctx.Err() == nil {
			attempt, stop := context.WithTimeout(ctx, 5*time.Second)
			health, err := r.Health(attempt)
			stop()
			if ctx.Err() != nil {
				return
			}
			if err != nil {
				r.t.Errorf("health did not answer: %v", err)
			} else {
				h.note(health.Message)
			}
			select {
			case <-time.After(healthEvery):
			case <-ctx.Done():
			}
		}
	})
	r.t.Cleanup(func() { cancel(); done.Wait() })
	return h
}

// note takes a message apart: "link reader/default: text; link writer/default: text".
func (h *healthLog) note(message string) {
	run.Saw("health in "+h.r.t.Name(), message)
	now := time.Now()
	h.mu.Lock()
	defer h.mu.Unlock()
	before := h.links
	h.links = make(map[string]linkHealth)
	h.asked++
	for _, part := range strings.Split("; "+message, "; link ")[1:] {
		name, text, _ := strings.Cut(part, ": ")
		component, _, _ := strings.Cut(name, "/")
		l := before[component]
		if l.text == "" {
			l.since = now
		}
		if have := h.links[component]; have.text != "" {
			l.text, text = have.text, have.text+"; "+text // a second problem of the link
		}
		if l.text != text {
			l.text, l.as = text, now
		}
		h.links[component] = l
	}
}

func (h *healthLog) of(component string) (l linkHealth, asked int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.links[component], h.asked
}

// red waits until health names the trouble of a link in all words, and tells how long that took.
func (h *healthLog) red(t *testing.T, component string, began time.Time, words ...string) {
	t.Helper()
	testkit.Eventually(t, redWithin+5*time.Second, func() error {
		l, _ := h.of(component)
		if l.text == "" || l.as.Before(began) && l.since.Before(began) {
			return fmt.Errorf("%s is healthy", component)
		}
		for _, word := range words {
			if !strings.Contains(l.text, word) {
				return fmt.Errorf("%s lacks %q: %s", component, word, l.text)
			}
		}
		return nil
	})
	l, _ := h.of(component)
	from := l.since
	if from.Before(began) {
		from = l.as
	}
	took := from.Sub(began)
	t.Logf("%-6s red after %5.1f s: %s", component, took.Seconds(), l.text)
	if took > redWithin {
		t.Errorf("%s was red after %s only", component, took)
	}
	if strings.Contains(l.text, "EOF") {
		t.Errorf("health has a bare EOF: %s", l.text)
	}
}

func (h *healthLog) green(component string) {
	h.r.t.Helper()
	testkit.Eventually(h.r.t, testkit.DefaultTimeout, func() error {
		if l, asked := h.of(component); l.text != "" || asked == 0 {
			return fmt.Errorf("%s: %s", component, l.text)
		}
		return nil
	})
}

// greenAgain waits until links are healthy, and tells how long that took.
func (h *healthLog) greenAgain(t *testing.T, began time.Time, components ...string) {
	t.Helper()
	left := components
	testkit.Eventually(t, testkit.DefaultTimeout, func() error {
		var red []string
		for _, component := range left {
			if l, _ := h.of(component); l.text != "" {
				red = append(red, component+": "+l.text)
				continue
			}
			t.Logf("%-6s green again after %5.1f s", component, time.Since(began).Seconds())
			left = remove(left, component)
		}
		if len(left) > 0 {
			return fmt.Errorf("not healthy: %s", strings.Join(red, "; "))
		}
		return nil
	})
}

func remove(list []string, one string) []string {
	var rest []string
	for _, s := range list {
		if s != one {
			rest = append(rest, s)
		}
	}
	return rest
}
