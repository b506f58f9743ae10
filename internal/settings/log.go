package settings

import (
	"log/slog"
	"strings"
)

// LogValue implements slog.LogValuer: what an operator wants to see of a link, without secrets and in one line.
func (l Link) LogValue() slog.Value {
	attrs := []slog.Attr{
		slog.String("hosts", strings.Join(l.Cluster.Hosts, ",")),
		slog.String(keyProtocol, string(l.Cluster.Security.Protocol)),
	}
	if l.Cluster.Security.Mechanism != "" {
		attrs = append(attrs, slog.String(keyMechanism, string(l.Cluster.Security.Mechanism)))
	}
	if !l.Consumer.Enabled() {
		attrs = append(attrs, slog.String("topic", "none, publishes only"))
	} else {
		attrs = append(attrs,
			slog.String("topic", l.Consumer.source()),
			slog.String("consumer_group", l.Consumer.Group),
			slog.String("group_protocol", string(l.Consumer.GroupProtocol)),
			slog.String("order", string(l.Delivery.Order)),
			slog.Int("max_in_flight", l.Delivery.MaxInFlight))
		if l.Consumer.InstanceID != "" {
			attrs = append(attrs, slog.String(keyInstanceID, l.Consumer.InstanceID))
		}
		if len(l.Delivery.RetryTopics) > 0 {
			attrs = append(attrs, slog.String(keyRetryTopics, strings.Join(l.Delivery.RetryTopicNames(), ",")))
		}
		if l.Delivery.DeadLetterTopic != "" {
			attrs = append(attrs, slog.String(keyDeadLetter, l.Delivery.DeadLetterTopic))
		}
	}
	if l.Delivery.Filter != "" {
		attrs = append(attrs, slog.String(keyFilter, l.Delivery.Filter))
	}
	if l.Schema.Enabled() {
		attrs = append(attrs, slog.String(keyRegistry, strings.Join(l.Schema.Registries, ",")))
	}
	if l.Delivery.Payload == PayloadEnvelope {
		attrs = append(attrs, slog.String(keyPayload, string(l.Delivery.Payload)))
	}
	if l.Request.ReplyTopic != "" {
		attrs = append(attrs, slog.String(keyRequestTopic, l.Request.ReplyTopic))
	}
	return slog.GroupValue(attrs...)
}

// source is the setting topic as it may have been written.
func (c *Consumer) source() string {
	if c.TopicPattern == nil {
		return strings.Join(c.Topics, ",")
	}
	return "/" + strings.TrimSuffix(strings.TrimPrefix(c.TopicPattern.String(), "^(?:"), ")$") + "/"
}
