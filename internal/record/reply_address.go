package record

import (
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// The record headers of requests and answers. Their names and forms are those of Spring for Apache Kafka's
// ReplyingKafkaTemplate (KafkaHeaders), the most common form of request and reply on Kafka.
const (
	// CorrelationHeader ties an answer to its request. Its value is any bytes, which the answer repeats.
	CorrelationHeader = "kafka_correlationId"
	// ReplyTopicHeader names the topic that a request wants its answer in.
	ReplyTopicHeader = "kafka_replyTopic"
	// ReplyPartitionHeader is the partition of that topic: 4 bytes, big endian.
	ReplyPartitionHeader = "kafka_replyPartition"
)

// ReplyAddress says where an answer goes: a topic, perhaps one partition of it, and the correlation id that the
// record has to carry in [CorrelationHeader].
//
// A wasmcloud:messaging subject is all that a component is given to answer to, so the address is written as one:
//
//	orders.reply?correlation=0a1b2c&partition=3
//
// No topic name can hold a question mark, which keeps plain subjects apart from it.
type ReplyAddress struct {
	Topic string
	// Partition is [AnyPartition] where the address leaves it open.
	Partition int32
	// Correlation is the id of the request, to which Kafka gives no meaning. It is empty where the request has none, and
	// nil where the address is that of no request.
	Correlation []byte
}

// Answers tells whether what is published to the address is the answer to a request.
func (a ReplyAddress) Answers() bool { return a.Correlation != nil }

const (
	correlationKey = "correlation"
	partitionKey   = "partition"
)

// String writes the address as a subject, which [ParseSubject] reads.
func (a ReplyAddress) String() string {
	var query []string
	if a.Answers() {
		query = append(query, correlationKey+"="+hex.EncodeToString(a.Correlation))
	}
	if a.Partition >= 0 {
		query = append(query, partitionKey+"="+strconv.Itoa(int(a.Partition)))
	}
	if len(query) == 0 {
		return a.Topic
	}
	return a.Topic + "?" + strings.Join(query, "&")
}

// ParseSubject reads a subject: a topic name, or a reply address as [ReplyAddress.String] writes it. It does not
// check whether Kafka allows the topic name. Its errors name what is wrong and are meant for component authors.
func ParseSubject(subject string) (ReplyAddress, error) {
	topic, query, hasQuery := strings.Cut(subject, "?")
	address := ReplyAddress{Topic: topic, Partition: AnyPartition}
	if topic == "" {
		return ReplyAddress{}, errors.New("the subject names no topic")
	}
	if !hasQuery {
		return address, nil
	}
	var seen []string
	for pair := range strings.SplitSeq(query, "&") {
		key, value, ok := strings.Cut(pair, "=")
		if !ok || value == "" && key != correlationKey {
			return ReplyAddress{}, fmt.Errorf("the subject %q has %q behind the question mark, which is not of the form key=value", subject, pair)
		}
		if slices.Contains(seen, key) {
			return ReplyAddress{}, fmt.Errorf("the subject %q gives %q twice", subject, key)
		}
		seen = append(seen, key)
		switch key {
		case correlationKey:
			id, err := hex.DecodeString(value)
			if err != nil {
				return ReplyAddress{}, fmt.Errorf("the subject %q has a correlation that is not hexadecimal", subject)
			}
			address.Correlation = id
		case partitionKey:
			// Digits only: ParseInt would take a sign as well, and an address has one form.
			n, err := strconv.ParseUint(value, 10, 31)
			if err != nil {
				return ReplyAddress{}, fmt.Errorf("the subject %q has the partition %q, which is not a number from 0 to %d",
					subject, value, 1<<31-1)
			}
			address.Partition = int32(n)
		default:
			return ReplyAddress{}, fmt.Errorf("the subject %q has the unknown key %q behind the question mark: known are %s and %s", subject, key, correlationKey, partitionKey)
		}
	}
	return address, nil
}
