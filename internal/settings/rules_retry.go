package settings

import (
	"slices"
	"strings"
	"time"

	"github.com/messaging-kafka/messaging-kafka/internal/record"
)

const (
	// leastRetryDelay and mostRetryDelay bound the delays of retry topics, maxRetryTopics how many there are.
	leastRetryDelay = 100 * time.Millisecond
	mostRetryDelay  = 7 * 24 * time.Hour
	maxRetryTopics  = 10
)

// parseRetryDelays reads a list of rising delays.
func parseRetryDelays(text string) ([]time.Duration, error) {
	if strings.EqualFold(text, "none") {
		return nil, nil
	}
	var delays []time.Duration
	for part := range strings.SplitSeq(text, ",") { // one that stands twice is a slip, which list would pass over
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		delay, err := parseDuration(part)
		if err != nil {
			return nil, err
		}
		if delay < leastRetryDelay || delay > mostRetryDelay {
			return nil, refuse(part, "is out of bounds: write delays from 100ms to 7d")
		}
		if n := len(delays); n > 0 && delay <= delays[n-1] {
			return nil, refuse(part, "is not longer than the delay before it: write them from the shortest to the longest, as 5s,1m,10m")
		}
		delays = append(delays, delay)
	}
	switch {
	case len(delays) == 0:
		return nil, refuse(text, "names no delay: write them as 5s,1m,10m")
	case len(delays) > maxRetryTopics:
		return nil, refuse(text, "has more than %d delays", maxRetryTopics)
	}
	return delays, nil
}

// DelayName is a delay as names of topics have it: without units that are zero at the end.
func DelayName(delay time.Duration) string {
	name := delay.String()
	if strings.HasSuffix(name, "m0s") {
		name = strings.TrimSuffix(name, "0s")
	}
	if strings.HasSuffix(name, "h0m") {
		name = strings.TrimSuffix(name, "0m")
	}
	return name
}

// RetryTopicNames are the names of the retry topics.
func (d *Delivery) RetryTopicNames() []string {
	names := make([]string, len(d.RetryTopics))
	for i := range d.RetryTopics {
		names[i] = d.RetryTopics[i].Topic
	}
	return names
}

// RetryTopic returns the retry topic of a name, nil where it is none of them.
func (d *Delivery) RetryTopic(name string) *RetryTopic {
	for i := range d.RetryTopics {
		if d.RetryTopics[i].Topic == name {
			return &d.RetryTopics[i]
		}
	}
	return nil
}

// retryRules name the retry topics, which are read as members of the link's group.
func (p *parse) retryRules() {
	c := &p.link.Consumer
	delays := p.retryDelays
	if !c.Enabled() {
		return
	}
	if len(delays) == 0 {
		if !p.anyFailed(keyRetryTopics) {
			p.unused("retry_topics is not set", keyRetryPrefix)
		}
		return
	}
	why := ""
	switch {
	case c.GroupProtocol == GroupShare:
		why = "cannot be used with group_protocol=share: a share group has no order that a failing record could hold up, and the broker itself " +
			"delivers again what is given back; leave it out, or set group_protocol=classic"
	case len(c.Partitions) > 0:
		why = "cannot be used with consumer_partitions, which would leave the other partitions of the retry topics unread"
	}
	if why != "" {
		if p.byLink(keyRetryTopics) {
			p.fail(keyRetryTopics, "%s", why)
		} else {
			p.warn(keyRetryTopics, "of the provider's own config %s", why)
		}
		return
	}
	if p.anyFailed(keyRetryPrefix) {
		return
	}
	prefix := p.retryPrefix
	if prefix == "" {
		prefix = c.Group + "-retry-"
	}
	topics := make([]RetryTopic, 0, len(delays))
	for _, delay := range delays {
		name := prefix + DelayName(delay)
		if !record.IsTopicName(name) {
			p.fail(keyRetryPrefix, "makes %q a retry topic, which %s; set it to something else", name, topicRules)
			return
		}
		topics = append(topics, RetryTopic{name, delay})
	}
	p.link.Delivery.RetryTopics = topics
}

// retryTopicRules look for records that would come by two ways, or never end.
func (p *parse) retryTopicRules() {
	c, d := &p.link.Consumer, &p.link.Delivery
	for _, topic := range d.RetryTopicNames() {
		switch {
		case c.reads(topic):
			p.fail(keyRetryPrefix, "makes %s a retry topic, which is one of the topics that the {link} reads: records would come from it at once, and as new ones", topic)
			return
		case topic == d.DeadLetterTopic:
			p.fail(keyDeadLetter, "is one of the retry topics, so that dead letters would be delivered again without end")
			return
		case topic == p.link.Request.ReplyTopic,
			slices.ContainsFunc(c.Topics, func(t string) bool { return d.ReplyTopicFor(t) == topic }):
			p.fail(keyRetryPrefix, "makes %s a retry topic, which is a topic for answers: they would be delivered as records that failed", topic)
			return
		}
	}
	if n := len(d.RetryTopics); n > 0 && d.MaxAttempts > 0 && d.MaxAttempts <= n {
		p.warn(keyMaxAttempts, "is %d: nothing ever waits in %s", d.MaxAttempts,
			strings.Join(d.RetryTopicNames()[d.MaxAttempts-1:], ", "))
	}
}
