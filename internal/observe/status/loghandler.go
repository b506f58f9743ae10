package status

import (
	"context"
	"log/slog"
	"strings"
)

// EventKind marks a log line as an event of a kind, whatever its words are. [LogTo] tells by it which events have a
// list of their own.
type EventKind string

// EventDeadLetter marks the line that tells of a dead letter that Kafka has.
const EventDeadLetter EventKind = "dead_letter"

// Attr is the attribute by which a line is marked.
func (k EventKind) Attr() slog.Attr { return slog.Any("event", k) }

// LogTo returns a logger that writes to log as before and keeps the lines of level warn and above, whatever level log
// itself has: dead letters in deadLetters, all else in errors. Attributes that log has already are not told again.
func LogTo(log *slog.Logger, errors *Events, deadLetters *DeadLetters) *slog.Logger {
	return slog.New(&handler{next: log.Handler(), errors: errors, deadLetters: deadLetters})
}

type handler struct {
	next        slog.Handler
	errors      *Events
	deadLetters *DeadLetters
	attrs       []slog.Attr
	prefix      string // of the group, with its dot
}

// Enabled implements slog.Handler.
func (h *handler) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= slog.LevelWarn || h.next.Enabled(ctx, level)
}

// Handle implements slog.Handler.
func (h *handler) Handle(ctx context.Context, r slog.Record) error {
	if r.Level >= slog.LevelWarn {
		switch e, kind, cause := h.event(&r); kind {
		case EventDeadLetter:
			h.deadLetters.Add(e, cause)
		default:
			h.errors.Add(e)
		}
	}
	if !h.next.Enabled(ctx, r.Level) {
		return nil
	}
	return h.next.Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (h *handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	with := *h
	with.next = h.next.WithAttrs(attrs)
	with.attrs = append([]slog.Attr(nil), h.attrs...)
	for _, a := range attrs {
		a.Key = h.prefix + a.Key
		with.attrs = append(with.attrs, a)
	}
	return &with
}

// WithGroup implements slog.Handler.
func (h *handler) WithGroup(name string) slog.Handler {
	with := *h
	with.next = h.next.WithGroup(name)
	if name != "" {
		with.prefix += name + "."
	}
	return &with
}

// event is a log line as an event: what tells the record in fields of its own, all else behind the message. The cause
// is that of the message.
func (h *handler) event(r *slog.Record) (e Event, kind EventKind, cause string) {
	e = Event{Time: r.Time, Level: levelName(r.Level)}
	var more []string
	add := func(a slog.Attr) {
		v := a.Value.Resolve()
		if marked, ok := v.Any().(EventKind); ok {
			kind = marked
			return
		}
		switch {
		case a.Key == "topic" && v.Kind() == slog.KindString:
			e.Topic = v.String()
		case a.Key == "partition" && v.Kind() == slog.KindInt64:
			n := int32(v.Int64())
			e.Partition = &n
		case a.Key == "offset" && v.Kind() == slog.KindInt64:
			n := v.Int64()
			e.Offset = &n
		case a.Key == "error" || a.Key == "reason":
			cause = v.String()
		case a.Key != "":
			more = append(more, strings.ReplaceAll(a.Key, "_", " ")+" "+v.String())
		}
	}
	for _, a := range h.attrs {
		add(a)
	}
	r.Attrs(func(a slog.Attr) bool {
		a.Key = h.prefix + a.Key
		add(a)
		return true
	})
	e.Text = r.Message
	if cause != "" {
		e.Text += ": " + cause
	}
	if kind == EventDeadLetter {
		e.Level = "" // it went as it was meant to go
		if cause != "" {
			e.Text = cause // the list says what it is
		}
	}
	if len(more) > 0 {
		e.Text += " (" + strings.Join(more, ", ") + ")"
	}
	return e, kind, cause
}

func levelName(level slog.Level) string {
	if level >= slog.LevelError {
		return "ERROR"
	}
	return "WARN"
}
