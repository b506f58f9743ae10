package httpout

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/messaging-kafka/messaging-kafka/internal/base/redact"
	"github.com/messaging-kafka/messaging-kafka/internal/engine/route"
	"github.com/messaging-kafka/messaging-kafka/internal/observe/status"
	"github.com/messaging-kafka/messaging-kafka/internal/observe/telemetry"
	"github.com/messaging-kafka/messaging-kafka/internal/payload/wit"
	"github.com/messaging-kafka/messaging-kafka/internal/record"
	"github.com/messaging-kafka/messaging-kafka/internal/settings"
	"github.com/messaging-kafka/messaging-kafka/internal/settings/role"
)

// simulated is a run in virtual time: the engine between a fake Kafka and an application that has every fault of HTTP.
type simulated struct {
	t       *testing.T
	seed    uint64
	events  bool // deliver=http-cloudevents, else http-records
	stack   kfake.VirtualNetwork
	cluster *kfake.Cluster

	mu     sync.Mutex
	rng    *rand.Rand
	calm   bool
	faults map[string]int
	server *http.Server
	served chan struct{}
}

const simulatedApp = "127.0.0.1:8080"

// bridge is a copy of the bridge with one route. What reaches Kafka of it goes by connections that can be cut.
type bridge struct {
	*route.Set

	mu    sync.Mutex
	conns []net.Conn
	cut   bool
}

// TestNothingIsLostAndOutputsAreThereOnce though the application answers with errors, half answers, none, too late or
// something else, loses connections before and after its work, and is away at times, while copies of the bridge come,
// are killed and go.
func TestNothingIsLostAndOutputsAreThereOnce(t *testing.T) {
	happened := map[string]int{}
	for seed := range uint64(8) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &simulated{t: t, seed: seed, events: seed%2 == 1, rng: rand.New(rand.NewPCG(seed, 1)), faults: map[string]int{}}
				s.run()
				for name, n := range s.faults {
					happened[name] += n
				}
			})
		})
	}
	t.Logf("what happened: %v", happened)
	for _, name := range []string{
		"500", "503", "429", "aborted before", "aborted after", "half an answer", "no answer in time", "nonsense", "retry",
	} {
		if happened[name] == 0 {
			t.Errorf("%q never happened", name)
		}
	}
}

const simulatedRecords = 300

func (s *simulated) run() {
	cluster, err := kfake.NewCluster(kfake.Ports(9092), kfake.ListenFn(s.stack.Listen),
		kfake.SeedTopics(3, "in"), kfake.SeedTopics(2, "out"), kfake.GroupMinSessionTimeout(time.Second))
	if err != nil {
		s.t.Fatal(err)
	}
	defer cluster.Close()
	s.cluster = cluster
	s.appear()
	defer s.vanish()
	first, second := s.copy("A"), s.copy("B")
	feeder := s.client(kgo.DefaultProduceTopic("in"))
	defer feeder.Close()
	for i := range simulatedRecords {
		feeder.Produce(context.Background(), &kgo.Record{Key: fmt.Appendf(nil, "k%d", i%7), Value: fmt.Appendf(nil, "%d", i)}, nil)
		time.Sleep(100 * time.Millisecond)
		switch i {
		case 60, 200:
			s.vanish()
		case 90, 210:
			s.appear()
		case 50, 120, 180, 230:
			second.kill()
			s.end(second)
			second = s.copy(fmt.Sprint("B", i))
		}
	}
	if err := feeder.Flush(context.Background()); err != nil {
		s.t.Fatal(err)
	}
	s.mu.Lock()
	s.calm = true
	s.mu.Unlock()
	s.forgetMembers()
	s.drain()
	s.end(first)
	s.end(second)
	s.judge()
}

func (s *simulated) client(opts ...kgo.Opt) *kgo.Client {
	cl, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(s.cluster.ListenAddrs()...), kgo.Dialer(s.stack.DialContext)}, opts...)...)
	if err != nil {
		s.t.Fatal(err)
	}
	return cl
}

// copy starts a copy of the bridge with one route.
func (s *simulated) copy(name string) *bridge {
	b := &bridge{}
	config := map[string]string{
		"hosts": strings.Join(s.cluster.ListenAddrs(), ","), "topic": "in", "consumer_group": "g", "start": "earliest", "transactions": "true",
		"handle_timeout": "5s", "retry_backoff": "10ms", "retry_backoff_max": "1s", "session_timeout": "6s", "rebalance_timeout": "30s",
		"commit_interval": "5s", "drain_timeout": "1s", "batch_max_records": "20",
	}
	if s.events {
		config["batch_max_records"] = "1"
	}
	link, _, err := settings.ParseLink(settings.Input{
		Config: config, Batches: true, Records: true, Identity: settings.Identity{Component: "bridge", LinkName: "r", HostID: name},
	})
	if err != nil {
		s.t.Fatal(err)
	}
	set := route.NewSet(route.Options{
		Log: slog.New(slog.DiscardHandler), Metrics: telemetry.NewMetrics(), Secrets: new(redact.Redactor),
		Process: []string{name}, Connector: func(ctx context.Context, network, address string) (net.Conn, error) {
			return b.keep(s.stack.DialContext(ctx, network, address))
		},
	})
	b.Set = set
	r := set.Open(route.ID{Peer: "bridge", Name: "r"}, route.Label{Direction: status.Source})
	r.Apply(route.Wanted{Role: role.Process, Settings: link, Receiver: func(d route.Delivery) record.Receiver {
		o := Options{URL: "http://" + simulatedApp, Route: "r", Connections: 4, MaxAnswer: 1 << 20, Dial: s.stack.DialContext}
		if s.events {
			e, err := NewEvents(o, Binary, func(*record.Record) *string { out := "out"; return &out }, d.Trace)
			if err != nil {
				s.t.Error(err)
			}
			return e
		}
		records, err := NewRecords(o, Value, false, d.Trace)
		if err != nil {
			s.t.Error(err)
		}
		return records
	}})
	return b
}

// keep notes a connection to Kafka.
func (b *bridge) keep(conn net.Conn, err error) (net.Conn, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err == nil && b.cut {
		return nil, errors.Join(errors.New("the copy is dead"), conn.Close())
	}
	if err == nil {
		b.conns = append(b.conns, conn)
	}
	return conn, err
}

// kill cuts a copy off from Kafka at once: nothing of it is committed any more.
func (b *bridge) kill() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.cut = true
	for _, conn := range b.conns {
		_ = conn.Close()
	}
}

func (s *simulated) end(b *bridge) {
	within := 20 * time.Second
	if b.cut {
		within = time.Millisecond
	}
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	b.Stop(ctx)
	b.Close()
}

// appear starts the application, vanish ends it with its connections: nobody listens any more.
func (s *simulated) appear() {
	l, err := s.stack.Listen("tcp", simulatedApp)
	if err != nil {
		s.t.Fatal(err)
	}
	s.server, s.served = &http.Server{Handler: http.HandlerFunc(s.serve), ErrorLog: quiet()}, make(chan struct{})
	go func(server *http.Server, served chan struct{}) {
		defer close(served)
		if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			s.t.Errorf("serving: %v", err)
		}
	}(s.server, s.served)
}

func (s *simulated) vanish() {
	if s.server == nil {
		return
	}
	_ = s.server.Close()
	<-s.served
	s.server = nil
}

// draw says how the application deals with a request.
func (s *simulated) draw(of ...string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.calm {
		return ""
	}
	x := s.rng.IntN(100)
	if x >= 3*len(of) {
		return ""
	}
	s.faults[of[x/3]]++
	return of[x/3]
}

func (s *simulated) serve(w http.ResponseWriter, r *http.Request) {
	fault := s.draw("500", "503", "429", "aborted before", "aborted after", "half an answer", "no answer in time", "nonsense", "slow")
	if fault == "aborted before" {
		panic(http.ErrAbortHandler)
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the bridge gave the request up
	}
	header, answer := http.Header{}, body
	if s.events {
		header.Set("Content-Type", "text/plain")
		if s.draw("retry") != "" {
			fault = "500"
		}
	} else {
		header.Set("Content-Type", wit.RecordsType)
		answer = s.process(body)
	}
	switch fault {
	case "500", "503", "429":
		w.Header().Set("Retry-After", "1")
		w.WriteHeader(map[string]int{"500": 500, "503": 503, "429": 429}[fault])
		return
	case "aborted after":
		panic(http.ErrAbortHandler)
	case "no answer in time":
		<-r.Context().Done()
		return
	case "half an answer":
		conn, _, err := http.NewResponseController(w).Hijack()
		if err == nil {
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Type: "+wit.RecordsType+"\r\nContent-Length: 1000\r\n\r\n\x01")
			_ = conn.Close()
		}
		return
	case "nonsense":
		header.Set("Content-Type", "application/cloudevents+json")
		answer = []byte("hello")
	case "slow":
		time.Sleep(3 * time.Second)
	}
	for name := range header {
		w.Header().Set(name, header.Get(name))
	}
	_, _ = w.Write(answer) // a bridge that has gone does not read it
}

// process makes an output of each record, and has some delivered again.
func (s *simulated) process(body []byte) []byte {
	batch, err := wit.DecodeBatch(wit.NewBytesDecoder(body))
	if err != nil {
		s.t.Errorf("a request that is none: %v", err)
	}
	outcomes := make([]record.Outcome, len(batch))
	for i, r := range batch {
		if s.draw("retry") != "" {
			outcomes[i] = record.Outcome{Kind: record.Retry, Err: errors.New("later")}
			continue
		}
		outcomes[i] = record.Outcome{Kind: record.Done, Outputs: []record.Outgoing{
			{Topic: "out", Partition: record.AnyPartition, Key: r.Key, Value: r.Value},
		}}
	}
	return wit.AppendProcessed(nil, outcomes)
}

// forgetMembers has the group forget all its members, which join anew. The fake broker does not by itself forget those
// that were killed while it waited for them to join, and they would keep their partitions.
func (s *simulated) forgetMembers() {
	cl := s.client()
	defer cl.Close()
	req := kmsg.NewPtrLeaveGroupRequest()
	req.Group = "g"
	for _, m := range s.cluster.GroupInfo("g").Members {
		member := kmsg.NewLeaveGroupRequestMember()
		member.MemberID = m.MemberID
		req.Members = append(req.Members, member)
	}
	if _, err := req.RequestWith(context.Background(), cl); err != nil {
		s.t.Errorf("forgetting members: %v", err)
	}
}

// drain waits until all that is in the log is committed.
func (s *simulated) drain() {
	for deadline := time.Now().Add(5 * time.Minute); ; time.Sleep(time.Second) {
		left := int64(0)
		info := s.cluster.GroupInfo("g")
		for _, p := range s.cluster.PartitionInfos("in") {
			if info == nil || p.HighWatermark > 0 && info.Commits["in"][p.Partition].Offset < p.HighWatermark {
				left++
			}
		}
		if left == 0 {
			return
		}
		if time.Now().After(deadline) {
			s.t.Errorf("%d partitions are not drained; the group is %+v", left, info)
			return
		}
	}
}

// judge reads what is committed: each record's output once, those of one key in order.
func (s *simulated) judge() {
	cl := s.client(kgo.ConsumeTopics("out"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	defer cl.Close()
	seen, last, total := map[string]int{}, map[string]int{}, 0
	for {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		fetches := cl.PollFetches(ctx)
		cancel()
		if fetches.Empty() {
			break
		}
		fetches.EachRecord(func(r *kgo.Record) {
			var n int
			if _, err := fmt.Sscan(string(r.Value), &n); err != nil {
				s.t.Errorf("an output that nobody made: %q", r.Value)
			}
			if before, known := last[string(r.Key)]; known && n <= before {
				s.t.Errorf("of key %s %d comes after %d", r.Key, n, before)
			}
			last[string(r.Key)] = n
			seen[string(r.Value)]++
			total++
		})
	}
	if total != simulatedRecords || len(seen) != simulatedRecords {
		s.t.Errorf("%d outputs of %d different records, of %d", total, len(seen), simulatedRecords)
	}
}
