package process

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/messaging-kafka/messaging-kafka/internal/engine/route"
	"github.com/messaging-kafka/messaging-kafka/internal/observe/control"
	"github.com/messaging-kafka/messaging-kafka/internal/observe/otlp"
	"github.com/messaging-kafka/messaging-kafka/internal/observe/status"
	"github.com/messaging-kafka/messaging-kafka/internal/record"
	"github.com/messaging-kafka/messaging-kafka/internal/settings"
	"github.com/messaging-kafka/messaging-kafka/internal/settings/role"
	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

var alice = Operator{Name: "alice", Via: "token"}

// nowhere takes records and makes nothing of them.
type nowhere struct{}

func (nowhere) Receive(_ context.Context, batch []*record.Record) []record.Outcome {
	return record.Each(len(batch), record.Outcome{Kind: record.Done})
}

// reading has a process read a topic of a Kafka by the link echo/default.
func reading(t *testing.T, p *Process, hosts string, more ...string) {
	t.Helper()
	config := map[string]string{
		"hosts": hosts, "topic": "in", "start": "earliest", "commit_interval": "20ms", "fetch_max_wait": "100ms",
	}
	for i := 0; i < len(more); i += 2 {
		config[more[i]] = more[i+1]
	}
	parsed, _, err := settings.ParseLink(settings.Input{Config: config, Identity: settings.Identity{
		Lattice: "default", Component: "echo", LinkName: "default", HostID: "host", ProviderKey: "kafka",
	}})
	if err != nil {
		t.Fatal(err)
	}
	r := p.Routes.Open(route.ID{Peer: "echo", Name: "default"},
		route.Label{Package: role.MessagingPackage, Direction: status.Target})
	r.Apply(route.Wanted{
		Role: role.Messaging, Settings: parsed, Receiver: func(route.Delivery) record.Receiver { return nowhere{} },
	})
}

func stateOf(t *testing.T, p *Process, want status.State) status.Link {
	t.Helper()
	var link status.Link
	testkit.Eventually(t, testkit.DefaultTimeout, func() error {
		s := p.Status(nil)
		link = s.Links[0]
		return missing(string(link.State), string(want))
	})
	return link
}

// TestWhoActsOnALinkIsLogged, and what came of it, whether it was done or not.
func TestWhoActsOnALinkIsLogged(t *testing.T) {
	k := testkit.Kfake(t)
	k.Topic("in", 3)
	var log testkit.Log
	p := start(t, Options{
		Log: log.Logger(), Identity: otlp.Identity{ProviderKey: "kafka", HostID: "host", InstanceID: "copy"},
	})
	act := func(r control.Request) control.Answer {
		if r.Link == "" {
			r.Link = "echo/default"
		}
		return p.Control(t.Context(), alice, r)
	}
	reading(t, p, strings.Join(k.Brokers(), ","))
	stateOf(t, p, status.Healthy)

	got := act(control.Request{Action: control.Pause, Why: "the shop moves"})
	if !got.OK || got.Links[0] != "echo/default" || got.ProviderKey != "kafka" || got.HostID != "host" ||
		got.InstanceID != "copy" {
		t.Errorf("pausing: %+v", got)
	}
	l := stateOf(t, p, status.Paused)
	if l.Paused.By != "alice, by token" || l.Paused.Why != "the shop moves" || l.Paused.Kept {
		t.Errorf("the status says %+v", l.Paused)
	}
	end := &control.Target{To: control.ToEnd}
	got = act(control.Request{Action: control.Seek, Link: "default", Seek: end})
	if !got.OK || len(got.Moves) != 3 {
		t.Errorf("a seek: %+v", got)
	}
	stateOf(t, p, status.Paused) // and so it stays
	for want, r := range map[control.Code]control.Request{
		control.CodeUnknown: {Action: control.Pause, Link: "shop/default"},
		control.CodeBad:     {Action: "destroy", Link: "echo/default"},
		control.CodeRefused: {Action: control.Seek, Hold: "over", Seek: end},
	} {
		if got := act(r); got.OK || got.Code != want || got.Error == "" {
			t.Errorf("%+v: %+v", r, got)
		}
	}
	if got := act(control.Request{Action: control.Pause, Instance: "before"}); got.Code != control.CodeRefused {
		t.Errorf("another copy's: %+v", got)
	}
	if got := act(control.Request{Action: control.Resume}); !got.OK || got.Note != "" {
		t.Errorf("resuming: %+v", got)
	}
	if got := act(control.Request{Action: control.Resume}); !got.OK || got.Note == "" {
		t.Errorf("resuming what is not paused: %+v", got)
	}
	if got := act(control.Request{Action: control.Restart}); !got.OK {
		t.Errorf("a restart: %+v", got)
	}
	stateOf(t, p, status.Healthy)
	for _, line := range []string{
		`level=INFO msg="an operator acted" action=pause link=echo/default acted_on=[echo/default] operator=alice via=token reason="the shop moves" kept=false`,
		`level=INFO msg="an operator acted" action=seek link=default acted_on=[echo/default] operator=alice via=token moves="in/0 from 0 to 0, in/1`,
		`level=WARN msg="an operator could not act" action=pause link=shop/default acted_on=[] operator=alice via=token`,
		`action=resume link=echo/default`, `action=restart link=echo/default`,
	} {
		if !log.Contains(line) {
			t.Errorf("the log does not say %s:\n%s", line, &log)
		}
	}
}

// TestAPauseIsKeptOverARestartWhereThatIsAsked and not otherwise.
func TestAPauseIsKeptOverARestartWhereThatIsAsked(t *testing.T) {
	k := testkit.Kfake(t)
	k.Topic("in", 3)
	file := filepath.Join(t.TempDir(), "pauses.json")
	// each is one life of the process.
	each := func(life func(p *Process)) {
		t.Helper()
		p := Start(Options{Config: map[string]string{"provider_pauses_file": file}})
		reading(t, p, strings.Join(k.Brokers(), ","))
		life(p)
		ctx, cancel := context.WithTimeout(context.Background(), testkit.DefaultTimeout)
		defer cancel()
		p.Routes.Stop(ctx)
		p.Close()
	}
	act := func(p *Process, r control.Request) control.Answer {
		t.Helper()
		r.Link = "echo/default"
		got := p.Control(t.Context(), alice, r)
		if !got.OK {
			t.Fatalf("%+v: %+v", r, got)
		}
		return got
	}
	var since time.Time
	each(func(p *Process) {
		stateOf(t, p, status.Healthy)
		act(p, control.Request{Action: control.Pause})
		stateOf(t, p, status.Paused)
	})
	if _, err := os.Stat(file); err == nil {
		t.Error("a pause that is not to be kept is in the file")
	}
	each(func(p *Process) {
		stateOf(t, p, status.Healthy)
		act(p, control.Request{Action: control.Pause, Keep: true, Why: "the shop moves"})
		since = stateOf(t, p, status.Paused).Paused.Since
	})
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file: %v, %v", info, err)
	}
	each(func(p *Process) {
		l := stateOf(t, p, status.Paused)
		if !l.Paused.Kept || l.Paused.By != "alice, by token" || l.Paused.Why != "the shop moves" ||
			!l.Paused.Since.Equal(since) {
			t.Errorf("after the restart it is paused as %+v", l.Paused)
		}
	})
	each(func(p *Process) {
		stateOf(t, p, status.Paused)
		act(p, control.Request{Action: control.Resume})
		stateOf(t, p, status.Healthy)
	})
	each(func(p *Process) {
		stateOf(t, p, status.Healthy)
		act(p, control.Request{Action: control.Pause, Keep: true, Why: "the shop moves"})
		again := act(p, control.Request{Action: control.Pause, Keep: true})
		if !strings.HasPrefix(again.Note, "it was paused already, and this takes the place of that: paused by alice, by token since ") ||
			!strings.HasSuffix(again.Note, ": the shop moves") {
			t.Errorf("the answer says %q of what was paused", again.Note)
		}
		again = act(p, control.Request{Action: control.Pause}) // not any more
		if !strings.HasPrefix(again.Note, "it was paused already, and this takes the place of that, and does not outlast a restart as that did: paused by alice") {
			t.Errorf("the answer says %q of what was kept", again.Note)
		}
	})
	each(func(p *Process) { stateOf(t, p, status.Healthy) })
	if files, err := os.ReadDir(filepath.Dir(file)); err != nil || len(files) != 1 {
		t.Errorf("what is left of it: %v, %v", files, err)
	}
}

func TestAPauseThatCannotBeKeptIsRefused(t *testing.T) {
	k := testkit.Kfake(t)
	k.Topic("in", 3)
	keep := control.Request{Action: control.Pause, Link: "echo/default", Keep: true}
	p := start(t, Options{})
	reading(t, p, strings.Join(k.Brokers(), ","))
	stateOf(t, p, status.Healthy)
	if got := p.Control(t.Context(), alice, keep); got.Code != control.CodeRefused ||
		!strings.Contains(got.Error, "provider_pauses_file is not set") {
		t.Errorf("without a file: %+v", got)
	}
	stateOf(t, p, status.Healthy)

	for name, content := range map[string]string{"no JSON": "nonsense", "another version": `{"version":2}`} {
		file := filepath.Join(t.TempDir(), "pauses.json")
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		p := start(t, Options{Config: map[string]string{"provider_pauses_file": file}})
		reading(t, p, strings.Join(k.Brokers(), ","), "consumer_group", name)
		stateOf(t, p, status.Healthy)
		if health := p.Health(nil); !strings.Contains(health, "reading provider_pauses_file: "+file) {
			t.Errorf("%s: health says %q", name, health)
		}
		if got := p.Control(t.Context(), alice, keep); got.Code != control.CodeRefused {
			t.Errorf("%s: %+v", name, got)
		}
		if now, err := os.ReadFile(file); err != nil || string(now) != content {
			t.Errorf("%s: the file has %q, %v", name, now, err)
		}
	}

	folder := filepath.Join(t.TempDir(), "gone")
	p = start(t, Options{Config: map[string]string{"provider_pauses_file": filepath.Join(folder, "pauses.json")}})
	reading(t, p, strings.Join(k.Brokers(), ","), "consumer_group", "third")
	stateOf(t, p, status.Healthy)
	if got := p.Control(t.Context(), alice, keep); got.OK || got.Code != control.CodeFailed ||
		!strings.Contains(got.Error, "writing provider_pauses_file") {
		t.Errorf("where it cannot be written: %+v", got)
	}
}

// Two copies with one file would each take away what the other keeps.
func TestAPausesFileOfTwoCopiesIsNotOverwritten(t *testing.T) {
	k := testkit.Kfake(t)
	k.Topic("in", 3)
	file := filepath.Join(t.TempDir(), "pauses.json")
	keep := control.Request{Action: control.Pause, Link: "echo/default", Keep: true}
	var copies []*Process
	for range 2 {
		p := start(t, Options{Config: map[string]string{"provider_pauses_file": file}})
		reading(t, p, strings.Join(k.Brokers(), ","))
		copies = append(copies, p)
	}
	if got := copies[0].Control(t.Context(), alice, keep); !got.OK {
		t.Fatalf("the first: %+v", got)
	}
	kept, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, action := range []control.Action{control.Pause, control.Resume} {
		r := keep
		r.Action, r.Keep = action, action == control.Pause
		got := copies[1].Control(t.Context(), alice, r)
		if action == control.Resume && got.OK {
			continue // it keeps nothing, and had nothing to take away
		}
		if got.OK || !strings.Contains(got.Error, "each copy needs a file of its own") {
			t.Errorf("%s by the second: %+v", action, got)
		}
		if now, err := os.ReadFile(file); err != nil || string(now) != string(kept) {
			t.Errorf("after %s the file has %s, %v", action, now, err)
		}
	}
	resume := control.Request{Action: control.Resume, Link: "echo/default"}
	if got := copies[0].Control(t.Context(), alice, resume); !got.OK {
		t.Errorf("the first, again: %+v", got)
	}
}

// TestATokenIsToldNowhere: neither in the status nor in what is logged of a config that has it.
func TestATokenIsToldNowhere(t *testing.T) {
	const token = "0123456789abcdef-token"
	var log testkit.Log
	p := start(t, Options{Log: log.Logger(), Secrets: map[string]settings.Secret{
		"provider_control_tokens": settings.NewSecret("alice:" + token),
	}})
	if len(p.Own.ControlTokens) != 1 || p.Own.ControlTokens[0].Name != "alice" {
		t.Fatalf("the tokens are %v", p.Own.ControlTokens)
	}
	p.Log.Info("somebody says " + token)
	text, err := json.Marshal(p.Own)
	if err != nil || strings.Contains(string(text)+log.String(), token) {
		t.Errorf("told: %s\n%s, %v", text, &log, err)
	}
}
