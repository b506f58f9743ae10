package record

import (
	"strings"
	"testing"
)

func TestTopicNames(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]string{
		"a": "", "A-Z_0.9": "", "...": "", strings.Repeat("a", 249): "",
		"":                       "is empty",
		".":                      `"." is not allowed`,
		"..":                     `".." is not allowed`,
		strings.Repeat("a", 250): "250 characters",
		"a b":                    `holds ' '`,
		"größe":                  `holds 'ö'`,
		"a\xff":                  `holds '�'`,
		"a?partition=1":          `holds '?'`,
	} {
		got := TopicNameFault(name)
		if (got == "") != (fault == "") || !strings.Contains(got, fault) {
			t.Errorf("%q: %q, want %q", name, got, fault)
		}
		if IsTopicName(name) != (fault == "") || IsTopicName([]byte(name)) != (fault == "") {
			t.Errorf("IsTopicName(%q) = %v", name, IsTopicName(name))
		}
	}
}
