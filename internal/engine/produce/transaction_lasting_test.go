package produce

import (
	"context"
	"errors"
	"net"
	"sync"
	"testing"

	"github.com/messaging-kafka/messaging-kafka/internal/engine/kafka"
	"github.com/messaging-kafka/messaging-kafka/internal/settings"
	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

// breakable is a way to Kafka that can be broken, with an error that is none of the operating system's, as those of
// names and certificates are not.
type breakable struct {
	mu     sync.Mutex
	broken error
	open   []net.Conn
}

func (b *breakable) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.broken != nil {
		return nil, b.broken
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, network, addr)
	if err == nil {
		b.open = append(b.open, conn)
	}
	return conn, err
}

func (b *breakable) set(broken error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.broken = broken
	if broken != nil {
		for _, conn := range b.open {
			_ = conn.Close() // the client notices
		}
		b.open = nil
	}
}

// A broker that cannot be dialed for a reason that the client takes for final must not end the link's transactions for
// ever.
func TestATransactorThatCanBeginNoMoreSaysSo(t *testing.T) {
	k := testkit.Kfake(t)
	k.Topic("in", 1)
	k.Topic("out", 1)
	cluster := settings.Cluster{Hosts: k.Brokers(), Security: settings.Security{Protocol: settings.Plaintext}}
	access, err := kafka.NewAccess(cluster, testkit.Logger(t))
	if err != nil {
		t.Fatal(err)
	}
	way := &breakable{}
	access.ConnectBy(way.dial)
	tx, err := NewTransactor("tx", access, cluster, producerSettings(), testkit.Logger(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(tx.Close)
	m := joinGroup(t, k.Brokers(), "g").member("g")
	if err := tx.Commit(within(t), m, many("out", 3, 1), offsetOf(3)); err != nil {
		t.Fatal(err)
	}
	way.set(errors.New("x509: certificate has expired"))
	if err := tx.Commit(within(t), m, many("out", 3, 1), offsetOf(6)); err == nil {
		t.Fatal("it was committed without a way to Kafka")
	}
	way.set(nil)
	for range 5 {
		err = tx.Commit(within(t), m, many("out", 3, 1), offsetOf(6))
		if err == nil || errors.Is(err, ErrNotAborted) {
			return // it goes on, or whoever uses it makes a new one
		}
	}
	t.Errorf("with a way to Kafka again it still says: %v", err)
}
