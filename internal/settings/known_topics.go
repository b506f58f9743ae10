package settings

// Knows tells whether a topic is one that the link reads, a retry topic of it, or one that its dead letters or the
// answers to what it reads go to.
func (l *Link) Knows(topic string) bool {
	if topic == "" {
		return false
	}
	if l.Consumer.reads(topic) || topic == l.Delivery.DeadLetterTopic ||
		l.Delivery.RetryTopic(topic) != nil {
		return true
	}
	for _, read := range l.Consumer.Topics {
		if topic == l.Delivery.ReplyTopicFor(read) {
			return true
		}
	}
	return topic == l.Delivery.ReplyTopic
}
