package natsout

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/messaging-kafka/messaging-kafka/internal/base/backoff"
	"github.com/messaging-kafka/messaging-kafka/internal/bridge/natsconn"
	"github.com/messaging-kafka/messaging-kafka/internal/observe/status"
	"github.com/messaging-kafka/messaging-kafka/internal/settings"
)

// advisories makes dead letters of messages that consumers of the route's stream have given up. JetStream tells of each
// by an advisory, once and to whoever listens; a stream keeps them (nats_advisory_stream), and a durable consumer of
// that, which all copies of the bridge share, hands out each until its letter is stored.
type advisories struct {
	o     Options
	mine  string // begins the ids of this route's messages
	name  string // of the consumer
	inbox string
	// came has the advisories, and what the server says instead of one.
	came chan *nats.Msg
	sub  *natsconn.Subscription

	// ctx ends when no more advisories are to be taken, letters when one that is being stored is given up.
	ctx, letters       context.Context
	cancel, cutLetters context.CancelFunc
	done               chan struct{}

	// What follows is the goroutine's. there says that the consumer was seen. stored are the last letters whose end the
	// server may not know of.
	there  bool
	stored recently
	// heard says that the server hears what is said of advisories, unheard since when it was last found that it does not
	// let us say it, and why.
	heard   bool
	unheard failure
	// lacks says what the stream does not keep, or why that is not known.
	lacks error
}

// failure is an error that holds for a time.
type failure struct {
	err error
	at  time.Time
}

const (
	// askFor is how long the server is asked to wait for an advisory, askTimeout how long it may take to answer at all.
	askFor     = 5 * time.Second
	askTimeout = 5 * time.Second
	// ackWait is after how long without a sign of life the server hands an advisory out again. It is longer than one
	// attempt to store a letter and the wait before the next one.
	ackWait       = 45 * time.Second
	letterTimeout = 20 * time.Second
	// lastLetter bounds what the end waits for a letter that is being stored.
	lastLetter = 3 * time.Second
)

// watching is the wait before NATS is asked again, storing the one before a letter is tried again.
var (
	watching = backoff.Backoff{First: 250 * time.Millisecond, Most: 10 * time.Second}
	storing  = backoff.Backoff{First: 250 * time.Millisecond, Most: 10 * time.Second}
)

// watchAdvisories begins to make dead letters of messages whose ids begin with mine.
func watchAdvisories(o Options, mine string) *advisories {
	sum := sha256.Sum256([]byte(mine + "\x00" + o.Route + "\x00" + o.Settings.NATS.Stream))
	w := &advisories{
		o: o, mine: mine, name: "messaging-kafka-" + hex.EncodeToString(sum[:8]), inbox: nats.NewInbox(),
		came: make(chan *nats.Msg), done: make(chan struct{}),
	}
	w.ctx, w.cancel = context.WithCancel(context.Background())
	w.letters, w.cutLetters = context.WithCancel(context.Background())
	w.sub = o.Conn.Subscribe(w.inbox, "", w.hear)
	go w.run()
	return w
}

// hear is called with what the server says.
func (w *advisories) hear(m *nats.Msg) {
	select {
	case w.came <- m:
	case <-w.ctx.Done():
		if m.Reply != "" {
			w.tell(m, wordNak) // so that the next one need not wait for it
		}
	}
}

// stop ends it, and waits for a letter that is being stored for a bounded time.
func (w *advisories) stop() {
	w.cancel()
	timer := time.AfterFunc(lastLetter, w.cutLetters)
	<-w.done
	timer.Stop()
	ctx, cancel := context.WithTimeout(context.Background(), lastLetter)
	defer cancel()
	w.sub.Drain(ctx)
	w.cutLetters()
	w.o.Conn.Note(w, "", "")
}

func (w *advisories) run() {
	defer close(w.done)
	for failures := 0; ; {
		err := w.next()
		if w.ctx.Err() != nil {
			return
		}
		if err == nil {
			w.note(w.lasting())
			failures = 0
			continue
		}
		if _, away := errors.AsType[*natsconn.AwayError](err); !away { // of that health tells already
			w.note(err)
			if failures == 0 {
				w.o.Log.Warn("what consumers of a stream give up is not stored as dead letters, trying again",
					"stream", w.o.Settings.NATS.Stream, "error", err)
			}
		}
		w.there = false
		failures++
		if !backoff.Sleep(w.ctx, watching.Spread(failures)) {
			return
		}
	}
}

// note has health tell why letters are not stored, nil that they are.
func (w *advisories) note(err error) {
	if err == nil {
		w.o.Conn.Note(w, "", "")
		return
	}
	w.o.Conn.Note(w, status.ProblemNATS, fmt.Sprintf("route %s: what consumers of the stream %s give up is not stored in %s: %v",
		w.o.Route, w.o.Settings.NATS.Stream, w.o.Settings.Delivery.DeadLetterTopic, err))
}

// lasting is what is wrong still, though the server answers. An advisory that was not finished comes again after
// ackWait, here or in another copy: what has not shown itself again by then is over.
func (w *advisories) lasting() error {
	if w.unheard.err != nil && time.Since(w.unheard.at) < 2*ackWait {
		return w.unheard.err
	}
	return w.lacks
}

// next takes one advisory, or finds that there is none.
func (w *advisories) next() error {
	if !w.there || w.lacks != nil {
		w.lacks = w.look()
		if _, away := errors.AsType[*natsconn.AwayError](w.lacks); away {
			return w.lacks
		}
	}
	if !w.there {
		if err := w.consume(); err != nil {
			return err
		}
		w.there = true
	}
	ask := nats.NewMsg("$JS.API.CONSUMER.MSG.NEXT." + w.o.Settings.NATS.AdvisoryStream + "." + w.name)
	ask.Reply, ask.Data = w.inbox, fmt.Appendf(nil, `{"batch":1,"expires":%d}`, askFor)
	failed, forget, err := w.o.Conn.Ask(ask)
	defer forget()
	if err != nil {
		return fmt.Errorf("reading the stream %s: %w", w.o.Settings.NATS.AdvisoryStream, err)
	}
	timer := time.NewTimer(askFor + askTimeout)
	defer timer.Stop()
	select {
	case m := <-w.came:
		return w.take(m)
	case err := <-failed:
		return fmt.Errorf("reading the stream %s: %w", w.o.Settings.NATS.AdvisoryStream, err)
	case <-timer.C:
		return fmt.Errorf("%w of the stream %s within %s", natsconn.ErrSilent, w.o.Settings.NATS.AdvisoryStream, askFor+askTimeout)
	case <-w.ctx.Done():
		return w.ctx.Err()
	}
}

// apiError is what JetStream's API says where something cannot be.
type apiError struct {
	Code        int    `json:"code"`
	Description string `json:"description"`
}

// ErrNoJetStream says that nobody answers for JetStream.
var ErrNoJetStream = errors.New("the server has no JetStream, or not for this account")

// api asks JetStream, and reads what it answers.
func (w *advisories) api(subject string, request, answer any) error {
	body, err := json.Marshal(request)
	if err != nil {
		return fmt.Errorf("writing a request: %w", err)
	}
	m := nats.NewMsg(subject)
	m.Data = body
	reply, err := w.o.Conn.Request(w.ctx, m, askTimeout, nil)
	if errors.Is(err, natsconn.ErrNoResponders) {
		return ErrNoJetStream
	}
	if err != nil {
		return err
	}
	if err := json.Unmarshal(reply.Data, answer); err != nil {
		return fmt.Errorf("reading the answer to %s: %w", subject, err)
	}
	return nil
}

// advisorySubjects are those on which JetStream tells of what the consumers of a stream give up.
func advisorySubjects(stream string) []string {
	const subjects = "$JS.EVENT.ADVISORY.CONSUMER."
	return []string{subjects + "MAX_DELIVERIES." + stream + ".*", subjects + "MSG_TERMINATED." + stream + ".*"}
}

// look sees whether the stream keeps advisories: one that has other subjects is as quiet as one that nobody has given
// anything up for.
func (w *advisories) look() error {
	n := &w.o.Settings.NATS
	var info streamInfo
	if err := w.api(infoSubject(n.AdvisoryStream), struct{}{}, &info); err != nil {
		return unread(n.AdvisoryStream, err)
	}
	return keepsAdvisories(n, &info)
}

// streamInfo is what JetStream answers of a stream, as far as it matters here.
type streamInfo struct {
	Error  *apiError `json:"error"`
	Config struct {
		Subjects []string          `json:"subjects"`
		Mirror   json.RawMessage   `json:"mirror"`
		Sources  []json.RawMessage `json:"sources"`
	} `json:"config"`
}

// infoSubject is where JetStream is asked of a stream.
func infoSubject(stream string) string { return "$JS.API.STREAM.INFO." + stream }

func unread(stream string, err error) error {
	return fmt.Errorf("reading the stream %s: %w", stream, err)
}

// has tells whether a stream stores what is published on a subject, or on some of those of a pattern.
func (i *streamInfo) has(pattern string) bool {
	return slices.ContainsFunc(i.Config.Subjects, func(kept string) bool { return overlap(kept, pattern) })
}

// keepsAdvisories says why a stream is none that keeps what JetStream tells of nats_stream.
func keepsAdvisories(n *settings.NATS, info *streamInfo) error {
	if info.Error != nil {
		return unread(n.AdvisoryStream, errors.New(info.Error.Description))
	}
	if len(info.Config.Mirror) > 0 || len(info.Config.Sources) > 0 {
		return nil // it has what others keep
	}
	missing := slices.DeleteFunc(advisorySubjects(n.Stream), info.has)
	if len(missing) > 0 {
		return fmt.Errorf("the stream %s does not keep what NATS tells of it: add the subject %s to it", n.AdvisoryStream, strings.Join(missing, ", and "))
	}
	return nil
}

// overlap tells whether a message could have a subject of both patterns.
func overlap(a, b string) bool {
	x, y := strings.Split(a, "."), strings.Split(b, ".")
	for i := range min(len(x), len(y)) {
		if x[i] == ">" || y[i] == ">" {
			return true
		}
		if x[i] != y[i] && x[i] != "*" && y[i] != "*" {
			return false
		}
	}
	return len(x) == len(y)
}

// consume sees that there is the consumer of advisories.
func (w *advisories) consume() error {
	n := &w.o.Settings.NATS
	type config struct {
		Name        string        `json:"name"`
		Durable     string        `json:"durable_name"`
		Description string        `json:"description"`
		Deliver     string        `json:"deliver_policy"`
		Ack         string        `json:"ack_policy"`
		AckWait     time.Duration `json:"ack_wait"`
		MaxDeliver  int           `json:"max_deliver"`
		Filters     []string      `json:"filter_subjects"`
		Replay      string        `json:"replay_policy"`
	}
	var answer struct {
		Error *apiError `json:"error"`
	}
	err := w.api("$JS.API.CONSUMER.CREATE."+n.AdvisoryStream+"."+w.name, map[string]any{
		"stream_name": n.AdvisoryStream,
		"config": config{
			Name: w.name, Durable: w.name, Description: "dead letters of route " + w.o.Route, Deliver: "all", Ack: "explicit",
			AckWait: ackWait, MaxDeliver: -1, Replay: "instant",
			Filters: advisorySubjects(n.Stream),
		},
	}, &answer)
	if err == nil && answer.Error != nil {
		err = errors.New(answer.Error.Description)
	}
	if err != nil {
		return unread(n.AdvisoryStream, err)
	}
	return nil
}

// advisory is what JetStream tells of a message that a consumer has given up.
type advisory struct {
	ID         string `json:"id"`
	Stream     string `json:"stream"`
	Consumer   string `json:"consumer"`
	Sequence   uint64 `json:"stream_seq"`
	Deliveries int    `json:"deliveries"`
	Terminated bool   `json:"-"`
	Reason     string `json:"reason"`
}

// cause says why the message was given up.
func (a *advisory) cause() error {
	who := fmt.Sprintf("the consumer %s of the stream %s", a.Consumer, a.Stream)
	switch {
	case !a.Terminated:
		return fmt.Errorf("%s has given it up after %d deliveries", who, a.Deliveries)
	case a.Reason == "":
		return fmt.Errorf("%s answers +TERM", who)
	default:
		return fmt.Errorf("%s: %s", who, a.Reason)
	}
}

// The words of a server that has no advisory, or has lost the consumer.
const (
	statusHeader  = "Status"
	statusNothing = "404"
	statusOver    = "408"
)

// take makes the letter of one advisory, and has the server forget it then.
func (w *advisories) take(m *nats.Msg) error {
	switch code := m.Header.Get(statusHeader); code {
	case "":
	case statusNothing, statusOver:
		return nil
	default:
		return fmt.Errorf("reading the stream %s: %s %s", w.o.Settings.NATS.AdvisoryStream, code, m.Header.Get("Description"))
	}
	var a advisory
	if err := json.Unmarshal(m.Data, &a); err != nil || a.Sequence == 0 || a.Stream != w.o.Settings.NATS.Stream {
		w.o.Log.Warn("a message among the advisories of a stream is none", "stream", w.o.Settings.NATS.AdvisoryStream, "subject", m.Subject)
		return w.finish(m)
	}
	a.Terminated = strings.Contains(m.Subject, ".MSG_TERMINATED.")
	if w.stored.has(a.ID) {
		return w.finish(m)
	}
	given, err := w.fetch(a.Sequence)
	if err != nil {
		w.tell(m, wordNak)
		return err
	}
	if given == nil {
		w.o.Log.Error("a message that a consumer has given up is gone from its stream: there is no dead letter of it",
			"stream", a.Stream, "sequence", a.Sequence, "consumer", a.Consumer, "reason", a.cause())
		return w.finish(m)
	}
	if !strings.HasPrefix(given.Header.Get(nats.MsgIdHdr), w.mine+"/") || given.Header.Get(routeHeader) != w.o.Route {
		return w.finish(m) // another has written it
	}
	// A letter whose end the server is never told of would be stored again and again.
	if !w.heard {
		if err := w.say(m, wordProgress); err != nil {
			return err
		}
	}
	if !w.store(m, &a, given) {
		return w.ctx.Err()
	}
	w.stored.add(a.ID)
	return w.finish(m)
}

// finish has the server hand the advisory out no more. Where it does not hear of it, another copy may make a second
// letter.
func (w *advisories) finish(m *nats.Msg) error { return w.say(m, wordAck) }

// say says a word to the server, and returns when it has heard that.
func (w *advisories) say(m *nats.Msg, word []byte) error {
	said := nats.NewMsg(m.Reply)
	said.Data = word
	_, err := w.o.Conn.Request(w.letters, said, askTimeout, nil)
	refused, is := errors.AsType[*natsconn.RefusedError](err)
	if is && !refused.Deaf {
		// The subject itself, with the numbers of the advisory in it, says less.
		err = &natsconn.RefusedError{Subject: "$JS.ACK." + w.o.Settings.NATS.AdvisoryStream + ".>"}
	}
	if err != nil {
		err = fmt.Errorf("finishing an advisory: %w", err)
	}
	w.heard = err == nil
	switch {
	case is:
		w.unheard = failure{err, time.Now()}
	case w.heard:
		w.unheard = failure{}
	}
	return err
}

// fetch gets a message of the stream, nil where it is gone.
func (w *advisories) fetch(sequence uint64) (*nats.Msg, error) {
	var answer struct {
		Error   *apiError `json:"error"`
		Message *struct {
			Subject string `json:"subject"`
			Header  []byte `json:"hdrs"`
			Data    []byte `json:"data"`
		} `json:"message"`
	}
	stream := w.o.Settings.NATS.Stream
	err := w.api("$JS.API.STREAM.MSG.GET."+stream, map[string]uint64{"seq": sequence}, &answer)
	const notFound = 404
	switch {
	case err != nil:
	case answer.Error != nil && answer.Error.Code == notFound && strings.Contains(answer.Error.Description, "message"):
		return nil, nil
	case answer.Error != nil:
		err = errors.New(answer.Error.Description)
	case answer.Message == nil:
		err = errors.New("the answer has no message")
	default:
		m := &nats.Msg{Subject: answer.Message.Subject, Data: answer.Message.Data, Header: nats.Header{}}
		if len(answer.Message.Header) > 0 {
			m.Header, err = nats.DecodeHeadersMsg(answer.Message.Header)
		}
		if err == nil {
			return m, nil
		}
	}
	return nil, fmt.Errorf("getting message %d of the stream %s: %w", sequence, stream, err)
}

// store stores a letter, however long Kafka keeps it waiting, and tells the server that it is at work. It returns false
// where the end comes first: the server hands the advisory out again then.
func (w *advisories) store(m *nats.Msg, a *advisory, given *nats.Msg) bool {
	r, err := recordOf(given, w.o.Settings.Delivery.Payload)
	if err != nil {
		w.o.Log.Error("a message that a consumer has given up is no record of this bridge: there is no dead letter of it",
			"stream", a.Stream, "sequence", a.Sequence, "consumer", a.Consumer, "error", err)
		return true
	}
	for failures := 1; ; failures++ {
		ctx, cancel := context.WithTimeout(w.letters, letterTimeout)
		err := w.o.GiveUp(ctx, r, a.Deliveries, a.cause())
		cancel()
		if err == nil {
			return true
		}
		if w.ctx.Err() != nil {
			w.tell(m, wordNak)
			return false
		}
		w.o.Conn.Note(w, status.ProblemDeadLetters, fmt.Sprintf("route %s: %v", w.o.Route, err))
		w.o.Log.Error("dead-lettering a message that a consumer has given up failed; it waits", "stream", a.Stream,
			"sequence", a.Sequence, "dead_letter_topic", w.o.Settings.Delivery.DeadLetterTopic, "error", err)
		w.tell(m, wordProgress)
		if !backoff.Sleep(w.ctx, storing.Spread(failures)) {
			w.tell(m, wordNak)
			return false
		}
		w.tell(m, wordProgress)
	}
}

// tell says a word to the server. Where that does not arrive, the advisory is handed out again after ackWait.
func (w *advisories) tell(m *nats.Msg, word []byte) {
	said := nats.NewMsg(m.Reply)
	said.Data = word
	ctx, cancel := context.WithTimeout(w.letters, time.Second)
	defer cancel()
	if err := w.o.Conn.Publish(ctx, said); err != nil {
		w.o.Log.Debug("the server was not told of an advisory", "error", err)
	}
}

// recently are the last ids of letters that were stored.
type recently struct{ ids []string }

const maxRecently = 256

func (r *recently) has(id string) bool { return id != "" && slices.Contains(r.ids, id) }

func (r *recently) add(id string) {
	if len(r.ids) == maxRecently {
		r.ids = slices.Delete(r.ids, 0, 1)
	}
	r.ids = append(r.ids, id)
}
