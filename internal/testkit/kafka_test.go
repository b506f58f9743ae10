package testkit

import (
	"context"
	"errors"
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
		if _, ok := errors.AsType[errMissingTool](err); !ok || !strings.Contains(err.Error(), tool+" ") {
			t.Errorf("%s: %v, want word of %s", script, err, tool)
		}
	}
}
