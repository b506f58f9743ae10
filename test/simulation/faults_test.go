package simulation

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// answerable are the errors that a broker may give to each request that the engine makes, the retriable and the others.
var answerable = map[kmsg.Key][]*kerr.Error{
	kmsg.Fetch: {kerr.NotLeaderForPartition, kerr.FencedLeaderEpoch, kerr.UnknownLeaderEpoch,
		kerr.UnknownTopicOrPartition, kerr.KafkaStorageError, kerr.OffsetNotAvailable, kerr.CorruptMessage,
		kerr.UnknownServerError},
	kmsg.ListOffsets: {kerr.NotLeaderForPartition, kerr.LeaderNotAvailable, kerr.OffsetNotAvailable,
		kerr.UnknownLeaderEpoch},
	kmsg.Metadata:        {kerr.LeaderNotAvailable, kerr.UnknownTopicOrPartition},
	kmsg.FindCoordinator: {kerr.CoordinatorNotAvailable},
	kmsg.OffsetFetch:     {kerr.CoordinatorLoadInProgress, kerr.NotCoordinator, kerr.UnstableOffsetCommit},
	kmsg.OffsetCommit: {kerr.CoordinatorLoadInProgress, kerr.NotCoordinator, kerr.CoordinatorNotAvailable,
		kerr.RequestTimedOut, kerr.RebalanceInProgress, kerr.UnknownMemberID, kerr.IllegalGeneration},
	kmsg.JoinGroup: {kerr.CoordinatorLoadInProgress, kerr.NotCoordinator, kerr.UnknownMemberID},
	kmsg.SyncGroup: {kerr.RebalanceInProgress, kerr.NotCoordinator, kerr.UnknownMemberID},
	kmsg.Heartbeat: {kerr.RebalanceInProgress, kerr.NotCoordinator, kerr.UnknownMemberID,
		kerr.IllegalGeneration},
	kmsg.ConsumerGroupHeartbeat: {kerr.CoordinatorLoadInProgress, kerr.NotCoordinator, kerr.UnknownMemberID,
		kerr.FencedMemberEpoch},
	kmsg.LeaveGroup: {kerr.CoordinatorNotAvailable, kerr.NotCoordinator},
	kmsg.Produce: {kerr.NotLeaderForPartition, kerr.NotEnoughReplicas, kerr.NotEnoughReplicasAfterAppend,
		kerr.RequestTimedOut, kerr.UnknownTopicOrPartition, kerr.KafkaStorageError},
	kmsg.InitProducerID:     {kerr.CoordinatorLoadInProgress, kerr.NotCoordinator, kerr.ConcurrentTransactions},
	kmsg.AddPartitionsToTxn: {kerr.ConcurrentTransactions, kerr.CoordinatorLoadInProgress, kerr.NotCoordinator},
	kmsg.AddOffsetsToTxn:    {kerr.ConcurrentTransactions, kerr.CoordinatorLoadInProgress, kerr.NotCoordinator},
	kmsg.TxnOffsetCommit: {kerr.CoordinatorLoadInProgress, kerr.NotCoordinator, kerr.UnknownMemberID,
		kerr.IllegalGeneration, kerr.RequestTimedOut},
	kmsg.EndTxn:              {kerr.CoordinatorLoadInProgress, kerr.NotCoordinator, kerr.ConcurrentTransactions},
	kmsg.ShareGroupHeartbeat: {kerr.CoordinatorLoadInProgress, kerr.NotCoordinator, kerr.UnknownMemberID},
	kmsg.ShareFetch:          {kerr.NotLeaderForPartition, kerr.KafkaStorageError, kerr.ShareSessionNotFound},
	kmsg.ShareAcknowledge:    {kerr.NotLeaderForPartition, kerr.ShareSessionNotFound},
}

// misfortune is one kind of fault. It ends what it began within a time, or leaves that to the calm.
type misfortune struct {
	name string
	do   func(ctx context.Context, w *world, rng *rand.Rand)
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

var misfortunes = []misfortune{
	{"answers with an error", func(_ context.Context, w *world, rng *rand.Rand) {
		keys := make([]kmsg.Key, 0, len(answerable))
		for key := range kmsg.Key(200) {
			if answerable[key] != nil {
				keys = append(keys, key)
			}
		}
		key := keys[rng.IntN(len(keys))]
		err := answerable[key][rng.IntN(len(answerable[key]))]
		fault := kfake.Fault{Keys: []kmsg.Key{key}, Err: err, Count: 1 + rng.IntN(8)}
		if key == kmsg.Produce || key == kmsg.Metadata {
			// Those of the feeder are not ours to disturb.
			fault.Topic = []string{output, dead}[rng.IntN(2)]
		}
		switch key {
		case kmsg.Heartbeat, kmsg.ConsumerGroupHeartbeat, kmsg.JoinGroup, kmsg.SyncGroup, kmsg.ShareGroupHeartbeat,
			kmsg.EndTxn, kmsg.InitProducerID:
			fault.TopLevel = true
		}
		w.tell("the next %d of %s are answered with %s", fault.Count, key.Name(), err.Message)
		handle := w.kafka.Fault(fault)
		w.mu.Lock()
		defer w.mu.Unlock()
		w.faults = append(w.faults, handle)
	}},
	{"connections cut", func(_ context.Context, w *world, rng *rand.Rand) {
		if r, n := w.someNetwork(rng); n != nil {
			w.tell("the connections of %s are cut", r.name)
			n.cut(false)
		}
	}},
	{"network away", func(ctx context.Context, w *world, rng *rand.Rand) {
		if r, n := w.someNetwork(rng); n != nil {
			w.tell("%s is cut off", r.name)
			n.cut(true)
			sleep(ctx, time.Duration(rng.Int64N(int64(90*time.Second))))
			w.tell("%s is not cut off any more", r.name)
			n.mend()
		}
	}},
	{"slow answers", func(ctx context.Context, w *world, rng *rand.Rand) {
		if r, n := w.someNetwork(rng); n != nil {
			slow := time.Duration(rng.Int64N(int64(15 * time.Second)))
			w.tell("answers to %s take up to %s", r.name, slow)
			during(ctx, n, rng, time.Minute, func(n *network) { n.slow, n.lame = slow, 0.2 })
		}
	}},
	{"damaged batches", func(ctx context.Context, w *world, rng *rand.Rand) {
		if r, n := w.someNetwork(rng); n != nil {
			w.tell("fetched batches of %s are damaged", r.name)
			during(ctx, n, rng, 20*time.Second, func(n *network) { n.worm = 0.5 })
		}
	}},
	{"leaders move", func(_ context.Context, w *world, _ *rand.Rand) {
		w.tell("leaders move")
		w.kafka.ShufflePartitionLeaders()
	}},
	{"coordinators move", func(_ context.Context, w *world, _ *rand.Rand) {
		w.tell("coordinators move")
		w.kafka.RehashCoordinators()
	}},
	{"killed", func(ctx context.Context, w *world, rng *rand.Rand) {
		r := w.anyCopy(rng)
		if r.set() != nil {
			r.kill()
			sleep(ctx, time.Duration(rng.Int64N(int64(20*time.Second))))
			r.start()
		}
	}},
	{"restarted", func(ctx context.Context, w *world, rng *rand.Rand) {
		r := w.anyCopy(rng)
		r.stop([]time.Duration{250 * time.Millisecond, 5 * time.Second, 15 * time.Second}[rng.IntN(3)])
		sleep(ctx, time.Duration(rng.Int64N(int64(5*time.Second))))
		r.start()
	}},
	{"component away", func(ctx context.Context, w *world, rng *rand.Rand) {
		w.tell("the component is away")
		w.guest.setAway(true)
		sleep(ctx, time.Duration(rng.Int64N(int64(30*time.Second))))
		w.guest.setAway(false)
		w.tell("the component is back")
	}},
}

func (g *guest) setAway(away bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.away = away
}

// happen has an event of the plan come at its time.
func (w *world) happen(ctx context.Context, e event) {
	for _, m := range misfortunes {
		if m.name == e.what && sleep(ctx, e.at-time.Since(w.began)) {
			m.do(ctx, w, newRand(w.plan.seed, fmt.Sprint("event ", e.number)))
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
