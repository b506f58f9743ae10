package bridge

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/messaging-kafka/messaging-kafka/internal/bridge/config"
	"github.com/messaging-kafka/messaging-kafka/internal/observe/status"
	"github.com/messaging-kafka/messaging-kafka/internal/settings"
)

// lookEvery is how often the files are looked at.
const lookEvery = time.Second

// watch reads the file again when it or a file of a secret has changed, and when told to, until ctx ends.
func (b *Bridge) watch(ctx context.Context) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-b.o.Reload:
			b.reload()
		case <-tick.C:
			if b.seen.Changed() {
				b.reload()
			}
		}
	}
}

// reload carries out what the file says now. One that cannot be used changes nothing, and is told of until it can.
func (b *Bridge) reload() {
	now, err := b.read()
	if err == nil {
		err = b.unchangeable(now)
	}
	var next map[destination]*shown
	if err == nil {
		next, err = credentialsOf(now)
	}
	if err == nil {
		err = b.exchangeServer(now) // after all else that can fail, since it cannot be taken back
	}
	b.mu.Lock()
	b.trouble = err
	b.mu.Unlock()
	if err != nil {
		b.Log.Error("the file cannot be used, and what it said before goes on", "error", err)
		return
	}
	b.Log.Info("the file was read again")
	b.show(next)
	b.apply(now)
}

func (b *Bridge) read() (*config.Config, error) {
	return config.Read(config.Options{Path: b.o.Path, Lookup: b.o.Lookup, Host: b.host, Seen: &b.seen})
}

// unchangeable says what of a file cannot change while the bridge runs: its name, which is that of all its groups. What
// of the process's own settings waits for the next start is logged.
func (b *Bridge) unchangeable(now *config.Config) error {
	before := b.current()
	if now.Name != before.Name {
		return config.Errors{{File: b.o.Path, Key: "name", Problem: fmt.Sprintf(
			"cannot change from %s to %s while the bridge runs, since all groups would be others: restart it", before.Name, now.Name)}}
	}
	if keys := changedAbove(before, now); len(keys) > 0 {
		b.Log.Warn("settings of the process have changed, and are used from the next start on", "settings", strings.Join(keys, ","))
	}
	return nil
}

// changedAbove are the settings that are used at a start and at no other time, and differ.
func changedAbove(before, now *config.Config) []string {
	live := []string{"provider_shutdown_timeout", "provider_allowed_hosts", "provider_allowed_folders"}
	var keys []string
	add := func(name string) {
		if before.Own[name] != now.Own[name] || before.OwnSecrets[name] != now.OwnSecrets[name] {
			keys = append(keys, name)
		}
	}
	for _, d := range settings.Describe() {
		if d.Place == settings.Above && !slices.Contains(live, d.Name) {
			add(d.Name)
		}
	}
	for _, name := range config.TelemetryOf(before, now) {
		add(name)
	}
	return keys
}

// current is what the file said that is carried out.
func (b *Bridge) current() *config.Config {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.config
}

// problems are what is wrong with the bridge and no route's.
func (b *Bridge) problems() status.Problems {
	b.mu.RLock()
	trouble := b.trouble
	b.mu.RUnlock()
	var list status.Problems
	if err := b.serverFault(); err != nil {
		list.Add(status.ProblemCalls, err.Error())
	}
	if trouble != nil {
		list.Add(status.ProblemConfig, "the file cannot be used, and what it said before goes on: "+trouble.Error())
	}
	return append(list, b.natsProblems()...)
}

// errNothingRead is the error of a bridge that was to end when all is read, and reads nothing.
var errNothingRead = errors.New("no route reads anything, so that there is no end to wait for")
