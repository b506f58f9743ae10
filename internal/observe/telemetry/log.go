package telemetry

import (
	"fmt"
	"io"
	"log/slog"
	"strings"
)

// Levels below and above slog's own that wasmCloud knows.
const (
	LevelTrace    = slog.LevelDebug - 4
	LevelCritical = slog.LevelError + 4
)

// Level translates a wasmCloud log level (error, warn, info, debug, trace, critical, in any case). Anything else is
// info, which is also the host's default.
func Level(name string) slog.Level {
	switch strings.ToLower(strings.TrimSpace(name)) {
	case "trace":
		return LevelTrace
	case "debug":
		return slog.LevelDebug
	case "warn", "warning":
		return slog.LevelWarn
	case "error":
		return slog.LevelError
	case "critical":
		return LevelCritical
	default:
		return slog.LevelInfo
	}
}

// CheckLevel says what is wrong with the name of a level that a person has typed.
func CheckLevel(name string) error {
	if Level(name) == slog.LevelInfo && !strings.EqualFold(strings.TrimSpace(name), "info") {
		return fmt.Errorf("%q is not one of trace, debug, info, warn, error, critical", name)
	}
	return nil
}

// NewLogger makes the log of a provider: JSON where the host asks for structured logging, else text.
func NewLogger(w io.Writer, level string, structured bool) *slog.Logger {
	opts := &slog.HandlerOptions{Level: Level(level), ReplaceAttr: nameLevels}
	if structured {
		return slog.New(slog.NewJSONHandler(w, opts))
	}
	return slog.New(slog.NewTextHandler(w, opts))
}

func nameLevels(_ []string, a slog.Attr) slog.Attr {
	if a.Key != slog.LevelKey {
		return a
	}
	switch level, _ := a.Value.Any().(slog.Level); level {
	case LevelTrace:
		a.Value = slog.StringValue("TRACE")
	case LevelCritical:
		a.Value = slog.StringValue("CRITICAL")
	default: // the others have names of slog's
	}
	return a
}
