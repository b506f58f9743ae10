package settings

import (
	"maps"
	"strings"
	"testing"
)

func TestLinksThatCannotBothReadAreTold(t *testing.T) {
	for name, c := range map[string]struct {
		one, two config
		same     bool // one component and link name
		text     string
		certain  bool
	}{
		"another topic":                    {config{"topic": "a"}, config{"topic": "b"}, true, "", false},
		"one topic":                        {config{"topic": "a,b"}, config{"topic": "b,c"}, true, "reads b too, as a member of the same group (g)", true},
		"one topic of two components":      {config{"topic": "a"}, config{"topic": "a"}, false, "reads a too", false},
		"another group":                    {config{"topic": "a"}, config{"topic": "a", "consumer_group": "h"}, true, "", false},
		"another cluster":                  {config{"topic": "a"}, config{"topic": "a", "hosts": "other"}, true, "", false},
		"an address in common":             {config{"topic": "a", "hosts": "k1,k2"}, config{"topic": "a", "hosts": "k2,k3"}, true, "reads a too", true},
		"one only publishes":               {config{"topic": "a"}, config{}, true, "", false},
		"a pattern and a topic":            {config{"topic": "/a.*/"}, config{"topic": "b,ab"}, true, "reads ab too", true},
		"a topic and a pattern":            {config{"topic": "b,ab"}, config{"topic": "/a.*/"}, true, "reads ab too", true},
		"a pattern that does not match":    {config{"topic": "/a.*/"}, config{"topic": "b"}, true, "", false},
		"one pattern":                      {config{"topic": "/a.*/"}, config{"topic": "/a.*/"}, true, "topics that match /^(?:a.*)$/", true},
		"patterns that may meet":           {config{"topic": "/a.*/"}, config{"topic": "/ab.*/"}, true, "perhaps", false},
		"patterns that cannot meet":        {config{"topic": `/orders\..*/`}, config{"topic": `/bills\..*/`}, true, "", false},
		"one instance id":                  {config{"topic": "a", "group_instance_id": "i"}, config{"topic": "b", "group_instance_id": "i"}, false, "the same group_instance_id i", true},
		"one instance id, another group":   {config{"topic": "a", "group_instance_id": "i"}, config{"topic": "a", "group_instance_id": "i", "consumer_group": "h"}, false, "", false},
		"other instance ids, other topics": {config{"topic": "a", "group_instance_id": "i"}, config{"topic": "b", "group_instance_id": "j"}, true, "", false},
		"a share group and none":           {config{"topic": "a", "group_protocol": "share"}, config{"topic": "b"}, true, "with group_protocol=classic and not share", false},
		"retry topics of one group":        {config{"topic": "a", "retry_topics": "1s,1m"}, config{"topic": "b", "retry_topics": "1m,1h"}, false, "reads g-retry-1m too", true},
		"retry topics of their own":        {config{"topic": "a", "retry_topics": "1s"}, config{"topic": "b", "retry_topics": "1s", "retry_topic_prefix": "b."}, true, "", false},
		"retry topics, and their reader":   {config{"topic": "a", "retry_topics": "1s"}, config{"topic": "g-retry-1s"}, false, "reads g-retry-1s too", true},
		"classic and KIP-848 in one group": {config{"topic": "a", "group_protocol": "consumer"}, config{"topic": "b"}, true, "", false},
	} {
		t.Run(name, func(t *testing.T) {
			parse := func(c config) *Link {
				full := config{"hosts": "k1", "consumer_group": "g"}
				maps.Copy(full, c)
				l, _, err := ParseLink(Input{Config: full, Identity: echo})
				if err != nil {
					t.Fatal(err)
				}
				return &l
			}
			text, certain := parse(c.one).Clash(parse(c.two), c.same)
			if certain != c.certain || (c.text == "") != (text == "") || !strings.Contains(text, c.text) {
				t.Errorf("%q, certain %v", text, certain)
			}
		})
	}
}
