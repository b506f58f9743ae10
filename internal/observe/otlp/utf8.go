package otlp

import (
	"context"
	"log/slog"
	"strings"
	"unicode/utf8"
)

// utf8Only mends text that is no UTF-8, such as bytes of a record in an error: the exporter cannot write it, and would
// lose all lines that are sent together with it.
type utf8Only struct{ slog.Handler }

// Handle implements slog.Handler.
func (h utf8Only) Handle(ctx context.Context, r slog.Record) error {
	mended := slog.NewRecord(r.Time, r.Level, valid(r.Message), r.PC)
	r.Attrs(func(a slog.Attr) bool {
		mended.AddAttrs(mend(a))
		return true
	})
	return h.Handler.Handle(ctx, mended)
}

// WithAttrs implements slog.Handler.
func (h utf8Only) WithAttrs(attrs []slog.Attr) slog.Handler {
	mended := make([]slog.Attr, len(attrs))
	for i, a := range attrs {
		mended[i] = mend(a)
	}
	return utf8Only{h.Handler.WithAttrs(mended)}
}

// WithGroup implements slog.Handler.
func (h utf8Only) WithGroup(name string) slog.Handler {
	return utf8Only{h.Handler.WithGroup(valid(name))}
}

func mend(a slog.Attr) slog.Attr {
	a.Key, a.Value = valid(a.Key), a.Value.Resolve()
	switch a.Value.Kind() {
	case slog.KindString:
		a.Value = slog.StringValue(valid(a.Value.String()))
	case slog.KindGroup:
		group := make([]slog.Attr, len(a.Value.Group()))
		for i, member := range a.Value.Group() {
			group[i] = mend(member)
		}
		a.Value = slog.GroupValue(group...)
	case slog.KindAny:
		if text := a.Value.String(); !utf8.ValidString(text) {
			a.Value = slog.StringValue(valid(text))
		}
	default: // numbers, times and truth are text that is well
	}
	return a
}

func valid(text string) string { return strings.ToValidUTF8(text, "\uFFFD") }
