package settings

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// value is the type of a setting: how it is named in the documentation, which words it takes if only some, and how
// its text gets to its place in the draft.
type value struct {
	kind  string
	words []string
	set   func(*draft, string) error
	clear func(*draft)
}

// into makes a value of a parser and the place of the result.
func into[T any](kind string, parse func(string) (T, error), place func(*draft) *T) value {
	return value{kind: kind, clear: func(d *draft) { *place(d) = *new(T) }, set: func(d *draft, text string) error {
		v, err := parse(text)
		if err != nil {
			return err
		}
		*place(d) = v
		return nil
	}}
}

// word makes a value that is one of few words. Case, dashes and underscores make no difference. Aliases map further
// spellings to one of the words.
func word[T ~string](place func(*draft) *T, aliases map[string]T, words ...T) value {
	fold := strings.NewReplacer("-", "", "_", "", ".", "", " ", "")
	known := make(map[string]T)
	var texts []string
	for alias, w := range aliases {
		known[fold.Replace(strings.ToLower(alias))] = w
	}
	for _, w := range words {
		known[fold.Replace(strings.ToLower(string(w)))] = w
		texts = append(texts, string(w))
	}
	v := into("word", func(text string) (T, error) {
		w, ok := known[fold.Replace(strings.ToLower(text))]
		if !ok {
			return "", refuse(text, "is not one of: %s", strings.Join(texts, ", "))
		}
		return w, nil
	}, place)
	v.words = texts
	return v
}

func text(place func(*draft) *string) value {
	return into("text", parseLine, place)
}

// optionalText is text where "none" takes back a default of the provider.
func optionalText(parse func(string) (string, error), place func(*draft) *string) value {
	return into("text or `none`", func(text string) (string, error) {
		if strings.EqualFold(text, "none") {
			return "", nil
		}
		return parse(text)
	}, place)
}

// parseLine refuses what no name can hold and what would make a mess of a log.
func parseLine(text string) (string, error) {
	const limit = 1024
	if len(text) > limit {
		return "", refuse(text, "is longer than %d bytes", limit)
	}
	if strings.ContainsFunc(text, unicode.IsControl) {
		return "", refuse(text, "holds a line break or another control character")
	}
	return text, nil
}

// limited is parseLine with a bound in bytes.
func limited(limit int) func(string) (string, error) {
	return func(text string) (string, error) {
		if len(text) > limit {
			return "", refuse(text, "is longer than %d bytes", limit)
		}
		return parseLine(text)
	}
}

func secretText(place func(*draft) *Secret) value {
	return into("text", func(text string) (Secret, error) { return NewSecret(text), nil }, place)
}

func boolean(place func(*draft) *bool) value {
	v := into("true or false", parseBool, place)
	v.words = []string{"true", "false"}
	return v
}

func parseBool(text string) (bool, error) {
	switch strings.ToLower(text) {
	case "true", "yes", "on", "1":
		return true, nil
	case "false", "no", "off", "0":
		return false, nil
	}
	return false, refuse(text, "is neither true nor false")
}

// number makes a whole number within bounds, both included; unit is a plural noun or "".
func number[T int | int16 | int32](least, most T, unit string, place func(*draft) *T) value {
	kind := fmt.Sprintf("number, %d to %d", least, most)
	if unit != "" {
		kind = fmt.Sprintf("number of %s, %d to %d", unit, least, most)
	}
	return into(kind, func(text string) (T, error) {
		n, err := parseNumber(text, int64(least), int64(most))
		return T(n), err
	}, place)
}

func parseNumber(text string, least, most int64) (int64, error) {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil && !isRange(err) {
		return 0, refuse(text, "is not a whole number")
	}
	if err != nil || n < least || n > most {
		return 0, refuse(text, "is out of bounds: write a number from %d to %d", least, most)
	}
	return n, nil
}

// isRange tells a number that is too large from what is no number.
func isRange(err error) bool { return errors.Is(err, strconv.ErrRange) }

// size makes a number of bytes within bounds, both included and written as a user would.
func size[T int32 | int64](least, most string, place func(*draft) *T) value {
	lo, hi := mustSize(least), mustSize(most)
	return into("size in bytes, "+least+" to "+most, func(text string) (T, error) {
		n, err := parseSize(text)
		if err != nil {
			return 0, err
		}
		if n < lo || n > hi {
			return 0, refuse(text, "is out of bounds: write a size from %s to %s", least, most)
		}
		return T(n), nil
	}, place)
}

func mustSize(text string) int64 {
	n, err := parseSize(text)
	if err != nil {
		panic("declared size: " + text)
	}
	return n
}

// sizeUnits are the factors behind a number of bytes. All count in 1024, as the JVM and Kafka's documentation do;
// a "512k" that differs from "512KiB" would surprise more people than it serves.
var sizeUnits = map[string]int64{
	"": 1, "b": 1,
	"k": 1 << 10, "kb": 1 << 10, "ki": 1 << 10, "kib": 1 << 10,
	"m": 1 << 20, "mb": 1 << 20, "mi": 1 << 20, "mib": 1 << 20,
	"g": 1 << 30, "gb": 1 << 30, "gi": 1 << 30, "gib": 1 << 30,
}

func parseSize(text string) (int64, error) {
	digits := strings.TrimRight(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ ")
	factor, known := sizeUnits[strings.ToLower(strings.TrimSpace(text[len(digits):]))]
	n, err := strconv.ParseUint(digits, 10, 63)
	if !known || (err != nil && !isRange(err)) {
		return 0, refuse(text, "is not a size: write a whole number of bytes, with k, MiB or GiB behind it if you like (1MiB)")
	}
	if err != nil || int64(n) > math.MaxInt64/factor {
		return 0, refuse(text, "is too large")
	}
	return int64(n) * factor, nil
}

// duration makes a span of time within bounds, both included and written as a user would.
func duration(least, most string, place func(*draft) *time.Duration) value {
	lo, hi := mustDuration(least), mustDuration(most)
	return into("duration, "+least+" to "+most, func(text string) (time.Duration, error) {
		span, err := parseDuration(text)
		if err != nil {
			return 0, err
		}
		if span < lo || span > hi {
			return 0, refuse(text, "is out of bounds: write a duration from %s to %s", least, most)
		}
		return span, nil
	}, place)
}

func mustDuration(text string) time.Duration {
	span, err := parseDuration(text)
	if err != nil {
		panic("declared duration: " + text)
	}
	return span
}

// parseDuration reads Go's form of a duration, with days ("7d", "1d12h") in front if need be. A day is 24 hours.
func parseDuration(text string) (time.Duration, error) {
	if n, err := strconv.ParseFloat(text, 64); err == nil && n != 0 {
		return 0, refuse(text, "has no unit: write 500ms, 30s, 5m, 12h or 7d (Kafka's own numbers are mostly ms)")
	}
	const day = 24 * time.Hour
	notOne := refuse(text, "is not a duration: write 500ms, 30s, 5m, 12h or 7d")
	rest := strings.ToLower(text)
	var days time.Duration
	if before, after, found := strings.Cut(rest, "d"); found {
		n, err := strconv.ParseUint(before, 10, 32)
		if err != nil {
			return 0, notOne
		}
		if n > uint64(math.MaxInt64/day) {
			return 0, refuse(text, "is too long")
		}
		days, rest = time.Duration(n)*day, after
		if rest == "" {
			return days, nil
		}
	}
	span, err := time.ParseDuration(rest)
	if err != nil || span < 0 {
		return 0, notOne
	}
	if days+span < days {
		return 0, refuse(text, "is too long")
	}
	return days + span, nil
}

// list splits a comma separated list. Spaces around the parts, empty parts and repeated parts go.
func list(text string) []string {
	var parts []string
	seen := make(map[string]bool)
	for part := range strings.SplitSeq(text, ",") {
		if part = strings.TrimSpace(part); part != "" && !seen[part] {
			seen[part] = true
			parts = append(parts, part)
		}
	}
	return parts
}
