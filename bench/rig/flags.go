package rig

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
)

// Settings is a flag that may be given several times, each time with a setting of a link.
type Settings map[string]string

// String implements flag.Value.
func (s Settings) String() string { return fmt.Sprint(map[string]string(s)) }

// Set implements flag.Value.
func (s Settings) Set(text string) error {
	key, value, found := strings.Cut(text, "=")
	if !found {
		return fmt.Errorf("%q is not key=value", text)
	}
	s[key] = value
	return nil
}

// Numbers reads a list of numbers from 1 on.
func Numbers(t testing.TB, list string) []int {
	t.Helper()
	var numbers []int
	for text := range strings.SplitSeq(list, ",") {
		n, err := strconv.Atoi(strings.TrimSpace(text))
		if err != nil || n < 1 {
			t.Fatalf("%q is no number from 1 on", text)
		}
		numbers = append(numbers, n)
	}
	return numbers
}
