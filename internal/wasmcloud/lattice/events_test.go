package lattice

import (
	"context"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
	"github.com/messaging-kafka/messaging-kafka/internal/wasmcloud/hostdata"
)

// scaleWatcher is a Handler that is told of scalings.
type scaleWatcher struct {
	*recorder
	told chan string
}

func (w scaleWatcher) ComponentScaled(component string) { w.told <- component }
func (w scaleWatcher) HostStopped()                     { w.told <- "a host stopped" }

func newScaleWatcher(t *testing.T, options testkit.NATSOptions) (scaleWatcher, *testkit.Provider,
	*nats.Conn, *testkit.Log) {
	t.Helper()
	handler, log := scaleWatcher{newRecorder(), make(chan string, 10)}, &testkit.Log{}
	ns := testkit.NATS(t, options)
	host := testkit.NewFakeHost(t, ns, testkit.FakeHostOptions{})
	p := host.StartProvider(testkit.ProviderSpec{Run: func(ctx context.Context, stdin io.Reader) error {
		data, err := hostdata.Read(ctx, stdin)
		if err != nil {
			return err
		}
		s, err := Connect(ctx, data, Options{Logger: log.Logger()})
		if err != nil {
			return err
		}
		defer s.Close()
		return s.Run(ctx, handler)
	}})
	p.WaitHealthy()
	return handler, p, ns.Connect(), log
}

func TestScalingsAndStopsAreTold(t *testing.T) {
	w, _, nc, _ := newScaleWatcher(t, testkit.NATSOptions{})
	for _, m := range []struct{ subject, data string }{
		{"wasmbus.evt.default.component_scaled", "no JSON"},
		{"wasmbus.evt.default.component_scaled", `{"data":{"component_id":7}}`},
		{"wasmbus.evt.default.component_scaled", `{"data":{}}`},
		{"wasmbus.evt.other.component_scaled", `{"data":{"component_id":"of-another-lattice"}}`},
		{"wasmbus.evt.default.component_scale_failed", `{"data":{"component_id":"failed"}}`},
		{"wasmbus.evt.default.component_scaled", `{"specversion":"1.0","data":{"component_id":"echo","max_instances":0,"host_id":"N"}}`},
	} {
		if err := nc.Publish(m.subject, []byte(m.data)); err != nil {
			t.Fatal(err)
		}
	}
	if got := <-w.told; got != "echo" {
		t.Errorf("told %q", got)
	}
	if err := nc.Publish("wasmbus.evt.default.host_stopped", []byte(`{"data":{"labels":{}}}`)); err != nil {
		t.Fatal(err)
	}
	if got := <-w.told; got != "a host stopped" {
		t.Errorf("told %q", got)
	}
}

func TestARefusedEventIsSaidAndIsNoTrouble(t *testing.T) {
	_, p, _, log := newScaleWatcher(t, testkit.NATSOptions{Configure: func(o *server.Options) {
		o.NoAuthUser = "u"
		o.Users = []*server.User{{Username: "u", Password: "u", Permissions: &server.Permissions{
			Subscribe: &server.SubjectPermission{Deny: []string{"wasmbus.evt.>"}},
		}}}
	}})
	testkit.Eventually(t, testkit.DefaultTimeout, func() error {
		if !log.Contains("does not let the provider hear when components are scaled") {
			return fmt.Errorf("the log says\n%s", log)
		}
		return nil
	})
	p.WaitHealthy()
	if strings.Contains(log.String(), "level=ERROR") {
		t.Errorf("the log has an error:\n%s", log)
	}
}
