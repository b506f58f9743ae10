package text

import (
	"fmt"
	"strings"
)

// List names items one after the other, as in "a, b and 3 more": the first ones, at most most, which is at least 1; the
// others are counted. name is called for those that are named alone.
func List[T any](items []T, most int, name func(T) string) string {
	names := make([]string, 0, min(len(items), most))
	for _, item := range items[:min(len(items), most)] {
		names = append(names, name(item))
	}
	list := strings.Join(names, ", ")
	if more := len(items) - most; more > 0 {
		list += fmt.Sprintf(" and %d more", more)
	}
	return list
}
