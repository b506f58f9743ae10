package route

import (
	"context"
	"log/slog"
	"slices"
	"sync/atomic"
)

// currentLog is a handler that writes to the log of the moment.
type currentLog struct {
	now  *atomic.Pointer[slog.Logger]
	with []func(slog.Handler) slog.Handler // what was added, in this order
}

// Enabled implements slog.Handler.
func (h currentLog) Enabled(ctx context.Context, level slog.Level) bool {
	return h.now.Load().Enabled(ctx, level)
}

// Handle implements slog.Handler.
func (h currentLog) Handle(ctx context.Context, r slog.Record) error {
	to := h.now.Load().Handler()
	for _, with := range h.with {
		to = with(to)
	}
	return to.Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (h currentLog) WithAttrs(attrs []slog.Attr) slog.Handler {
	return h.and(func(to slog.Handler) slog.Handler { return to.WithAttrs(attrs) })
}

// WithGroup implements slog.Handler.
func (h currentLog) WithGroup(name string) slog.Handler {
	return h.and(func(to slog.Handler) slog.Handler { return to.WithGroup(name) })
}

func (h currentLog) and(with func(slog.Handler) slog.Handler) slog.Handler {
	h.with = append(slices.Clip(h.with), with)
	return h
}
