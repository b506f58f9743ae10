package schema

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/sr"
	"github.com/twmb/franz-go/pkg/sr/srfake"

	"github.com/messaging-kafka/messaging-kafka/internal/base/memory"
	"github.com/messaging-kafka/messaging-kafka/internal/record"
	"github.com/messaging-kafka/messaging-kafka/internal/settings"
	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// rig is a registry on a network that is nowhere but in memory, so that it runs in virtual time.
type rig struct {
	*srfake.Registry
	connect func(context.Context, string, string) (net.Conn, error)

	mu      sync.Mutex
	answers http.HandlerFunc // in place of the registry; nil is the registry
	asked   []string         // paths
}

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{Registry: srfake.NewRegistry()}
	conns := testkit.NewPipes()
	server := &http.Server{Handler: http.HandlerFunc(r.serve)}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = server.Serve(conns)
	}()
	t.Cleanup(func() {
		_ = server.Close()
		<-served
	})
	r.connect = func(ctx context.Context, _, _ string) (net.Conn, error) {
		near, far := net.Pipe()
		if err := conns.Give(ctx, far); err != nil {
			return nil, err
		}
		return near, nil
	}
	return r
}

func (r *rig) serve(w http.ResponseWriter, req *http.Request) {
	r.mu.Lock()
	r.asked = append(r.asked, req.URL.Path)
	answers := r.answers
	r.mu.Unlock()
	if answers != nil {
		answers(w, req)
		return
	}
	r.Handler().ServeHTTP(w, req)
}

// answer has the registry answer otherwise than it would; nil ends that.
func (r *rig) answer(f http.HandlerFunc) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answers = f
}

func (r *rig) questions() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.asked)
}

// link are settings of a link with the registry.
func link(change ...func(*settings.Link)) *settings.Link {
	s := &settings.Link{Schema: settings.Schema{
		Registries: []string{"http://registry"}, Timeout: 5 * time.Second, Parts: settings.SchemaValue, Subject: "{topic}-{part}",
		Unframed: settings.UnframedReject,
	}}
	for _, f := range change {
		f(s)
	}
	return s
}

// codec returns a codec that asks the rig.
func (r *rig) codec(t *testing.T, account *memory.Account, change ...func(*settings.Link)) *Codec {
	t.Helper()
	c, err := NewCodec(NewPool(r.connect, slog.New(slog.DiscardHandler)), link(change...), account)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// register gives a topic's values a schema, and returns its id.
func (r *rig) register(t *testing.T, topic string, kind sr.SchemaType, text string, refs ...sr.SchemaReference) uint32 {
	t.Helper()
	return r.registerAs(t, topic+"-value", kind, text, refs...)
}

func (r *rig) registerAs(t *testing.T, subject string, kind sr.SchemaType, text string, refs ...sr.SchemaReference) uint32 {
	t.Helper()
	id, _, err := r.RegisterSchema(subject, sr.Schema{Schema: text, Type: kind, References: refs})
	if err != nil {
		t.Fatal(err)
	}
	return uint32(id)
}

func read(c *Codec, topic string, value []byte) (string, error) {
	var held Held
	defer held.Free()
	made, err := c.Decode(context.Background(), &record.Record{Topic: topic, Value: value}, &held)
	if err != nil {
		return "", err
	}
	return string(made.Value), nil
}

func recordOf(topic string, value []byte) *record.Record {
	return &record.Record{Topic: topic, Value: value}
}

func outgoingOf(topic, key, value string) record.Outgoing {
	return record.Outgoing{Topic: topic, Key: []byte(key), Value: []byte(value), Partition: record.AnyPartition}
}

func write(c *Codec, topic, text string) ([]byte, error) {
	out, err := c.Encode(context.Background(), record.Outgoing{Topic: topic, Value: []byte(text), Partition: record.AnyPartition})
	return out.Value, err
}
