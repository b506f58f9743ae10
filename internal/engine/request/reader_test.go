package request

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/messaging-kafka/messaging-kafka/internal/engine/kafka"
	"github.com/messaging-kafka/messaging-kafka/internal/record"
	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

func TestAnswersAreReadFromTheEndOfTheTopic(t *testing.T) {
	t.Parallel()
	k := topics(t, 1)
	testkit.NewClient(t, k.Brokers()).ProduceText("answers", "of", "old", "times")
	var lowest atomic.Int64
	lowest.Store(math.MaxInt64)
	k.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Topic: "answers", Count: -1, Observe: true, When: func(req kmsg.Request) bool {
		for _, topic := range req.(*kmsg.FetchRequest).Topics {
			for _, p := range topic.Partitions {
				// What the replier fetches is of no concern: it reads another topic, which begins at 0.
				if p.FetchOffset > 0 || topic.TopicID == k.TopicInfo("answers").TopicID {
					lowest.Store(min(lowest.Load(), p.FetchOffset))
				}
			}
		}
		return true
	}})
	cfg, seen := config(t, k.Brokers())
	newReplier(t, k.Brokers(), echo)
	if got := mustAnswer(t, start(t, cfg), "a"); got.Offset != 3 {
		t.Errorf("the answer has the offset %d", got.Offset)
	}
	if got := lowest.Load(); got != 3 {
		t.Errorf("the topic was read from %d", got)
	}
	seen.want(t, 1, 0, 0)
}

func TestNoRequestIsSentBeforeTheEndOfTheTopicIsKnown(t *testing.T) {
	t.Parallel()
	k := topics(t, 2)
	asked := k.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.ListOffsets}, Topic: "answers", Count: -1, Err: kerr.NotLeaderForPartition})
	cfg, _ := config(t, k.Brokers())
	newReplier(t, k.Brokers(), echo)
	var sent atomic.Bool
	publish := cfg.Publish
	cfg.Publish = func(ctx context.Context, outs ...record.Outgoing) []record.Result {
		sent.Store(true)
		return publish(ctx, outs...)
	}
	r := start(t, cfg)
	ctx, cancel := context.WithCancel(t.Context())
	var call sync.WaitGroup
	call.Go(func() {
		if _, err := r.Do(ctx, request("early")); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	})
	testkit.Eventually(t, testkit.DefaultTimeout, func() error {
		if asked.Hits() < 3 || r.Pending() == 0 {
			return errors.New("the end was not asked for")
		}
		return nil
	})
	if p := r.Problems(); len(p) != 1 || !strings.Contains(p[0].Text, "answers") {
		t.Errorf("the problems are %q", p)
	}
	cancel()
	call.Wait()
	if sent.Load() {
		t.Error("the request was sent")
	}
	asked.Remove()
	mustAnswer(t, r, "a")
}

func TestAPartitionWithoutALeaderHoldsUpNoRequest(t *testing.T) {
	t.Parallel()
	k := topics(t, 2)
	old := answer(&kgo.Record{})
	old.Topic, old.Partition, old.Timestamp = "answers", 1, time.Now().Add(-time.Hour)
	fault := k.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.ListOffsets}, Topic: "answers", Partitions: []int32{1}, Count: -1, Err: kerr.NotLeaderForPartition})
	cfg, _ := config(t, k.Brokers())
	rp := newReplier(t, k.Brokers(), func(rp *replier, r *kgo.Record) {
		a := answer(r)
		if string(r.Value) == "second" {
			a.Partition = 1
			rp.send(a)
			return
		}
		a.Partition = 0
		rp.send(a)
	})
	rp.send(old)
	r := start(t, cfg)
	mustAnswer(t, r, "first")

	// The second is answered in the partition that is away for the reader, and found when it is back.
	var call sync.WaitGroup
	call.Go(func() { mustAnswer(t, r, "second") })
	testkit.Eventually(t, testkit.DefaultTimeout, func() error {
		if n := k.PartitionInfo("answers", 1).HighWatermark; n < 2 {
			return fmt.Errorf("%d records", n)
		}
		return nil
	})
	fault.Remove()
	call.Wait()
}

func TestARequestForOnePartitionReadsThatAlone(t *testing.T) {
	t.Parallel()
	k := topics(t, 3)
	cfg, seen := config(t, k.Brokers())
	cfg.Settings.ReplyPartition = 2
	newReplier(t, k.Brokers(), func(rp *replier, r *kgo.Record) {
		if p := header(r, "kafka_replyPartition"); len(p) != 4 || binary.BigEndian.Uint32(p) != 2 {
			t.Errorf("kafka_replyPartition is %v", p)
		}
		astray := answer(r)
		astray.Partition, astray.Value = 0, []byte("astray")
		if err := rp.cl.ProduceSync(context.Background(), astray).FirstErr(); err != nil {
			t.Error(err)
		}
		echo(rp, r)
	})
	r := start(t, cfg)
	for i := range 5 {
		if got := mustAnswer(t, r, fmt.Sprint(i)); got.Partition != 2 {
			t.Errorf("the answer is from partition %d", got.Partition)
		}
	}
	seen.want(t, 5, 0, 0)
}

func TestRequestsFailAtOnceWhereTheReplyTopicCannotServe(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		topic     bool
		partition int32
		create    bool
		fault     *kfake.Fault
		want      []string
	}{
		"it is missing": {partition: -1, want: []string{"answers", "request_reply_topic", "create_topics", "does not exist"}},
		"it may not be created": {
			partition: -1, create: true,
			fault: &kfake.Fault{Keys: []kmsg.Key{kmsg.CreateTopics}, Count: -1, Err: kerr.PolicyViolation},
			want:  []string{"answers", "request_reply_topic", "policy"},
		},
		"the partition is missing": {topic: true, partition: 7, want: []string{"no partition 7", "request_reply_partition", "it has 2"}},
		"the rights are missing": {
			topic: true, partition: -1,
			fault: &kfake.Fault{Keys: []kmsg.Key{kmsg.Metadata}, Topic: "answers", Count: -1, Err: kerr.TopicAuthorizationFailed},
			want:  []string{"answers", "not authorised"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := testkit.Kfake(t)
			k.Topic("requests", 1)
			if test.topic {
				k.Topic("answers", 2)
			}
			if test.fault != nil {
				k.Fault(*test.fault)
			}
			cfg, _ := config(t, k.Brokers())
			cfg.Settings.ReplyPartition, cfg.Create.Enabled = test.partition, test.create
			neverPublish(t, &cfg)
			r := start(t, cfg)
			ctx, cancel := context.WithTimeout(t.Context(), testkit.DefaultTimeout)
			defer cancel()
			_, err := r.Do(ctx, request("a"))
			if err == nil || ctx.Err() != nil {
				t.Fatalf("got %v", err)
			}
			problems := r.Problems().String()
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("got %v, want word of %q", err, want)
				}
				if !strings.Contains(problems, want) {
					t.Errorf("the problems are %q, want word of %q", problems, want)
				}
			}
		})
	}
}

func TestATopicThatComesLaterIsTakenIntoUse(t *testing.T) {
	t.Parallel()
	k := testkit.Kfake(t)
	k.Topic("requests", 1)
	cfg, _ := config(t, k.Brokers())
	newReplier(t, k.Brokers(), echo)
	r := start(t, cfg)
	if _, err := ask(t, r, "early"); err == nil {
		t.Fatal("an answer without a topic for it")
	}
	k.Topic("answers", 2)
	ready(t, r)
	mustAnswer(t, r, "a")
}

func TestAMissingTopicIsCreated(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		partition, create int32
		want              int
	}{
		"as create_topics_partitions says":     {partition: -1, create: 3, want: 3},
		"large enough for the reply partition": {partition: 4, create: 3, want: 5},
		"with the broker's default":            {partition: 0, create: -1, want: 10},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := testkit.Kfake(t, kfake.DefaultNumPartitions(10))
			k.Topic("requests", 1)
			cfg, _ := config(t, k.Brokers())
			cfg.Create.Enabled, cfg.Create.Partitions, cfg.Settings.ReplyPartition = true, test.create, test.partition
			newReplier(t, k.Brokers(), echo)
			mustAnswer(t, start(t, cfg), "a")
			if n := len(k.PartitionInfos("answers")); n != test.want {
				t.Errorf("the topic has %d partitions, want %d", n, test.want)
			}
		})
	}
}

func TestAnAddedPartitionIsReadFromItsStart(t *testing.T) {
	t.Parallel()
	k := topics(t, 1)
	cfg, _ := config(t, k.Brokers())
	newReplier(t, k.Brokers(), func(rp *replier, r *kgo.Record) {
		a := answer(r)
		if string(r.Value) == "second" {
			adm := kadm.NewClient(rp.cl)
			if _, err := adm.CreatePartitions(context.Background(), 1, "answers"); err != nil {
				t.Errorf("adding a partition: %v", err)
			}
			// The client may still know the topic of before for a moment.
			a.Partition = 1
			direct := testkit.NewClient(t, k.Brokers(), kgo.RecordPartitioner(kgo.ManualPartitioner()))
			direct.Produce(a)
			return
		}
		rp.send(a)
	})
	r := start(t, cfg)
	mustAnswer(t, r, "first")
	if got := mustAnswer(t, r, "second"); got.Partition != 1 || got.Offset != 0 {
		t.Errorf("the answer is at %d/%d", got.Partition, got.Offset)
	}
}

func TestATopicThatIsCreatedAnewIsReadFromItsStart(t *testing.T) {
	t.Parallel()
	k := topics(t, 1)
	cfg, seen := config(t, k.Brokers())
	newReplier(t, k.Brokers(), func(rp *replier, r *kgo.Record) {
		if string(r.Value) == "second" {
			if err := errors.Join(k.DeleteTopic("answers"), k.CreateTopic("answers", 1, nil)); err != nil {
				t.Errorf("creating the topic anew: %v", err)
			}
			testkit.NewClient(t, k.Brokers()).Produce(answer(r))
			return
		}
		echo(rp, r)
	})
	r := start(t, cfg)
	mustAnswer(t, r, "first")
	if got := mustAnswer(t, r, "second"); got.Offset != 0 {
		t.Errorf("the answer has the offset %d", got.Offset)
	}
	seen.want(t, 2, 0, 0)
}

func TestAnswersOfAbortedTransactionsAreNone(t *testing.T) {
	t.Parallel()
	k := topics(t, 1)
	cfg, seen := config(t, k.Brokers())
	newReplier(t, k.Brokers(), func(rp *replier, r *kgo.Record) {
		cl := testkit.NewClient(t, k.Brokers(), kgo.TransactionalID("replier"))
		if err := cl.BeginTransaction(); err != nil {
			t.Error(err)
		}
		wrong := answer(r)
		wrong.Value = []byte("aborted")
		cl.Produce(wrong)
		if err := cl.EndTransaction(context.Background(), kgo.TryAbort); err != nil {
			t.Error(err)
		}
		echo(rp, r)
	})
	mustAnswer(t, start(t, cfg), "a")
	seen.want(t, 1, 0, 0)
}

func TestAnOffsetOutOfRangeIsPassedOverWithAWarning(t *testing.T) {
	t.Parallel()
	k := topics(t, 1)
	cfg, _ := config(t, k.Brokers())
	var log testkit.Log
	cfg.Log = log.Logger()
	newReplier(t, k.Brokers(), echo)
	r := start(t, cfg)
	mustAnswer(t, r, "first")

	// While the reader is kept from reading, what it would read next is deleted.
	fault := k.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Topic: "answers", Err: kerr.TopicAuthorizationFailed, Count: -1})
	testkit.Eventually(t, testkit.DefaultTimeout, func() error {
		if fault.Hits() == 0 {
			return errors.New("the reader still reads")
		}
		return nil
	})
	testkit.NewClient(t, k.Brokers()).ProduceText("answers", "x", "y", "z")
	if err := k.DeleteRecords("answers", 0, 4); err != nil {
		t.Fatal(err)
	}
	fault.Remove()
	testkit.Eventually(t, testkit.DefaultTimeout, func() error {
		if !log.Contains("level=WARN") || !log.Contains("answers may be lost") {
			return errors.New("no warning")
		}
		return nil
	})
	mustAnswer(t, r, "second")
	ready(t, r)
}

func TestAPlaceThatTheLogHoldsIsKept(t *testing.T) {
	t.Parallel()
	k := topics(t, 1)
	cfg, _ := config(t, k.Brokers())
	newReplier(t, k.Brokers(), echo)
	r := start(t, cfg)
	mustAnswer(t, r, "first")
	fault := k.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Topic: "answers", Err: kerr.OffsetOutOfRange, Count: -1})
	var call sync.WaitGroup
	call.Go(func() { mustAnswer(t, r, "second") })
	testkit.Eventually(t, testkit.DefaultTimeout, func() error {
		if p := r.Problems(); !strings.Contains(p.String(), "the broker refuses offset 1, though the log holds it") {
			return fmt.Errorf("the problems are %q", p)
		}
		return nil
	})
	fault.Remove()
	call.Wait()
	ready(t, r)
}

func TestAPartitionThatCannotBeReadIsAProblemAndPasses(t *testing.T) {
	t.Parallel()
	k := topics(t, 1)
	cfg, _ := config(t, k.Brokers())
	newReplier(t, k.Brokers(), echo)
	r := start(t, cfg)
	mustAnswer(t, r, "first")
	fault := k.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Topic: "answers", Err: kerr.TopicAuthorizationFailed, Count: -1})
	testkit.Eventually(t, testkit.DefaultTimeout, func() error {
		if p := r.Problems(); len(p) != 1 || !strings.Contains(p[0].Text, "needs Read") {
			return fmt.Errorf("the problems are %q", p)
		}
		return nil
	})
	fault.Remove()
	mustAnswer(t, r, "second")
	ready(t, r)
}

func TestAFailureOfAPartitionWithoutAnswersPassesWhenAFetchSaysSo(t *testing.T) {
	t.Parallel()
	k := topics(t, 1)
	cfg, _ := config(t, k.Brokers())
	r := start(t, cfg)
	ready(t, r)
	fault := k.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Topic: "answers", Err: kerr.TopicAuthorizationFailed, Count: -1})
	testkit.Eventually(t, testkit.DefaultTimeout, func() error {
		if p := r.Problems(); len(p) != 1 || !strings.Contains(p[0].Text, "needs Read") {
			return fmt.Errorf("the problems are %q", p)
		}
		return nil
	})
	fault.Remove()
	ready(t, r)
}

// What the client finds wrong with the topic as a whole belongs to no partition, so that no fetch would say that it is
// over.
func TestAFailureOfTheTopicPassesWhenItIsWellAgain(t *testing.T) {
	t.Parallel()
	k := topics(t, 1)
	cfg, _ := config(t, k.Brokers())
	often := cluster(k.Brokers())
	often.MetadataMaxAge = time.Second
	var err error
	if cfg.Access, err = kafka.NewAccess(often, nil); err != nil {
		t.Fatal(err)
	}
	r := start(t, cfg)
	ready(t, r)
	fault := k.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Metadata}, Topic: "answers", Err: kerr.TopicAuthorizationFailed, Count: -1})
	if err := fault.Wait(t.Context(), 10); err != nil {
		t.Fatal(err)
	}
	fault.Remove()
	ready(t, r)
}

func TestAFailureIsNotForgotten(t *testing.T) {
	cfg, _ := config(t, []string{"127.0.0.1:9"})
	s := newState("answers", cfg.Access)
	s.fetchFailed(0, &kgo.ErrDecompressTooLarge{Topic: "answers"})
	for range 1000 {
		s.checked(true, nil)
	}
	if len(s.problems()) != 1 {
		t.Fatal("the failure was forgotten")
	}
	s.fetched(0)
	if p := s.problems(); len(p) != 0 {
		t.Errorf("the problems are %q", p)
	}
}

func TestAnswersAroundADamagedBatchAreTaken(t *testing.T) {
	t.Parallel()
	otherMagic := testkit.Batch(0, "x")
	otherMagic[16] = 7
	for name, damaged := range map[string][]byte{"checksum": testkit.Damaged(testkit.Batch(0, "x")), "magic": otherMagic} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := topics(t, 1)
			cfg, _ := config(t, k.Brokers())
			id := k.TopicInfo("answers").TopicID
			var bad atomic.Bool
			bad.Store(true)
			k.ControlKey(kmsg.Fetch.Int16(), func(req kmsg.Request) (kmsg.Response, error, bool) {
				k.KeepControl()
				ask := req.(*kmsg.FetchRequest)
				if len(ask.Topics) != 1 || ask.Topics[0].TopicID != id || !bad.Load() {
					return nil, nil, false
				}
				resp, ok := testkit.FetchAnswer(req, 0, 0, 0, damaged)
				return resp, nil, ok
			})
			newReplier(t, k.Brokers(), echo)
			r := start(t, cfg)
			testkit.Eventually(t, testkit.DefaultTimeout, func() error {
				if p := r.Problems(); !strings.Contains(p.String(), "batch at offset 0 is damaged") {
					return fmt.Errorf("the problems are %q", p)
				}
				return nil
			})
			var call sync.WaitGroup
			call.Go(func() { mustAnswer(t, r, "first") })
			testkit.Eventually(t, testkit.DefaultTimeout, func() error {
				if k.PartitionInfo("answers", 0).HighWatermark == 0 {
					return errors.New("no answer is stored yet")
				}
				return nil
			})
			bad.Store(false)
			call.Wait()
			ready(t, r)
		})
	}
}

func TestAnOpenTransactionInTheReplyTopicIsTold(t *testing.T) {
	t.Parallel()
	k := topics(t, 1)
	cfg, _ := config(t, k.Brokers())
	r := start(t, cfg)
	ready(t, r)
	hanging := testkit.NewClient(t, k.Brokers(), kgo.TransactionalID("hanging"), kgo.TransactionTimeout(10*time.Minute))
	if err := hanging.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	hanging.ProduceText("answers", "open")
	testkit.Eventually(t, kafka.OpenAfter+testkit.DefaultTimeout, func() error {
		if p := r.Problems(); !strings.Contains(p.String(), "the last stable offset of answers/0 stands at 0 since ") {
			return fmt.Errorf("the problems are %q", p)
		}
		return nil
	})
	if err := hanging.EndTransaction(t.Context(), kgo.TryCommit); err != nil {
		t.Fatal(err)
	}
	ready(t, r)
}

func TestNoAnswerIsLostWithCutConnections(t *testing.T) {
	t.Parallel()
	k := testkit.KfakeProxied(t)
	k.Topic("requests", 2)
	k.Topic("answers", 2)
	cfg, seen := config(t, k.Brokers())
	newReplier(t, k.Brokers(), echo)
	r := start(t, cfg)
	const callers, each, cuts = 20, 25, 6
	var calls sync.WaitGroup
	for caller := range callers {
		calls.Go(func() {
			for i := range each {
				text := fmt.Sprintf("%d of %d", i, caller)
				if got, err := ask(t, r, text); err != nil {
					t.Errorf("%s: %v", text, err)
				} else if string(got.Value) != "re: "+text {
					t.Errorf("%s got %q", text, got.Value)
				}
			}
		})
	}
	for cut := range int64(cuts) {
		testkit.Eventually(t, testkit.DefaultTimeout, func() error {
			if n := seen.answered.Load(); n < cut*callers*each/cuts {
				return fmt.Errorf("%d answers", n)
			}
			if k.Proxies()[0].Cut() == 0 {
				return errors.New("no connection to cut")
			}
			return nil
		})
	}
	calls.Wait()
	if n := seen.answered.Load(); n != callers*each {
		t.Errorf("%d requests were answered, want %d", n, callers*each)
	}
}

func TestABrokerThatIsAwayIsAProblemAndPasses(t *testing.T) {
	t.Parallel()
	k := testkit.KfakeProxied(t)
	k.Topic("requests", 1)
	k.Topic("answers", 1)
	cfg, _ := config(t, k.Brokers())
	release := make(chan struct{})
	arrived := make(chan struct{}, 1)
	newReplier(t, k.Brokers(), func(rp *replier, r *kgo.Record) {
		if string(r.Value) == "held" {
			arrived <- struct{}{}
			<-release
		}
		echo(rp, r)
	})
	r := start(t, cfg)
	var call sync.WaitGroup
	call.Go(func() { mustAnswer(t, r, "held") })
	<-arrived
	k.Proxies()[0].Down()
	testkit.Eventually(t, testkit.DefaultTimeout, func() error {
		if p := r.Problems(); len(p) != 1 || !strings.Contains(p[0].Text, k.Brokers()[0]) {
			return fmt.Errorf("the problems are %q", p)
		}
		return nil
	})
	close(release) // the answer is given while nobody can read it, or after
	k.Proxies()[0].Up()
	call.Wait()
	ready(t, r)
	mustAnswer(t, r, "after")
}
