package soak

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/messaging-kafka/messaging-kafka/internal/record"
	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
	"github.com/messaging-kafka/messaging-kafka/test/fleet"
)

// guest is a component whose links come and go, one at a time.
type guest struct {
	id        string
	component *testkit.Component
	batches   *batchComponent
}

// side is which links can take each other's place: those of one identity.
type side struct {
	source  bool // the provider calls
	records bool // messaging-kafka:records, not wasmcloud:messaging
}

// kind is a kind of link that comes and goes.
type kind struct {
	name   string
	side   side
	face   string // the interface
	config map[string]string
	// use does something over the link now and then while it is there, if not nil.
	use func(ctx context.Context, g *guest, link string)
}

// kinds are all there are. hosts is the Kafka that is there; nobody an address at which nobody listens; silent one
// that takes connections and never says a word.
func (w *world) kinds(hosts, nobody, silent string) []kind {
	messages, target := side{source: true}, side{}
	batches, sender := side{source: true, records: true}, side{records: true}
	with := func(pairs ...string) map[string]string {
		c := linkConfig(hosts)
		c["max_buffer"] = "4MiB" // what guests have not read while they were away is not to fill the memory
		for i := 0; i < len(pairs); i += 2 {
			c[pairs[i]] = pairs[i+1]
		}
		return c
	}
	impatient := func(pairs ...string) map[string]string {
		return with(append([]string{"dial_timeout", "1s", "request_timeout", "1s", "publish_timeout", "1s"}, pairs...)...)
	}
	return []kind{
		{"readers", messages, "handler", with("topic", flyers, "consumer_group", "classic"), nil},
		{"readers in order of partitions", messages, "handler", with("topic", flyers, "consumer_group", "partition", "order", "partition", "max_in_flight", "3"), nil},
		{"readers by KIP-848", messages, "handler", with("topic", flyers, "consumer_group", "consumer", "group_protocol", "consumer"), nil},
		{"readers of a share group", messages, "handler", with("topic", flyers, "consumer_group", "share", "group_protocol", "share"), nil},
		{"readers of a pattern", messages, "handler", with("topic", `/soak\.fly.*/`, "consumer_group", "pattern", "dead_letter_topic", void), nil},
		{"readers of no topic", messages, "handler", with("topic", nowhere, "consumer_group", "nowhere"), nil},
		{"readers with a bad setting", messages, "handler", with("topic", flyers, "order", "sideways"), nil},
		{"readers from nobody", messages, "handler", impatient("topic", flyers, "hosts", nobody), nil},
		{"readers from silence", messages, "handler", impatient("topic", flyers, "hosts", silent), nil},
		{"readers by TLS where there is none", messages, "handler", impatient("topic", flyers, "security_protocol", "SSL"), nil},

		{"publishers", target, "consumer", with("compression", "zstd"), w.publish},
		{"publishers of another client", target, "consumer", with("linger", "5ms", "acks", "1"), w.publish},
		{"publishers that read too", target, "consumer", with("topic", flyers, "consumer_group", "classic"), w.publish},
		{"requesters", target, "consumer", with("request_reply_topic", answers), w.request},
		{"publishers with a bad setting", target, "consumer", with("acks", "some"), w.publish},
		{"publishers to nobody", target, "consumer", impatient("hosts", nobody), w.publish},
		{"publishers to silence", target, "consumer", impatient("hosts", silent), w.publish},
		{"publishers without a password", target, "consumer", with("security_protocol", "SASL_PLAINTEXT", "sasl_mechanism", "PLAIN"), w.publish},

		{"handlers of batches", batches, "handler", with("topic", flyers, "consumer_group", "batches"), nil},
		{"processors", batches, "processor", with("topic", flyers, "consumer_group", "processed"), nil},
		{"processors in transactions", batches, "processor", with("topic", flyers, "consumer_group", "transactions", "transactions", "true"), nil},
		{"processors from nobody", batches, "processor", impatient("topic", flyers, "hosts", nobody), nil},
		{"handlers with transactions", batches, "handler", with("topic", flyers, "transactions", "true"), nil},

		{"senders", sender, "producer", with(), w.send},
		{"senders to nobody", sender, "producer", impatient("hosts", nobody), w.send},
	}
}

// linkConfig is what links have in common.
func linkConfig(hosts string) map[string]string {
	return map[string]string{
		"hosts": hosts, "start": "latest", "handle_timeout": handleTimeout.String(), "retry_backoff": "50ms",
		"retry_backoff_max": "1s",
		"commit_interval":   "500ms", "metadata_max_age": "10s", "dial_timeout": "3s", "request_timeout": "10s",
		"publish_timeout": "5s",
	}
}

// link is a link of this kind. A group is the guest's own: with others it would share partitions.
func (k kind) link(g *guest, name string) testkit.Link {
	config := maps.Clone(k.config)
	if group, ok := config["consumer_group"]; ok {
		config["consumer_group"] = "soak." + g.id + "." + group
	} else if config["topic"] != "" {
		config["consumer_group"] = "soak." + g.id + ".other"
	}
	l := testkit.Link{Name: name, Interfaces: []string{k.face}}
	if k.side.records {
		l.Namespace, l.Package, _ = strings.Cut(recordsPackage, ":")
	}
	if k.side.source {
		l.Source, l.Target, l.SourceConfig = providerKey, g.id, config
	} else {
		l.Source, l.Target, l.TargetConfig = g.id, providerKey, config
	}
	return l
}

// churn makes, replaces and deletes links of a guest until ctx ends, each with a name that was never there before.
func (w *world) churn(ctx context.Context, g *guest, r *rand.Rand, kinds []kind) {
	for ctx.Err() == nil {
		for _, i := range r.Perm(len(kinds)) { // all of them in turn
			if ctx.Err() != nil {
				return
			}
			k := kinds[i]
			name := w.nextName()
			w.put(k.link(g, name))
			w.did(k.name)
			w.stay(ctx, g, r, k, name)
			for r.IntN(3) == 0 && ctx.Err() == nil {
				k = another(kinds, k, r)
				w.put(k.link(g, name))
				w.did("links replaced")
				w.stay(ctx, g, r, k, name)
			}
			w.delete(k.link(g, name))
			w.did("links deleted")
			fleet.Sleep(ctx, time.Duration(r.IntN(300))*time.Millisecond)
		}
	}
}

// another is another kind that can take the place of k.
func another(kinds []kind, k kind, r *rand.Rand) kind {
	for _, i := range r.Perm(len(kinds)) {
		if kinds[i].side == k.side && kinds[i].name != k.name {
			return kinds[i]
		}
	}
	return k
}

// stay uses a link for a while: sometimes for too short a time for it to start, mostly for long enough.
func (w *world) stay(ctx context.Context, g *guest, r *rand.Rand, k kind, name string) {
	hold := time.Duration(r.IntN(4000)) * time.Millisecond
	if r.IntN(4) == 0 {
		hold /= 20
	}
	ctx, cancel := context.WithTimeout(ctx, hold)
	defer cancel()
	for fleet.Sleep(ctx, time.Duration(r.IntN(200))*time.Millisecond) {
		if k.use != nil {
			k.use(ctx, g, name)
		}
	}
}

// call bounds a call of a guest. It may go on for a moment after the link is gone.
func call(ctx context.Context) (context.Context, context.CancelFunc) {
	if rand.IntN(4) == 0 {
		ctx = context.WithoutCancel(ctx)
	}
	return context.WithTimeout(ctx, 3*time.Second)
}

// publish publishes once. That it fails is news only where it never succeeds.
func (w *world) publish(ctx context.Context, g *guest, link string) {
	ctx, cancel := call(ctx)
	defer cancel()
	if err := g.component.PublishOn(ctx, link, testkit.Message{Subject: void, Body: value(0)}); err == nil {
		w.did("publishes of guests")
	} else {
		w.did("publishes of guests that failed")
	}
}

func (w *world) request(ctx context.Context, g *guest, link string) {
	ctx, cancel := call(ctx)
	defer cancel()
	if _, err := g.component.RequestOn(ctx, link, questions, []byte("?"), time.Second); err == nil {
		w.did("requests of guests")
	}
}

func (w *world) send(ctx context.Context, g *guest, link string) {
	ctx, cancel := call(ctx)
	defer cancel()
	var list []record.Outgoing
	for range 1 + rand.IntN(20) {
		list = append(list, record.Outgoing{Topic: void, Partition: record.AnyPartition, Value: value(0)})
	}
	if err := g.batches.send(ctx, link, list); err == nil {
		w.did("sends of guests")
	}
}

func (w *world) nextName() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.names++
	return fmt.Sprintf("%s%d", passingLink, w.names)
}

// passingLink is how the names of links that come and go begin.
const passingLink = "passing-"

// put and delete wait while the provider is cut off: what a host says then is lost to it, by design of the lattice.
func (w *world) put(l testkit.Link) {
	w.gate.RLock()
	defer w.gate.RUnlock()
	w.host.PutLink(l)
	w.links.Add(1)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.inPlace[l.Name+l.Source+l.Target+l.Package] = true
}

func (w *world) delete(l testkit.Link) {
	w.gate.RLock()
	defer w.gate.RUnlock()
	w.host.DeleteLink(l)
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.inPlace, l.Name+l.Source+l.Target+l.Package)
}
