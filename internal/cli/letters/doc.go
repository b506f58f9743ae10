// Package letters lists dead letters, shows them and sends them back, for `messaging-kafka dead-letters`.
//
// A [Letter] is a record of a dead-letter topic with what its headers say: where it comes from, why it is there, how
// often it was sent back before. A [Selection] says which are meant. [List] and [Summary] print them; [Redrive] sends
// them to their topics.
//
// Redrive keeps note of what was sent back in the offsets of a group that nobody joins (its group is [Group], its notes
// are [notes]). It sends letters and moves its notes in one transaction, so that a letter goes back once, whatever
// breaks; the transactional id keeps two of them apart. It never deletes a letter, and never reads a letter that was
// not there when it began. It starts no goroutine.
package letters
