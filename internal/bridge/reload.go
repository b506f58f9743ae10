package bridge

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/messaging-kafka/messaging-kafka/internal/base/backoff"
	"github.com/messaging-kafka/messaging-kafka/internal/bridge/config"
	"github.com/messaging-kafka/messaging-kafka/internal/observe/status"
	"github.com/messaging-kafka/messaging-kafka/internal/settings"
)

// lookEvery is how often the files are looked at.
const lookEvery = time.Second

// retryWait is between attempts to carry out a file that failed for what is not in it, such as an address that another
// program has. Whatever that is may change at any time, and nobody tells of it.
var retryWait = backoff.Backoff{First: lookEvery, Most: 30 * time.Second}

// retries say when what failed is to be tried again.
type retries struct {
	failures int
	next     time.Time // zero for not at all
}

// after takes down how an attempt ended: where again, it is to be made once more.
func (r *retries) after(now time.Time, again bool) {
	if !again {
		*r = retries{}
		return
	}
	r.failures++
	r.next = now.Add(retryWait.After(r.failures))
}

func (r *retries) due(now time.Time) bool { return !r.next.IsZero() && !now.Before(r.next) }

// watch reads the file again when it or a file of a secret has changed, and when told to, until ctx ends. What cannot
// be carried out, or is not any more, is tried again.
func (b *Bridge) watch(ctx context.Context) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	var tries retries
	for {
		select {
		case <-ctx.Done():
			return
		case <-b.o.Reload:
			tries = retries{}
		case now := <-tick.C:
			if b.unserved() != nil && tries.next.IsZero() {
				tries.after(now, true)
			}
			if b.seen.Changed() {
				tries = retries{}
			} else if !tries.due(now) {
				continue
			}
		}
		again := b.reload()
		tries.after(time.Now(), again)
	}
}

// reload carries out what the file says now. One that cannot be used changes nothing, and is told of until it can. It
// tells whether the same file may be carried out at another time.
func (b *Bridge) reload() (again bool) {
	now, err := b.read()
	if err == nil {
		err = b.unchangeable(now)
	}
	var next map[destination]*shown
	served := b.serving()
	if err == nil {
		next, err = credentialsOf(now)
	}
	if err == nil {
		err = b.exchangeServer(now) // after all else that can fail, since it cannot be taken back
		again = err != nil
	}
	b.mu.Lock()
	before := b.trouble
	b.trouble = err
	b.mu.Unlock()
	if err != nil {
		if before == nil || before.Error() != err.Error() { // or it is told already
			b.Log.Error("the file cannot be used, and what it said before goes on", "error", err)
		}
		return again
	}
	b.Log.Info("the file was read again")
	if keys := changedAbove(b.current(), now); len(keys) > 0 {
		b.Log.Warn("settings of the process have changed, and are used from the next start on", "settings", strings.Join(keys, ","))
	}
	b.show(next)
	b.apply(now)
	if server := b.serving(); server != nil && server != served {
		b.announce(server)
	}
	return false
}

func (b *Bridge) read() (*config.Config, error) {
	return config.Read(config.Options{Path: b.o.Path, Lookup: b.o.Lookup, Host: b.host, Seen: &b.seen})
}

// unchangeable says what of a file cannot change while the bridge runs: its name, which is that of all its groups.
func (b *Bridge) unchangeable(now *config.Config) error {
	before := b.current()
	if now.Name != before.Name {
		return now.Fault("name", fmt.Errorf(
			"cannot change from %s to %s while the bridge runs, since all groups would be others: restart it", before.Name, now.Name))
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
	if err := b.unserved(); err != nil {
		list.Add(status.ProblemCalls, err.Error())
	}
	if trouble != nil {
		list.Add(status.ProblemConfig, "the file cannot be used, and what it said before goes on: "+trouble.Error())
	}
	return append(list, b.natsProblems()...)
}

// errNothingRead is the error of a bridge that was to end when all is read, and reads nothing.
var errNothingRead = errors.New("no route reads anything, so that there is no end to wait for")
