package consume

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

func TestAShareGroupKnowsWhereToStartBeforeItIsJoined(t *testing.T) {
	t.Parallel()
	k := testkit.Kfake(t)
	k.Topic("t", 1)
	cl := testkit.NewClient(t, k.Brokers())
	cl.ProduceText("t", "old")
	var refused atomic.Int64
	k.ControlKey(int16(kmsg.IncrementalAlterConfigs), func(req kmsg.Request) (kmsg.Response, error, bool) {
		if refused.Add(1) > 1 {
			return nil, nil, false
		}
		k.KeepControl()
		resp := req.ResponseKind().(*kmsg.IncrementalAlterConfigsResponse)
		r := kmsg.NewIncrementalAlterConfigsResponseResource()
		r.ErrorCode = kerr.GroupAuthorizationFailed.Code
		resp.Resources = append(resp.Resources, r)
		return resp, nil, true
	})
	k.ControlKey(int16(kmsg.ShareGroupHeartbeat), func(kmsg.Request) (kmsg.Response, error, bool) {
		if n := refused.Load(); n < 2 {
			t.Errorf("the group was joined after %d tries to set its start", n)
		}
		return nil, nil, false
	})
	h := &handler{name: "a"}
	c := start(t, k.Brokers(), h, map[string]string{"topic": "t", "group_protocol": "share"})
	c.waitProblem("ACL", "group")
	h.waitCalls(t, 1)
	c.waitHealthy()
}

func TestAShareConsumerThatHasNotJoinedStops(t *testing.T) {
	t.Parallel()
	k := testkit.KfakeProxied(t)
	k.Proxies()[0].Down()
	c := start(t, k.Brokers(), &handler{name: "a"}, map[string]string{"topic": "t", "group_protocol": "share"})
	c.waitProblem("refused")
	c.stop()
}

// groupProtocols are the values of group_protocol with which a group has offsets.
var groupProtocols = []string{"classic", "consumer"}

func TestATopicThatComesLaterIsReadFromItsStart(t *testing.T) {
	t.Parallel()
	for name, config := range map[string]map[string]string{
		"by its name":              {"topic": "late"},
		"by its name, with others": {"topic": "early,late"},
		"by a pattern":             {"topic": "/early|late/", "reply_topic": "none"},
		"created by the link":      {"topic": "late", "create_topics": "true", "create_topics_partitions": "3"},
	} {
		for _, protocol := range groupProtocols {
			t.Run(name+", "+protocol, func(t *testing.T) {
				t.Parallel()
				k := testkit.Kfake(t)
				k.Topic("early", 2)
				cl := testkit.NewClient(t, k.Brokers())
				cl.ProduceText("early", "before")
				full := maps.Clone(config)
				full["group_protocol"], full["start"], full["metadata_max_age"] = protocol, "latest", "1s"
				h := &handler{name: "a"}
				c := start(t, k.Brokers(), h, full)
				switch {
				case config["create_topics"] != "":
					testkit.Eventually(t, patience, func() error {
						if k.TopicInfo("late") == nil {
							return errors.New("it has not been created")
						}
						return nil
					})
				case strings.HasPrefix(config["topic"], "/"):
					cl.WaitCommitted("g", "early", cl.EndOffsets("early"))
					k.Topic("late", 3)
				default:
					c.waitProblem("topic late: ")
					k.Topic("late", 3)
				}
				cl.ProduceText("late", numbered(5)...)
				h.waitCalls(t, 5)
				got := slices.Sorted(slices.Values(h.values()))
				if !slices.Equal(got, numbered(5)) {
					t.Errorf("handled %q", got)
				}
				c.waitHealthy()
			})
		}
	}
}

func TestATopicThatComesWhileTheLinkIsAwayIsReadFromItsStart(t *testing.T) {
	t.Parallel()
	for name, topics := range map[string]string{"by its name": "early,late", "by a pattern": "/early|late/"} {
		for _, protocol := range groupProtocols {
			t.Run(name+", "+protocol, func(t *testing.T) {
				t.Parallel()
				k := testkit.Kfake(t)
				k.Topic("early", 1)
				cl := testkit.NewClient(t, k.Brokers())
				config := map[string]string{
					"group_protocol": protocol, "start": "latest", "metadata_max_age": "1s", "topic": topics, "reply_topic": "none",
				}
				first := start(t, k.Brokers(), &handler{name: "a"}, config)
				cl.WaitCommitted("g", "early", map[int32]int64{0: 0})
				first.stop()
				k.Topic("late", 1)
				cl.ProduceText("late", "x")
				h := &handler{name: "b"}
				start(t, k.Brokers(), h, config)
				if calls := h.waitCalls(t, 1); calls[0].value != "x" {
					t.Errorf("calls = %v", calls)
				}
			})
		}
	}
}

func TestATopicThatTheLinkIsGivenLaterBeginsWhereStartSays(t *testing.T) {
	t.Parallel()
	k := testkit.Kfake(t)
	k.Topic("first", 1)
	k.Topic("old", 1)
	cl := testkit.NewClient(t, k.Brokers())
	cl.ProduceText("old", "old")
	config := map[string]string{"start": "latest", "topic": "first"}
	first := start(t, k.Brokers(), &handler{name: "a"}, config)
	cl.WaitCommitted("g", "first", map[int32]int64{0: 0})
	first.stop()
	config["topic"] = "old,first,late"
	h := &handler{name: "b"}
	second := start(t, k.Brokers(), h, config)
	cl.WaitCommitted("g", "old", map[int32]int64{0: 1})
	second.stop()
	k.Topic("late", 1)
	cl.ProduceText("old", "new")
	cl.ProduceText("late", "late")
	start(t, k.Brokers(), h, config)
	h.waitCalls(t, 2)
	if got := slices.Sorted(slices.Values(h.values())); !slices.Equal(got, []string{"late", "new"}) {
		t.Errorf("handled %q", got)
	}
}

// Kafka forgets a group's offsets of a topic that is deleted.
func TestATopicCreatedAgainIsReadFromItsStartThoughTheGroupHasNoOffsetOfIt(t *testing.T) {
	t.Parallel()
	for _, protocol := range groupProtocols {
		t.Run(protocol, func(t *testing.T) {
			t.Parallel()
			k := testkit.Kfake(t)
			k.Topic("t", 1)
			cl := testkit.NewClient(t, k.Brokers())
			h := &handler{name: "a"}
			c := start(t, k.Brokers(), h, map[string]string{
				"topic": "t", "start": "latest", "metadata_max_age": "1s", "group_protocol": protocol,
			})
			c.waitHealthy()
			cl.ProduceText("t", "old")
			cl.WaitDrained("g", "t")
			cl.DeleteTopic("t")
			k.ControlKey(int16(kmsg.OffsetFetch), func(req kmsg.Request) (kmsg.Response, error, bool) {
				k.KeepControl()
				return noOffsets(req.(*kmsg.OffsetFetchRequest)), nil, true
			})
			k.Topic("t", 1)
			testkit.NewClient(t, k.Brokers()).ProduceText("t", "new")
			h.waitCalls(t, 2)
			if got := h.values(); !slices.Equal(got, []string{"old", "new"}) {
				t.Errorf("handled %q", got)
			}
		})
	}
}

// Between the client's look at the group's offsets and ours somebody may have committed the first one, as a member that
// was given a new partition for a moment.
func TestAnOffsetThatIsCommittedDuringTheStartIsReadFrom(t *testing.T) {
	t.Parallel()
	for _, protocol := range groupProtocols {
		t.Run(protocol, func(t *testing.T) {
			t.Parallel()
			k := testkit.Kfake(t)
			k.Topic("t", 1)
			cl := testkit.NewClient(t, k.Brokers())
			for _, value := range []string{"a", "b", "c"} {
				cl.ProduceText("t", value)
			}
			offsets := make(kadm.Offsets)
			offsets.AddOffset("t", 0, 2, -1)
			if err := kadm.NewClient(cl.Client).CommitAllOffsets(t.Context(), "g", offsets); err != nil {
				t.Fatal(err)
			}
			k.ControlKey(int16(kmsg.OffsetFetch), func(req kmsg.Request) (kmsg.Response, error, bool) {
				fetch := req.(*kmsg.OffsetFetchRequest)
				if !fetch.RequireStable { // which is not the client's own
					k.KeepControl()
					return nil, nil, false
				}
				return noOffsets(fetch), nil, true
			})
			h := &handler{name: "a"}
			c := start(t, k.Brokers(), h, map[string]string{"topic": "t", "group_protocol": protocol})
			c.waitHealthy()
			cl.WaitDrained("g", "t")
			if got := h.values(); !slices.Equal(got, []string{"c"}) {
				t.Errorf("handled %q, want what is behind the offset alone", got)
			}
		})
	}
}

// noOffsets is the answer of a broker that has no offset of any group asked for.
func noOffsets(req *kmsg.OffsetFetchRequest) *kmsg.OffsetFetchResponse {
	resp := req.ResponseKind().(*kmsg.OffsetFetchResponse)
	for _, group := range req.Groups {
		g := kmsg.NewOffsetFetchResponseGroup()
		g.Group = group.Group
		for _, topic := range group.Topics {
			t := kmsg.NewOffsetFetchResponseGroupTopic()
			t.Topic, t.TopicID = topic.Topic, topic.TopicID
			for _, id := range topic.Partitions {
				p := kmsg.NewOffsetFetchResponseGroupTopicPartition()
				p.Partition, p.Offset, p.LeaderEpoch = id, -1, -1
				t.Partitions = append(t.Partitions, p)
			}
			g.Topics = append(g.Topics, t)
		}
		resp.Groups = append(resp.Groups, g)
	}
	return resp
}
