package overview

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/messaging-kafka/messaging-kafka/internal/base/redact"
	"github.com/messaging-kafka/messaging-kafka/internal/observe/status"
)

// none stands for what is not known.
const none = "–"

func rateWord(perSecond float64) string {
	switch {
	case perSecond == 0:
		return "0"
	case perSecond < .01:
		return "<0.01"
	case perSecond < 10:
		return strconv.FormatFloat(perSecond, 'f', 2, 64)
	case perSecond < 100:
		return strconv.FormatFloat(perSecond, 'f', 1, 64)
	default:
		return countWord(int64(perSecond + .5))
	}
}

// countWord groups the digits of a number by thousands.
func countWord(n int64) string {
	digits := strconv.FormatInt(n, 10)
	for i := len(digits) - 3; i > 0 && digits[i-1] != '-'; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

func lagWord(l *status.Link) string {
	if n, known := l.Lag(); known {
		return countWord(n)
	}
	return none
}

func behindWord(l *status.Link) string {
	if s, known := l.LagSeconds(); known {
		return secondsWord(s)
	}
	return none
}

func oldestCallWord(l *status.Link) string {
	if l.OldestCallSeconds > 0 {
		return secondsWord(l.OldestCallSeconds)
	}
	return none
}

// secondsWord tells a duration with the digits that matter.
func secondsWord(seconds float64) string {
	switch {
	case seconds == 0:
		return "0 s"
	case seconds < .001:
		return fmt.Sprintf("%.0f µs", seconds*1e6)
	case seconds < .01:
		return fmt.Sprintf("%.1f ms", seconds*1e3)
	case seconds < 1:
		return fmt.Sprintf("%.0f ms", seconds*1e3)
	case seconds < 90:
		return fmt.Sprintf("%.1f s", seconds)
	default:
		return ageWord(time.Duration(seconds * float64(time.Second)))
	}
}

func optionalSeconds(seconds *float64) string {
	if seconds == nil {
		return none
	}
	return secondsWord(*seconds)
}

// ageWord tells how long something has been so, in its two largest units.
func ageWord(d time.Duration) string {
	d = max(0, d.Truncate(time.Second))
	s := int64(d / time.Second)
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%d s", s)
	case d < time.Hour:
		return fmt.Sprintf("%d min %d s", s/60, s%60)
	case d < 24*time.Hour:
		return fmt.Sprintf("%d h %d min", s/3600, s%3600/60)
	default:
		return fmt.Sprintf("%d d %d h", s/86400, s%86400/3600)
	}
}

func stateWord(s status.State) string {
	if s == status.Unhealthy { // the others are words of their own
		return "not healthy"
	}
	return plain(string(s))
}

// plain is a text on one line, without what a terminal would take for orders: topics, components and errors are named
// by others. In the place of that is a character that every terminal shows in one column.
func plain(said string) string { return strings.ReplaceAll(redact.OneLine(said), "\uFFFD", "·") }

// memoryWords says what a provider has taken of its memory; it is empty where that is not known.
func memoryWords(m *status.Memory) string {
	switch {
	case m.ResidentBytes == 0:
		return ""
	case m.LimitBytes == 0:
		return fmt.Sprintf(", memory %d MiB", m.ResidentBytes>>20)
	default:
		return fmt.Sprintf(", memory %d of %d MiB", m.ResidentBytes>>20, m.LimitBytes>>20)
	}
}
