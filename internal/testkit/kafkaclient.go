package testkit

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Client is a plain Kafka client for looking at a cluster from outside, real or fake. Its methods fail the test when
// Kafka does not do what they ask within [DefaultTimeout].
type Client struct {
	*kgo.Client
	t       testing.TB
	brokers []string
	opts    []kgo.Opt
}

// NewClient connects to the brokers and closes the client when the test ends.
func NewClient(t testing.TB, brokers []string, opts ...kgo.Opt) *Client {
	t.Helper()
	c := &Client{t: t, brokers: brokers, opts: opts}
	c.Client = c.open()
	return c
}

func (c *Client) open(opts ...kgo.Opt) *kgo.Client {
	c.t.Helper()
	all := slices.Concat([]kgo.Opt{
		kgo.SeedBrokers(c.brokers...),
		kgo.MetadataMinAge(50 * time.Millisecond), // a topic that a test has just made is there at once
		kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)),
	}, c.opts, opts)
	cl, err := kgo.NewClient(all...)
	if err != nil {
		c.t.Fatalf("making a Kafka client: %v", err)
	}
	c.t.Cleanup(cl.Close)
	return cl
}

func (*Client) context() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), DefaultTimeout)
}

// Topic creates a topic with the broker's default replication and waits until it can be used. configs may be nil.
func (c *Client) Topic(name string, partitions int32, configs map[string]string) {
	c.t.Helper()
	ctx, cancel := c.context()
	defer cancel()
	var values map[string]*string
	if len(configs) > 0 {
		values = map[string]*string{}
		for k, v := range configs {
			values[k] = &v
		}
	}
	admin := kadm.NewClient(c.Client)
	if _, err := admin.CreateTopic(ctx, partitions, -1, values, name); err != nil {
		c.t.Fatalf("creating topic %s: %v", name, err)
	}
	Eventually(c.t, DefaultTimeout, func() error {
		topics, err := admin.ListTopics(ctx, name)
		if err != nil {
			return err
		}
		detail := topics[name]
		if detail.Err != nil {
			return detail.Err
		}
		if n := len(detail.Partitions); n != int(partitions) {
			return fmt.Errorf("topic %s has %d of %d partitions", name, n, partitions)
		}
		for _, p := range detail.Partitions {
			if p.Leader < 0 {
				return fmt.Errorf("topic %s partition %d has no leader", name, p.Partition)
			}
		}
		return nil
	})
}

// Produce produces records and waits until all are acknowledged.
func (c *Client) Produce(records ...*kgo.Record) {
	c.t.Helper()
	ctx, cancel := c.context()
	defer cancel()
	if err := c.ProduceSync(ctx, records...).FirstErr(); err != nil {
		c.t.Fatalf("producing: %v", err)
	}
}

// ProduceText produces one record without a key for each value.
func (c *Client) ProduceText(topic string, values ...string) {
	c.t.Helper()
	records := make([]*kgo.Record, len(values))
	for i, v := range values {
		records[i] = &kgo.Record{Topic: topic, Value: []byte(v)}
	}
	c.Produce(records...)
}

// Read returns the first n records of a topic, in the order of arrival (which is that of the offsets within each
// partition). It waits for them to be there; more than n are left out.
func (c *Client) Read(topic string, n int) []*kgo.Record {
	c.t.Helper()
	got := c.ReadUntil(topic, DefaultTimeout, func(records []*kgo.Record) bool { return len(records) >= n })
	return got[:n]
}

// ReadUntil reads a topic from its beginning until enough says so, and fails the test when it has not within timeout.
func (c *Client) ReadUntil(topic string, timeout time.Duration, enough func([]*kgo.Record) bool) []*kgo.Record {
	c.t.Helper()
	cl := c.open(kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchMaxWait(100*time.Millisecond))
	defer cl.Close()
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	var got []*kgo.Record
	for !enough(got) {
		fetches := cl.PollFetches(ctx)
		if ctx.Err() != nil {
			c.t.Fatalf("reading %s: not enough after %v: %d records", topic, timeout, len(got))
		}
		// Errors that last show as the timeout; those that pass, such as a leader that moves, are none of a test's.
		fetches.EachError(func(t string, p int32, err error) { c.t.Logf("reading %s/%d: %v", t, p, err) })
		got = append(got, fetches.Records()...)
	}
	return got
}

// EndOffsets returns the end of each partition of a topic.
func (c *Client) EndOffsets(topic string) map[int32]int64 {
	c.t.Helper()
	ctx, cancel := c.context()
	defer cancel()
	offsets, err := kadm.NewClient(c.Client).ListEndOffsets(ctx, topic)
	if err == nil {
		err = offsets.Error()
	}
	if err != nil {
		c.t.Fatalf("listing the ends of %s: %v", topic, err)
	}
	ends := map[int32]int64{}
	offsets.Each(func(o kadm.ListedOffset) { ends[o.Partition] = o.Offset })
	return ends
}

// Committed returns the offsets that a group has committed in a topic; partitions without one are left out. A broker
// that does not know the group's coordinator yet, as a new one, is asked again.
func (c *Client) Committed(group, topic string) (offsets map[int32]int64) {
	c.t.Helper()
	Eventually(c.t, DefaultTimeout, func() (err error) {
		if offsets, err = c.committed(group, topic); err != nil {
			return fmt.Errorf("fetching the offsets of group %s: %w", group, err)
		}
		return nil
	})
	return offsets
}

func (c *Client) committed(group, topic string) (map[int32]int64, error) {
	ctx, cancel := c.context()
	defer cancel()
	responses, err := kadm.NewClient(c.Client).FetchOffsets(ctx, group)
	if err == nil {
		err = responses.Error()
	}
	if err != nil {
		return nil, err
	}
	offsets := map[int32]int64{}
	for partition, o := range responses.Offsets()[topic] {
		if o.At >= 0 {
			offsets[partition] = o.At
		}
	}
	return offsets, nil
}

// WaitCommitted waits until a group has committed exactly want in a topic.
func (c *Client) WaitCommitted(group, topic string, want map[int32]int64) {
	c.t.Helper()
	Eventually(c.t, DefaultTimeout, func() error {
		got, err := c.committed(group, topic)
		if err != nil {
			return err
		}
		if !maps.Equal(got, want) {
			return fmt.Errorf("group %s has committed %v in %s, want %v", group, got, topic, want)
		}
		return nil
	})
}

// WaitDrained waits until a group has committed the end of every partition of a topic: its lag is 0.
func (c *Client) WaitDrained(group, topic string) {
	c.t.Helper()
	Eventually(c.t, DefaultTimeout, func() error {
		ends := c.EndOffsets(topic)
		committed, err := c.committed(group, topic)
		if err != nil {
			return err
		}
		var behind []string
		for partition, end := range ends {
			// A partition that never had a record needs no commit.
			if at, ok := committed[partition]; end > 0 && (!ok || at < end) {
				behind = append(behind, fmt.Sprintf("partition %d at %d of %d", partition, at, end))
			}
		}
		if len(behind) > 0 {
			slices.Sort(behind)
			return fmt.Errorf("group %s lags in %s: %v", group, topic, behind)
		}
		return nil
	})
}

// WaitMembers waits until a group of the classic or consumer protocol is stable with n members, n = 0 included.
func (c *Client) WaitMembers(group string, n int) {
	c.t.Helper()
	Eventually(c.t, DefaultTimeout, func() error {
		members, state, err := c.members(group)
		if err != nil {
			return err
		}
		if len(members) != n || (n > 0 && state != "Stable") {
			return fmt.Errorf("group %s is %s with %d members, want %d", group, cmp.Or(state, "unknown"), len(members), n)
		}
		return nil
	})
}

// members describes a group by both protocols: the classic request does not know groups of KIP-848.
func (c *Client) members(group string) (ids []string, state string, err error) {
	ctx, cancel := c.context()
	defer cancel()
	admin := kadm.NewClient(c.Client)
	classic, err := admin.DescribeGroups(ctx, group)
	if err != nil {
		return nil, "", err
	}
	described := classic[group]
	if described.Err == nil && len(described.Members) > 0 {
		for _, m := range described.Members {
			ids = append(ids, m.MemberID)
		}
		return ids, described.State, nil
	}
	consumer, err := admin.DescribeConsumerGroups(ctx, group)
	if err == nil && consumer[group].Err == nil {
		for _, m := range consumer[group].Members {
			ids = append(ids, m.MemberID)
		}
		return ids, consumer[group].State, nil
	}
	// Brokers before 4.0 do not know the second request: then the first one's word counts.
	if described.Err != nil && !errors.Is(described.Err, kerr.GroupIDNotFound) {
		return nil, "", described.Err
	}
	return nil, described.State, nil
}

// AddPartitions gives a topic more partitions.
func (c *Client) AddPartitions(topic string, more int) {
	c.t.Helper()
	ctx, cancel := c.context()
	defer cancel()
	resp, err := kadm.NewClient(c.Client).CreatePartitions(ctx, more, topic)
	if err == nil {
		err = resp.Error()
	}
	if err != nil {
		c.t.Fatalf("adding partitions to %s: %v", topic, err)
	}
	want := 0
	Eventually(c.t, DefaultTimeout, func() error {
		n := len(c.EndOffsets(topic))
		want = max(want, n)
		if _, _, err := c.PartitionLeader(topic, int32(n-1)); err != nil || n < more+1 {
			c.ForceMetadataRefresh()
			return fmt.Errorf("the client knows %d partitions of %s: %w", n, topic, err)
		}
		return nil
	})
}

// DeleteTopic deletes a topic.
func (c *Client) DeleteTopic(topic string) {
	c.t.Helper()
	ctx, cancel := c.context()
	defer cancel()
	if _, err := kadm.NewClient(c.Client).DeleteTopic(ctx, topic); err != nil {
		c.t.Fatalf("deleting topic %s: %v", topic, err)
	}
}

// DeleteRecords deletes the records of a partition below an offset.
func (c *Client) DeleteRecords(topic string, partition int32, before int64) {
	c.t.Helper()
	ctx, cancel := c.context()
	defer cancel()
	var offsets kadm.Offsets
	offsets.Add(kadm.Offset{Topic: topic, Partition: partition, At: before})
	resp, err := kadm.NewClient(c.Client).DeleteRecords(ctx, offsets)
	if err == nil {
		err = resp.Error()
	}
	if err != nil {
		c.t.Fatalf("deleting records of %s/%d: %v", topic, partition, err)
	}
}

// CommitOffset commits an offset for a group without members, as another tool would.
func (c *Client) CommitOffset(group, topic string, partition int32, offset int64) {
	c.t.Helper()
	ctx, cancel := c.context()
	defer cancel()
	var offsets kadm.Offsets
	offsets.Add(kadm.Offset{Topic: topic, Partition: partition, At: offset, LeaderEpoch: -1})
	if err := kadm.NewClient(c.Client).CommitAllOffsets(ctx, group, offsets); err != nil {
		c.t.Fatalf("committing an offset of %s/%d for %s: %v", topic, partition, group, err)
	}
}

// MemberIDs returns the members of a group by id, sorted: it changes with every member that comes, goes or comes back.
func (c *Client) MemberIDs(group string) []string {
	c.t.Helper()
	ids, _, err := c.members(group)
	if err != nil {
		c.t.Fatalf("describing group %s: %v", group, err)
	}
	slices.Sort(ids)
	return ids
}
