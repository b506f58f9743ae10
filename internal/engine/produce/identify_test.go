package produce

import (
	"errors"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/messaging-kafka/messaging-kafka/internal/settings"
	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

// The Kafka client keeps a refused producer id for ever.
func TestAProducerWorksAsSoonAsItsRightIsGranted(t *testing.T) {
	k := testkit.Kfake(t)
	k.Topic("out", 1)
	fault := k.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.InitProducerID}, TopLevel: true, Err: kerr.ClusterAuthorizationFailed, Count: -1})
	pool := NewPool(Options{Logger: testkit.Logger(t)})
	handle, err := pool.Acquire(settings.Cluster{Hosts: k.Brokers(), Security: settings.Security{Protocol: settings.Plaintext}}, producerSettings())
	if err != nil {
		t.Fatal(err)
	}
	publisher := NewPublisher(handle, settings.Producer{}, settings.CreateTopics{}, nil)
	defer func() {
		if err := handle.Release(within(t)); err != nil {
			t.Error(err)
		}
	}()
	for range 2 {
		var refused *Error
		if _, err := produceAll(within(t), publisher, many("out", 1, 1)...); !errors.As(err, &refused) || refused.Class != ClassNotAuthorised {
			t.Fatalf("without the right: %v", err)
		}
	}
	fault.Remove()
	if _, err := produceAll(within(t), publisher, many("out", 1, 1)...); err != nil {
		t.Errorf("with the right: %v", err)
	}
}

// Between the provider's own question and the client's the right is taken away for a moment: the client, which keeps
// the answer, is of no more use.
func TestAProducerWorksAfterTheClientWasRefusedAnID(t *testing.T) {
	k := testkit.Kfake(t)
	k.Topic("out", 1)
	asked := 0
	k.ControlKey(int16(kmsg.InitProducerID), func(req kmsg.Request) (kmsg.Response, error, bool) {
		k.KeepControl()
		if asked++; asked != 2 {
			return nil, nil, false
		}
		resp := req.ResponseKind().(*kmsg.InitProducerIDResponse)
		resp.ErrorCode = kerr.ClusterAuthorizationFailed.Code
		return resp, nil, true
	})
	pool := NewPool(Options{Logger: testkit.Logger(t)})
	handle, err := pool.Acquire(settings.Cluster{Hosts: k.Brokers(), Security: settings.Security{Protocol: settings.Plaintext}}, producerSettings())
	if err != nil {
		t.Fatal(err)
	}
	publisher := NewPublisher(handle, settings.Producer{}, settings.CreateTopics{}, nil)
	defer func() {
		if err := handle.Release(within(t)); err != nil {
			t.Error(err)
		}
	}()
	var refused *Error
	if _, err := produceAll(within(t), publisher, many("out", 1, 1)...); !errors.As(err, &refused) || refused.Class != ClassNotAuthorised {
		t.Errorf("while it is refused: %v", err)
	}
	if _, err := produceAll(within(t), publisher, many("out", 1, 1)...); err != nil {
		t.Errorf("when it is not refused any more: %v", err)
	}
}
