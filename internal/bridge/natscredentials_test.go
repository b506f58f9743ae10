package bridge

import (
	"fmt"
	"path/filepath"
	"slices"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/messaging-kafka/messaging-kafka/internal/observe/status"
	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

// TestCredentialsForNATSAreExchanged: the file of a password changes, and the server knows the new one alone from its
// restart on. Whatever comes first, records are held meanwhile and none is lost.
func TestCredentialsForNATSAreExchanged(t *testing.T) {
	k := testkit.Kfake(t)
	k.Topic("orders", 1)
	k.Topic("done", 1)
	client := testkit.NewClient(t, k.Brokers())
	authority, trusted := testkit.NewAuthority(t), filepath.Join(t.TempDir(), "ca.pem")
	authority.Write(trusted)
	pair := authority.Local("nats")
	var options *server.Options
	ns := testkit.NATS(t, testkit.NATSOptions{Configure: func(o *server.Options) {
		testkit.ServeTLS(o, pair, nil)
		o.Users = []*server.User{{Username: "bridge", Password: "the-first-one"}, {Username: "workers", Password: "of-the-workers"}}
		options = o
	}})
	workers := testkit.NewMessagingPlugin(t, ns, testkit.MessagingPluginOptions{
		Subjects: []string{"orders"}, Connect: []nats.Option{
			nats.UserInfo("workers", "of-the-workers"), nats.RootCAs(trusted),
		},
		Instance: func() testkit.PluginHandler { return testkit.EchoReply },
	})
	password := filepath.Join(t.TempDir(), "password")
	write(t, password, "the-first-one\n")
	b := start(t, file(k.Brokers(), "orders\ntopic: orders\ndeliver: nats-reply\nreply_topic: done\nnats_user: bridge\nnats_password_file: "+
		password+"\nnats_tls_ca_file: "+trusted+"\nnats_url: "+ns.URL()), nil)
	var want []string
	produce := func(n int) {
		for range n {
			want = append(want, fmt.Sprintf("order %02d", len(want)))
			client.ProduceText("orders", want[len(want)-1])
		}
	}
	produce(5)
	client.WaitDrained("bridge.orders", "orders")
	b.await(healthy)

	ns.Stop()
	options.Users[0].Password = "the-second-one"
	ns.Start()
	produce(5)
	b.await(func(s *status.Provider) error {
		if !s.Problems.Has(status.ProblemNATS) {
			return fmt.Errorf("it is not told that the password is another: %s", s.Message)
		}
		return nil
	})
	write(t, password, "the-second-one\n")
	client.WaitDrained("bridge.orders", "orders")
	b.await(healthy)
	produce(5)
	client.WaitDrained("bridge.orders", "orders")
	var got []string
	for _, r := range client.Read("done", len(want)) {
		got = append(got, string(r.Value))
	}
	if !slices.Equal(got, want) {
		t.Errorf("the answers are %q", got)
	}
	for _, secret := range []string{"the-first-one", "the-second-one"} {
		if b.log.Contains(secret) {
			t.Errorf("the log has %q", secret)
		}
	}
	if err := b.stop(); err != nil {
		t.Error(err)
	}
	if n := workers.Calls(); n < len(want) {
		t.Errorf("%d messages came", n)
	}
}
