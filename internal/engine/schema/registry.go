package schema

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/sr"

	"github.com/messaging-kafka/messaging-kafka/internal/base/backoff"
	"github.com/messaging-kafka/messaging-kafka/internal/base/text"
	"github.com/messaging-kafka/messaging-kafka/internal/engine/kafka"
	"github.com/messaging-kafka/messaging-kafka/internal/settings"
)

const (
	// maxAnswer bounds an answer of a registry, maxText the schema with all that it refers to, in bytes.
	maxAnswer = 1 << 20
	maxText   = 2 << 20
	// maxReferences bounds the schemas that one refers to.
	maxReferences = 200
	// maxKept and maxKeptText bound what is kept of a registry: schemas, and their bytes.
	maxKept     = 1000
	maxKeptText = 8 << 20
	// latestFor is how long the latest schema of a subject is taken for that, unknownFor how long one that the registry
	// does not know is not asked for again.
	latestFor  = time.Minute
	unknownFor = 10 * time.Second
	// maxAlone bounds the questions that have no answer while others have. One that nobody has asked for wantedFor is
	// nobody's problem any more.
	maxAlone  = 100
	wantedFor = 5 * time.Minute
)

// asking is the wait before a registry that could not be asked is asked again, whatever for.
var asking = backoff.Backoff{First: 500 * time.Millisecond, Most: 5 * time.Second}

// Registry asks one schema registry with the same credentials. Its methods may be called by many goroutines at once.
type Registry struct {
	cfg     config
	service kafka.Service
	log     *slog.Logger

	living context.Context
	cutOff context.CancelFunc
	// asks are the questions under way.
	asks sync.WaitGroup

	mu     sync.Mutex
	closed bool
	kept   map[question]*answer
	used   uint64 // counts uses, by which the answer is found that was not used for longest
	bytes  int    // of the texts of what is kept
	// gone is why the registry has no answer for anybody; failed is what it was asked for last then.
	gone   absence
	failed question
	// alone are questions that have no answer while others have, maxAlone of them at most.
	alone map[question]*absence
}

// absence is why, and since when, there is no answer.
type absence struct {
	why   *AwayError // nil where there is one
	since time.Time
	// failures are those since the last answer, and nobody asks before retryAt.
	failures int
	retryAt  time.Time
	// wanted is when somebody wanted the answer last.
	wanted time.Time
}

func (a *absence) note(why *AwayError, now time.Time) {
	if a.why == nil {
		a.since = now
	}
	a.why = why
	a.failures++
	a.retryAt = now.Add(asking.After(a.failures))
}

// question is what is asked of a registry: the schema of an id or, where that is 0, the latest of a subject.
type question struct {
	id      uint32
	subject string
}

func (q question) String() string {
	if q.subject != "" {
		return "subject " + q.subject
	}
	return fmt.Sprintf("schema %d", q.id)
}

// answer is what a registry has said, or is about to.
type answer struct {
	ready chan struct{} // closed when the answer is there
	used  uint64
	bytes int
	until time.Time // from then on it is asked for again; zero is never

	id    uint32
	codec codec
	err   error
	// before is the answer that this one is to take the place of; it is good as long as there is no other.
	before *answer
	// renewing tells that it is being asked for again, while it goes on being used.
	renewing bool
}

// good tells whether an answer is there that can be used, if need be.
func (a *answer) good() bool { return a != nil && a.codec != nil }

// config is what registries differ by.
type config struct {
	schema settings.Schema
	auth   settings.RegistryAuth
}

func newRegistry(cfg config, service kafka.Service, log *slog.Logger) *Registry {
	living, cutOff := context.WithCancel(context.Background())
	return &Registry{cfg: cfg, service: service, log: log, living: living, cutOff: cutOff, kept: map[question]*answer{}, alone: map[question]*absence{}}
}

// close ends the questions under way and waits for that.
func (r *Registry) close() {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	r.cutOff()
	r.asks.Wait()
}

var errClosed = errors.New("it is not used any more")

// byID returns what reads the values of a schema.
func (r *Registry) byID(ctx context.Context, id uint32) (codec, error) {
	a, err := r.get(ctx, question{id: id})
	if err != nil {
		return nil, err
	}
	return a.codec, nil
}

// latest returns what writes values for a subject, and the id of its schema.
func (r *Registry) latest(ctx context.Context, subject string) (uint32, codec, error) {
	a, err := r.get(ctx, question{subject: subject})
	if err != nil {
		return 0, nil, err
	}
	return a.id, a.codec, nil
}

// get returns an answer: one that is kept, or that of the registry, which is asked once for all who want to know.
func (r *Registry) get(ctx context.Context, q question) (*answer, error) {
	a, err := r.find(q)
	if err != nil {
		return nil, err
	}
	select {
	case <-a.ready:
	case <-ctx.Done():
		return nil, &AwayError{Err: fmt.Errorf("asking for %s: %w", q, ctx.Err())}
	}
	if a.err != nil {
		return nil, a.err
	}
	return a, nil
}

// find returns the answer that there is, or the one that is being asked for.
func (r *Registry) find(q question) (*answer, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	r.used++
	a := r.kept[q]
	if a != nil && (a.until.IsZero() || now.Before(a.until)) {
		a.used = r.used
		return a, nil
	}
	lacking := &r.gone
	if one := r.alone[q]; one != nil {
		one.wanted = now
		if one.retryAt.After(lacking.retryAt) {
			lacking = one
		}
	}
	switch early := now.Before(lacking.retryAt); {
	case r.closed:
		return nil, &AwayError{Err: errClosed}
	case early && a.good():
		return a, nil // nobody knows better
	case early:
		return nil, lacking.why
	case a.good() && now.Before(a.until.Add(latestFor)):
		if !a.renewing {
			a.renewing = true
			renewed := &answer{ready: make(chan struct{}), used: r.used, before: a}
			r.asks.Go(func() { r.ask(q, renewed) })
		}
		return a, nil
	}
	asked := &answer{ready: make(chan struct{}), used: r.used, before: a}
	r.put(q, asked)
	r.asks.Go(func() { r.ask(q, asked) })
	return asked, nil
}

// put keeps an answer in place of the one that there was. r.mu is held.
func (r *Registry) put(q question, a *answer) {
	if was := r.kept[q]; was != nil {
		r.bytes -= was.bytes
	}
	r.kept[q] = a
	r.bytes += a.bytes
	r.makeRoom()
}

// forget takes an answer out of what is kept. r.mu is held.
func (r *Registry) forget(q question, a *answer) {
	if r.kept[q] == a {
		delete(r.kept, q)
		r.bytes -= a.bytes
	}
}

// makeRoom forgets what was not used for longest, but for what is being asked for. r.mu is held.
func (r *Registry) makeRoom() {
	for len(r.kept) > maxKept || r.bytes > maxKeptText {
		var oldest question
		var found *answer
		for q, a := range r.kept {
			select {
			case <-a.ready:
			default:
				continue
			}
			if found == nil || a.used < found.used {
				oldest, found = q, a
			}
		}
		if found == nil {
			return
		}
		r.forget(oldest, found)
	}
}

// ask asks the registry, and tells all who wait.
func (r *Registry) ask(q question, a *answer) {
	ctx, cancel := context.WithTimeout(r.living, r.cfg.schema.Timeout)
	defer cancel()
	id, c, size, err := r.fetch(ctx, q)
	r.mu.Lock()
	defer r.mu.Unlock()
	defer close(a.ready)
	now := time.Now()
	before := a.before
	a.before = nil
	if away, is := errors.AsType[*AwayError](err); is {
		r.note(q, away, now)
		switch {
		case before.good():
			// A registry that is away for a while is no reason to publish nothing.
			before.renewing = false
			a.id, a.codec = before.id, before.codec
			r.put(q, before)
		default:
			a.err = away
			r.forget(q, a)
		}
		return
	}
	r.gone = absence{}
	delete(r.alone, q)
	switch {
	case err != nil:
		a.err, a.until = err, now.Add(unknownFor)
	case q.subject != "":
		a.until = now.Add(latestFor)
	}
	a.id, a.codec = id, c
	r.put(q, a)
	a.bytes = size
	r.bytes += size
	r.makeRoom()
}

// note takes down that a question has no answer. r.mu is held.
func (r *Registry) note(q question, away *AwayError, now time.Time) {
	if r.closed {
		return
	}
	one := r.alone[q]
	if alone := away.answered == aRegistry || away.answered == somebody && r.gives(); alone && (one != nil || len(r.alone) < maxAlone) {
		if one == nil {
			one = &absence{wanted: now}
			r.alone[q] = one
		}
		one.note(away, now)
		r.gone = absence{} // something has answered
		return
	}
	r.failed = q
	r.gone.note(away, now)
}

// gives tells whether the registry has given a schema that is kept. r.mu is held.
func (r *Registry) gives() bool {
	for _, a := range r.kept {
		if a.codec != nil {
			return true
		}
	}
	return false
}

// Away returns why the registry cannot be asked, or not for something that is wanted, and since when; nil where it can,
// as far as is known.
func (r *Registry) Away() (since time.Time, why error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.gone.why != nil {
		return r.gone.since, r.gone.why
	}
	var oldest *absence
	for _, one := range r.alone {
		if oldest == nil || one.since.Before(oldest.since) {
			oldest = one
		}
	}
	if oldest == nil {
		return time.Time{}, nil
	}
	return oldest.since, oldest.why
}

// Look asks a registry again that could not be asked, for what it was asked for last and for what it has no answer to,
// so that it is known when it can: nobody else may have something to ask.
func (r *Registry) Look(ctx context.Context) {
	r.mu.Lock()
	now := time.Now()
	var again []question
	if r.gone.why != nil {
		again = append(again, r.failed)
	}
	for q, one := range r.alone {
		switch {
		case now.Sub(one.wanted) > wantedFor:
			delete(r.alone, q)
		case r.gone.why == nil && !now.Before(one.retryAt):
			again = append(again, q)
		}
	}
	wanted := make(map[question]time.Time, len(again))
	for _, q := range again {
		if one := r.alone[q]; one != nil {
			wanted[q] = one.wanted
		}
	}
	r.mu.Unlock()
	for _, q := range again {
		_, _ = r.get(ctx, q) // what comes of it is noted
		r.mu.Lock()
		if one := r.alone[q]; one != nil && !wanted[q].IsZero() {
			one.wanted = wanted[q] // this was nobody's wish
		}
		r.mu.Unlock()
	}
}

// fetch asks the registry for a schema and all that it refers to, and reads it.
func (r *Registry) fetch(ctx context.Context, q question) (id uint32, c codec, size int, err error) {
	client, err := r.client()
	if err != nil {
		return 0, nil, 0, &AwayError{Err: err}
	}
	var s sr.Schema
	if q.subject == "" {
		id = q.id
		s, err = client.SchemaByID(ctx, int(q.id))
	} else {
		var latest sr.SubjectSchema
		latest, err = client.SchemaByVersion(ctx, q.subject, -1)
		s = latest.Schema
		if id = uint32(latest.ID); err == nil && (latest.ID < 0 || int64(id) != int64(latest.ID)) {
			err = errors.New("it gives a schema an id that no value can have")
		}
	}
	if err == nil && s.Schema == "" {
		err = errors.New("its answer has no schema")
	}
	if err != nil {
		return 0, nil, 0, r.judge(q, err)
	}
	references, size, err := r.references(ctx, client, s)
	if err != nil {
		return 0, nil, 0, err
	}
	if c, err = compile(s.Type, s.Schema, references, r.cfg.schema.Message); err != nil {
		return 0, nil, 0, unfit("%s cannot be used: %s", q, text.Clip(err.Error(), maxReason))
	}
	return id, c, size, nil
}

// maxReason bounds what a registry, or a reader of schemas, says of one, in bytes.
const maxReason = 512

// references fetches all that a schema refers to, and what that refers to, those first that others refer to.
func (r *Registry) references(ctx context.Context, client *sr.Client, s sr.Schema) (list []reference, size int, err error) {
	type place struct {
		subject string
		version int
	}
	seen, named := map[place]string{}, map[string]bool{} // texts, and names
	size = len(s.Schema)
	var add func(of []sr.SchemaReference, depth int) error
	add = func(of []sr.SchemaReference, depth int) error {
		for _, ref := range of {
			at := place{ref.Subject, ref.Version}
			if text, ok := seen[at]; ok {
				// By another name it is another schema to those that go by names; Avro's go by what stands in them.
				if s.Type == sr.TypeAvro || named[ref.Name] {
					continue
				}
				named[ref.Name] = true
				if size += len(text); size > maxText {
					return unfit("the schema and those to which it refers have more than %d bytes", maxText)
				}
				if len(list) >= maxReferences {
					return unfit("the schema refers to more than %d others", maxReferences)
				}
				list = append(list, reference{name: ref.Name, text: text})
				continue
			}
			if len(seen) >= maxReferences || depth > maxReferences {
				return unfit("the schema refers to more than %d others", maxReferences)
			}
			what := question{subject: ref.Subject}
			found, err := client.SchemaByVersion(ctx, ref.Subject, ref.Version)
			if err != nil {
				return r.judge(what, err)
			}
			if size += len(found.Schema.Schema); size > maxText {
				return unfit("the schema and those to which it refers have more than %d bytes", maxText)
			}
			seen[at], named[ref.Name] = found.Schema.Schema, true
			if err := add(found.References, depth+1); err != nil {
				return err
			}
			list = append(list, reference{name: ref.Name, text: found.Schema.Schema})
		}
		return nil
	}
	err = add(s.References, 0)
	return list, size, err
}

// client makes what asks the registry one question.
func (r *Registry) client() (*sr.Client, error) {
	httpClient, err := r.service.Client()
	if err != nil {
		return nil, err
	}
	httpClient.Transport = boundedTransport{httpClient.Transport}
	opts := []sr.ClientOpt{
		sr.URLs(slices.Clone(r.cfg.schema.Registries)...), sr.HTTPClient(httpClient), sr.UserAgent("messaging-kafka"),
	}
	switch auth := &r.cfg.auth; {
	case !auth.Token.Empty():
		opts = append(opts, sr.BearerToken(auth.Token.Reveal()))
	case auth.Username != "" || !auth.Password.Empty():
		opts = append(opts, sr.BasicAuth(auth.Username, auth.Password.Reveal()))
	}
	return sr.NewClient(opts...)
}

// boundedTransport bounds answers.
type boundedTransport struct{ http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (t boundedTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := t.RoundTripper.RoundTrip(req)
	switch {
	case err != nil:
	case resp.StatusCode == http.StatusOK:
		resp.Body = &boundedBody{body: resp.Body, left: maxAnswer}
	default: // the status says what is the matter, whatever stands below it
		resp.Body = struct {
			io.Reader
			io.Closer
		}{io.LimitReader(resp.Body, maxAnswer), resp.Body}
	}
	return resp, err
}

// boundedBody is an answer of which no more than a bound is read.
type boundedBody struct {
	body io.ReadCloser
	left int
}

var errAnswer = fmt.Errorf("the answer has more than %d bytes", maxAnswer)

// Read implements io.Reader.
func (b *boundedBody) Read(p []byte) (int, error) {
	if b.left < 0 {
		return 0, errAnswer
	}
	n, err := b.body.Read(p[:min(len(p), b.left+1)])
	if b.left -= n; b.left < 0 {
		return n, errAnswer
	}
	return n, err
}

// Close implements io.Closer.
func (b *boundedBody) Close() error { return b.body.Close() }

// unanswered says why a question has no answer.
func (r *Registry) unanswered(q question, err error) error {
	failed, ok := errors.AsType[*url.Error](err)
	if !ok {
		return fmt.Errorf("asking for %s: what answers is no schema registry: check schema_registry: %w", q, err)
	}
	host := failed.URL
	if u, err := url.Parse(failed.URL); err == nil {
		host = u.Host
	}
	if failed.Timeout() || errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("asking %s for %s: no answer within schema_registry_timeout (%s)", host, q, r.cfg.schema.Timeout)
	}
	return fmt.Errorf("asking %s for %s: %w", host, q, failed.Err)
}

// judge says of an error of a question whether it is about the schema or about the registry.
func (r *Registry) judge(q question, err error) error {
	said, answered := errors.AsType[*sr.ResponseError](err)
	switch {
	case errors.Is(err, errAnswer):
		return unfit("%s cannot be used: %v", q, errAnswer)
	case !answered:
		_, lost := errors.AsType[*url.Error](err)
		by := somebody
		if lost {
			by = nobody
		}
		return &AwayError{Err: r.unanswered(q, err), answered: by}
	}
	reason := ""
	if said.ErrorCode != 0 && said.Message != "" {
		reason = ", " + text.Clip(said.Message, maxReason)
	}
	switch code := said.ErrorCode; {
	case said.StatusCode == http.StatusNotFound && code >= 40401 && code <= 40499:
		return unfit("the schema registry does not know %s%s", q, reason)
	case said.StatusCode == http.StatusUnprocessableEntity && code != 0:
		return unfit("the schema registry refuses %s%s", q, reason)
	}
	switch said.StatusCode {
	case http.StatusUnauthorized, http.StatusForbidden:
		reason += ": check schema_registry_username, schema_registry_password and schema_registry_token, and what they may read"
	case http.StatusNotFound:
		reason += ", which is no answer of a schema registry: check schema_registry"
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		reason += ": it redirects, which is not followed, since the credentials would go there too: set schema_registry to where schemas are given"
	}
	by := nobody
	if said.ErrorCode != 0 && said.StatusCode >= http.StatusInternalServerError {
		by = aRegistry
	}
	return &AwayError{Err: fmt.Errorf("asking for %s: status %d%s", q, said.StatusCode, reason), answered: by}
}
