package simulation

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// layer stands between the copies and their Kafka, and does to requests and answers what its rules say. It knows the
// protocol, so that it can say what a broker could say, in place of the work or after it.
type layer struct {
	// late are requests that still arrive though their connections are gone.
	late sync.WaitGroup
	// wrong is told when a copy does what it must not.
	wrong func(invariant, format string, args ...any)

	// tokens are what copies come in by; nil is without.
	tokens *issuer

	// lost makes what a leader had that is followed by one without it; nil where there are no elections.
	lost func(e *election, topic [16]byte, end int64) (batch []byte, to int64)

	mu        sync.Mutex
	rules     []*rule
	denied    map[kmsg.Key]code // what requests are refused with for want of a right
	elections []*election
	ids       []string // transactional ids that were begun with
	bombs     int      // that were sent
	unlisted  []unlisted
}

// rule has something happen to the next requests of a kind, whoever makes them.
type rule struct {
	key  kmsg.Key
	way  way
	code code // where way is coded
	done bool // the code comes after the work
	left int
	// wait is how much later something comes; 0 is drawn each time.
	wait time.Duration
	rng  *rand.Rand
}

func (r *rule) String() string {
	if r.way != coded {
		return fmt.Sprintf("the next %d of %s: %s", r.left, r.key.Name(), r.way)
	}
	when := "in place of the work"
	if r.done {
		when = "after the work"
	}
	return fmt.Sprintf("the next %d of %s are answered with %s %s", r.left, r.key.Name(), r.code.err.Message, when)
}

// way is what can happen to a request or its answer.
type way string

const (
	coded way = "an error code"

	// To the request.
	requestCut    way = "cut before the request"
	requestHalf   way = "cut in the request"
	requestLate   way = "request late"
	requestTooOld way = "request late, when the connection is gone"

	// To the answer.
	answerCut     way = "cut before the answer"
	answerHalf    way = "cut in the answer"
	answerLate    way = "late"
	answerLost    way = "lost"
	answerTwice   way = "twice"
	answerSwapped way = "in the wrong order"
	answerShort   way = "truncated"
	answerDamaged way = "damaged"
	answerPieces  way = "in pieces"

	// To the batches in an answer.
	batchDamaged way = "wrong checksum"
	batchPartial way = "partial batch"
	batchBomb    way = "bomb"
)

var (
	requestWays = []way{requestCut, requestHalf, requestLate, requestTooOld}
	answerWays  = []way{answerCut, answerHalf, answerLate, answerLost, answerTwice, answerSwapped, answerShort,
		answerDamaged, answerPieces}
	batchWays = []way{batchDamaged, batchPartial, batchBomb}
)

// ways are those that can happen to a request and its answer.
func ways(key kmsg.Key) []way {
	list := slices.Concat(requestWays, answerWays)
	switch key {
	case kmsg.Fetch:
		list = append(list, batchWays...)
	case kmsg.ShareFetch:
		// Part of a batch comes in no answer of a share group: there a record is given to somebody or is not.
		list = append(list, batchDamaged, batchBomb)
	default:
	}
	return list
}

func (l *layer) add(r *rule) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rules = append(l.rules, r)
}

// clear has nothing happen any more.
func (l *layer) clear() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rules, l.denied, l.elections = nil, nil, nil
}

// deny has requests be refused from now on, and no others; nil is none.
func (l *layer) deny(denied map[kmsg.Key]code) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.denied = denied
}

// refuse is the answer to a request for which a right is missing; nil where none is.
func (l *layer) refuse(a *asked, frame []byte) []byte {
	l.mu.Lock()
	c, denied := l.denied[a.key]
	l.mu.Unlock()
	if !denied {
		return nil
	}
	answer, err := a.refuse(c, frame)
	if err != nil {
		return nil // there is nothing in it
	}
	covered.code(a.key, c, false)
	return answer
}

// bombed tells whether there were batches that are too large for anybody.
func (l *layer) bombed() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.bombs > 0
}

// use finds the first rule for a request that fits, and uses it once where apply says that it could be.
func (l *layer) use(key kmsg.Key, fits func(*rule) bool, apply func(*rule) bool) *rule {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, r := range l.rules {
		if r.key != key || !fits(r) || !apply(r) {
			continue
		}
		if r.left--; r.left <= 0 {
			l.rules = slices.Delete(l.rules, i, i+1)
		}
		switch r.way {
		case coded:
			covered.code(key, r.code, r.done)
		case answerSwapped: // if there is another one
		case batchBomb:
			l.bombs++
			covered.way(key, r.way)
		default:
			covered.way(key, r.way)
		}
		used := *r // with a source of its own, for what is drawn when the lock is free
		used.rng = branch(r.rng)
		return &used
	}
	return nil
}

// branch makes a source of its own for who draws beside others.
func branch(rng *rand.Rand) *rand.Rand { return rand.New(rand.NewPCG(rng.Uint64(), rng.Uint64())) }

// asked is a request under way.
type asked struct {
	key     kmsg.Key
	version int16
	id      int32
	since   time.Time
	// answer has the whole answer as it is on the wire, when there is one.
	answer chan []byte
	// fetch is the request where it is for records.
	fetch []byte
}

// request is what the layer knows of a request as it is on the wire: its size, key, version and correlation id come
// first.
func newAsked(frame []byte) (*asked, error) {
	if len(frame) < 14 {
		return nil, fmt.Errorf("a request of %d bytes", len(frame))
	}
	return &asked{
		key: kmsg.Key(binary.BigEndian.Uint16(frame[4:])), version: int16(binary.BigEndian.Uint16(frame[6:])),
		id: int32(binary.BigEndian.Uint32(frame[8:])), since: time.Now(), answer: make(chan []byte, 1),
	}, nil
}

// decodeRequest reads a request as it is on the wire.
func (a *asked) decodeRequest(frame []byte) (kmsg.Request, error) {
	req := kmsg.RequestForKey(int16(a.key))
	if req == nil {
		return nil, fmt.Errorf("request %d is unknown", a.key)
	}
	req.SetVersion(a.version)
	body := frame[12:]
	n := int(int16(binary.BigEndian.Uint16(body))) // the client's id
	body = body[2+max(n, 0):]
	if req.IsFlexible() {
		body = body[1:] // without tags
	}
	return req, req.ReadFrom(body)
}

func (a *asked) newResponse() kmsg.Response {
	resp := kmsg.ResponseForKey(int16(a.key))
	resp.SetVersion(a.version)
	return resp
}

// flexible tells whether the head of an answer has tags. That of ApiVersions never has.
func (a *asked) flexible(resp kmsg.Response) bool {
	return resp.IsFlexible() && a.key != kmsg.ApiVersions
}

func (a *asked) decodeAnswer(frame []byte) (kmsg.Response, error) {
	resp := a.newResponse()
	body := frame[8:]
	if a.flexible(resp) {
		body = body[1:]
	}
	return resp, resp.ReadFrom(body)
}

// encode makes an answer as it is on the wire.
func (a *asked) encode(resp kmsg.Response) []byte {
	frame := binary.BigEndian.AppendUint32(make([]byte, 4, 256), uint32(a.id))
	if a.flexible(resp) {
		frame = append(frame, 0)
	}
	frame = resp.AppendTo(frame)
	binary.BigEndian.PutUint32(frame, uint32(len(frame)-4))
	return frame
}

// refuse answers a request with an error as a broker that does nothing else.
func (a *asked) refuse(c code, frame []byte) ([]byte, error) {
	resp := a.newResponse()
	if c.top {
		setTop(resp, c.err.Code)
		return a.encode(resp), nil
	}
	req, err := a.decodeRequest(frame)
	if err != nil {
		return nil, err
	}
	if mirror(reflect.ValueOf(req).Elem(), reflect.ValueOf(resp).Elem(), c.err.Code) == 0 {
		return nil, errNothing
	}
	return a.encode(resp), nil
}

var errNothing = errors.New("there is nothing in it that could fail")

// setTop sets the error of an answer as a whole.
func setTop(resp kmsg.Response, code int16) bool {
	if fetched, ok := resp.(*kmsg.OffsetFetchResponse); ok && fetched.Version >= 8 {
		for i := range fetched.Groups {
			fetched.Groups[i].ErrorCode, fetched.Groups[i].Topics = code, nil
		}
		return len(fetched.Groups) > 0
	}
	return setCode(reflect.ValueOf(resp).Elem(), code) > 0
}

// mirror puts into an answer what a request names (topics, partitions, members, groups), with an error for the
// innermost, and counts these. Their fields have the same names in both.
func mirror(req, resp reflect.Value, code int16) (failed int) {
	inner := false
	for i := range resp.NumField() {
		to, name := resp.Field(i), resp.Type().Field(i).Name
		from := req.FieldByName(name)
		if !from.IsValid() || name == "UnknownTags" || name == "Version" {
			continue
		}
		switch {
		case structs(to) && from.Kind() == reflect.Slice:
			inner = true
			for j := range from.Len() {
				element := reflect.New(to.Type().Elem())
				element.MethodByName("Default").Call(nil)
				if structs(from) {
					failed += mirror(from.Index(j), element.Elem(), code)
				} else if id := element.Elem().FieldByName("Partition"); id.IsValid() {
					id.SetInt(from.Index(j).Int())
					failed += setCode(element.Elem(), code)
				}
				to.Set(reflect.Append(to, element.Elem()))
			}
		case to.Type() == from.Type():
			to.Set(from)
		}
	}
	if !inner {
		failed += setCode(resp, code)
	}
	return failed
}

func structs(v reflect.Value) bool {
	return v.Kind() == reflect.Slice && v.Type().Elem().Kind() == reflect.Struct
}

func setCode(v reflect.Value, code int16) int {
	field := v.FieldByName("ErrorCode")
	if !field.IsValid() {
		return 0
	}
	field.SetInt(int64(code))
	return 1
}

// fail puts an error into an answer: into some of the things that it has errors of, or into the answer as a whole.
func fail(resp kmsg.Response, c code, rng *rand.Rand) bool {
	if c.top {
		return setTop(resp, c.err.Code)
	}
	var may []func()
	switch resp := resp.(type) {
	case *kmsg.MetadataResponse:
		for i := range resp.Topics {
			t := &resp.Topics[i]
			switch c.err {
			case kerr.LeaderNotAvailable, kerr.ReplicaNotAvailable, kerr.ListenerNotFound:
				for j := range t.Partitions {
					may = append(may, func() { t.Partitions[j].ErrorCode, t.Partitions[j].Leader = c.err.Code, -1 })
				}
			default:
				may = append(may, func() { t.ErrorCode, t.Partitions = c.err.Code, nil })
			}
		}
	case *kmsg.DescribeShareGroupOffsetsResponse:
		for i := range resp.Groups {
			may = append(may, func() { resp.Groups[i].ErrorCode, resp.Groups[i].Topics = c.err.Code, nil })
		}
	default:
		may = innermost(reflect.ValueOf(resp).Elem(), 0, c.err.Code)
	}
	if len(may) == 0 {
		return false
	}
	first := rng.IntN(len(may))
	for i, set := range may {
		if i == first || rng.IntN(2) == 0 {
			set()
		}
	}
	return true
}

// innermost finds where in an answer a code can be put that is not the answer's own, and replaces no other one.
func innermost(v reflect.Value, depth int, code int16) (may []func()) {
	for _, field := range v.Fields() {
		if structs(field) {
			for j := range field.Len() {
				may = append(may, innermost(field.Index(j), depth+1, code)...)
			}
		}
	}
	if field := v.FieldByName("ErrorCode"); depth > 0 && len(may) == 0 && field.IsValid() && field.Int() == 0 {
		may = append(may, func() { field.SetInt(int64(code)) })
	}
	return may
}

// told counts the errors that an answer tells, and names them.
func (l *layer) told(a *asked, frame []byte) (names []string) {
	resp, err := a.decodeAnswer(frame)
	if err != nil {
		return nil // ApiVersions answers a version that it does not know with another one
	}
	if fetched, ok := resp.(*kmsg.FetchResponse); ok {
		l.noteUnlisted(fetched)
	}
	var walk func(v reflect.Value)
	walk = func(v reflect.Value) {
		for i := range v.NumField() {
			field, name := v.Field(i), v.Type().Field(i).Name
			switch {
			case structs(field):
				for j := range field.Len() {
					walk(field.Index(j))
				}
			case (name == "ErrorCode" || name == "AcknowledgeErrorCode") && field.Int() != 0:
				covered.told(a.key, int16(field.Int()))
				names = append(names, kerr.ErrorForCode(int16(field.Int())).Error())
			}
		}
	}
	walk(reflect.ValueOf(resp).Elem())
	return names
}

// unlisted are offsets that came in an answer which may lack the list of aborted transactions.
type unlisted struct {
	partition int32
	from, to  int64
}

// noteUnlisted notes them. The fake broker leaves that list out for the partition in which an answer has become as
// large as was asked for.
func (l *layer) noteUnlisted(resp *kmsg.FetchResponse) {
	for i := range resp.Topics {
		for j := range resp.Topics[i].Partitions {
			p := &resp.Topics[i].Partitions[j]
			end := endOf(p.RecordBatches)
			if len(p.AbortedTransactions) > 0 || end < 0 || end >= p.LastStableOffset {
				continue
			}
			from := int64(binary.BigEndian.Uint64(p.RecordBatches))
			l.mu.Lock()
			l.unlisted = append(l.unlisted, unlisted{p.Partition, from, end})
			l.mu.Unlock()
		}
	}
}

// mayLackList tells whether a record came in such an answer.
func (l *layer) mayLackList(at place) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.ContainsFunc(l.unlisted, func(u unlisted) bool {
		return u.partition == at.partition && u.from <= at.offset && at.offset < u.to
	})
}

// longest is how much later something comes at most.
const longest = 30 * time.Second

func (r *rule) late() time.Duration {
	if r.wait > 0 {
		return r.wait
	}
	return time.Duration(r.rng.Int64N(int64(longest)))
}
