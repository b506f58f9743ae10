package letters

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/messaging-kafka/messaging-kafka/internal/base/backoff"
	"github.com/messaging-kafka/messaging-kafka/internal/engine/browse"
	"github.com/messaging-kafka/messaging-kafka/internal/engine/kafka"
	"github.com/messaging-kafka/messaging-kafka/internal/engine/produce"
	"github.com/messaging-kafka/messaging-kafka/internal/record"
)

const (
	// mostTogether and mostBytes bound what goes in one transaction.
	mostTogether = 500
	mostBytes    = 4 << 20
	// commitTime bounds a transaction. Brokers give one up after about as long.
	commitTime = 9 * time.Second
	// redrivePatience is how long nothing may move before a redrive gives up.
	redrivePatience = time.Minute
)

var beginningAgain = backoff.Backoff{First: 200 * time.Millisecond, Most: 5 * time.Second}

// Options say what to send back, and how.
type Options struct {
	Selection Selection
	// To is where all letters go; "" is the topic that each comes from.
	To string
	// Round is the name of a round of redrives, which knows nothing of others.
	Round string
	// KeepAttempts has letters keep the count of their deliveries.
	KeepAttempts bool
	// Limit is how many to send at most; 0 is without a limit. Rate is how many a second; 0 is without a limit.
	Limit int
	Rate  float64
	// DryRun only tells what would be sent.
	DryRun bool
	// AtLeastOnce goes without transactions.
	AtLeastOnce bool
	// Sent, if not nil, is called with each letter that was sent, or would be, and its topic.
	Sent func(*Letter, string) error
	// Progress, if not nil, is called now and then, and at the end.
	Progress func(Progress)
	// Notes is for what is to be said besides.
	Notes io.Writer
}

// Progress is how far a redrive has come.
type Progress struct {
	// Sent letters were sent back, Known ones had been before, by whatever run of this round.
	Sent  int `json:"sent"`
	Known int `json:"known"`
	// Looped is how many of those that were sent had been sent back before that and come again, and Most how often at
	// most.
	Looped int `json:"looped"`
	Most   int `json:"most_redrives"`
	// Expiring is how many of those that were sent are older than their topic keeps records.
	Expiring int `json:"expiring"`
	// Topics says how many went where.
	Topics map[string]int `json:"topics"`
	// Before counts offsets that a redrive of the same letters, or of more, had passed, and that are not looked at again.
	Before int64 `json:"before"`
	// Passed and Total count offsets of the dead-letter topic.
	Passed int64 `json:"passed"`
	Total  int64 `json:"total"`
}

// redriver sends letters back.
type redriver struct {
	s              *browse.Source
	o              Options
	group, topicID string
	progress       Progress
	targets        map[string]target
	told           bool      // of transactions that are open
	most           int       // letters in one transaction, see fewer
	moved          time.Time // when something moved last
	paced          time.Time // when the next letters may go by the rate
	// open is a batch of which it is not known whether it was sent, nil where there is none.
	open *batch

	// Those of one attempt.
	send  sender
	walk  *walk
	notes map[int32]*notes
	batch *batch
}

// target is a topic that letters go to.
type target struct {
	partitions int
	keeps      time.Duration // how old records become there, 0 where that is not bounded or not known
}

// batch is what is sent together.
type batch struct {
	letters []sent
	bytes   int
	known   int             // letters between them that had been sent before
	places  map[int32]int64 // where the partitions are then
}

type sent struct {
	letter   Letter
	out      record.Outgoing
	expiring bool
}

func newBatch() *batch { return &batch{places: make(map[int32]int64)} }

// cut leaves out the letters that were not sent and, of their partitions, all behind them: a note counts for all that
// is below it. It says why the first one was not sent. Without results all were.
func (b *batch) cut(results []record.Result) (why error) {
	for i := range results {
		if results[i].Err == nil {
			continue
		}
		l := &b.letters[i].letter
		if why == nil {
			why = fmt.Errorf("letter %s: %w", l.place(), results[i].Err)
		}
		b.places[l.Partition] = min(b.places[l.Partition], l.Offset)
	}
	if why != nil {
		b.letters = slices.DeleteFunc(b.letters, func(s sent) bool { return s.letter.Offset >= b.places[s.letter.Partition] })
		b.known = 0 // some of them may be behind: they count when they are passed
	}
	return why
}

// Redrive sends letters back, each once in its round. It returns how far it came, and an error where it did not come to
// the end; then the same again goes on where it was.
func Redrive(ctx context.Context, s *browse.Source, o Options) (Progress, error) {
	if o.To == s.Topic {
		return Progress{}, fmt.Errorf("%s is the topic of the letters themselves", o.To)
	}
	r := &redriver{
		s: s, o: o, group: Group(s.Topic, o.Round), topicID: s.Reader.ID().String(), targets: make(map[string]target),
		most: mostTogether, moved: time.Now(), progress: Progress{Topics: make(map[string]int)},
	}
	for failures := 1; ; failures++ {
		before := r.moved
		err := r.attempt(ctx)
		switch {
		case err == nil:
			return r.progress, nil
		case ctx.Err() != nil:
			return r.progress, fmt.Errorf("stopped: %w", ctx.Err())
		case r.fewer(err):
			failures = 0
			continue
		case lasting(err), time.Since(r.moved) > redrivePatience:
			return r.progress, r.explain(err)
		}
		if !r.moved.Equal(before) {
			failures = 1
		}
		if _, err := fmt.Fprintf(o.Notes, "it is tried again: %v\n", r.explain(err)); err != nil {
			return r.progress, err
		}
		if !backoff.Sleep(ctx, beginningAgain.Spread(failures)) {
			return r.progress, fmt.Errorf("stopped: %w", ctx.Err())
		}
	}
}

// fewer has half as many letters go together where Kafka refuses one of several, or there was no time to find the
// batches that it takes. What is refused in the end is one letter, which can be named. Those before it are sent.
func (r *redriver) fewer(err error) bool {
	if _, ok := errors.AsType[*produce.OutputError](err); !ok || len(r.batch.letters) < 2 ||
		!errors.Is(err, produce.ErrOutput) && !tooLargeTogether(err) {
		return false
	}
	r.most = len(r.batch.letters) / 2
	return true
}

// explain says what an error means for a redrive.
func (r *redriver) explain(err error) error {
	var text string
	switch {
	case errors.Is(err, kerr.ProducerFenced), errors.Is(err, kerr.InvalidProducerEpoch):
		text = "another redrive of this topic has taken over, and goes on where this one was"
	case errors.Is(err, kerr.TransactionalIDAuthorizationFailed):
		text = "this user may not use the transactional id " + r.group + ": allow it Write and Describe on it, or take --at-least-once, " +
			"with which letters may be sent twice when something breaks"
	case errors.Is(err, kerr.GroupAuthorizationFailed):
		text = "this user may not keep notes in the offsets of the group " + r.group + ": allow it Read on the group"
	case errors.Is(err, kerr.OffsetMetadataTooLarge):
		text = "the notes of all selections of this round are larger than the broker takes (offset.metadata.max.bytes): " +
			"redrive without a selection, or in another --round"
	default:
		if output, ok := errors.AsType[*produce.OutputError](err); ok {
			if errors.Is(err, produce.ErrOutput) && output.Index < len(r.batch.letters) {
				err = fmt.Errorf("letter %s: %w", r.batch.letters[output.Index].letter.place(), err)
			}
			return r.s.Secrets.Err(err) // it is explained already
		}
		if _, ok := errors.AsType[*produce.Error](err); ok {
			return r.s.Secrets.Err(err)
		}
		return r.s.Explain(err)
	}
	return r.s.Secrets.Err(fmt.Errorf("%s: %w", text, err))
}

// letterError says what is wrong with a letter, so that it cannot be sent, or with what is meant.
type letterError struct{ text string }

func (e *letterError) Error() string { return e.text }

var (
	errPrinting = errors.New("printing")
	errNotes    = errors.New("the notes of earlier redrives")
	// errNotTheSame is of a topic of letters that was emptied or made anew under way.
	errNotTheSame = errors.New("the topic is not what it was")
)

// lasting tells of errors that the next attempt would have, too.
func lasting(err error) bool {
	if _, ok := errors.AsType[*letterError](err); ok {
		return true
	}
	if _, ok := errors.AsType[*kafka.BatchTooLargeError](err); ok {
		return true
	}
	if _, ok := errors.AsType[*kafka.BatchError](err); ok {
		return true
	}
	for _, last := range []error{produce.ErrOutput, errPrinting, errNotes, errNotTheSame, kafka.ErrTopicMadeAnew} {
		if errors.Is(err, last) {
			return true
		}
	}
	if refusal, ok := errors.AsType[*produce.Error](err); ok {
		return refusal.Class != produce.ClassTimedOut && refusal.Class != produce.ClassUnavailable
	}
	answer, ok := errors.AsType[*kerr.Error](err)
	// The client's word for a transaction that it could not end: the next attempt finds out why.
	unknown := answer == kerr.OperationNotAttempted
	return ok && !answer.Retriable && !unknown
}

// attempt goes from what the notes say to the end.
func (r *redriver) attempt(ctx context.Context) (err error) {
	if r.send, err = newSender(r.s, r.group, &r.o); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.send.close()) }()
	// Whoever had the producer before has it no more from here on, and what it left open is settled: so the notes stand.
	if err := r.send.begin(ctx); err != nil {
		return err
	}
	if r.walk, err = newWalk(ctx, r.s, &r.o.Selection, r.o.Notes); err != nil {
		return err
	}
	if !r.told {
		r.told = true
		if err := r.walk.tellOpen(); err != nil {
			return fmt.Errorf("%w: %w", errPrinting, err)
		}
	}
	if err := r.readNotes(ctx); err != nil {
		return err
	}
	if enough, err := r.settle(); enough || err != nil {
		return err
	}
	r.progress.Total = max(r.progress.Total, r.progress.Passed+r.walk.left())
	r.batch = newBatch()
	for {
		records, over, err := r.walk.next(ctx)
		if err != nil {
			return err
		}
		for _, rec := range records {
			enough, err := r.take(ctx, rec)
			if err != nil {
				return err
			}
			if enough {
				return r.flush(ctx)
			}
		}
		maps.Copy(r.batch.places, r.walk.places) // what holds no letter is passed, too
		if over {
			if err := r.flush(ctx); err != nil {
				return err
			}
		}
		r.tell()
		if over {
			return nil
		}
	}
}

func (r *redriver) tell() {
	r.progress.Passed = r.progress.Total - min(r.progress.Total, r.walk.left())
	if r.o.Progress != nil {
		r.o.Progress(r.progress)
	}
}

// readNotes finds out what was sent back before, and has the walk begin there.
func (r *redriver) readNotes(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(kadm.RequireStable(ctx), r.s.Settings.Cluster.RequestTimeout)
	defer cancel()
	offsets, err := r.s.Admin.FetchOffsets(ctx, r.group)
	if err != nil && !errors.Is(err, kerr.GroupIDNotFound) { // a group that does not exist has no offsets
		return fmt.Errorf("asking for the offsets of group %s: %w", r.group, err)
	}
	first := r.notes == nil
	r.notes = make(map[int32]*notes)
	for id := range r.walk.ends {
		n := notes{Version: notesVersion, Topic: r.topicID}
		if o, ok := offsets.Lookup(r.s.Topic, id); ok {
			if o.Err != nil {
				return fmt.Errorf("asking for the offset of group %s in partition %d: %w", r.group, id, o.Err)
			}
			if n, err = readNotes(o, r.topicID); err != nil {
				return fmt.Errorf("%w: group %s: %w", errNotes, r.group, err)
			}
		}
		r.notes[id] = &n
		at := n.below(&r.o.Selection)
		if first {
			r.progress.Before += max(0, min(at, r.walk.ends[id])-r.walk.places[id])
		}
		r.walk.places[id] = max(r.walk.places[id], at)
	}
	return nil
}

// settle finds out, by the notes, whether a batch was sent whose end was not known, and counts it then. It says that it
// was enough where the limit is reached with it.
func (r *redriver) settle() (enough bool, err error) {
	if r.open == nil {
		return false, nil
	}
	b := r.open
	r.open = nil
	for id, at := range b.places {
		if r.notes[id] != nil && r.notes[id].below(&r.o.Selection) < at {
			return false, nil
		}
	}
	err = r.count(b)
	return r.full(0), err
}

// full tells whether the limit is reached with so many letters that are to be sent.
func (r *redriver) full(waiting int) bool {
	return r.o.Limit > 0 && r.progress.Sent+waiting >= r.o.Limit
}

// take puts a record in the batch where it is a letter that is meant, and sends the batch when it is full. It says that
// it is enough when that was the last one.
func (r *redriver) take(ctx context.Context, rec *record.Record) (enough bool, err error) {
	l := Read(rec)
	if r.o.Selection.Matches(&l) {
		if r.notes[rec.Partition].knows(&l) {
			r.batch.known++
		} else if err := r.add(ctx, &l); err != nil {
			return false, errors.Join(r.flush(ctx), err) // those before it are well
		}
	}
	r.batch.places[rec.Partition] = rec.Offset + 1
	if r.full(len(r.batch.letters)) {
		return true, nil
	}
	if len(r.batch.letters) < r.together() && r.batch.bytes < mostBytes {
		return false, nil
	}
	if err := r.flush(ctx); err != nil {
		return false, err
	}
	r.tell()
	return false, nil
}

// together is how many letters go in one transaction: of a rate, those of a quarter of a second.
func (r *redriver) together() int {
	if r.o.Rate <= 0 {
		return r.most
	}
	return min(max(int(r.o.Rate/4), 1), r.most)
}

func (r *redriver) add(ctx context.Context, l *Letter) error {
	topic := r.o.To
	if topic == "" {
		topic = l.Origin.Topic
	}
	fault := func(text string) error { return &letterError{fmt.Sprintf("letter %s: %s", l.place(), text)} }
	switch topic {
	case "":
		return fault("it does not tell which topic it comes from: name one with --to, or leave it out, such as with --origin")
	case r.s.Topic:
		return fault("it comes from the topic of the letters itself: name another with --to, or leave it out, such as with --origin")
	}
	to, known := r.targets[topic]
	if !known {
		details, err := r.s.Admin.Metadata(ctx, topic)
		if err != nil {
			return fmt.Errorf("asking for topic %s: %w", topic, err)
		}
		switch err := details.Topics[topic].Err; {
		case errors.Is(err, kerr.UnknownTopicOrPartition):
			return fault(fmt.Sprintf("topic %s, where it is to go, does not exist, or this user may not see it (ACL Describe): create it, name another with --to, or leave the letter out, such as with --origin", topic))
		case err != nil:
			return fault(fmt.Sprintf("topic %s, where it is to go: %s", topic, r.s.Access.Explain(err).Text))
		}
		to = target{len(details.Topics[topic].Partitions), r.keeps(ctx, topic)}
		r.targets[topic] = to
	}
	// Where it was before, so that it is with the others of its key, whoever had chosen the partition.
	partition := record.AnyPartition
	if topic == l.Origin.Topic && l.Origin.Partition >= 0 && int(l.Origin.Partition) < to.partitions {
		partition = l.Origin.Partition
	}
	out := l.back(topic, partition, r.o.KeepAttempts)
	expiring := to.keeps > 0 && time.Since(out.Timestamp) > to.keeps
	r.batch.letters = append(r.batch.letters, sent{*l, out, expiring})
	r.batch.bytes += out.Size()
	return nil
}

// keeps asks how old records become in a topic that keeps the times that they are given. It is 0 where that is not
// bounded, and where this user may not know it: no more than a note hangs on it.
func (r *redriver) keeps(ctx context.Context, topic string) time.Duration {
	ctx, cancel := context.WithTimeout(ctx, r.s.Settings.Cluster.RequestTimeout)
	defer cancel()
	kept := kafka.AskRetention(ctx, r.s.Admin, topic)[topic]
	if !kept.OwnTime {
		return 0
	}
	return kept.For
}

// flush sends the batch and notes the places behind it. Without a letter it notes nothing: only what is sent by the
// transactional id is safe from another redrive, and what was passed over can be passed over again.
func (r *redriver) flush(ctx context.Context) error {
	b := r.batch
	if len(b.letters) == 0 {
		return nil
	}
	if err := r.pace(ctx, len(b.letters)); err != nil {
		return err
	}
	outs := make([]record.Outgoing, len(b.letters))
	for i := range b.letters {
		outs[i] = b.letters[i].out
	}
	// It is brought to its end though somebody wants to stop: the time for that is short.
	work, cancel := context.WithTimeout(context.WithoutCancel(ctx), commitTime)
	defer cancel()
	var next map[int32]notes
	var failed error
	err := r.send.commit(work, outs, func(results []record.Result) (offsets []kadm.Offset, err error) {
		failed = b.cut(results)
		next, offsets, err = r.behind(b)
		return offsets, err
	})
	if err != nil {
		if errors.Is(err, produce.ErrMaybeCommitted) {
			r.open = b
		}
		return errors.Join(failed, err)
	}
	for id, n := range next {
		*r.notes[id] = n
	}
	r.batch = newBatch()
	if err := r.count(b); err != nil {
		return err
	}
	return failed
}

// behind makes the notes that stand behind a batch, by partition and as offsets.
func (r *redriver) behind(b *batch) (map[int32]notes, []kadm.Offset, error) {
	next := make(map[int32]notes)
	var offsets []kadm.Offset
	for _, id := range slices.Sorted(maps.Keys(b.places)) {
		at := b.places[id]
		if at <= r.notes[id].below(&r.o.Selection) || at <= r.walk.starts[id] {
			delete(b.places, id) // nothing is new
			continue
		}
		n := r.notes[id].with(r.o.Selection, at, r.walk.starts[id])
		text, err := n.text()
		if err != nil {
			return nil, nil, err
		}
		next[id] = n
		offsets = append(offsets, kadm.Offset{Topic: r.s.Topic, Partition: id, At: at, LeaderEpoch: -1, Metadata: text})
	}
	return next, offsets, nil
}

// pace waits until so many letters may be sent by the rate.
func (r *redriver) pace(ctx context.Context, n int) error {
	if err := ctx.Err(); err != nil || r.o.Rate <= 0 || r.o.DryRun {
		return err
	}
	if wait := time.Until(r.paced); wait > 0 && !backoff.Sleep(ctx, wait) {
		return ctx.Err()
	}
	r.paced = time.Now().Add(time.Duration(float64(n) / r.o.Rate * float64(time.Second)))
	return nil
}

// count counts what was sent.
func (r *redriver) count(b *batch) error {
	r.moved = time.Now()
	p := &r.progress
	p.Known += b.known
	for i := range b.letters {
		s := &b.letters[i]
		p.Sent++
		p.Topics[s.out.Topic]++
		if s.expiring {
			p.Expiring++
		}
		if s.letter.Redrives > 0 {
			p.Looped++
			p.Most = max(p.Most, s.letter.Redrives)
		}
		if r.o.Sent != nil {
			if err := r.o.Sent(&s.letter, s.out.Topic); err != nil {
				return fmt.Errorf("%w: %w", errPrinting, err)
			}
		}
	}
	return nil
}
