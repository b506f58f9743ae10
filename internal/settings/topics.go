package settings

import (
	"cmp"
	"errors"
	"regexp"
	"regexp/syntax"
	"slices"
	"strconv"
	"strings"

	"github.com/messaging-kafka/messaging-kafka/internal/record"
)

// topicTemplate stands for the name of a record's topic in reply_topic.
const topicTemplate = "{topic}"

const topicRules = "is not a topic name: 1 to 249 of the characters a-z A-Z 0-9 . _ - and neither . nor .."

func parseTopicName(text string) (string, error) {
	if !record.IsTopicName(text) {
		return "", refuse(text, topicRules)
	}
	return text, nil
}

// topicChoice is what the setting topic holds: names or a pattern.
type topicChoice struct {
	names   []string
	pattern *regexp.Regexp
	// prefix is the text that all names that the pattern matches begin with, as far as that is easy to tell.
	prefix string
}

func parseTopics(text string) (topicChoice, error) {
	if strings.HasPrefix(text, "/") {
		return parseTopicPattern(text)
	}
	names := list(text)
	if len(names) == 0 {
		return topicChoice{}, refuse(text, "names no topic")
	}
	for _, name := range names {
		if !record.IsTopicName(name) {
			if strings.ContainsAny(name, "*?/|()[]\\^$") {
				return topicChoice{}, refuse(name,
					"is not a topic name; a pattern is written between slashes and stands alone, as /orders\\..*/")
			}
			return topicChoice{}, refuse(name, topicRules)
		}
	}
	return topicChoice{names: names}, nil
}

func parseTopicPattern(text string) (topicChoice, error) {
	inner, closed := strings.CutSuffix(text[1:], "/")
	switch {
	case !closed:
		return topicChoice{}, refuse(text, "begins a pattern that no slash ends; a pattern stands alone, as /orders\\..*/")
	case inner == "":
		return topicChoice{}, refuse(text, "is an empty pattern")
	case strings.Contains(inner, "/"):
		return topicChoice{}, refuse(text,
			"has a slash within the pattern, which no topic name has; several patterns are joined by |, as /orders\\..*|bills/")
	case len(inner) > 4096:
		return topicChoice{}, refuse(text, "is longer than 4096 bytes")
	}
	// Compiled on its own first, so that it cannot close the group that is put around it.
	bare, err := regexp.Compile(strings.TrimPrefix(inner, "^"))
	var whole *regexp.Regexp
	if err == nil {
		whole, err = regexp.Compile("^(?:" + inner + ")$")
	}
	if err != nil {
		why := "unknown error"
		if syntaxErr, ok := errors.AsType[*syntax.Error](err); ok {
			why = syntaxErr.Code.String()
		}
		return topicChoice{}, refuse(text, "is not a regular expression in RE2 syntax (%s)", why)
	}
	prefix, _ := bare.LiteralPrefix()
	return topicChoice{pattern: whole, prefix: prefix}, nil
}

// parseReplyTopic reads a topic name that may hold the template.
func parseReplyTopic(text string) (string, error) {
	if !record.IsTopicName(strings.ReplaceAll(text, topicTemplate, "t")) {
		return "", refuse(text, "is not a topic name; %s in it stands for the topic of the record, and none for no reply topic", topicTemplate)
	}
	return text, nil
}

// parseTopicGlobs reads patterns of * and ? as allowed_topics has them.
func parseTopicGlobs(text string) ([]string, error) {
	globs := list(text)
	if len(globs) == 0 {
		return nil, refuse(text, "names no topic")
	}
	for _, glob := range globs {
		if !record.IsTopicName(strings.NewReplacer("*", "x", "?", "x").Replace(glob)) {
			return nil, refuse(glob, "is not a topic name with * and ? in it")
		}
	}
	return globs, nil
}

// parseReplyTopicGlobs reads patterns as reply_topics_from_records has them. It never returns nil.
func parseReplyTopicGlobs(text string) ([]string, error) {
	if strings.EqualFold(text, "none") {
		return []string{}, nil
	}
	return parseTopicGlobs(text)
}

// maxPartition bounds partition numbers. Kafka clusters stay far below, and a range up to it must fit in memory.
const maxPartition = 99_999

// parsePartitions reads numbers and ranges, as "0,2,4-7", into a sorted list without repetitions.
func parsePartitions(text string) ([]int32, error) {
	type span struct{ from, to int32 }
	var spans []span
	for _, part := range list(text) {
		first, last, isRange := strings.Cut(part, "-")
		from, err := parsePartition(part, first)
		if err != nil {
			return nil, err
		}
		to := from
		if isRange {
			if to, err = parsePartition(part, last); err != nil {
				return nil, err
			}
		}
		if to < from {
			return nil, refuse(part, "runs backwards")
		}
		spans = append(spans, span{from, to})
	}
	if len(spans) == 0 {
		return nil, refuse(text, "names no partition")
	}
	slices.SortFunc(spans, func(a, b span) int { return cmp.Compare(a.from, b.from) })
	var partitions []int32
	next := int32(0)
	for _, s := range spans {
		for next = max(next, s.from); next <= s.to; next++ {
			partitions = append(partitions, next)
		}
	}
	return partitions, nil
}

func parsePartition(part, digits string) (int32, error) {
	if strings.HasPrefix(part, "-") {
		return 0, refuse(part, "is negative: partitions count from 0")
	}
	n, err := strconv.ParseUint(strings.TrimSpace(digits), 10, 31)
	if err != nil && !isRange(err) {
		return 0, refuse(part, "is no partition: write numbers and ranges, as 0,2,4-7")
	}
	if err != nil || n > maxPartition {
		return 0, refuse(part, "is out of bounds: the highest partition is %d", maxPartition)
	}
	return int32(n), nil
}
