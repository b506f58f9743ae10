package consume

import (
	"sync/atomic"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"messaging-kafka/internal/testkit"
)

func TestAShareGroupKnowsWhereToStartBeforeItIsJoined(t *testing.T) {
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
	k := testkit.KfakeProxied(t)
	k.Proxies()[0].Down()
	c := start(t, k.Brokers(), &handler{name: "a"}, map[string]string{"topic": "t", "group_protocol": "share"})
	c.waitProblem("refused")
	c.stop()
}
