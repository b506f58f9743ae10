package produce

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
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

// startProxiedKafka is [startKafka] behind a proxy that can hold back what it is sent, as a broker that stands still
// does.
func startProxiedKafka(t *testing.T, opts ...kfake.Opt) (*kafkaCluster, *testkit.Proxy) {
	t.Helper()
	k := testkit.KfakeProxied(t, opts...)
	return &kafkaCluster{Cluster: k.Cluster, t: t, addr: k.Brokers()[0]}, k.Proxies()[0]
}

// wantNotKnown checks that an error does not claim to know what became of the record.
func wantNotKnown(t *testing.T, err error, words ...string) {
	t.Helper()
	wantError(t, err, ClassTimedOut, append(words, "not known")...)
	if err != nil && strings.Contains(err.Error(), "was not stored") {
		t.Errorf("it says that the record was not stored: %v", err)
	}
}

func TestWhatWasSentToABrokerThatStandsStillIsNotKnown(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*settings.ProducerClient){
		"acks=1":           func(p *settings.ProducerClient) { p.Acks, p.Idempotent = settings.AcksLeader, false },
		"idempotent=false": func(p *settings.ProducerClient) { p.Idempotent = false },
		"the defaults":     func(*settings.ProducerClient) {},
	} {
		for _, size := range []int{1, 900_000} { // the second does not fit into the buffers of a connection
			t.Run(fmt.Sprintf("%s, %d bytes", name, size), func(t *testing.T) {
				t.Parallel()
				cluster, proxy := startProxiedKafka(t, kfake.SeedTopics(1, "t"))
				link := settings.Producer{Client: producerSettings()}
				change(&link.Client)
				publisher := publisherFor(t, cluster, link, settings.CreateTopics{})
				if _, err := publish(t.Context(), publisher, outgoing("t", "before")); err != nil {
					t.Fatal(err)
				}
				proxy.Pause()
				c := publisher.client()
				recordOver, before := endRecords(t, c), c.written.Load()
				ctx, callerOver := testkit.Ending(t)
				ended := beginPublish(ctx, publisher, outgoing("t", strings.Repeat("v", size)))
				testkit.Eventually(t, testkit.DefaultTimeout, func() error {
					if c.written.Load() == before {
						return errors.New("nothing is sent")
					}
					return nil
				})
				recordOver()
				callerOver()
				wantNotKnown(t, <-ended)
				proxy.Resume()
				testkit.Eventually(t, testkit.DefaultTimeout, func() error {
					if n := cluster.PartitionInfo("t", 0).HighWatermark; n != 2 {
						return fmt.Errorf("%d records are stored, so the test shows nothing", n)
					}
					return nil
				})
			})
		}
	}
}

// TestWhatALeaderStoredBeforeItCeasedToLeadIsNotKnown has the answer to a first attempt lost and all others refused
// with an error that the client takes for a proof that nothing is stored.
func TestWhatALeaderStoredBeforeItCeasedToLeadIsNotKnown(t *testing.T) {
	t.Parallel()
	cluster, proxy := startProxiedKafka(t, kfake.SeedTopics(1, "t"))
	publisher := publisherFor(t, cluster, settings.Producer{}, settings.CreateTopics{})
	if _, err := publish(t.Context(), publisher, outgoing("t", "before")); err != nil {
		t.Fatal(err)
	}
	var attempts atomic.Int32
	cluster.answer(kmsg.Produce, func(req kmsg.Request) (kmsg.Response, error, bool) {
		if attempts.Add(1) == 1 {
			proxy.Pause()
			return nil, nil, false
		}
		return failProduce(req, kerr.NotLeaderForPartition.Code)
	})
	over := endRecords(t, publisher.client())
	ended := beginPublish(context.Background(), publisher, outgoing("t", "v"))
	testkit.Eventually(t, testkit.DefaultTimeout, func() error {
		if n := cluster.PartitionInfo("t", 0).HighWatermark; n != 2 {
			return fmt.Errorf("%d records are stored", n)
		}
		return nil
	})
	proxy.Cut()
	proxy.Resume()
	testkit.Eventually(t, testkit.DefaultTimeout, func() error {
		if attempts.Load() < 2 {
			return errors.New("there is no second attempt, so the test shows nothing")
		}
		return nil
	})
	over() // the client gives the record up at its next attempt
	wantNotKnown(t, <-ended, "no acknowledgement")
}

func TestNobodyIsGivenUpForAnotherRecordsTime(t *testing.T) {
	t.Parallel()
	k := testkit.KfakeProxied(t, kfake.NumBrokers(2), kfake.SeedTopics(1, "t"))
	// The client learns of the topic from one broker, and the other, which leads it, takes no connection.
	leader := k.LeaderFor("t", 0)
	cluster := &kafkaCluster{Cluster: k.Cluster, t: t, addr: k.Brokers()[1-leader]}
	proxy := k.Proxies()[leader]
	proxy.Down()
	publisher := publisherFor(t, cluster, settings.Producer{}, settings.CreateTopics{})
	c := publisher.client()
	publish := func(value string, buffered int64) <-chan error {
		ended := beginPublish(context.Background(), publisher, outgoing("t", value))
		testkit.Eventually(t, testkit.DefaultTimeout, func() error {
			if n := c.client().BufferedProduceRecords(); n < buffered {
				return fmt.Errorf("%d records are with the client", n)
			}
			return nil
		})
		return ended
	}
	over := endRecords(t, c)
	first := publish("first", 1)
	c.deadlines = newDeadlines(time.Minute)
	second := publish("second", 2)
	waitFailure(t, c, "connection refused")
	over()
	wantAwayOrLate(t, <-first, "not stored")
	proxy.Up()
	if err := <-second; err != nil {
		t.Errorf("the second record was given up: %v", err)
	}
	if stored := cluster.records("t", 0); len(stored) != 1 || string(stored[0].Value) != "second" {
		t.Errorf("stored are %v", stored)
	}
}

func TestARecordBehindOneThatRanOutOfTimeIsToldSo(t *testing.T) {
	t.Parallel()
	cluster := startKafka(t, kfake.SeedTopics(1, "t"))
	handle := acquire(t, NewPool(quiet()), cluster.settings(), producerSettings())
	c := handle.client()
	r := outgoing("t", "v")
	f := inFlight{err: context.DeadlineExceeded, written: c.written.Load()}
	c.written.Add(1) // somebody's
	err := c.judge(c.wait(t.Context()), &r, &f).Err
	wantNotKnown(t, err, "a record before this one")
	if strings.Contains(err.Error(), "20s") {
		t.Errorf("it speaks of a time that is not over: %v", err)
	}
}

func TestFailedCopiesOfWhichItIsNotKnownAreNotSaidToBeMissing(t *testing.T) {
	t.Parallel()
	copies := []record.Outgoing{{Topic: "t", Partition: 0}, {Topic: "t", Partition: 1}}
	err := summarise(copies, []record.Result{{}, {Err: &Error{Class: ClassTimedOut, Text: "whether the record was stored is not known"}}})
	wantNotKnown(t, err, "partition 1 failed", "partition 0 was stored")
}

// TestIdempotenceIsNotGivenUpInSilence asks brokers that do not know InitProducerId.
func TestIdempotenceIsNotGivenUpInSilence(t *testing.T) {
	t.Parallel()
	cluster := startKafka(t, kfake.SeedTopics(1, "t"))
	cluster.answer(kmsg.ApiVersions, func(req kmsg.Request) (kmsg.Response, error, bool) {
		resp := req.ResponseKind().(*kmsg.ApiVersionsResponse)
		for _, key := range []kmsg.Key{kmsg.Produce, kmsg.Metadata, kmsg.ApiVersions} {
			k := kmsg.NewApiVersionsResponseApiKey()
			k.ApiKey, k.MaxVersion = key.Int16(), map[kmsg.Key]int16{kmsg.Produce: 9, kmsg.Metadata: 9, kmsg.ApiVersions: 3}[key]
			resp.ApiKeys = append(resp.ApiKeys, k)
		}
		return resp, nil, true
	})
	_, err := publish(t.Context(), publisherFor(t, cluster, settings.Producer{}, settings.CreateTopics{}), outgoing("t", "v"))
	wantError(t, err, ClassOther, "InitProducerId", "idempotent=false", "not sent")
	if n := cluster.PartitionInfo("t", 0).HighWatermark; n != 0 {
		t.Errorf("%d records are stored", n)
	}
	plain := settings.Producer{Client: producerSettings()}
	plain.Client.Idempotent = false
	if _, err := publish(t.Context(), publisherFor(t, cluster, plain, settings.CreateTopics{}), outgoing("t", "v")); err != nil {
		t.Errorf("with idempotent=false: %v", err)
	}
}

func TestRefusalsAreNotTakenForGivingUp(t *testing.T) {
	t.Parallel()
	for err, want := range map[error]bool{
		context.DeadlineExceeded: true, kerr.NotLeaderForPartition: true, kerr.NotEnoughReplicasAfterAppend: true,
		kerr.UnknownTopicOrPartition: false, kerr.MessageTooLarge: false, kerr.TopicAuthorizationFailed: false,
		fmt.Errorf("reading: %w", kerr.RequestTimedOut): true, errors.New("anything else"): false,
	} {
		if got := givenUp(err); got != want {
			t.Errorf("givenUp(%v) = %v", err, got)
		}
	}
}

func TestAPublishWaitsForATokenThatCanBeHadAgain(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	endpoint := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if asked.Add(1) <= 2 { // the library asks a second time, with the credentials in another place
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"access_token":"token","token_type":"Bearer","expires_in":600}`)
	}))
	t.Cleanup(endpoint.Close)
	cluster := startKafka(t, kfake.SeedTopics(1, "t"))
	cluster.answer(kmsg.SASLHandshake, func(req kmsg.Request) (kmsg.Response, error, bool) { return req.ResponseKind(), nil, true })
	cluster.answer(kmsg.SASLAuthenticate, func(req kmsg.Request) (kmsg.Response, error, bool) { return req.ResponseKind(), nil, true })
	where := cluster.settings()
	where.Security = settings.Security{
		Protocol: settings.SASLPlaintext, Mechanism: settings.OAuthBearer, OAuthTokenEndpoint: endpoint.URL,
		OAuthClientID: "client", OAuthClientSecret: settings.NewSecret("client-secret"),
	}
	for _, idempotent := range []bool{true, false} {
		asked.Store(0)
		producer := producerSettings()
		producer.Idempotent = idempotent
		handle := acquire(t, NewPool(quiet()), where, producer)
		if _, err := produceAll(t.Context(), handle, outgoing("t", "v")); err != nil {
			t.Errorf("idempotent=%v: %v", idempotent, err)
		}
		if asked.Load() < 3 {
			t.Error("the endpoint did not fail, so the test shows nothing")
		}
	}
}
