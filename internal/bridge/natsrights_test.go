package bridge

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/messaging-kafka/messaging-kafka/internal/observe/status"
	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

// asBridge and asOthers are the users of a server on which the bridge has few rights.
const asBridge = "nats_user: bridge\nnats_password: of-the-bridge\n"

var asOthers = nats.UserInfo("others", "of-others")

func withRights(publish, subscribe []string) func(*server.Options) {
	return func(o *server.Options) {
		o.Users = []*server.User{
			{Username: "bridge", Password: "of-the-bridge", Permissions: &server.Permissions{
				Publish: &server.SubjectPermission{Allow: publish}, Subscribe: &server.SubjectPermission{Allow: subscribe},
			}},
			{Username: "others", Password: "of-others"},
		}
	}
}

// rightsInDocs are the subjects in a paragraph of docs/nats.md, by the words that it begins with.
func rightsInDocs(t *testing.T, begins string) []string {
	t.Helper()
	text, err := os.ReadFile("../../docs/nats.md")
	if err != nil {
		t.Fatal(err)
	}
	_, paragraph, found := strings.Cut(string(text), "\n"+begins)
	if !found {
		t.Fatalf("docs/nats.md has no paragraph that begins with %q", begins)
	}
	paragraph, _, _ = strings.Cut(paragraph, "\n\n")
	var subjects []string
	for _, match := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(paragraph, -1) {
		subjects = append(subjects, strings.ReplaceAll(match[1], "ORDERS_GIVEN_UP", advisoryStream))
	}
	return subjects
}

// TestRightsForWhatAConsumerGivesUp: with those that the documentation names, letters are stored. Where one is missing,
// health names it, and goes on to name it.
func TestRightsForWhatAConsumerGivesUp(t *testing.T) {
	rights := rightsInDocs(t, "The user needs these rights besides the ones below")
	if len(rights) < 4 {
		t.Fatalf("the documentation has the rights %q", rights)
	}
	k := testkit.Kfake(t)
	for i, missing := range append(rights, "") {
		t.Run("without "+missing, func(t *testing.T) {
			t.Parallel()
			client := testkit.NewClient(t, k.Brokers())
			topic := fmt.Sprint("orders.", i)
			k.Topic(topic, 1)
			k.Topic(topic+".dead", 1)
			may := slices.DeleteFunc(append(slices.Clone(rights), "stream.orders"), func(s string) bool { return s == missing })
			ns := testkit.NATS(t, testkit.NATSOptions{JetStream: true, Configure: withRights(may, []string{"_INBOX.>"})})
			shop := newShopStream(t, ns, asOthers)
			shop.keepAdvisories()
			asked, err := ns.Connect(asOthers).SubscribeSync("$JS.API.CONSUMER.MSG.NEXT." + advisoryStream + ".*")
			if err != nil {
				t.Fatal(err)
			}
			route := strings.ReplaceAll(toShopStream(ns, asBridge), "topic: orders", "topic: "+topic)
			b := start(t, file(k.Brokers(), route), nil)
			client.ProduceText(topic, "no use")
			shop.terminate()
			if missing == "" {
				if letter := client.Read(topic+".dead", 1)[0]; string(letter.Value) != "no use" {
					t.Errorf("the letter is %+v", letter)
				}
				shop.settled()
				b.await(healthy)
				return
			}
			named := strings.TrimRight(missing, ".*>")
			told := func(s *status.Provider) error {
				if !s.Problems.Has(status.ProblemNATS) || !strings.Contains(s.Message, "may not publish on "+named) {
					return fmt.Errorf("it is not told: %q", s.Message)
				}
				return nil
			}
			b.await(told)
			if strings.HasPrefix(missing, "$JS.ACK.") {
				// The first question brings the advisory, the second that there is no other: that takes nothing back.
				for range 3 {
					if _, err := asked.NextMsg(testkit.DefaultTimeout); err != nil {
						t.Fatal(err)
					}
				}
				if err := told(b.status()); err != nil {
					t.Error(err)
				}
				if client.EndOffsets(topic + ".dead")[0] > 0 {
					t.Error("a letter is stored that comes again without end")
				}
			}
			if b.log.Contains("of-the-bridge") {
				t.Error("the log has the password")
			}
		})
	}
}

// TestAStreamThatKeepsNoAdvisoriesIsTold: what is given up then gets no letter, and nobody else says so.
func TestAStreamThatKeepsNoAdvisoriesIsTold(t *testing.T) {
	t.Parallel()
	k, client, ns, shop := newShop(t, 1)
	const terminated, given = "$JS.EVENT.ADVISORY.CONSUMER.MSG_TERMINATED.ORDERS.", "$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.ORDERS."
	keeps := func(subjects ...string) {
		t.Helper()
		if _, err := shop.js.CreateOrUpdateStream(t.Context(), jetstream.StreamConfig{Name: advisoryStream, Subjects: subjects}); err != nil {
			t.Fatal(err)
		}
	}
	keeps("others.>")
	b := start(t, file(k.Brokers(), toShopStream(ns)), nil)
	lacks := func(subjects ...string) {
		t.Helper()
		b.await(func(s *status.Provider) error {
			for _, subject := range []string{terminated + "*", given + "*"} {
				if strings.Contains(s.Message, subject) != slices.Contains(subjects, subject) {
					return fmt.Errorf("it is told: %q", s.Message)
				}
			}
			if s.Problems.Has(status.ProblemNATS) != (len(subjects) > 0) {
				return fmt.Errorf("the problems are %+v", s.Problems)
			}
			return nil
		})
	}
	lacks(given+"*", terminated+"*")
	keeps(terminated + "*")
	lacks(given + "*")
	// Letters are stored meanwhile.
	client.ProduceText("orders", "no use")
	shop.terminate()
	client.Read("orders.dead", 1)
	lacks(given + "*")
	keeps(terminated+"worker", "$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.>")
	lacks()
}

// TestRightsToAnswer: a user that may not publish on inboxes has messages stored, and health says that nobody hears of
// it. One that may answer who asks it needs no more.
func TestRightsToAnswer(t *testing.T) {
	t.Parallel()
	k := testkit.Kfake(t)
	k.Topic("orders", 1)
	client := testkit.NewClient(t, k.Brokers())
	var user *server.User
	ns := testkit.NATS(t, testkit.NATSOptions{Configure: func(o *server.Options) {
		withRights([]string{"nothing"}, []string{"_INBOX.>", "kafka.>"})(o)
		user = o.Users[0]
	}})
	nc := ns.Connect(asOthers)
	b := start(t, file(k.Brokers(), fromNATS(ns, asBridge)), nil)
	ns.WaitInterest("kafka.orders")
	deaf := nc.NewInbox()
	for n := range 3 {
		if err := nc.PublishRequest("kafka.orders", fmt.Sprint(deaf, ".", n), []byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	client.Read("orders", 3)
	b.await(func(s *status.Provider) error {
		if !s.Problems.Has(status.ProblemNATS) || !strings.Contains(s.Message, "may not publish on _INBOX.>") {
			return fmt.Errorf("it is not told: %q", s.Message)
		}
		return nil
	})
	if n := strings.Count(b.log.String(), "the NATS server does not allow a subject"); n != 1 {
		t.Errorf("the log says so %d times", n)
	}
	user.Permissions.Response = &server.ResponsePermission{MaxMsgs: 1}
	ns.Restart()
	nc = ns.Connect(asOthers) // the one of before may not have noticed, and what it sends then is lost
	testkit.Eventually(t, testkit.DefaultTimeout, func() error {
		_, err := nc.Request("kafka.orders", []byte("y"), testkit.DefaultTimeout)
		return err
	})
	b.await(healthy)
}
