package settings

import (
	"slices"
	"strings"
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
func MatchTopic(pattern, name string) bool {
	// Where the rest does not fit, the last star takes one character more; earlier stars need no second try.
	star, resume := -1, 0
	p, n := 0, 0
	for n < len(name) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, resume = p, n
			p++
		case p < len(pattern) && (pattern[p] == '?' || pattern[p] == name[n]):
			p++
			n++
		case star >= 0:
			resume++
			p, n = star+1, resume
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}
