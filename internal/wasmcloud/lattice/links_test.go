package lattice

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
	"github.com/messaging-kafka/messaging-kafka/internal/wasmcloud/hostdata"
)

func TestLinksOfTheHostDataComeFirst(t *testing.T) {
	f := newFixture(t, fixtureOptions{before: []testkit.Link{
		testkit.TargetLink("echo", "kafka", map[string]string{"topic": "in"}),
		testkit.SourceLink("kafka", "sink", map[string]string{"topic": "out"}),
	}})
	f.host.PutLink(testkit.TargetLink("late", "kafka", nil))
	events := f.wait(t, 3)
	expect(t, events, "put echo/default", "put sink/default (as source)", "put late/default")
	if got := events[0].link; got.Config["topic"] != "in" || fmt.Sprint(got.Interfaces) != "[consumer]" {
		t.Errorf("the target link has config %q and interfaces %q", got.Config, got.Interfaces)
	}
	if got := events[1].link; got.Config["topic"] != "out" || fmt.Sprint(got.Interfaces) != "[handler]" {
		t.Errorf("the source link has config %q and interfaces %q", got.Config, got.Interfaces)
	}
}

func TestOnlyOurSideOfALinkIsHandedOut(t *testing.T) {
	f := newFixture(t, fixtureOptions{})
	l := testkit.TargetLink("echo", "kafka", map[string]string{"side": "ours"})
	l.SourceConfig = map[string]string{"side": "theirs"}
	l.SourceSecrets = map[string]testkit.SecretValue{"their": testkit.SecretText("s")}
	f.host.PutLink(l)
	got := f.wait(t, 1)[0].link
	if !maps.Equal(got.Config, map[string]string{"side": "ours"}) || len(got.Secrets) != 0 {
		t.Errorf("got config %q and %d secrets", got.Config, len(got.Secrets))
	}
}

func TestLinksDifferByDirectionPeerPackageAndName(t *testing.T) {
	f := newFixture(t, fixtureOptions{})
	named := testkit.TargetLink("echo", "kafka", nil)
	named.Name = "second"
	other := testkit.TargetLink("echo", "kafka", nil)
	other.Namespace, other.Package = "acme", "queue"
	links := []testkit.Link{
		testkit.TargetLink("echo", "kafka", nil), named, other, testkit.SourceLink("kafka", "echo", nil),
		testkit.TargetLink("tango", "kafka", nil),
	}
	for _, l := range links {
		f.host.PutLink(l)
	}
	f.host.DeleteLink(named)
	expect(t, f.barrier(t), "put echo/default", "put echo/second", "put echo/default (acme:queue)",
		"put echo/default (as source)", "put tango/default", "delete echo/second")
}

func TestALinkWithItselfHasTwoSides(t *testing.T) {
	f := newFixture(t, fixtureOptions{})
	l := testkit.TargetLink("kafka", "kafka", map[string]string{"side": "target"})
	l.SourceConfig = map[string]string{"side": "source"}
	f.host.PutLink(l)
	f.host.PutLink(l) // a host publishes it twice
	f.host.DeleteLink(l)
	events := f.barrier(t)
	expect(t, events, "put kafka/default", "put kafka/default (as source)",
		"delete kafka/default", "delete kafka/default (as source)")
	if a, b := events[0].link.Config["side"], events[1].link.Config["side"]; a != "target" || b != "source" {
		t.Errorf("the sides have the config of %q and %q", a, b)
	}
}

func TestAnEqualPutChangesNothing(t *testing.T) {
	f := newFixture(t, fixtureOptions{})
	l := testkit.TargetLink("echo", "kafka", map[string]string{"topic": "in"})
	l.Interfaces = []string{"consumer", "request"}
	l.TargetSecrets = map[string]testkit.SecretValue{"password": testkit.SecretText("s3cret")}
	f.host.PutLink(l)
	f.host.PutLink(l) // sealed anew, so the bytes differ
	l.Interfaces = []string{"request", "consumer", "request"}
	f.host.PutLink(l)
	l.SourceConfig = map[string]string{"not": "ours"}
	f.host.PutLink(l)
	expect(t, f.barrier(t), "put echo/default")
}

func TestAChangedPutIsHandedOnWithoutADeletion(t *testing.T) {
	f := newFixture(t, fixtureOptions{before: []testkit.Link{testkit.TargetLink("echo", "kafka", nil)}})
	l := testkit.TargetLink("echo", "kafka", map[string]string{"topic": "in"})
	f.host.PutLink(l)
	l.Interfaces = []string{"consumer", "request"}
	f.host.PutLink(l)
	l.TargetSecrets = map[string]testkit.SecretValue{"password": testkit.SecretText("one")}
	f.host.PutLink(l)
	l.TargetSecrets = map[string]testkit.SecretValue{"password": testkit.SecretText("two")}
	f.host.PutLink(l)
	events := f.barrier(t)
	expect(t, events, "put echo/default", "put echo/default", "put echo/default", "put echo/default", "put echo/default")
	if got := events[4].link.Secrets["password"].Reveal(); got != "two" {
		t.Errorf("the last put has the password %q", got)
	}
}

func TestALinkPutAgainAfterItsDeletionIsNew(t *testing.T) {
	f := newFixture(t, fixtureOptions{})
	l := testkit.TargetLink("echo", "kafka", nil)
	f.host.PutLink(l)
	f.host.DeleteLink(l)
	f.host.DeleteLink(l)
	f.host.PutLink(l)
	expect(t, f.barrier(t), "put echo/default", "delete echo/default", "put echo/default")
}

func TestTheLegacyPutIsHeardOnlyWithoutKeys(t *testing.T) {
	for name, change := range map[string]func(map[string]any){
		"no keys at all": func(d map[string]any) {
			delete(d, "host_xkey_public_key")
			delete(d,
				"provider_xkey_private_key")
		},
		"no key of the host": func(d map[string]any) { d["host_xkey_public_key"] = "" },
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, fixtureOptions{spec: testkit.ProviderSpec{HostData: change}})
			f.host.PutLink(testkit.TargetLink("echo", "kafka", nil))
			f.wait(t, 1)
		})
	}
	t.Run("with keys", func(t *testing.T) {
		f := newFixture(t, fixtureOptions{})
		b, err := json.Marshal(map[string]any{"source_id": "echo", "target": "kafka", "name": "default"})
		if err != nil {
			t.Fatal(err)
		}
		if err := f.host.Conn().Publish("wasmbus.rpc.default.kafka.linkdefs.put", b); err != nil {
			t.Fatal(err)
		}
		expect(t, f.barrier(t))
	})
}

func TestForeignAndUnreadableLinksAreIgnoredAndLogged(t *testing.T) {
	f := newFixture(t, fixtureOptions{})
	s := f.current()
	for _, body := range []string{
		`{"source_id":"a","target":"b","name":"default"}`, `not JSON`, ``, `{"source_id":7,"target":"b"}`,
	} {
		for _, subject := range []string{s.putSubject(), s.subject("kafka", "linkdefs.del")} {
			if err := f.host.Conn().Publish(subject, []byte(body)); err != nil {
				t.Fatal(err)
			}
		}
	}
	expect(t, f.barrier(t))
	for _, want := range []string{"neither end", "put by the host cannot be read", "deletion of a link cannot be read"} {
		if !f.log.Contains(want) {
			t.Errorf("the log does not say %q", want)
		}
	}
}

func TestALinkWithAFieldOfTheWrongTypeIsRejectedByName(t *testing.T) {
	f := newFixture(t, fixtureOptions{})
	body := `{"source_id":"echo","target":"kafka","name":"default","wit_namespace":"wasmcloud","wit_package":"messaging",
		"target_config":{"password":4711}}`
	if err := f.host.Conn().Publish(f.current().putSubject(), []byte(body)); err != nil {
		t.Fatal(err)
	}
	events := f.barrier(t)
	if len(events) != 1 || events[0].what != "reject" || events[0].id != target("echo", "default") {
		t.Fatalf("events are %v", events)
	}
	if text := events[0].err.Error(); !strings.Contains(text, "target_config") || strings.Contains(text, "4711") {
		t.Errorf("the reason is %q", text)
	}
}

// Puts and deletions come over two subscriptions. Each of a link's puts has another number, so that what was taken
// out of order shows.
func TestPutsAndDeletionsKeepTheHostsOrderUnderLoad(t *testing.T) {
	const rounds, peers = 400, 5
	f := newFixture(t, fixtureOptions{})
	s, nc := f.current(), f.host.Conn()
	for n := range rounds {
		for p := range peers {
			l := map[string]any{"source_id": fmt.Sprint("peer", p), "target": "kafka", "name": "default",
				"wit_namespace": "wasmcloud", "wit_package": "messaging", "target_config": map[string]string{"n": fmt.Sprint(n)}}
			for _, subject := range []string{s.putSubject(), s.subject("kafka", "linkdefs.del")} {
				b, err := json.Marshal(l)
				if err == nil {
					err = nc.Publish(subject, b)
				}
				if err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	events := f.wait(t, 2*rounds*peers)
	for i, e := range events {
		n, peer := i/2/peers, i/2%peers
		want := event{what: "put", id: target(fmt.Sprint("peer", peer), "default")}
		if i%2 == 1 {
			want.what = "delete"
		}
		if e.what != want.what || e.id != want.id {
			t.Fatalf("event %d is %v, want %v", i, e, want)
		}
		if e.what == "put" && e.link.Config["n"] != fmt.Sprint(n) {
			t.Fatalf("event %d is of round %s, want %d", i, e.link.Config["n"], n)
		}
	}
}

func TestConfigIsHandedOnWhenItDiffers(t *testing.T) {
	f := newFixture(t, fixtureOptions{spec: testkit.ProviderSpec{Config: map[string]string{"a": "1"}}})
	f.provider.UpdateConfig(map[string]string{"a": "1"}) // as in the host data
	f.provider.UpdateConfig(map[string]string{"a": "2"})
	f.provider.UpdateConfig(map[string]string{"a": "2"})
	f.provider.UpdateConfig(nil) // an object without entries
	for _, bad := range []string{
		`{"password":4711}`, `not JSON`, `null`, ``, ` `, `[]`, `"4711"`, `4711`, `true`, `{"a":null}`,
		`{"a":"3","b":null}`, `{"a":"3"} x`,
		`{"a":["3"]}`, `{"a":{}}`,
	} {
		if err := f.host.Conn().Publish("wasmbus.rpc.default.kafka.config.update", []byte(bad)); err != nil {
			t.Fatal(err)
		}
	}
	f.provider.UpdateConfig(map[string]string{"a": "1"})
	expect(t, f.barrier(t), "config map[a:2]", "config map[]", "config map[a:1]")
	if !f.log.Contains("config update cannot be read") || f.log.Contains("4711") {
		t.Error("the log is silent about bad config, or quotes it")
	}
	if n := strings.Count(f.log.String(), "the provider's own config has changed"); n != 3 {
		t.Errorf("the log tells of %d changes instead of 3", n)
	}
}

func TestAChangeOfConfigIsToldByItsKeys(t *testing.T) {
	f := newFixture(t, fixtureOptions{spec: testkit.ProviderSpec{Config: map[string]string{"hosts": "a", "topic": "b",
		"order": "key"}}})
	long := strings.Repeat("k", 100_000)
	f.provider.UpdateConfig(map[string]string{"hosts": "canary", "order": "key", "acks": "canary", long: "x"})
	f.wait(t, 1)
	text := f.log.String()
	for _, want := range []string{"level=WARN", "removed=topic", "changed=hosts", `added="acks, (100000 bytes, too many to be shown)"`} {
		if !strings.Contains(text, want) {
			t.Errorf("the log lacks %s", want)
		}
	}
	if strings.Contains(text, "canary") || strings.Contains(text, strings.Repeat("k", 200)) {
		t.Error("the log holds a value, or a key without end")
	}
}

func TestNamesWithoutEndAreNeitherTakenNorLogged(t *testing.T) {
	f := newFixture(t, fixtureOptions{})
	long := strings.Repeat("n", 100_000)
	ok := strings.Repeat("o", maxName)
	with := func(change func(*hostdata.Link)) hostdata.Link {
		l := hostdata.Link{SourceID: "echo", Target: "kafka", Name: "default", WITNamespace: "wasmcloud",
			WITPackage: "messaging", Interfaces: []string{"consumer"}}
		change(&l)
		return l
	}
	links := []hostdata.Link{
		with(func(l *hostdata.Link) { l.SourceID = long }),
		with(func(l *hostdata.Link) { l.Name = long }),
		with(func(l *hostdata.Link) { l.WITNamespace = long }),
		with(func(l *hostdata.Link) { l.WITPackage = long }),
		with(func(l *hostdata.Link) { l.Interfaces = []string{"consumer", long} }),
		with(func(l *hostdata.Link) { l.Interfaces = slices.Repeat([]string{"x"}, maxInterfaces+1) }),
		with(func(l *hostdata.Link) { l.SourceID = "a\nlevel=ERROR msg=forged" }),
		with(func(l *hostdata.Link) { l.SourceID, l.Target = long, long }), // somebody else's
	}
	// As subjects the names would be too long for NATS.
	publish := func(operation string, l hostdata.Link) {
		subject := f.current().putSubject()
		if operation == "del" {
			subject = "wasmbus.rpc.default.kafka.linkdefs.del"
		}
		if err := f.host.Conn().Publish(subject, encode(t, l)); err != nil {
			t.Fatal(err)
		}
	}
	for _, l := range links {
		publish("put", l)
		publish("del", l)
	}
	publish("put", with(func(l *hostdata.Link) { l.SourceID = ok }))
	expect(t, f.barrier(t), "put "+ok+"/default")
	text := f.log.String()
	if strings.Contains(text, strings.Repeat("n", 200)) || strings.Contains(text, "\nlevel=ERROR msg=forged") {
		t.Error("the log holds a name without end, or a line that is none of the provider's")
	}
	if n := strings.Count(text, "a link is ignored"); n != len(links)-1 {
		t.Errorf("the log tells of %d links that are ignored", n)
	}
}

func TestALinkShowsNeitherConfigValuesNorSecrets(t *testing.T) {
	f := newFixture(t, fixtureOptions{})
	l := testkit.TargetLink("echo", "kafka", map[string]string{"sasl_password": "canary-in-config"})
	l.TargetSecrets = map[string]testkit.SecretValue{"password": testkit.SecretText("canary-in-secret")}
	f.host.PutLink(l)
	link := f.wait(t, 1)[0].link
	asJSON, err := json.Marshal(link)
	if err != nil {
		t.Fatal(err)
	}
	shown := fmt.Sprintf("%v %+v %#v %s %x %d %v %s", link, link, link, link, link, link, &link, asJSON)
	var log testkit.Log
	log.Logger().Info("m", "link", link)
	shown += log.String() + f.log.String()
	if strings.Contains(shown, "canary") || !strings.Contains(shown, "sasl_password") {
		t.Errorf("the link shows as %s", shown)
	}
}
