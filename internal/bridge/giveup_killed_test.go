package bridge

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

// TestKilledCopiesLoseNoLetter: copies of a bridge are killed, as by kill -9, each time they have stored some letters,
// and while records go into the stream. Each message is in the stream once and gets its letter, with
// the right reason. One that was on its way may get a second one.
func TestKilledCopiesLoseNoLetter(t *testing.T) {
	t.Parallel()
	const orders, kills = 120, 6
	k, client, ns, shop := newShop(t, 2)
	shop.keepAdvisories()
	worked, err := shop.worker.Consume(func(m jetstream.Msg) {
		var err error
		switch body := string(m.Data()); {
		case strings.HasPrefix(body, "no use"):
			err = m.TermWithReason("nobody wants " + body)
		case strings.HasPrefix(body, "fails"):
			err = m.Nak()
		default:
			err = m.Ack()
		}
		if err != nil {
			t.Error(err)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(worked.Stop)
	var copies []*testkit.Process
	for i := range 2 {
		path := filepath.Join(t.TempDir(), "bridge.yaml")
		// A copy that comes back is the member that it was: the fake Kafka waits for members that were killed while they
		// waited for others, which a real one forgets.
		write(t, path, file(k.Brokers(), toShopStream(ns, fmt.Sprintf("group_instance_id: copy-%d", i))))
		copies = append(copies, testkit.StartProcess(t, "bridge", "--config", path))
	}
	values := make(map[string]int)
	given := 0
	for i := range orders {
		value := fmt.Sprintf("%s %03d", []string{"fine", "no use", "fails"}[i%3], i)
		values[value] = 0
		client.Produce(&kgo.Record{Topic: "orders", Key: fmt.Appendf(nil, "%d", i%7), Value: []byte(value)})
		if i%3 > 0 {
			given++
		}
		if i%(orders/kills) == orders/kills-1 {
			// One more letter is stored, and its advisory may not be finished.
			stored := func() int64 { return client.EndOffsets("orders.dead")[0] }
			seen := stored()
			testkit.Eventually(t, 2*testkit.DefaultTimeout, func() error {
				if n := stored(); n == seen && n < int64(given) {
					return fmt.Errorf("no further letter is stored than %d of %d", n, given)
				}
				return nil
			})
			victim := copies[i/(orders/kills)%len(copies)]
			victim.Kill()
			victim.Start()
		}
	}
	client.WaitDrained("bridge.orders", "orders")
	// A message whose copy was killed before it said that it has the letter comes to the other one after 45 seconds.
	got := client.ReadUntil("orders.dead", 3*time.Minute, func(list []*kgo.Record) bool {
		different := make(map[string]bool)
		for _, r := range list {
			different[string(r.Value)] = true
		}
		return len(different) >= given
	})
	shop.settled()
	for _, r := range got {
		value := string(r.Value)
		if n, known := values[value]; !known || strings.HasPrefix(value, "fine") {
			t.Errorf("there is a dead letter of %q", value)
		} else {
			values[value] = n + 1
		}
		want := "the consumer worker of the stream ORDERS: nobody wants " + value
		if strings.HasPrefix(value, "fails") {
			want = "the consumer worker of the stream ORDERS has given it up after 2 deliveries"
		}
		if reason := headersOf(r)["kafka_dlt-exception-message"]; reason != want {
			t.Errorf("the letter of %q has the reason %q", value, reason)
		}
	}
	twice := 0
	for value, n := range values {
		switch {
		case n == 0 && !strings.HasPrefix(value, "fine"):
			t.Errorf("%q has no letter", value)
		case n > 1:
			twice += n - 1
		}
	}
	if twice > kills {
		t.Errorf("%d letters more than once, by %d kills", twice, kills)
	}
	stream, err := shop.js.Stream(t.Context(), "ORDERS")
	if err != nil {
		t.Fatal(err)
	}
	if info := stream.CachedInfo(); info.State.Msgs != orders {
		t.Errorf("the stream has %d messages of %d records", info.State.Msgs, orders)
	}
	t.Logf("%d letters twice", twice)
}
