package provider

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

// documentedPermissions are the lists in docs/security.md, for the lattice "default" and the provider "kafka".
func documentedPermissions(t *testing.T) (subscribe, publish []string) {
	t.Helper()
	root, err := testkit.ProjectRoot()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(root, "docs", "security.md"))
	if err != nil {
		t.Fatal(err)
	}
	list := func(after string) []string {
		_, rest, _ := strings.Cut(string(text), "\n"+after+":\n\n```\n")
		block, _, found := strings.Cut(rest, "\n```")
		if !found {
			t.Fatalf("docs/security.md has no list behind %q", after)
		}
		return strings.Split(strings.NewReplacer("<lattice>", "default", "<provider>", "kafka").Replace(block), "\n")
	}
	return list("Subscribe"), list("Publish")
}

// restrictedBench is a bench whose provider has its own NATS user with the given permissions. Everybody else may do
// everything.
func restrictedBench(t *testing.T, subscribe, publish []string) (*bench, testkit.ProviderSpec) {
	t.Helper()
	user, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	public, err := user.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	seed, err := user.Seed()
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{t: t, kafka: testkit.Kfake(t)}
	b.nats = testkit.NATS(t, testkit.NATSOptions{Configure: func(o *server.Options) {
		o.Users = []*server.User{{Username: "others", Password: "others"}}
		o.NoAuthUser = "others"
		o.Nkeys = []*server.NkeyUser{{Nkey: public, Permissions: &server.Permissions{
			Publish: &server.SubjectPermission{Allow: publish}, Subscribe: &server.SubjectPermission{Allow: subscribe},
		}}}
	}})
	b.host = testkit.NewFakeHost(t, b.nats, testkit.FakeHostOptions{})
	b.kc = testkit.NewClient(t, b.kafka.Brokers())
	return b, testkit.ProviderSpec{Run: inProcess(t),
		HostData: func(data map[string]any) { data["lattice_rpc_user_seed"] = string(seed) }}
}

func TestTheDocumentedNATSPermissionsAreEnough(t *testing.T) {
	subscribe, publish := documentedPermissions(t)
	b, spec := restrictedBench(t, subscribe, publish)
	b.topics("in", "in.reply", "questions", "answers")
	component := testkit.NewComponent(t, b.nats, testkit.ComponentOptions{})
	asker := testkit.NewComponent(t, b.nats, testkit.ComponentOptions{ID: "asker"})
	p := b.host.StartProvider(spec)
	p.WaitHealthy()

	l := testkit.TargetLink("echo", "kafka", b.config("in,questions", "reply_topics_from_records", "answers"))
	l.TargetSecrets = map[string]testkit.SecretValue{"client_id": testkit.SecretText("sealed")}
	b.host.PutLink(l)
	b.host.PutLink(testkit.TargetLink("asker", "kafka", b.config("", "request_reply_topic", "answers")))
	b.kc.ProduceText("in", "a", strings.Repeat("b", 900<<10)) // one message of NATS, and more than one
	b.kc.Read("in.reply", 2)
	p.WaitHealthy()
	if err := component.Publish(t.Context(), testkit.Message{Subject: "in.reply", Body: []byte("c")}); err != nil {
		t.Error(err)
	}
	if m, err := asker.Request(t.Context(), "questions", []byte("who?"), testkit.DefaultTimeout); err != nil ||
		string(m.Body) != "who?" {
		t.Errorf("answer %+v, %v", m, err)
	}
	p.UpdateConfig(map[string]string{"max_in_flight": "many"})
	p.WaitUnhealthy("max_in_flight")
	p.UpdateConfig(nil)
	p.WaitHealthy()
	unused := unusedSubscriptions(t, b.nats, subscribe)
	b.host.DeleteLink(l)
	b.kc.WaitMembers("wasmcloud.default.echo.default", 0)
	if r := p.Shutdown(); !r.Replied || r.Err != nil {
		t.Errorf("shutdown: %+v", r)
	}
	if len(unused) > 0 {
		t.Errorf("of the documented permissions these are not needed: %v", unused)
	}
}

// unusedSubscriptions are the patterns under which no connection with an nkey has subscribed.
func unusedSubscriptions(t *testing.T, ns *testkit.NATSServer, patterns []string) []string {
	t.Helper()
	connections, err := ns.Server().Connz(&server.ConnzOptions{Subscriptions: true, Username: true})
	if err != nil {
		t.Fatal(err)
	}
	var subjects []string
	for _, c := range connections.Conns {
		if nkeys.IsValidPublicUserKey(c.AuthorizedUser) {
			subjects = append(subjects, c.Subs...)
		}
	}
	if len(subjects) == 0 {
		t.Fatal("the provider has no subscriptions")
	}
	return slices.DeleteFunc(slices.Clone(patterns), func(pattern string) bool {
		return slices.ContainsFunc(subjects, func(s string) bool { return server.SubjectsCollide(s, pattern) })
	})
}

func TestTheRestrictedNATSUserIsRestricted(t *testing.T) {
	subscribe, publish := documentedPermissions(t)
	b, spec := restrictedBench(t, subscribe, publish)
	data := map[string]any{}
	spec.HostData(data)
	user, err := nkeys.FromSeed([]byte(data["lattice_rpc_user_seed"].(string)))
	if err != nil {
		t.Fatal(err)
	}
	public, err := user.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	violations := make(chan error, 10)
	nc := b.nats.Connect(nats.Nkey(public, user.Sign),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { violations <- err }))
	for _, subject := range []string{"wasmbus.ctl.v1.default.host.ping", "wasmbus.rpc.default.kafka.linkdefs.put",
		"default.other.wrpc.0.0.1.wasi:http/x.y", "default.kafka.wrpc.0.0.1.wasmcloud:messaging/consumer@0.2.0.publish"} {
		if err := nc.Publish(subject, nil); err != nil {
			t.Fatal(err)
		}
		if err := <-violations; !strings.Contains(strings.ToLower(err.Error()), "permissions violation") {
			t.Errorf("publishing to %s: %v", subject, err)
		}
	}
	for _, subject := range []string{">", "default.>", "default.other.wrpc.>", "wasmbus.>",
		"wasmbus.rpc.default.other.health"} {
		if _, err := nc.SubscribeSync(subject); err != nil {
			t.Fatal(err)
		}
		if err := <-violations; !strings.Contains(strings.ToLower(err.Error()), "permissions violation") {
			t.Errorf("subscribing to %s: %v", subject, err)
		}
	}
}
