package settings

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
	"time"

	"github.com/messaging-kafka/messaging-kafka/internal/record"
)

// consumeOnly are the settings that say nothing on a link that reads no topic.
var consumeOnly = []string{
	"consumer_group", "consumer_partitions", "start", "on_offset_out_of_range", "isolation",
	"group_protocol", keyInstanceID,
	"session_timeout", "rebalance_timeout", "commit_interval", "order", "max_in_flight", "batch_max_records",
	"batch_max_bytes", "batch_max_wait", "transactions", "max_buffer",
	"handle_timeout", "retry_backoff", "retry_backoff_max", keyMaxAttempts, keyRetryTopics, keyRetryPrefix, keyDeadLetter,
	"on_reject", keyReplyTopic, keyTombstones, keyFilter, keyOnFilterError,
}

// consumeRules settle who reads what, as which member of which group.
func (p *parse) consumeRules() {
	c := &p.link.Consumer
	c.Topics, c.TopicPattern = p.topic.names, p.topic.pattern
	if c.Group == "" {
		c.Group = p.identity.group(p.route)
	}
	if c.InstanceID == instanceAuto {
		c.InstanceID = p.identity.instance(p.link.Cluster.ClientID)
		common := p.identity
		common.End = ""
		c.CommonInstanceID = common.instance(p.link.Cluster.ClientID)
	}
	if !c.Enabled() && !p.anyFailed("topic") {
		p.unused("the {link} has no topic and only publishes", consumeOnly...)
	}
	if len(c.Partitions) > 0 && c.GroupProtocol != GroupClassic {
		p.fail("consumer_partitions",
			"cannot be used with group_protocol=%s: there the broker assigns the partitions, and always all of them; set group_protocol=classic", c.GroupProtocol)
	}
	if p.batches && !p.given("max_in_flight") {
		p.link.Delivery.MaxInFlight = batchesInFlight
	}
	if p.link.Delivery.Transactions && c.GroupProtocol == GroupShare {
		p.fail("transactions", "cannot be used with group_protocol=share: share groups have no offsets to commit; set group_protocol=classic")
	}
	if p.link.Delivery.Transactions && !c.ReadCommitted {
		p.fail("isolation", "cannot be read_uncommitted with transactions=true: what is made of records that were never committed would be there for good; set isolation=read_committed")
	}
	if p.link.Delivery.Transactions && !p.given("commit_interval") {
		c.CommitInterval = transactionInterval
	}
	p.timeoutRules()
	p.groupProtocolRules()
}

// batchesInFlight is the max_in_flight of links that set none and whose component takes batches: enough to keep a host
// busy while the next batch fills.
const batchesInFlight = 4

// transactionInterval is the commit_interval of links with transactions that set none: what they produce can be read
// only after the commit.
const transactionInterval = 100 * time.Millisecond

// timeoutRules keep the session from outlasting a rebalance: a member that died would hold up every rebalance.
func (p *parse) timeoutRules() {
	c := &p.link.Consumer
	session, rebalance := p.given("session_timeout"), p.given("rebalance_timeout")
	switch {
	case c.SessionTimeout <= c.RebalanceTimeout:
	case session && rebalance:
		p.fail("session_timeout",
			"is longer than rebalance_timeout, so that a dead member would outlast a rebalance; make it %s or shorter",
			c.RebalanceTimeout)
	case session:
		c.RebalanceTimeout = c.SessionTimeout
	default:
		c.SessionTimeout = c.RebalanceTimeout
	}
	if c.Enabled() && p.link.Delivery.HandleTimeout > c.RebalanceTimeout {
		p.warn("handle_timeout",
			"is longer than rebalance_timeout (%s): a call that lasts longer than that is given up in a rebalance, and its record delivered again", c.RebalanceTimeout)
	}
}

// groupProtocolRules name what a kind of group leaves no choice about.
func (p *parse) groupProtocolRules() {
	c := &p.link.Consumer
	switch c.GroupProtocol {
	case GroupClassic:
	case GroupConsumer:
		p.unused("with group_protocol=consumer the broker decides (group.consumer.session.timeout.ms)", "session_timeout")
	case GroupShare:
		const why = "group_protocol=share "
		p.unused(why+"has no order", "order")
		if p.link.Delivery.OnReject == RejectStop {
			p.fail("on_reject", "cannot be stop with group_protocol=share, where a copy has no partition that it could hold: set dead_letter_topic, or on_reject=skip")
		}
		p.unused(why+"keeps its place on the broker", "on_offset_out_of_range", "commit_interval")
		p.unused(why+"has no static members", keyInstanceID)
		p.unused(why+"leaves it to the broker (group.share.session.timeout.ms)", "session_timeout")
		p.link.Delivery.Order = OrderNone
		c.InstanceID, c.CommonInstanceID = "", ""
	}
}

// group is the default group: the same on every host, so that copies of the provider, or of a bridge with this route,
// share the work.
func (id Identity) group(route bool) string {
	var parts []string
	if !route {
		parts = append(parts, "wasmcloud")
	}
	for _, part := range []string{id.Lattice, id.Component, id.LinkName} {
		if part != "" {
			parts = append(parts, part)
		}
	}
	return strings.Join(parts, ".")
}

// instance is a static member's id that stays the same over restarts and differs between hosts and links, those of one
// name included.
func (id Identity) instance(clientID string) string {
	hash := sha256.New()
	for _, part := range []string{id.Lattice, id.HostID, id.ProviderKey, id.Component, id.LinkName, id.End} {
		// A length in front keeps ("a", "bc") and ("ab", "c") apart. Writing to a hash cannot fail.
		_, _ = hash.Write([]byte{byte(len(part) >> 8), byte(len(part))})
		_, _ = hash.Write([]byte(part))
	}
	var name strings.Builder
	for i := 0; i < len(clientID) && i < 200; i++ {
		if record.IsTopicByte(clientID[i]) {
			name.WriteByte(clientID[i])
		} else {
			name.WriteByte('_')
		}
	}
	return name.String() + "-" + hex.EncodeToString(hash.Sum(nil)[:6])
}

// deliveryRules settle attempts and backoff.
func (p *parse) deliveryRules() {
	d := &p.link.Delivery
	if d.DeadLetterTopic != "" && !p.given(keyMaxAttempts) {
		d.MaxAttempts = deadLetterAttempts
		if n := len(d.RetryTopics); n > 0 {
			d.MaxAttempts = 1 + n
		}
	}
	if d.MaxAttempts > 0 && d.DeadLetterTopic == "" && d.OnReject == RejectSkip && !p.anyFailed(keyDeadLetter) {
		p.warn(keyMaxAttempts, "is %d and no dead_letter_topic is set: a record that fails so often is skipped",
			d.MaxAttempts)
	}
	if d.RetryBackoff > d.RetryBackoffMax {
		if p.given("retry_backoff_max") {
			p.fail("retry_backoff", "is longer than retry_backoff_max (%s)", d.RetryBackoffMax)
		} else {
			d.RetryBackoffMax = d.RetryBackoff
		}
	}
	if d.Filter == "" && p.link.Consumer.Enabled() && !p.anyFailed(keyFilter) {
		p.unused("the {link} has no filter", keyOnFilterError)
	}
	if c := &p.link.Consumer; int64(c.FetchMaxBytes) > d.MaxBuffer {
		if p.byLink("fetch_max_bytes") {
			p.warn("fetch_max_bytes", "is more than max_buffer holds; %d bytes are used", d.MaxBuffer)
		}
		c.FetchMaxBytes = int32(d.MaxBuffer)
	}
}

// deadLetterAttempts is the default of max_attempts where there is a dead-letter topic.
const deadLetterAttempts = 5

// topicRules look for records that would go round in circles.
func (p *parse) topicRules() {
	c, d := &p.link.Consumer, &p.link.Delivery
	if !c.Enabled() {
		return
	}
	if d.DeadLetterTopic != "" && c.reads(d.DeadLetterTopic) {
		p.fail(keyDeadLetter, "is one of the topics that the {link} reads, so that dead letters would be delivered again without end; read them with a {link} of their own")
	}
	p.retryTopicRules()
	if topic := p.link.Request.ReplyTopic; topic != "" && c.reads(topic) {
		p.warn(keyRequestTopic, "is one of the topics that the {link} reads: answers to requests are delivered to the {component} as messages, too")
	}
	const loop = "is one of the topics that the {link} reads: a {component} that answers every message answers its own answers without end"
	for _, topic := range c.Topics {
		reply := d.ReplyTopicFor(topic)
		if len(reply) > record.MaxTopicName {
			p.warn(keyReplyTopic, "is a name of more than %d characters for one of the topics, which Kafka does not take",
				record.MaxTopicName)
		}
		if c.reads(reply) {
			p.warn(keyReplyTopic, loop)
			return
		}
	}
	if c.TopicPattern != nil && p.patternReadsReplies() {
		p.warn(keyReplyTopic, "matches the pattern of the topics that the {link} reads, or may do so: a {component} that answers every message answers its own answers without end; set reply_topic to a name that the pattern does not match, or to none")
	}
}

// patternReadsReplies guesses by example, since it cannot know all topics, whether the pattern matches the reply
// topic of a topic that it matches.
func (p *parse) patternReadsReplies() bool {
	pattern, reply := p.link.Consumer.TopicPattern, p.link.Delivery.ReplyTopic
	if reply == "" {
		return false
	}
	if !strings.Contains(reply, topicTemplate) {
		return pattern.MatchString(reply)
	}
	for _, rest := range []string{"", "a", "a.a", "aaaaaaaa", "1"} {
		if topic := p.topic.prefix + rest; pattern.MatchString(topic) &&
			pattern.MatchString(p.link.Delivery.ReplyTopicFor(topic)) {
			return true
		}
	}
	return false
}

// reads tells whether the link reads the topic.
func (c *Consumer) reads(topic string) bool {
	return slices.Contains(c.Topics, topic) || (c.TopicPattern != nil && c.TopicPattern.MatchString(topic))
}
