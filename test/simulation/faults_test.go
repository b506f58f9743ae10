package simulation

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// misfortune is one kind of fault. It ends what it began within a time, or leaves that to the calm.
type misfortune struct {
	name string
	do   func(ctx context.Context, w *world, rng *rand.Rand)
	// fits tells of which plans it can be part; nil is all of them.
	fits func(*plan) bool
}

func (w *world) anyCopy(rng *rand.Rand) *replica { return w.copies[rng.IntN(len(w.copies))] }

// someNetwork is the network of a copy that lives; nil where none was drawn.
func (w *world) someNetwork(rng *rand.Rand) (*replica, *network) {
	r := w.anyCopy(rng)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.routes == nil {
		return r, nil
	}
	return r, r.net
}

// during has a network ill for a time.
func during(ctx context.Context, n *network, rng *rand.Rand, most time.Duration, ill func(*network)) {
	n.set(ill)
	sleep(ctx, time.Duration(rng.Int64N(int64(most))))
	n.mend()
}

// misled has a copy's requests to its group reach brokers that do not coordinate it, for a time: these say so, and the
// one that does hears nothing. Records are read meanwhile.
func misled(ctx context.Context, w *world, rng *rand.Rand) {
	if r, n := w.someNetwork(rng); n != nil {
		w.tell("what %s sends to its group reaches other brokers", r.name)
		err := []*kerr.Error{kerr.NotCoordinator, kerr.CoordinatorNotAvailable, kerr.CoordinatorLoadInProgress}[rng.IntN(3)]
		n.set(func(n *network) {
			n.misled = &code{err: err, top: true, refused: true}
			if rng.IntN(4) > 0 {
				n.slow, n.lame = between(rng, time.Second, 8*time.Second), 1 // as brokers in trouble are
			}
		})
		sleep(ctx, between(rng, time.Second, time.Minute))
		w.tell("what %s sends to its group arrives", r.name)
		n.mend()
	}
}

// toGroups are requests to the coordinator of a group, with errors of theirs or of partitions in them.
var toGroups = map[kmsg.Key]bool{
	kmsg.JoinGroup: true, kmsg.SyncGroup: true, kmsg.Heartbeat: true, kmsg.LeaveGroup: true, kmsg.ConsumerGroupHeartbeat: true,
	kmsg.OffsetCommit: false, kmsg.TxnOffsetCommit: false,
}

var misfortunes = []misfortune{
	{name: wrongRequests, do: func(_ context.Context, w *world, rng *rand.Rand) {
		for _, r := range w.plan.drawRules(rng) {
			w.tell("%s", r)
			w.layer.add(r)
		}
	}},
	{name: "connections cut", do: func(_ context.Context, w *world, rng *rand.Rand) {
		if r, n := w.someNetwork(rng); n != nil {
			w.tell("the connections of %s are cut", r.name)
			n.cut(false)
		}
	}},
	{name: "network away", do: func(ctx context.Context, w *world, rng *rand.Rand) {
		if r, n := w.someNetwork(rng); n != nil {
			w.tell("%s is cut off", r.name)
			n.cut(true)
			sleep(ctx, time.Duration(rng.Int64N(int64(90*time.Second))))
			w.tell("%s is not cut off any more", r.name)
			n.mend()
		}
	}},
	{name: "slow answers", do: func(ctx context.Context, w *world, rng *rand.Rand) {
		if r, n := w.someNetwork(rng); n != nil {
			slow := time.Duration(rng.Int64N(int64(15 * time.Second)))
			w.tell("answers to %s take up to %s", r.name, slow)
			during(ctx, n, rng, time.Minute, func(n *network) { n.slow, n.lame = slow, 0.2 })
		}
	}},
	{name: "misled", do: misled, fits: func(p *plan) bool { return p.protocol != "share" }},
	{name: "damaged batches", do: func(ctx context.Context, w *world, rng *rand.Rand) {
		if r, n := w.someNetwork(rng); n != nil {
			w.tell("fetched batches of %s are damaged", r.name)
			often := []float64{0.1, 0.5, 0.9}[rng.IntN(3)]
			during(ctx, n, rng, 40*time.Second, func(n *network) { n.worm = often })
		}
	}},
	{name: "leaders move", do: func(_ context.Context, w *world, _ *rand.Rand) {
		w.tell("leaders move")
		w.kafka.ShufflePartitionLeaders()
	}},
	{name: "coordinators move", do: func(_ context.Context, w *world, _ *rand.Rand) {
		w.tell("coordinators move")
		w.kafka.RehashCoordinators()
	}},
	{name: "killed", do: func(ctx context.Context, w *world, rng *rand.Rand) {
		r := w.anyCopy(rng)
		if r.set() != nil {
			r.kill()
			sleep(ctx, time.Duration(rng.Int64N(int64(20*time.Second))))
			r.start()
		}
	}},
	{name: "restarted", do: func(ctx context.Context, w *world, rng *rand.Rand) {
		r := w.anyCopy(rng)
		r.stop([]time.Duration{250 * time.Millisecond, 5 * time.Second, 15 * time.Second}[rng.IntN(3)])
		sleep(ctx, time.Duration(rng.Int64N(int64(5*time.Second))))
		r.start()
	}},
	{name: "component away", do: func(ctx context.Context, w *world, rng *rand.Rand) {
		w.tell("the component is away")
		w.guest.setAway(true)
		sleep(ctx, time.Duration(rng.Int64N(int64(30*time.Second))))
		w.guest.setAway(false)
		w.tell("the component is back")
	}},
	{name: "frozen", do: frozen},
	// Share groups of the fake broker do not follow the start of the log.
	{name: "log start moves", do: logStartMoves, fits: func(p *plan) bool { return p.protocol != "share" }},
	{name: "retention", do: retention, fits: func(p *plan) bool { return p.protocol != "share" }},
	{name: "unclean elections", do: uncleanElection, fits: func(p *plan) bool { return p.protocol != "share" }},
	{name: "ends at an election", do: endsAtElection, fits: func(p *plan) bool { return p.protocol != "share" }},
	{name: "compaction", do: compaction, fits: func(p *plan) bool { return p.protocol != "share" }},
	{name: "topic made anew", do: topicMadeAnew, fits: func(p *plan) bool { return !p.creates }}, // or a copy makes it
	{name: "topic made anew twice", do: topicMadeAnewTwice, fits: func(p *plan) bool { return !p.creates }},
	{name: "partitions added", do: partitionsAdded},
	{name: "transaction hangs", do: transactionHangs},
	{name: "producer fenced", do: producerFenced, fits: func(p *plan) bool { return p.exactly }},
	{name: "rights taken", do: rightsTaken, fits: func(p *plan) bool { return p.exactly }},
	{name: "members forgotten", do: membersForgotten},
	{name: "forgotten at a request", do: forgottenAtRequest, fits: func(p *plan) bool { return p.protocol != "share" }},
	{name: "forgotten as it joins", do: forgottenInJoin, fits: func(p *plan) bool { return p.protocol == "classic" }},
	{name: "handed over in a commit", do: handedOverInCommit, fits: func(p *plan) bool { return p.protocol != "share" }},
	{name: "stranger joins", do: strangerJoins},
	{name: "instance fenced", do: instanceFenced, fits: func(p *plan) bool {
		return p.config["group_instance_id"] != ""
	}},
	{name: "clock jumps", do: clockJumps},
	{name: "large batches", do: largeBatches},
}

func (g *guest) setAway(away bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.away = away
}

// wrongRequests is the name of the misfortune that has requests and answers go wrong.
const wrongRequests = "requests go wrong"

// drawRules draws what happens to the next requests of some kinds.
func (p *plan) drawRules(rng *rand.Rand) (rules []*rule) {
	for range 1 + rng.IntN(4) {
		rules = append(rules, p.drawRule(rng))
	}
	return rules
}

// drawRule draws what happens to the next requests of a kind.
func (p *plan) drawRule(rng *rand.Rand) *rule {
	keys := p.makes()
	if len(p.wrong) > 0 {
		keys = p.wrong
	}
	r := &rule{key: keys[rng.IntN(len(keys))], left: 1 + rng.IntN(8), rng: rng}
	if by := p.fewWays(r.key); len(by) > 0 {
		if r.way = by[rng.IntN(len(by))]; r.way != coded {
			return r
		}
	} else if all := ways(r.key); rng.IntN(2) == 0 {
		// Batches are in few kinds of answers, and much can be wrong with them.
		if ofBatches := len(all) - len(requestWays) - len(answerWays); ofBatches > 0 && rng.IntN(3) == 0 {
			all = all[len(all)-ofBatches:]
		}
		r.way = all[rng.IntN(len(all))]
		return r
	}
	all := p.answers(r.key)
	r.way, r.code = coded, all[rng.IntN(len(all))]
	r.done = r.code.done && (!r.code.refused || rng.IntN(2) == 0)
	return r
}

// fewWays are those by which a request goes wrong where a plan has a few of them.
func (p *plan) fewWays(key kmsg.Key) []way {
	all := append(ways(key), coded)
	return slices.DeleteFunc(slices.Clone(p.wrongBy), func(w way) bool { return !slices.Contains(all, w) })
}

// happen has an event of the plan come at its time.
func (w *world) happen(ctx context.Context, e event) {
	for _, m := range happenings() {
		if m.name == e.what && sleep(ctx, e.at-time.Since(w.began)) {
			covered.kind(m.name)
			w.disturb("")
			m.do(ctx, w, newRand(w.plan.seed, fmt.Sprint("event ", e.number)))
			w.disturb("")
		}
	}
}

// sleep reports false when ctx has ended.
func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}
