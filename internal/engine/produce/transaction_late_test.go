package produce

import (
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/messaging-kafka/messaging-kafka/internal/record"
	"github.com/messaging-kafka/messaging-kafka/internal/settings"
	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

// A broker may do late what nobody waits for any more. What it does of a transaction that was given up must not become
// part of the next one, or offsets are committed without their outputs.
func TestOffsetsThatArriveLateAreNoneOfTheNextTransaction(t *testing.T) {
	k := testkit.Kfake(t)
	k.Topic("in", 2)
	k.Topic("out", 1)
	m := joinGroup(t, k.Brokers(), "g").member("g")
	tx := newTransactor(t, "tx", settings.Cluster{
		Hosts: k.Brokers(), RequestTimeout: time.Second, Security: settings.Security{Protocol: settings.Plaintext},
	})
	late, arrived := make(chan struct{}), make(chan struct{})
	t.Cleanup(func() {
		select {
		case <-late:
		default:
			close(late)
		}
	})
	var sent atomic.Int32
	k.RefuseOffsetsOfTransactions(kerr.IllegalGeneration, func(*kmsg.TxnOffsetCommitRequest) bool {
		n := sent.Add(1)
		if n == 1 {
			k.SleepControl(func() { <-late })
			close(arrived)
		}
		return n == 2 // the client has tried it again
	})
	gone, asked := errors.New("not a member"), 0
	err := tx.Commit(within(t), func() (Member, error) {
		if asked++; asked > 2 {
			return Member{}, gone
		}
		return m()
	}, []record.Outgoing{outgoing("out", "first")}, offsetOf(5))
	if !errors.Is(err, gone) {
		t.Fatalf("it says %v", err)
	}
	offsets := offsetOf(7)
	offsets[0].Partitions[0].Partition = 1
	asked = 0
	if err := tx.Commit(within(t), func() (Member, error) {
		if asked++; asked == 2 { // the group is part of the transaction by now
			close(late)
			<-arrived
		}
		return m()
	}, []record.Outgoing{outgoing("out", "second")}, offsets); err != nil {
		t.Fatalf("the next one: %v", err)
	}
	committed, err := kadm.NewClient(testkit.NewClient(t, k.Brokers()).Client).FetchOffsets(within(t), "g")
	if err != nil {
		t.Fatal(err)
	}
	if o, found := committed.Lookup("in", 0); found && o.At >= 0 {
		t.Errorf("offset %d of in/0 is committed, without the output", o.At)
	}
	if o, found := committed.Lookup("in", 1); !found || o.At != 7 {
		t.Errorf("of in/1 %+v is committed", o)
	}
	if got := committedReader(t, k).Read("out", 1); string(got[0].Value) != "second" {
		t.Errorf("%s was committed", got[0].Value)
	}
}

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

// UNKNOWN_SERVER_ERROR may come from a broker that has stored the records. The client gives the next ones the same
// sequence numbers, and what a broker takes for a repetition is acknowledged, and not stored.
func TestNoTransactionFollowsAnErrorOfAnyKindInTheSameEpoch(t *testing.T) {
	k := testkit.Kfake(t)
	k.Topic("in", 1)
	k.Topic("out", 1)
	m := joinGroup(t, k.Brokers(), "g").member("g")
	tx := newTransactor(t, "tx", settings.Cluster{Hosts: k.Brokers(), Security: settings.Security{Protocol: settings.Plaintext}})
	epochs := make(chan int16, 10) // of the transactions that are committed
	k.ControlKey(kmsg.EndTxn.Int16(), func(kreq kmsg.Request) (kmsg.Response, error, bool) {
		k.KeepControl()
		if req := kreq.(*kmsg.EndTxnRequest); req.Commit {
			epochs <- req.ProducerEpoch
		}
		return nil, nil, false
	})
	if err := tx.Commit(within(t), m, many("out", 1, 1), offsetOf(1)); err != nil {
		t.Fatal(err)
	}
	k.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: "out", Err: kerr.UnknownServerError})
	if err := tx.Commit(within(t), m, many("out", 1, 1), offsetOf(2)); !errors.Is(err, kerr.UnknownServerError) || errors.Is(err, ErrNotAborted) {
		t.Fatalf("it says %v, want the broker's error, and nothing of the transaction to be read", err)
	}
	if err := tx.Commit(within(t), m, many("out", 1, 1), offsetOf(2)); err != nil {
		t.Fatal(err)
	}
	if before, behind := <-epochs, <-epochs; behind <= before {
		t.Errorf("the transaction behind it has epoch %d, and that before it %d", behind, before)
	}
	if n := len(committedReader(t, k).Read("out", 2)); n != 2 {
		t.Errorf("%d outputs", n)
	}
}
