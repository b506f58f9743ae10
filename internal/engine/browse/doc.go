// Package browse looks at the records of a topic, for `messaging-kafka tail`, for the page, and for `dead-letters`: it
// never joins a group, commits or produces.
//
// A [Source] is a topic in a cluster, opened with the settings of a link. [Source.Reader] reads it, a [Place] says from
// where or up to where, a [Filter] which records are meant. [Tail] prints them as they come, for people or as lines of
// JSON ([Line]), [Look] returns a bounded number; [Show] makes text of bytes that a terminal obeys nothing of.
//
// The commands use it, and engine/route for operators. It starts no goroutine, and what it reads at once is bounded by
// one fetch.
package browse
