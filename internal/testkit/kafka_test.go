package testkit

import (
	"context"
	"crypto/rand"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

func TestAFakeKafkaBehindProxiesIsReachedThroughThemOnly(t *testing.T) {
	k := KfakeProxied(t, kfake.NumBrokers(2))
	k.Topic("orders", 4)
	c := NewClient(t, k.Brokers())
	c.ProduceText("orders", "a", "b")
	if got := c.Read("orders", 2); string(got[0].Value)+string(got[1].Value) == "" {
		t.Fatal("empty records")
	}
	for _, p := range k.Proxies() {
		p.Down()
	}
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if err := c.ProduceSync(ctx, kgo.KeySliceRecord([]byte("k"), nil)).FirstErr(); err == nil {
		t.Fatal("a record passed proxies that are down")
	}
	for _, p := range k.Proxies() {
		p.Up()
	}
	c.ProduceText("orders", "c")
}

func TestClientWaitsForCommitsAndMembers(t *testing.T) {
	k := Kfake(t)
	c := NewClient(t, k.Brokers())
	c.Topic("orders", 2, nil)
	c.WaitMembers("g", 0)
	c.Produce(&kgo.Record{Topic: "orders", Key: []byte("k"), Value: []byte("v")})
	member := NewClient(t, k.Brokers(), kgo.ConsumerGroup("g"), kgo.ConsumeTopics("orders"), kgo.DisableAutoCommit(),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	records := member.PollFetches(t.Context()).Records()
	c.WaitMembers("g", 1)
	if got := c.Committed("g", "orders"); len(got) != 0 {
		t.Fatalf("committed before the commit: %v", got)
	}
	if err := member.CommitRecords(t.Context(), records...); err != nil {
		t.Fatal(err)
	}
	c.WaitCommitted("g", "orders", map[int32]int64{records[0].Partition: 1})
	c.WaitDrained("g", "orders")
	member.Close()
	c.WaitMembers("g", 0)
}

func TestARealKafkaSurvivesWhatATestDoesToIt(t *testing.T) {
	k := StartKafka(t, KafkaOptions{Proxied: true, Properties: map[string]string{"message.max.bytes": "4096"}})
	c := NewClient(t, k.Brokers())
	c.Topic("orders", 1, nil)
	c.ProduceText("orders", "before")
	if out := k.Tool(t, "topics", "--list"); out != "orders" {
		t.Errorf("kafka-tool topics --list: %q", out)
	}

	proxied := NewClient(t, k.ProxiedBrokers())
	proxied.ProduceText("orders", "through the proxy")
	if k.Proxies()[0].Conns() == 0 {
		t.Error("the proxy has no connection")
	}

	k.PauseNode(t, 1)
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	if err := c.Ping(ctx); err == nil {
		t.Error("a paused broker answers")
	}
	cancel()
	k.ResumeNode(t, 1)
	c.ProduceText("orders", "after the pause")

	k.KillNode(t, 1)
	k.StartNode(t, 1)
	k.Restart(t)
	c.ProduceText("orders", "after the restart")
	if got := c.Read("orders", 4); string(got[0].Value) != "before" {
		t.Errorf("first record %q", got[0].Value)
	}
	big := &kgo.Record{Topic: "orders", Value: make([]byte, 8192)}
	if _, err := rand.Read(big.Value); err != nil { // a batch of zeros would be compressed to nothing
		t.Fatal(err)
	}
	if err := c.ProduceSync(t.Context(), big).FirstErr(); err == nil ||
		!strings.Contains(err.Error(), "MESSAGE_TOO_LARGE") {
		t.Errorf("a record above message.max.bytes: %v", err)
	}
}

func TestTestsShareARealKafka(t *testing.T) {
	a := RealKafka(t, KafkaOptions{Version: Kafka3})
	if b := RealKafka(t, KafkaOptions{Version: Kafka3, Nodes: 1}); a != b {
		t.Error("equal options start two clusters")
	}
	NewClient(t, a.Brokers()).Topic("orders", 1, nil)
}

func TestAMissingToolIsNamed(t *testing.T) {
	root, err := ProjectRoot()
	if err != nil {
		t.Fatal(err)
	}
	// A PATH with what the scripts themselves run, but without java, mvn and openssl.
	bin := t.TempDir()
	for _, tool := range []string{"bash", "env", "dirname", "sed", "grep", "mkdir"} {
		for _, dir := range []string{"/bin", "/usr/bin"} {
			if _, err := os.Stat(filepath.Join(dir, tool)); err == nil {
				_ = os.Symlink(filepath.Join(dir, tool), filepath.Join(bin, tool)) // the first one wins
			}
		}
	}
	t.Setenv("PATH", bin)
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	t.Chdir(root)
	for script, tool := range map[string]string{"kafka-up": "java", "kafka-lib": "mvn", "kafka-tool": "java"} {
		_, err := runScript(nil, "test/kafka/"+script, "topics")
		if script == "kafka-up" {
			_, err = runScript(nil, "test/kafka/"+script)
		}
		if _, ok := err.(errMissingTool); !ok || !strings.Contains(err.Error(), tool+" ") {
			t.Errorf("%s: %v, want word of %s", script, err, tool)
		}
	}
}
