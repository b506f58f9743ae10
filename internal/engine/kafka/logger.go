package kafka

import (
	"context"
	"errors"
	"log/slog"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// levelTrace is below debug: the client's own debug log has several lines for each request.
const levelTrace = slog.LevelDebug - 4

// logAdapter passes the client's log on. Lines that the client calls information are routine (each fetch session, each
// metadata refresh) and become debug. Warnings and errors repeat at every attempt while a broker is away: whoever has
// the log limits them (telemetry.Limit).
//
// A broker's own words stand behind ours there, too, where they are read by people: health has the last warnings.
type logAdapter struct {
	log     *slog.Logger
	explain func(error) Diagnosis
}

// Level implements [kgo.Logger].
func (l logAdapter) Level() kgo.LogLevel {
	ctx := context.Background()
	switch {
	case l.log.Enabled(ctx, levelTrace):
		return kgo.LogLevelDebug
	case l.log.Enabled(ctx, slog.LevelDebug):
		return kgo.LogLevelInfo
	case l.log.Enabled(ctx, slog.LevelWarn):
		return kgo.LogLevelWarn
	case l.log.Enabled(ctx, slog.LevelError):
		return kgo.LogLevelError
	default:
		return kgo.LogLevelNone
	}
}

// Log implements [kgo.Logger].
func (l logAdapter) Log(level kgo.LogLevel, msg string, keyvals ...any) {
	var to slog.Level
	switch level {
	case kgo.LogLevelError, kgo.LogLevelWarn:
		to = slog.LevelWarn
		if level == kgo.LogLevelError {
			to = slog.LevelError
		}
		if reportedElsewhere[msg] {
			to = slog.LevelDebug
		}
	case kgo.LogLevelInfo:
		to = slog.LevelDebug
	case kgo.LogLevelDebug:
		to = levelTrace
	default:
		return
	}
	l.log.Log(context.Background(), to, "kafka client: "+msg, l.ours(to, keyvals)...)
}

// ours are keys and values of the client with the key that an error has in all other lines.
func (l logAdapter) ours(level slog.Level, keyvals []any) []any {
	ours := slices.Clone(keyvals)
	for i := 0; i+1 < len(ours); i += 2 {
		if ours[i] == "err" {
			ours[i] = "error"
		}
		err, is := ours[i+1].(error)
		if !is || level < slog.LevelWarn {
			continue
		}
		if answer, ok := errors.AsType[*kerr.Error](err); ok && wordsOf(err, answer) != "" {
			ours[i+1] = l.explain(err).Text
		}
	}
	return ours
}

// reportedElsewhere are lines about what the client tells its user as well, who says it in better words.
var reportedElsewhere = map[string]bool{
	"group manage loop errored": true,
	"join group failed":         true,
	"fetch offsets failed for partition; injecting error and continuing with remaining partitions":                             true,
	"batch decompresses larger than MaxDecompressBatchBytes, stopping consuming the partition; skip the batch with SetOffsets": true,
}
