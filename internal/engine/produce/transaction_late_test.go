package produce

import (
	"errors"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/messaging-kafka/messaging-kafka/internal/settings"
	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

// A request whose connection breaks is made again, and the first one may still be on its way. Where it comes in a later
// transaction of the same epoch, a broker takes it for part of that one: it commits what is not whole, or takes the
// group's offsets back.
func TestARequestThatComesLateIsOfNoLaterTransaction(t *testing.T) {
	for _, key := range []kmsg.Key{kmsg.TxnOffsetCommit, kmsg.EndTxn} {
		t.Run(key.Name(), func(t *testing.T) {
			k := testkit.Kfake(t)
			k.Topic("in", 1)
			k.Topic("out", 1)
			m := joinGroup(t, k.Brokers(), "g").member("g")
			tx := newTransactor(t, "tx", settings.Cluster{Hosts: k.Brokers(), Security: settings.Security{Protocol: settings.Plaintext}})
			var epochs []int16 // of the transactions that were ended
			lost := 0
			k.ControlKey(kmsg.EndTxn.Int16(), func(kreq kmsg.Request) (kmsg.Response, error, bool) {
				k.KeepControl()
				epochs = append(epochs, kreq.(*kmsg.EndTxnRequest).ProducerEpoch)
				return nil, nil, false
			})
			k.ControlKey(key.Int16(), func(kmsg.Request) (kmsg.Response, error, bool) {
				k.KeepControl()
				if lost++; lost == 2 { // the second transaction's
					return nil, errors.New("the connection breaks"), true
				}
				return nil, nil, false
			})
			for i := range 4 {
				if err := tx.Commit(within(t), m, many("out", 1, 1), offsetOf(int64(i)+1)); err != nil {
					t.Fatal(err)
				}
			}
			if lost < 5 {
				t.Fatalf("the request was made %d times for 4 transactions: it was not made again", lost)
			}
			ended := epochs[len(epochs)-4:]
			if ended[0] != ended[1] || ended[1] == ended[2] || ended[2] != ended[3] {
				t.Errorf("the transactions have the epochs %v: one behind a request without an answer needs another one", ended)
			}
		})
	}
}
