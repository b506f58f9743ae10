package settings

import (
	"maps"
	"strings"
	"testing"
	"time"
)

func TestRetryTopicsAreNamedByGroupAndDelay(t *testing.T) {
	for name, c := range map[string]struct {
		config config
		want   string
		most   int // max_attempts
	}{
		"none":                     {config{}, "", 0},
		"of the group":             {config{"retry_topics": "5s,1m,10m"}, "g-retry-5s g-retry-1m g-retry-10m", 0},
		"with dead letters":        {config{"retry_topics": "5s,1m,10m", "dead_letter_topic": "dead"}, "g-retry-5s g-retry-1m g-retry-10m", 4},
		"with attempts":            {config{"retry_topics": "5s", "dead_letter_topic": "dead", "max_attempts": "9"}, "g-retry-5s", 9},
		"with a prefix":            {config{"retry_topics": "90m,1d", "retry_topic_prefix": "r."}, "r.1h30m r.24h", 0},
		"in one form":              {config{"retry_topics": "500ms, 60s,3600s"}, "g-retry-500ms g-retry-1m g-retry-1h", 0},
		"a pattern that misses it": {config{"retry_topics": "1s", "topic": "/t.*/", "reply_topic": "none"}, "g-retry-1s", 0},
	} {
		t.Run(name, func(t *testing.T) {
			full := config{"topic": "t", "consumer_group": "g"}
			maps.Copy(full, c.config)
			l, warnings, err := ParseLink(Input{Config: full, Identity: echo})
			if err != nil || len(warnings) > 0 {
				t.Fatal(warnings, err)
			}
			if got := strings.Join(l.Delivery.RetryTopicNames(), " "); got != c.want || l.Delivery.MaxAttempts != c.most {
				t.Errorf("%q with %d attempts", got, l.Delivery.MaxAttempts)
			}
		})
	}
	l, _, err := ParseLink(Input{Config: config{"topic": "t", "retry_topics": "1s"}, Identity: echo})
	topic := l.Delivery.RetryTopic(l.Consumer.Group + "-retry-1s")
	if err != nil || topic == nil || topic.Delay != time.Second {
		t.Error(topic, err)
	}
	if topic := l.Delivery.RetryTopic("t"); topic != nil {
		t.Error(topic)
	}
}

func TestRetryTopicsThatCannotWorkAreRefused(t *testing.T) {
	for name, c := range map[string]struct {
		config config
		want   string
	}{
		"not rising":                {config{"retry_topics": "1m,60s"}, "is not longer than the delay before it"},
		"the same twice":            {config{"retry_topics": "5s,5s,1m"}, "is not longer than the delay before it"},
		"no unit":                   {config{"retry_topics": "5"}, "has no unit"},
		"too short":                 {config{"retry_topics": "1ms"}, "is out of bounds"},
		"too long":                  {config{"retry_topics": "8d"}, "is out of bounds"},
		"empty":                     {config{"retry_topics": ","}, "names no delay"},
		"too many":                  {config{"retry_topics": "1s,2s,3s,4s,5s,6s,7s,8s,9s,10s,11s"}, "has more than 10 delays"},
		"a share group":             {config{"retry_topics": "1s", "group_protocol": "share"}, "cannot be used with group_protocol=share"},
		"some partitions":           {config{"retry_topics": "1s", "consumer_partitions": "0"}, "cannot be used with consumer_partitions"},
		"a group that is no name":   {config{"retry_topics": "1s", "consumer_group": "a/b"}, `makes "a/b-retry-1s" a retry topic, which is not a topic name`},
		"a pattern that matches it": {config{"retry_topics": "1s", "topic": "/g.*/"}, "makes g-retry-1s a retry topic, which is one of the topics that the link reads"},
		"dead letters":              {config{"retry_topics": "1s", "dead_letter_topic": "g-retry-1s"}, "is one of the retry topics"},
		"answers":                   {config{"retry_topics": "1s", "reply_topic": "g-retry-1s"}, "which is a topic for answers"},
	} {
		t.Run(name, func(t *testing.T) {
			full := config{"topic": "t", "consumer_group": "g"}
			maps.Copy(full, c.config)
			_, _, err := ParseLink(Input{Config: full, Identity: echo})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %q", err, c.want)
			}
		})
	}
}

func TestRetryTopicsThatSayNothingAreWarnedOf(t *testing.T) {
	for name, c := range map[string]struct {
		config, defaults config
		want             string
	}{
		"fewer attempts":           {config{"retry_topics": "1s,2s,3s", "max_attempts": "2", "dead_letter_topic": "dead"}, nil, "is 2: nothing ever waits in g-retry-2s, g-retry-3s"},
		"no delays":                {config{"retry_topic_prefix": "r."}, nil, "retry_topics is not set"},
		"a default, a share group": {config{"group_protocol": "share"}, config{"retry_topics": "1s"}, "of the provider's own config cannot be used with group_protocol=share"},
	} {
		t.Run(name, func(t *testing.T) {
			full := config{"topic": "t", "consumer_group": "g"}
			maps.Copy(full, c.config)
			l, warnings, err := ParseLink(Input{Config: full, Defaults: c.defaults, Identity: echo})
			if err != nil {
				t.Fatal(err)
			}
			told := ""
			for _, w := range warnings {
				told += w.String() + "\n"
			}
			if !strings.Contains(told, c.want) {
				t.Errorf("%q, want %q", told, c.want)
			}
			if c.defaults != nil && len(l.Delivery.RetryTopics) > 0 {
				t.Error(l.Delivery.RetryTopics)
			}
		})
	}
}
