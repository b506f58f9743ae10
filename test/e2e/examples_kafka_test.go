//go:build e2e

package e2e

import (
	"fmt"
	"maps"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

// startManifest does all that the README of an example has its reader do, on a lattice of its own.
func startManifest(t *testing.T, name string) *testkit.Client {
	t.Helper()
	testkit.HostBinary(t)
	manifest := "examples/" + name + "/wadm.yaml"
	wasm, archive := testkit.ComponentWasm(t, name), testkit.ProviderArchive(t)
	kafka := testkit.RealKafka(t, testkit.KafkaOptions{})
	check := exec.Command(testkit.Program(t), "check", "--manifest", filepath.Join("../..", manifest),
		"--set", "hosts="+kafka.Brokers()[0])
	if out, err := check.CombinedOutput(); err != nil {
		t.Errorf("checking the manifest: %v\n%s", err, out)
	}
	ns := testkit.NATS(t, testkit.NATSOptions{JetStream: true})
	host := testkit.StartHost(t, ns, testkit.HostOptions{Lattice: name, Log: "info"})
	host.ApplyManifest(manifest, testkit.ManifestOptions{
		Images: map[string]string{name: wasm, "kafka": archive},
		Set:    map[string]string{"hosts": kafka.Brokers()[0]},
	})
	host.WaitHealthy("kafka")
	return testkit.NewClient(t, kafka.Brokers())
}

// committed is a client that reads what transactions have committed.
func committed(t *testing.T) *testkit.Client {
	t.Helper()
	return testkit.NewClient(t, testkit.RealKafka(t, testkit.KafkaOptions{}).Brokers(),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()))
}

func TestTheExamplesWorkAsTheirReadmesSay(t *testing.T) {
	kafka := testkit.NewClient(t, testkit.RealKafka(t, testkit.KafkaOptions{}).Brokers())
	for _, topic := range []string{"orders", "orders.enriched", "orders.large", "orders.dead", "texts", "texts.words"} {
		kafka.Topic(topic, 3, nil)
	}
	t.Run("enrich", enriches)
	t.Run("order-filter", filters)
	t.Run("word-count", countsWords)
}

func enriches(t *testing.T) {
	kafka := startManifest(t, "enrich")
	good := &kgo.Record{Topic: "orders", Key: []byte("7"), Value: []byte(`{"id":7,"country":"FR","amount":12.50}`)}
	kafka.Produce(good, &kgo.Record{Topic: "orders", Key: []byte("8"),
		Value: []byte(`{"id":8,"country":"XX","amount":1}`)})
	enriched := kafka.Read("orders.enriched", 1)[0]
	from, _ := headerOf(enriched, "enriched-from")
	if string(enriched.Key) != "7" ||
		string(enriched.Value) != `{"id":7,"country":"FR","amount":12.50,"currency":"EUR"}` ||
		from != fmt.Sprintf("orders/%d/%d", good.Partition, good.Offset) {
		t.Errorf("the enriched order is %s", describe(enriched))
	}
	dead := kafka.Read("orders.dead", 1)[0]
	if reason, _ := headerOf(dead, "kafka_dlt-exception-message"); string(dead.Key) != "8" ||
		reason != `the currency of country "XX" is not known` {
		t.Errorf("the dead letter is %s", describe(dead))
	}
	kafka.WaitDrained("enrich", "orders")
}

func filters(t *testing.T) {
	kafka := startManifest(t, "order-filter")
	kafka.WaitDrained("order-filter", "orders") // what the other example left
	order := func(key, value string) *kgo.Record {
		return &kgo.Record{Topic: "orders", Key: []byte(key), Value: []byte(value),
			Headers: []kgo.RecordHeader{{Key: "h", Value: []byte(key)}}}
	}
	large := order("large", `{"id":7, "total":250}`)
	gone := order("gone", "")
	gone.Value = nil
	kafka.Produce(large, order("small", `{"id":8,"total":99.5}`), gone, order("no total", `{"id":9}`),
		order("no JSON", `{`), order("no text", "\xff"))
	checkSame(t, committed(t).Read("orders.large", 2), []*kgo.Record{large, gone})
	reasons := make(map[string]string)
	kafka.ReadUntil("orders.dead", testkit.DefaultTimeout, func(got []*kgo.Record) bool {
		for _, r := range got {
			reasons[string(r.Key)], _ = headerOf(r, "kafka_dlt-exception-message")
		}
		return reasons["no total"] != "" && reasons["no JSON"] != "" && reasons["no text"] != ""
	})
	for key, want := range map[string]string{"no total": "the order has no total", "no JSON": "the order is not JSON: ",
		"no text": "the order is not UTF-8"} {
		if !strings.HasPrefix(reasons[key], want) {
			t.Errorf("%s is rejected with %q, want %q", key, reasons[key], want)
		}
	}
	kafka.WaitDrained("order-filter", "orders")
}

func countsWords(t *testing.T) {
	kafka := startManifest(t, "word-count")
	const n = 300
	var texts []*kgo.Record
	want := make(map[string]int)
	for i := range n {
		text := fmt.Sprintf("To be, or not to be: that is question %d.", i%10)
		texts = append(texts, &kgo.Record{Topic: "texts", Key: fmt.Append(nil, i), Value: []byte(text)})
		for word, count := range map[string]int{"to": 2, "be": 2, "or": 1, "not": 1, "that": 1, "is": 1, "question": 1,
			strconv.Itoa(i % 10): 1} {
			want[word] += count
		}
	}
	kafka.Produce(texts...)
	const wordsOfEach = 8
	got := make(map[string]int)
	for _, r := range committed(t).Read("texts.words", n*wordsOfEach) {
		count, err := strconv.Atoi(string(r.Value))
		if err != nil {
			t.Fatal(err)
		}
		got[string(r.Key)] += count
	}
	if !maps.Equal(got, want) {
		t.Errorf("the words are %v, want %v", got, want)
	}
	kafka.WaitDrained("word-count", "texts")
	// Beside the records there are the marks at the ends of transactions.
	var stored int64
	for _, end := range kafka.EndOffsets("texts.words") {
		stored += end
	}
	if stored <= n*wordsOfEach {
		t.Errorf("%d records take %d offsets, which leaves none for transactions", n*wordsOfEach, stored)
	}
}
