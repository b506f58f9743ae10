package letters

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/messaging-kafka/messaging-kafka/internal/base/redact"
	"github.com/messaging-kafka/messaging-kafka/internal/base/text"
	"github.com/messaging-kafka/messaging-kafka/internal/engine/browse"
	"github.com/messaging-kafka/messaging-kafka/internal/engine/consume"
	"github.com/messaging-kafka/messaging-kafka/internal/record"
	"github.com/messaging-kafka/messaging-kafka/internal/settings"
	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

// letter is a dead letter as links write them, of the record with a number.
func letter(n int, reason string, more ...kgo.RecordHeader) *kgo.Record {
	header := func(name string, value []byte) kgo.RecordHeader { return kgo.RecordHeader{Key: name, Value: value} }
	return &kgo.Record{
		Topic: "dead", Partition: int32(n % 2), Key: fmt.Appendf(nil, "k%d", n%5), Value: []byte(strconv.Itoa(n)),
		Timestamp: sentAt(n),
		Headers: append([]kgo.RecordHeader{
			header("shop", []byte("eu")),
			header(consume.HeaderOriginalTopic, []byte("orders")),
			header(consume.HeaderOriginalPartition, binary.BigEndian.AppendUint32(nil, uint32(n%3))),
			header(consume.HeaderOriginalOffset, binary.BigEndian.AppendUint64(nil, uint64(n))),
			header(consume.HeaderOriginalTimestamp, binary.BigEndian.AppendUint64(nil, uint64(sentAt(n).UnixMilli()))),
			header(consume.HeaderOriginalGroup, []byte("g")),
			header(consume.HeaderError, []byte(reason)),
			header(consume.HeaderAttempts, []byte{0, 0, 0, 5}),
			header(consume.HeaderComponent, []byte("mailer")),
		}, more...),
	}
}

func sentAt(n int) time.Time { return time.UnixMilli(1_700_000_000_000 + int64(n)*1000) }

type world struct {
	*testkit.Client
	k *testkit.FakeKafka
	t *testing.T
}

func newWorld(t *testing.T) *world {
	t.Parallel()
	k := testkit.Kfake(t)
	k.Topic("dead", 2)
	k.Topic("orders", 3)
	return &world{testkit.NewClient(t, k.Brokers(), kgo.RecordPartitioner(kgo.ManualPartitioner())), k, t}
}

func (w *world) source() *browse.Source {
	w.t.Helper()
	link, _, err := settings.ParseLink(settings.Input{Config: map[string]string{
		"hosts": strings.Join(w.k.Brokers(), ","), "request_timeout": "5s",
	}})
	if err != nil {
		w.t.Fatal(err)
	}
	s, err := browse.Open(w.t.Context(), link, "dead", new(redact.Redactor))
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(s.Close)
	return s
}

// redrive runs a redrive to its end.
func (w *world) redrive(o Options) (Progress, error) {
	w.t.Helper()
	if err := o.Selection.Check(); err != nil {
		w.t.Fatal(err)
	}
	if o.Notes == nil {
		o.Notes = testWriter{w.t}
	}
	return Redrive(w.t.Context(), w.source(), o)
}

func (w *world) mustRedrive(sent int, o Options) Progress {
	w.t.Helper()
	p, err := w.redrive(o)
	if err != nil {
		w.t.Fatal(err)
	}
	if p.Sent != sent {
		w.t.Errorf("%d letters were sent, want %d", p.Sent, sent)
	}
	return p
}

type testWriter struct{ t *testing.T }

func (w testWriter) Write(b []byte) (int, error) {
	w.t.Logf("%s", b)
	return len(b), nil
}

// records reads what readers of committed records find in a topic.
func (w *world) records(topic string) (found []*record.Record) {
	w.t.Helper()
	link := w.source().Settings
	s, err := browse.Open(w.t.Context(), link, topic, new(redact.Redactor))
	if err != nil {
		w.t.Fatal(err)
	}
	defer s.Close()
	if err := Each(w.t.Context(), s, &Selection{}, testWriter{w.t}, func(l *Letter) (bool, error) {
		found = append(found, l.Record)
		return false, nil
	}); err != nil {
		w.t.Fatal(err)
	}
	return found
}

// want fails unless exactly the records with these numbers are in a topic.
func (w *world) want(topic string, numbers ...int) {
	w.t.Helper()
	var got []int
	for _, r := range w.records(topic) {
		n, err := strconv.Atoi(string(r.Value))
		if err != nil {
			w.t.Fatal(err)
		}
		got = append(got, n)
	}
	slices.Sort(got)
	slices.Sort(numbers)
	if !slices.Equal(got, numbers) {
		w.t.Errorf("topic %s has %v, want %v", topic, got, numbers)
	}
}

func upTo(n int) (all []int) {
	for i := range n {
		all = append(all, i)
	}
	return all
}

func (w *world) letters(n int) {
	w.t.Helper()
	var all []*kgo.Record
	for i := range n {
		all = append(all, letter(i, []string{"no connection", "no such customer"}[i%2]))
	}
	w.Produce(all...)
}

func TestALetterGoesBackAsItWasOnceAndMarked(t *testing.T) {
	w := newWorld(t)
	w.letters(10)
	w.mustRedrive(10, Options{})
	w.want("orders", upTo(10)...)
	for _, r := range w.records("orders") {
		n, _ := strconv.Atoi(string(r.Value))
		from := fmt.Sprintf("dead/%d/%d", n%2, n/2)
		want := []record.Header{{Key: "shop", Value: []byte("eu")}, {Key: consume.HeaderRedrives, Value: []byte("1")},
			{Key: consume.HeaderRedrivenFrom, Value: []byte(from)}}
		same := func(a, b record.Header) bool { return a.Key == b.Key && bytes.Equal(a.Value, b.Value) }
		if !slices.EqualFunc(r.Headers, want, same) {
			t.Errorf("record %d has the headers %q, want %q", n, r.Headers, want)
		}
		if r.Partition != int32(n%3) || string(r.Key) != fmt.Sprintf("k%d", n%5) || !r.Timestamp.Equal(sentAt(n)) {
			t.Errorf("record %d is %+v", n, r)
		}
	}
	w.mustRedrive(0, Options{})
	w.want("orders", upTo(10)...)
	w.Produce(letter(10, "new"))
	w.mustRedrive(1, Options{})
	w.want("orders", upTo(11)...)
}

func TestWhatTheNextRunSendsIsWhatNoOtherHasSent(t *testing.T) {
	w := newWorld(t)
	w.letters(20)
	w.mustRedrive(3, Options{Selection: Selection{Reason: "connection"}, Limit: 3})
	w.mustRedrive(2, Options{Selection: Selection{Reason: "connection"}, Limit: 2})
	p := w.mustRedrive(15, Options{})
	if p.Known != 5 {
		t.Errorf("%d letters are known to have been sent, want 5", p.Known)
	}
	w.mustRedrive(0, Options{Selection: Selection{Reason: "connection"}})
	w.mustRedrive(0, Options{Selection: Selection{Since: sentAt(5).UnixMilli()}})
	w.want("orders", upTo(20)...)
	// Another round knows nothing of that.
	w.mustRedrive(20, Options{Round: "again"})
	w.mustRedrive(0, Options{Round: "again"})
	w.want("orders", append(upTo(20), upTo(20)...)...)
}

func TestSelections(t *testing.T) {
	w := newWorld(t)
	w.letters(10)
	one, last := int32(1), int64(2)
	for name, test := range map[string]struct {
		s    Selection
		want []int
	}{
		"reason":           {Selection{Reason: "^no such"}, []int{1, 3, 5, 7, 9}},
		"origin":           {Selection{Origin: "orders"}, upTo(10)},
		"another origin":   {Selection{Origin: "bills"}, nil},
		"origin partition": {Selection{Origin: "orders", OriginPartition: &one}, []int{1, 4, 7}},
		"group":            {Selection{Group: "g"}, upTo(10)},
		"another group":    {Selection{Group: "h"}, nil},
		"key":              {Selection{Key: []byte("k3")}, []int{3, 8}},
		"the empty key":    {Selection{KeyEmpty: true}, nil},
		"times":            {Selection{Since: sentAt(3).UnixMilli(), Until: sentAt(6).UnixMilli()}, []int{3, 4, 5}},
		"partition":        {Selection{Partitions: []int32{1}}, []int{1, 3, 5, 7, 9}},
		"offsets":          {Selection{First: 1, Last: &last}, []int{2, 3, 4, 5}},
		"two at once":      {Selection{Reason: "such", First: 4}, []int{9}},
	} {
		if err := test.s.Check(); err != nil {
			t.Fatal(err)
		}
		var got []int
		if err := Each(t.Context(), w.source(), &test.s, testWriter{t}, func(l *Letter) (bool, error) {
			n, err := strconv.Atoi(string(l.Value))
			got = append(got, n)
			return false, err
		}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		slices.Sort(got)
		if !slices.Equal(got, test.want) {
			t.Errorf("%s: %v, want %v", name, got, test.want)
		}
	}
	for _, text := range []string{"", "x", "-", "5-3", "-1-2", "1-x"} {
		if err := new(Selection).SetOffsets(text); err == nil {
			t.Errorf("--offset %q is taken", text)
		}
	}
	for text, want := range map[string][2]int64{"5": {5, 5}, "5-7": {5, 7}, "-7": {0, 7}} {
		var s Selection
		if err := s.SetOffsets(text); err != nil || s.First != want[0] || *s.Last != want[1] {
			t.Errorf("--offset %q is %+v (%v)", text, s, err)
		}
	}
}

func TestADryRunChangesNothing(t *testing.T) {
	w := newWorld(t)
	w.letters(6)
	var told []string
	w.mustRedrive(6, Options{DryRun: true, Sent: func(l *Letter, topic string) error {
		told = append(told, l.place()+" "+topic)
		return nil
	}})
	slices.Sort(told)
	if len(told) != 6 || told[0] != "dead/0/0 orders" {
		t.Errorf("it tells of %q", told)
	}
	w.want("orders")
	groups, err := kadm.NewClient(w.Client.Client).ListGroups(t.Context())
	if err != nil || len(groups) > 0 {
		t.Errorf("there are the groups %v (%v)", groups, err)
	}
	w.mustRedrive(6, Options{})
}

func TestALoopShows(t *testing.T) {
	w := newWorld(t)
	w.letters(4)
	w.mustRedrive(4, Options{})
	// They fail again, and are dead-lettered with the headers that they have.
	var again []*kgo.Record
	for _, r := range w.records("orders") {
		n, _ := strconv.Atoi(string(r.Value))
		var marks []kgo.RecordHeader
		for _, h := range r.Headers[1:] {
			marks = append(marks, kgo.RecordHeader{Key: h.Key, Value: h.Value})
		}
		again = append(again, letter(n, "again", marks...))
	}
	w.Produce(again...)
	none := 0
	w.mustRedrive(0, Options{Selection: Selection{MostRedrives: &none}})
	p := w.mustRedrive(4, Options{})
	if p.Looped != 4 || p.Most != 1 {
		t.Errorf("of the loop it says %+v", p)
	}
	for _, r := range w.records("orders") {
		if v, _ := r.Header(consume.HeaderRedrives); string(v) == "2" {
			return
		}
	}
	t.Error("no record says that it was sent back twice")
}

func TestLettersGoElsewhere(t *testing.T) {
	w := newWorld(t)
	w.k.Topic("again", 1)
	stranger := &kgo.Record{Topic: "dead", Value: []byte("9")}
	w.letters(3)
	w.Produce(stranger)
	_, err := w.redrive(Options{})
	if err == nil || !strings.Contains(err.Error(), "letter dead/0/2: it does not tell which topic") {
		t.Errorf("a letter of nowhere: %v", err)
	}
	w.mustRedrive(1, Options{To: "again", Selection: Selection{Partitions: []int32{0}, First: 2}})
	w.want("again", 9)
	if _, err := w.redrive(Options{}); err != nil {
		t.Error(err)
	}
	w.want("orders", 0, 1, 2)
	if _, err := w.redrive(Options{To: "dead"}); err == nil {
		t.Error("letters are sent to their own topic")
	}
	_, err = w.redrive(Options{To: "nowhere", Round: "r"})
	if err == nil || !strings.Contains(err.Error(), "topic nowhere, where it is to go") {
		t.Errorf("a topic that is not there: %v", err)
	}
	w.mustRedrive(4, Options{To: "again", Round: "kept", KeepAttempts: true})
	kept := 0
	for _, r := range w.records("again") {
		if v, ok := r.Header(consume.HeaderAttempts); ok && v[3] == 5 {
			kept++
		}
	}
	if kept != 3 {
		t.Errorf("%d records kept their attempts, want 3", kept)
	}
}

// What the next attempt would have, too, is no reason to try for a minute.
func TestARedriveThatCannotWorkEndsAtOnce(t *testing.T) {
	w := newWorld(t)
	w.letters(3)
	ends := func(what string, o Options, want string) {
		t.Helper()
		var notes bytes.Buffer
		o.Notes = &notes
		if _, err := w.redrive(o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", what, err, want)
		}
		if notes.Len() > 0 {
			t.Errorf("%s: it says %q", what, notes.String())
		}
	}
	ends("a partition that is not there", Options{Selection: Selection{Partitions: []int32{9}}}, "topic dead: there is no partition 9")
	large := testkit.NewClient(t, w.k.Brokers(), kgo.ProducerBatchMaxBytes(16<<20),
		kgo.ProducerBatchCompression(kgo.ZstdCompression()), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	large.Produce(&kgo.Record{Topic: "dead", Value: make([]byte, 9<<20)})
	ends("a batch that is too large", Options{}, "raise max_message_bytes")
}

// bulky is a letter whose value takes so many bytes, however it is compressed.
func bulky(n, bytes int) *kgo.Record {
	l := letter(n, "bulky")
	value := make([]byte, bytes)
	random := rand.NewChaCha8([32]byte{byte(n)})
	_, _ = random.Read(value) // it never fails
	l.Value = append(fmt.Appendf(nil, "%d/", n), value...)
	return l
}

// times counts how often each letter of [bulky] stands in a topic.
func (w *world) times(topic string) map[int]int {
	w.t.Helper()
	found := make(map[int]int)
	for _, r := range w.records(topic) {
		number, _, _ := bytes.Cut(r.Value, []byte("/"))
		n, err := strconv.Atoi(string(number))
		if err != nil {
			w.t.Fatal(err)
		}
		found[n]++
	}
	return found
}

// modest makes a topic that takes batches of so many bytes.
func (w *world) modest(topic string, bytes int) {
	w.t.Helper()
	if err := w.k.CreateTopic(topic, 1, map[string]string{"max.message.bytes": strconv.Itoa(bytes)}); err != nil {
		w.t.Fatal(err)
	}
}

// widen has a topic take larger batches.
func (w *world) widen(topic string, bytes int) {
	w.t.Helper()
	value := strconv.Itoa(bytes)
	altered, err := kadm.NewClient(w.Client.Client).AlterTopicConfigs(w.t.Context(),
		[]kadm.AlterConfig{{Op: kadm.SetConfig, Name: "max.message.bytes", Value: &value}}, topic)
	if err == nil {
		_, err = altered.On(topic, func(r *kadm.AlterConfigsResponse) error { return r.Err })
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

func TestALetterThatKafkaRefusesIsNamed(t *testing.T) {
	w := newWorld(t)
	w.modest("modest", 2500)
	const n, large = 60, 33 // the letter 33 is dead/1/16
	for i := range n {
		if i == large {
			w.Produce(bulky(i, 5000))
		} else {
			w.Produce(bulky(i, 300))
		}
	}
	for _, o := range []Options{{To: "modest"}, {To: "modest", AtLeastOnce: true, Round: "again"}} {
		before := w.times("modest")
		for range 3 {
			_, err := w.redrive(o)
			if err == nil || !strings.Contains(err.Error(), "letter dead/1/16: ") ||
				!strings.Contains(err.Error(), "max.message.bytes") {
				t.Fatalf("at least once %v: it says %v", o.AtLeastOnce, err)
			}
		}
		w.widen("modest", 1<<20)
		if _, err := w.redrive(o); err != nil {
			t.Fatal(err)
		}
		w.widen("modest", 2500)
		after := w.times("modest")
		for i := range n {
			switch times := after[i] - before[i]; {
			case times == 1:
			case times > 1 && o.AtLeastOnce && i > large && i%2 == large%2: // behind it in its partition
			default:
				t.Errorf("at least once %v: letter %d was sent %d times", o.AtLeastOnce, i, times)
			}
		}
	}
}

// A broker refuses a batch as a whole, though each record of it has room in the topic.
func TestLettersThatDoNotFitTogetherGoOneAfterAnother(t *testing.T) {
	for _, once := range []bool{true, false} {
		t.Run(fmt.Sprintf("once=%v", once), func(t *testing.T) {
			w := newWorld(t)
			w.modest("modest", 2500)
			const n = 120
			for i := range n {
				w.Produce(bulky(i, 800))
			}
			w.mustRedrive(n, Options{To: "modest", AtLeastOnce: !once})
			found := w.times("modest")
			for i := range n {
				if found[i] != 1 {
					t.Errorf("letter %d was sent %d times", i, found[i])
				}
			}
		})
	}
}

func TestLettersBehindAnOpenTransactionAreTold(t *testing.T) {
	w := newWorld(t)
	w.letters(4)
	open := testkit.NewClient(t, w.k.Brokers(), kgo.TransactionalID("open"),
		kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err := open.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	open.Produce(letter(5, "in the transaction"))
	w.Produce(letter(7, "behind it"))
	const want = "partition 1: a transaction that began at offset 2 is open"
	var notes bytes.Buffer
	w.mustRedrive(4, Options{Notes: &notes})
	if strings.Count(notes.String(), want) != 1 {
		t.Errorf("redrive says %q", notes.String())
	}
	for text, s := range map[string]*Selection{want: {}, "": {Partitions: []int32{0}}} {
		notes.Reset()
		if err := Each(t.Context(), w.source(), s, &notes, func(*Letter) (bool, error) { return false, nil }); err != nil {
			t.Fatal(err)
		}
		if got := notes.String(); !strings.Contains(got, text) || (text == "") != (got == "") {
			t.Errorf("%+v says %q", s, got)
		}
	}
	if err := open.EndTransaction(t.Context(), kgo.TryCommit); err != nil {
		t.Fatal(err)
	}
	notes.Reset()
	w.mustRedrive(2, Options{Notes: &notes})
	if notes.Len() > 0 {
		t.Errorf("it says %q", notes.String())
	}
}

// A letter keeps the time of its record, by which Kafka deletes it again.
func TestLettersThatTheirTopicDoesNotKeepAreCounted(t *testing.T) {
	w := newWorld(t)
	configs := map[string]map[string]string{
		"day": {"retention.ms": "86400000"}, "ever": {"retention.ms": "-1"},
		"append": {"retention.ms": "86400000", "message.timestamp.type": "LogAppendTime"},
	}
	for topic, config := range configs {
		if err := w.k.CreateTopic(topic, 1, config); err != nil {
			t.Fatal(err)
		}
	}
	fresh := letter(2, "new")
	for i := range fresh.Headers {
		if fresh.Headers[i].Key == consume.HeaderOriginalTimestamp {
			fresh.Headers[i].Value = binary.BigEndian.AppendUint64(nil, uint64(time.Now().UnixMilli()))
		}
	}
	w.letters(2)
	w.Produce(fresh)
	for topic, want := range map[string]int{"day": 2, "ever": 0, "append": 0} {
		for _, dry := range []bool{true, false} {
			if p := w.mustRedrive(3, Options{To: topic, Round: topic, DryRun: dry}); p.Expiring != want {
				t.Errorf("to %s (dry run %v) %d are told, want %d", topic, dry, p.Expiring, want)
			}
		}
	}
}

func TestACountBelow0IsNone(t *testing.T) {
	r := &record.Record{Headers: []record.Header{{Key: consume.HeaderAttempts, Value: []byte{0xff, 0xff, 0xff, 0xfd}}}}
	if l := Read(r); l.Attempts != 0 {
		t.Errorf("%d attempts", l.Attempts)
	}
}

func TestTheTableIsStraightForWideCharacters(t *testing.T) {
	var out bytes.Buffer
	table := NewTable(&out)
	for _, key := range []string{"k", "漢字", "é", "😀"} {
		if err := table.Add(&Letter{Record: &record.Record{Key: []byte(key)}, Sent: sentAt(0), Reason: "end"}); err != nil {
			t.Fatal(err)
		}
	}
	if err := table.Flush(); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	for _, line := range lines[1:] {
		if text.Columns(line) != text.Columns(lines[1]) {
			t.Errorf("the lines have different widths:\n%s", out.String())
		}
	}
}

func TestNotesWithoutRoomSendNothing(t *testing.T) {
	w := newWorld(t)
	w.letters(3)
	w.k.RefuseTransactionOffsets(1, kerr.OffsetMetadataTooLarge)
	if p, err := w.redrive(Options{}); err == nil || !strings.Contains(err.Error(), "--round") || p.Sent > 0 {
		t.Errorf("it has sent %d and says %v", p.Sent, err)
	}
	w.want("orders")
	w.mustRedrive(3, Options{})
}

func TestARedriveGoesOnWhereKafkaFails(t *testing.T) {
	w := newWorld(t)
	w.letters(1200)
	w.k.RefuseTransactionOffsets(3, kerr.RequestTimedOut)
	var notes bytes.Buffer
	p := w.mustRedrive(1200, Options{Notes: &notes})
	if !strings.Contains(notes.String(), "it is tried again: ") {
		t.Errorf("it says nothing of what failed: %q", notes.String())
	}
	if p.Topics["orders"] != 1200 {
		t.Errorf("it counts %v", p.Topics)
	}
	w.want("orders", upTo(1200)...)
}

// called is a writer that tells when it is written to.
type called struct {
	once sync.Once
	ch   chan struct{}
}

func (c *called) Write(b []byte) (int, error) {
	c.once.Do(func() { close(c.ch) })
	return len(b), nil
}

// A transaction whose time is over before its letters are stored is settled by the next attempt, as any other.
func TestARedriveGoesOnBehindABrokerThatIsSlow(t *testing.T) {
	w := newWorld(t)
	w.letters(20)
	notes := &called{ch: make(chan struct{})}
	slow := true
	w.k.ControlKey(kmsg.Produce.Int16(), func(kmsg.Request) (kmsg.Response, error, bool) {
		w.k.KeepControl()
		if slow {
			slow = false
			w.k.SleepControl(func() {
				select {
				case <-notes.ch:
				case <-t.Context().Done():
				}
			})
		}
		return nil, nil, false
	})
	w.mustRedrive(20, Options{Notes: notes})
	w.want("orders", upTo(20)...)
}

func TestAStoppedRedriveIsGoneOnWith(t *testing.T) {
	w := newWorld(t)
	w.letters(100)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	sent := 0
	p, err := Redrive(ctx, w.source(), Options{Rate: 40, Notes: testWriter{t}, Sent: func(*Letter, string) error {
		if sent++; sent == 25 {
			stop()
		}
		return nil
	}})
	if !errors.Is(err, context.Canceled) || p.Sent < 25 || p.Sent == 100 {
		t.Fatalf("it was not stopped in the middle: %d sent, %v", p.Sent, err)
	}
	w.mustRedrive(100-p.Sent, Options{})
	w.want("orders", upTo(100)...)
}

func TestASecondRedriveTakesOver(t *testing.T) {
	w := newWorld(t)
	w.letters(100)
	taken := false
	p, err := w.redrive(Options{Rate: 40, Sent: func(*Letter, string) error {
		if !taken {
			taken = true
			w.mustRedrive(90, Options{})
		}
		return nil
	}})
	if err == nil || !strings.Contains(err.Error(), "another redrive of this topic has taken over") {
		t.Errorf("the first one ends with %v", err)
	}
	if p.Sent != 10 {
		t.Errorf("the first one sent %d", p.Sent)
	}
	w.want("orders", upTo(100)...)
}

func TestAtLeastOnceGoesWithoutTransactions(t *testing.T) {
	w := newWorld(t)
	w.letters(30)
	w.k.ControlKey(kmsg.InitProducerID.Int16(), func(kreq kmsg.Request) (kmsg.Response, error, bool) {
		w.k.KeepControl()
		if kreq.(*kmsg.InitProducerIDRequest).TransactionalID == nil {
			return nil, nil, false
		}
		resp := kreq.ResponseKind().(*kmsg.InitProducerIDResponse)
		resp.ErrorCode = kerr.TransactionalIDAuthorizationFailed.Code
		return resp, nil, true
	})
	_, err := w.redrive(Options{})
	if err == nil || !strings.Contains(err.Error(), "--at-least-once") ||
		!strings.Contains(err.Error(), "messaging-kafka.redrive.dead") {
		t.Errorf("without the right it says %v", err)
	}
	w.mustRedrive(10, Options{AtLeastOnce: true, Limit: 10})
	w.mustRedrive(20, Options{AtLeastOnce: true})
	w.mustRedrive(0, Options{AtLeastOnce: true})
	w.want("orders", upTo(30)...)
}

func TestNotesStayShort(t *testing.T) {
	n := notes{Version: notesVersion, Topic: "t"}
	add := func(s Selection, below, start int64) {
		t.Helper()
		if err := s.Check(); err != nil {
			t.Fatal(err)
		}
		n = n.with(s, below, start)
	}
	add(Selection{Reason: "a"}, 10, 0)
	add(Selection{Reason: "b", Since: 2000}, 20, 0)
	add(Selection{Reason: "b", Since: 1000}, 30, 0) // includes the one before
	if len(n.Done) != 2 {
		t.Errorf("it keeps %+v", n.Done)
	}
	add(Selection{Reason: "c"}, 40, 15) // the letters of the first are no more
	if len(n.Done) != 2 {
		t.Errorf("it keeps %+v", n.Done)
	}
	add(Selection{}, 40, 15) // includes all
	if len(n.Done) != 1 || n.below(&Selection{}) != 40 {
		t.Errorf("it keeps %+v", n.Done)
	}
	add(Selection{Reason: "a"}, 12, 0)
	if len(n.Done) != 2 || n.below(&Selection{}) != 40 {
		t.Errorf("it keeps %+v", n.Done)
	}
	text, err := n.text()
	if err != nil {
		t.Fatal(err)
	}
	read, err := readNotes(kadm.OffsetResponse{Offset: kadm.Offset{At: 40, Metadata: text}}, "t")
	if err != nil || len(read.Done) != 2 || read.below(&Selection{Reason: "a"}) != 12 {
		t.Errorf("they are read as %+v (%v)", read, err)
	}
	read, err = readNotes(kadm.OffsetResponse{Offset: kadm.Offset{At: 40, Metadata: text}}, "another")
	if err != nil || len(read.Done) != 0 {
		t.Errorf("those of another topic are read as %+v (%v)", read, err)
	}
	if _, err = readNotes(kadm.OffsetResponse{Offset: kadm.Offset{At: 40, Metadata: "{}"}}, "t"); err == nil {
		t.Error("notes of another form are read")
	}
	// Somebody has set the offset by hand.
	read, err = readNotes(kadm.OffsetResponse{Offset: kadm.Offset{At: 40}}, "t")
	if err != nil || read.below(&Selection{}) != 40 {
		t.Errorf("an offset alone is read as %+v (%v)", read, err)
	}
}

func TestReasonsAreCounted(t *testing.T) {
	r := NewReasons()
	for i := range mostReasons + 10 {
		r.Add(&Letter{Reason: fmt.Sprint("reason ", i)})
	}
	r.Add(&Letter{Reason: "reason 7"})
	counts := r.Counts()
	if len(counts) != mostReasons+1 || counts[0] != (ReasonCount{2, "reason 7"}) ||
		counts[mostReasons] != (ReasonCount{10, ""}) {
		t.Errorf("%d reasons, from %+v to %+v", len(counts), counts[0], counts[len(counts)-1])
	}
	all := maps.Collect(func(yield func(string, int) bool) {
		for _, c := range counts {
			if !yield(c.Reason, c.Letters) {
				return
			}
		}
	})
	if len(all) != mostReasons+1 {
		t.Errorf("some reason is there twice")
	}
}

func TestWhatBecameOfATransactionIsFoundOut(t *testing.T) {
	for _, committed := range []bool{true, false} {
		t.Run(fmt.Sprintf("committed %v", committed), func(t *testing.T) {
			w := newWorld(t)
			w.letters(700)
			seen := 0
			w.k.ControlKey(kmsg.EndTxn.Int16(), func(kreq kmsg.Request) (kmsg.Response, error, bool) {
				w.k.KeepControl()
				seen++
				if seen != 1 {
					return nil, nil, false
				}
				if committed { // by a request that is its like, so that the answer to this one can be another
					same := *kreq.(*kmsg.EndTxnRequest)
					w.k.SleepControl(func() {
						if resp, err := same.RequestWith(t.Context(), w.Client.Client); err != nil || resp.ErrorCode != 0 {
							t.Errorf("ending the transaction: %v, %+v", err, resp)
						}
					})
				}
				resp := kreq.ResponseKind().(*kmsg.EndTxnResponse)
				resp.ErrorCode = kerr.RequestTimedOut.Code
				return resp, nil, true
			})
			var notes bytes.Buffer
			w.mustRedrive(700, Options{Notes: &notes})
			if !strings.Contains(notes.String(), "it is tried again") {
				t.Errorf("nothing failed: %q", notes.String())
			}
			w.want("orders", upTo(700)...)
		})
	}
}
