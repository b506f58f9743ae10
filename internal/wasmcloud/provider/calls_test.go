package provider

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/messaging-kafka/messaging-kafka/internal/process"
	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
	"github.com/messaging-kafka/messaging-kafka/internal/wasmcloud/hostdata"
	"github.com/messaging-kafka/messaging-kafka/internal/wasmcloud/lattice"
)

// Peers without a link have one share of the places together, whatever names they give.
func TestCallersWithoutALinkAreOne(t *testing.T) {
	t.Parallel()
	p := &Provider{callers: map[string]int{}}
	header := func(id string) nats.Header { return nats.Header{"source-id": {id}} }
	p.callers["echo"]++
	for id, want := range map[string]string{"echo": "echo", "other": "", "": "", "echo2": ""} {
		if got := p.callerOf(header(id)); got != want {
			t.Errorf("%q is counted as %q", id, got)
		}
	}
	if got := p.callerOf(nil); got != "" {
		t.Errorf("a call without headers is counted as %q", got)
	}
}

func TestAPeerThatDribblesCallsHoldsUpNobody(t *testing.T) {
	b := newBench(t)
	b.topics("out")
	echo := testkit.NewComponent(t, b.nats, testkit.ComponentOptions{})
	p := b.start()
	link := testkit.TargetLink("echo", "kafka", b.config(""))
	b.host.PutLink(link)
	waitLinked(t, echo) // else it has its places with those who have no link
	p.WaitHealthy()

	const calls = 9000 // more than may run and wait and be awaited together
	evil := b.nats.Connect()
	for i := range calls {
		m := &nats.Msg{
			Subject: "default.kafka.wrpc.0.0.1.wasmcloud:messaging/consumer@0.2.0.publish", Reply: fmt.Sprint("_INBOX.evil.", i),
			Header: nats.Header{"source-id": {fmt.Sprint("evil", i)}}, Data: []byte{3, 'o', 'u', 't', 200, 1},
		}
		if err := evil.PublishMsg(m); err != nil {
			t.Fatal(err)
		}
	}
	if err := evil.Flush(); err != nil {
		t.Fatal(err)
	}
	for i := range 20 {
		if err := echo.Publish(t.Context(), testkit.Message{Subject: "out", Body: []byte(fmt.Sprint(i))}); err != nil {
			t.Fatal(err)
		}
	}
	if got := p.WaitUnhealthy("calls of components were refused"); !strings.Contains(got,
		"the last was of a component without a link") {
		t.Errorf("health says %q", got)
	}
	if got := b.kc.Read("out", 20); len(got) != 20 {
		t.Errorf("%d records", len(got))
	}
}

func TestCallersComeAndGoWithTheirLinks(t *testing.T) {
	t.Parallel()
	p := &Provider{
		Process: process.Start(process.Options{}), data: &hostdata.Data{},
		links: map[lattice.LinkID]*lattice.Link{}, callers: map[string]int{},
	}
	defer p.Close()
	id := func(d lattice.Direction, name string) lattice.LinkID {
		return lattice.LinkID{Direction: d, Peer: "echo", Namespace: "wasmcloud", Package: "messaging", Name: name}
	}
	calls := func() bool { return p.callerOf(nats.Header{"source-id": {"echo"}}) == "echo" }
	p.RejectLink(id(lattice.AsSource, "default"), errors.New("no settings"))
	if calls() {
		t.Error("a component that is only called may call")
	}
	p.RejectLink(id(lattice.AsTarget, "default"), errors.New("no settings"))
	p.RejectLink(id(lattice.AsTarget, "default"), errors.New("no settings"))
	p.RejectLink(id(lattice.AsTarget, "other"), errors.New("no settings"))
	p.DeleteLink(id(lattice.AsTarget, "default"))
	p.DeleteLink(id(lattice.AsTarget, "default"))
	if !calls() {
		t.Error("a component with a link may not call")
	}
	p.DeleteLink(id(lattice.AsTarget, "other"))
	if calls() {
		t.Error("a component without a link may call")
	}
	p.DeleteLink(id(lattice.AsSource, "default"))
	p.Routes.Stop(t.Context())
}
