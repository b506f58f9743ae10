package telemetry

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"time"
)

const (
	// repeatWindow is the time over which repeats of a warning are counted, and repeatBurst how many of them are written
	// all the same: the first few tell what is going on, a thousand tell no more.
	repeatWindow = 30 * time.Second
	repeatBurst  = 10
	// maxRepeatKeys bounds the memory for repeats.
	maxRepeatKeys = 1000
)

// repeatAttrs are the attributes that make lines of one message different kinds of lines. Others, such as an offset or
// an error, differ from line to line of one kind.
var repeatAttrs = []string{
	"component", "link", "bridge", "route", "direction", "topic", "setting", "signal", "broker", "addr", "subject",
}

// Limit returns a logger that writes to log as before, but of warnings and errors of one kind (of one message and link,
// and about one topic or broker) only so many in half a minute. The others are counted; at the end of that time the
// last of them is written, with their number as repeats_left_out. The function that it returns writes what is left to
// write, and ends that; it is called once, when nothing is logged any more.
func Limit(log *slog.Logger) (*slog.Logger, func()) {
	l := &limiter{kinds: make(map[string]*repeats), window: repeatWindow}
	return slog.New(&limited{next: log.Handler(), limiter: l}), l.close
}

// limiter is what all handlers that come of one have in common.
type limiter struct {
	window time.Duration

	mu     sync.Mutex
	kinds  map[string]*repeats
	closed bool
}

// repeats are the lines of one kind in this window.
type repeats struct {
	written int
	left    int
	last    slog.Record // of those that are left out
	to      slog.Handler
	timer   *time.Timer
}

// admit tells whether a line may be written, and counts it otherwise.
func (l *limiter) admit(kind string, r slog.Record, to slog.Handler) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return true
	}
	k := l.kinds[kind]
	if k == nil {
		if len(l.kinds) >= maxRepeatKeys {
			return true // so many kinds at once are no repeats
		}
		k = &repeats{}
		k.timer = time.AfterFunc(l.window, func() { l.turn(kind, k) })
		l.kinds[kind] = k
	}
	if k.written < repeatBurst {
		k.written++
		return true
	}
	k.left++
	k.last, k.to = r.Clone(), to
	return false
}

// turn ends the window of a kind. While lines of it keep coming, each window has one line.
func (l *limiter) turn(kind string, k *repeats) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return
	}
	if k.left == 0 {
		delete(l.kinds, kind)
		return
	}
	k.report()
	k.written = repeatBurst
	k.timer.Reset(l.window)
}

// report writes the last line that was left out. limiter.mu is held, so that no such line comes after the end.
func (k *repeats) report() {
	k.last.AddAttrs(slog.Int("repeats_left_out", k.left))
	_ = k.to.Handle(context.Background(), k.last) // there is nobody to tell; slog's own methods do the same
	k.left = 0
}

func (l *limiter) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	for _, k := range l.kinds {
		k.timer.Stop()
		if k.left > 0 {
			k.report()
		}
	}
	clear(l.kinds)
}

// limited is the handler of one logger.
type limited struct {
	next    slog.Handler
	limiter *limiter
	kind    string // of the attributes that the logger has
}

// Enabled implements slog.Handler.
func (h *limited) Enabled(ctx context.Context, level slog.Level) bool {
	return h.next.Enabled(ctx, level)
}

// Handle implements slog.Handler.
func (h *limited) Handle(ctx context.Context, r slog.Record) error {
	if r.Level < slog.LevelWarn {
		return h.next.Handle(ctx, r)
	}
	var kind strings.Builder
	kind.WriteString(r.Message)
	kind.WriteString(h.kind)
	r.Attrs(func(a slog.Attr) bool {
		kind.WriteString(kindOf(a))
		return true
	})
	if !h.limiter.admit(kind.String(), r, h.next) {
		return nil
	}
	return h.next.Handle(ctx, r)
}

func kindOf(a slog.Attr) string {
	for _, key := range repeatAttrs {
		if a.Key == key {
			return "\x00" + key + "\x00" + a.Value.String()
		}
	}
	return ""
}

// WithAttrs implements slog.Handler.
func (h *limited) WithAttrs(attrs []slog.Attr) slog.Handler {
	with := *h
	with.next = h.next.WithAttrs(attrs)
	for _, a := range attrs {
		with.kind += kindOf(a)
	}
	return &with
}

// WithGroup implements slog.Handler.
func (h *limited) WithGroup(name string) slog.Handler {
	with := *h
	with.next = h.next.WithGroup(name)
	return &with
}
