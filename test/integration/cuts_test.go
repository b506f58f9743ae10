package integration

import (
	"context"
	"testing"
	"time"

	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

// flow has records go through the provider and calls interrupt at each of n steps on the way. Nothing may be lost, and
// each record's echo must be in Kafka.
func (r *rig) flow(j *journal, in, out string, records, steps int, interrupt func(step int)) {
	r.t.Helper()
	all := keyed(in, "v", records, 50)
	for step := range steps {
		r.kc.Produce(all[step*records/steps : (step+1)*records/steps]...)
		// Some of this step's records are done, others wait, others are in flight.
		j.waitDone(r.t, step*records/steps+records/steps/4)
		interrupt(step)
	}
	j.waitDone(r.t, records)
	r.kc.WaitDrained(r.group("echo"), in)
	r.t.Logf("%d of %d records were handled again", j.checkEach(r.t, valuesOf(all), false), records)
	echoed := make(map[string]bool)
	for _, v := range valuesOf(r.kc.Read(out, int(sum(r.kc.EndOffsets(out))))) {
		echoed[v] = true
	}
	if len(echoed) != records {
		r.t.Errorf("%d different records were echoed, want %d", len(echoed), records)
	}
}

// echoing is the echo component with the patience of a host for the calls that it makes: an answer that was lost with
// a connection never comes.
func echoing(ctx context.Context, c *testkit.Component, msg testkit.Call, _ int) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	return testkit.Echo(ctx, c, msg)
}

func TestCutConnectionsToKafkaLoseNothing(t *testing.T) {
	k := testkit.StartKafka(t, testkit.KafkaOptions{Proxied: true})
	r := newRig(t, k.Brokers()) // the test's own client goes past the proxy
	in, out := r.topic("in", 3), r.topic("in.reply", 1)
	j := newJournal()
	r.component(testkit.ComponentOptions{Handler: j.handler(echoing)})
	r.brokers = k.ProxiedBrokers()
	r.link("echo", r.config(in))
	p := r.start()
	p.WaitHealthy()
	cut := 0
	r.flow(j, in, out, 3000, 6, func(step int) {
		for _, proxy := range k.Proxies() {
			cut += proxy.Cut()
			if step%3 == 2 {
				// Away for as long as it takes the provider to notice.
				proxy.Down()
				p.WaitUnhealthy("link echo/default: ", proxy.Addr())
				proxy.Up()
			}
		}
	})
	t.Logf("%d connections were cut", cut)
	if cut == 0 {
		t.Error("no connection went through the proxy")
	}
	p.WaitHealthy()
	p.stop()
}

func TestNATSRestartsLoseNothing(t *testing.T) {
	r := newRig(t, kafka4(t).Brokers())
	in, out := r.topic("in", 3), r.topic("in.reply", 1)
	j := newJournal()
	r.component(testkit.ComponentOptions{Handler: j.handler(echoing)})
	r.link("echo", r.config(in, "handle_timeout", "10s"))
	p := r.start()
	p.WaitHealthy()
	r.flow(j, in, out, 3000, 5, func(int) { r.nats.Restart() })
	p.WaitHealthy()
	p.stop()
}
