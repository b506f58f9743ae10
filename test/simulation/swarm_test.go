package simulation

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/messaging-kafka/messaging-kafka/test/simulation/replay"
)

// theme is what a seed has much of. Where a seed has a little of everything, nothing comes twice within the few seconds
// in which two things make a fault together, and what is rare hides behind what is frequent. So most seeds have a few
// kinds of misfortunes of one theme, and these often, in a run that is short.
type theme struct {
	name string
	// weight is how many seeds have it, compared with the others.
	weight int
	// leads are the misfortunes of which a seed has one in any case, and kinds those of which it has some more. Without
	// both it is any.
	leads, kinds []string
	// requests are those of which some go wrong, where wrongRequests is drawn; none is all that the plan makes.
	requests []kmsg.Key
	// shape has the plan fit, after it was drawn.
	shape func(p *plan, rng *rand.Rand)
	// config are settings under which the theme tells most, where a plan has them; of several values one is drawn.
	config map[string][]string
	// by are the families of ways by which requests go wrong; none is all.
	by [][]way
	// gaps are how long may lie between two events on average.
	gaps []time.Duration
}

// often is how long lies between two events of most themes, seldom that of those in which one is to be over before the
// next comes.
var (
	often  = []time.Duration{time.Second, 2 * time.Second, 4 * time.Second, 10 * time.Second}
	seldom = []time.Duration{8 * time.Second, 16 * time.Second}
)

// usual is the theme of seeds that have a little of everything.
const usual = "everything"

// ofMembers, ofCommits, ofTransactions and ofLogs are requests by which a group, its offsets, transactions and logs are
// kept.
var (
	ofMembers      = []kmsg.Key{kmsg.JoinGroup, kmsg.SyncGroup, kmsg.Heartbeat, kmsg.LeaveGroup, kmsg.ConsumerGroupHeartbeat}
	ofCommits      = []kmsg.Key{kmsg.OffsetCommit, kmsg.OffsetCommit, kmsg.OffsetCommit, kmsg.TxnOffsetCommit, kmsg.EndTxn, kmsg.OffsetFetch}
	ofTransactions = []kmsg.Key{
		kmsg.Produce, kmsg.InitProducerID, kmsg.AddPartitionsToTxn, kmsg.AddOffsetsToTxn, kmsg.TxnOffsetCommit, kmsg.EndTxn,
	}
	ofLogs = []kmsg.Key{kmsg.Fetch, kmsg.ListOffsets, kmsg.OffsetForLeaderEpoch, kmsg.Metadata, kmsg.ShareFetch}
	// sessions are short ones, as those of themes: who was killed holds nobody up for long.
	sessions = []string{"6s", "6s", "10s"}
)

var themes = []theme{
	{name: usual, weight: 3},
	{name: "anything, often", weight: 1},
	{
		name: "members come and go", weight: 4, requests: ofMembers,
		leads: []string{"members forgotten", "forgotten at a request", "forgotten at a request", "forgotten as it joins"},
		kinds: []string{"stranger joins", "killed", "restarted", "coordinators move", "instance fenced", "slow answers", wrongRequests},
		shape: func(p *plan, rng *rand.Rand) {
			p.protocol, p.copies = someOf(rng, "classic", "classic", "classic", "consumer"), 2+rng.IntN(2)
			p.processor = rng.IntN(3) > 0
			p.exactly, p.trouble = p.processor, long(rng)
		},
	},
	{
		name: "members that are forgotten", weight: 3, requests: ofMembers, gaps: seldom,
		leads:  []string{"forgotten as it joins"},
		kinds:  []string{"coordinators move", "stranger joins"},
		config: map[string][]string{"commit_interval": {"100ms", "1s"}, "batch_max_records": {"1", "7"}, "max_in_flight": {"4", "100"}},
		shape: func(p *plan, rng *rand.Rand) {
			p.protocol, p.copies, p.partitions = "classic", 2+rng.IntN(2), 1+rng.Int32N(3)
			p.processor, p.exactly, p.trouble, p.bursts = true, true, long(rng), false
			p.records = 200 + rng.IntN(200)
			p.temper = &tempers[rng.IntN(3)]
		},
	},
	{
		name: "a copy that nobody hears", weight: 4, requests: ofMembers, gaps: seldom,
		leads: []string{"frozen", "frozen", "network away", "misled", "misled"},
		kinds: []string{"slow answers", "stranger joins", "restarted"},
		config: map[string][]string{
			"handle_timeout": {"20s"}, "max_in_flight": {"4", "100"}, "commit_interval": {"100ms", "1s"},
		},
		shape: func(p *plan, rng *rand.Rand) {
			p.protocol, p.copies = someOf(rng, "classic", "classic", "classic", "consumer"), 2+rng.IntN(2)
			p.temper = &slowTempers[1+rng.IntN(len(slowTempers)-1)]
			p.trouble = long(rng)
		},
	},
	{
		name: "brokers that do not coordinate the group", weight: 3, requests: ofMembers, gaps: seldom,
		leads:  []string{"misled"},
		kinds:  []string{"misled", "stranger joins"},
		config: map[string][]string{"handle_timeout": {"20s"}, "max_in_flight": {"4", "100"}, "commit_interval": {"1s", "5s"}},
		shape: func(p *plan, rng *rand.Rand) {
			p.protocol, p.copies, p.keys = "classic", 1+rng.IntN(3), 4+rng.IntN(8)
			p.temper, p.trouble, p.bursts = &slowTempers[rng.IntN(len(slowTempers))], long(rng), false
			p.exactly = false // a commit ends what the group has forgotten
		},
	},
	{
		name: "leaders without the newest records", weight: 6, requests: ofLogs,
		leads: []string{"unclean elections"},
		kinds: []string{"killed", "restarted", "members forgotten", "link deleted", "large batches", "large batches"},
		config: map[string][]string{
			"order": {"key", "key", "partition", "none"}, "batch_max_records": {"7", "100", "500"}, "max_in_flight": {"4", "100"},
			"max_buffer": {"1MiB", "64MiB"}, "commit_interval": {"100ms", "1s"},
		},
		shape: func(p *plan, rng *rand.Rand) {
			p.protocol, p.copies, p.partitions = someOf(rng, "classic", "consumer"), 1+rng.IntN(2), 1+rng.Int32N(2)
			p.processor, p.keys, p.bursts = rng.IntN(3) > 0, 1+rng.IntN(3), true
			p.exactly, p.trouble = p.processor && rng.IntN(2) == 0, long(rng)
			p.temper = &slowTempers[rng.IntN(len(slowTempers))]
		},
	},
	{
		name: "owners that end at an election", weight: 2, requests: ofLogs,
		leads: []string{"ends at an election"},
		kinds: []string{"unclean elections", "members forgotten"},
		config: map[string][]string{
			"order": {"key", "none"}, "max_in_flight": {"4", "100"}, "max_buffer": {"64MiB"}, "commit_interval": {"100ms", "1s"},
		},
		shape: func(p *plan, rng *rand.Rand) {
			p.protocol, p.copies, p.partitions = someOf(rng, "classic", "consumer"), 1+rng.IntN(2), 1+rng.Int32N(2)
			p.processor, p.exactly, p.keys, p.trouble = false, false, 4+rng.IntN(8), long(rng)
			p.temper = &slowTempers[rng.IntN(len(slowTempers))]
		},
	},
	{
		name: "topics come and go", weight: 5, requests: []kmsg.Key{kmsg.Metadata, kmsg.Fetch, kmsg.ListOffsets, kmsg.OffsetFetch},
		gaps:   []time.Duration{4 * time.Second, 8 * time.Second, 16 * time.Second},
		leads:  []string{"topic made anew", "topic made anew", "topic made anew twice", "topic made anew twice", "partitions added"},
		kinds:  []string{"killed", "restarted", "large batches", "link deleted", "members forgotten"},
		config: map[string][]string{"max_buffer": {"1MiB", "64MiB"}},
		shape: func(p *plan, rng *rand.Rand) {
			p.protocol, p.copies, p.partitions = someOf(rng, "classic", "consumer"), 1+rng.IntN(2), 1+rng.Int32N(3)
		},
	},
	{
		name: "damage", weight: 3, requests: []kmsg.Key{kmsg.Fetch, kmsg.ShareFetch},
		leads: []string{"damaged batches"},
		kinds: []string{wrongRequests, "large batches", "log start moves", "retention", "compaction", "restarted", "leaders move"},
		shape: func(p *plan, rng *rand.Rand) {
			p.protocol = someOf(rng, "classic", "classic", "consumer", "consumer", "share")
			p.bursts, p.copies, p.partitions = true, 1+rng.IntN(2), 1+rng.Int32N(2)
		},
	},
	{
		name: "links come and go", weight: 4,
		leads: []string{"link deleted"},
		kinds: []string{"link put again", "link put again", "link replaced", "restarted", "component away"},
		shape: func(p *plan, rng *rand.Rand) {
			p.processor, p.exactly, p.both, p.buries = false, false, true, true
			p.temper = &tempers[len(tempers)-1]
		},
	},
	{
		name: "commits that go wrong", weight: 4, requests: ofCommits,
		leads:  []string{wrongRequests},
		kinds:  []string{"slow answers", "clock jumps", "restarted"},
		config: map[string][]string{"commit_interval": {"100ms", "1s"}},
		by:     families[:2],
		shape: func(p *plan, rng *rand.Rand) {
			p.protocol = someOf(rng, "classic", "consumer")
			p.exactly, p.copies = p.exactly && rng.IntN(2) == 0, 1+rng.IntN(2)
			p.temper = &tempers[0] // all is finished soon, and what comes late comes later than that
		},
	},
	{
		name: "transactions", weight: 3, requests: ofTransactions, gaps: []time.Duration{2 * time.Second, 8 * time.Second},
		leads: []string{wrongRequests, wrongRequests, "producer fenced", "frozen", "network away", "slow answers"},
		kinds: []string{"transaction hangs", "members forgotten", "coordinators move", "killed"},
		shape: func(p *plan, rng *rand.Rand) {
			p.protocol, p.processor, p.exactly, p.aged = someOf(rng, "classic", "classic", "consumer"), true, true, rng.IntN(2) == 0
		},
	},
	{
		name: "rights that come and go", weight: 2, requests: ofTransactions,
		leads:  []string{"rights taken"},
		kinds:  []string{"coordinators move", "restarted", wrongRequests},
		config: map[string][]string{"commit_interval": {"100ms", "1s"}},
		by:     [][]way{{coded}},
		shape: func(p *plan, rng *rand.Rand) {
			p.protocol, p.processor, p.exactly, p.aged = someOf(rng, "classic", "classic", "consumer"), true, true, rng.IntN(2) == 0
			p.temper, p.trouble = &tempers[rng.IntN(2)], long(rng)
		},
	},
	{
		name: "transactions that are handed over", weight: 1, requests: ofTransactions, gaps: seldom,
		leads: []string{"handed over in a commit"},
		kinds: []string{"restarted", "coordinators move", wrongRequests},
		by:    [][]way{{requestLate, answerLate, answerLost}},
		config: map[string][]string{
			"commit_interval": {"100ms", "1s"}, "batch_max_records": {"1", "7"}, "max_in_flight": {"4", "100"}, "rebalance_timeout": {"10s", "30s"},
			"handle_timeout": {"5s"},
		},
		shape: func(p *plan, rng *rand.Rand) {
			p.protocol, p.processor, p.exactly = someOf(rng, "classic", "consumer"), true, true
			p.copies, p.partitions, p.temper, p.trouble, p.bursts = 1+rng.IntN(2), 2+rng.Int32N(3), &tempers[rng.IntN(3)], long(rng), false
			p.records = 200 + rng.IntN(200)
		},
	},
	{
		name: "static members", weight: 2, requests: ofMembers,
		leads: []string{"restarted", "killed", "instance fenced"},
		kinds: []string{"link deleted", "members forgotten", "stranger joins", "restarted"},
		shape: func(p *plan, rng *rand.Rand) {
			p.protocol, p.static = someOf(rng, "classic", "consumer", "consumer"), true
		},
	},
	{
		name: "tokens", weight: 2, requests: []kmsg.Key{kmsg.SASLHandshake, kmsg.SASLAuthenticate},
		leads: []string{wrongRequests, "connections cut"},
		kinds: []string{"connections cut", "network away", "restarted", "leaders move"},
		shape: func(p *plan, rng *rand.Rand) { p.bearers, p.trouble = true, long(rng) },
	},
	{
		name: "stops", weight: 4, gaps: []time.Duration{4 * time.Second, 8 * time.Second},
		leads:  []string{"restarted"},
		kinds:  []string{"killed", "component away", "link deleted"},
		config: map[string][]string{"handle_timeout": {"20s"}, "drain_timeout": {"0s", "250ms", "1s", "5s"}},
		shape:  func(p *plan, rng *rand.Rand) { p.temper = &tempers[1+rng.IntN(len(tempers)-1)] },
	},
	{
		name: "a component that fails", weight: 2,
		leads:  []string{"component away", "clock jumps", "large batches", "link replaced"},
		kinds:  []string{"restarted", "members forgotten", "leaders move"},
		config: map[string][]string{"batch_max_records": {"7", "100", "500"}},
		shape: func(p *plan, rng *rand.Rand) {
			p.protocol, p.processor, p.traps, p.bursts = someOf(rng, "classic", "consumer"), rng.IntN(4) > 0, true, true
			p.exactly = p.exactly && p.processor
			p.temper = &tempers[len(tempers)-1]
		},
	},
	{
		name: "share groups", weight: 2, requests: []kmsg.Key{kmsg.ShareGroupHeartbeat, kmsg.ShareFetch, kmsg.ShareAcknowledge, kmsg.ShareGroupDescribe},
		leads: []string{"partitions added", "topic made anew", "killed", "restarted"},
		kinds: []string{"leaders move", "members forgotten", "stranger joins", "link deleted", wrongRequests},
		shape: func(p *plan, rng *rand.Rand) {
			p.protocol, p.copies, p.brokers, p.partitions = "share", 2+rng.IntN(2), 2+rng.IntN(2), 1+rng.Int32N(3)
		},
	},
}

// long is how long faults come in themes of which one event in many does it.
func long(rng *rand.Rand) time.Duration { return time.Duration(90+rng.IntN(180)) * time.Second }

func someOf(rng *rand.Rand, of ...string) string { return of[rng.IntN(len(of))] }

// drawTheme draws the theme of a plan and has the plan fit it.
func (p *plan) drawTheme(given string) {
	rng := newRand(p.seed, "theme")
	all := 0
	for _, t := range themes {
		all += t.weight
	}
	x := rng.IntN(all)
	i := slices.IndexFunc(themes, func(t theme) bool {
		x -= t.weight
		return x < 0
	})
	if given != "" {
		i = slices.IndexFunc(themes, func(t theme) bool { return t.name == given })
	}
	p.theme, p.temper = &themes[i], &tempers[0]
	if p.theme.name == usual {
		p.trouble = time.Duration(1+rng.IntN(9)) * time.Minute
		return
	}
	p.trouble = time.Duration(20+rng.IntN(130)) * time.Second
	p.records, p.keys, p.bursts = 40+rng.IntN(260), 1+rng.IntN(4), rng.IntN(2) == 0
	if rng.IntN(2) == 0 {
		p.temper = &tempers[rng.IntN(len(tempers))]
	}
	if p.theme.shape != nil {
		p.theme.shape(p, rng)
	}
	if p.temper.slowest > 5*time.Second {
		p.records = min(p.records, 100) // all are to be finished in the end
	}
}

// drawSettings draws the settings of the theme.
func (p *plan) drawSettings() {
	rng := newRand(p.seed, "settings of the theme")
	if p.theme.name == usual {
		return
	}
	p.config["session_timeout"] = someOf(rng, sessions...)
	for _, name := range slices.Sorted(maps.Keys(p.theme.config)) {
		if _, has := p.config[name]; has {
			p.config[name] = someOf(rng, p.theme.config[name]...)
		}
	}
}

// drawKinds draws which kinds of events a plan has, and how long lies between two on average.
func (p *plan) drawKinds(rng *rand.Rand) (kinds []string, gap time.Duration) {
	var fit []string
	for _, m := range slices.Concat(misfortunes, deeds) {
		if m.fits == nil || m.fits(p) {
			fit = append(fit, m.name)
		}
	}
	if p.theme.name == usual {
		kinds = slices.DeleteFunc(fit, func(string) bool { return rng.IntN(2) == 0 })
		return kinds, time.Duration(1+rng.IntN(15)) * time.Second
	}
	leads, more := fit, fit
	if p.theme.leads != nil {
		unfit := func(kind string) bool { return !slices.Contains(fit, kind) }
		leads, more = slices.DeleteFunc(slices.Clone(p.theme.leads), unfit), slices.DeleteFunc(slices.Clone(p.theme.kinds), unfit)
	}
	if len(leads) > 0 {
		kinds = append(kinds, leads[rng.IntN(len(leads))])
	}
	for range rng.IntN(3) {
		kinds = append(kinds, more[rng.IntN(len(more))])
	}
	slices.Sort(kinds)
	kinds = slices.Compact(kinds)
	if slices.Contains(kinds, wrongRequests) {
		p.drawWrongs(rng)
	}
	gaps := often
	if p.theme.gaps != nil {
		gaps = p.theme.gaps
	}
	return kinds, gaps[rng.IntN(len(gaps))]
}

// drawWrongs draws which requests go wrong, and how: a few of each.
func (p *plan) drawWrongs(rng *rand.Rand) {
	keys := p.makes()
	if p.theme.requests != nil {
		keys = slices.DeleteFunc(slices.Clone(p.theme.requests), func(key kmsg.Key) bool { return !slices.Contains(keys, key) })
	}
	for range 1 + rng.IntN(3) {
		if len(keys) > 0 {
			p.wrong = append(p.wrong, keys[rng.IntN(len(keys))])
		}
	}
	by, least := families, 0 // none is all
	if p.theme.by != nil {
		by, least = p.theme.by, 1
	}
	for range least + rng.IntN(3-least) {
		p.wrongBy = append(p.wrongBy, by[rng.IntN(len(by))]...)
	}
}

// families are ways that have something in common.
var families = [][]way{
	{requestLate, requestTooOld, requestTooOld, answerLate, answerLost, answerTwice, answerSwapped},
	{requestCut, requestHalf, requestTooOld, answerCut, answerHalf, answerLost},
	{answerShort, answerDamaged, answerPieces},
	{batchDamaged, batchPartial, batchBomb},
	{coded},
}

// temper is how a component takes its calls: of a thousand, how many end how.
type temper struct {
	name                                                    string
	hangs, notAccepted, wrongCount, slow, retries, rejected int
	// slowest is how long a slow one takes at most, poison of how many records one makes the component trap.
	slowest time.Duration
	poison  int
}

var tempers = []temper{
	{name: "a quick one", hangs: 4, notAccepted: 2, wrongCount: 3, slow: 11, slowest: 4 * time.Second, retries: 60, rejected: 10, poison: 50},
	{name: "a slow one", hangs: 2, notAccepted: 1, wrongCount: 1, slow: 300, slowest: 2 * time.Second, retries: 60, rejected: 10, poison: 100},
	{name: "one that is slow at times", hangs: 5, slow: 80, slowest: 15 * time.Second, retries: 60, rejected: 10, poison: 100},
	{name: "one that takes long", hangs: 10, slow: 400, slowest: 15 * time.Second, retries: 40, rejected: 10, poison: 100},
	{name: "one that fails", hangs: 10, notAccepted: 10, wrongCount: 20, slow: 11, slowest: 4 * time.Second, retries: 150, rejected: 100, poison: 12},
}

// slowTempers are those of components that are at work at most times.
var slowTempers = tempers[1:4]

// Each theme has kinds that are there, and settings that go together, and some seed has each of the kinds.
func TestEachThemeIsDrawn(t *testing.T) {
	known := make(map[string]bool)
	for _, m := range happenings() {
		known[m.name] = true
	}
	left := make(map[string]bool)
	for _, th := range themes {
		for _, kind := range slices.Concat(th.leads, th.kinds) {
			if !known[kind] {
				t.Errorf("%s has %q, which is no misfortune", th.name, kind)
			}
			left[th.name+": "+kind] = true
		}
		left[th.name] = true
	}
	for seed := range uint64(5000) {
		p := draw(replay.Of(seed))
		if _, err := parse(p.role(), p.config, "N"); err != nil {
			t.Errorf("seed %d draws settings that nobody takes: %v", seed, err)
		}
		delete(left, p.theme.name)
		for _, e := range p.events {
			delete(left, p.theme.name+": "+e.what)
		}
	}
	for name := range left {
		t.Errorf("no seed has %s", name)
	}
}

// describeTheme tells a person what there is much of.
func (p *plan) describeTheme() string {
	text := fmt.Sprintf("its theme is %s; the component is %s", p.theme.name, p.temper.name)
	if len(p.wrong) > 0 {
		var names []string
		for _, key := range p.wrong {
			names = append(names, key.Name())
		}
		text += fmt.Sprintf("; what goes wrong are %s, by %q", strings.Join(names, ", "), p.wrongBy)
	}
	return text
}
