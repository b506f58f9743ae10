package testkit

import (
	"fmt"
	"net"
	"slices"
	"sync"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// FakeKafka is a Kafka inside the test's process. The embedded cluster's own methods inject faults and tell its state.
type FakeKafka struct {
	*kfake.Cluster
	t testing.TB

	mu      sync.Mutex
	proxies []*Proxy
}

// Kfake starts a fake Kafka of one broker (more with [kfake.NumBrokers]) on free ports of 127.0.0.1 and stops it when
// the test ends. Topics are created on first use only with [kfake.AllowAutoTopicCreation].
func Kfake(t testing.TB, opts ...kfake.Opt) *FakeKafka {
	t.Helper()
	k := &FakeKafka{t: t}
	k.start(opts)
	return k
}

// KfakeProxied is [Kfake] with a proxy before each broker: brokers announce the proxy's address as their own, so that
// all traffic goes through it. It does not go with TLS options, [kfake.Ports] or [kfake.ListenFn].
func KfakeProxied(t testing.TB, opts ...kfake.Opt) *FakeKafka {
	t.Helper()
	k := &FakeKafka{t: t}
	k.start(append([]kfake.Opt{kfake.ListenFn(k.listenProxied)}, opts...))
	return k
}

func (k *FakeKafka) listenProxied(network, address string) (net.Listener, error) {
	ln, err := net.Listen(network, address)
	if err != nil {
		return nil, err
	}
	proxy := NewProxy(k.t, ln.Addr().String())
	addr, err := net.ResolveTCPAddr("tcp", proxy.Addr())
	if err != nil {
		return nil, fmt.Errorf("resolving a proxy's address: %w", err)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.proxies = append(k.proxies, proxy)
	return announced{ln, addr}, nil
}

// announced is a listener that gives another address than its own, which kfake then tells clients.
type announced struct {
	net.Listener
	addr net.Addr
}

func (a announced) Addr() net.Addr { return a.addr }

func (k *FakeKafka) start(opts []kfake.Opt) {
	k.t.Helper()
	cluster, err := kfake.NewCluster(append([]kfake.Opt{kfake.NumBrokers(1)}, opts...)...)
	if err != nil {
		k.t.Fatalf("starting a fake Kafka: %v", err)
	}
	k.t.Cleanup(cluster.Close)
	k.Cluster = cluster
}

// Brokers are the addresses to start from, those of the proxies where there are any.
func (k *FakeKafka) Brokers() []string { return k.ListenAddrs() }

// Topic creates a topic.
func (k *FakeKafka) Topic(name string, partitions int32) {
	k.t.Helper()
	if err := k.CreateTopic(name, partitions, nil); err != nil {
		k.t.Fatalf("creating topic %s: %v", name, err)
	}
}

// Proxies are the proxies before the brokers of [KfakeProxied], in the order of the brokers.
func (k *FakeKafka) Proxies() []*Proxy {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Clone(k.proxies)
}

// RefuseTransactionOffsets has the broker refuse the offsets of the first n transactions.
func (k *FakeKafka) RefuseTransactionOffsets(n int, with *kerr.Error) {
	k.RefuseOffsetsOfTransactions(with, func(*kmsg.TxnOffsetCommitRequest) bool {
		n--
		return n >= 0
	})
}

// RefuseOffsetsOfTransactions has the broker refuse the offsets of transactions that are among those to refuse.
func (k *FakeKafka) RefuseOffsetsOfTransactions(with *kerr.Error, refuse func(*kmsg.TxnOffsetCommitRequest) bool) {
	k.ControlKey(kmsg.TxnOffsetCommit.Int16(), func(kreq kmsg.Request) (kmsg.Response, error, bool) {
		k.KeepControl()
		req := kreq.(*kmsg.TxnOffsetCommitRequest)
		if !refuse(req) {
			return nil, nil, false
		}
		resp := req.ResponseKind().(*kmsg.TxnOffsetCommitResponse)
		for _, rt := range req.Topics {
			st := kmsg.NewTxnOffsetCommitResponseTopic()
			st.Topic = rt.Topic
			for _, rp := range rt.Partitions {
				sp := kmsg.NewTxnOffsetCommitResponseTopicPartition()
				sp.Partition, sp.ErrorCode = rp.Partition, with.Code
				st.Partitions = append(st.Partitions, sp)
			}
			resp.Topics = append(resp.Topics, st)
		}
		return resp, nil, true
	})
}

// RefuseTopicOfTransactions has the broker give no right to write to a topic in transactions when it is to refuse that.
func (k *FakeKafka) RefuseTopicOfTransactions(to string, refuse func() bool) {
	k.ControlKey(kmsg.AddPartitionsToTxn.Int16(), func(kreq kmsg.Request) (kmsg.Response, error, bool) {
		k.KeepControl()
		req := kreq.(*kmsg.AddPartitionsToTxnRequest)
		asked := slices.ContainsFunc(req.Topics, func(t kmsg.AddPartitionsToTxnRequestTopic) bool { return t.Topic == to })
		if !asked || !refuse() {
			return nil, nil, false
		}
		resp := req.ResponseKind().(*kmsg.AddPartitionsToTxnResponse)
		for _, topic := range req.Topics {
			rt := kmsg.NewAddPartitionsToTxnResponseTopic()
			rt.Topic = topic.Topic
			for _, id := range topic.Partitions {
				p := kmsg.NewAddPartitionsToTxnResponseTopicPartition()
				if p.Partition, p.ErrorCode = id, kerr.OperationNotAttempted.Code; topic.Topic == to {
					p.ErrorCode = kerr.TopicAuthorizationFailed.Code
				}
				rt.Partitions = append(rt.Partitions, p)
			}
			resp.Topics = append(resp.Topics, rt)
		}
		return resp, nil, true
	})
}
