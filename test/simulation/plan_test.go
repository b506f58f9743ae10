package simulation

import (
	"fmt"
	"hash/fnv"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/messaging-kafka/messaging-kafka/internal/settings"
	"github.com/messaging-kafka/messaging-kafka/internal/settings/role"
	"github.com/messaging-kafka/messaging-kafka/test/simulation/replay"
)

// plan is what a seed draws before anything begins.
type plan struct {
	seed       uint64
	protocol   string
	processor  bool // the component makes an output of each record
	exactly    bool // with transactions
	partitions int32
	brokers    int
	copies     int
	records    int
	keys       int
	trouble    time.Duration // for how long faults come
	pause      time.Duration // between records, on average
	config     map[string]string
	traps      bool    // some records make the component trap
	creates    bool    // topics for what is produced are made by the copies
	configures bool    // so are configs of the share group
	publishes  bool    // the component publishes and asks, by a link of its own
	old        bool    // the brokers are of Kafka 3.9
	tokens     *tokens // by which copies come in; nil where anybody may
	bearers    bool    // copies come in by tokens in any case
	latest     bool    // the link begins at the end, and records come when it is well
	theme      *theme
	temper     *temper
	static     bool       // copies are static members
	both       bool       // links of both directions are there from the start, where there are two
	buries     bool       // there is a topic for dead letters
	aged       bool       // brokers are old ones where they may be
	bursts     bool       // records come many at once
	wrong      []kmsg.Key // the requests that go wrong; none is all
	wrongBy    []way      // by what; none is all
	events     []event
	all        []event  // those that a run may leave out, too
	drawn      []string // the names of the settings that were drawn
}

// role is what the link that reads has the copies do.
func (p *plan) role() role.Role {
	if p.processor {
		return role.Process
	}
	return role.Messages
}

// event is one thing that happens to the world: a fault or a deed. Its details come from a source of its own, so that
// it is the same where others are left out.
type event struct {
	number int
	at     time.Duration // since the beginning
	what   string        // the name of a misfortune
}

// drawEvents draws when what happens. A seed has some kinds of events only, and more of them the fewer kinds it has:
// faults that always come together hide each other.
func (p *plan) drawEvents() {
	rng := newRand(p.seed, "events")
	kinds, gap := p.drawKinds(rng)
	anew := func(kind string) bool { return strings.HasPrefix(kind, "topic made anew") }
	if p.latest && slices.ContainsFunc(kinds, anew) {
		// A topic that is made while no copy lives cannot be told from one that was there, and begins at the end.
		without := func(names ...string) {
			kinds = slices.DeleteFunc(kinds, func(kind string) bool { return slices.Contains(names, kind) })
		}
		if rng.IntN(2) == 0 {
			kinds = slices.DeleteFunc(kinds, anew)
		} else {
			without("killed", "restarted", "link deleted", "link replaced", "link put again")
		}
	}
	for at := time.Duration(0); len(kinds) > 0; {
		if at += time.Duration(rng.Int64N(int64(2 * gap))); at >= p.trouble {
			return
		}
		p.events = append(p.events, event{number: len(p.events), at: at, what: kinds[rng.IntN(len(kinds))]})
	}
}

// draw draws the plan of a run: all that its seed has, then what the run leaves out is taken away.
func draw(run replay.Run) plan {
	seed := run.Seed
	rng := newRand(seed, "plan")
	pick := func(of ...string) string { return of[rng.IntN(len(of))] }
	p := plan{
		seed: seed, protocol: pick("classic", "classic", "consumer", "consumer", "share"),
		partitions: 1 + rng.Int32N(5), brokers: 1 + rng.IntN(3), copies: 1 + rng.IntN(3), records: 100 + rng.IntN(400),
		keys: 1 + rng.IntN(12),
	}
	p.processor = rng.IntN(2) == 0
	p.exactly = p.processor && rng.IntN(3) > 0
	p.static = rng.IntN(4) == 0
	p.drawTheme(run.Theme)
	if p.protocol == "share" {
		p.processor, p.exactly, p.static = false, false, false
	}
	p.config = map[string]string{
		"topic": input, "consumer_group": group, "start": "earliest", "group_protocol": p.protocol,
		"session_timeout": pick("6s", "10s", "30s"), "rebalance_timeout": pick("30s", "60s"),
		"commit_interval": pick("100ms", "1s", "5s"),
		"handle_timeout":  pick("5s", "20s"), "drain_timeout": pick("1s", "5s"), "retry_backoff": pick("10ms", "1s"),
		"retry_backoff_max": "5s",
		"max_in_flight":     pick("1", "4", "100"), "max_buffer": pick("1MiB", "64MiB"),
		"fetch_max_wait":  pick("100ms", "500ms"),
		"request_timeout": "10s", "metadata_max_age": "30s",
	}
	if rng.IntN(2) == 0 || p.buries {
		p.config["dead_letter_topic"] = dead
		p.config["max_attempts"] = pick("1", "3")
	}
	if p.protocol != "share" {
		p.config["order"] = pick("key", "key", "partition", "none")
		if p.static {
			p.config["group_instance_id"] = "auto"
		}
	} else {
		// The broker counts deliveries, those to copies that were killed, too, so the guest may see fewer than this.
		p.config["max_attempts"], p.config["dead_letter_topic"] = "3", dead
	}
	if p.exactly {
		p.config["transactions"] = "true"
	}
	if !locksPass && (p.processor || p.config["dead_letter_topic"] != "") {
		// The client's senders to several brokers wait for one producer id behind a lock.
		p.brokers = 1
	}
	if p.processor {
		p.config["batch_max_records"] = pick("1", "7", "100")
	}
	p.drawMore()
	p.drawSettings()
	p.pause = p.trouble / time.Duration(p.records+1)
	p.drawRetries()
	p.drawEvents()
	p.drawTokens()
	p.drawFilter()
	p.reduce(run)
	return p
}

// drawMore draws from a source of its own what was added to plans later, so that it changes nothing else of a seed.
func (p *plan) drawMore() {
	rng := newRand(p.seed, "more")
	p.traps = rng.IntN(2) == 0 || p.traps
	if !p.processor && p.protocol != "share" && rng.IntN(4) == 0 {
		p.config["tombstones"] = "skip"
	}
	if p.protocol != "share" {
		p.config["topic"] = input + "," + other
		if rng.IntN(3) == 0 {
			p.config["topic"] = "/" + input + "|" + other + "|__.*/"
		}
	}
	if (p.processor || p.config["dead_letter_topic"] != "") && rng.IntN(4) == 0 {
		p.config["create_topics"], p.creates = "true", true
	}
	p.publishes = rng.IntN(2) == 0
	if rng.IntN(2) == 0 {
		p.drawDeclared(rng)
	}
	p.old = p.protocol == "classic" && (rng.IntN(3) == 0 || p.aged)
	p.configures = p.protocol == "share" && rng.IntN(2) == 0
	if p.protocol != "share" && rng.IntN(3) == 0 {
		p.config["start"], p.latest = "latest", true
	}
}

// harmless are settings that change the outcome of no record and take no part of Kafka that is not there, whatever
// their values: those of their declarations are drawn.
var harmless = []string{
	"client_id", "metadata_max_age", "dial_timeout", "session_timeout", "rebalance_timeout", "commit_interval", "fetch_max_wait",
	"fetch_max_bytes", "rack", "max_in_flight", "batch_max_records", "batch_max_bytes", "batch_max_wait", "binary", "max_buffer",
	"retry_backoff", "drain_timeout", "log_payloads", "publish_timeout", "linger", "max_message_bytes", "partitioner", "create_topics_partitions",
}

// drawDeclared draws values of some settings from their declarations, and leaves out what nobody takes together with
// the others.
func (p *plan) drawDeclared(rng *rand.Rand) {
	all := slices.DeleteFunc(settings.Describe(), func(d settings.Description) bool {
		return !slices.Contains(harmless, d.Name)
	})
	for range 1 + rng.IntN(5) {
		d := all[rng.IntN(len(all))]
		values := slices.Concat(d.Examples, d.Words)
		if d.Default != "" {
			values = append(values, d.Default)
		}
		if len(values) == 0 {
			continue
		}
		config := maps.Clone(p.config)
		config[d.Name] = values[rng.IntN(len(values))]
		if _, err := parse(p.role(), config, "N"); err == nil {
			p.config = config
		}
	}
	if d, err := time.ParseDuration(p.config["rebalance_timeout"]); err == nil && d > time.Minute {
		// The fake broker lets the session of a member end that waits for others, and never answers it: it waits for so long.
		p.config["rebalance_timeout"] = "60s"
	}
}

// skipsTombstones tells whether the link finishes records without a value by itself.
func (p *plan) skipsTombstones() bool { return p.config["tombstones"] == "skip" }

// newRand is a source of its own for each actor, so that what one does moves no other.
func newRand(seed uint64, actor string) *rand.Rand {
	h := fnv.New64a()
	_, _ = h.Write([]byte(actor))
	return rand.New(rand.NewPCG(seed, h.Sum64()))
}

// essential are settings without which a run would be another one.
var essential = []string{"topic", "consumer_group", "start", "group_protocol", "transactions", "create_topics"}

// reduce takes away what a run leaves out.
func (p *plan) reduce(run replay.Run) {
	p.all = p.events
	p.events = slices.DeleteFunc(slices.Clone(p.events), func(e event) bool { return !run.Has(e.number) })
	most := func(drawn, most int) int {
		if most > 0 {
			return min(drawn, most)
		}
		return drawn
	}
	p.records, p.copies = most(p.records, run.Records), most(p.copies, run.Copies)
	p.trouble = time.Duration(most(int(p.trouble), int(run.Trouble)))
	p.drawn = slices.DeleteFunc(slices.Sorted(maps.Keys(p.config)), func(name string) bool { return slices.Contains(essential, name) })
	for _, name := range run.Plain {
		delete(p.config, name)
	}
}

// describe tells the plan to a person.
func (p *plan) describe() []string {
	lines := []string{
		fmt.Sprintf("seed %d: %d copies, %d brokers, %d partitions; %d records with %d keys within %s", p.seed, p.copies, p.brokers, p.partitions,
			p.records, p.keys, p.trouble),
		p.describeTheme(),
		fmt.Sprintf("the link is of %s; some records are traps: %v; brokers of Kafka 3.9: %v", p.role(), p.traps, p.old),
	}
	if p.tokens != nil {
		lines = append(lines, fmt.Sprintf("copies come in by tokens of %s, brokers have them authenticate again after %s", p.tokens.life, p.tokens.session))
	}
	for _, name := range slices.Sorted(maps.Keys(p.config)) {
		lines = append(lines, "  "+name+"="+p.config[name])
	}
	return lines
}
