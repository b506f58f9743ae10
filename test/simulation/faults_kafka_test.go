package simulation

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"
)

// between draws a time.
func between(rng *rand.Rand, least, most time.Duration) time.Duration {
	return least + time.Duration(rng.Int64N(int64(most-least)+1))
}

// stray is a producer of records that has come by: those of an event have numbers of their own.
type stray struct {
	w    *world
	rng  *rand.Rand
	name string
	next int
}

func (w *world) stray(rng *rand.Rand) *stray {
	return &stray{w: w, rng: rng, name: fmt.Sprintf("s%x-", rng.Uint32())}
}

// record makes one.
func (s *stray) record() *kgo.Record {
	number := fmt.Appendf(nil, "%s%d", s.name, s.next)
	s.next++
	r := &kgo.Record{
		Topic: input, Value: number, Headers: []kgo.RecordHeader{{Key: numberHeader, Value: number}},
	}
	if k := s.rng.IntN(s.w.plan.keys + 1); k > 0 {
		r.Key = fmt.Appendf(nil, "k%d", k)
	}
	return r
}

// produce stores some. Where the topic goes meanwhile, so do they.
func (s *stray) produce(ctx context.Context, cl *kgo.Client, most int, change func(*kgo.Record)) {
	for range 1 + s.rng.IntN(most) {
		r := s.record()
		if change != nil {
			change(r)
		}
		cl.Produce(ctx, r, nil)
	}
	if err := cl.Flush(ctx); err != nil && ctx.Err() == nil {
		s.w.fail("world", "a stray producer: %v", err)
	}
}

// somePartition draws one of the input.
func (w *world) somePartition(rng *rand.Rand) int32 {
	infos := w.kafka.PartitionInfos(input)
	if len(infos) == 0 {
		return -1
	}
	return infos[rng.IntN(len(infos))].Partition
}

// logStartMoves deletes records from the start of a partition, whether they were read or not.
func logStartMoves(_ context.Context, w *world, rng *rand.Rand) {
	p := w.kafka.PartitionInfo(input, w.somePartition(rng))
	if p == nil {
		return
	}
	at := p.LogStartOffset + rng.Int64N(p.HighWatermark-p.LogStartOffset+1)
	w.tell("records of partition %d are deleted up to offset %d, of %d to %d", p.Partition, at, p.LogStartOffset,
		p.HighWatermark)
	w.gone.Store(true)
	if err := w.kafka.DeleteRecords(input, p.Partition, at); err != nil {
		w.tell("they are not: %v", err)
	}
}

// retention has the broker delete what is older than a few seconds.
func retention(ctx context.Context, w *world, rng *rand.Rand) {
	age := between(rng, time.Second, time.Minute)
	w.tell("retention deletes what is older than %s", age)
	w.gone.Store(true)
	w.alterInput(ctx, "retention.ms", fmt.Sprint(age.Milliseconds()), w.kafka.ApplyRetention)
}

// alterInput has a config of the input be another one while something is done.
func (w *world) alterInput(ctx context.Context, name, value string, do func()) {
	cl := w.client()
	defer cl.Close()
	adm := kadm.NewClient(cl)
	set := func(op kadm.IncrementalOp, value string) {
		change := []kadm.AlterConfig{{Op: op, Name: name, Value: &value}}
		if _, err := adm.AlterTopicConfigs(ctx, change, input); err != nil && ctx.Err() == nil {
			w.fail("world", "setting %s: %v", name, err)
		}
	}
	set(kadm.SetConfig, value)
	do()
	set(kadm.DeleteConfig, "")
}

// topicMadeAnew deletes the input and makes it anew.
func topicMadeAnew(ctx context.Context, w *world, rng *rand.Rand) {
	if w.remaking.LockContext(ctx) != nil {
		return
	}
	defer w.remaking.Unlock()
	most := 10
	if rng.IntN(2) == 0 { // offsets of the old topic are some of the new one, too
		for _, p := range w.kafka.PartitionInfos(input) {
			most += 2 * int(p.HighWatermark)
		}
	}
	var before map[int32]kfake.GroupCommit
	if info := w.kafka.GroupInfo(group); info != nil && w.plan.protocol != "share" && rng.IntN(3) > 0 {
		before = maps.Clone(info.Commits[input])
	}
	w.tell("the topic is deleted")
	w.gone.Store(true)
	if err := w.kafka.DeleteTopic(input); err != nil {
		w.fail("world", "deleting the topic: %v", err)
	}
	sleep(ctx, between(rng, 0, 20*time.Second))
	w.tell("the topic is made anew")
	if err := w.kafka.CreateTopic(input, w.plan.partitions, nil); err != nil {
		w.fail("world", "making the topic anew: %v", err)
	}
	cl := w.client()
	defer cl.Close()
	w.stray(rng).produce(context.Background(), cl, most, nil)
	if most > 10 && len(before) > 0 {
		w.keepOffsets(ctx, before)
	}
}

// topicMadeAnewTwice deletes the input and makes it anew, and does so again while the copies find out where the new one
// begins, which takes them some time.
func topicMadeAnewTwice(ctx context.Context, w *world, rng *rand.Rand) {
	if w.remaking.LockContext(ctx) != nil {
		return
	}
	defer w.remaking.Unlock()
	for _, key := range []kmsg.Key{kmsg.OffsetFetch, kmsg.ListOffsets} {
		r := &rule{key: key, way: answerLate, left: 1 + rng.IntN(6), rng: branch(rng), wait: between(rng, 500*time.Millisecond, 5*time.Second)}
		w.tell("%s, by %s", r, r.wait)
		w.layer.add(r)
	}
	w.tell("the topic is deleted and made anew at once, and once more soon after")
	w.gone.Store(true)
	cl := w.client()
	defer cl.Close()
	s := w.stray(rng)
	w.remake(0)
	s.produce(context.Background(), cl, 10, nil)
	sleep(ctx, between(rng, 0, 8*time.Second))
	w.remake(0)
	cl.PurgeTopicsFromProducing(input)
	s.produce(context.Background(), cl, 10, nil)
}

// keepOffsets has the coordinator of the group be another one, which knows none of its members, and which has not heard
// that the topic was deleted: it has the offsets of the one of before.
func (w *world) keepOffsets(ctx context.Context, before map[int32]kfake.GroupCommit) {
	w.tell("the group has another coordinator, with the offsets of the topic of before")
	w.evicted()
	w.forgetMembers()
	versions := kversion.Stable()
	versions.SetMaxKeyVersion(kmsg.OffsetCommit.Int16(), 9) // which names topics
	cl := w.client(kgo.MaxVersions(versions))
	defer cl.Close()
	req, t := kmsg.NewPtrOffsetCommitRequest(), kmsg.NewOffsetCommitRequestTopic()
	req.Group, t.Topic = group, input
	for _, id := range slices.Sorted(maps.Keys(before)) {
		p := kmsg.NewOffsetCommitRequestTopicPartition()
		p.Partition, p.Offset, p.LeaderEpoch, p.Metadata = id, before[id].Offset, before[id].LeaderEpoch, new(before[id].Metadata)
		t.Partitions = append(t.Partitions, p)
	}
	req.Topics = append(req.Topics, t)
	resp, err := req.RequestWith(ctx, cl)
	if err == nil {
		err = kerr.ErrorForCode(resp.Topics[0].Partitions[0].ErrorCode)
	}
	if err != nil && ctx.Err() == nil {
		w.tell("it has not: %v", err) // a member is back already
	}
}

// partitionsAdded gives the input another partition.
func partitionsAdded(ctx context.Context, w *world, rng *rand.Rand) {
	if w.remaking.LockContext(ctx) != nil {
		return
	}
	defer w.remaking.Unlock()
	cl := w.client()
	defer cl.Close()
	w.tell("a partition is added")
	if _, err := kadm.NewClient(cl).CreatePartitions(ctx, 1, input); err != nil && ctx.Err() == nil {
		w.fail("world", "adding a partition: %v", err)
	}
	w.stray(rng).produce(context.Background(), cl, 10, nil)
}

// transactionHangs has a transaction of another producer stay open in the input, and end or run out of time.
func transactionHangs(ctx context.Context, w *world, rng *rand.Rand) {
	s := w.stray(rng)
	limit := between(rng, 5*time.Second, time.Minute)
	cl := w.client(kgo.TransactionalID(s.name), kgo.TransactionTimeout(limit))
	defer cl.Close()
	if err := cl.BeginTransaction(); err != nil {
		w.fail("world", "beginning a transaction: %v", err)
		return
	}
	s.produce(ctx, cl, 10, nil)
	w.tell("a transaction of %s with %d records is open", s.name, s.next)
	sleep(ctx, between(rng, 0, 2*time.Minute))
	switch end := rng.IntN(3); end {
	case 0:
		w.tell("the transaction of %s is left to its time of %s", s.name, limit)
	default:
		w.tell("the transaction of %s ends, commit: %v", s.name, end == 1)
		if err := cl.EndTransaction(context.Background(), kgo.TransactionEndTry(end == 1)); err != nil {
			w.tell("it has ended already: %v", err)
		}
	}
}

// producerFenced has another producer begin with the transactional id of a copy.
func producerFenced(ctx context.Context, w *world, rng *rand.Rand) {
	ids := w.layer.transactional()
	if len(ids) == 0 {
		return
	}
	id := ids[rng.IntN(len(ids))]
	w.tell("another producer takes over %s", id)
	cl := w.client()
	defer cl.Close()
	req := kmsg.NewPtrInitProducerIDRequest()
	req.TransactionalID, req.TransactionTimeoutMillis = &id, 10_000
	req.ProducerID, req.ProducerEpoch = -1, -1
	resp, err := req.RequestWith(ctx, cl)
	if err == nil {
		err = kerr.ErrorForCode(resp.ErrorCode)
	}
	if err != nil && ctx.Err() == nil {
		w.tell("it does not: %v", err)
	}
}

// membersForgotten has the group forget some of its members, as a coordinator does that has lost them.
func membersForgotten(ctx context.Context, w *world, rng *rand.Rand) {
	info := w.kafka.GroupInfo(group)
	if info == nil {
		return
	}
	w.evicted()
	cl := w.client()
	defer cl.Close()
	for _, m := range info.Members {
		if rng.IntN(2) == 0 {
			continue
		}
		w.tell("the group forgets the member %s", m.MemberID)
		if err := w.leaveFor(ctx, cl, m.MemberID, m.InstanceID); err != nil && ctx.Err() == nil {
			w.tell("it does not: %v", err)
		}
	}
}

// forgottenAtRequest has the group forget a member just when a request of its arrives that names it: it hears of that
// as the answer. Its connections may be slow then, so that the others have its partitions before it is back.
func forgottenAtRequest(ctx context.Context, w *world, rng *rand.Rand) {
	keys := []kmsg.Key{kmsg.JoinGroup, kmsg.JoinGroup, kmsg.SyncGroup}
	if w.plan.protocol == "consumer" {
		keys = []kmsg.Key{kmsg.ConsumerGroupHeartbeat}
	}
	if keys = append(keys, kmsg.OffsetCommit); w.plan.exactly {
		keys = append(keys, kmsg.TxnOffsetCommit)
	}
	key := keys[rng.IntN(len(keys))]
	w.forgetAt(ctx, rng, key, key == kmsg.JoinGroup && rng.IntN(2) == 0, rng.IntN(3) > 0)
}

// forgottenInJoin has the group forget a member just when it joins again, as all do when another one has come, and the
// others have its partitions before it is back: it has a new name then, and records still of before.
func forgottenInJoin(ctx context.Context, w *world, rng *rand.Rand) {
	w.forgetAt(ctx, rng, kmsg.JoinGroup, true, true)
}

// forgetAt has the group forget a member at a request; with restless all are to join anew, with lags the answers to the
// member take their time from then on.
func (w *world) forgetAt(ctx context.Context, rng *rand.Rand, key kmsg.Key, restless, lags bool) {
	r, n := w.someNetwork(rng)
	if n == nil {
		return
	}
	slow := between(rng, 0, 10*time.Second)
	w.tell("the group is about to forget %s at the next %s of its", r.name, key.Name())
	n.set(func(n *network) {
		n.ambush = &ambush{key: key, spring: func(member string, instance *string) {
			w.tell("the group forgets the member %s, which sends %s", member, key.Name())
			w.evicted()
			cl := w.client()
			defer cl.Close()
			if err := w.leaveFor(context.Background(), cl, member, instance); err != nil {
				w.tell("it does not: %v", err)
			}
			if lags {
				n.set(func(n *network) { n.slow, n.lame = slow, 1 })
			}
		}}
	})
	if restless {
		w.restless() // or none joins for long
	}
	sleep(ctx, between(rng, 5*time.Second, 30*time.Second))
	n.mend()
}

// restless has the members of a classic group join again: another one has come and gone.
func (w *world) restless() {
	cl := w.client(kgo.ConsumerGroup(group), kgo.ConsumeTopics(other), kgo.Balancers(kgo.CooperativeStickyBalancer()), kgo.DisableAutoCommit())
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	cl.PollRecords(ctx, 1)
	_ = cl.LeaveGroupContext(ctx) // or its session ends
	cl.CloseAllowingRebalance()
}

// memberOf is the member that a request names; "" is none.
func memberOf(req kmsg.Request) (member string, instance *string) {
	switch req := req.(type) {
	case *kmsg.JoinGroupRequest:
		return req.MemberID, req.InstanceID
	case *kmsg.SyncGroupRequest:
		return req.MemberID, req.InstanceID
	case *kmsg.OffsetCommitRequest:
		return req.MemberID, req.InstanceID
	case *kmsg.TxnOffsetCommitRequest:
		return req.MemberID, req.InstanceID
	case *kmsg.ConsumerGroupHeartbeatRequest:
		return req.MemberID, req.InstanceID
	}
	return "", nil
}

// leaveFor leaves the group in the place of a member.
func (w *world) leaveFor(ctx context.Context, cl *kgo.Client, member string, instance *string) error {
	switch w.plan.protocol {
	case "consumer":
		req := kmsg.NewPtrConsumerGroupHeartbeatRequest()
		req.Group, req.MemberID, req.InstanceID, req.MemberEpoch = group, member, instance, -1
		resp, err := req.RequestWith(ctx, cl)
		if err != nil {
			return err
		}
		return kerr.ErrorForCode(resp.ErrorCode)
	case "share":
		req := kmsg.NewPtrShareGroupHeartbeatRequest()
		req.GroupID, req.MemberID, req.MemberEpoch = group, member, -1
		resp, err := req.RequestWith(ctx, cl)
		if err != nil {
			return err
		}
		return kerr.ErrorForCode(resp.ErrorCode)
	}
	req := kmsg.NewPtrLeaveGroupRequest()
	req.Group = group
	m := kmsg.NewLeaveGroupRequestMember()
	m.MemberID, m.InstanceID = member, instance
	req.Members = append(req.Members, m)
	resp, err := req.RequestWith(ctx, cl)
	if err != nil {
		return err
	}
	return kerr.ErrorForCode(resp.ErrorCode)
}

// strangerJoins has another program be a member of the group for a while. It handles nothing, and commits nothing.
func strangerJoins(ctx context.Context, w *world, rng *rand.Rand) {
	w.strange(ctx, rng, "")
}

// rights are those by which a transaction is made, and the requests that are refused where one is missing.
var rights = []struct {
	name     string
	err      *kerr.Error
	requests []kmsg.Key
}{
	{"to write into topics", kerr.TopicAuthorizationFailed, []kmsg.Key{kmsg.Produce, kmsg.AddPartitionsToTxn}},
	{"to write by transactional ids", kerr.TransactionalIDAuthorizationFailed, []kmsg.Key{
		kmsg.InitProducerID, kmsg.AddPartitionsToTxn, kmsg.Produce, kmsg.AddOffsetsToTxn, kmsg.TxnOffsetCommit, kmsg.EndTxn,
	}},
	{"to commit for the group", kerr.GroupAuthorizationFailed, []kmsg.Key{kmsg.AddOffsetsToTxn, kmsg.TxnOffsetCommit, kmsg.OffsetCommit}},
}

// rightsTaken takes a right away and gives it back. Not all brokers hear of either at once: half of the time some of
// the requests are refused alone.
func rightsTaken(ctx context.Context, w *world, rng *rand.Rand) {
	right, some := rights[rng.IntN(len(rights))], rng.IntN(2) == 0
	denied := make(map[kmsg.Key]code)
	for _, key := range right.requests {
		i := slices.IndexFunc(answerable[key], func(c code) bool { return c.err == right.err })
		if i >= 0 && (!some || rng.IntN(2) == 0) {
			denied[key] = answerable[key][i]
		}
	}
	w.tell("copies have the right %s no more, say those who are asked to %v", right.name, slices.Sorted(maps.Keys(denied)))
	w.layer.deny(denied)
	sleep(ctx, between(rng, 0, []time.Duration{time.Second, 5 * time.Second, 20 * time.Second}[rng.IntN(3)]))
	w.tell("copies have the right %s", right.name)
	w.layer.deny(nil)
}

// handedOverInCommit has partitions go to another member while a commit waits for its answer, which comes in time for
// that commit and late for the one that the handing over has to make.
func handedOverInCommit(ctx context.Context, w *world, rng *rand.Rand) {
	keys := []kmsg.Key{kmsg.OffsetCommit}
	if w.plan.exactly {
		keys = []kmsg.Key{kmsg.Produce, kmsg.AddOffsetsToTxn, kmsg.TxnOffsetCommit, kmsg.EndTxn}
	}
	r := &rule{
		key: keys[rng.IntN(len(keys))], way: []way{requestLate, answerLate}[rng.IntN(2)], left: 1 + rng.IntN(2), rng: branch(rng),
		wait: between(rng, 2*time.Second, 10*time.Second),
	}
	w.tell("%s, by %s", r, r.wait)
	w.layer.add(r)
	sleep(ctx, between(rng, 0, 2*time.Second))
	w.strange(ctx, rng, "")
}

// instanceFenced has another program be the static member that a copy is.
func instanceFenced(ctx context.Context, w *world, rng *rand.Rand) {
	info := w.kafka.GroupInfo(group)
	if info == nil {
		return
	}
	var ids []string
	for _, m := range info.Members {
		if m.InstanceID != nil {
			ids = append(ids, *m.InstanceID)
		}
	}
	if len(ids) > 0 {
		w.evicted()
		w.strange(ctx, rng, ids[rng.IntN(len(ids))])
	}
}

func (w *world) strange(ctx context.Context, rng *rand.Rand, instance string) {
	w.strangers.Add(1)
	defer w.strangers.Add(-1)
	n := newNetwork("stranger", &w.stack, new(layer), rng)
	n.layer.wrong = w.layer.wrong
	opts := []kgo.Opt{kgo.Dialer(n.dial), kgo.ConsumeTopics(input)}
	switch w.plan.protocol {
	case "share":
		opts = append(opts, kgo.ShareGroup(group))
	case "consumer":
		opts = append(opts, kgo.ServerSideBalancer())
		fallthrough
	default:
		opts = append(opts, kgo.ConsumerGroup(group), kgo.Balancers(kgo.CooperativeStickyBalancer()),
			kgo.DisableAutoCommit(),
			kgo.SessionTimeout(6*time.Second), kgo.RebalanceTimeout(10*time.Second))
		if instance != "" {
			opts = append(opts, kgo.InstanceID(instance))
		}
	}
	cl := w.client(opts...)
	w.tell("a stranger joins the group, as %q", instance)
	staying, cancel := context.WithTimeout(ctx, between(rng, time.Second, 30*time.Second))
	defer cancel()
	if w.plan.protocol == "share" {
		cl.PollRecords(staying, 10) // the next poll would take these for done
		<-staying.Done()
	} else {
		for staying.Err() == nil {
			cl.PollRecords(staying, 10)
		}
	}
	if rng.IntN(2) == 0 {
		w.tell("the stranger leaves")
	} else {
		w.tell("the stranger dies")
		n.cut(true)
	}
	closing, closed := context.WithTimeout(context.Background(), 10*time.Second)
	defer closed()
	_ = cl.LeaveGroupContext(closing) // it may be cut off
	n.cut(true)
	cl.CloseAllowingRebalance()
}

// frozen stops everything between a copy and Kafka, and lets it go on later.
func frozen(ctx context.Context, w *world, rng *rand.Rand) {
	if r, n := w.someNetwork(rng); n != nil {
		w.tell("nothing passes between %s and Kafka", r.name)
		n.freeze()
		sleep(ctx, between(rng, 0, 90*time.Second))
		w.tell("everything passes between %s and Kafka again", r.name)
		n.thaw()
	}
}

// clockJumps has a producer write records whose time is years ago or to come.
func clockJumps(ctx context.Context, w *world, rng *rand.Rand) {
	by := between(rng, time.Second, 10*365*24*time.Hour)
	if rng.IntN(2) == 0 {
		by = -by
	}
	w.tell("records come whose clock is off by %s", by)
	cl := w.client()
	defer cl.Close()
	w.stray(rng).produce(ctx, cl, 10, func(r *kgo.Record) { r.Timestamp = time.Now().Add(by) })
}

// largeBatches has a producer write batches that are larger than what a fetch asks for, compressed or not.
func largeBatches(ctx context.Context, w *world, rng *rand.Rand) {
	// Not zstd: what decompresses it has a finalizer, which ends what has begun in virtual time from outside of it.
	codecs := []kgo.CompressionCodec{kgo.NoCompression(), kgo.GzipCompression(), kgo.SnappyCompression(),
		kgo.Lz4Compression()}
	codec := codecs[rng.IntN(len(codecs))]
	w.tell("large records come")
	cl := w.client(kgo.ProducerBatchCompression(codec), kgo.ProducerLinger(10*time.Millisecond))
	defer cl.Close()
	size := 1 + rng.IntN(900<<10)
	w.stray(rng).produce(ctx, cl, 4, func(r *kgo.Record) { r.Value = []byte(strings.Repeat("x", size)) })
}

// transactional are the transactional ids that copies have begun with.
func (l *layer) transactional() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.ids)
}

// note keeps what later faults need to know of a request.
func (l *layer) note(a *asked, frame []byte) {
	if a.key != kmsg.InitProducerID {
		return
	}
	req, err := a.decodeRequest(frame)
	if err != nil {
		return
	}
	init, ok := req.(*kmsg.InitProducerIDRequest)
	if !ok || init.TransactionalID == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if !slices.Contains(l.ids, *init.TransactionalID) {
		l.ids = append(l.ids, *init.TransactionalID)
	}
}
