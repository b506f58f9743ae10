package integration

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

// TestOnEveryKafkaVersion holds the main job to its promises on each version of Kafka that is supported.
func TestOnEveryKafkaVersion(t *testing.T) {
	for _, version := range []string{testkit.Kafka4, testkit.Kafka3} {
		t.Run(version, func(t *testing.T) {
			var k *testkit.Kafka
			if version == testkit.Kafka4 {
				k = kafka4(t)
			} else {
				k = testkit.StartKafka(t, testkit.KafkaOptions{Version: version})
			}
			for _, test := range []struct {
				name string
				run  func(*testing.T, *testkit.Kafka)
			}{
				{"each record of a burst is echoed once", burst},
				{"batches of every compression are read, however large the fetch", compressed},
				{"the group that the link names is the one that commits", namedGroup},
				{"a restart of the broker in the middle loses nothing", brokerRestart},
				{"a provider that is killed with records in hand loses nothing", killed},
			} {
				t.Run(test.name, func(t *testing.T) { test.run(t, k) })
			}
		})
	}
}

func burst(t *testing.T, k *testkit.Kafka) {
	const records = 5000
	r := newRig(t, k.Brokers())
	in := r.topic("in", 3)
	out := r.topic("in.reply", 3)
	r.component(testkit.ComponentOptions{})
	r.link("echo", r.config(in))
	p := r.start()
	p.WaitHealthy()
	r.kc.Produce(keyed(in, "v", records, 100)...)
	echoed := r.kc.ReadUntil(out, patience, func(rs []*kgo.Record) bool { return len(rs) >= records })
	r.kc.WaitDrained(r.group("echo"), in)
	seen := make(map[string]bool, records)
	for _, v := range valuesOf(echoed) {
		seen[v] = true
	}
	// All work is done and committed: what the topic holds now is all there will ever be.
	if n := sum(r.kc.EndOffsets(out)); len(seen) != records || n != records {
		t.Errorf("%d different echoes in %d records, want %d of each", len(seen), n, records)
	}
	p.stop()
}

func compressed(t *testing.T, k *testkit.Kafka) {
	codecs := []struct {
		name  string
		codec kgo.CompressionCodec
	}{
		{"none", kgo.NoCompression()}, {"gzip", kgo.GzipCompression()}, {"snappy", kgo.SnappyCompression()},
		{"lz4", kgo.Lz4Compression()}, {"zstd", kgo.ZstdCompression()},
	}
	r := newRig(t, k.Brokers())
	in := r.topic("in", 1)
	j := newJournal()
	r.component(testkit.ComponentOptions{Handler: j.handler(nil)})
	r.link("echo", r.config(in, "reply_topic", "none"))
	// All is there before the provider is, so that it fetches as much as one fetch holds.
	random := rand.New(rand.NewPCG(1, 2))
	var want []string
	for _, c := range codecs {
		var records []*kgo.Record
		for i := range 40 {
			// Half of it random, so that every codec has something to do and nothing becomes small.
			value := fmt.Sprintf("%s %d ", c.name, i) + strings.Repeat("abcdefgh", 1000)
			for range 1000 {
				value += string("0123456789"[random.IntN(10)])
			}
			want = append(want, value)
			records = append(records, &kgo.Record{Topic: in, Value: []byte(value)})
		}
		testkit.NewClient(t, r.brokers, kgo.ProducerBatchCompression(c.codec)).Produce(records...)
	}
	p := r.start()
	j.waitDone(t, len(want))
	r.kc.WaitDrained(r.group("echo"), in)
	j.checkEach(t, want, true)
	p.stop()
}

func namedGroup(t *testing.T, k *testkit.Kafka) {
	r := newRig(t, k.Brokers())
	in := r.topic("in", 2)
	j := newJournal()
	r.component(testkit.ComponentOptions{Handler: j.handler(nil)})
	group := r.lattice + ".mailers"
	r.link("echo", r.config(in, "consumer_group", group))
	p := r.start()
	r.kc.WaitMembers(group, 1)
	r.kc.Produce(keyed(in, "v", 20, 20)...)
	j.waitDone(t, 20)
	r.kc.WaitDrained(group, in)
	if other := r.kc.Committed(r.group("echo"), in); len(other) != 0 {
		t.Errorf("the default group has committed %v", other)
	}
	p.stop()
	r.kc.WaitMembers(group, 0)
}

func brokerRestart(t *testing.T, k *testkit.Kafka) {
	const records = 3000
	r := newRig(t, k.Brokers())
	in := r.topic("in", 3)
	out := r.topic("in.reply", 1)
	j := newJournal()
	r.component(testkit.ComponentOptions{Handler: j.handler(
		func(ctx context.Context, c *testkit.Component, msg testkit.Call, _ int) error {
			return testkit.Echo(ctx, c, msg)
		})})
	r.link("echo", r.config(in))
	p := r.start()
	p.WaitHealthy()

	all := keyed(in, "v", records, 50)
	r.kc.Produce(all[:records/2]...)
	j.waitBegun(t, 100)
	k.Restart(t)
	r.kc.Produce(all[records/2:]...)
	j.waitDone(t, records)
	r.kc.WaitDrained(r.group("echo"), in)
	again := j.checkEach(t, valuesOf(all), false)
	t.Logf("%d records were handled again after the restart of the broker", again)

	// An echo counts when Kafka has it.
	echoed := make(map[string]bool)
	for _, v := range valuesOf(r.kc.Read(out, int(sum(r.kc.EndOffsets(out))))) {
		echoed[v] = true
	}
	if len(echoed) != records {
		t.Errorf("%d different records were echoed, want %d", len(echoed), records)
	}
	p.WaitHealthy()
	p.stop()
}

func killed(t *testing.T, k *testkit.Kafka) {
	const records, inFlight = 200, 16
	r := newRig(t, k.Brokers())
	in := r.topic("in", 4)
	j := newJournal()
	release := make(chan struct{})
	hold := make(chan struct{})
	r.component(testkit.ComponentOptions{Handler: j.handler(
		func(ctx context.Context, _ *testkit.Component, msg testkit.Call, _ int) error {
			select {
			case <-hold:
			default:
				return nil
			}
			select {
			case <-release:
			case <-ctx.Done():
			}
			return nil
		})})
	r.link("echo", r.config(in, "max_in_flight", fmt.Sprint(inFlight), "session_timeout", "6s"))
	p := r.startProcess()
	all := keyed(in, "v", records, records)
	r.kc.Produce(all[:records/2]...)
	j.waitDone(t, records/2)
	r.kc.WaitDrained(r.group("echo"), in)

	close(hold)
	r.kc.Produce(all[records/2:]...)
	j.waitRunning(t, inFlight)
	p.Kill()
	close(release)
	p.Restart()
	j.waitDone(t, records)
	r.kc.WaitDrained(r.group("echo"), in)
	again := j.checkEach(t, valuesOf(all), false)
	if again > inFlight {
		t.Errorf("%d records were handled again, but only %d were in flight", again, inFlight)
	}
	t.Logf("%d records were handled again after the kill", again)
	p.stop()
}
