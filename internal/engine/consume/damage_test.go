package consume

import (
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/messaging-kafka/messaging-kafka/internal/engine/kafka"
	"github.com/messaging-kafka/messaging-kafka/internal/settings"
	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

// damages has fetches of partition 0 answered with batches, by the offset from which they ask for more, for as long as
// while says so.
func damages(k *testkit.FakeKafka, while func() bool, answers map[int64][][]byte) {
	k.ControlKey(kmsg.Fetch.Int16(), func(req kmsg.Request) (kmsg.Response, error, bool) {
		k.KeepControl()
		for at, batches := range answers {
			if resp, ok := testkit.FetchAnswer(req, 0, at, 0, batches...); ok && while() {
				return resp, nil, true
			}
		}
		return nil, nil, false
	})
}

// once is true at its first call.
func once() func() bool {
	var done atomic.Bool
	return func() bool { return done.CompareAndSwap(false, true) }
}

func TestWhatComesWithADamagedBatchIsHandled(t *testing.T) {
	t.Parallel()
	otherMagic := testkit.Batch(3, "d", "e")
	otherMagic[16] = 7
	for name, damaged := range map[string][]byte{
		"checksum": testkit.Damaged(testkit.Batch(3, "d", "e")),
		"magic":    otherMagic, // of which the client says that it goes on behind its first record
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, group := range []string{"classic", "consumer"} {
				t.Run(group, func(t *testing.T) {
					t.Parallel()
					k := testkit.Kfake(t)
					k.Topic("t", 1)
					cl := testkit.NewClient(t, k.Brokers())
					cl.ProduceText("t", "a", "b", "c")
					cl.ProduceText("t", "d", "e")
					damages(k, once(), map[int64][][]byte{0: {testkit.Batch(0, "a", "b", "c"), damaged}})
					h := &handler{name: "a"}
					c := start(t, k.Brokers(), h, map[string]string{"topic": "t", "order": "partition", "group_protocol": group})
					cl.WaitCommitted("g", "t", map[int32]int64{0: 5})
					if got, want := h.values(), []string{"a", "b", "c", "d", "e"}; !slices.Equal(got, want) {
						t.Errorf("handled %q, want %q", got, want)
					}
					c.waitHealthy()
				})
			}
		})
	}
}

func TestADamagedBatchHoldsItsPartitionUntilAReplicaHasItWell(t *testing.T) {
	t.Parallel()
	k := testkit.Kfake(t, kfake.NumBrokers(2))
	k.Topic("t", 2)
	cl := testkit.NewClient(t, k.Brokers(), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err := k.MoveTopicPartition("t", 0, 0); err != nil {
		t.Fatal(err)
	}
	part := func(p int32, values ...string) {
		for _, v := range values {
			cl.Produce(&kgo.Record{Topic: "t", Partition: p, Value: []byte(v)})
		}
	}
	part(0, "a", "b", "c", "d")
	onBad := func() bool { return k.CurrentNode() == 0 }
	bad := testkit.Damaged(testkit.Batch(3, "d"))
	damages(k, onBad, map[int64][][]byte{0: {testkit.Batch(0, "a", "b", "c"), bad}, 3: {bad}})
	h := &handler{name: "a"}
	c := start(t, k.Brokers(), h, map[string]string{"topic": "t"})
	c.waitProblem("reading t/0", "the batch at offset 3 is damaged", "another replica")
	testkit.InRunbook(t, "One partition cannot be read", c.Status().Problems.String())
	cl.WaitCommitted("g", "t", map[int32]int64{0: 3, 1: 0})
	part(1, "x", "y") // the other partition is read meanwhile
	cl.WaitCommitted("g", "t", map[int32]int64{0: 3, 1: 2})
	c.waitProblem("reading t/0")
	if err := k.MoveTopicPartition("t", 0, 1); err != nil {
		t.Fatal(err)
	}
	cl.WaitCommitted("g", "t", map[int32]int64{0: 4, 1: 2})
	c.waitHealthy()
}

func TestRecordsAfterALossAreHandledThoughTheLossIsToldBehindThem(t *testing.T) {
	t.Parallel()
	k := testkit.Kfake(t)
	k.Topic("t", 1)
	cl := testkit.NewClient(t, k.Brokers())
	cl.ProduceText("t", numbered(6)...)
	h := &handler{name: "a"}
	c := start(t, k.Brokers(), h, map[string]string{"topic": "t", "order": "partition"})
	cl.WaitCommitted("g", "t", map[int32]int64{0: 6})
	s := c.current.(*session)
	records := func(from int64, values ...string) kgo.Fetch {
		var rs []*kgo.Record
		for i, v := range values {
			rs = append(rs, &kgo.Record{Topic: "t", Offset: from + int64(i), LeaderEpoch: 2, Value: []byte(v)})
		}
		return kgo.Fetch{Topics: []kgo.FetchTopic{{Topic: "t", Partitions: []kgo.FetchPartition{{Records: rs}}}}}
	}
	loss := kgo.Fetch{Topics: []kgo.FetchTopic{{Topic: "t", Partitions: []kgo.FetchPartition{{Err: &kgo.ErrDataLoss{
		Topic: "t", ConsumedTo: 6, ConsumedToEpoch: 1, ResetTo: 3, ResetToEpoch: 1,
	}}}}}}
	s.take(t.Context(), kgo.Fetches{records(3, "new 3", "new 4", "new 5"), loss})
	s.take(t.Context(), kgo.Fetches{records(6, "new 6", "new 7")})
	cl.WaitCommitted("g", "t", map[int32]int64{0: 8})
	want := append(numbered(6), "new 3", "new 4", "new 5", "new 6", "new 7")
	if got := h.values(); !slices.Equal(got, want) {
		t.Errorf("handled %q, want %q", got, want)
	}
	for _, part := range []string{"read_to=6", "resumed_at=3", "records_lost=3", "topic=t", "partition=0"} {
		if !c.log.Contains(part) {
			t.Errorf("the log does not say %s", part)
		}
	}
	c.waitHealthy()
}

// The client finds the loss by itself: the leader fences its epoch, and has another end for it.
func TestALossThatTheClientFindsIsReadAgainFromThere(t *testing.T) {
	t.Parallel()
	for _, group := range []string{"classic", "consumer"} {
		t.Run(group, func(t *testing.T) {
			t.Parallel()
			k := testkit.Kfake(t)
			k.Topic("t", 1)
			cl := testkit.NewClient(t, k.Brokers())
			for _, v := range numbered(6) {
				cl.ProduceText("t", v)
			}
			h := &handler{name: "a"}
			c := start(t, k.Brokers(), h, map[string]string{"topic": "t", "order": "partition", "group_protocol": group})
			cl.WaitCommitted("g", "t", map[int32]int64{0: 6})
			endEpochAt(k, 3, func(bool) error { return nil })
			k.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Topic: "t", Err: kerr.FencedLeaderEpoch})
			h.waitCalls(t, 9)
			cl.ProduceText("t", "6", "7")
			cl.WaitCommitted("g", "t", map[int32]int64{0: 8})
			want := append(numbered(6), "3", "4", "5", "6", "7")
			if got := h.values(); !slices.Equal(got, want) {
				t.Errorf("handled %q, want %q", got, want)
			}
			if !c.log.Contains("read_to=6") || !c.log.Contains("records_lost=3") {
				t.Error("the log does not tell of the loss")
			}
			c.waitHealthy()
		})
	}
}

// endEpochAt has the log of the first epoch of the topic t end at an offset, for whoever gets an answer: the client, by
// whose question the leader can tell that it knows of it, or we.
func endEpochAt(k *testkit.FakeKafka, end int64, refuse func(client bool) error) {
	k.ControlKey(kmsg.OffsetForLeaderEpoch.Int16(), func(kreq kmsg.Request) (kmsg.Response, error, bool) {
		k.KeepControl()
		req := kreq.(*kmsg.OffsetForLeaderEpochRequest)
		resp := req.ResponseKind().(*kmsg.OffsetForLeaderEpochResponse)
		topic := kmsg.NewOffsetForLeaderEpochResponseTopic()
		topic.Topic = "t"
		partition := kmsg.NewOffsetForLeaderEpochResponseTopicPartition()
		partition.EndOffset, partition.LeaderEpoch = end, 0
		if refused, is := errors.AsType[*kerr.Error](refuse(req.Topics[0].Partitions[0].CurrentLeaderEpoch >= 0)); is {
			partition.EndOffset, partition.ErrorCode = -1, refused.Code
		}
		topic.Partitions = append(topic.Partitions, partition)
		resp.Topics = append(resp.Topics, topic)
		return resp, nil, true
	})
}

// The client asks where the logs part, and gets no answer for so long that it is given its place anew, with which it
// forgets the question: of one copy that has read what is lost, and of another that only knows what was committed.
func TestALossIsFoundThoughTheClientIsGivenItsPlaceAnew(t *testing.T) {
	t.Parallel()
	for name, another := range map[string]bool{"the copy that has read it": false, "another": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := testkit.Kfake(t)
			k.Topic("t", 1)
			cl := testkit.NewClient(t, k.Brokers())
			cl.ProduceText("t", numbered(6)...)
			h := &handler{name: "a"}
			c := start(t, k.Brokers(), h, map[string]string{"topic": "t", "order": "partition"})
			cl.WaitCommitted("g", "t", map[int32]int64{0: 6})
			var asked, answers atomic.Bool
			endEpochAt(k, 3, func(client bool) error {
				if client {
					asked.Store(true)
				}
				if client || !answers.Load() {
					return kerr.UnknownLeaderEpoch
				}
				return nil
			})
			if another {
				c.stop()
				h = &handler{name: "b"}
				c = start(t, k.Brokers(), h, map[string]string{"topic": "t", "order": "partition"})
			} else {
				k.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Topic: "t", Err: kerr.FencedLeaderEpoch})
			}
			testkit.Eventually(t, patience, func() error {
				if !asked.Load() {
					return errors.New("the client has not asked where the logs part")
				}
				return nil
			})
			before := len(h.values())
			s := c.session()
			s.mu.Lock()
			a := s.assigned[topicPartition{"t", 0}]
			s.mu.Unlock()
			s.refetch(a)
			answers.Store(true)
			h.waitCalls(t, before+3)
			cl.ProduceText("t", "6", "7")
			cl.WaitCommitted("g", "t", map[int32]int64{0: 8})
			if got, want := h.values()[before:], []string{"3", "4", "5", "6", "7"}; !slices.Equal(got, want) {
				t.Errorf("handled %q, want %q", got, want)
			}
			if !c.log.Contains("read_to=6") || !c.log.Contains("records_lost=3") {
				t.Error("the log does not tell of the loss")
			}
			c.waitHealthy()
		})
	}
}

// A broker that answers at once, and not with what was asked for, is asked again after a rest.
func TestWhereLogsPartIsAskedForWithBreaks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var stack kfake.VirtualNetwork
		cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.Ports(9092), kfake.ListenFn(stack.Listen), kfake.SeedTopics(1, "t"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(cluster.Close)
		var asked, ours atomic.Int64
		endEpochAt(&testkit.FakeKafka{Cluster: cluster}, 1, func(client bool) error {
			if client {
				asked.Add(1)
			} else {
				ours.Add(1)
			}
			return kerr.UnknownLeaderEpoch
		})
		h := &handler{name: "a"}
		c := startWith(t, cluster.ListenAddrs(), h, map[string]string{"topic": "t"}, func(cfg *Config) {
			cfg.Access.ConnectBy(stack.DialContext)
		})
		producer, err := kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...), kgo.Dialer(stack.DialContext), kgo.DefaultProduceTopic("t"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(producer.Close)
		if err := producer.ProduceSync(t.Context(), kgo.StringRecord("1"), kgo.StringRecord("2")).FirstErr(); err != nil {
			t.Fatal(err)
		}
		h.waitCalls(t, 2)
		cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Topic: "t", Err: kerr.FencedLeaderEpoch})
		testkit.Eventually(t, patience, func() error {
			if asked.Load() == 0 {
				return errors.New("the client has not asked where the logs part")
			}
			return nil
		})
		s := c.session()
		s.mu.Lock()
		a := s.assigned[topicPartition{"t", 0}]
		s.mu.Unlock()
		s.refetch(a)
		const long = 10 * time.Second
		time.Sleep(long)
		if n := ours.Load(); n < 2 || n > int64(long/retryLook)+2 {
			t.Errorf("it was asked %d times in %v", n, long)
		}
	})
}

func TestASlowFetchIsNotGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var f fetching
		one, key := kgo.BrokerMetadata{NodeID: 1}, kmsg.Fetch.Int16()
		begin := func() { f.OnBrokerWrite(one, key, 0, 0, 0, nil) }
		end := func() { f.OnBrokerE2E(one, key, kgo.BrokerE2E{}) }
		begin()
		time.Sleep(2 * time.Second)
		begin() // another of the same broker
		end()
		f.OnBrokerE2E(one, kmsg.Heartbeat.Int16(), kgo.BrokerE2E{})
		if !f.longerThan(time.Second) || f.longerThan(2*time.Second) {
			t.Error("the first is not seen")
		}
		end()
		begin()
		if f.longerThan(0) {
			t.Error("what has begun just now counts from before")
		}
		time.Sleep(time.Minute)
		f.OnBrokerDisconnect(one, nil)
		if f.longerThan(time.Second) {
			t.Error("what was cut off is under way")
		}
	})
}

func TestAnErrorThatIsToldOnceStandsUntilThePartitionIsRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p problems
		access, err := kafka.NewAccess(settings.Cluster{Hosts: []string{"127.0.0.1:9"}, Security: settings.Security{Protocol: settings.Plaintext}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		p.access = access
		p.joined()
		tp := topicPartition{"t", 0}
		p.setPartition(tp, &kgo.ErrDecompressTooLarge{Topic: "t"})
		time.Sleep(24 * time.Hour)
		if _, list := p.list(); len(list) != 1 || !strings.Contains(list[0].Text, "reading t/0") {
			t.Errorf("a day later the problems are %q", list)
		}
		p.clearPartition(tp)
		if _, list := p.list(); len(list) != 0 {
			t.Errorf("the problems are %q", list)
		}
	})
}

func TestAPartitionThatTheClientHasLeftIsReadAgainWhenItCanBe(t *testing.T) {
	t.Parallel()
	k := testkit.Kfake(t)
	k.Topic("t", 2)
	cl := testkit.NewClient(t, k.Brokers(), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	h := &handler{name: "a"}
	c := start(t, k.Brokers(), h, map[string]string{"topic": "t"})
	cl.WaitCommitted("g", "t", map[int32]int64{0: 0, 1: 0})
	c.current.(*session).take(t.Context(), kgo.Fetches{{Topics: []kgo.FetchTopic{{Topic: "t", Partitions: []kgo.FetchPartition{{
		Err: &kgo.ErrDecompressTooLarge{Topic: "t"},
	}}}}}})
	c.waitProblem("reading t/0")
	// The other partition is read meanwhile. It ends the poll that had begun before the error, of which that poll knows
	// nothing: the error did not come by it.
	cl.Produce(&kgo.Record{Topic: "t", Partition: 1, Value: []byte("meanwhile")})
	h.waitCalls(t, 1)
	cl.Produce(&kgo.Record{Topic: "t", Partition: 0, Value: []byte("after")})
	h.waitCalls(t, 2)
	c.waitHealthy()
}

func TestAPartitionWithoutNewRecordsIsWellAgainWhenAFetchSaysSo(t *testing.T) {
	t.Parallel()
	for _, group := range []string{"classic", "consumer", "share"} {
		t.Run(group, func(t *testing.T) {
			t.Parallel()
			k := testkit.Kfake(t)
			k.Topic("t", 1)
			c := start(t, k.Brokers(), &handler{name: "a"}, map[string]string{"topic": "t", "group_protocol": group})
			c.waitHealthy()
			fault := k.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch, kmsg.ShareFetch}, Topic: "t", Err: kerr.TopicAuthorizationFailed, Count: -1})
			c.waitProblem("reading t/0", "needs Read")
			fault.Remove()
			c.waitHealthy()
		})
	}
}

// Errors that pass by themselves the client keeps to itself, however long they last.
func TestAnErrorThatTheClientKeepsToItselfIsTold(t *testing.T) {
	t.Parallel()
	k := testkit.Kfake(t)
	k.Topic("t", 1)
	cl := testkit.NewClient(t, k.Brokers())
	cl.ProduceText("t", "a")
	fault := k.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Topic: "t", Err: kerr.KafkaStorageError, Count: -1})
	h := &handler{name: "a"}
	c := start(t, k.Brokers(), h, map[string]string{"topic": "t"})
	cl.WaitCommitted("g", "t", map[int32]int64{0: 0})
	s := c.current.(*session)
	s.askEnds(t.Context(), map[string][]int32{"t": {0}})
	list := s.idlePartitions(time.Now().Add(endsEvery))
	if len(list) != 1 {
		t.Fatalf("%d partitions are quiet", len(list))
	}
	s.checkIdle(t.Context(), list[0])
	c.waitProblem("reading t/0", "the broker's disk failed")
	fault.Remove()
	h.waitCalls(t, 1)
	c.waitHealthy()
}

// A record came into a partition that the client does not read any more, and said nothing of.
func TestAPartitionOfWhichNothingComesIsFetchedAnewAndThenTold(t *testing.T) {
	t.Parallel()
	k := testkit.Kfake(t)
	k.Topic("t", 1)
	cl := testkit.NewClient(t, k.Brokers())
	h := &handler{name: "a"}
	c := start(t, k.Brokers(), h, map[string]string{"topic": "t"})
	cl.WaitCommitted("g", "t", map[int32]int64{0: 0})
	s := c.current.(*session)
	s.cl.PauseFetchPartitions(map[string][]int32{"t": {0}})
	cl.ProduceText("t", "a")
	s.askEnds(t.Context(), map[string][]int32{"t": {0}})
	list := s.idlePartitions(time.Now().Add(endsEvery))
	if len(list) != 1 {
		t.Fatalf("%d partitions are quiet", len(list))
	}
	list[0].refetched = true
	s.checkIdle(t.Context(), list[0])
	h.waitCalls(t, 1)
	if !c.log.Contains("nothing comes of it, though its log holds records from offset 0 up to 1") {
		t.Error("the log does not tell")
	}
	c.waitHealthy()
}

func TestAPartitionWhoseOffsetCannotBeFetchedIsToldUntilItCan(t *testing.T) {
	t.Parallel()
	k := testkit.Kfake(t)
	k.Topic("t", 2)
	fault := k.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetFetch}, Topic: "t", Partitions: []int32{1}, Err: kerr.TopicAuthorizationFailed, Count: -1})
	cl := testkit.NewClient(t, k.Brokers(), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	cl.Produce(&kgo.Record{Topic: "t", Partition: 0, Value: []byte("a")}, &kgo.Record{Topic: "t", Partition: 1, Value: []byte("b")})
	h := &handler{name: "a"}
	c := start(t, k.Brokers(), h, map[string]string{"topic": "t"})
	h.waitCalls(t, 1)
	c.waitProblem("reading t/1", "not authorised")
	fault.Remove()
	h.waitCalls(t, 2)
	c.waitHealthy()
}
