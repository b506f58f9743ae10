package testkit

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"
)

// scripted is a provider that does the least a host can see, and hands what it was told to the test.
type scripted struct {
	ns     *NATSServer
	data   chan map[string]any
	puts   chan map[string]any
	dels   chan map[string]any
	health chan string // answers to health requests, in order; the last one stays
	mute   bool        // no answer to a shutdown
}

func newScripted(ns *NATSServer) *scripted {
	return &scripted{ns: ns, data: make(chan map[string]any, 9), puts: make(chan map[string]any, 9),
		dels: make(chan map[string]any, 9), health: make(chan string, 9)}
}

func readHostData(stdin io.Reader) (map[string]any, error) {
	line, err := bufio.NewReader(stdin).ReadString('\n')
	if err != nil {
		return nil, err
	}
	text, err := base64.StdEncoding.DecodeString(strings.TrimSpace(line))
	if err != nil {
		return nil, err
	}
	var data map[string]any
	return data, json.Unmarshal(text, &data)
}

func (s *scripted) run(ctx context.Context, stdin io.Reader) error {
	data, err := readHostData(stdin)
	if err != nil {
		return err
	}
	nc, closed, err := connect(data["lattice_rpc_url"].(string))
	if err != nil {
		return err
	}
	defer func() { nc.Close(); <-closed }()
	kp, err := nkeys.FromCurveSeed([]byte(data["provider_xkey_private_key"].(string)))
	if err != nil {
		return err
	}
	xpub, err := kp.PublicKey()
	if err != nil {
		return err
	}
	stop := make(chan struct{})
	decode := func(to chan map[string]any) nats.MsgHandler {
		return func(m *nats.Msg) {
			var v map[string]any
			if err := json.Unmarshal(m.Data, &v); err != nil {
				v = map[string]any{"error": err.Error()}
			}
			to <- v
		}
	}
	health := `{"healthy":true}`
	prefix := fmt.Sprintf("wasmbus.rpc.%s.%s.", data["lattice_rpc_prefix"], data["provider_key"])
	for subject, handler := range map[string]nats.MsgHandler{
		fmt.Sprintf("wasmbus.rpc.%s.%s.linkdefs.put", data["lattice_rpc_prefix"], xpub): decode(s.puts),
		prefix + "linkdefs.del": decode(s.dels),
		prefix + "health": func(m *nats.Msg) {
			select {
			case health = <-s.health:
			default:
			}
			_ = m.Respond([]byte(health))
		},
		prefix + "default.shutdown": func(m *nats.Msg) {
			var body struct {
				HostID string `json:"host_id"`
			}
			if json.Unmarshal(m.Data, &body) == nil && body.HostID == data["host_id"] && !s.mute {
				_ = m.Respond([]byte("bye"))
				close(stop)
			}
		},
	} {
		if _, err := nc.Subscribe(subject, handler); err != nil {
			return err
		}
	}
	if err := nc.Flush(); err != nil {
		return err
	}
	s.data <- data
	select {
	case <-stop:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func TestAFakeHostPutsLinksWithSecretsOnlyTheProviderCanOpen(t *testing.T) {
	ns := NATS(t, NATSOptions{})
	host := NewFakeHost(t, ns, FakeHostOptions{})
	s := newScripted(ns)
	early := TargetLink("early", "kafka", map[string]string{"topic": "a"})
	host.PutLink(early)
	host.PutLink(TargetLink("foreign", "other", nil))
	p := host.StartProvider(ProviderSpec{Run: s.run, Config: map[string]string{"hosts": "k:9092"},
		Secrets: map[string]SecretValue{"password": SecretText("pw")}})
	data := <-s.data
	if links := data["link_definitions"].([]any); len(links) != 1 || links[0].(map[string]any)["source_id"] != "early" {
		t.Errorf("links at the start: %v", links)
	}
	if got := fmt.Sprint(data["config"],
		data["secrets"]); got != "map[hosts:k:9092] map[password:map[kind:String value:pw]]" {
		t.Errorf("config and secrets at the start: %s", got)
	}

	link := SourceLink("kafka", "echo", map[string]string{"topic": "b"})
	link.SourceSecrets = map[string]SecretValue{"p": SecretText("text"), "q": SecretBytes([]byte{0, 255})}
	host.PutLink(link)
	put := <-s.puts
	numbers := put["source_secrets"].([]any)
	sealed := make([]byte, len(numbers))
	for i, n := range numbers {
		sealed[i] = byte(n.(float64))
	}
	kp, err := nkeys.FromCurveSeed([]byte(data["provider_xkey_private_key"].(string)))
	if err != nil {
		t.Fatal(err)
	}
	plain, err := kp.Open(sealed, data["host_xkey_public_key"].(string))
	if err != nil {
		t.Fatalf("opening the secrets: %v", err)
	}
	if want := `{"p":{"kind":"String","value":"text"},"q":{"kind":"Bytes","value":[0,255]}}`; string(plain) != want {
		t.Errorf("secrets %s, want %s", plain, want)
	}
	if put["target_secrets"] != nil {
		t.Errorf("no secrets are sent as %v, want null", put["target_secrets"])
	}

	host.DeleteLink(early)
	if del := <-s.dels; del["source_id"] != "early" || len(del["target_config"].(map[string]any)) != 0 {
		t.Errorf("deleted link: %v", del)
	}
	p.Kill()
	p.Restart()
	links := (<-s.data)["link_definitions"].([]any)
	if len(links) != 1 || links[0].(map[string]any)["target"] != "echo" {
		t.Errorf("links after the restart: %v", links)
	}
}

func TestAFakeHostWaitsForHealthAndShutsDown(t *testing.T) {
	ns := NATS(t, NATSOptions{})
	host := NewFakeHost(t, ns, FakeHostOptions{})
	s := newScripted(ns)
	p := host.StartProvider(ProviderSpec{Run: s.run})
	s.health <- `{"healthy":false,"message":"link echo/default: no broker"}`
	if got := p.WaitUnhealthy("echo/default", "broker"); got != "link echo/default: no broker" {
		t.Errorf("message %q", got)
	}
	s.health <- `{"healthy":true}`
	p.WaitHealthy()

	if p.RequestShutdown("Nother", 20*time.Millisecond) {
		t.Error("a shutdown for another host was answered")
	}
	if result := p.Shutdown(); !result.Replied || result.Err != nil || !p.Exited() {
		t.Errorf("shutdown: %+v, exited %t", result, p.Exited())
	}

	s.mute = true
	host.opts.ShutdownDelay = HostShutdownDelay
	p.Restart()
	p.WaitHealthy()
	if result := p.Shutdown(); result.Replied || !p.Exited() || !errors.Is(p.Err(), context.Canceled) {
		t.Errorf("shutdown without an answer: %+v, exited %t with %v", result, p.Exited(), p.Err())
	}
}

func TestHostsOfOneLatticeTellEachOthersProviders(t *testing.T) {
	ns := NATS(t, NATSOptions{})
	host := NewFakeHost(t, ns, FakeHostOptions{})
	one, two := newScripted(ns), newScripted(ns)
	host.StartProvider(ProviderSpec{Run: one.run})
	host.Peer().StartProvider(ProviderSpec{Run: two.run})
	a, b := <-one.data, <-two.data
	if a["host_id"] == b["host_id"] || a["provider_xkey_private_key"] == b["provider_xkey_private_key"] {
		t.Error("two hosts share an identity")
	}
	host.PutLink(TargetLink("echo", "kafka", nil))
	<-one.puts
	<-two.puts
}

func TestAProviderProcessGetsHostDataAndNoEnvironment(t *testing.T) {
	Require(t, Bash)
	t.Setenv("SHOULD_NOT_BE_SEEN", "1")
	ns := NATS(t, NATSOptions{})
	p := NewFakeHost(t, ns, FakeHostOptions{}).StartProvider(ProviderSpec{
		Binary: writeScript(t, "#!/bin/bash\nread -r line\nprintf '%s\\n' \"$line\" \"seen=$SHOULD_NOT_BE_SEEN\" \"own=$OWN\"\nexit 7\n"),
		Env:    []string{"OWN=2"},
	})
	if err := p.WaitExit(); err == nil || err.Error() != "exit status 7" {
		t.Fatalf("status: %v", err)
	}
	out := p.Output()
	if !strings.HasSuffix(out, "seen=\nown=2\n") {
		t.Errorf("output %q", out)
	}
	data, err := readHostData(strings.NewReader(out))
	if err != nil || data["provider_key"] != "kafka" {
		t.Errorf("host data %v, %v", data, err)
	}
}
