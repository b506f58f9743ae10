// Package natsin publishes what comes on subjects of NATS to Kafka. A [Listener] is that of one route, which the
// bridge starts and stops: it subscribes in a queue group, and answers requests with the position of the record, or
// with why there is none.
//
// A message that asks for no answer is published all the same; that it was not stored is told by the log and by health
// alone. Answers go to inboxes of NATS's clients and nowhere else: who asks must not choose on whom the bridge calls.
//
// A listener owns the goroutines that publish, a bounded number of them: [Listener.Stop] answers what has come and
// waits for them.
package natsin
