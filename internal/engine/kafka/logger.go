package kafka

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	// levelTrace is below debug: the client's own debug log has several lines for each request.
	levelTrace = slog.LevelDebug - 4
	// repeatWindow is for how long repeats of a warning are counted instead of logged.
	repeatWindow = 30 * time.Second
	// maxRepeatKeys bounds the memory for repeats.
	maxRepeatKeys = 256
)

// logAdapter passes the client's log on. What the client calls information is routine (each fetch session, each
// metadata refresh) and becomes debug. Warnings and errors repeat at every attempt while a broker is away, so one
// in each repeatWindow is logged, with the number of those left out.
type logAdapter struct {
	log *slog.Logger
	now func() time.Time

	mu      sync.Mutex
	repeats map[string]*repeat
}

type repeat struct {
	until   time.Time
	omitted int
}

func newLogAdapter(log *slog.Logger) *logAdapter {
	return &logAdapter{log: log, now: time.Now, repeats: make(map[string]*repeat)}
}

// Level implements [kgo.Logger].
func (l *logAdapter) Level() kgo.LogLevel {
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
func (l *logAdapter) Log(level kgo.LogLevel, msg string, keyvals ...any) {
	var to slog.Level
	switch level {
	case kgo.LogLevelError, kgo.LogLevelWarn:
		to = slog.LevelWarn
		if level == kgo.LogLevelError {
			to = slog.LevelError
		}
		if told[msg] {
			to = slog.LevelDebug
		}
	case kgo.LogLevelInfo:
		to = slog.LevelDebug
	case kgo.LogLevelDebug:
		to = levelTrace
	default:
		return
	}
	if !l.log.Enabled(context.Background(), to) {
		return
	}
	if to >= slog.LevelWarn {
		omitted, ok := l.admit(repeatKey(msg, keyvals))
		if !ok {
			return
		}
		if omitted > 0 {
			keyvals = append(keyvals[:len(keyvals):len(keyvals)], "repeats_left_out", omitted)
		}
	}
	l.log.Log(context.Background(), to, "kafka client: "+msg, keyvals...)
}

// told are lines about what the client tells its user as well, who says it in better words.
var told = map[string]bool{
	"group manage loop errored": true,
	"join group failed":         true,
	"fetch offsets failed for partition; injecting error and continuing with remaining partitions":                             true,
	"batch decompresses larger than MaxDecompressBatchBytes, stopping consuming the partition; skip the batch with SetOffsets": true,
}

// repeatKey tells one kind of line from another: the same words about another broker, topic or partition are news.
func repeatKey(msg string, keyvals []any) string {
	key, broker, addr := msg, "", ""
	for i := 0; i+1 < len(keyvals); i += 2 {
		switch keyvals[i] {
		case "topic", "partition", "group":
			key += "|" + fmt.Sprint(keyvals[i+1])
		case "addr":
			addr = "|" + fmt.Sprint(keyvals[i+1])
		case "broker":
			broker = "|" + fmt.Sprint(keyvals[i+1])
		}
	}
	if addr != "" {
		return key + addr // a broker that is in hosts has two names
	}
	return key + broker
}

// admit tells whether a line may be logged, and how many like it were left out since the last that was.
func (l *logAdapter) admit(key string) (omitted int, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	if r := l.repeats[key]; r != nil {
		if now.Before(r.until) {
			r.omitted++
			return 0, false
		}
		omitted = r.omitted
	} else if len(l.repeats) >= maxRepeatKeys {
		// Forgetting all is rare and costs a few lines too many, which is better than an eviction scheme.
		clear(l.repeats)
	}
	l.repeats[key] = &repeat{until: now.Add(repeatWindow)}
	return omitted, true
}
