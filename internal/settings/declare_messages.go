package settings

func messageSection() section {
	return section{
		title: "Records as messages",
		intro: "A message of `wasmcloud:messaging` has a subject, a body and a reply-to, and no place for the rest of a record. These settings make room for it. They say nothing on links of `messaging-kafka:records`, where a component has whole records anyway.",
		settings: []setting{
			{
				name: keyPayload, hints: []string{"payload_format", "body", "envelope", "cloudevents"},
				def: "raw", example: "envelope",
				doc:   "The body of a message, in both directions, requests and their answers included: `raw` is the record's value and nothing else, `envelope` is JSON with key, headers, value and position ([envelope.md](envelope.md)).",
				value: word(func(d *draft) *Payload { return &d.link.Delivery.Payload }, nil, PayloadRaw, PayloadEnvelope),
			},
			{
				name: keyTombstones, hints: []string{"tombstone", "on_tombstone", "null_values"},
				def: "empty", example: "skip",
				doc: "How the component gets a tombstone, a record whose value is null: `empty` is an empty body, as an empty value is, too; `skip` is nothing, the record is finished without a call; `envelope` is an envelope with the mark `kafkatombstone`. Every envelope has the mark, so that `envelope` needs `payload=envelope`, and `empty` means the same there.",
				value: word(func(d *draft) *Tombstones { return &d.link.Delivery.Tombstones }, nil, TombstonesEmpty, TombstonesSkip,
					TombstonesEnvelope),
			},
			{
				name: keyKeyFrom, hints: []string{"message_key", "key", "partition_key"},
				def: "none", example: "subject",
				doc:   "Whether the subject of a publish or request may name the record's key and headers: with `subject`, `orders?key=customer-7&header.type=created` does ([envelope.md](envelope.md)). With `none` such a subject is refused.",
				value: word(func(d *draft) *KeyFrom { return &d.link.Producer.KeyFrom }, nil, KeyFromNone, KeyFromSubject),
			},
		},
	}
}

// Names of settings that the rules about messages speak of.
const (
	keyPayload    = "payload"
	keyTombstones = "tombstones"
	keyKeyFrom    = "key_from"
)
