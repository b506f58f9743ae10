package simulation

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/messaging-kafka/messaging-kafka/internal/record"
)

// judge checks the invariants, when all is over.
func (w *world) judge() {
	live := w.guest
	w.guest = live.still()
	defer func() { w.guest = live }()
	truth := w.readAll(input, kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	letters := w.readLetters()
	buried, moved := buriedBy(letters), w.readMoved()
	w.judgeLoss(truth, buried)
	w.judgeContent(truth)
	w.judgeFilter(truth)
	w.judgeAborted(truth)
	w.judgeLetters(truth, letters)
	w.judgeAttempts()
	w.judgeCommits(truth, buried, moved)
	w.judgeOwners(moved)
	w.judgeSilence()
	w.judgeMoved()
	w.judgeRepeats()
	w.judgeGivenUp(truth, buried)
	if order := w.plan.config["order"]; order == "key" || order == "partition" {
		w.judgeOrder(truth, order == "key")
	}
	if w.plan.exactly {
		w.judgeOutputs(truth, buried, moved)
	}
}

// placesOf are the places of records.
func placesOf(list []*kgo.Record) map[place]*kgo.Record {
	at := make(map[place]*kgo.Record, len(list))
	for _, r := range list {
		at[storedAt(r)] = r
	}
	return at
}

// judgeContent is the invariant as-stored: the component is called with keys and values as they are stored.
func (w *world) judgeContent(truth []*kgo.Record) {
	for _, r := range truth {
		at := storedAt(r)
		if got, called := w.guest.content[at]; called && got != contentOf(r.Key, r.Value) {
			w.fail("as-stored", "%v was called with other bytes than %q and %q, which are stored", at, r.Key, r.Value)
			return
		}
	}
}

// contentOf is a short name of a key and a value, which may be null each.
func contentOf(key, value []byte) uint64 {
	h := fnv.New64a()
	for _, b := range [][]byte{key, value} {
		_, _ = fmt.Fprint(h, b == nil, len(b), ";")
		_, _ = h.Write(b)
	}
	return h.Sum64()
}

// judgeAborted is the invariant nothing-aborted: no record of a transaction that was aborted reaches the component.
func (w *world) judgeAborted(truth []*kgo.Record) {
	good := placesOf(truth)
	aborted := make(map[place]bool)
	for at := range placesOf(w.readAll(input)) {
		aborted[at] = good[at] == nil && at.number != ""
	}
	for _, v := range w.guest.calls {
		if aborted[v.place] && !w.layer.mayLackList(v.place) {
			w.fail("nothing-aborted", "%v is of a transaction that was aborted: %s", v.place, w.tellVisits(v.place))
			return
		}
	}
}

// judgeLetters is the invariant letters-fit: a dead letter has the key, value and time of its record, and the headers
// that say of which record it is and why; with transactions each record has one at the most.
func (w *world) judgeLetters(truth, letters []*kgo.Record) {
	good, many := placesOf(truth), make(map[place]int)
	for _, l := range letters {
		at := originOf(l)
		r := good[at]
		if r == nil {
			continue // its topic was made anew, or it was deleted
		}
		many[at]++
		if err := w.unfit(l, r); err != nil {
			w.fail("letters-fit", "the dead letter of %v: %v", at, err)
			return
		}
		if w.plan.exactly && many[at] > 1 {
			w.fail("letters-fit", "%v has %d dead letters: %s", at, many[at], w.tellVisits(at))
			return
		}
	}
}

// unfit tells what is wrong with a dead letter.
func (w *world) unfit(letter, r *kgo.Record) error {
	headers := make(map[string][]byte)
	for _, h := range letter.Headers {
		headers[h.Key] = h.Value
	}
	for name, want := range map[string]string{
		"kafka_dlt-original-topic": input, "kafka_dlt-original-consumer-group": group, "wasmcloud-component": "guest",
		"kafka_dlt-original-timestamp": string(binary.BigEndian.AppendUint64(nil, uint64(r.Timestamp.UnixMilli()))),
	} {
		if got := string(headers[name]); got != want {
			return fmt.Errorf("%s is %q, not %q", name, got, want)
		}
	}
	attempts := headers["kafka_deliveryAttempt"]
	switch {
	case len(attempts) != 4 || binary.BigEndian.Uint32(attempts) == 0:
		return fmt.Errorf("kafka_deliveryAttempt is %q", attempts)
	case len(headers["kafka_dlt-exception-message"]) == 0:
		return errors.New("it does not say why")
	case contentOf(letter.Key, letter.Value) != contentOf(r.Key, r.Value):
		return fmt.Errorf("it has %q and %q, not %q and %q", letter.Key, letter.Value, r.Key, r.Value)
	case letter.Timestamp.UnixMilli() != r.Timestamp.UnixMilli():
		return fmt.Errorf("it is of %s, not %s", letter.Timestamp, r.Timestamp)
	}
	// A batch is delivered as a whole, though the component may trap at its first record.
	if n := int(binary.BigEndian.Uint32(attempts)); w.plan.protocol != "share" && !w.plan.processor && n > len(w.visitsOf(storedAt(r))) {
		return fmt.Errorf("kafka_deliveryAttempt is %d: %s", n, w.tellVisits(storedAt(r)))
	}
	return nil
}

// judgeAttempts is the invariant attempts-bounded: a record that has failed max_attempts times in one ownership is not
// tried again, but for the tries that find out which record of a batch it was.
func (w *world) judgeAttempts() {
	limit, err := strconv.Atoi(w.plan.config["max_attempts"])
	if w.plan.protocol == "share" || err != nil {
		return
	}
	type owned struct {
		place
		copy string
	}
	failed := make(map[owned][]visit)
	for _, v := range w.guest.calls {
		if v.own && v.outcome != record.Done && v.outcome != record.Unavailable {
			o := owned{v.place, v.copy}
			failed[o] = append(failed[o], v)
		}
	}
	for o, list := range failed {
		if most := limit + spare; len(list) > most && len(list) > most*(1+w.disturbed(list[0].began.Add(-shadow), list[len(list)-1].began)) {
			w.fail("attempts-bounded", "%v has failed %d times with %s, max_attempts is %d: %s", o.place, len(list), o.copy, limit, w.tellVisits(o.place))
			return
		}
	}
}

// judgeLoss is the invariant nothing-lost: each record that a reader can see is done or dead-lettered, or skipped by
// rule.
func (w *world) judgeLoss(truth []*kgo.Record, buried map[place]bool) {
	if len(truth) < w.plan.records && !w.gone.Load() {
		w.fail("world", "the feeder has stored %d of %d", len(truth), w.plan.records)
	}
	lost := 0
	for _, r := range truth {
		at := storedAt(r)
		if _, done := w.guest.done[at]; done || buried[at] || w.skipped(r) {
			continue
		}
		if lost++; lost <= 5 {
			w.fail("nothing-lost", "%v was neither done nor dead-lettered: %s", at, w.tellVisits(at))
		}
	}
}

// skipped tells whether a record was passed over by rule: it is a tombstone that the link skips, its filter does not
// match it, it was there before a link that begins at the end, or it was rejected or had its last attempt, and there is
// no topic for dead letters.
func (w *world) skipped(r *kgo.Record) bool {
	at := storedAt(r)
	switch {
	case r.Value == nil && w.plan.skipsTombstones(), !w.plan.hands(r), at.number == "":
		return true
	case w.plan.config["dead_letter_topic"] != "":
		return false
	}
	limit, _ := strconv.Atoi(w.plan.config["max_attempts"])
	return limit > 0 && w.guest.failures[at] >= limit
}

func (w *world) visitsOf(at place) (list []visit) {
	for _, v := range w.guest.calls {
		if v.place == at {
			list = append(list, v)
		}
	}
	return list
}

// tellVisits is what became of a record, for a person.
func (w *world) tellVisits(at place) string {
	text := fmt.Sprint(at, ":")
	for _, v := range w.visitsOf(at) {
		text += fmt.Sprintf(" [%s call %d %s..%s %s]", v.copy, v.call, v.began.Sub(w.events.began), v.end.Sub(w.events.began), v.outcome)
	}
	return text
}

// judgeCommits is the invariant commit-behind-finished: no offset is committed beyond a record that is not finished, or
// moved to a retry topic.
func (w *world) judgeCommits(truth []*kgo.Record, buried map[place]bool, moved map[place]time.Time) {
	id := topicField(w.kafka.TopicInfo(input).TopicID)
	for _, c := range w.commits {
		for _, r := range truth {
			at := storedAt(r)
			if r.Partition != c.partition || r.Offset >= c.offset || buried[at] || w.skipped(r) || !c.about(r, id) {
				continue
			}
			if stored, ok := moved[at]; ok && !stored.After(c.at) {
				continue
			}
			if done, ok := w.guest.done[at]; !ok || done.After(c.at) {
				w.fail("commit-behind-finished", "%d was committed in partition %d at %s, but %v was done at %s",
					c.offset, c.partition, c.at.Sub(w.events.began), at, done.Sub(w.events.began))
				return
			}
		}
	}
}

// about tells whether a commit says anything of a record: it does not where it is of another topic of the name, or of
// the log of an earlier leader.
func (c commit) about(r *kgo.Record, topic string) bool {
	return r.LeaderEpoch <= c.epoch && (c.metadata == "" || strings.Contains(c.metadata, topic))
}

// topicField is how the text of a commit names its topic.
func topicField(id [16]byte) string { return "t=" + base64.RawURLEncoding.EncodeToString(id[:]) }

// judgeOrder is the invariant order: no record is called while one before it, of its key or partition, was never
// finished.
func (w *world) judgeOrder(truth []*kgo.Record, byKey bool) {
	lanes := make(map[string][]place)
	for _, r := range truth {
		lane := fmt.Sprint(r.Partition)
		if w.skipped(r) {
			continue
		}
		if byKey {
			lane += fmt.Sprintf("/%q/%v", r.Key, r.Key == nil)
		}
		lanes[lane] = append(lanes[lane], storedAt(r))
	}
	first, calls := make(map[place]time.Time), make(map[place]int)
	with := make(map[int][]place)      // what else was in a call
	given := make(map[place]time.Time) // when a record may first have been given up: rejected, or out of attempts
	limited := w.plan.config["max_attempts"] != "" || w.plan.config["dead_letter_topic"] != "" || len(w.plan.retryTopics()) > 0
	for _, v := range w.guest.calls {
		with[v.call] = append(with[v.call], v.place)
		if _, ok := first[v.place]; !ok {
			first[v.place], calls[v.place] = v.began, v.call
		}
		failed := v.own && (v.outcome == record.Retry || v.outcome == record.Unanswered) && limited
		if before, ok := given[v.place]; (v.outcome == record.Reject || failed) && (!ok || v.end.Before(before)) {
			given[v.place] = v.end
		}
	}
	for lane, places := range lanes {
		slices.SortFunc(places, func(a, b place) int { return int(a.offset - b.offset) })
		for i := 1; i < len(places); i++ {
			before, at := places[i-1], places[i]
			began, called := first[at]
			if !called || slices.Contains(with[calls[at]], before) {
				continue // a batch has records of one key behind each other
			}
			finished, ok := w.guest.done[before]
			if end, gave := given[before]; gave && (!ok || end.Before(finished)) {
				finished, ok = end, true
			}
			if !ok || finished.After(began) {
				w.fail("order", "in lane %s %v was called at %s, before %v was finished (%s): %s; %s", lane, at, began.Sub(w.events.began),
					before, finished.Sub(w.events.began), w.tellVisits(before), w.tellVisits(at))
				return
			}
		}
	}
}

// judgeOutputs is the invariant exactly-once: a reader of what is committed sees one output of each record.
func (w *world) judgeOutputs(truth []*kgo.Record, buried map[place]bool, moved map[place]time.Time) {
	seen := make(map[string]int)
	outputs := w.readAll(output, kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	for _, r := range outputs {
		seen[string(r.Value)]++
	}
	w.judgeOutputOrder(truth, outputs, moved)
	for _, r := range truth {
		at := storedAt(r)
		want := 1
		if buried[at] || w.skipped(r) {
			want = 0
		}
		if got := seen[at.String()]; got != want {
			w.fail("exactly-once", "%v has %d outputs, want %d: %s", at, got, want, w.tellVisits(at))
			return
		}
	}
}

// judgeOutputOrder is the invariant outputs-in-order: in each output partition the outputs of one input partition stand
// in the order of their records, but for those that have waited in retry topics.
func (w *world) judgeOutputOrder(truth, outputs []*kgo.Record, moved map[place]time.Time) {
	good := make(map[string]place)
	for _, r := range truth {
		good[storedAt(r).String()] = storedAt(r)
	}
	type lane struct{ output, input int32 }
	last := make(map[lane]place)
	slices.SortStableFunc(outputs, func(a, b *kgo.Record) int { return cmp.Compare(a.Offset, b.Offset) })
	for _, r := range outputs {
		at, ok := good[string(r.Value)]
		if _, waited := moved[at]; !ok || waited {
			continue // of what is gone, or has lost its place
		}
		l := lane{r.Partition, at.partition}
		if before, ok := last[l]; ok && before.offset >= at.offset {
			w.fail("outputs-in-order", "in partition %d of the outputs %v stands behind %v", r.Partition, at, before)
			return
		}
		last[l] = at
	}
}

const (
	// silence is how long a partition may stand with records to be read before a copy must say so, calm for how long all
	// copies must have been well at a stretch for that to be missing: one that joins anew is well for a moment.
	silence = 3 * time.Minute
	calm    = time.Minute
)

// watchHealth is the invariant health-tells: while a partition has had something to commit and nothing was committed
// for some minutes, a copy says that something is wrong.
func (w *world) watchHealth(ctx context.Context) {
	if w.plan.protocol == "share" {
		return // the broker keeps what is decided to itself
	}
	ill := time.Now() // when a copy last said that something is wrong
	moved, last := make(map[int32]time.Time), make(map[int32]int64)
	for sleep(ctx, 5*time.Second) {
		w.watchMemory()
		now, info := time.Now(), w.kafka.GroupInfo(group)
		if !w.allWellFor(silence) {
			ill = now
		}
		for _, p := range w.kafka.PartitionInfos(input) {
			committed := int64(-1)
			if info != nil {
				if c, ok := info.Commits[input][p.Partition]; ok {
					committed = c.Offset
				}
			}
			// Another program may have it, and it does nothing.
			if committed >= p.HighWatermark || p.HighWatermark == 0 || committed != last[p.Partition] || moved[p.Partition].IsZero() || w.strangers.Load() > 0 {
				moved[p.Partition], last[p.Partition] = now, committed
			}
			if stood := now.Sub(moved[p.Partition]); stood > silence && now.Sub(ill) > calm {
				w.fail("health-tells", "partition %d stands at %d of %d for %s, and all copies are well", p.Partition, committed, p.HighWatermark, stood)
				return
			}
		}
	}
}

// watchMemory is the invariant memory-within-lid: what a copy counts is within its bound, but for what one fetch
// brings.
func (w *world) watchMemory() {
	for _, r := range w.copies {
		r.mu.Lock()
		held := r.memory
		r.mu.Unlock()
		if held == nil {
			continue
		}
		if s := held.Status(); s.Most > s.Limit+fetchSlack {
			w.fail("memory-within-lid", "%s has held %d bytes, of %d", r.name, s.Most, s.Limit)
		}
	}
}

// fetchSlack is what is counted only when it is there.
const fetchSlack = 64 << 20

// allWellFor tells whether copies live, all for so long at least, and are well.
func (w *world) allWellFor(span time.Duration) bool {
	lives := false
	for _, r := range w.copies {
		r.mu.Lock()
		routes, since := r.routes, r.since
		r.mu.Unlock()
		if routes == nil {
			continue
		}
		if lives = true; time.Since(since) < span || len(routes.Problems()) > 0 {
			return false
		}
	}
	return lives && len(w.theLinks()) > 0
}

// disturb notes that something happens to a copy that may cost it a membership, or a commit; "" is all copies.
func (w *world) disturb(name string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.disturbances[name] = append(w.disturbances[name], time.Now())
}

// disturbed counts what happened to any copy in a time, those changes in the group included.
func (w *world) disturbed(from, to time.Time) (n int) {
	for _, list := range w.disturbances {
		n += countWithin(list, from, to)
	}
	return n + countWithin(w.changes, from, to)
}

func countWithin(list []time.Time, from, to time.Time) (n int) {
	for _, at := range list {
		if !at.Before(from) && !at.After(to) {
			n++
		}
	}
	return n
}

// unheard is for how long a member may not hear that it is none any more.
const unheard = time.Minute

// evicted notes that members were thrown out of the group which it had no reason to give up.
func (w *world) evicted() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.evictions = append(w.evictions, time.Now())
}

func (w *world) evictedBefore(at time.Time) bool {
	return slices.ContainsFunc(w.evictions, func(e time.Time) bool { return !e.After(at) && at.Sub(e) < unheard })
}

// stillIll is how long after something happened to a copy a broker may have given up a member that is alive: as long as
// it may last, and a session.
const stillIll = 3 * time.Minute

// givenUpUnheard tells whether a copy may not know yet that its partitions are another's: the group has forgotten it
// before its time, or, where the broker alone knows for how long it takes a member for alive, has not heard of it.
func (w *world) givenUpUnheard(name string, at time.Time) bool {
	return w.evictedBefore(at) || w.plan.protocol == "consumer" && countWithin(w.disturbances[name], at.Add(-stillIll), at) > 0
}

// stretch is a time.
type stretch struct{ from, to time.Time }

func (w *world) joined(name string, from, to time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.joins[name] = append(w.joins[name], stretch{from, to})
}

// forgottenInJoin tells whether the fake broker may have given up a copy that waits for the others in JoinGroup: it
// lets the session of such a member end, and never answers it. Kafka takes it for alive until it has its answer.
func (w *world) forgottenInJoin(name string, at time.Time) bool {
	link, err := parse(w.plan.role(), w.plan.config, "N")
	if err != nil {
		return false
	}
	return slices.ContainsFunc(w.joins[name], func(s stretch) bool {
		return !at.Before(s.from.Add(link.Consumer.SessionTimeout-3*time.Second)) && !at.After(s.to)
	})
}

// judgeOwners is the invariant one-owner: no copy is called with a record while another one is still at work on it, but
// for what that one cannot know. Without transactions a record may be in a retry topic, and come again from its own.
func (w *world) judgeOwners(moved map[place]time.Time) {
	if w.plan.protocol == "share" {
		return
	}
	busy := make(map[place]visit)
	for _, v := range w.guest.calls {
		if _, waited := moved[v.place]; waited && !w.plan.exactly {
			continue
		}
		before, ok := busy[v.place]
		if ok && before.copy != v.copy && (before.end.IsZero() || before.end.After(v.began)) && !w.givenUpUnheard(before.copy, v.began) &&
			!w.forgottenInJoin(before.copy, v.began) && !w.forgottenInJoin(v.copy, v.began) {
			w.fail("one-owner", "%v is with %s from %s on, and %s is at work on it until %s", v.place, v.copy, v.began.Sub(w.events.began), before.copy,
				before.end.Sub(w.events.began))
			return
		}
		if !ok || v.end.After(before.end) {
			busy[v.place] = v
		}
	}
}

// heard notes a time of a copy.
func (w *world) heard(list map[string][]time.Time, name string, at time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	list[name] = append(list[name], at)
}

// givingUp is how much longer than a session calls may go on: a part of it goes by until one looks, and calls end.
const givingUp = time.Second

// judgeSilence is the invariant silence-ends-calls: a copy of a classic group is at work on nothing when the group has
// had no sign of life from it for a session. One that waits for others to join gives none, and need not.
func (w *world) judgeSilence() {
	link, err := parse(w.plan.role(), w.plan.config, "N")
	if w.plan.protocol != "classic" || err != nil {
		return
	}
	w.mu.Lock()
	alive, waits := maps.Clone(w.alive), maps.Clone(w.waits) // copies are still heard
	w.mu.Unlock()
	for _, v := range w.guest.calls {
		end := v.end
		if end.IsZero() {
			end = time.Now()
		}
		last := lastBefore(alive[v.copy], end)
		if silent := end.Sub(last); silent > link.Consumer.SessionTimeout+givingUp && lastBefore(waits[v.copy], end).Before(last) {
			w.fail("silence-ends-calls", "%s is at work on %v until %s, and its group has taken it for alive at %s last", v.copy, v.place, end.Sub(w.events.began), last.Sub(w.events.began))
			return
		}
	}
}

// lastBefore is the last of some times that is not after another.
func lastBefore(list []time.Time, end time.Time) (last time.Time) {
	for _, at := range list {
		if !at.After(end) && at.After(last) {
			last = at
		}
	}
	return last
}

const (
	// spare is how often a record may be delivered in vain in one ownership: with one that makes the component trap, twice
	// behind one that fails, and alone.
	spare = 4
	// shadow is for how long before a delivery what happens may have caused it.
	shadow = 30 * time.Second
)

// judgeRepeats is the invariant repeats-bounded: a record comes again where it has failed, and else only because of
// what happened meanwhile.
func (w *world) judgeRepeats() {
	if w.plan.protocol == "share" {
		return // the broker delivers again what was not acknowledged in its time
	}
	visits := make(map[place][]visit)
	for _, v := range w.guest.calls {
		if !v.own || v.outcome == record.Done {
			visits[v.place] = append(visits[v.place], v)
		}
	}
	for at, list := range visits {
		most := spare
		if len(list) > most {
			most *= 1 + w.disturbed(list[0].began.Add(-shadow), list[len(list)-1].began)
		}
		if len(list) > most {
			w.fail("repeats-bounded", "%v was delivered %d times without a failure of its own, and at most %d of them have a cause: %s",
				at, len(list), most, w.tellVisits(at))
			return
		}
	}
}

// judgeGivenUp is the invariant given-up-by-rule: a dead letter is of a record that was rejected, or has had its
// attempts. In a share group the broker counts deliveries that no call came of.
func (w *world) judgeGivenUp(truth []*kgo.Record, buried map[place]bool) {
	limit, err := strconv.Atoi(w.plan.config["max_attempts"])
	if w.plan.protocol == "share" || err != nil {
		return
	}
	rejected := make(map[place]bool)
	for _, v := range w.guest.calls {
		rejected[v.place] = rejected[v.place] || v.outcome == record.Reject
	}
	for _, r := range truth {
		if at := storedAt(r); buried[at] && !rejected[at] && w.guest.failures[at] < limit {
			w.fail("given-up-by-rule", "%v is a dead letter after fewer than %d attempts: %s", at, limit, w.tellVisits(at))
			return
		}
	}
}
