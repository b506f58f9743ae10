// Package overview asks running providers for their status and shows it in a terminal. It is the work of
// `messaging-kafka status`.
//
// An [Asker] asks: [ByAddress] the admin addresses that are given, each in a goroutine of its own that Ask waits for;
// [ByNATS] all providers of a lattice, or those that are named. What came is an [Answer], with those that did not
// answer in it; its [Answer.State] becomes the exit status. [Table] and [Lines] write it for people, fitted to the
// width of the terminal; a [Board] shows it on a page, all copies as one.
//
// Who has answered can be had to act on a link of it, by [Asker].Act, as `messaging-kafka ctl` does.
//
// Texts come from other processes: they are bounded in size, and control characters in them never reach the terminal.
package overview
