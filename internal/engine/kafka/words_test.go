package kafka

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/messaging-kafka/messaging-kafka/internal/base/redact"
	"github.com/messaging-kafka/messaging-kafka/internal/settings"
	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

// refuseToCreate has a cluster refuse topics with a code and words.
func refuseToCreate(cluster *kfake.Cluster, code *kerr.Error, words string) {
	cluster.ControlKey(int16(kmsg.CreateTopics), func(req kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		resp := req.ResponseKind().(*kmsg.CreateTopicsResponse)
		for _, t := range req.(*kmsg.CreateTopicsRequest).Topics {
			one := kmsg.NewCreateTopicsResponseTopic()
			one.Topic, one.ErrorCode, one.ErrorMessage = t.Topic, code.Code, new(words)
			resp.Topics = append(resp.Topics, one)
		}
		return resp, nil, true
	})
}

func TestWordsOfTheBrokerStandBehindOurs(t *testing.T) {
	t.Parallel()
	const secret = "Zq7-canary/of.the+route=19"
	access := func(addr string) *Access {
		a := newAccess(t, clusterAt(settings.Security{
			Protocol: settings.SASLPlaintext, Mechanism: settings.Plain, Username: "app", Password: settings.NewSecret(secret),
		}, addr))
		return a
	}
	create := settings.CreateTopics{Enabled: true, Partitions: 3, Replication: -1}
	for name, test := range map[string]struct {
		code        *kerr.Error
		said        string
		class       Class
		ours, words string
	}{
		"a policy":              {kerr.PolicyViolation, "Topics must be named team.name", ClassPolicy, "create_topics_partitions", "Topics must be named team.name"},
		"too few brokers":       {kerr.InvalidReplicationFactor, "Unable to replicate the partition 3 time(s)", ClassInvalidTopic, "create_topics_replication", "Unable to replicate the partition 3 time(s)"},
		"too many partitions":   {kerr.InvalidPartitions, "at most 12", ClassInvalidTopic, "create_topics_partitions", "at most 12"},
		"no right":              {kerr.TopicAuthorizationFailed, "not you", ClassTopicRights, "the user needs the ACL Create", "not you"},
		"no words":              {kerr.PolicyViolation, "", ClassPolicy, "policy", ""},
		"the words of all":      {kerr.PolicyViolation, "Request parameters do not satisfy the configured policy.", ClassPolicy, "policy", ""},
		"a code without a text": {kerr.InvalidConfig, "Unknown topic config name: x", ClassOther, "INVALID_CONFIG", "Unknown topic config name: x"},
		"more than a line":      {kerr.PolicyViolation, "one\nlevel=ERROR \x1b[31mtwo", ClassPolicy, "policy", "one level=ERROR \uFFFD[31mtwo"},
		"a secret":              {kerr.PolicyViolation, "not for " + secret + " here", ClassPolicy, "policy", "not for " + redact.Mark + " here"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cluster, addr := startKafka(t)
			refuseToCreate(cluster, test.code, test.said)
			plain := newAccess(t, clusterAt(settings.Security{Protocol: settings.Plaintext}, addr))
			err := CreateTopic(t.Context(), kadm.NewClient(newClient(t, plain)), "in", create, slog.New(slog.DiscardHandler))
			got := access(addr).Explain(err)
			ours, words, _ := strings.Cut(got.Text, "; the broker says: ")
			if got.Class != test.class || !strings.Contains(ours, test.ours) || words != test.words {
				t.Errorf("%+v", got)
			}
			if test.class != ClassOther {
				testkit.InRunbook(t, "A topic cannot be created", got.Text)
			}
		})
	}
	t.Run("secrets go before the words are cut", func(t *testing.T) {
		t.Parallel()
		a := access("127.0.0.1:1")
		for n := range len(secret) + 4 {
			said := fmt.Errorf("%w: %s", kerr.PolicyViolation, strings.Repeat("z", maxWords-n)+secret+" and more")
			got := a.Explain(said).Text
			if strings.Contains(got, secret[:4]) || len(got) > maxWords+200 || !strings.Contains(got, "zzz") {
				t.Errorf("%d bytes: %s", n, got)
			}
		}
	})
	t.Run("secrets of the process", func(t *testing.T) {
		t.Parallel()
		var others redact.Redactor
		others.Add("another-route's-password")
		a := access("127.0.0.1:1")
		a.Redact(&others)
		got := a.Explain(fmt.Errorf("x: %w", errors.Join(errors.New("a"), fmt.Errorf("%w: %s", kerr.PolicyViolation,
			"not another-route's-password")))).Text
		if !strings.HasSuffix(got, "; the broker says: not "+redact.Mark) {
			t.Errorf("got %s", got)
		}
	})
	t.Run("a refused password", func(t *testing.T) {
		t.Parallel()
		a := access(refusesPassword(t))
		err := ping(t, newClient(t, a))
		const want = "; the broker says: Authentication failed: Invalid username or password"
		if got := a.Explain(err).Text; !strings.HasSuffix(got, want) {
			t.Errorf("the call: %s", got)
		}
		if got := a.Explain(a.LastFailure()).Text; !strings.HasSuffix(got, want) {
			t.Errorf("the last failure: %s", got)
		}
		testkit.InRunbook(t, "SASL is refused", a.Explain(err).Text)
	})
}

func TestASessionThatWorkedWasNotWithoutSASL(t *testing.T) {
	t.Parallel()
	cluster, addr := startKafka(t, kfake.EnableSASL(), kfake.Superuser("PLAIN", "app", "right"),
		kfake.BrokerConfigs(map[string]string{"connections.max.reauth.ms": "1100"}))
	shaken := 0
	cluster.ControlKey(int16(kmsg.SASLHandshake), func(req kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		if shaken++; shaken == 1 {
			return nil, nil, false
		}
		resp := req.ResponseKind().(*kmsg.SASLHandshakeResponse)
		resp.ErrorCode = kerr.IllegalSaslState.Code // as of a session that is renewed within a second
		return resp, nil, true
	})
	access := newAccess(t, clusterAt(settings.Security{
		Protocol: settings.SASLPlaintext, Mechanism: settings.Plain, Username: "app", Password: settings.NewSecret("right"),
	}, addr))
	client := newClient(t, access)
	if err := ping(t, client); err != nil {
		t.Fatal(err)
	}
	got := access.Explain(untilIllegal(t, client))
	if got.Class != ClassClosed || !strings.Contains(got.Text, "connections.max.reauth.ms") ||
		strings.Contains(got.Text, "does not use SASL") {
		t.Errorf("got %+v", got)
	}
	testkit.InRunbook(t, "SASL is refused", got.Text)
	// Of another port nothing is known.
	other := &BrokerError{Addr: "127.0.0.1:1", Err: kerr.IllegalSaslState}
	if got := access.Explain(other); got.Class != ClassSASLNotOffered {
		t.Errorf("got %+v", got)
	} else {
		testkit.InRunbook(t, "SASL is refused", got.Text)
	}
}

// untilIllegal asks until a broker does not renew the session.
func untilIllegal(t *testing.T, client *kgo.Client) error {
	t.Helper()
	var illegal error
	testkit.Eventually(t, testkit.DefaultTimeout, func() error {
		ctx, cancel := context.WithTimeout(t.Context(), testkit.DefaultTimeout)
		defer cancel()
		req := kmsg.NewPtrMetadataRequest()
		req.Topics = []kmsg.MetadataRequestTopic{}
		_, err := client.SeedBrokers()[0].Request(ctx, req)
		if errors.Is(err, kerr.IllegalSaslState) {
			illegal = err
			return nil
		}
		return fmt.Errorf("the session goes on: %w", cmp.Or(err, errors.New("the broker answers")))
	})
	return illegal
}

func TestAGroupOfOthersIsExplainedByWhatTheyDo(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		mismatch    GroupMismatchError
		want, lacks string
		runbook     bool
	}{
		"another assignor":   {GroupMismatchError{Kind: KindClassic, Type: "consumer", Theirs: "range", Ours: "cooperative-sticky"}, "by range, and this member by cooperative-sticky: give them org.apache.kafka.clients.consumer.CooperativeStickyAssignor", "make group_protocol", true},
		"other partitions":   {GroupMismatchError{Kind: KindClassic, Type: "consumer", Theirs: "cooperative-sticky", Ours: "cooperative-sticky-of-1"}, "make consumer_partitions the same", "CooperativeStickyAssignor", true},
		"workers of Connect": {GroupMismatchError{Kind: KindClassic, Type: "connect", Theirs: "sessioned", Ours: "cooperative-sticky"}, "of connect: use another consumer_group", "CooperativeStickyAssignor", false},
		"a share group":      {GroupMismatchError{Kind: KindShare}, "set group_protocol=share", "CooperativeStickyAssignor", true},
		"streams":            {GroupMismatchError{Kind: KindStreams}, "of the kind streams", "set group_protocol", false},
	} {
		t.Run(name, func(t *testing.T) {
			test.mismatch.Err = kerr.InconsistentGroupProtocol
			got := Explain(&kgo.ErrGroupSession{Err: &test.mismatch})
			if got.Class != ClassGroupProtocol || !strings.Contains(got.Text, test.want) || strings.Contains(got.Text, test.lacks) {
				t.Errorf("got %+v", got)
			}
			if test.runbook {
				testkit.InRunbook(t, "The group does not come to rest", got.Text)
			}
		})
	}
}
