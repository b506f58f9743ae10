package page

import (
	"context"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/messaging-kafka/messaging-kafka/internal/observe/admin"
	"github.com/messaging-kafka/messaging-kafka/internal/observe/status"
)

// source is a provider's status that a test makes up.
type source struct{ p status.Provider }

// Status implements admin.Source.
func (s source) Status(context.Context) status.Provider {
	p := s.p
	p.Time = time.Now()
	return p
}

// serve serves a made-up status and returns the address of the page.
func serve(t *testing.T, p status.Provider) (url string, stop func()) {
	t.Helper()
	server, err := admin.Start(admin.Config{Address: "0", Source: source{p}, Gatherer: prometheus.NewRegistry()})
	if err != nil {
		t.Fatal(err)
	}
	stop = sync.OnceFunc(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		server.Close(ctx)
	})
	t.Cleanup(stop)
	return "http://" + server.Addr().(*net.TCPAddr).String() + "/", stop
}

func ptr[T any](v T) *T { return &v }

// busy is a provider with a link of every kind and state.
func busy() status.Provider {
	now := time.Now()
	p := status.Provider{
		Version: "1.2.3", ProviderKey: "shop-kafka", Lattice: "default",
		HostID:  "NBZKLC2W5QWGZBXYT5M4XGZ7Q4R6P3T5KQYVX2H4N6J8L0M2P4R6T8V0",
		Started: now.Add(-75 * time.Hour), Healthy: false, Message: "link mailer/default: topic orders does not exist",
	}
	orders := status.Link{
		Component: "shop-orders", Name: "default", Package: "messaging-kafka:records", Direction: status.Source,
		Interfaces: []string{"handler"},
		State:      status.Healthy, Since: now.Add(-74 * time.Hour), Group: "wasmcloud.default.shop-orders.default",
		Topics:   []string{"orders", "orders.retry"},
		InFlight: 12, Waiting: 340, BufferedBytes: 1 << 20,
		Rates:    status.Rates{In: 1234.5, HandleMean: ptr(.002), HandleP50: ptr(.0018), HandleP99: ptr(.0123)},
		Counters: status.Counters{RecordsIn: 1e7, DeadLetters: 3},
		RecentDeadLetters: []status.Event{{Time: now.Add(-30 * time.Minute),
			Text:  "the component refused it: order 17 has no customer",
			Topic: "orders", Partition: ptr(int32(3)), Offset: ptr(int64(81723))}},
		DeadLetterReasons: []status.Reason{
			{Text: "the component refused it: order 17 has no customer", Count: 2, First: now.Add(-2 * time.Hour),
				Last: now.Add(-30 * time.Minute), Topic: "orders", Partition: ptr(int32(3)), Offset: ptr(int64(81723))},
			{Text: "no answer came within handle_timeout (30s)", Count: 1, First: now.Add(-time.Hour), Last: now.Add(-time.Hour),
				Topic: "orders", Partition: ptr(int32(4)), Offset: ptr(int64(9))},
		},
		LastFailure: &status.Event{Time: now.Add(-30 * time.Minute), Text: "order 17 has no customer", Topic: "orders",
			Partition: ptr(int32(3)), Offset: ptr(int64(81723))},
	}
	for i := range int32(60) {
		orders.Partitions = append(orders.Partitions,
			status.Partition{Topic: "orders", Partition: i, Committed: 100000 + int64(i), End: 100000 + int64(i)*7,
				Lag: int64(i) * 6, LagSeconds: ptr(float64(i) / 10), CommitAgeSeconds: ptr(3.2), OldestUnfinishedSeconds: .25})
	}
	orders.Partitions[5].Held = "a record was rejected (on_reject=stop)"
	p.Links = []status.Link{
		{Component: "mailer", Name: "default", Package: "wasmcloud:messaging", Direction: status.Target, Interfaces: []string{"consumer"},
			State: status.Unhealthy, Reason: "topic orders does not exist: create it, or set create_topics",
			Problems: status.Problems{{Kind: status.ProblemTopic, Text: "topic orders does not exist: create it, or set create_topics"}},
			Since:    now.Add(-3 * time.Minute),
			Group:    "wasmcloud.default.mailer.default", Topics: []string{"orders"},
			RecentErrors: []status.Event{{Time: now.Add(-3 * time.Minute), Level: "ERROR",
				Text: "topic orders does not exist", Count: 12}}},
		orders,
		{Component: "web", Name: "default", Package: "wasmcloud:messaging", Direction: status.Target, Interfaces: []string{"consumer"},
			State: status.Starting, Reason: "connecting", Since: now.Add(-time.Second)},
	}
	return p
}

// hostile is a provider that has markup wherever anybody else may put a text.
func hostile() status.Provider {
	n := 0
	evil := func() string {
		n++
		return fmt.Sprintf(`<script>window.pwned=%d</script><img src=x onerror="window.pwned=%[1]d">"'&lt;%[1]d`, n)
	}
	event := func() status.Event {
		return status.Event{Time: time.Now(), Level: evil(), Text: evil(), Topic: evil(), Partition: ptr(int32(1)),
			Offset: ptr(int64(2))}
	}
	return status.Provider{
		Version: evil(), ProviderKey: evil(), Lattice: evil(), HostID: evil(), Started: time.Now(), Message: evil(),
		Causes: []status.Cause{{Problem: status.Problem{Kind: status.ProblemKind(evil()), Text: evil()},
			Links: []string{evil()}}},
		Silent: []string{evil()},
		Copies: []status.Copy{{Name: evil(), ProviderKey: evil(), Lattice: evil(), HostID: evil(), InstanceID: evil(),
			Version: evil()}},
		Links: []status.Link{{
			Component: evil(), Name: evil(), Package: evil(), Direction: evil(), Interfaces: []string{evil()},
			State: status.State(evil()), Reason: evil(),
			Group: evil(), Topics: []string{evil()}, SharedWith: evil(), Since: time.Now(),
			Partitions:  []status.Partition{{Topic: evil(), Lag: 1, Held: evil(), Copy: evil()}},
			Problems:    status.Problems{{Kind: status.ProblemKind(evil()), Text: evil()}},
			LastFailure: ptr(event()), Provider: evil(), Advice: evil(),
			DeadLetterReasons: []status.Reason{{Text: evil(), Topic: evil(), Count: 3}},
			RecentErrors:      []status.Event{event()}, RecentDeadLetters: []status.Event{event()},
		}},
	}
}

// many is a provider with long names and many links.
func many() status.Provider {
	p := busy()
	for i := range 30 {
		l := p.Links[1]
		l.Component = fmt.Sprintf("a-component-with-a-rather-long-name-of-its-own-number-%d", i)
		l.Topics = []string{strings.Repeat("very.long.topic.", 12)}
		l.Partitions = nil
		p.Links = append(p.Links, l)
	}
	return p
}
