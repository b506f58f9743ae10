package produce

import (
	"context"
	"fmt"
	"math"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/messaging-kafka/messaging-kafka/internal/record"
	"github.com/messaging-kafka/messaging-kafka/internal/settings"
	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

// publisherFor returns a publisher of a link with these settings.
func publisherFor(t testing.TB, cluster *kafkaCluster, link settings.Producer, create settings.CreateTopics) *Publisher {
	t.Helper()
	if link.Client == (settings.ProducerClient{}) {
		link.Client = producerSettings()
	}
	return limited(acquire(t, NewPool(quiet()), cluster.settings(), link.Client), link, create)
}

func TestPublishRefusesBeforeKafkaIsAsked(t *testing.T) {
	t.Parallel()
	cluster := startKafka(t, kfake.SeedTopics(1, "orders.eu", "payments"))
	var asked atomic.Int32
	cluster.answer(kmsg.Metadata, func(kmsg.Request) (kmsg.Response, error, bool) {
		asked.Add(1)
		return nil, nil, false
	})
	publisher := publisherFor(t, cluster, settings.Producer{AllowedTopics: []string{"orders.*", "log-?"}}, settings.CreateTopics{})
	for name, test := range map[string]struct {
		topic string
		class Class
		word  string
	}{
		"an empty subject":              {"", ClassInvalid, "subject is empty"},
		"a topic outside":               {"payments", ClassNotAuthorised, "allowed_topics are orders.*, log-?"},
		"a topic that is a prefix only": {"orders", ClassNotAuthorised, "allowed_topics"},
		"a name too long for a pattern": {"log-12", ClassNotAuthorised, "allowed_topics"},
		"a reply address outside":       {"payments?partition=0", ClassNotAuthorised, "allowed_topics"},
		"an unknown query key":          {"orders.eu?key=1", ClassInvalid, `unknown key "key"`},
		"a character that is no good":   {"orders.a b", ClassInvalid, `' '`},
		"a name that is too long":       {"orders." + strings.Repeat("x", 243), ClassInvalid, "249"},
	} {
		_, err := publish(t.Context(), publisher, outgoing(test.topic, "v"))
		t.Run(name, func(t *testing.T) { wantError(t, err, test.class, test.word) })
	}
	if n := asked.Load(); n != 0 {
		t.Errorf("Kafka was asked for metadata %d times", n)
	}
	if _, err := publish(t.Context(), publisher, outgoing("orders.eu", "v")); err != nil {
		t.Error(err)
	}
}

func TestPublishToReplyAddresses(t *testing.T) {
	t.Parallel()
	cluster := startKafka(t, kfake.SeedTopics(3, "orders.reply"))
	// The link's own partitions are for its own records, not for answers.
	publisher := publisherFor(t, cluster, settings.Producer{Partitions: []int32{0}, Fanout: settings.FanoutCopy}, settings.CreateTopics{})
	headers := make([]record.Header, 1, 4)
	headers[0] = record.Header{Key: "h", Value: []byte("v")}
	address := record.ReplyAddress{Topic: "orders.reply", Partition: 2, Correlation: []byte{0, 0xff, 7}}
	at, err := publish(t.Context(), publisher, record.Outgoing{
		Topic: address.String(), Partition: record.AnyPartition, Value: []byte("answer"), Headers: headers})
	if err != nil {
		t.Fatal(err)
	}
	if want := (record.Position{Topic: "orders.reply", Partition: 2}); at != want {
		t.Errorf("the answer is at %+v, want %+v", at, want)
	}
	stored := cluster.records("orders.reply", 2)[0]
	if len(stored.Headers) != 2 || stored.Headers[1].Key != "kafka_correlationId" || string(stored.Headers[1].Value) != "\x00\xff\x07" {
		t.Errorf("the answer's headers are %v", stored.Headers)
	}
	if headers[:2][1].Key != "" {
		t.Error("the caller's headers were written to")
	}
}

func TestPublishSpreadsOverTheLinksPartitions(t *testing.T) {
	t.Parallel()
	cluster := startKafka(t, kfake.SeedTopics(6, "t"))
	publisher := publisherFor(t, cluster, settings.Producer{Partitions: []int32{1, 4, 5}, Fanout: settings.FanoutSpread}, settings.CreateTopics{})
	for i := range 9 {
		at, err := publish(t.Context(), publisher, outgoing("t", "v"))
		if err != nil {
			t.Fatal(err)
		}
		if want := []int32{1, 4, 5}[i%3]; at.Partition != want {
			t.Errorf("keyless record %d went to partition %d, want %d", i, at.Partition, want)
		}
	}
	used := map[int32]bool{}
	for i := range 20 {
		out := outgoing("t", "v")
		out.Key = fmt.Appendf(nil, "key-%d", i)
		first, err := publish(t.Context(), publisher, out)
		if err != nil {
			t.Fatal(err)
		}
		second, err := publish(t.Context(), publisher, out)
		if err != nil {
			t.Fatal(err)
		}
		if want := []int32{1, 4, 5}[keyPartition(out.Key, 3)]; first.Partition != want || second.Partition != want {
			t.Errorf("key %d went to %d and %d, want %d", i, first.Partition, second.Partition, want)
		}
		used[first.Partition] = true
	}
	if len(used) != 3 {
		t.Errorf("20 keys use the partitions %v", used)
	}
}

func TestPublishCopiesToEachPartition(t *testing.T) {
	t.Parallel()
	cluster := startKafka(t, kfake.SeedTopics(3, "t"))
	publisher := publisherFor(t, cluster, settings.Producer{Partitions: []int32{2, 0}, Fanout: settings.FanoutCopy}, settings.CreateTopics{})
	at, err := publish(t.Context(), publisher, outgoing("t", "v"))
	if err != nil {
		t.Fatal(err)
	}
	if at.Partition != 2 {
		t.Errorf("the position is %+v, want the one in the first partition of the list", at)
	}
	for partition, want := range []int{1, 0, 1} {
		if got := len(cluster.records("t", int32(partition))); got != want {
			t.Errorf("partition %d has %d records, want %d", partition, got, want)
		}
	}
	broken := publisherFor(t, cluster, settings.Producer{Partitions: []int32{1, 7}, Fanout: settings.FanoutCopy}, settings.CreateTopics{})
	_, err = publish(t.Context(), broken, outgoing("t", "v"))
	wantError(t, err, ClassInvalid, "copy for partition 7 failed", "the topic has 3 (0 to 2)", "copy for partition 1 was stored")
}

func TestPartitionOutOfRangeNamesHowManyThereAre(t *testing.T) {
	t.Parallel()
	cluster := startKafka(t, kfake.SeedTopics(2, "t"))
	publisher := publisherFor(t, cluster, settings.Producer{}, settings.CreateTopics{})
	out := outgoing("t", "v")
	for partition, words := range map[int32][]string{2: {"no partition 2", "has 2 (0 to 1)"}, -2: {"no partition -2"}} {
		out.Partition = partition
		_, err := publish(t.Context(), publisher, out)
		wantError(t, err, ClassInvalid, words...)
	}
}

// TestAPartitionThatNoTopicCanHaveIsRefused before anything is sent: whoever made a record for it waits for nothing.
// One that the topic does not have may come.
func TestAPartitionThatNoTopicCanHaveIsRefused(t *testing.T) {
	t.Parallel()
	cluster := startKafka(t, kfake.SeedTopics(1, "t"))
	publisher := publisherFor(t, cluster, settings.Producer{}, settings.CreateTopics{})
	for partition, never := range map[int32]bool{math.MaxInt32: true, -2: true, math.MaxInt32 - 1: false, 1: false} {
		out := outgoing("t", "v")
		out.Partition = partition
		ready, err := publisher.Prepare(nil, out)
		if !never {
			if err != nil || len(ready) != 1 {
				t.Errorf("partition %d: %v", partition, err)
			}
			continue
		}
		wantError(t, err, ClassInvalid, "no topic can have it")
	}
}

func TestTimestampsThatKafkaCannotHaveAreRefused(t *testing.T) {
	t.Parallel()
	cluster := startKafka(t, kfake.SeedTopics(1, "t"))
	publisher := publisherFor(t, cluster, settings.Producer{}, settings.CreateTopics{})
	out := outgoing("t", "v")
	nanoseconds := time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC).UnixNano()
	for _, ms := range []int64{nanoseconds, math.MaxInt64} {
		out.Timestamp = time.UnixMilli(ms)
		_, err := publish(t.Context(), publisher, out)
		wantError(t, err, ClassInvalid, strconv.FormatInt(ms, 10), "milliseconds")
	}
	out.Timestamp = time.Date(2262, 1, 1, 0, 0, 0, 0, time.UTC)
	if _, err := publish(t.Context(), publisher, out); err != nil {
		t.Error(err)
	}
}

func TestUnknownTopicFailsWithinSeconds(t *testing.T) {
	t.Parallel()
	cluster := startKafka(t)
	link := settings.Producer{Client: producerSettings()}
	link.Client.PublishTimeout = time.Hour
	publisher := publisherFor(t, cluster, link, settings.CreateTopics{})
	// Only the publish timeout, which is far longer, would end it otherwise; the test's deadline is in between.
	ctx, cancel := context.WithTimeout(t.Context(), testkit.DefaultTimeout)
	defer cancel()
	_, err := publish(ctx, publisher, outgoing("nowhere", "v"))
	wantError(t, err, ClassUnknownTopic, "nowhere", "create_topics")
}

func TestMissingTopicsAreCreatedOnceWhereAllowed(t *testing.T) {
	t.Parallel()
	cluster := startKafka(t)
	var created atomic.Int32
	cluster.answer(kmsg.CreateTopics, func(kmsg.Request) (kmsg.Response, error, bool) {
		created.Add(1)
		return nil, nil, false
	})
	publisher := publisherFor(t, cluster, settings.Producer{}, settings.CreateTopics{Enabled: true, Partitions: 5, Replication: 1})
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			if _, err := publish(context.Background(), publisher, outgoing("made", "v")); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	info := cluster.TopicInfo("made")
	if info == nil {
		t.Fatal("the topic does not exist")
	}
	if n := len(cluster.PartitionInfos("made")); n != 5 {
		t.Errorf("the topic has %d partitions, want 5", n)
	}
	stored := 0
	for partition := range int32(5) {
		stored += len(cluster.records("made", partition))
	}
	if stored != 16 {
		t.Errorf("%d records are stored, want 16", stored)
	}
	if n := created.Load(); n != 1 {
		t.Errorf("creation was asked for %d times by 16 publishers", n)
	}
}

func TestCreationThatIsNotAllowedSaysSo(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		code  *kerr.Error
		class Class
		words []string
	}{
		"no right":         {kerr.TopicAuthorizationFailed, ClassNotAuthorised, []string{"create_topics", "ACL Create"}},
		"no right at all":  {kerr.ClusterAuthorizationFailed, ClassNotAuthorised, []string{"create_topics", "ACL Create"}},
		"too few brokers":  {kerr.InvalidReplicationFactor, ClassInvalid, []string{"creating it failed", "create_topics_replication"}},
		"a policy":         {kerr.PolicyViolation, ClassInvalid, []string{"policy"}},
		"bad partitioning": {kerr.InvalidPartitions, ClassInvalid, []string{"number of partitions"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cluster := startKafka(t)
			cluster.answer(kmsg.CreateTopics, func(req kmsg.Request) (kmsg.Response, error, bool) {
				resp := req.ResponseKind().(*kmsg.CreateTopicsResponse)
				topic := kmsg.NewCreateTopicsResponseTopic()
				topic.Topic, topic.ErrorCode = "made", test.code.Code
				resp.Topics = append(resp.Topics, topic)
				return resp, nil, true
			})
			publisher := publisherFor(t, cluster, settings.Producer{}, settings.CreateTopics{Enabled: true, Partitions: -1, Replication: -1})
			_, err := publish(t.Context(), publisher, outgoing("made", "v"))
			wantError(t, err, test.class, append(test.words, "made")...)
		})
	}
}

func TestBrokerAnswersBecomeClasses(t *testing.T) {
	t.Parallel()
	for code, test := range map[*kerr.Error]struct {
		class Class
		words []string
	}{
		kerr.TopicAuthorizationFailed:   {ClassNotAuthorised, []string{"ACL Write"}},
		kerr.ClusterAuthorizationFailed: {ClassNotAuthorised, []string{"IdempotentWrite", "idempotent=false"}},
		kerr.MessageTooLarge:            {ClassTooLarge, []string{"1 bytes"}},
		kerr.InvalidRecord:              {ClassInvalid, []string{"compacted"}},
		kerr.InvalidTopicException:      {ClassInvalid, nil},
		kerr.PolicyViolation:            {ClassInvalid, []string{"policy"}},
		kerr.UnsupportedCompressionType: {ClassOther, []string{"compression"}},
		kerr.InvalidConfig:              {ClassOther, []string{"INVALID_CONFIG"}},
	} {
		t.Run(code.Message, func(t *testing.T) {
			t.Parallel()
			cluster := startKafka(t, kfake.SeedTopics(1, "t"))
			cluster.answer(kmsg.Produce, func(req kmsg.Request) (kmsg.Response, error, bool) { return failProduce(req, code.Code) })
			publisher := publisherFor(t, cluster, settings.Producer{}, settings.CreateTopics{})
			_, err := publish(t.Context(), publisher, outgoing("t", "v"))
			wantError(t, err, test.class, append(test.words, "publishing to t: ")...)
		})
	}
}

func TestIdempotentWriteRightIsNamed(t *testing.T) {
	t.Parallel()
	cluster := startKafka(t, kfake.SeedTopics(1, "t"))
	cluster.answer(kmsg.InitProducerID, func(req kmsg.Request) (kmsg.Response, error, bool) {
		resp := req.ResponseKind().(*kmsg.InitProducerIDResponse)
		resp.ErrorCode = kerr.ClusterAuthorizationFailed.Code
		return resp, nil, true
	})
	_, err := publish(t.Context(), publisherFor(t, cluster, settings.Producer{}, settings.CreateTopics{}), outgoing("t", "v"))
	wantError(t, err, ClassNotAuthorised, "IdempotentWrite", "idempotent=false")

	plain := settings.Producer{Client: producerSettings()}
	plain.Client.Idempotent = false
	if _, err := publish(t.Context(), publisherFor(t, cluster, plain, settings.CreateTopics{}), outgoing("t", "v")); err != nil {
		t.Errorf("with idempotent=false: %v", err)
	}
}

func TestKafkaOutOfReachIsNamed(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := listener.Addr().String()
	_ = listener.Close()
	publisher := publisherFor(t, &kafkaCluster{addr: addr}, settings.Producer{}, settings.CreateTopics{})
	ctx, over := testkit.Ending(t)
	ended := beginPublish(ctx, publisher, outgoing("t", "v"))
	waitFailure(t, publisher.client(), "connection refused")
	over()
	wantError(t, <-ended, ClassUnavailable, "connection refused", addr, "not stored")
}

func TestKafkaThatGoesAwayIsNamed(t *testing.T) {
	t.Parallel()
	cluster := startKafka(t, kfake.SeedTopics(1, "t"))
	publisher := publisherFor(t, cluster, settings.Producer{}, settings.CreateTopics{})
	if _, err := publish(t.Context(), publisher, outgoing("t", "v")); err != nil {
		t.Fatal(err)
	}
	cluster.Close()
	recordOver := endRecords(t, publisher.client())
	ctx, callerOver := testkit.Ending(t)
	ended := beginPublish(ctx, publisher, outgoing("t", "v"))
	waitFailure(t, publisher.client(), "connection refused")
	recordOver()
	callerOver()
	// Whether the client is sure that the record was never sent is a matter of moments.
	wantAwayOrLate(t, <-ended, "connection refused", cluster.addr)
}

func TestWrongCredentialsAreNamedWithoutThePassword(t *testing.T) {
	t.Parallel()
	cluster := startKafka(t, kfake.EnableSASL(), kfake.Superuser("PLAIN", "app", "right"))
	where := cluster.settings()
	where.Security = settings.Security{
		Protocol: settings.SASLPlaintext, Mechanism: settings.Plain, Username: "app", Password: settings.NewSecret("hush-hush"),
	}
	publisher := acquire(t, NewPool(quiet()), where, producerSettings())
	ctx, over := testkit.Ending(t)
	ended := beginPublish(ctx, publisher, outgoing("t", "v"))
	waitFailure(t, publisher.client(), "sasl_password")
	over()
	err := <-ended
	wantError(t, err, ClassUnavailable, `"app"`, "sasl_password")
	if strings.Contains(err.Error(), "hush") {
		t.Errorf("the password is shown: %v", err)
	}
}

func TestATopicThatWasMadeAnewIsPublishedToAgain(t *testing.T) {
	t.Parallel()
	cluster := startKafka(t, kfake.SeedTopics(1, "t"))
	publisher := acquire(t, NewPool(Options{}), cluster.settings(), producerSettings())
	if _, err := publish(t.Context(), publisher, outgoing("t", "to the old topic")); err != nil {
		t.Fatal(err)
	}
	admin := publisher.client().admin()
	if _, err := admin.DeleteTopics(t.Context(), "t"); err != nil {
		t.Fatal(err)
	}
	if _, err := admin.CreateTopic(t.Context(), 1, 1, nil, "t"); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, testkit.DefaultTimeout, func() error {
		_, err := publish(t.Context(), publisher, outgoing("t", "to the new topic"))
		return err
	})
	if stored := cluster.records("t", 0); len(stored) == 0 || string(stored[0].Value) != "to the new topic" {
		t.Errorf("the new topic holds %d records", len(stored))
	}
}
