package messaging

import (
	"context"
	"fmt"

	"github.com/nats-io/nats.go"

	"github.com/messaging-kafka/messaging-kafka/internal/payload/wit"
	"github.com/messaging-kafka/messaging-kafka/internal/wasmcloud/guest"
	"github.com/messaging-kafka/messaging-kafka/internal/wasmcloud/wrpc"
)

// GuestError is the result::err of a component: it took the message and said no.
type GuestError struct {
	// Text is the component's own, clipped to 4 KiB.
	Text string
}

func (e *GuestError) Error() string { return "the component returned an error: " + e.Text }

// HandlerClient calls handler@0.2.0 of components. It is safe for concurrent use.
type HandlerClient struct {
	client   *wrpc.Client
	lattice  string
	provider string
}

// NewHandlerClient calls over client in the given lattice. Components see providerKey as the source of the calls.
func NewHandlerClient(client *wrpc.Client, lattice, providerKey string) *HandlerClient {
	return &HandlerClient{client: client, lattice: lattice, provider: providerKey}
}

// Component is one component that is called over one link. It is safe for concurrent use.
type Component struct {
	client     *wrpc.Client
	id, target string
	header     nats.Header // of all calls; not changed
}

// Component returns the component with the given id as it is called over the named link.
func (c *HandlerClient) Component(id, linkName string) *Component {
	return &Component{
		client: c.client, id: id, target: c.lattice + "." + id, header: guest.LinkHeader(c.provider, id, linkName),
	}
}

// HandleMessage has the component handle msg and returns nil when it has done so, a [*GuestError] when it returned
// an error, and one of the errors of [wrpc.Client.Invoke] when there is no answer of the component: only
// [wrpc.ErrNoResponders] then says for sure that it has not handled the message. Trace headers go along with a ctx
// made by [guest.WithTraceHeaders].
func (c *Component) HandleMessage(ctx context.Context, msg BrokerMessage) error {
	var failure *GuestError
	err := c.client.Invoke(ctx, wrpc.Invocation{
		Target:   c.target,
		Instance: handlerInstance,
		Function: "handle-message",
		Header:   guest.AddTrace(ctx, c.header),
		Params:   AppendBrokerMessage(make([]byte, 0, msg.size()), msg),
	}, func(d *wit.Decoder) (err error) {
		failure, err = decodeHandled(d)
		return err
	})
	if err != nil {
		return fmt.Errorf("handing a message to component %s: %w", c.id, err)
	}
	if failure != nil {
		return failure
	}
	return nil
}

// decodeHandled reads the result of handle-message, result<_, string>.
func decodeHandled(d *wit.Decoder) (*GuestError, error) {
	ok, err := d.Result()
	if err != nil || ok {
		return nil, err
	}
	text, err := d.String()
	if err != nil {
		return nil, err
	}
	return &GuestError{Text: text}, nil
}
