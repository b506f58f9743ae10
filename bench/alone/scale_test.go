//go:build bench

package alone

import (
	"flag"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/messaging-kafka/messaging-kafka/bench"
	"github.com/messaging-kafka/messaging-kafka/bench/rig"
	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

var (
	linksFlag      = flag.String("links", "1,10,100,500", "numbers of links to measure")
	partitionsFlag = flag.String("partitions", "1,10,100,1000", "numbers of partitions to measure")
	copiesFlag     = flag.String("copies", "1,2,4", "numbers of provider copies to measure")
	idle           = flag.Duration("idle", 3*time.Second, "how long nothing comes")
	starts         = flag.Int("starts", 15, "how often the program is started")
)

const (
	// copiesLinks and copiesPartitions are what the copies share.
	copiesLinks      = 50
	copiesPartitions = 4
	readyPatience    = 2 * time.Minute
	settle           = time.Second
)

// TestScale is no test of how much anything is: it fails when something breaks.
func TestScale(t *testing.T) {
	report := ScaleReport{Version: rig.Version(t)}
	report.Started, report.Machine = rig.Began()
	binary := rig.Build(t, "./bench/provider")
	for _, n := range parseNumbers(t, *linksFlag) {
		report.Points = append(report.Points, point(t, binary, Point{Of: Links, N: n, Links: n, Partitions: n, Copies: 1}))
	}
	for _, n := range parseNumbers(t, *partitionsFlag) {
		report.Points = append(report.Points,
			point(t, binary, Point{Of: Partitions, N: n, Links: 1, Partitions: n, Copies: 1}))
	}
	for _, n := range parseNumbers(t, *copiesFlag) {
		report.Points = append(report.Points, point(t, binary, Point{
			Of: Copies, N: n, Links: copiesLinks, Partitions: copiesLinks * copiesPartitions, Copies: n,
		}))
	}
	report.Start = measureStart(t)
	report.Judge()
	if err := report.Print(os.Stdout); err != nil {
		t.Error(err)
	}
	if *folder == "-" {
		return
	}
	if err := bench.WriteJSON(filepath.Join(*folder, "scale.json"), &report); err != nil {
		t.Error(err)
	}
}

// point measures one size, with everything made anew.
func point(t *testing.T, binary string, p Point) Point {
	t.Run(fmt.Sprintf("%d %s", p.N, p.Of), func(t *testing.T) {
		brokers, _ := rig.Kfake(t)
		ns, _ := rig.NATS(t)
		host := testkit.NewFakeHost(t, ns, testkit.FakeHostOptions{Lattice: lattice})
		components := map[string]string{}
		for i := range p.Links {
			components[rig.SinkID(strconv.Itoa(i))] = "kafka"
		}
		component := rig.StartComponent(t, ns, lattice, components)
		fillTopics(t, brokers, p)
		for i := range p.Links {
			host.PutLink(testkit.TargetLink(rig.SinkID(strconv.Itoa(i)), "kafka",
				map[string]string{"hosts": brokers[0], "topic": topicName(i), "start": "earliest", "order": "none"}))
		}
		begin := time.Now()
		copies := startCopies(t, host, binary, p.Copies)
		testkit.Eventually(t, readyPatience, func() error {
			had := 0
			for id, n := range component.Do(rig.Job{Do: rig.Count}).Handled {
				if want := p.Partitions / p.Links; n < int64(want) {
					return fmt.Errorf("component %s had records of %d of %d partitions", id, n, want)
				}
				had++
			}
			if had != p.Links {
				return fmt.Errorf("%d of %d components had records", had, p.Links)
			}
			return nil
		})
		p.Ready = time.Since(begin).Seconds() * 1e3
		time.Sleep(settle)
		for _, c := range copies {
			c.look(t, &p)
		}
		say("%4d %-10s ready in %.0f ms, %.1f MiB, %.0f goroutines, %.0f descriptors, idle %.1f ms/s",
			p.N, p.Of, p.Ready, p.Memory, p.Goroutines, p.Descriptors, p.Idle)
	})
	if t.Failed() {
		t.FailNow()
	}
	return p
}

func topicName(i int) string { return fmt.Sprintf("t%d", i) }

// fillTopics makes the topics, with one record in each partition.
func fillTopics(t *testing.T, brokers []string, p Point) {
	t.Helper()
	cl := testkit.NewClient(t, brokers, kgo.RecordPartitioner(kgo.ManualPartitioner()))
	admin := kadm.NewClient(cl.Client)
	each := p.Partitions / p.Links
	var names []string
	var records []*kgo.Record
	for i := range p.Links {
		names = append(names, topicName(i))
		for partition := range each {
			records = append(records, &kgo.Record{Topic: topicName(i), Partition: int32(partition), Value: []byte("v")})
		}
	}
	created, err := admin.CreateTopics(t.Context(), int32(each), -1, nil, names...)
	if err == nil {
		err = created.Error()
	}
	if err != nil {
		t.Fatalf("creating topics: %v", err)
	}
	cl.Produce(records...)
}

// running is one copy of the provider.
type running struct {
	pid     int
	address string
}

// startCopies starts the copies, each on a host of its own as in a real lattice, and waits until they are healthy.
func startCopies(t *testing.T, host *testkit.FakeHost, binary string, n int) []running {
	t.Helper()
	var copies []running
	for i := range n {
		if i > 0 {
			host = host.Peer()
		}
		port, err := testkit.FreePorts(1)
		if err != nil {
			t.Fatal(err)
		}
		address := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
		run := host.StartProvider(testkit.ProviderSpec{
			Binary: binary, Env: []string{"MESSAGING_KAFKA_BENCH_ADDRESS=" + address},
			HostData: func(data map[string]any) { data["log_level"] = "warn" },
		})
		copies = append(copies, running{run.PID(), address})
		// The next free port is only found once this one is taken.
		testkit.Eventually(t, testkit.DefaultTimeout, func() error {
			_, err := bench.FetchRuntime(address)
			return err
		})
	}
	return copies
}

// look adds this copy's share of the averages.
func (c running) look(t *testing.T, p *Point) {
	t.Helper()
	processes := bench.Processes{bench.Provider: c.pid}
	before, err := processes.Used()
	if err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	time.Sleep(*idle)
	after, err := processes.Used()
	if err != nil {
		t.Fatal(err)
	}
	share := 1 / float64(p.Copies)
	p.Idle += share * after.Since(before).Of[bench.Provider].Seconds() * 1e3 / time.Since(begin).Seconds()
	runtime, err := bench.FetchRuntime(c.address)
	if err != nil {
		t.Fatal(err)
	}
	p.Goroutines += share * float64(runtime.Goroutines)
	descriptors, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", c.pid))
	if err != nil {
		t.Fatal(err)
	}
	p.Descriptors += share * float64(len(descriptors))
	p.Memory += share * resident(t, c.pid)
}

// resident is a process's resident memory in MiB.
func resident(t *testing.T, pid int) float64 {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if value, found := strings.CutPrefix(line, "VmRSS:"); found {
			kib, err := strconv.ParseFloat(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(value), "kB")), 64)
			if err != nil {
				t.Fatal(err)
			}
			return kib / 1024
		}
	}
	t.Fatalf("the kernel does not say how much memory process %d has", pid)
	return 0
}
