// Package jsonnames looks at the names in JSON that strangers write: bodies of callers, verdicts of applications,
// replies from NATS.
//
// encoding/json takes an object that has a member twice, of which the last one counts, and names that differ from
// those of a struct by case alone. Both lose what the writer meant unseen: {"records":[…],"records":[…]} would store
// the second list, and a verdict that is there twice would be the one that came later. [Check] refuses both by name,
// after encoding/json has read the value, since each place has its own rules for members that are not known.
//
// Only objects that structs are made of are looked at. What is embedded, such as a record's value that is any JSON, is
// the writer's own: it may name things as often as it likes, and its bytes stay. Envelopes and CloudEvents, whose
// members are not known beforehand, have a reader of their own with the same rule (package payload).
package jsonnames
