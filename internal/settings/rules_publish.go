package settings

// publishRules settle what depends on acks, and name what says nothing.
func (p *parse) publishRules() {
	c := &p.link.Producer.Client
	if c.Acks != AcksAll && c.Idempotent {
		// As with Kafka's Java client: asked for, it is a contradiction; by default, it gives way.
		if p.given(keyIdempotent) && p.level(keyIdempotent) >= p.level("acks") {
			p.fail(keyIdempotent, "needs acks=all, but acks is %s; leave idempotent out or set acks=all", c.Acks)
		}
		c.Idempotent = false
	}
	if c.Linger >= c.PublishTimeout {
		p.fail("linger", "is not shorter than publish_timeout (%s), so that every publish would time out", c.PublishTimeout)
	}
	if len(p.link.Producer.Partitions) == 0 && !p.anyFailed("producer_partitions") {
		p.unused("no producer_partitions are set", "producer_fanout")
	}
	if p.link.Request.ReplyTopic == "" && !p.anyFailed(keyRequestTopic) {
		p.unused("request_reply_topic is not set, so that requests are refused", keyRequestPartition)
	}
	if !p.link.Create.Enabled && !p.anyFailed(keyCreate) {
		p.unused("create_topics is not true", "create_topics_partitions", "create_topics_replication")
	}
}
