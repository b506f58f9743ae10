package redact

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"

	"github.com/messaging-kafka/messaging-kafka/internal/base/text"
)

// maxAttr bounds a text in the log. Stacks are longer, and the provider's own.
const (
	maxAttr  = 4 << 10
	maxStack = 32 << 10
)

// Logger returns a logger that writes to log what it is given, without secrets and with every text cut to size.
func (r *Redactor) Logger(log *slog.Logger) *slog.Logger {
	return slog.New(&handler{next: log.Handler(), r: r})
}

// Short is a text for the log that is cut to Limit bytes, once it is without secrets: what is left of one that is cut
// before is not known for it any more.
type Short struct {
	Text  string
	Limit int
}

// LogValue implements slog.LogValuer, for a log that is none of [Redactor.Logger].
func (s Short) LogValue() slog.Value { return slog.StringValue(text.Clip(s.Text, s.Limit)) }

type handler struct {
	next slog.Handler
	r    *Redactor
}

// Enabled implements slog.Handler.
func (h *handler) Enabled(ctx context.Context, level slog.Level) bool {
	return h.next.Enabled(ctx, level)
}

// Handle implements slog.Handler.
func (h *handler) Handle(ctx context.Context, record slog.Record) error {
	out := slog.NewRecord(record.Time, record.Level, h.r.Clip(record.Message, maxAttr), record.PC)
	record.Attrs(func(a slog.Attr) bool {
		out.AddAttrs(h.attr(a))
		return true
	})
	return h.next.Handle(ctx, out)
}

// WithAttrs implements slog.Handler.
func (h *handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	fit := make([]slog.Attr, len(attrs))
	for i, a := range attrs {
		fit[i] = h.attr(a)
	}
	return &handler{h.next.WithAttrs(fit), h.r}
}

// WithGroup implements slog.Handler.
func (h *handler) WithGroup(name string) slog.Handler { return &handler{h.next.WithGroup(name), h.r} }

func (h *handler) attr(a slog.Attr) slog.Attr {
	most := maxAttr
	if a.Key == "stack" {
		most = maxStack
	}
	if a.Value.Kind() == slog.KindLogValuer {
		if short, is := a.Value.Any().(Short); is {
			a.Value = slog.StringValue(text.Clip(h.r.Value(short.Text), short.Limit))
			return a
		}
	}
	v := a.Value.Resolve()
	switch v.Kind() {
	case slog.KindString:
		a.Value = slog.StringValue(text.Clip(h.r.Value(v.String()), most))
	case slog.KindGroup:
		group := v.Group()
		fit := make([]slog.Attr, len(group))
		for i, one := range group {
			fit[i] = h.attr(one)
		}
		a.Value = slog.GroupValue(fit...)
	case slog.KindAny:
		// Whatever it is: an error, a list, something with a text of its own. A JSON handler would marshal it.
		switch of := v.Any().(type) {
		case slog.Level, nil:
		case []byte:
			a.Value = slog.StringValue(h.r.Clip(string(of), most))
		case error:
			a.Value = slog.StringValue(h.r.Clip(of.Error(), most))
		default:
			said := fmt.Sprint(of)
			if clean := h.r.Secrets(said); clean == said && len(said) <= most && h.plain(of, most) {
				a.Value = v
			} else {
				a.Value = slog.StringValue(text.Clip(clean, most))
			}
		}
	default:
		a.Value = v
	}
	return a
}

// plain tells whether a value can stay a list, a map or a structure, as a JSON handler writes it: it has no text of its
// own, and what is written is short and holds no secret.
func (h *handler) plain(of any, most int) bool {
	if _, ownText := of.(fmt.Stringer); ownText {
		return false
	}
	written, err := json.Marshal(of)
	return err == nil && len(written) <= most && h.r.Secrets(string(written)) == string(written)
}
