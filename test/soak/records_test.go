package soak

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
	"github.com/messaging-kafka/messaging-kafka/test/ledger"
)

// Topics. Those that are read by the lasting links get the load.
const (
	orders    = "soak.orders"    // messages, one a call
	parcels   = "soak.parcels"   // batches
	lines     = "soak.lines"     // batches that are turned into records of enriched
	sums      = "soak.sums"      // batches that are turned into records of totals, in transactions
	questions = "soak.questions" // requests

	deadOrders = "soak.orders.dead"
	shipped    = "soak.shipped" // what the handler of orders publishes
	enriched   = "soak.enriched"
	totals     = "soak.totals"
	answers    = "soak.answers"

	flyers  = "soak.flyers" // what guests read
	void    = "soak.void"   // what guests publish to
	nowhere = "soak.nowhere"
)

// shares are the parts of the load.
var shares = []struct {
	topic string
	share float64
}{{orders, .45}, {parcels, .25}, {lines, .2}, {sums, .1}}

// tally is what became of every record.
type tally struct {
	mu       sync.Mutex
	produced map[string]int // by topic; acknowledged or under way

	done      map[string]*ledger.Marks // records of the load's topics, by topic: the component has finished them
	seen      map[string]*ledger.Marks // records of outputs, by topic, as a reader of committed records finds them
	rejected  ledger.Marks             // orders
	published ledger.Marks             // orders whose publish to shipped was acknowledged
}

func newTally() *tally {
	l := &tally{produced: make(map[string]int), done: make(map[string]*ledger.Marks), seen: make(map[string]*ledger.Marks)}
	for _, s := range shares {
		l.done[s.topic] = new(ledger.Marks)
	}
	for _, topic := range []string{deadOrders, shipped, enriched, totals} {
		l.seen[topic] = new(ledger.Marks)
	}
	return l
}

// next returns the number of the next record of a topic.
func (l *tally) next(topic string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.produced[topic]++
	return l.produced[topic] - 1
}

// counts says of every topic what had to come and what came.
func (l *tally) counts() []Count {
	l.mu.Lock()
	defer l.mu.Unlock()
	count := func(topic string, want int, m *ledger.Marks) Count {
		n, again := m.Counts()
		return Count{Topic: topic, Want: want, Got: n, Again: again}
	}
	finished := count(orders, l.produced[orders], l.done[orders])
	finished.Got, _ = l.done[orders].Compare(l.seen[deadOrders])
	list := []Count{finished, count(parcels, l.produced[parcels], l.done[parcels]),
		count(enriched, l.produced[lines], l.seen[enriched]), count(totals, l.produced[sums], l.seen[totals])}
	list[len(list)-1].Once = true
	// A publish whose answer was lost was stored all the same: there may be more than were acknowledged.
	for topic, want := range map[string]*ledger.Marks{deadOrders: &l.rejected, shipped: &l.published} {
		n, _ := want.Counts()
		c := count(topic, n, l.seen[topic])
		_, c.Got = want.Compare(l.seen[topic])
		list = append(list, c)
	}
	slices.SortFunc(list, func(a, b Count) int { return cmp.Compare(a.Topic, b.Topic) })
	return list
}

// handled is how many records of the load the components have finished.
func (l *tally) handled() (handled, waiting int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	produced := 0
	for _, s := range shares {
		produced += l.produced[s.topic]
		n, _ := l.done[s.topic].Counts()
		handled += n
	}
	n, _ := l.rejected.Counts()
	handled += n
	return handled, produced - handled
}

// value is a record's value: its number and something to fill it.
func value(number int) []byte {
	var size int
	switch luck := rand.Float64(); {
	case luck < .70:
		size = rand.IntN(512)
	case luck < .95:
		size = rand.IntN(8 << 10)
	case luck < .999:
		size = rand.IntN(64 << 10)
	default:
		size = 700 << 10
	}
	return filled(number, size)
}

func filled(number, size int) []byte {
	b := append(strconv.AppendInt(nil, int64(number), 10), '|')
	fill := byte('x')
	if rand.IntN(2) == 0 {
		fill = 0xfe // no UTF-8
	}
	return append(b, bytes.Repeat([]byte{fill}, size)...)
}

// number reads a record's number out of its value.
func number(value []byte) (int, error) {
	text, _, _ := bytes.Cut(value, []byte("|"))
	n, err := strconv.Atoi(string(text))
	if err != nil || n < 0 {
		return 0, fmt.Errorf("a value that begins with %.40q has no number", value)
	}
	return n, nil
}

// due is how many records the load has had by a time: it rises from a tenth of the rate to the rate and falls again,
// once a cycle.
func (c config) due(at time.Duration) int {
	s, cycle := at.Seconds(), c.cycle.Seconds()
	return int(c.rate * (.55*s - .45*math.Sin(2*math.Pi*s/cycle)*cycle/(2*math.Pi)))
}

// produce produces the load until ctx ends.
func (w *world) produce(ctx context.Context, client *testkit.Client) {
	begin := time.Now()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for sent := 0; ; {
		at := time.Since(begin)
		for due := w.cfg.due(at); sent < due; sent++ {
			luck := rand.Float64()
			for _, s := range shares {
				if luck -= s.share; luck < 0 {
					w.produceOne(client, s.topic, value(w.tally.next(s.topic)))
					break
				}
			}
			if sent%10 == 0 {
				// Small ones: what waits for guests is not to hide what the provider itself comes to hold.
				w.produceOne(client, flyers, filled(sent, rand.IntN(1<<10)))
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

func (w *world) produceOne(client *testkit.Client, topic string, value []byte) {
	r := &kgo.Record{Topic: topic, Key: fmt.Appendf(nil, "k%d", rand.IntN(200)), Value: value}
	client.Client.Produce(context.Background(), r, func(_ *kgo.Record, err error) {
		if err != nil {
			w.complain("producing to %s: %v", topic, err)
		}
	})
}

// witness reads the topics of outputs until ctx ends.
func (w *world) witness(ctx context.Context, client *testkit.Client) {
	for {
		fetches := client.PollFetches(ctx)
		if ctx.Err() != nil {
			return
		}
		// Errors that last show as records that are missing.
		fetches.EachRecord(func(r *kgo.Record) {
			n, err := number(r.Value)
			if err != nil {
				w.complain("%s has a record that nobody made: %v", r.Topic, err)
				return
			}
			w.tally.seen[r.Topic].Set(n)
		})
	}
}
