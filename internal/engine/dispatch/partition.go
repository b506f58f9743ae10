package dispatch

import (
	"cmp"
	"context"
	"math"
	"slices"
	"time"
	"unsafe"

	"github.com/messaging-kafka/messaging-kafka/internal/base/deadline"
	"github.com/messaging-kafka/messaging-kafka/internal/record"
	"github.com/messaging-kafka/messaging-kafka/internal/settings"
)

// Partition is one assignment of one partition: from the moment the group hands it over until it is revoked or
// lost. Its methods may be called by many goroutines at once, but Add by one.
type Partition struct {
	d      *Dispatcher
	topic  string
	id     int32
	ctx    context.Context // ends when running calls are given up
	giveUp context.CancelFunc
	// deadlines are handle_timeout, for calls: they end up to a hundredth later.
	deadlines *deadline.Shared

	// All below is protected by d.mu.
	lanes      map[string]*lane
	keyless    *lane // with order=key, of the records without a key
	backingOff map[*lane]struct{}
	// ready are the lanes whose records may be called now, readyItems the records in them, readySince when the first
	// of these became ready. place is where in d.turns the partition stands, from 1; 0 is nowhere.
	ready      readyLanes
	readyItems int
	readySince time.Time
	place      int
	spareItems []item
	spareLanes []soloLane
	// parked are the items whose time has not come, due is when that of the first of them does.
	parked queue[*item]
	due    *time.Timer
	// items holds every record from the lowest unfinished one on, in the order of their offsets.
	items queue[*item]
	next  int64 // the lowest offset that Add still takes
	// doneAhead counts the finished records among items. known is what an earlier owner has finished of what is still to
	// come; lastAhead is what ahead found last, once freed.
	doneAhead     int
	known         []Range
	lastAhead     []Range
	freed         bool
	unfinished    int
	buffered      int64
	callsInFlight int
	// committable is the position up to which all is finished; its Ahead is left out.
	committable Position
	// uncommitted is what is finished and not committed yet, lastStamp the time of the last record of it.
	uncommitted uncommitted
	lastStamp   int64
	// kept are the finished records below committable that a transaction needs or may give back, until they are taken;
	// keptBytes is their size. unsettled counts those of all finished records that were not committed yet and have
	// outputs, or were given up.
	kept      []kept
	keptBytes int64
	unsettled int
	refusal   refusal
	held      error
	// givenUp are the offsets of the records whose calls were given up because the partition went.
	givenUp []int64
	closing bool
	lost    bool
	drained chan struct{} // closed when closing and callsInFlight is 0
}

// item is one record on its way, or an offset that needs no delivery.
type item struct {
	rec *record.Record // nil once finished, unless it may be called again for the sake of a transaction
	// nextOffset is the offset to commit when this item and all before it are finished.
	nextOffset  int64
	lane        *lane
	turn        uint64            // see turns
	place       uint64            // among what was added: the order in lanes, which that of offsets is not once a log was set back
	size        int64             // of the record's bytes
	cost        int64             // what it takes in memory until it is finished, the item itself apart
	attempts    int               // failed deliveries by this link, those that found no component apart
	earlier     int               // deliveries before the record came to this link
	outputs     []record.Outgoing // of a finished record, where they are left to the committer
	afterCommit func()            // see step
	added       time.Time         // or when its time comes
	stamp       int64             // the record's timestamp, or when its time comes, in milliseconds; 0 where it has none
	// Small ones stand together: there are as many items as records in flight.
	epoch      int32
	wasted     int32 // times that it was handled for nothing, since one before it in its lane failed
	unproduced int32 // times in a row that its outputs could not be produced
	alone      bool  // to be called in no batch
	done       bool
	aside      aside // outputs is it as it is put aside
}

type laneState uint8

const (
	laneIdle laneState = iota
	laneReady
	laneCalling
	laneBackingOff
)

// lane is a queue of records that wait for each other. The first of them may be with the component, in one call.
type lane struct {
	partition *Partition
	key       string
	keyed     bool // stands in partition.lanes
	state     laneState
	stop      Decision // what the call that has the lane stopped at in it; the call's alone
	waiting   queue[*item]
	timer     *time.Timer
}

func (l *lane) head() *item { return l.waiting.peek() }

// Open starts the assignment of a partition. from is the offset of the first record to deliver; records below are
// ignored.
func (d *Dispatcher) Open(topic string, id int32, from int64) *Partition {
	ctx, cancel := context.WithCancel(context.Background())
	timeout := d.cfg.Delivery.HandleTimeout
	p := &Partition{
		d: d, topic: topic, id: id, ctx: ctx, giveUp: cancel,
		deadlines:   deadline.New(ctx, timeout, timeout+timeout/100, nil),
		lanes:       make(map[string]*lane),
		backingOff:  make(map[*lane]struct{}),
		next:        from,
		committable: Position{Offset: -1, Epoch: -1},
		drained:     make(chan struct{}),
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.partitions[p] = struct{}{}
	return p
}

// Add queues records in the order of their offsets. Records below what has been added before are ignored: Kafka's
// client may read a batch again after a reconnect. Add does not block; the caller bounds what it adds by
// [Partition.Load] and [Dispatcher.Buffered]. history gives what a record has behind it.
func (p *Partition) Add(records []*record.Record, history func(*record.Record) History) {
	now := time.Now()
	d := p.d
	d.mu.Lock()
	defer d.mu.Unlock()
	if p.closing {
		return
	}
	for _, r := range records {
		if r.Offset < p.next {
			continue
		}
		if p.isKnown(r.Offset, r.LeaderEpoch) {
			p.pass(r.Offset, r.LeaderEpoch)
			continue
		}
		it, was := p.newItem(), history(r)
		*it = item{rec: r, nextOffset: r.Offset + 1, epoch: r.LeaderEpoch, size: int64(r.Size()), cost: r.Cost() + laneCost, earlier: was.Earlier, attempts: was.Attempts, added: now, turn: d.nextTurn(), stamp: stampOf(r)}
		it.place = it.turn
		p.next = it.nextOffset
		p.items.push(it)
		p.unfinished++
		p.hold(it.cost + itemCost)
		if !was.Due.IsZero() {
			p.park(it, &was, now)
			continue
		}
		p.enqueue(it)
	}
	p.unpark(now)
	d.schedule()
}

// enqueue has an item wait in its lane. d.mu is held.
func (p *Partition) enqueue(it *item) {
	l := p.laneOf(it.rec)
	it.lane = l
	l.waiting.push(it)
	switch l.state {
	case laneIdle:
		p.makeReady(l)
	case laneReady:
		p.readyItems++
	case laneCalling, laneBackingOff: // it is its turn later
	}
}

// Skip passes over an offset that holds nothing to deliver, such as a transaction marker, so that the committed
// offset can move beyond it.
func (p *Partition) Skip(offset int64, epoch int32) {
	p.d.mu.Lock()
	defer p.d.mu.Unlock()
	if p.closing || offset < p.next {
		return
	}
	p.pass(offset, epoch)
}

// pass notes an offset that needs no delivery. d.mu is held.
func (p *Partition) pass(offset int64, epoch int32) {
	p.next = offset + 1
	p.pushDone(offset+1, epoch)
}

// pushDone notes that nothing up to an offset is to be delivered of what is not there yet. d.mu is held.
func (p *Partition) pushDone(nextOffset int64, epoch int32) {
	p.items.push(&item{nextOffset: nextOffset, epoch: epoch, done: true})
	p.doneAhead++
	p.hold(itemCost)
	p.advance()
}

// soloLane is the lane of a record that waits for no other, with its room for that one.
type soloLane struct {
	lane
	room [1]*item
}

// The memory that a record takes in a partition besides itself. The item stays until all before it are finished, too;
// it stands in two rings, which may be half empty.
const (
	itemCost = int64(unsafe.Sizeof(item{})) + 2*2*8
	// laneCost is that of a lane for the record alone, which is about that of its part in the lane of its key.
	laneCost = int64(unsafe.Sizeof(soloLane{}))
)

// slab is how many items, or lanes, are allocated at once. One that is in use holds on to so many, which all are as
// good as empty once they are done.
const slab = 32

func (p *Partition) newItem() *item {
	if len(p.spareItems) == 0 {
		p.spareItems = make([]item, slab)
	}
	it := &p.spareItems[0]
	p.spareItems = p.spareItems[1:]
	return it
}

func (p *Partition) newSoloLane() *lane {
	if len(p.spareLanes) == 0 {
		p.spareLanes = make([]soloLane, slab)
	}
	s := &p.spareLanes[0]
	p.spareLanes = p.spareLanes[1:]
	s.partition = p
	s.waiting.ring = s.room[:]
	return &s.lane
}

func (p *Partition) laneOf(r *record.Record) *lane {
	var key string
	switch p.d.cfg.Delivery.Order {
	case settings.OrderNone:
		return p.newSoloLane()
	case settings.OrderPartition:
	default:
		if r.Key == nil {
			p.d.keyless = true
			// No key is one key, which is not the empty one: Kafka keeps these records in order, too.
			if p.keyless == nil {
				p.keyless = &lane{partition: p}
			}
			return p.keyless
		}
		p.d.keyed = true
		key = string(r.Key)
	}
	l := p.lanes[key]
	if l == nil {
		l = &lane{partition: p, key: key, keyed: true}
		p.lanes[key] = l
	}
	return l
}

// nextTurn gives out a turn behind all that wait. d.mu is held.
func (d *Dispatcher) nextTurn() uint64 {
	d.turn++
	return d.turn
}

func (p *Partition) makeReady(l *lane) {
	if p.refusal.withholds(l) {
		l.state = laneIdle
		return
	}
	l.state = laneReady
	if p.readyItems == 0 {
		p.readySince = time.Now()
	}
	p.ready.push(l)
	p.readyItems += l.waiting.len()
	if p.place == 0 {
		p.d.turns.push(p)
	} else {
		p.d.turns.fix(p)
	}
}

// gather takes what one call may carry from the ready lanes. d.mu is held.
func (p *Partition) gather() *call {
	c := &call{p: p}
	c.items, c.lanes = c.one.item[:0], c.one.lane[:0]
	most, mostBytes := 1, int64(0)
	if p.d.cfg.Batches {
		most, mostBytes = p.d.cfg.Delivery.Batch.MaxRecords, p.d.cfg.Delivery.Batch.MaxBytes
	}
	var bytes int64
	for p.ready.len() > 0 && len(c.items) < most {
		head := p.ready.peek().head()
		if len(c.items) > 0 && (head.alone || bytes+head.size > mostBytes) {
			break
		}
		if head.alone {
			most = 1
		}
		l := p.ready.pop()
		p.readyItems -= l.waiting.len()
		l.state, l.stop = laneCalling, Finish
		for i := 0; i < l.waiting.len() && len(c.items) < most; i++ {
			it := l.waiting.at(i)
			if len(c.items) > 0 && (it.alone || bytes+it.size > mostBytes) {
				break
			}
			bytes += it.size
			c.items = append(c.items, it)
		}
		c.lanes = append(c.lanes, l)
	}
	p.readySince = time.Now()
	slices.SortFunc(c.items, func(a, b *item) int { return cmp.Compare(a.place, b.place) })
	return c
}

// finish notes that a record, the first of its lane, needs no further delivery. d.mu is held.
func (p *Partition) finish(it *item, s *step) {
	it.lane.waiting.pop()
	it.done, it.lane = true, nil
	it.afterCommit = s.afterCommit
	if p.d.cfg.Transactional {
		it.outputs, it.aside = s.outputs, s.aside
	}
	if len(it.outputs) == 0 || it.aside != notAside {
		p.d.unstored.Over(it) // else with the commit
	}
	if it.transacts() {
		p.unsettled++
	}
	if p.unsettled == 0 && it != p.refusal.record {
		it.rec = nil // none of its lane can come again, behind which it would come again, too
		p.hold(-it.cost)
	} else {
		p.hold(costOf(it.outputs))
	}
	p.doneAhead++
	p.unfinished--
	p.advance()
}

// transacts tells whether something of a finished record happens with the commit of its offset.
func (it *item) transacts() bool { return len(it.outputs) > 0 || it.afterCommit != nil }

// hold counts memory that the partition holds from now on, or does not any more. d.mu is held.
func (p *Partition) hold(bytes int64) {
	p.buffered += bytes
	p.d.buffered += bytes
	p.d.charge()
}

// offer counts bytes of records that can be taken from now on, or not any more. d.mu is held.
func (p *Partition) offer(bytes int64) {
	p.keptBytes += bytes
	p.d.keptBytes += bytes
}

// dropKept forgets the records that can be taken. d.mu is held.
func (p *Partition) dropKept() {
	p.hold(-p.keptBytes)
	p.offer(-p.keptBytes)
	p.kept = nil
}

func costOf(outputs []record.Outgoing) int64 {
	n := int64(0)
	for i := range outputs {
		n += outputs[i].Cost()
	}
	return n
}

// advance moves the committable offset over everything that is finished without a gap. d.mu is held.
func (p *Partition) advance() {
	if p.refusal.pending() {
		return // what is before these stands still
	}
	for p.items.len() > 0 && p.items.peek().done {
		it := p.items.pop()
		p.doneAhead--
		if it.rec != nil {
			p.kept = append(p.kept, kept{it, p.committable})
			p.offer(it.keptCost())
		} else {
			p.hold(-itemCost)
		}
		p.committable = Position{Offset: it.nextOffset, Epoch: it.epoch}
		p.noteFinished(it.stamp)
	}
}

// TakeFinished returns what is finished, with the outputs that no call before has returned. It is for dispatchers with
// [Config.Transactional]. ok is false as with [Partition.Position].
func (p *Partition) TakeFinished() (f Finished, ok bool) {
	p.d.mu.Lock()
	defer p.d.mu.Unlock()
	at, ok := p.position()
	if !ok {
		return Finished{}, false
	}
	f = Finished{Position: at, partition: p, records: p.kept}
	p.dropKept()
	p.d.schedule()
	return f, true
}

// Load says how much of the partition is waiting or being handled.
type Load struct {
	// Bytes is what the unfinished records take in memory, what is kept of finished ones behind them, and the outputs of
	// finished ones that have not been taken.
	Bytes int64
	// Span is the number of records from the lowest unfinished one on, finished ones among them included.
	Span int
	// Outputs is the size of the outputs that [Partition.TakeFinished] would return, with their records. They are part of
	// Bytes.
	Outputs int64
	// Parked is the number of records whose time has not come.
	Parked int
}

// Load returns the current load.
func (p *Partition) Load() Load {
	p.d.mu.Lock()
	defer p.d.mu.Unlock()
	return Load{Bytes: p.buffered, Span: p.items.len(), Outputs: p.keptBytes, Parked: p.parked.len()}
}

// Close ends the assignment in order: no call starts any more, running calls may finish until ctx ends and are given
// up then. Position returns its final value afterwards.
func (p *Partition) Close(ctx context.Context) {
	p.beginClose(false)
	select {
	case <-p.drained:
	case <-ctx.Done():
	}
	p.endClose()
}

// Abandon ends the assignment of a partition that belongs to another member already: running calls are given up at
// once and nothing may be committed.
func (p *Partition) Abandon() {
	p.beginClose(true)
	p.endClose()
}

// beginClose stops new calls.
func (p *Partition) beginClose(lost bool) {
	p.d.mu.Lock()
	defer p.d.mu.Unlock()
	if lost {
		p.lost = true
		p.dropKept()
	}
	if p.closing {
		return
	}
	p.closing = true
	for l := range p.backingOff {
		l.timer.Stop()
	}
	if p.due != nil {
		p.due.Stop()
	}
	p.refusal.stopTimer()
	if p.callsInFlight == 0 {
		close(p.drained)
	}
}

// endClose gives up what still runs, waits for it, and frees what the partition held.
func (p *Partition) endClose() {
	p.giveUp()
	<-p.drained // soon: record.Receiver returns when its context ends
	if givenUp := p.free(); len(givenUp) > 0 {
		p.d.cfg.Log.Info("calls were given up", "topic", p.topic, "partition", p.id, "offsets", givenUp,
			"effect", "whoever reads the partition next delivers these records again; whoever handles them may still be at work on them")
	}
}

// free frees what the partition held, and returns the offsets of the records whose calls were given up: all of them
// the first time, none after that.
func (p *Partition) free() (givenUp []int64) {
	d := p.d
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, open := d.partitions[p]; !open {
		return nil
	}
	delete(d.partitions, p)
	p.lastAhead, p.freed = p.ahead(), true
	d.unstored.OverWhere(func(it *item) bool { return it.lane != nil && it.lane.partition == p })
	p.endRefusal()
	if p.lost {
		p.dropKept()
	}
	// Finished records may be taken still.
	p.hold(p.keptBytes - p.buffered)
	p.unfinished = 0
	p.items, p.parked, p.lanes, p.keyless, p.backingOff = queue[*item]{}, queue[*item]{}, nil, nil, nil
	d.turns.drop(p)
	p.ready, p.readyItems = readyLanes{}, 0
	if !d.anyUnfinished() {
		d.gate.open() // nobody is left to call, and nobody waits
	}
	// Slots that the partition's calls held may be of use to other partitions.
	d.schedule()
	return p.givenUp
}

// anyUnfinished tells whether a record waits or is with the component. d.mu is held.
func (d *Dispatcher) anyUnfinished() bool {
	for p := range d.partitions {
		if p.unfinished > 0 {
			return true
		}
	}
	return false
}

// Close ends all assignments as [Partition.Close] does, side by side.
func (d *Dispatcher) Close(ctx context.Context) {
	d.mu.Lock()
	open := make([]*Partition, 0, len(d.partitions))
	for p := range d.partitions {
		open = append(open, p)
	}
	d.mu.Unlock()
	CloseAll(ctx, open)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.stopTimers()
	d.turns = turns{}
}

// CloseAll closes partitions side by side: all stop taking new calls before the first is waited for.
func CloseAll(ctx context.Context, partitions []*Partition) {
	for _, p := range partitions {
		p.beginClose(false)
	}
	for _, p := range partitions {
		p.Close(ctx)
	}
}

// NotYet is a start offset for [Dispatcher.Open] that takes no record: the group has handed the partition over but
// its position is not known yet. [Partition.StartAt] gives it later.
const NotYet int64 = math.MaxInt64

// Next is the offset of the next record that Add takes.
func (p *Partition) Next() int64 {
	p.d.mu.Lock()
	defer p.d.mu.Unlock()
	return p.next
}

// StartAt sets the offset of the next record to deliver: before the first, or where the log makes a jump. A jump is
// committed like a record, once all before it is finished: else it would be made, and told of, at each restart until
// the first record came, and the lag would never be 0.
func (p *Partition) StartAt(from int64) {
	p.d.mu.Lock()
	defer p.d.mu.Unlock()
	if p.next != NotYet && !p.closing {
		p.pushDone(from, -1)
	}
	p.next = from
}
