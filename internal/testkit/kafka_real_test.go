//go:build brokers

package testkit

import (
	"context"
	"crypto/rand"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

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
