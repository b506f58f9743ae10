//go:build acceptance

package acceptance

import (
	"encoding/binary"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

// cases are what is asked of every front-end. The names are those of the table.
var cases = []struct {
	name, says string
	run        func(t *testing.T, fe *frontEnd)
}{
	{"echo", "what the application makes of records is stored, once each", testEcho},
	{"whole records", "keys, headers and bytes that are no text get there and back", testWhole},
	{"order", "records of a key stay in their order, through delays and retries", testOrder},
	{"retries", "a record that fails comes again, with the number of the attempt, until it is handled", testRetries},
	{"rejects", "a rejected record is skipped, and no other with it", testRejects},
	{"dead letters", "records that are rejected or fail too often are kept, with reason and attempts", testDeadLetters},
	{"traps", "a call that traps, or ends in an error, takes no other along", testTraps},
	{"batches", "one call has several records, and one of them that fails is found", testBatches},
	{"tombstones", "a record without a value is none of an empty one, there and back", testTombstones},
	{"transactions", "outputs are stored exactly once, though the application is killed", testTransactions},
	{"requests", "the application requests a topic and gets the answer", testRequests},
	{"answers", "a record that asks for an answer gets it in the topic that it names", testAnswers},
	{"killed", "an application that is killed and started again misses no record", testKilled},
	{"scaled to zero", "records wait for an application that is away, and no attempt is counted", testScaledToZero},
	{"drain", "what is under way at a stop is finished, and nothing is delivered again", testDrain},
	{"credentials", "the route's credentials are exchanged while records flow", testCredentials},
}

// TestFrontEnds asks all of each front-end.
func TestFrontEnds(t *testing.T) {
	for _, fe := range frontEnds {
		t.Run(fe.name, func(t *testing.T) {
			for _, c := range cases {
				if _, cannot := fe.cannot[c.name]; cannot {
					continue
				}
				t.Run(c.name, func(t *testing.T) {
					t.Parallel()
					c.run(t, fe)
				})
			}
		})
	}
}

func testEcho(t *testing.T, fe *frontEnd) {
	p := newPlace(t, fe)
	p.start(3)
	values := numbered("hello ", 60)
	p.produce(values...)
	p.once(false, values...)
}

func testWhole(t *testing.T, fe *frontEnd) {
	p := newPlace(t, fe)
	p.start(1, fe.whole...)
	p.send(
		&kgo.Record{
			Key: []byte("key"), Value: []byte("a text, größer"),
			Headers: []kgo.RecordHeader{{Key: "b", Value: []byte("1")}, {Key: "a"}},
		},
		&kgo.Record{
			Key: []byte{0xff, 0}, Value: []byte{0xfe, 0xfd, 0}, Headers: []kgo.RecordHeader{{Key: "bytes", Value: []byte{0x80}}},
		},
		&kgo.Record{Key: []byte{}, Value: []byte{}},
	)
	p.drained()
	want, got := describeAll(p.kc.Read(in, 3)), describeAll(p.stored(out))
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("what came back is\n%s, want\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// describeAll writes keys, values and headers, null and empty told apart.
func describeAll(records []*kgo.Record) []string {
	text := func(b []byte) string {
		if b == nil {
			return "null"
		}
		return strconv.Quote(string(b))
	}
	var all []string
	for _, r := range records {
		var b strings.Builder
		fmt.Fprintf(&b, "key %s value %s", text(r.Key), text(r.Value))
		for _, h := range r.Headers {
			fmt.Fprintf(&b, " %s=%s", h.Key, text(h.Value))
		}
		all = append(all, b.String())
	}
	return all
}

func testOrder(t *testing.T, fe *frontEnd) {
	const keys, each = 4, 12
	p := newPlace(t, fe)
	p.start(1, "batch_max_records", "5")
	var records []*kgo.Record
	var want []string
	for i := range keys * each {
		key, text := fmt.Sprint("k", i%keys), fmt.Sprintf("k%d %02d", i%keys, i/keys)
		want = append(want, text)
		value := text
		switch {
		case (i/keys)%4 == 1 && fe.attempts:
			value = "!until:2:" + text
		case (i/keys)%4 == 1:
			value = "!sleep:" + fmt.Sprint(5*(i%keys)) + ":" + text
		}
		records = append(records, &kgo.Record{Key: []byte(key), Value: []byte(value)})
	}
	p.send(records...)
	p.once(true, want...)
	// A handler that sends by itself repeats what stood behind a failed record in its batch; what came last counts.
	last := make(map[string]int)
	for i, v := range valuesOf(p.stored(out)) {
		last[v] = i
	}
	slices.Sort(want)
	for i, text := range want[1:] {
		if before := want[i]; before[:2] == text[:2] && last[before] > last[text] {
			t.Errorf("%q came after %q", before, text)
		}
	}
}

func testRetries(t *testing.T, fe *frontEnd) {
	p := newPlace(t, fe)
	p.start(1)
	p.send(
		&kgo.Record{Key: []byte("slow"), Value: []byte("!until:4:at last")},
		&kgo.Record{Key: []byte("quick"), Value: []byte("at once")},
	)
	p.once(true, "at last", "at once")
}

func testRejects(t *testing.T, fe *frontEnd) {
	p := newPlace(t, fe)
	p.start(1)
	p.produce("before", "!reject:no use", "after")
	p.once(true, "before", "after")
}

func testDeadLetters(t *testing.T, fe *frontEnd) {
	p := newPlace(t, fe)
	p.start(1, "dead_letter_topic", dead, "max_attempts", "3")
	p.produce("good", "!reject:no use", "!retry:not now", "good as well")
	letters := p.buried("!reject:no use", "!retry:not now")
	failed := "not now"
	if fe.forgets {
		failed = "given it up after 3 deliveries"
	}
	for value, want := range map[string]struct {
		reason   string
		attempts int
	}{"!reject:no use": {"no use", 1}, "!retry:not now": {failed, 3}} {
		letter := letters[value]
		reason := string(headerOf(letter, "kafka_dlt-exception-message"))
		// In a batch that fails as a whole a record may be delivered once more.
		if n := attempts(letter); n < want.attempts || n > want.attempts+1 || !strings.Contains(reason, want.reason) {
			t.Errorf("the letter of %q has %d attempts, want %d, and says %q", value, n, want.attempts, reason)
		}
	}
	p.once(true, "good", "good as well")
}

// testTraps has calls at work beside those that trap: they are answered.
func testTraps(t *testing.T, fe *frontEnd) {
	p := newPlace(t, fe)
	p.start(1, "order", "none", "max_in_flight", "12", "batch_max_records", "1",
		"max_attempts", "2", "dead_letter_topic", dead)
	values := numbered("beside ", 8)
	p.produce(slices.Concat([]string{"!trap"}, each("!sleep:150:", values), []string{"!trap"})...)
	letters := p.buried("!trap", "!trap")
	if n := attempts(letters["!trap"]); n != 2 {
		t.Errorf("a record that trapped was delivered %d times, want 2", n)
	}
	p.once(false, values...)
}

func testBatches(t *testing.T, fe *frontEnd) {
	p := newPlace(t, fe)
	// A record that keeps the application busy lets the others wait for a batch.
	p.start(1, append([]string{"order", "none", "max_in_flight", "1", "batch_max_records", "20", "batch_max_wait", "200ms",
		"max_attempts", "2", "dead_letter_topic", dead}, fe.batches...)...)
	values := numbered("of many ", 80)
	p.produce(slices.Concat([]string{"!sleep:300:first"}, values[:50], []string{"!trap"}, values[50:])...)
	p.buried("!trap")
	p.once(true, append(values, "first")...)
	count, sum := metric(t, p.server, "batch_records_count"), metric(t, p.server, "batch_records_sum")
	if most := sum / 2; count == 0 || count > most {
		t.Errorf("%v records went in %v calls", sum, count)
	}
}

// metric adds up the series of one metric.
func metric(t *testing.T, s server, name string) (sum float64) {
	t.Helper()
	series := regexp.MustCompile(`(?m)^messaging_kafka_` + name + `(?:\{.*\})? (\S+)$`)
	for _, m := range series.FindAllStringSubmatch(s.Metrics(), -1) {
		v, err := strconv.ParseFloat(m[1], 64)
		if err != nil {
			t.Fatal(err)
		}
		sum += v
	}
	return sum
}

func testTombstones(t *testing.T, fe *frontEnd) {
	p := newPlace(t, fe)
	p.start(1, fe.whole...)
	p.send(&kgo.Record{Key: []byte("gone")}, &kgo.Record{Key: []byte("empty"), Value: []byte{}})
	p.drained()
	got := describeAll(p.stored(out))
	slices.Sort(got)
	for i, want := range []string{`key "empty" value ""`, `key "gone" value null`} {
		if len(got) != 2 || !strings.HasPrefix(got[i], want) {
			t.Fatalf("what came back is %q", got)
		}
	}
}

func testTransactions(t *testing.T, fe *frontEnd) {
	p := newPlace(t, fe)
	p.start(2, "transactions", "true", "batch_max_records", "10")
	values := numbered("exactly ", 120)
	p.produce(each("!sleep:3:", values[:60])...)
	p.until(out, values[0])
	p.app.Kill()
	p.produce(each("!sleep:3:", values[60:])...)
	p.app.Start()
	p.once(false, values...)
}

// testRequests plays the one who answers.
func testRequests(t *testing.T, fe *frontEnd) {
	p := newPlace(t, fe)
	p.start(1, "request_reply_topic", answer)
	values := numbered("question ", 5)
	stop := p.answer(func(question string) string { return "answer to " + question })
	defer stop()
	p.produce(each("!request:"+asked+":", values)...)
	p.once(true, each("answer to ", values)...)
}

// answer answers requests in the topic asked until it is stopped.
func (p *place) answer(say func(question string) string) (stop func()) {
	p.t.Helper()
	reader := testkit.NewClient(p.t, p.kafka.Brokers(), kgo.ConsumeTopics(asked), kgo.FetchMaxWait(50*1e6))
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			fetches := reader.PollFetches(p.t.Context())
			if fetches.IsClientClosed() || p.t.Context().Err() != nil {
				return
			}
			for _, r := range fetches.Records() {
				a := &kgo.Record{
					Topic: string(headerOf(r, "kafka_replyTopic")), Value: []byte(say(string(r.Value))),
					Headers: []kgo.RecordHeader{{Key: "kafka_correlationId", Value: headerOf(r, "kafka_correlationId")}},
				}
				if partition := headerOf(r, "kafka_replyPartition"); len(partition) == 4 {
					a.Partition = int32(binary.BigEndian.Uint32(partition))
				}
				if err := reader.ProduceSync(p.t.Context(), a).FirstErr(); err != nil {
					p.t.Errorf("answering: %v", err)
				}
			}
		}
	})
	return func() {
		reader.Close()
		wg.Wait()
	}
}

// testAnswers asks as Spring's ReplyingKafkaTemplate does.
func testAnswers(t *testing.T, fe *frontEnd) {
	p := newPlace(t, fe)
	p.start(1, "reply_topics_from_records", answer)
	values := numbered("question ", 5)
	var records []*kgo.Record
	for _, v := range values {
		records = append(records, &kgo.Record{Value: []byte(v), Headers: []kgo.RecordHeader{
			{Key: "kafka_replyTopic", Value: []byte(answer)}, {Key: "kafka_correlationId", Value: []byte("id of " + v)},
		}})
	}
	p.send(records...)
	p.drained()
	answers := p.stored(answer)
	for _, a := range answers {
		if id := string(headerOf(a, "kafka_correlationId")); id != "id of "+string(a.Value) {
			t.Errorf("the answer %q has the id %q", a.Value, id)
		}
	}
	got := valuesOf(answers)
	slices.Sort(got)
	if !slices.Equal(got, values) {
		t.Errorf("the answers are %q", got)
	}
}

func testKilled(t *testing.T, fe *frontEnd) {
	p := newPlace(t, fe)
	p.start(2, "batch_max_records", "10")
	values := numbered("not lost ", 80)
	p.produce(each("!sleep:5:", values[:40])...)
	p.until(out, values[0])
	p.app.Kill()
	p.produce(each("!sleep:5:", values[40:])...)
	p.app.Start()
	p.drained()
	got := valuesOf(p.stored(out))
	slices.Sort(got)
	if got = slices.Compact(got); !slices.Equal(got, values) {
		t.Errorf("the application's outputs are %q, want %q", got, values)
	}
}

func testScaledToZero(t *testing.T, fe *frontEnd) {
	p := newPlace(t, fe)
	p.start(1, "max_attempts", "1", "dead_letter_topic", dead)
	p.produce("before")
	p.until(out, "before")
	p.app.Kill()
	values := numbered("waiting ", 10)
	p.produce(values...)
	// A host may still take calls in the moment in which it says that nothing runs any more, and those of all these: what
	// comes later waits.
	var producing sync.WaitGroup
	enough := make(chan struct{})
	producing.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-enough:
				return
			case <-time.After(500 * time.Millisecond):
				value := fmt.Sprintf("waiting later %d", i)
				p.produce(value)
				values = append(values, value)
			}
		}
	})
	p.server.WaitUnhealthy()
	close(enough)
	producing.Wait()
	p.app.Start()
	p.server.WaitHealthy()
	p.once(false, append(values, "before")...)
	p.buried()
}

func testDrain(t *testing.T, fe *frontEnd) {
	p := newPlace(t, fe)
	p.start(1, "order", "none", "batch_max_records", "2", "max_in_flight", "3")
	values := numbered("under way ", 10)
	p.produce(each("!sleep:200:", values)...)
	testkit.Eventually(t, testkit.DefaultTimeout, func() error {
		if n := metric(t, p.server, "in_flight_records"); n < 3 {
			return fmt.Errorf("%v records are with the application", n)
		}
		return nil
	})
	p.server.Stop()
	p.server.Start()
	p.server.WaitHealthy()
	p.once(false, values...)
}

func testCredentials(t *testing.T, fe *frontEnd) {
	const before, after = "before", "after"
	p := newPlace(t, fe, before, after)
	var mu sync.Mutex
	came := make(map[string]int)
	p.kafka.ControlKey(int16(kmsg.SASLAuthenticate), func(req kmsg.Request) (kmsg.Response, error, bool) {
		p.kafka.KeepControl()
		mu.Lock()
		defer mu.Unlock()
		if parts := strings.Split(string(req.(*kmsg.SASLAuthenticateRequest).SASLAuthBytes), "\x00"); len(parts) == 3 {
			came[parts[1]]++
		}
		return nil, nil, false
	})
	as := func(user string) []string {
		return []string{"security_protocol", "SASL_PLAINTEXT", "sasl_mechanism", "PLAIN",
			"sasl_username", user, "sasl_password", password}
	}
	p.start(2, as(before)...)
	values := numbered("flowing ", 60)
	p.produce(values[:20]...)
	p.until(out, values[:20]...)
	members := p.kc.MemberIDs(group)

	p.server.Change(p.settings(as(after)...))
	p.produce(values[20:40]...)
	testkit.Eventually(t, testkit.DefaultTimeout, func() error {
		for _, proxy := range p.kafka.Proxies() {
			proxy.Cut() // open connections stay as they are; new ones come as somebody else
		}
		p.drained()
		mu.Lock()
		defer mu.Unlock()
		if came[after] == 0 {
			return fmt.Errorf("nobody came as %q: %v", after, came)
		}
		return nil
	})
	p.produce(values[40:]...)
	p.drained()
	got := valuesOf(p.stored(out))
	slices.Sort(got)
	if got = slices.Compact(got); !slices.Equal(got, values) {
		t.Errorf("the application's outputs are %q", got)
	}
	if now := p.kc.MemberIDs(group); !slices.Equal(now, members) {
		t.Errorf("the group's members changed from %v to %v", members, now)
	}
}
