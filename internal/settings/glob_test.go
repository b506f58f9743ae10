package settings

import "testing"

func TestTopicPatterns(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		pattern, name string
		want          bool
	}{
		{"a", "a", true}, {"a", "ab", false}, {"*", "anything.at-all", true}, {"*", "", true}, {"a*", "a", true},
		{"a*c", "abbc", true}, {"a*c", "abcb", false}, {"*.dlq", "orders.eu.dlq", true}, {"*.dlq", "orders.dlqx", false},
		{"a?c", "abc", true}, {"a?c", "ac", false}, {"*a*b", "xaxab", true}, {"**", "x", true}, {"a*b*c", "abbcbc", true},
		{"a.c", "abc", false}, {"", "a", false},
	} {
		if got := MatchTopic(test.pattern, test.name); got != test.want {
			t.Errorf("%q covers %q: %v", test.pattern, test.name, got)
		}
	}
}
