package integration

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

const mib = 1 << 20

// procStatus reads a size such as VmRSS from a process's status, in bytes.
func procStatus(t *testing.T, pid int, field string) int64 {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	testkit.Require(t, testkit.Need{Name: "/proc", How: "run on Linux", Check: func() error { return err }})
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, field+":"); ok {
			n, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(value), "kB")), 10, 64)
			if err != nil {
				t.Fatalf("reading %s of process %d: %v", field, pid, err)
			}
			return n << 10
		}
	}
	t.Fatalf("process %d has no %s", pid, field)
	return 0
}

// bytesRead is what a process has read from files and sockets so far.
func bytesRead(t *testing.T, pid int) int64 {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/io", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, "rchar:"); ok {
			n, err := strconv.ParseInt(strings.TrimSpace(value), 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
	}
	t.Fatalf("process %d has no rchar", pid)
	return 0
}

// backlog produces n records of size bytes each.
func (r *rig) backlog(topic string, n, size int) {
	r.t.Helper()
	producer := testkit.NewClient(r.t, r.brokers, kgo.ProducerBatchCompression(kgo.NoCompression()),
		kgo.MaxBufferedBytes(32*mib), kgo.RecordPartitioner(kgo.RoundRobinPartitioner()))
	value := []byte(strings.Repeat("0123456789", size/10))
	ctx, cancel := context.WithTimeout(r.t.Context(), 2*patience)
	defer cancel()
	var failed error
	for range n {
		producer.Client.Produce(ctx, &kgo.Record{Topic: topic, Value: value}, func(_ *kgo.Record, err error) {
			if err != nil {
				failed = err // one goroutine makes all these calls
			}
		})
	}
	if err := producer.Flush(ctx); err != nil {
		r.t.Fatalf("producing a backlog: %v", err)
	}
	if failed != nil {
		r.t.Fatalf("producing a backlog: %v", failed)
	}
}

func TestMemoryStaysFlatBehindAStuckHandler(t *testing.T) {
	const size, inFlight, limit = 100_000, 64, 150 * mib
	r := newRig(t, kafka4(t).Brokers())
	in := r.topic("in", 4)
	r.backlog(in, 1<<30/size, size)
	j := newJournal()
	release := make(chan struct{})
	r.component(testkit.ComponentOptions{Handler: j.handler(
		func(ctx context.Context, _ *testkit.Component, _ testkit.Call, _ int) error {
			select {
			case <-release:
			case <-ctx.Done():
			}
			return nil
		})})
	r.link("echo", r.config(in, "order", "none")) // the records have no key
	p := r.startProcess()
	j.waitRunning(t, inFlight)
	// The buffer is full when the provider has stopped reading: heartbeats and metadata are all that comes.
	read := bytesRead(t, p.PID())
	var peak int64
	still := 0
	testkit.Eventually(t, patience, func() error {
		peak = max(peak, procStatus(t, p.PID(), "VmRSS"))
		now := bytesRead(t, p.PID())
		if now-read > 64<<10 {
			still = 0
		}
		read = now
		// Checks come to be 200 ms apart.
		if still++; still < 25 {
			return fmt.Errorf("the provider goes on reading: %d MiB so far", now/mib)
		}
		return nil
	})
	high := procStatus(t, p.PID(), "VmHWM")
	t.Logf("1 GiB of %d byte records behind a stuck handler: %d MiB resident, %d MiB at the highest, %d MiB read",
		size, peak/mib, high/mib, read/mib)
	if high >= limit {
		t.Errorf("the provider took %d MiB, want less than %d", high/mib, limit/mib)
	}
	if read > 200*mib {
		t.Errorf("the provider read %d MiB of records that it has no room for", read/mib)
	}
	close(release)
	j.waitBegun(t, 1000)
	if high = procStatus(t, p.PID(), "VmHWM"); high >= limit {
		t.Errorf("the provider took %d MiB once the handler went on, want less than %d", high/mib, limit/mib)
	}
	p.stop()
}

func TestTenIdleLinksTakeLittleMemory(t *testing.T) {
	// Without any it is 44, of which 36 are pages of the program's file, which everybody who runs it shares. Each has a
	// client that reads, one that publishes, and what bounds the batches of the first.
	const links, limit = 10, 60 * mib
	r := newRig(t, kafka4(t).Brokers())
	for i := range links {
		name := fmt.Sprintf("c%d", i)
		r.link(name, r.config(r.topic(name, 1)))
	}
	p := r.startProcess()
	p.WaitHealthy()
	for i := range links {
		r.kc.WaitMembers(r.group(fmt.Sprintf("c%d", i)), 1)
	}
	high := procStatus(t, p.PID(), "VmHWM")
	t.Logf("%d links on a real Kafka: %d MiB resident, %d MiB at the highest, %d MiB of it the program's own file",
		links, procStatus(t, p.PID(), "VmRSS")/mib, high/mib, procStatus(t, p.PID(), "RssFile")/mib)
	if high >= limit {
		t.Errorf("the provider took %d MiB, want less than %d", high/mib, limit/mib)
	}
	p.stop()
}

func TestHealthIsThereAtOnce(t *testing.T) {
	const starts, limit = 20, 200 * time.Millisecond
	r := newRig(t, kafka4(t).Brokers())
	r.link("echo", r.config(r.topic("in", 1)))
	testkit.Program(t)
	var took []time.Duration
	var p *node
	for range starts {
		begin := time.Now()
		if p == nil {
			p = r.startProcess()
		} else {
			p.Restart()
		}
		for {
			ctx, cancel := context.WithTimeout(t.Context(), testkit.DefaultTimeout)
			_, err := p.Health(ctx)
			cancel()
			if err == nil {
				break
			}
			if time.Since(begin) > testkit.DefaultTimeout {
				t.Fatalf("no health after %v: %v", testkit.DefaultTimeout, err)
			}
		}
		took = append(took, time.Since(begin))
		p.stop()
	}
	slices.Sort(took)
	t.Logf("%d starts to the first answer to a health check: median %v, all %v", starts,
		took[starts/2].Round(time.Millisecond), rounded(took))
	if took[starts/2] >= limit {
		t.Errorf("the median is %v, want less than %v", took[starts/2], limit)
	}
}
