package simulation

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kversion"

	"github.com/messaging-kafka/messaging-kafka/internal/base/turn"
	"github.com/messaging-kafka/messaging-kafka/internal/record"
	"github.com/messaging-kafka/messaging-kafka/test/simulation/replay"
)

const (
	group  = "g"
	input  = "in"
	output = "out"
	dead   = "dead"
	// other is another topic that a link reads. It has records when all is over.
	other = "other"
	// internal is a topic of Kafka's own, which no pattern matches. So is unmarked, of which brokers do not say so.
	internal = "__consumer_offsets"
	unmarked = "__remote_log_metadata"
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
	// issuer gives tokens; nil where copies come in without.
	issuer *issuer
	// strangers are other programs that are members of the group.
	strangers atomic.Int32
	// gone tells that records of the input were deleted, remaking is held while the topic is another one.
	gone atomic.Bool
	// quiet tells that all faults are over, calls are those in which the component publishes and asks.
	quiet    atomic.Bool
	calls    sync.WaitGroup
	remaking turn.Turn

	events events

	mu       sync.Mutex
	failures []replay.Failure
	commits  []commit
	// evictions are when members were thrown out, disturbances when what happened to which copy, "" being all of them, and
	// changes when the group had other members, or gave them other partitions.
	evictions    []time.Time
	disturbances map[string][]time.Time
	changes      []time.Time
	joins        map[string][]stretch // when which copy had asked to join, and had no answer
	// alive are when which copy has sent what its group took as a sign of life, and has said so, waits when it began to
	// wait for others.
	alive, waits map[string][]time.Time
	copies       []*replica
	links        []*link
	sent         []published
	// elected are the epochs in which the new leaders of unclean elections have written.
	elected map[int32]elected
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
	w := &world{t: t, plan: p, began: time.Now(), remaking: turn.New(), disturbances: make(map[string][]time.Time), joins: make(map[string][]stretch), elected: make(map[int32]elected),
		alive: make(map[string][]time.Time), waits: make(map[string][]time.Time)}
	w.events.began = w.began
	w.layer.wrong, w.layer.lost = w.fail, w.lose
	if p.tokens != nil {
		w.issuer = newIssuer(&p, w.fail)
		w.layer.tokens = w.issuer
	}
	ports := make([]int, p.brokers)
	for i := range ports {
		ports[i] = 9092 + i
	}
	versions := kversion.Stable()
	if p.old {
		versions = kversion.V3_9_0()
	}
	cluster, err := kfake.NewCluster(kfake.MaxVersions(versions), kfake.Ports(ports...), kfake.ListenFn(w.stack.Listen),
		kfake.SeedTopics(p.partitions, input), kfake.SeedTopics(3, p.made()...), kfake.SeedTopics(1, other),
		kfake.SeedTopics(2, sent, questions, replies),
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
	if err := cluster.CreateTopic(internal, 1, map[string]string{"kfake.is_internal": "true"}); err != nil {
		t.Fatal(err)
	}
	if err := cluster.CreateTopic(unmarked, 1, nil); err != nil {
		t.Fatal(err)
	}
	if p.protocol == "share" && !p.configures {
		cluster.SetGroupConfigs(group,
			map[string]string{"share.auto.offset.reset": "earliest", "share.isolation.level": "read_committed"})
	}
	w.links = p.links()
	w.guest = &guest{w: w, done: make(map[place]time.Time), tries: make(map[place]int), failures: make(map[place]int), content: make(map[place]uint64), aside: make(map[string]time.Time)}
	for i := range p.copies {
		w.copies = append(w.copies, &replica{w: w, name: string(rune('A' + i))})
	}
	return w
}

// made are the topics for what is produced that are there from the start.
func (p *plan) made() []string {
	if p.creates {
		return nil
	}
	return append([]string{output, dead}, p.retryTopics()...)
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

	mu    sync.Mutex
	away  bool // nobody takes calls
	plain bool // all goes well
	// plainSince is from when on all goes well.
	plainSince time.Time
	done       map[place]time.Time
	tries      map[place]int
	failures   map[place]int // tries that were answered, and not with ok
	content    map[place]uint64
	numbered   int
	calls      []visit
	aside      map[string]time.Time // records of the other topic that are not done yet, and when they were stored
}

// visit is one delivery of a record.
type visit struct {
	place
	copy       string
	life       int // of the copy
	call       int // records of one batch have the same
	began, end time.Time
	outcome    record.Kind
	// own tells that the record itself had it so: it failed, or nobody took its call.
	own bool
}

// answer is what the guest does with a record: how long it takes, and what it says.
type answer struct {
	takes time.Duration
	kind  record.Kind
	ends  ending
}

// ending is how a call ends otherwise than with an answer for each record.
type ending uint8

const (
	answers     ending = iota
	traps              // for all records of the call
	hangs              // until the call has had its time
	notAccepted        // nobody takes it in that time
	wrongCount         // there are more answers than records, or fewer
)

var endings = map[ending]string{answers: "answered", traps: "trapped", hangs: "hung", notAccepted: "not accepted", wrongCount: "wrong count"}

// poisonous records make the component trap so many times.
const poisonous = 3

// answer draws it. Some records are poison whatever else they are.
func (g *guest) answer(at place, try, failed int) answer {
	h := fnv.New64a()
	var b [24]byte
	binary.BigEndian.PutUint32(b[:], uint32(at.partition))
	binary.BigEndian.PutUint64(b[4:], uint64(at.offset))
	_, _ = h.Write(b[:])
	poison := rand.New(rand.NewPCG(g.w.plan.seed, h.Sum64())).IntN(g.w.plan.temper.poison) == 0
	if poison && failed < poisonous && g.w.plan.traps {
		return answer{kind: record.Unanswered, ends: traps}
	}
	binary.BigEndian.PutUint64(b[12:], uint64(try))
	_, _ = h.Write(b[:])
	rng := rand.New(rand.NewPCG(g.w.plan.seed, h.Sum64()))
	t := g.w.plan.temper
	slowest := t.slowest
	if g.w.quiet.Load() {
		slowest = min(slowest, time.Second) // what is left then may be much
	}
	x := rng.IntN(1000)
	within := func(n int) bool { x -= n; return x < 0 }
	switch {
	case within(t.hangs):
		return answer{kind: record.Unanswered, ends: hangs}
	case within(t.notAccepted):
		return answer{kind: record.Unavailable, ends: notAccepted}
	case within(t.wrongCount):
		return answer{kind: record.Unanswered, ends: wrongCount}
	case within(t.slow):
		return answer{takes: time.Duration(rng.Int64N(int64(slowest))), kind: record.Done}
	case within(t.retries):
		return answer{takes: time.Duration(rng.Int64N(int64(20 * time.Millisecond))), kind: record.Retry}
	case within(t.rejected) && g.w.plan.config["dead_letter_topic"] != "":
		return answer{kind: record.Reject}
	default:
		return answer{takes: time.Duration(rng.Int64N(int64(5 * time.Millisecond))), kind: record.Done}
	}
}

// newCall is the number of the next call.
func (g *guest) newCall() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.numbered++
	return g.numbered
}

// begin notes that a record of a call is taken up, and says what becomes of it. index is where its visit stands.
func (g *guest) begin(name string, life, call int, rec *record.Record) (a answer, index int, away bool) {
	at := placeOf(rec)
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.away {
		return answer{}, 0, true
	}
	g.content[at] = contentOf(rec.Key, rec.Value)
	try := g.tries[at]
	g.tries[at]++
	g.calls = append(g.calls, visit{place: at, copy: name, life: life, call: call, began: time.Now()})
	if g.plain {
		return answer{kind: record.Done}, len(g.calls) - 1, false
	}
	return g.answer(at, try, g.failures[at]), len(g.calls) - 1, false
}

// atWork is a call of a copy that is under way, "" being all of them; false is that none is.
func (g *guest) atWork(name string) (visit, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, v := range g.calls {
		if v.end.IsZero() && (name == "" || v.copy == name) {
			return v, true
		}
	}
	return visit{}, false
}

// called tells whether a copy was called since all goes well, or all does not.
func (g *guest) called(name string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return !g.plain || slices.ContainsFunc(g.calls, func(v visit) bool { return v.copy == name && !v.began.Before(g.plainSince) })
}

// over notes how a visit has ended.
func (g *guest) over(index int, kind record.Kind, own bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	v := &g.calls[index]
	v.end, v.outcome, v.own = time.Now(), kind, own
	if own && kind != record.Done && kind != record.Unavailable {
		g.failures[v.place]++
	}
	if _, already := g.done[v.place]; kind == record.Done && !already {
		g.done[v.place] = time.Now()
	}
	g.w.events.add(replay.Call, fmt.Sprintf("%s: call %d with %v: %s after %s", v.copy, v.call, v.place, kind, v.end.Sub(v.began)))
}

// judgeBatch is what the invariant order says of one call: a record of an earlier leader stands in it before those of a
// later one of its lane that have its place, or a place before it.
func (r receiver) judgeBatch(batch []*record.Record) {
	order := r.w.plan.config["order"]
	if order != "key" && order != "partition" {
		return
	}
	type lane struct {
		topic     string
		partition int32
		key       string
	}
	last := make(map[lane]*record.Record)
	for _, rec := range batch {
		l := lane{rec.Topic, rec.Partition, ""}
		if order == "key" {
			l.key = fmt.Sprintf("%q %v", rec.Key, rec.Key == nil)
		}
		// Behind a place that is no more all of the log may be read again.
		if before := last[l]; before != nil && rec.LeaderEpoch < before.LeaderEpoch && rec.Offset >= before.Offset {
			r.w.fail("order", "%s is called with %v (epoch %d) behind %v (epoch %d) of its lane", r.copy, placeOf(rec), rec.LeaderEpoch, placeOf(before), before.LeaderEpoch)
		}
		last[l] = rec
	}
}

// receiver hands records of one copy to the guest, which makes outputs of them where it is a processor.
type receiver struct {
	*guest
	copy string
	life int
}

func (r receiver) Receive(ctx context.Context, batch []*record.Record) []record.Outcome {
	call := r.newCall()
	r.judgeBatch(batch)
	outcomes := make([]record.Outcome, len(batch))
	own := make([]bool, len(batch))
	var visits []int
	// What ends the call as a whole says the same of each of its records, and of those behind it that were not taken up.
	whole := func(cause int, o record.Outcome, given ...record.Outcome) []record.Outcome {
		for i, index := range visits {
			r.over(index, o.Kind, i == cause)
		}
		if given != nil {
			return given
		}
		return record.Each(len(batch), o)
	}
	for i, rec := range batch {
		at := placeOf(rec)
		if rec.Topic == other {
			r.mu.Lock()
			delete(r.aside, string(rec.Value))
			r.mu.Unlock()
			outcomes[i].Kind = record.Done
			continue
		}
		if rec.Topic != input {
			r.w.fail("topics-named", "%s is called with a record of %s at %d/%d", r.copy, rec.Topic, rec.Partition, rec.Offset)
		}
		a, index, away := r.begin(r.copy, r.life, call, rec)
		if away {
			if i > 0 {
				return whole(-1, record.Outcome{Kind: record.Unanswered, Err: errors.New("it has gone")})
			}
			return record.Each(len(batch), record.Outcome{Kind: record.Unavailable, Err: errors.New("it is away")})
		}
		visits = append(visits, index)
		covered.kind(endings[a.ends])
		if a.ends == notAccepted && i > 0 {
			a = answer{kind: record.Done} // it was accepted with those before
		}
		var answered <-chan time.Time // never
		if a.ends != hangs && a.ends != notAccepted {
			answered = time.After(a.takes)
		}
		select {
		case <-answered:
		case <-ctx.Done():
			kind, cause := record.Unanswered, i
			if a.ends == notAccepted {
				kind = record.Unavailable
			}
			if errors.Is(ctx.Err(), context.Canceled) {
				cause = -1 // the call was given up
			}
			return whole(cause, record.Outcome{Kind: kind, Err: ctx.Err()})
		}
		o := record.Outcome{Kind: a.kind}
		if a.kind != record.Done {
			o.Err = fmt.Errorf("drawn: %s", a.kind)
		}
		switch {
		case a.ends == traps:
			return whole(i, record.Outcome{Kind: record.Unanswered, Err: errors.New("drawn: a trap")})
		case a.ends == wrongCount && len(batch)%2 == 0:
			return whole(i, record.Outcome{Kind: record.Unanswered}, record.Each(len(batch)+1, record.Outcome{Kind: record.Done})...)
		case a.ends == wrongCount:
			return whole(i, record.Outcome{Kind: record.Unanswered}, []record.Outcome{}...)
		case o.Kind == record.Done && r.w.plan.processor:
			o.Outputs = []record.Outgoing{{Topic: output, Partition: record.AnyPartition, Key: rec.Key, Value: []byte(at.String())}}
		}
		outcomes[i], own[i] = o, true
	}
	for i, index := range visits { // there is one of each record, or none: a batch is of one partition
		r.over(index, outcomes[i].Kind, own[i])
	}
	return outcomes
}
