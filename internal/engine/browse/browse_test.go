package browse

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/messaging-kafka/messaging-kafka/internal/base/redact"
	"github.com/messaging-kafka/messaging-kafka/internal/record"
	"github.com/messaging-kafka/messaging-kafka/internal/settings"
	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

func open(t *testing.T, k *testkit.FakeKafka, topic string) *Source {
	t.Helper()
	link, _, err := settings.ParseLink(settings.Input{Config: map[string]string{"hosts": strings.Join(k.Brokers(), ",")}})
	if err != nil {
		t.Fatal(err)
	}
	s, err := Open(t.Context(), link, topic, new(redact.Redactor))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func TestWhatIsShownObeysNobody(t *testing.T) {
	for _, test := range []struct {
		in    []byte
		asHex bool
		most  int
		want  string
	}{
		{nil, false, 0, "null"},
		{[]byte{}, false, 0, ""},
		{[]byte(`{"a": "ü"}`), false, 0, `{"a": "ü"}`},
		{[]byte("a\nb\tc\x1b[2J\u202e"), false, 0, `a\nb\tc\x1b[2J\u202e`},
		{[]byte{0xff, 0x00}, false, 0, "0xff00"},
		{[]byte("ab"), true, 0, "0x6162"},
		{[]byte("aüüü"), false, 4, "aü… (7 bytes)"},
		{[]byte{0xff, 0xfe, 0xfd}, false, 2, "0xfffe… (3 bytes)"},
	} {
		if got := Show(test.in, test.asHex, test.most); got != test.want {
			t.Errorf("Show(%q, %v, %d) is %q, want %q", test.in, test.asHex, test.most, got, test.want)
		}
	}
}

func TestHeadersOfDeadLettersAreDecoded(t *testing.T) {
	for _, test := range []struct {
		header record.Header
		want   string
	}{
		{record.Header{Key: "kafka_dlt-original-partition", Value: []byte{0, 0, 0, 3}}, "3"},
		{record.Header{Key: "kafka_dlt-original-offset", Value: []byte{0, 0, 0, 0, 0, 0, 4, 18}}, "1042"},
		{record.Header{Key: "kafka_dlt-original-timestamp", Value: binary.BigEndian.AppendUint64(nil, 1769860800123)},
			"2026-01-31T12:00:00.123Z"},
		{record.Header{Key: "kafka_deliveryAttempt", Value: []byte{0, 0, 0, 5}}, "5"},
		{record.Header{Key: "kafka_deliveryAttempt", Value: []byte("five")[:2]}, "fi"},
		{record.Header{Key: "shop", Value: []byte("eu")}, "eu"},
	} {
		if got := ShowHeader(test.header, false, 0); got != test.want {
			t.Errorf("%s is shown as %q, want %q", test.header.Key, got, test.want)
		}
	}
}

func TestFilters(t *testing.T) {
	r := &record.Record{
		Key:   []byte("customer-7"),
		Value: []byte(`{"customer": {"id": 42, "name": "Ada"}, "items": [{"sku": "x"}], "note": null}`),
		Headers: []record.Header{{Key: "shop", Value: []byte("eu")}, {Key: "shop", Value: []byte("us")},
			{Key: "kafka_deliveryAttempt", Value: []byte{0, 0, 0, 5}}},
	}
	for text, want := range map[string]bool{
		"key=customer-7": true, "key=customer": false, "key~^customer": true,
		"value.customer.id=42": true, "value.customer.id=43": false, "value.customer.name=Ada": true,
		"value.items.0.sku=x": true, "value.items.1.sku=x": false, "value.note=null": true,
		"value.nothing=": false, "value.customer.name~^A": true,
		"header.shop=us": true, "header.shop=eu": true, "header.shop=de": false, "header.none=": false,
		"header.kafka_deliveryAttempt=5": true,
		"Ada":                            true, "^customer-7$": true, "nobody": false,
	} {
		f, err := ParseFilter([]string{text})
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got := f.Matches(r); got != want {
			t.Errorf("%s fits: %v", text, got)
		}
	}
	if f, err := ParseFilter([]string{"key=customer-7", "header.shop=de"}); err != nil || f.Matches(r) {
		t.Errorf("one of two that fits is enough (%v)", err)
	}
	if f, err := ParseFilter([]string{"value=x", "."}); err != nil || f.Matches(&record.Record{}) {
		t.Errorf("a record of nulls fits (%v)", err)
	}
	for _, text := range []string{"(", "key~("} {
		if _, err := ParseFilter([]string{text}); err == nil || !strings.Contains(err.Error(), "--filter "+text) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestTailBeginsAndEndsWhereItIsAskedTo(t *testing.T) {
	t.Parallel()
	k := testkit.Kfake(t)
	k.Topic("t", 2)
	cl := testkit.NewClient(t, k.Brokers())
	began := time.UnixMilli(1_700_000_000_000)
	for i := range 10 {
		cl.Produce(&kgo.Record{
			Topic: "t", Key: []byte("k"), Value: []byte{byte('a' + i)}, Timestamp: began.Add(time.Duration(i) * time.Minute),
		})
	}
	s := open(t, k, "t")
	now := began.Add(10 * time.Minute)
	even := Filter{func(r *record.Record) bool { return r.Offset%2 == 0 }}
	place := func(text string) Place {
		p, err := ParsePlace(text, now)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	for name, test := range map[string]struct {
		o    Options
		want string
	}{
		"everything":          {Options{From: place("start"), To: place("end")}, "abcdefghij"},
		"by offsets":          {Options{From: place("3"), To: place("5")}, "de"},
		"the last ones":       {Options{From: place("-2"), To: place("end")}, "ij"},
		"by times":            {Options{From: place("3m"), To: place("2023-11-14T22:22:20Z")}, "hi"},
		"beyond the ends":     {Options{From: place("100"), To: place("end")}, ""},
		"a limit":             {Options{From: place("start"), Limit: 3}, "abc"},
		"another partition":   {Options{From: place("start"), To: place("end"), Partitions: []int32{1}}, ""},
		"a filter":            {Options{From: place("start"), To: place("end"), Filter: even}, "acegi"},
		"from an end to none": {Options{From: place("end"), To: place("end")}, ""},
	} {
		var out, notes bytes.Buffer
		test.o.JSON, test.o.Notes = true, &notes
		if err := Tail(t.Context(), s, &out, test.o); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		got := ""
		for dec := json.NewDecoder(&out); dec.More(); {
			var line struct{ Value struct{ Text string } }
			if err := dec.Decode(&line); err != nil {
				t.Fatal(err)
			}
			got += line.Value.Text
		}
		if got != test.want || notes.Len() > 0 {
			t.Errorf("%s: %q, want %q (%s)", name, got, test.want, &notes)
		}
	}
	err := Tail(t.Context(), s, new(bytes.Buffer), Options{Partitions: []int32{2}})
	if err == nil || !strings.Contains(err.Error(), "no partition 2") {
		t.Errorf("a partition that is not there: %v", err)
	}
	for _, text := range []string{"yesterday", "1.5", "-x"} {
		if _, err := ParsePlace(text, now); err == nil {
			t.Errorf("%s is a place", text)
		}
	}
}

func TestPlacesBehindEachOtherAreKnown(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	for places, want := range map[[2]string]bool{
		{"5", "3"}: true, {"3", "5"}: false, {"3", "3"}: false,
		{"-3", "-5"}: true, {"-5", "-3"}: false,
		{"1m", "2m"}: true, {"2m", "1m"}: false, {"2026-02-01", "2026-01-31"}: true,
		{"end", "start"}: true, {"start", "end"}: false, {"end", "end"}: false, {"start", "start"}: false,
		{"end", "3"}: false, {"5", "1m"}: false, {"5", ""}: false, {"end", ""}: false,
	} {
		from, err := ParsePlace(places[0], now)
		if err != nil {
			t.Fatal(err)
		}
		to, err := ParsePlace(places[1], now)
		if err != nil {
			t.Fatal(err)
		}
		if got := from.IsBehind(to); got != want {
			t.Errorf("whether %s is behind %s: %t", places[0], places[1], got)
		}
	}
}

func TestTailFollowsUntilItIsStopped(t *testing.T) {
	t.Parallel()
	k := testkit.Kfake(t)
	k.Topic("t", 1)
	cl := testkit.NewClient(t, k.Brokers())
	cl.ProduceText("t", "before")
	s := open(t, k, "t")
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var out testkit.Log
	ended := make(chan error)
	go func() { ended <- Tail(ctx, s, &out, Options{Notes: &out}) }()
	testkit.Eventually(t, testkit.DefaultTimeout, func() error { // until it has found the end, none of these is for it
		cl.ProduceText("t", "after")
		if !strings.Contains(out.String(), "  null  after\n") {
			return errNotYet
		}
		return nil
	})
	stop()
	if err := <-ended; err != nil {
		t.Errorf("it ends with %v", err)
	}
	if strings.Contains(out.String(), "before") {
		t.Errorf("it shows what was there before:\n%s", out.String())
	}
}

var errNotYet = context.DeadlineExceeded

func TestTheJSONOfARecordKeepsItsForm(t *testing.T) {
	line := NewLine(&record.Record{
		Topic: "t", Partition: 3, Offset: 1042, Timestamp: time.UnixMilli(1769860800123),
		Key: []byte(`{"k":1}`), Value: []byte(` {"total": 41.970}`),
		Headers: []record.Header{{Key: "n"}, {Key: "b", Value: []byte{0xff}},
			{Key: "kafka_deliveryAttempt", Value: []byte{0, 0, 0, 5}}},
	}, false)
	got, err := json.Marshal(line)
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"topic":"t","partition":3,"offset":1042,"timestamp":1769860800123,"time":"2026-01-31T12:00:00.123Z",` +
		`"key":{"text":"{\"k\":1}"},"value":{"json":{"total":41.970}},` +
		`"headers":[{"name":"n","value":null},{"name":"b","value":{"base64":"/w=="}},{"name":"kafka_deliveryAttempt","value":{"text":"\u0000\u0000\u0000\u0005"},"number":5}]}`
	if string(got) != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
