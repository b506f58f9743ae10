// Package schema turns values that a schema registry describes into JSON, and JSON into such values. It is the one
// place that knows of schemas: a [Codec] stands between Kafka and whoever handles a link's records, or publishes by it,
// and those at both ends see JSON text alone.
//
// A value is framed: a zero byte, the id of its schema in four bytes, and behind that the value in Avro's binary form,
// in Protobuf's (after the indexes that tell which message of the schema it is) or as JSON. [Pool] has one [Registry]
// for each registry and credentials, which asks for schemas by Kafka's ids and subjects, once for all who wait for the
// same, within a bound of time, and keeps as many as memory allows for.
//
// Errors are of two kinds, and whoever gets one acts by the kind: an [*AwayError] says that the registry cannot be
// asked now, and nothing of the value; an [*UnfitError] that the value and its schema do not go together, today as
// tomorrow. Neither repeats what is in a value.
//
// What comes from outside is bounded: the answers of a registry, the schemas that a schema refers to, how deep a value
// may be nested, and the JSON that is made of it, which may be thousands of times as large as the value.
package schema
