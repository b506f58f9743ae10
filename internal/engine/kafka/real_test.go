//go:build brokers

package kafka

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/messaging-kafka/messaging-kafka/internal/settings"
	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

// TestWordsOfApacheKafkaStandBehindOurs, whatever a broker has words of its own for.
func TestWordsOfApacheKafkaStandBehindOurs(t *testing.T) {
	const password = "right-of-this-test"
	brokers := testkit.RealKafka(t, testkit.KafkaOptions{Auth: true, NoAutoCreate: true, Password: password,
		Properties: map[string]string{"connections.max.reauth.ms": "1100"}})
	plain := newAccess(t, clusterAt(settings.Security{Protocol: settings.Plaintext}, brokers.Brokers()...))
	admin := kadm.NewClient(newClient(t, plain))
	create := func(partitions int32, replication int16) func(*testing.T) (*Access, error) {
		return func(t *testing.T) (*Access, error) {
			return plain, CreateTopic(t.Context(), admin, "made", settings.CreateTopics{
				Enabled: true, Partitions: partitions, Replication: replication,
			}, slog.New(slog.DiscardHandler))
		}
	}
	authenticate := func(m settings.Mechanism, pass string) func(*testing.T) (*Access, error) {
		return func(t *testing.T) (*Access, error) {
			a := newAccess(t, clusterAt(settings.Security{Protocol: settings.SASLPlaintext, Mechanism: m, Username: "app",
				Password: settings.NewSecret(pass)}, brokers.SASLBrokers()...))
			return a, ping(t, newClient(t, a))
		}
	}
	for name, test := range map[string]struct {
		do          func(*testing.T) (*Access, error)
		class       Class
		ours, words string
	}{
		// Without a policy of its own, a cluster has one: so many partitions are not made at once.
		"a policy":        {create(20_000, -1), ClassPolicy, "create_topics_partitions", "xcessively large number of partitions"},
		"too few brokers": {create(1, 3), ClassInvalidTopic, "create_topics_replication", "replication factor"},
		"PLAIN":           {authenticate(settings.Plain, "wrong"), ClassAuthentication, "sasl_password", "Authentication failed"},
		"SCRAM":           {authenticate(settings.ScramSHA256, "wrong"), ClassAuthentication, "sasl_password", "invalid credentials with SASL mechanism SCRAM-SHA-256"},
	} {
		t.Run(name, func(t *testing.T) {
			access, err := test.do(t)
			if err == nil {
				t.Fatal("the broker took it")
			}
			got := access.Explain(err)
			ours, words, _ := strings.Cut(got.Text, "; the broker says: ")
			if got.Class != test.class || !strings.Contains(ours, test.ours) || !strings.Contains(words, test.words) {
				t.Errorf("%+v of %v", got, err)
			}
			t.Log(got.Text)
		})
	}
	t.Run("a session that is renewed too soon", func(t *testing.T) {
		a, err := authenticate(settings.Plain, password)(t)
		if err != nil {
			t.Fatal(err)
		}
		got := a.Explain(untilIllegal(t, newClient(t, a)))
		if got.Class != ClassClosed || !strings.Contains(got.Text, "connections.max.reauth.ms") {
			t.Errorf("got %+v", got)
		}
	})
}

// TestAGroupOfRangeMembersOnApacheKafka refuses a member that has another assignor, takes one of KIP-848, and is
// explained by what its members do.
func TestAGroupOfRangeMembersOnApacheKafka(t *testing.T) {
	brokers := testkit.RealKafka(t, testkit.KafkaOptions{})
	cl := testkit.NewClient(t, brokers.Brokers())
	cl.Topic("ranged", 4, nil)
	access := newAccess(t, clusterAt(settings.Security{Protocol: settings.Plaintext}, brokers.Brokers()...))
	join := func(opts ...kgo.Opt) (assigned chan []int32, refused chan error) {
		assigned, refused = make(chan []int32, 100), make(chan error, 100)
		opts = append(append(access.Options(), opts...), kgo.ConsumerGroup("ranged"), kgo.ConsumeTopics("ranged"),
			kgo.OnPartitionsAssigned(func(_ context.Context, _ *kgo.Client, got map[string][]int32) { assigned <- got["ranged"] }),
			kgo.WithHooks(groupErrors(refused)))
		member, err := kgo.NewClient(opts...)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		polled := make(chan struct{})
		go func() {
			defer close(polled)
			for ctx.Err() == nil {
				member.PollFetches(ctx)
			}
		}()
		t.Cleanup(func() { cancel(); <-polled; member.Close() })
		return assigned, refused
	}
	await := func(assigned chan []int32, n int) {
		t.Helper()
		for got := range assigned {
			if len(got) == n {
				return
			}
		}
	}
	ranged, _ := join(kgo.Balancers(kgo.RangeBalancer()))
	await(ranged, 4)
	_, refused := join(kgo.Balancers(kgo.CooperativeStickyBalancer()))
	err := <-refused
	if !errors.Is(err, kerr.InconsistentGroupProtocol) {
		t.Fatalf("the group answers %v", err)
	}
	testkit.Eventually(t, testkit.DefaultTimeout, func() error {
		refined := Mismatch(t.Context(), cl.Client, "ranged", "cooperative-sticky", err)
		if text := access.Explain(refined).Text; !strings.Contains(text, "share its partitions by range") {
			return errors.New(text)
		}
		return nil
	})
	beside, refused := join(kgo.ServerSideBalancer(), kgo.Balancers(kgo.StickyBalancer()))
	select {
	case got := <-beside:
		for len(got) == 0 {
			got = <-beside
		}
	case err := <-refused:
		t.Fatalf("a member of KIP-848 is refused: %v", err)
	}
	if kind, err := KindOfGroup(t.Context(), cl.Client, "ranged"); err != nil || kind != KindConsumer {
		t.Errorf("the group is of the kind %q (%v)", kind, err)
	}
}

// groupErrors hears why a group could not be joined.
type groupErrors chan error

// OnGroupManageError implements kgo.HookGroupManageError.
func (g groupErrors) OnGroupManageError(err error) {
	select {
	case g <- err:
	default:
	}
}
