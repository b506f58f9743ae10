package record

import "fmt"

// MaxTopicName is the length of the longest topic name that Kafka takes, in bytes.
const MaxTopicName = 249

// IsTopicName tells whether Kafka takes the name of a topic (org.apache.kafka.common.internals.Topic).
func IsTopicName[T string | []byte](name T) bool {
	if len(name) == 0 || len(name) > MaxTopicName || string(name) == "." || string(name) == ".." {
		return false
	}
	for i := range len(name) {
		if !IsTopicByte(name[i]) {
			return false
		}
	}
	return true
}

// IsTopicByte tells whether a topic's name may hold the character.
func IsTopicByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '.' || c == '_' || c == '-'
}

// TopicNameFault says why Kafka does not take the name of a topic, in words for the author of a component; it is ""
// where Kafka takes it.
func TopicNameFault(name string) string {
	switch {
	case IsTopicName(name):
		return ""
	case name == "":
		return "the subject is empty: it has to name the topic to publish to"
	case len(name) > MaxTopicName:
		return fmt.Sprintf("the topic name has %d characters, Kafka allows %d", len(name), MaxTopicName)
	}
	for _, r := range name {
		if r > 0x7f || !IsTopicByte(byte(r)) {
			return fmt.Sprintf("the topic name holds %q; Kafka allows a-z, A-Z, 0-9, '.', '_' and '-'", r)
		}
	}
	return fmt.Sprintf("%q is not allowed as a topic name", name) // one or two dots
}
