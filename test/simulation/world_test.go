package simulation

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/messaging-kafka/messaging-kafka/internal/base/turn"
	"github.com/messaging-kafka/messaging-kafka/internal/record"
	"github.com/messaging-kafka/messaging-kafka/test/simulation/replay"
)

const (
	group  = "g"
	input  = "in"
	output = "out"
	dead   = "dead"
)

// world is one simulated run.
type world struct {
	t     *testing.T
	plan  plan
	stack kfake.VirtualNetwork
	kafka *kfake.Cluster
	began time.Time
	guest *guest
	layer layer
	// gone tells that records of the input were deleted, remaking is held while the topic is another one.
	gone     atomic.Bool
	remaking turn.Turn

	events events

	mu       sync.Mutex
	failures []replay.Failure
	commits  []commit
	// evictions are when members were thrown out.
	evictions []time.Time
	copies    []*replica
	links     []*link
}

// commit is an offset that the group had at a moment.
type commit struct {
	partition int32
	offset    int64
	epoch     int32
	metadata  string
	at        time.Time
}

func newWorld(t *testing.T, p plan) *world {
	w := &world{t: t, plan: p, began: time.Now(), remaking: turn.New()}
	w.events.began = w.began
	w.layer.wrong = w.fail
	ports := make([]int, p.brokers)
	for i := range ports {
		ports[i] = 9092 + i
	}
	cluster, err := kfake.NewCluster(kfake.Ports(ports...), kfake.ListenFn(w.stack.Listen),
		kfake.SeedTopics(p.partitions, input), kfake.SeedTopics(3, output, dead),
		kfake.GroupMinSessionTimeout(time.Second),
		kfake.BrokerConfigs(map[string]string{
			"group.consumer.min.session.timeout.ms": "1000",
			// Copies that are killed again and again would use up what a broker delivers, which is no fault of theirs.
			"group.share.delivery.count.limit": "10000",
		}))
	if err != nil {
		t.Fatal(err)
	}
	w.kafka = cluster
	if p.protocol == "share" {
		cluster.SetGroupConfigs(group,
			map[string]string{"share.auto.offset.reset": "earliest", "share.isolation.level": "read_committed"})
	}
	w.links = p.links()
	w.guest = &guest{w: w, done: make(map[place]time.Time), tries: make(map[place]int)}
	for i := range p.copies {
		w.copies = append(w.copies, &replica{w: w, name: string(rune('A' + i))})
	}
	return w
}

func (w *world) client(opts ...kgo.Opt) *kgo.Client {
	cl, err := kgo.NewClient(append([]kgo.Opt{
		kgo.SeedBrokers(w.kafka.ListenAddrs()...), kgo.Dialer(w.stack.DialContext),
		kgo.MetadataMinAge(100 * time.Millisecond),
	}, opts...)...)
	if err != nil {
		w.t.Fatal(err)
	}
	return cl
}

// place is a record of the input: where it stands, and its number, since another one may stand there later, in a log
// that was cut off or a topic that was made anew.
type place struct {
	number    string
	partition int32
	offset    int64
}

func (p place) String() string { return fmt.Sprintf("%s at %d/%d", p.number, p.partition, p.offset) }

// numberHeader is the header of the input's records that has their number.
const numberHeader = "n"

func placeOf(r *record.Record) place {
	number, _ := r.Header(numberHeader)
	return place{string(number), r.Partition, r.Offset}
}

func storedAt(r *kgo.Record) place {
	at := place{partition: r.Partition, offset: r.Offset}
	for _, h := range r.Headers {
		if h.Key == numberHeader {
			at.number = string(h.Value)
		}
	}
	return at
}

// guest is the component: what it answers is drawn from the seed, the record and the number of the try.
type guest struct {
	w *world

	mu       sync.Mutex
	away     bool // nobody takes calls
	done     map[place]time.Time
	tries    map[place]int
	numbered int
	calls    []visit
}

// visit is one delivery of a record.
type visit struct {
	place
	copy       string
	call       int // records of one batch have the same
	began, end time.Time
	outcome    record.Kind
}

// answer is what the guest does with a record: how long it takes, and what it says.
func (g *guest) answer(r *record.Record, try int) (takes time.Duration, verdict record.Kind, hangs bool) {
	h := fnv.New64a()
	var b [24]byte
	binary.BigEndian.PutUint32(b[:], uint32(r.Partition))
	binary.BigEndian.PutUint64(b[4:], uint64(r.Offset))
	binary.BigEndian.PutUint64(b[12:], uint64(try))
	_, _ = h.Write(b[:])
	rng := rand.New(rand.NewPCG(g.w.plan.seed, h.Sum64()))
	switch x := rng.IntN(1000); {
	case x < 5:
		return 0, record.Retry, true
	case x < 20:
		return time.Duration(rng.Int64N(int64(4 * time.Second))), record.Done, false
	case x < 80:
		return time.Duration(rng.Int64N(int64(20 * time.Millisecond))), record.Retry, false
	case x < 90 && g.w.plan.config["dead_letter_topic"] != "":
		return 0, record.Reject, false
	default:
		return time.Duration(rng.Int64N(int64(5 * time.Millisecond))), record.Done, false
	}
}

// newCall is the number of the next call.
func (g *guest) newCall() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.numbered++
	return g.numbered
}

func (g *guest) deliver(ctx context.Context, name string, call int, r *record.Record) record.Outcome {
	at := placeOf(r)
	g.mu.Lock()
	if g.away {
		g.mu.Unlock()
		return record.Outcome{Kind: record.Unavailable, Err: errors.New("it is away")}
	}
	try := g.tries[at]
	g.tries[at]++
	index := len(g.calls)
	g.calls = append(g.calls, visit{place: at, copy: name, call: call, began: time.Now()})
	g.mu.Unlock()
	takes, kind, hangs := g.answer(r, try)
	o := record.Outcome{Kind: kind}
	var answered <-chan time.Time // never
	if !hangs {
		answered = time.After(takes)
	}
	select {
	case <-answered:
		if kind != record.Done {
			o.Err = fmt.Errorf("drawn: %s", kind)
		}
	case <-ctx.Done():
		o = record.Outcome{Kind: record.Unanswered, Err: ctx.Err()}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.calls[index].end, g.calls[index].outcome = time.Now(), o.Kind
	if _, already := g.done[at]; o.Kind == record.Done && !already {
		g.done[at] = time.Now()
	}
	g.w.events.add(replay.Call, fmt.Sprintf("%s: call %d with %v, try %d: %s after %s", name, call, at, try, o.Kind,
		time.Since(g.calls[index].began)))
	return o
}

// receiver hands records of one copy to the guest, which makes outputs of them where it is a processor.
type receiver struct {
	*guest
	copy string
}

func (r receiver) Receive(ctx context.Context, batch []*record.Record) []record.Outcome {
	outcomes := make([]record.Outcome, len(batch))
	call := r.newCall()
	for i, rec := range batch {
		o := r.deliver(ctx, r.copy, call, rec)
		if ctx.Err() != nil && len(batch) > 1 || i == 0 && o.Kind == record.Unavailable {
			return record.Each(len(batch), record.Outcome{Kind: o.Kind, Err: cmp.Or(o.Err, ctx.Err())})
		}
		if o.Kind == record.Done && r.w.plan.processor {
			o.Outputs = []record.Outgoing{{Topic: output, Partition: record.AnyPartition, Key: rec.Key,
				Value: []byte(placeOf(rec).String())}}
		}
		outcomes[i] = o
	}
	return outcomes
}
