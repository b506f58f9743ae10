// Package check goes the way of a link to its Kafka step by step, before there is a provider or beside one, and says
// of each step whether it works, why not, and what to do. It is the work of `messaging-kafka check`.
//
// [Run] takes a [Link] (of flags, of a file, or of a wadm manifest by [ReadManifest]) and returns a [Result]: a
// [Finding] for each [Step], with a [Status], and the [Lag] of the group. It reads settings as the provider does, and
// connects by kafka.Access as the provider does. Brokers are tried side by side, each in a goroutine that its step
// waits for.
//
// [ReadManifest] says besides what a manifest has that means nothing, and what is wrong with the provider's own config,
// which may be in another manifest. [Printer] is the form for people.
//
// It changes nothing: it joins no group, produces nothing, commits nothing, and creates nothing; it asks whether a
// topic could be created. (A cluster that never had
// a group makes its own topic for them when asked for one.) Rights are found out by asking: brokers tell, from Kafka
// 2.3 on, which operations the user may do on each topic, group and cluster that it may describe (KIP-430).
package check
