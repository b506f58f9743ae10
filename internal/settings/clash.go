package settings

import (
	"fmt"
	"slices"
	"strings"
)

// Reading is equal for links that ask for the same records, from the same brokers, in the same way: what a component's
// links of one name have equal is read once for both. Members of a group are told apart by their instance ids, but one
// reading is one member.
func (l *Link) Reading() string {
	c := l.Consumer
	c.InstanceID, c.CommonInstanceID = "", ""
	pattern := ""
	if c.TopicPattern != nil {
		pattern = c.TopicPattern.String()
		c.TopicPattern = nil
	}
	// These two decide which addresses for answers the component gets.
	replies := &l.Producer
	return fmt.Sprintf("%q|%v|%q|%+v|%+v|%+v|%+v|%+v|%q|%t%q", l.Cluster.Hosts, l.Cluster.Security.Protocol.UsesSASL(),
		pattern, c, l.Delivery, l.HTTP, l.NATS, l.Schema,
		replies.AllowedTopics, replies.ReplyTopicsFromRecords == nil, replies.ReplyTopicsFromRecords)
}

// Clash says in words why two links, which are not one reading for two links, cannot both read as they ask; "" where
// they can. One that is not certain is a warning: it may be meant. sameComponent tells that both deliver to one
// component under one link name, which by default makes them members of one group.
func (l *Link) Clash(other *Link, sameComponent bool) (text string, certain bool) {
	a, b := &l.Consumer, &other.Consumer
	if a.Group != b.Group || !a.Enabled() || !b.Enabled() || !l.Cluster.meets(&other.Cluster) {
		return "", false
	}
	if (a.GroupProtocol == GroupShare) != (b.GroupProtocol == GroupShare) {
		// Which of the two it is the broker knows, and refuses the other.
		return fmt.Sprintf("uses group %s too, with group_protocol=%s and not %s: a group is either a share group or none. Give each a consumer_group of its own",
			a.Group, b.GroupProtocol, a.GroupProtocol), false
	}
	if a.InstanceID != "" && a.InstanceID == b.InstanceID {
		return fmt.Sprintf("is in group %s with the same group_instance_id %s: they would put each other out of the group. Give each its own, or leave group_instance_id out",
			a.Group, a.InstanceID), true
	}
	topics, certain := a.shares(b)
	if topics == "" {
		return l.retryClash(other)
	}
	return fmt.Sprintf("reads %s too, as a member of the same group (%s), and hands records over in another way: each record comes by one of the two only. "+
		"Give one of them a consumer_group of its own, so that both get all records, or give both the same settings", topics,
		a.Group), certain && sameComponent
}

// retryClash says in words which topics of one link's retries the other one reads, too.
func (l *Link) retryClash(other *Link) (text string, certain bool) {
	var both []string
	for _, one := range l.Delivery.RetryTopicNames() {
		if other.Consumer.reads(one) || other.Delivery.RetryTopic(one) != nil {
			both = append(both, one)
		}
	}
	for _, one := range other.Delivery.RetryTopicNames() {
		if l.Consumer.reads(one) {
			both = append(both, one)
		}
	}
	if len(both) == 0 {
		return "", false
	}
	return fmt.Sprintf("reads %s too, as a member of the same group (%s), and reads other topics: records that failed would come back by the wrong one. "+
		"Give each a retry_topic_prefix or a consumer_group of its own", strings.Join(both, ", "), l.Consumer.Group), true
}

// meets tells whether two links are known to speak to the same cluster: they have an address in common.
func (c *Cluster) meets(other *Cluster) bool {
	return slices.ContainsFunc(c.Hosts, func(host string) bool { return slices.Contains(other.Hosts, host) })
}

// shares names topics that both read. It is not certain where two patterns may match the same topics, and may not.
func (c *Consumer) shares(other *Consumer) (topics string, certain bool) {
	if c.TopicPattern != nil && other.TopicPattern != nil {
		if c.TopicPattern.String() == other.TopicPattern.String() {
			return "topics that match /" + c.TopicPattern.String() + "/", true
		}
		one, _ := c.TopicPattern.LiteralPrefix()
		two, _ := other.TopicPattern.LiteralPrefix()
		if strings.HasPrefix(one, two) || strings.HasPrefix(two, one) {
			return "topics that match /" + other.TopicPattern.String() + "/, and so perhaps some of the same", false
		}
		return "", false
	}
	var both []string
	for _, topic := range c.Topics {
		if other.reads(topic) {
			both = append(both, topic)
		}
	}
	for _, topic := range other.Topics {
		if c.TopicPattern != nil && c.reads(topic) {
			both = append(both, topic)
		}
	}
	return strings.Join(both, ", "), true
}
