package settings

// messageRules settle what becomes of a tombstone, and take the settings about messages back where there are none.
func (p *parse) messageRules() {
	d := &p.link.Delivery
	if p.records {
		idle := []string{keyPayload, keyTombstones}
		if p.link.HTTP.Deliver != DeliverCloudEvents { // whose answers may go where a record asks for them
			idle = append(idle, keyReplyTopics)
		}
		p.unused("the {link} is of messaging-kafka:records, where the {component} has whole records", idle...)
		d.Payload, d.Tombstones = PayloadRaw, TombstonesEmpty
		if !p.route { // to which messages with subjects come over HTTP and NATS, whatever it hands over
			if p.byLink(keyKeyFrom) {
				p.warn(keyKeyFrom, "is %s, and is not used: no subject names a record here, since the {link} is of messaging-kafka:records, where the {component} gives each record its key; leave it out", p.link.Producer.KeyFrom)
			}
			p.link.Producer.KeyFrom = KeyFromNone
		}
		return
	}
	if p.anyFailed(keyPayload, keyTombstones) {
		return
	}
	switch {
	case d.Payload == PayloadEnvelope:
		if p.byLink(keyTombstones) && d.Tombstones == TombstonesEmpty {
			p.warn(keyTombstones, "is empty, which says nothing with payload=envelope: the {component} gets tombstones as envelopes with a mark; set skip or leave it out")
		}
	case d.Tombstones != TombstonesEnvelope:
	case p.level(keyTombstones) >= p.level(keyPayload):
		p.fail(keyTombstones, "is envelope, but payload is raw, so that there is no envelope to mark; set payload=envelope, or tombstones to empty or skip")
	default: // the link has taken back what the provider's config says of both
		d.Tombstones = TombstonesEmpty
	}
}
