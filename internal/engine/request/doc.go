// Package request sends requests over Kafka and waits for their answers, with the record headers of Spring for Apache
// Kafka's ReplyingKafkaTemplate: a request carries a correlation id and the topic that its answer is wanted in, the
// answer repeats the id.
//
// [Start] returns a [Requester] for a link with `request_reply_topic`. [Requester.Do] publishes one request and
// returns the answer, or an error that says whether the request was sent. [Requester.Problems] is why answers cannot
// be read at present; [Requester.Stop] ends all requests and the reading.
//
// The Requester owns one goroutine that reads the reply topic, in all partitions and without a group: every copy sees
// every answer, and takes its own. Answers that nobody waits for are counted and dropped. The number of waiting
// requests has a bound. Nothing is ever committed, and no request is sent twice.
package request
