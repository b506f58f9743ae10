package consume

import (
	"net"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// fetching keeps account of the fetches that are under way. The client gives all of them up to set the position of one
// partition; where answers take long to arrive, none would if that happened again and again.
//
// It is a hook of the Kafka client. Its methods may be called by many goroutines at once.
type fetching struct {
	mu      sync.Mutex
	brokers map[int32]*fetchesOf
}

// fetchesOf are the fetches that a broker has not answered, since when without a break.
type fetchesOf struct {
	n     int
	since time.Time
}

var (
	_ kgo.HookBrokerWrite      = (*fetching)(nil)
	_ kgo.HookBrokerE2E        = (*fetching)(nil)
	_ kgo.HookBrokerDisconnect = (*fetching)(nil)
)

// OnBrokerWrite notes the beginning of a fetch.
func (f *fetching) OnBrokerWrite(broker kgo.BrokerMetadata, key int16, _ int, _, _ time.Duration, err error) {
	if err != nil || key != kmsg.Fetch.Int16() {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	of := f.brokers[broker.NodeID]
	if of == nil {
		if f.brokers == nil {
			f.brokers = make(map[int32]*fetchesOf)
		}
		of = &fetchesOf{since: time.Now()}
		f.brokers[broker.NodeID] = of
	}
	of.n++
}

// OnBrokerE2E notes the end of a fetch.
func (f *fetching) OnBrokerE2E(broker kgo.BrokerMetadata, key int16, e2e kgo.BrokerE2E) {
	if e2e.WriteErr != nil || key != kmsg.Fetch.Int16() {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if of := f.brokers[broker.NodeID]; of != nil {
		if of.n--; of.n <= 0 {
			delete(f.brokers, broker.NodeID)
		}
	}
}

// OnBrokerDisconnect forgets the fetches of a broker: what was under way on a connection that is cut is over.
func (f *fetching) OnBrokerDisconnect(broker kgo.BrokerMetadata, _ net.Conn) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.brokers, broker.NodeID)
}

// longerThan tells whether a broker has been answering for longer than that.
func (f *fetching) longerThan(d time.Duration) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, of := range f.brokers {
		if time.Since(of.since) > d {
			return true
		}
	}
	return false
}
