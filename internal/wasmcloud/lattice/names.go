package lattice

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/messaging-kafka/messaging-kafka/internal/base/text"
	"github.com/messaging-kafka/messaging-kafka/internal/wasmcloud/hostdata"
)

const (
	// maxName bounds the names of a link in bytes. They are in each line of the link's log, in its health, its metrics and
	// its group, and a component of a longer id could not be called.
	maxName = 512
	// maxInterfaces bounds the interfaces of a link. The packages that are served have a handful.
	maxInterfaces = 64
	// maxLoggedKeys bounds the keys of a change of config that are logged, and maxLoggedKey each of them.
	maxLoggedKeys, maxLoggedKey = 50, 256
)

// checkNames says why the names of a link are none that could be meant.
func checkNames(l *hostdata.Link) error {
	if len(l.Interfaces) > maxInterfaces {
		return fmt.Errorf("it has %d interfaces, and %d is the most", len(l.Interfaces), maxInterfaces)
	}
	names := append([]string{l.SourceID, l.Target, l.Name, l.WITNamespace, l.WITPackage}, l.Interfaces...)
	for _, name := range names {
		switch {
		case len(name) > maxName:
			return fmt.Errorf("a name of it has %d bytes, and %d is the most", len(name), maxName)
		case !utf8.ValidString(name), strings.ContainsFunc(name, unicode.IsControl):
			return fmt.Errorf("the name %q of it has characters that no name has", name)
		}
	}
	return nil
}

// difference names the keys that differ between two configs, never values: there may be a password in them.
func difference(before, after map[string]string) (added, removed, changed []string) {
	for _, key := range slices.Sorted(maps.Keys(after)) {
		if old, there := before[key]; !there {
			added = append(added, key)
		} else if old != after[key] {
			changed = append(changed, key)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(before)) {
		if _, there := after[key]; !there {
			removed = append(removed, key)
		}
	}
	return added, removed, changed
}

// logged joins keys for a line of the log.
func logged(keys []string) string {
	return text.List(keys, maxLoggedKeys, func(key string) string { return text.Whole(key, maxLoggedKey) })
}
