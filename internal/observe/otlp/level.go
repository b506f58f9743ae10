package otlp

import (
	"context"
	"log/slog"
)

// atLevelOf lets through to a handler what another handler's level lets through.
type atLevelOf struct {
	level slog.Handler
	slog.Handler
}

// Enabled implements slog.Handler.
func (h atLevelOf) Enabled(ctx context.Context, level slog.Level) bool {
	return h.level.Enabled(ctx, level) && h.Handler.Enabled(ctx, level)
}

// WithAttrs implements slog.Handler.
func (h atLevelOf) WithAttrs(attrs []slog.Attr) slog.Handler {
	return atLevelOf{level: h.level, Handler: h.Handler.WithAttrs(attrs)}
}

// WithGroup implements slog.Handler.
func (h atLevelOf) WithGroup(name string) slog.Handler {
	return atLevelOf{level: h.level, Handler: h.Handler.WithGroup(name)}
}
