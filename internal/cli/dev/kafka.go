package dev

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"

	"github.com/messaging-kafka/messaging-kafka/internal/base/backoff"
	"github.com/messaging-kafka/messaging-kafka/internal/engine/kafka"
	"github.com/messaging-kafka/messaging-kafka/internal/observe/telemetry"
	"github.com/messaging-kafka/messaging-kafka/internal/settings"
)

const (
	// MaxLine is the longest line, in bytes, its end not counted. It is what the provider publishes at most in its
	// default setting (max_message_bytes).
	MaxLine = 1 << 20
	// topicMaxBytes is the max.message.bytes of topics made here. Kafka's default is 1 MiB for a whole batch, in
	// which a record of just that size has no room.
	topicMaxBytes = "2097152"
	// reachTimeout bounds the first requests to Kafka, so that a wrong address is reported soon.
	reachTimeout = 10 * time.Second
)

// startKafka starts the embedded Kafka unless one is given, makes the topics and returns the config of the link.
func (r *runner) startKafka(ctx context.Context) (map[string]string, error) {
	hosts := r.opts.Hosts
	if hosts == "" {
		address, err := r.startEmbeddedKafka()
		if err != nil {
			return nil, fmt.Errorf("starting a Kafka: %w", err)
		}
		hosts = address
	}
	config := map[string]string{"hosts": hosts, "topic": Topic}
	r.opts.StandIn.settings(config)
	// The provider's own parser and connections: what works here works there, and is refused in the same words.
	link, _, err := settings.ParseLink(settings.Input{Config: config, Identity: settings.Identity{
		Lattice: r.opts.Lattice, Component: componentID, LinkName: linkName, ProviderKey: providerKey,
	}, Batches: r.opts.StandIn.Processor, Records: r.opts.StandIn.Processor})
	if err != nil {
		return nil, err
	}
	r.group = link.Consumer.Group
	log, end := telemetry.Limit(r.log)
	r.onStop("the log of Kafka's client", func(context.Context) error { end(); return nil })
	access, err := kafka.NewAccess(link.Cluster, log)
	if err != nil {
		return nil, err
	}
	if r.opts.Hosts != "" {
		r.screen.say("Kafka      %s\n", strings.Join(access.Seeds(), ", "))
	}
	if err := r.openKafka(ctx, access); err != nil {
		return nil, fmt.Errorf("preparing the topics: %s", access.Explain(err).Text)
	}
	return config, nil
}

// startEmbeddedKafka returns the address of a Kafka of one broker on a free port of the loopback.
func (r *runner) startEmbeddedKafka() (string, error) {
	where := "in memory"
	log := &kfakeLog{log: r.log}
	opts := []kfake.Opt{
		kfake.NumBrokers(1), kfake.DefaultNumPartitions(1), kfake.WithLogger(log), kfake.MaxVersions(spoken()),
		kfake.ListenFn(func(network, _ string) (net.Listener, error) {
			return listenAt(network, r.opts.KafkaPort)
		}),
	}
	if r.opts.Data != "" {
		release, err := claimData(r.opts.Data)
		if err != nil {
			return "", err
		}
		r.onStop("the use of "+r.opts.Data, release)
		where = "data in " + r.opts.Data
		opts = append(opts, kfake.DataDir(r.opts.Data))
	}
	cluster, err := kfake.NewCluster(opts...)
	if err != nil {
		return "", err
	}
	r.onStop("the Kafka", func(context.Context) error {
		cluster.Close()
		return log.failure()
	})
	address := cluster.ListenAddrs()[0]
	r.screen.say("Kafka      %s, embedded, %s\n", address, where)
	return address, nil
}

// spoken are the versions of Kafka's protocol that the embedded Kafka offers: those of Kafka 3.6, by which Kafka's own
// tools work with it, and what groups of KIP-848 are made of. Of later ones and of some requests it has what our client
// asks, and leaves fields out that Java's reads.
func spoken() *kversion.Versions {
	versions := kversion.V3_6_0()
	const (
		createTopics  = 19 // version 5 tells the configs of the new topic
		heartbeat     = 68
		describeGroup = 69
	)
	versions.SetMaxKeyVersion(createTopics, 4)
	versions.SetMaxKeyVersion(heartbeat, 0)
	versions.SetMaxKeyVersion(describeGroup, 0)
	versions.SetMaxKeyVersion(int16(kmsg.OffsetCommit), 9)
	versions.SetMaxKeyVersion(int16(kmsg.OffsetFetch), 9)
	return versions
}

// kfakeLog takes the embedded Kafka's log. Its errors are all that tells of data that could not be kept.
type kfakeLog struct {
	log   *slog.Logger
	first atomic.Pointer[string]
}

// Logf implements kfake.Logger.
func (l *kfakeLog) Logf(level kfake.LogLevel, format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	switch level {
	case kfake.LogLevelError:
		l.first.CompareAndSwap(nil, &text)
		l.log.Error("embedded Kafka: " + text)
	case kfake.LogLevelWarn:
		l.log.Warn("embedded Kafka: " + text)
	default: // each single request
	}
}

func (l *kfakeLog) failure() error {
	if text := l.first.Load(); text != nil {
		return errors.New(*text)
	}
	return nil
}

// openKafka makes the topics that are missing, and a client that produces and that reads the reply topic from where
// it ends now.
func (r *runner) openKafka(ctx context.Context, access *kafka.Access) error {
	ctx, cancel := context.WithTimeout(ctx, reachTimeout)
	defer cancel()
	made, ends, err := prepareTopics(ctx, access, r.opts.StandIn)
	for _, topic := range made {
		r.screen.say("Kafka      topic %s created, with one partition\n", topic)
	}
	if err != nil {
		return err
	}
	from := make(map[int32]kgo.Offset)
	ends.Each(func(o kadm.ListedOffset) { from[o.Partition] = kgo.NewOffset().At(o.Offset) })
	client, err := kgo.NewClient(append(access.Options(),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{r.opts.StandIn.answers(): from}),
		kgo.FetchMaxWait(time.Second),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), // what a transaction has written comes back when it is committed
		kgo.DefaultProduceTopic(Topic),
		kgo.ProducerLinger(0),
		kgo.ProducerBatchMaxBytes(MaxLine+4096),
		kgo.MaxBufferedBytes(64<<20),
		kgo.RecordDeliveryTimeout(max(r.opts.EchoTimeout, time.Second)), // less is refused
	)...)
	if err != nil {
		return err
	}
	r.kafka, r.access = client, access
	r.onStop("the Kafka client", func(context.Context) error {
		client.Close()
		return nil
	})
	return nil
}

// prepareTopics makes the missing topics and returns their names and the ends of the one in which answers are.
func prepareTopics(
	ctx context.Context, access *kafka.Access, as StandIn,
) (made []string, ends kadm.ListedOffsets, err error) {
	client, err := kgo.NewClient(access.Options()...)
	if err != nil {
		return nil, nil, err
	}
	defer client.Close()
	admin := kadm.NewClient(client)
	known, err := admin.ListTopics(ctx, as.topics()...)
	if err != nil {
		return nil, nil, err
	}
	largest := topicMaxBytes
	for _, name := range as.topics() {
		if known.Has(name) {
			continue
		}
		err := kafka.MakeTopic(ctx, admin, name, 1, -1, map[string]*string{"max.message.bytes": &largest})
		if errors.Is(err, kerr.TopicAlreadyExists) {
			continue // made by somebody else meanwhile
		}
		if err != nil {
			return made, nil, fmt.Errorf("creating topic %s: %w", name, err)
		}
		made = append(made, name)
	}
	ends, err = endsOf(ctx, admin, as.answers())
	return made, ends, err
}

// endsOf asks until the topic's partitions have leaders, which those of a new topic do not have at once.
func endsOf(ctx context.Context, admin *kadm.Client, topic string) (kadm.ListedOffsets, error) {
	again := backoff.Backoff{First: 10 * time.Millisecond, Most: time.Second}
	for failures := 1; ; failures++ {
		ends, err := admin.ListEndOffsets(ctx, topic)
		if err == nil {
			err = ends.Error()
		}
		if err == nil && len(ends[topic]) > 0 {
			return ends, nil
		}
		if err != nil && !kerr.IsRetriable(err) {
			return nil, fmt.Errorf("finding the end of topic %s: %w", topic, err)
		}
		if !backoff.Sleep(ctx, again.After(failures)) {
			return nil, fmt.Errorf("finding the end of topic %s: %w", topic, errors.Join(ctx.Err(), err))
		}
	}
}

// begun tells whether the group has an offset in every partition of topics. It is given one when it first has the
// partition, so nothing that is produced from then on is missed. An empty partition needs one as well: where reading
// starts at the end, what comes into it before the group has begun is not read.
func (r *runner) begun(ctx context.Context, topics ...string) bool {
	ctx, cancel := context.WithTimeout(ctx, rpcTimeout)
	defer cancel()
	lags, err := kafka.GroupLag(ctx, kadm.NewClient(r.kafka), r.group, true, topics...)
	if err != nil {
		return false
	}
	return !slices.ContainsFunc(lags, func(l kafka.PartitionLag) bool { return l.Committed < 0 })
}
