package settings

import (
	"path"
	"slices"
)

// Allows tells whether the link may publish to a topic.
func (p *Producer) Allows(topic string) bool {
	for _, pattern := range p.AllowedTopics {
		if MatchTopic(pattern, topic) {
			return true
		}
	}
	return len(p.AllowedTopics) == 0
}

// Believes tells whether an answer may go to a topic that a record names. own is the link's own reply topic for that
// record, "" where there is none.
func (p *Producer) Believes(topic, own string) bool {
	switch {
	case !p.Allows(topic):
		return false
	case topic == own:
		return true
	case p.ReplyTopicsFromRecords == nil:
		return len(p.AllowedTopics) > 0
	}
	return slices.ContainsFunc(p.ReplyTopicsFromRecords, func(pattern string) bool { return MatchTopic(pattern, topic) })
}

// MatchTopic tells whether a pattern, in which * stands for any text and ? for any one character, covers a whole name.
// Neither has anything else that [path.Match] gives a meaning to: both are made of the characters of topics and hosts.
func MatchTopic(pattern, name string) bool {
	ok, err := path.Match(pattern, name)
	return ok && err == nil
}
