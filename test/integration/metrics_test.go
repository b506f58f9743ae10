package integration

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

// kafkasLag is what Kafka itself says of a group's partitions of a topic.
func (r *rig) kafkasLag(group, topic string) map[int32]kadm.GroupMemberLag {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), testkit.DefaultTimeout)
	defer cancel()
	described, err := kadm.NewClient(r.kc.Client).Lag(ctx, group)
	if err != nil {
		r.t.Fatalf("asking for the lag of %s: %v", group, err)
	}
	lag := described[group]
	if err := lag.Error(); err != nil {
		r.t.Fatalf("asking for the lag of %s: %v", group, err)
	}
	return lag.Lag[topic]
}

// sizeOf is what the provider counts of records: keys, values and headers.
func sizeOf(records []*kgo.Record) int {
	n := 0
	for _, rec := range records {
		n += len(rec.Key) + len(rec.Value)
		for _, h := range rec.Headers {
			n += len(h.Key) + len(h.Value)
		}
	}
	return n
}

// agree waits until metrics have the values that Kafka has; got and want are asked for each time.
func agree(t *testing.T, what string, got, want func() float64) {
	t.Helper()
	testkit.Eventually(t, testkit.DefaultTimeout, func() error {
		if g, w := got(), want(); g != w {
			return fmt.Errorf("%s: the metric says %v, Kafka %v", what, g, w)
		}
		return nil
	})
	t.Logf("%s: %v", what, got())
}

func number(f float64) func() float64 { return func() float64 { return f } }

func TestMetricsSayWhatKafkaSays(t *testing.T) {
	r := newRig(t, kafka4(t).Brokers())
	in, out, dead := r.topic("in", 3), r.topic("in.reply", 2), r.topic("dead", 1)
	group := r.group("echo")
	release := make(chan struct{})
	r.component(testkit.ComponentOptions{Handler: func(ctx context.Context, c *testkit.Component, msg testkit.Call) error {
		switch body := string(msg.Body); {
		case strings.HasPrefix(body, "bad"):
			return errors.New("it does not do")
		case strings.HasPrefix(body, "slow"):
			select {
			case <-release:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return testkit.Echo(ctx, c, msg)
	}})
	r.link("echo", r.config(in, "dead_letter_topic", dead, "max_attempts", "3", "max_in_flight", "16"))
	p := r.start()
	p.WaitHealthy()
	metric := func(name string, parts ...string) func() float64 {
		return func() float64 {
			return p.metric("messaging_kafka_"+name, append(parts, `component="echo"`, `link="default"`)...)
		}
	}
	ends := func(topic string) func() float64 {
		return func() float64 { return float64(sum(r.kc.EndOffsets(topic))) }
	}
	each := func(check func(partition int32, label string)) {
		for partition := range int32(3) {
			check(partition, fmt.Sprintf(`partition="%d"`, partition))
		}
	}

	// Records that all get through, and some that do not.
	good := keyed(in, "v", 600, 40)
	bad := keyed(in, "bad", 7, 7)
	r.kc.Produce(good...)
	r.kc.Produce(bad...)
	r.kc.WaitDrained(group, in)
	agree(t, "records in", metric("fetched_records_total"), ends(in))
	agree(t, "bytes in", metric("fetched_bytes_total"), number(float64(sizeOf(good)+sizeOf(bad))))
	agree(t, "records out", metric("published_records_total"), ends(out))
	agree(t, "bytes out", metric("published_bytes_total"), number(float64(sizeOf(r.kc.Read(out, len(good))))))
	agree(t, "publishes", metric("publishes_total", `class="ok"`), ends(out))
	agree(t, "dead letters", metric("buried_records_total", `fate="dead_lettered"`), ends(dead))
	agree(t, "deliveries that were done", metric("deliveries_total", `outcome="done"`), number(float64(len(good))))
	agree(t, "deliveries that failed", metric("deliveries_total", `outcome="retry"`), number(float64(3*len(bad))))
	agree(t, "deliveries that were repeated", metric("redeliveries_total"), number(float64(2*len(bad))))
	agree(t, "calls that were timed", metric("delivery_seconds_count"), number(float64(len(good)+3*len(bad))))
	each(func(partition int32, label string) {
		agree(t, "committed "+label, metric("committed_offset", label),
			func() float64 { return float64(r.kc.Committed(group, in)[partition]) })
		agree(t, "lag "+label, metric("lag_records", label),
			func() float64 { return float64(r.kafkasLag(group, in)[partition].Lag) })
		agree(t, "lag in seconds "+label, metric("lag_seconds", label), number(0))
	})
	for _, name := range []string{"in_flight_records", "waiting_records", "buffered_bytes", "oldest_unfinished_seconds",
		"commit_age_seconds", "held_partitions"} {
		agree(t, name, metric(name), number(0))
	}
	agree(t, "partitions", metric("assigned_partitions"), number(3))
	agree(t, "health", metric("link_healthy"), number(1))

	// Records that are stuck with the component.
	slow := keyed(in, "slow", 60, 60)
	written := time.Now()
	r.kc.Produce(slow...)
	agree(t, "records with the component", metric("in_flight_records"), number(16))
	agree(t, "records that wait", metric("waiting_records"), number(float64(len(slow)-16)))
	// In memory a record costs more than the bytes that it holds; a KiB more is far above that of such small ones.
	if held, least := metric("buffered_bytes")(), float64(sizeOf(slow)); held < least ||
		held > least+float64(len(slow))*1024 {
		t.Errorf("%v bytes are held, of records with %v", held, least)
	}
	each(func(partition int32, label string) {
		agree(t, "lag "+label, metric("lag_records", label),
			func() float64 { return float64(r.kafkasLag(group, in)[partition].Lag) })
		agree(t, "committed "+label, metric("committed_offset", label),
			func() float64 { return float64(r.kc.Committed(group, in)[partition]) })
	})
	if total := metric("lag_records")(); total != float64(len(slow)) {
		t.Errorf("the lag is %v, want %d", total, len(slow))
	}
	for _, name := range []string{"lag_seconds", "oldest_unfinished_seconds"} {
		// lag_seconds is summed over three partitions.
		if age := metric(name)(); age <= 0 || age > 3*time.Since(written).Seconds()+1 {
			t.Errorf("%s is %v, %s after the records were written", name, age, time.Since(written))
		}
	}
	close(release)
	r.kc.WaitDrained(group, in)
	agree(t, "records out at the end", metric("published_records_total"), ends(out))
	agree(t, "lag at the end", metric("lag_records"), number(0))

	own := func(name string, parts ...string) func() float64 {
		return func() float64 { return p.metric("messaging_kafka_"+name, parts...) }
	}
	agree(t, "calls of the component over the lattice", own("wrpc_calls_total"), ends(out))
	agree(t, "connected to the lattice", own("nats_connected"), number(1))
	r.nats.Restart()
	agree(t, "reconnects", own("nats_reconnects_total"), number(1))
	p.WaitHealthy()
	for _, client := range []string{"consumer", "producer"} {
		of := fmt.Sprintf("client=%q", client)
		if own("client_connects_total", of, `result="ok"`)() == 0 || own("client_read_bytes_total", of)() == 0 ||
			own("client_request_seconds_count", of)() == 0 {
			t.Errorf("nothing is counted of the %s's Kafka client", client)
		}
	}
	for line := range strings.Lines(p.output()) {
		ofLink := strings.Contains(line, " topic=") || strings.Contains(line, " partition") ||
			strings.Contains(line, " group=")
		if ofLink && (!strings.Contains(line, " link=default") || !strings.Contains(line, " component=echo")) {
			t.Errorf("a line does not say which link it is about: %s", line)
		}
	}

	// What is gone has no metrics.
	r.host.DeleteLink(testkit.TargetLink("echo", "kafka", nil))
	testkit.Eventually(t, testkit.DefaultTimeout, func() error {
		if text := p.scrape(); strings.Contains(text, `component="echo"`) {
			_, rest, _ := strings.Cut(text, `component="echo"`)
			return fmt.Errorf("there are metrics of a link that is gone: …%s", rest[:min(len(rest), 200)])
		}
		return nil
	})
	p.stop()
}

// A partition that is not fetched has its lag as well: Kafka is asked.
func TestTheLagOfAPartitionThatStandsStillGrows(t *testing.T) {
	r := newRig(t, kafka4(t).Brokers())
	in := r.topic("in", 1)
	r.component(testkit.ComponentOptions{Handler: func(context.Context, *testkit.Component, testkit.Call) error {
		return errors.New("reject: never")
	}})
	r.link("echo", r.config(in, "on_reject", "stop"))
	p := r.start()
	p.WaitHealthy()
	r.kc.ProduceText(in, "held")
	p.WaitUnhealthy("link echo/default: ", "stands still")
	lag := func() float64 { return p.metric("messaging_kafka_lag_records", `component="echo"`) }
	r.kc.ProduceText(in, "one more", "and another", "and one that no fetch under way brings")
	agree(t, "lag", lag, func() float64 { return float64(r.kafkasLag(r.group("echo"), in)[0].Lag) })
	if held := p.metric("messaging_kafka_held_partitions", `component="echo"`); held != 1 {
		t.Errorf("%v partitions are held", held)
	}
	if healthy := p.metric("messaging_kafka_link_healthy", `component="echo"`); healthy != 0 {
		t.Error("the link is healthy")
	}
	p.stop()
}
