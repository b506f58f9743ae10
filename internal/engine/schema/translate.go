package schema

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/messaging-kafka/messaging-kafka/internal/base/memory"
	"github.com/messaging-kafka/messaging-kafka/internal/payload"
	"github.com/messaging-kafka/messaging-kafka/internal/record"
	"github.com/messaging-kafka/messaging-kafka/internal/settings"
)

// Codec makes JSON of the keys and values of a link's records, and records of JSON. Its methods may be called by many
// goroutines at once. A nil Codec changes nothing.
type Codec struct {
	schema  settings.Schema
	pool    *Pool
	account *memory.Account

	mu      sync.Mutex
	now     *Registry
	release func()
}

// NewCodec returns the codec of a link's settings, nil where they have none. It takes the memory for what it makes from
// account, which is its own from now on.
func NewCodec(pool *Pool, s *settings.Link, account *memory.Account) (*Codec, error) {
	registry, release, err := pool.acquire(s.Schema, &s.Cluster.Security)
	if err != nil {
		account.Close()
		return nil, err
	}
	return &Codec{schema: s.Schema, pool: pool, account: account, now: registry, release: release}, nil
}

// Use has the codec ask with other credentials from now on.
func (c *Codec) Use(security *settings.Security) error {
	if c == nil {
		return nil
	}
	registry, release, err := c.pool.acquire(c.schema, security)
	if err != nil {
		return err
	}
	c.mu.Lock()
	before := c.release
	c.now, c.release = registry, release
	c.mu.Unlock()
	before()
	return nil
}

// Close ends the codec. Nobody uses it any more.
func (c *Codec) Close() {
	if c == nil {
		return
	}
	c.mu.Lock()
	release := c.release
	c.mu.Unlock()
	release()
	c.account.Close()
}

func (c *Codec) registry() *Registry {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Away returns why the registry cannot be asked, and since when; nil where it can, as far as is known.
func (c *Codec) Away() (since time.Time, why error) {
	if c == nil {
		return time.Time{}, nil
	}
	return c.registry().Away()
}

// Look asks a registry again that could not be asked.
func (c *Codec) Look(ctx context.Context) {
	if c != nil {
		c.registry().Look(ctx)
	}
}

// part is one of the two places of a record that a schema may describe.
type part struct{ name string }

var (
	keyPart   = part{"key"}
	valuePart = part{"value"}
)

// concerns tells whether records of a topic are framed.
func (c *Codec) concerns(topic string) bool {
	return len(c.schema.Topics) == 0 ||
		slices.ContainsFunc(c.schema.Topics, func(pattern string) bool { return settings.MatchTopic(pattern, topic) })
}

// subject is where the schema for a part of a topic's records is found.
func (c *Codec) subject(topic string, of part) string {
	return strings.NewReplacer("{topic}", topic, "{part}", of.name).Replace(c.schema.Subject)
}

// Held is memory that what a codec has made takes, until it is given back.
type Held struct {
	account *memory.Account
	bytes   int64
}

// Free gives the memory back. It may be called more than once.
func (h *Held) Free() {
	h.account.Give(h.bytes)
	h.bytes = 0
}

// Decode returns a record whose parts are JSON, and which knows what it was; r itself where there is nothing to be
// changed. What was made counts in held. An error is an [*AwayError], a
// [*ShortError] or an [*UnfitError].
func (c *Codec) Decode(ctx context.Context, r *record.Record, held *Held) (*record.Record, error) {
	if c == nil || !c.concerns(r.Topic) {
		return r, nil
	}
	held.account = c.account
	key, value, isJSON := r.Key, r.Value, false
	var err error
	if c.schema.Parts.HasKey() {
		if key, _, err = c.read(ctx, keyPart, r.Key, held); err != nil {
			return nil, err
		}
	}
	if c.schema.Parts.HasValue() {
		if value, isJSON, err = c.read(ctx, valuePart, r.Value, held); err != nil {
			return nil, err
		}
	}
	return r.WithContent(key, value, isJSON), nil
}

// read makes JSON of a part. A null stays one.
func (c *Codec) read(ctx context.Context, of part, framed []byte, held *Held) (out []byte, isJSON bool, err error) {
	if framed == nil {
		return nil, false, nil
	}
	id, rest, is := parseFrame(framed)
	switch {
	case !is && c.schema.Unframed == settings.UnframedPass:
		return framed, false, nil
	case !is:
		return nil, false, unfit("the %s is not framed by a schema registry: it does not begin with a zero byte and the id of a schema", of.name)
	}
	reads, err := c.registry().byID(ctx, id)
	if errors.Is(err, errClosed) { // other credentials took its place meanwhile
		reads, err = c.registry().byID(ctx, id)
	}
	if err != nil {
		return nil, false, told(of, err)
	}
	out, err = c.expand(ctx, reads, rest, held)
	if err != nil {
		return nil, false, told(of, err, fmt.Sprintf("schema %d", id))
	}
	return out, true, nil
}

// told says of which part an error is.
func told(of part, err error, more ...string) error {
	if e, ok := errors.AsType[*UnfitError](err); ok {
		return &UnfitError{Text: strings.Join(append([]string{of.name}, append(more, e.Text)...), ": ")}
	}
	return err
}

const (
	// smallJSON is what may be made without more ado; what needs more is made one at a time, up to largeJSON.
	smallJSON = 1 << 20
	largeJSON = 64 << 20
)

// expand makes JSON of a value, and takes memory for it.
func (c *Codec) expand(ctx context.Context, by codec, value []byte, held *Held) ([]byte, error) {
	small := max(smallJSON, 4*len(value))
	out, err := by.decode(value, small)
	if _, larger := errors.AsType[*tooLargeError](err); larger && small < largeJSON {
		limit := int(min(largeJSON, c.account.Largest()))
		done := c.account.Alone(int64(limit))
		out, err = by.decode(value, limit)
		done()
	}
	if e, is := errors.AsType[*tooLargeError](err); is {
		return nil, &UnfitError{Text: e.Error()}
	}
	if err != nil {
		return nil, err
	}
	return out, c.take(ctx, int64(len(out)), held)
}

// take takes memory for what was made. Who has none yet waits for it; others would wait for each other.
func (c *Codec) take(ctx context.Context, n int64, held *Held) error {
	if !c.account.FitsEver(n) {
		return unfit("its JSON has %d bytes, for which there is no memory (provider_max_memory)", n)
	}
	for !c.account.Take(n) {
		if held.bytes > 0 {
			return &ShortError{n}
		}
		select {
		case <-c.account.Freed():
		case <-ctx.Done():
			return &ShortError{n}
		}
	}
	held.bytes += n
	return nil
}

// Encode returns a record whose parts are framed as their schemas have it. An error is an [*AwayError] or an
// [*UnfitError].
func (c *Codec) Encode(ctx context.Context, out record.Outgoing) (record.Outgoing, error) {
	if c == nil {
		return out, nil
	}
	topic := topicOf(out.Topic)
	if topic == "" || !c.concerns(topic) {
		return out, nil // whoever sends it refuses what is no topic
	}
	var err error
	if c.schema.Parts.HasKey() {
		if out.Key, err = c.write(ctx, keyPart, topic, out.Key); err != nil {
			return out, err
		}
	}
	if c.schema.Parts.HasValue() {
		if out.Value, err = c.write(ctx, valuePart, topic, out.Value); err != nil {
			return out, err
		}
	}
	return out, nil
}

// topicOf is the topic of a subject, "" where it is none.
func topicOf(subject string) string {
	if address, err := record.ParseSubject(subject); err == nil {
		return address.Topic
	}
	return ""
}

// write frames a part. A null stays one.
func (c *Codec) write(ctx context.Context, of part, topic string, text []byte) ([]byte, error) {
	if text == nil {
		return nil, nil
	}
	subject := c.subject(topic, of)
	id, writes, err := c.registry().latest(ctx, subject)
	if errors.Is(err, errClosed) {
		id, writes, err = c.registry().latest(ctx, subject)
	}
	if err != nil {
		return nil, told(of, err)
	}
	if cost := payload.JSONCost(text); cost > smallJSON {
		defer c.account.Alone(cost)()
	}
	framed, err := writes.encode(appendFrame(make([]byte, 0, headSize+len(text)), id), text, largeJSON)
	if err != nil {
		return nil, told(of, err, fmt.Sprintf("schema %d of subject %s", id, subject))
	}
	return framed, nil
}

// Subject is a place in the registry where the schema of a topic is found, and what was found there.
type Subject struct {
	Name string
	// Err is an [*AwayError] where the registry cannot be asked, and an [*UnfitError] where it has no schema that can be
	// used.
	Err error
}

// Subjects asks for the schemas by which records would be written to a topic. There are none where its records are not
// framed.
func (c *Codec) Subjects(ctx context.Context, topic string) []Subject {
	if !c.concerns(topic) {
		return nil
	}
	var found []Subject
	for _, of := range []part{keyPart, valuePart} {
		if of == keyPart && c.schema.Parts.HasKey() || of == valuePart && c.schema.Parts.HasValue() {
			name := c.subject(topic, of)
			_, _, err := c.registry().latest(ctx, name)
			found = append(found, Subject{name, err})
		}
	}
	return found
}
