package cli

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/messaging-kafka/messaging-kafka/internal/engine/consume"
	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

// deadLetter is a dead letter of the record at an offset of orders, with a value of its number.
func deadLetter(n int, reason string) *kgo.Record {
	return &kgo.Record{
		Topic: "orders.dead", Key: fmt.Appendf(nil, "k%d", n%7), Value: fmt.Appendf(nil, `{"n":%d}`, n),
		Timestamp: time.UnixMilli(1_700_000_000_000 + int64(n)),
		Headers: []kgo.RecordHeader{
			{Key: consume.HeaderOriginalTopic, Value: []byte("orders")},
			{Key: consume.HeaderOriginalPartition, Value: binary.BigEndian.AppendUint32(nil, uint32(n%3))},
			{Key: consume.HeaderOriginalOffset, Value: binary.BigEndian.AppendUint64(nil, uint64(n))},
			{Key: consume.HeaderOriginalGroup, Value: []byte("mailer")},
			{Key: consume.HeaderError, Value: []byte(reason)},
			{Key: consume.HeaderAttempts, Value: []byte{0, 0, 0, 5}},
		},
	}
}

func TestDeadLettersAreListedShownAndSentBack(t *testing.T) {
	k := testkit.Kfake(t)
	k.Topic("orders", 3)
	k.Topic("orders.dead", 1)
	k.Topic("empty.dead", 1)
	cl := testkit.NewClient(t, k.Brokers())
	for n := range 5 {
		cl.Produce(deadLetter(n, []string{"no connection", "no such \x1b[31mcustomer"}[n%2]))
	}
	aborted := testkit.NewClient(t, k.Brokers(), kgo.TransactionalID("x"))
	if err := aborted.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	aborted.Produce(deadLetter(5, "aborted"))
	if err := aborted.EndTransaction(t.Context(), kgo.TryAbort); err != nil {
		t.Fatal(err)
	}
	// Letters that were aborted come again, whatever the link reads.
	link := []string{
		"--set", "hosts=" + k.Brokers()[0], "--set", "dead_letter_topic=orders.dead", "--set", "topic=orders",
		"--set", "isolation=read_uncommitted",
	}
	bridge := write(t, "bridge.yaml", fmt.Sprintf(`
name: shop
routes:
  orders:
    hosts: %q
    topic: orders
    dead_letter_topic: orders.dead
    deliver: http-records
    url: http://127.0.0.1:1/
  bills:
    hosts: %q
    topic: bills
    dead_letter_topic: bills.dead
    deliver: http-records
    url: http://127.0.0.1:1/
`, k.Brokers()[0], k.Brokers()[0]))
	for _, test := range []struct {
		name     string
		args     []string
		code     int
		out, err string
	}{
		{"list", append([]string{"list"}, link...), exitOK, "0/1     2023-11-14T22:13:20.001Z  orders/1/1  k1   5         -         no such \\x1b[31mcustomer\n", ""},
		{"list by a route", []string{"list", "--config", bridge, "--route", "orders", "--reason", "^no conn"}, exitOK, "orders/1/4", ""},
		{"list by reason", append([]string{"list", "--by-reason"}, link...), exitOK, "       3  no connection\n       2  no such", ""},
		{"nothing", append([]string{"list", "--key", "nobody"}, link...), exitOK, "no dead letters in orders.dead fit\n", ""},
		{"nothing at all", append([]string{"list", "--topic", "empty.dead"}, link...), exitOK, "no dead letters in empty.dead\n", ""},
		{"show", append([]string{"show", "0/3"}, link...), exitOK, "value\n    {\n      \"n\": 3\n    }\n", ""},
		{"show one that is not there", append([]string{"show", "0/33"}, link...), exitFailure, "", "there is no letter 0/33 in orders.dead"},
		{"a route that is not there", []string{"list", "--config", bridge, "--route", "others"}, exitUsage, "", "it has bills, orders"},
		{"two routes", []string{"list", "--config", bridge}, exitUsage, "", "which of them?"},
		{"no topic of letters", []string{"list", "--set", "hosts=" + k.Brokers()[0]}, exitUsage, "", "--topic"},
		{"no Kafka", []string{"list"}, exitUsage, "", "--config"},
		{"no such topic", append([]string{"list", "--topic", "none"}, link...), exitFailure, "", "topic none does not exist, or this user may not see it"},
		{"no such partition", append([]string{"list", "--partition", "3"}, link...), exitFailure, "", "there is no partition 3"},
		{"show in no such partition", append([]string{"show", "3/0"}, link...), exitFailure, "", "topic orders.dead: there is no partition 3: it has 1 (0 to 0)"},
		{"a bad regex", append([]string{"list", "--reason", "("}, link...), exitUsage, "", "--reason"},
		{"a bad time", append([]string{"list", "--since", "noon"}, link...), exitUsage, "", "--since"},
		{"a bad place", append([]string{"show", "3"}, link...), exitUsage, "", "PARTITION/OFFSET"},
		{"a key as list shows it", append([]string{"list", "--key-hex", "0x6b34"}, link...), exitOK, "orders/1/4", ""},
		{"no end of letters", append([]string{"redrive", "--limit", "0"}, link...), exitUsage, "", "--limit must be 1 at least"},
		{"no rate", append([]string{"redrive", "--rate", "0"}, link...), exitUsage, "", "--rate must be above 0"},
		{"a variable that is not set: to", append([]string{"redrive", "--to", ""}, link...), exitUsage, "", "--to is empty"},
		{"a variable that is not set: reason", append([]string{"redrive", "--reason", ""}, link...), exitUsage, "", "--reason is empty"},
		{"a variable that is not set: group", append([]string{"redrive", "--group", ""}, link...), exitUsage, "", "--group is empty"},
		{"a variable that is not set: topic", append([]string{"list", "--topic", ""}, link...), exitUsage, "", "--topic is empty"},
		{"a variable that is not set: since", append([]string{"list", "--since", ""}, link...), exitUsage, "", "--since is empty"},
		{"a variable that is not set: round", append([]string{"redrive", "--round", ""}, link...), exitUsage, "", "--round is empty"},
		{"all in a secret", []string{"list", "--topic", "orders.dead", "--secret", "kafka_properties=bootstrap.servers=" + k.Brokers()[0]}, exitOK, "orders/1/4", ""},
		{"dry run", append([]string{"redrive", "--dry-run"}, link...), exitOK, "0/4 would go to orders: no connection\n5 letters of orders.dead would be sent: 5 to orders\n", ""},
		{"redrive some", append([]string{"redrive", "--offset", "-1"}, link...), exitOK, "2 letters of orders.dead sent: 2 to orders\n", ""},
		{"redrive", append([]string{"redrive", "--json"}, link...), exitOK, "\"sent\": 3,\n  \"known\": 2,", ""},
		{"redrive again", append([]string{"redrive"}, link...), exitOK, "0 letters of orders.dead sent\nwhat was there before was passed by an earlier redrive (7 offsets): --round NAME begins anew\n", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := run(t, "", nil, append([]string{"dead-letters"}, test.args...)...)
			if got.code != test.code || !strings.Contains(got.out, test.out) || !strings.Contains(got.err, test.err) ||
				(test.err == "") != (got.err == "") {
				t.Errorf("exit %d\n%s%s", got.code, got.out, got.err)
			}
		})
	}
	if n := len(cl.Read("orders", 5)); n != 5 {
		t.Errorf("orders has %d records", n)
	}
	var line struct {
		Value  struct{ JSON struct{ N int } }
		Letter struct {
			Reason   string
			Attempts int
			Origin   struct{ Partition, Offset int }
		}
	}
	got := run(t, "", nil, append([]string{"dead-letters", "list", "--json", "--offset", "4"}, link...)...)
	if err := json.Unmarshal([]byte(got.out), &line); err != nil || line.Value.JSON.N != 4 ||
		line.Letter.Reason != "no connection" || line.Letter.Attempts != 5 ||
		line.Letter.Origin.Offset != 4 || line.Letter.Origin.Partition != 1 {
		t.Errorf("%v in %s%s", err, got.out, got.err)
	}
}

func TestTailShowsWhatItIsAskedFor(t *testing.T) {
	k := testkit.Kfake(t)
	k.Topic("orders", 1)
	cl := testkit.NewClient(t, k.Brokers())
	cl.ProduceText("orders", "a", "b", "c")
	hosts := []string{"--set", "hosts=" + k.Brokers()[0], "--from", "start", "--to", "end"}
	const secret = "hunter2-must-not-show"
	for name, test := range map[string]struct {
		args     []string
		code     int
		out, err string
	}{
		"all":             {nil, exitOK, "  0/0  null  a\n", ""},
		"some":            {[]string{"--filter", "value=c"}, exitOK, "  0/2  null  c\n", ""},
		"hex":             {[]string{"--hex"}, exitOK, "  0/1  null  0x62\n", ""},
		"json":            {[]string{"--json", "--from", "2"}, exitOK, `"value":{"text":"c"},"headers":[]}`, ""},
		"none":            {[]string{"--limit", "0"}, exitUsage, "", "--limit must be 1 at least"},
		"no place":        {[]string{"--to", ""}, exitUsage, "", "--to is empty"},
		"a wrong place":   {[]string{"--from", "noon"}, exitUsage, "", "--from"},
		"nothing between": {[]string{"--from", "5", "--to", "3"}, exitUsage, "", "--from 5 is behind --to 3: there is nothing between them"},
		"a wrong filter":  {[]string{"--filter", "("}, exitUsage, "", "--filter"},
		"nobody":          {[]string{"--set", "hosts=127.0.0.1:1"}, exitUsage, "", "gives hosts twice"},
		"wrong passwords": {[]string{"--set", "security_protocol=SASL_PLAINTEXT", "--set", "sasl_mechanism=PLAIN", "--set", "sasl_username=u", "--set", "request_timeout=1s", "--secret-env", "sasl_password=THE_SECRET"}, exitFailure, "", "SASL"},
	} {
		t.Run(name, func(t *testing.T) {
			args := append(append([]string{"tail", "orders"}, hosts...), test.args...)
			got := run(t, "", []string{"THE_SECRET=" + secret}, args...)
			if got.code != test.code || !strings.Contains(got.out, test.out) || !strings.Contains(got.err, test.err) ||
				(test.err == "") != (got.err == "") {
				t.Errorf("exit %d\n%s%s", got.code, got.out, got.err)
			}
			if strings.Contains(got.out+got.err, secret) {
				t.Errorf("the secret is shown: %s%s", got.out, got.err)
			}
		})
	}
}
