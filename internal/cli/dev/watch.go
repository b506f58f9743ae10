package dev

import (
	"context"
	"errors"
	"os"
	"time"
)

// watchEvery is how often the file of a component is looked at. A file that two looks in a row find the same is whole.
const watchEvery = 200 * time.Millisecond

// errAnotherWay says that the route would have to be another one.
var errAnotherWay = errors.New("it exports or imports other interfaces than before: start the command again")

// stamp tells one content of a file from another.
type stamp struct {
	size int64
	at   time.Time
}

func stampOf(path string) (stamp, bool) {
	info, err := os.Stat(path)
	if err != nil {
		return stamp{}, false // between the removal of the old file and the new one there is none
	}
	return stamp{info.Size(), info.ModTime()}, true
}

// watch serves the component anew when its file has changed, until ctx ends. What comes of it goes to changed. Where
// the new one cannot be served at all, the old one goes on.
func (t *trial) watch(ctx context.Context, changed chan<- error) {
	watchFile(ctx, t.component.Path, t.read, func() {
		select {
		case changed <- t.serveAnew(ctx):
		case <-ctx.Done():
		}
	})
}

// watchFile calls changed each time that a file has become another than is known and is whole, until ctx ends.
func watchFile(ctx context.Context, path string, known stamp, changed func()) {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	seen := known
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		now, there := stampOf(path)
		if !there || now == known {
			continue
		}
		if now != seen {
			seen = now
			continue
		}
		known = now
		changed()
	}
}

// serveAnew composes the component again and exchanges what is served. In between nobody listens, and the bridge holds
// the records without counting attempts.
func (t *trial) serveAnew(ctx context.Context) error {
	how, err := t.component.plan()
	if err != nil {
		return err
	}
	if how.way != t.plan.way || how.publishes && !t.plan.publishes {
		return errAnotherWay
	}
	if err := t.component.present(how); err != nil {
		return err
	}
	made, err := t.component.compose(ctx, how, t.folder)
	if err != nil {
		return err
	}
	t.serving.stop()
	return t.serving.start(ctx, made)
}
