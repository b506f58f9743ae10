package telemetry

import (
	"slices"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/messaging-kafka/messaging-kafka/internal/observe/status"
)

// Snapshot is what the provider tells of itself when it is asked. Counting it as it changes would cost every record;
// asking costs a scrape.
type Snapshot struct {
	Healthy   bool
	Links     []LinkHealth
	Consumers []ConsumerLoad
	Lattice   LatticeCounts
	Memory    MemoryCounts
}

// LinkHealth is the health of one link.
type LinkHealth struct {
	Component, Link, Package, Direction string
	State                               status.State
}

// ConsumerLoad is what one consumer has to do and has not done. Those of one component and link name are added up.
type ConsumerLoad struct {
	Component, Link string
	InFlight        int
	Waiting         int
	BufferedBytes   int64
	// FailedCalls are the calls since the last that went well, where the component is failing.
	FailedCalls int
	// OldestCall, OldestUnfinished and CommitAge are in seconds.
	OldestCall       float64
	OldestUnfinished float64
	CommitAge        float64
	Held             int
	Partitions       []status.Partition
}

// MemoryCounts are what the process may take of memory, what of that is for what comes from others, how much of it is
// taken, and how often there was no room.
type MemoryCounts struct {
	Limit, Budget, Used, Refused int64
}

// LatticeCounts are what is counted of calls and of the connection to the lattice, since the start.
type LatticeCounts struct {
	Connected                   bool
	Reconnects                  uint64
	Calls, Repeats, Refused     uint64
	Unclosed, Malformed, Failed uint64
	RunningCalls, WaitingCalls  int
	AwaitedCalls                int
}

// scraped are the metrics that come from a Snapshot.
var scraped = map[*metric]bool{
	assignedPartitions: true, inFlightRecords: true, waitingRecords: true, bufferedBytes: true, oldestUnfinished: true,
	failingCalls: true, oldestCall: true,
	lagRecords: true, lagSeconds: true, committedOffset: true, heldPartitions: true, commitAge: true,
	linkHealthy: true, linkState: true, providerHealthy: true,
	wrpcCalls: true, wrpcRunning: true, wrpcWaiting: true, wrpcAwaited: true, wrpcRepeats: true, wrpcRefused: true,
	wrpcFailed:    true,
	natsConnected: true, natsReconnects: true,
	memoryLimit: true, memoryBudget: true, memoryUsed: true, memoryRefused: true,
}

// Ask has a snapshot taken at each scrape. It is called once.
func (m *Metrics) Ask(snapshot func() Snapshot) {
	c := &collector{snapshot: snapshot, descs: make(map[*metric]*prometheus.Desc, len(scraped))}
	for d := range scraped {
		c.descs[d] = d.desc()
	}
	m.Registry.MustRegister(c)
}

type collector struct {
	snapshot func() Snapshot
	descs    map[*metric]*prometheus.Desc
}

// Describe implements prometheus.Collector.
func (c *collector) Describe(to chan<- *prometheus.Desc) {
	for _, d := range c.descs {
		to <- d
	}
}

// Collect implements prometheus.Collector.
func (c *collector) Collect(to chan<- prometheus.Metric) {
	s := c.snapshot()
	send := func(d *metric, v float64, labels ...string) {
		t := prometheus.GaugeValue
		if d.kind == counter {
			t = prometheus.CounterValue
		}
		to <- prometheus.MustNewConstMetric(c.descs[d], t, v, labels...)
	}
	send(providerHealthy, truth(s.Healthy))
	for _, l := range s.Links {
		well := l.State == status.Healthy || l.State == status.Paused
		send(linkHealthy, truth(well), l.Component, l.Link, l.Package, l.Direction)
		for _, state := range status.States {
			send(linkState, truth(l.State == state), l.Component, l.Link, l.Package, l.Direction, string(state))
		}
	}
	for _, l := range merged(s.Consumers) {
		send(inFlightRecords, float64(l.InFlight), l.Component, l.Link)
		send(waitingRecords, float64(l.Waiting), l.Component, l.Link)
		send(bufferedBytes, float64(l.BufferedBytes), l.Component, l.Link)
		send(failingCalls, float64(l.FailedCalls), l.Component, l.Link)
		send(oldestCall, l.OldestCall, l.Component, l.Link)
		send(oldestUnfinished, l.OldestUnfinished, l.Component, l.Link)
		send(commitAge, l.CommitAge, l.Component, l.Link)
		send(heldPartitions, float64(l.Held), l.Component, l.Link)
		send(assignedPartitions, float64(len(l.Partitions)), l.Component, l.Link)
		for _, p := range l.Partitions {
			id := strconv.Itoa(int(p.Partition))
			if p.Committed >= 0 {
				send(committedOffset, float64(p.Committed), l.Component, l.Link, p.Topic, id)
			}
			if p.Lag >= 0 && p.LagSeconds != nil {
				send(lagRecords, float64(p.Lag), l.Component, l.Link, p.Topic, id)
				send(lagSeconds, *p.LagSeconds, l.Component, l.Link, p.Topic, id)
			}
		}
	}
	n := &s.Lattice
	send(memoryLimit, float64(s.Memory.Limit))
	send(memoryBudget, float64(s.Memory.Budget))
	send(memoryUsed, float64(s.Memory.Used))
	send(memoryRefused, float64(s.Memory.Refused))
	send(natsConnected, truth(n.Connected))
	send(natsReconnects, float64(n.Reconnects))
	send(wrpcCalls, float64(n.Calls))
	send(wrpcRunning, float64(n.RunningCalls))
	send(wrpcWaiting, float64(n.WaitingCalls))
	send(wrpcAwaited, float64(n.AwaitedCalls))
	send(wrpcRepeats, float64(n.Repeats))
	send(wrpcRefused, float64(n.Refused))
	send(wrpcFailed, float64(n.Unclosed), "unclosed")
	send(wrpcFailed, float64(n.Malformed), "malformed")
	send(wrpcFailed, float64(n.Failed), "failed")
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// merged makes one of the consumers with the same labels. A component can have links of one name for both packages, and
// two groups may read one partition: then what is further behind counts.
func merged(consumers []ConsumerLoad) []ConsumerLoad {
	type key struct{ component, link string }
	places := make(map[key]int, len(consumers))
	var list []ConsumerLoad
	for _, c := range consumers {
		k := key{c.Component, c.Link}
		at, there := places[k]
		if !there {
			places[k] = len(list)
			c.Partitions = mergedPartitions(nil, c.Partitions) // topics that must not be named have one name
			list = append(list, c)
			continue
		}
		l := &list[at]
		l.InFlight += c.InFlight
		l.Waiting += c.Waiting
		l.BufferedBytes += c.BufferedBytes
		l.Held += c.Held
		l.FailedCalls = max(l.FailedCalls, c.FailedCalls)
		l.OldestCall = max(l.OldestCall, c.OldestCall)
		l.OldestUnfinished = max(l.OldestUnfinished, c.OldestUnfinished)
		l.CommitAge = max(l.CommitAge, c.CommitAge)
		l.Partitions = mergedPartitions(l.Partitions, c.Partitions)
	}
	return list
}

func mergedPartitions(a, b []status.Partition) []status.Partition {
	all := append(slices.Clip(a), b...)
	type key struct {
		topic     string
		partition int32
	}
	places := make(map[key]int, len(all))
	var list []status.Partition
	for _, p := range all {
		k := key{p.Topic, p.Partition}
		at, there := places[k]
		if !there {
			places[k] = len(list)
			list = append(list, p)
			continue
		}
		if p.Lag > list[at].Lag {
			list[at] = p
		}
	}
	return list
}
