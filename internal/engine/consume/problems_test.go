package consume

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/messaging-kafka/messaging-kafka/internal/engine/kafka"
	"github.com/messaging-kafka/messaging-kafka/internal/engine/produce"
	"github.com/messaging-kafka/messaging-kafka/internal/observe/status"
	"github.com/messaging-kafka/messaging-kafka/internal/settings"
	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

func TestACauseIsToldOnce(t *testing.T) {
	t.Parallel()
	access, err := kafka.NewAccess(settings.Cluster{Hosts: []string{"127.0.0.1:9"}, Security: settings.Security{Protocol: settings.Plaintext}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	var log testkit.Log
	fresh := func() *problems {
		p := &problems{access: access, group: "g", log: log.Logger()}
		p.joined()
		return p
	}
	texts := func(p *problems) []string {
		_, list := p.list()
		return list.Texts()
	}
	rights, disk := access.Explain(kerr.TopicAuthorizationFailed).Text, access.Explain(kerr.KafkaStorageError).Text

	p := fresh()
	for i := range int32(7) {
		p.setPartition(topicPartition{"t", i}, kerr.TopicAuthorizationFailed)
	}
	p.setPartition(topicPartition{"u", 3}, kerr.KafkaStorageError)
	want := []string{"reading t/0, t/1, t/2, t/3, t/4 and 2 more: " + rights, "reading u/3: " + disk}
	if got := texts(p); !slices.Equal(got, want) {
		t.Errorf("of partitions: %q", got)
	}
	p.setChecks([]problem{{status.ProblemTopic, doingTopic("t"), kerr.TopicAuthorizationFailed}})
	p.setPartition(topicPartition{"v", 0}, kerr.TopicAuthorizationFailed)
	want = []string{"topic t: " + rights, "reading u/3: " + disk, "reading v/0: " + rights}
	if got := texts(p); !slices.Equal(got, want) {
		t.Errorf("of a topic and its partitions: %q", got)
	}
	p = fresh()
	p.setCommit(kerr.GroupAuthorizationFailed, false)
	p.setStart(kerr.GroupAuthorizationFailed)
	p.OnGroupManageError(kerr.GroupAuthorizationFailed)
	p.OnGroupManageError(kerr.GroupAuthorizationFailed)
	if got := texts(p); !slices.Equal(got, []string{access.Explain(kerr.GroupAuthorizationFailed).Text}) {
		t.Errorf("of the group: %q", got)
	}
	if n := strings.Count(log.String(), "there is no membership in the group"); n != 1 {
		t.Errorf("the log tells of the group %d times", n)
	}
}

// A commit that fails between two generations of the group is no problem, and one that goes on to fail so is.
func TestACommitThatIsRefusedForLongIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		access, err := kafka.NewAccess(settings.Cluster{Hosts: []string{"kafka:9092"}}, testkit.Logger(t))
		if err != nil {
			t.Fatal(err)
		}
		p := &problems{access: access, group: "g", log: testkit.Logger(t), member: true}
		told := func() bool {
			_, list := p.list()
			return slices.ContainsFunc(list, func(one status.Problem) bool { return one.Kind == status.ProblemCommit })
		}
		refuse := func(span time.Duration, waits bool) {
			for range span / time.Second {
				p.setCommit(kerr.IllegalGeneration, waits)
				time.Sleep(time.Second)
			}
			p.setCommit(kerr.IllegalGeneration, waits)
		}
		if refuse(9*time.Second, false); told() {
			t.Error("it is told within ten seconds")
		}
		if refuse(time.Minute, true); told() {
			t.Error("it is told while the member waits for others")
		}
		if refuse(10*time.Second, false); !told() {
			t.Error("it is not told after ten seconds")
		}
		if p.setCommit(nil, false); told() {
			t.Error("it is told when commits are taken")
		}
		if refuse(9*time.Second, false); told() {
			t.Error("the next time it is told sooner")
		}
	})
}

// What the transaction of an earlier session failed for is told for half a minute, since this one may have nothing to
// commit, and while something is being committed.
func TestWhyAnEarlierSessionHasEndedIsToldForAWhileAndWithEachCommit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		access, err := kafka.NewAccess(settings.Cluster{Hosts: []string{"kafka:9092"}}, testkit.Logger(t))
		if err != nil {
			t.Fatal(err)
		}
		p := &problems{access: access, group: "g", log: testkit.Logger(t), member: true}
		told := func(code string) bool {
			_, list := p.list()
			return slices.ContainsFunc(list, func(one status.Problem) bool {
				return one.Kind == status.ProblemCommit && strings.Contains(one.Text, code)
			})
		}
		p.inherit(fmt.Errorf("%w: %w", produce.ErrMaybeCommitted, kerr.InvalidTxnState))
		p.setCommit(nil, false) // there was nothing to commit
		if time.Sleep(unendedFor - time.Second); !told("INVALID_TXN_STATE") {
			t.Error("it is not told from the beginning")
		}
		if time.Sleep(2 * time.Second); told("INVALID_TXN_STATE") {
			t.Error("it is told though nothing is known to be wrong any more")
		}
		if p.setCommitting(true); !told("INVALID_TXN_STATE") {
			t.Error("it is not told while something is being committed")
		}
		p.setCommitting(false)
		p.setCommitting(true)
		if p.settled(); told("") {
			t.Error("it is told when it is settled")
		}
		if p.setCommit(kerr.UnknownServerError, false); !told("UNKNOWN_SERVER_ERROR") {
			t.Error("a failure of this session is not told")
		}
		p.setUnended(kerr.NotCoordinator)
		p.setUnended(kerr.CoordinatorNotAvailable)
		if p.settled(); !told("moving to another broker") {
			t.Error("what ends this session is not told")
		}
	})
}

// TestWhyAPlaceWasNotFoundGoesWithItsAssignment: the next one may bring this copy no partition of which a place is
// asked for, and then nothing else would say that all is well.
func TestWhyAPlaceWasNotFoundGoesWithItsAssignment(t *testing.T) {
	k := testkit.Kfake(t)
	k.Topic("t", 1)
	c := start(t, k.Brokers(), &handler{name: "a"}, map[string]string{"topic": "t"})
	c.waitHealthy()
	s := c.session()
	s.problems.setStart(kerr.TopicAuthorizationFailed)
	c.waitProblem("not authorised for the topic")
	s.onAssigned(t.Context(), s.cl, nil)
	c.waitHealthy()
}

func TestAMembershipThatEndsSaysWhyAndNotThatOthersHaveThePartitions(t *testing.T) {
	t.Parallel()
	for _, group := range []string{"classic", "consumer"} {
		t.Run(group, func(t *testing.T) {
			t.Parallel()
			k := testkit.Kfake(t)
			k.Topic("t", 2)
			c := start(t, k.Brokers(), &handler{name: "a"}, map[string]string{"topic": "t", "group_protocol": group})
			waitOwned(t, "t", 2, c)
			c.waitHealthy()
			fault := k.Fault(kfake.Fault{
				Keys: []kmsg.Key{kmsg.Heartbeat, kmsg.JoinGroup, kmsg.ConsumerGroupHeartbeat}, Err: kerr.GroupAuthorizationFailed, Count: -1,
			})
			testkit.Eventually(t, patience, func() error {
				if !c.log.Contains("partitions given up: the membership in the group is over") || !c.log.Contains("there is no membership in the group") {
					return errors.New("the log does not tell")
				}
				return nil
			})
			c.waitProblem("not authorised for the consumer group")
			fault.Remove()
			c.waitHealthy()
			for line := range strings.Lines(c.log.String()) {
				told := strings.Contains(line, "level=WARN") || strings.Contains(line, "level=ERROR")
				if told && (strings.Contains(line, "kafka client") || strings.Contains(line, "GROUP_AUTHORIZATION_FAILED")) {
					t.Errorf("the client's own words: %s", line)
				}
			}
		})
	}
}
