// Package text makes texts of doubtful origin fit for whoever is given them.
//
// [Clip] cuts a text to a number of bytes, never within a character, and marks the cut. Errors of components, names
// that peers choose and answers of servers go through it before they reach a header, a log line, health or a span:
// each of those has a bound, and invalid UTF-8 in one would be refused by whoever reads it.
//
// [Columns] measures a text as a terminal shows it, and [Cut] cuts it to fit there.
//
// It is the one place that cuts. What must not be shown at all is package redact's business. It keeps no state and
// starts no goroutine.
package text
