package fleet

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// Seed is the one that a run draws from, where nobody gives one.
func Seed() uint64 { return rand.Uint64N(1_000_000) }

// FromEnv takes values from the environment, by the names of variables: texts, durations, seeds, and numbers from 1 on.
// What cannot be read fails the test.
func FromEnv(t *testing.T, values map[string]any) {
	t.Helper()
	for name, v := range values {
		text := os.Getenv(name)
		if text == "" {
			continue
		}
		var err error
		least := 1.0
		switch v := v.(type) {
		case *string:
			*v = text
		case *time.Duration:
			*v, err = time.ParseDuration(text)
		case *uint64:
			*v, err = strconv.ParseUint(text, 10, 64)
		case *int:
			*v, err = strconv.Atoi(text)
			least = float64(*v)
		case *float64:
			*v, err = strconv.ParseFloat(text, 64)
			least = *v
		default:
			t.Fatalf("%s is a %T", name, v)
		}
		if err == nil && !(least >= 1) {
			err = errors.New("it is a number from 1 on")
		}
		if err != nil {
			t.Fatalf("%s=%s: %v", name, text, err)
		}
	}
}

// Told prints lines of progress at once, with the time of the run; go test keeps a test's own output back.
type Told time.Time

// Say prints a line.
func (b Told) Say(format string, args ...any) {
	fmt.Printf("%7.1fs  %s\n", time.Since(time.Time(b)).Seconds(), fmt.Sprintf(format, args...))
}

// RunDry calls look every now and then until its error is nil. It returns the error where it has not changed for 90
// seconds, or ctx's.
func RunDry(ctx context.Context, look func(context.Context) error) error {
	const patience, every = 90 * time.Second, 300 * time.Millisecond
	moved, before := time.Now(), ""
	for {
		attempt, cancel := context.WithTimeout(ctx, 10*time.Second)
		err := look(attempt)
		cancel()
		if err == nil {
			return nil
		}
		if now := err.Error(); now != before {
			moved, before = time.Now(), now
		} else if time.Since(moved) > patience {
			return err
		}
		if !Sleep(ctx, every) {
			return ctx.Err()
		}
	}
}

// Broken counts the faults of a run by their kinds.
type Broken struct {
	mu    sync.Mutex
	kinds map[Kind]int
}

// Note counts a fault.
func (b *Broken) Note(f Fault) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.kinds == nil {
		b.kinds = make(map[Kind]int)
	}
	b.kinds[f.Kind]++
}

func (b *Broken) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var kinds []string
	for _, kind := range slices.Sorted(maps.Keys(b.kinds)) {
		kinds = append(kinds, fmt.Sprintf("%s %d", kind, b.kinds[kind]))
	}
	return strings.Join(kinds, ", ")
}

// Keep writes files into a folder, a new one where dir is empty, which the test's output names: for whoever looks for a
// cause.
func Keep(t *testing.T, dir, suite string, files map[string]string) {
	t.Helper()
	var err error
	if dir == "" {
		dir, err = os.MkdirTemp("", "messaging-kafka-"+suite+"-")
	} else {
		err = os.MkdirAll(dir, 0o755)
	}
	for name, text := range files {
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644)
		}
	}
	if err != nil {
		t.Errorf("keeping what was seen: %v", err)
		return
	}
	fmt.Printf("%s are in %s\n", strings.Join(slices.Sorted(maps.Keys(files)), ", "), dir)
}

// Origins counts the goroutines of a dump by where they were started.
func Origins(dump string) map[string]int {
	found := make(map[string]int)
	for line := range strings.Lines(dump) {
		if origin, ok := strings.CutPrefix(line, "created by "); ok {
			origin, _, _ = strings.Cut(strings.TrimSpace(origin), " in goroutine")
			found[origin]++
		}
	}
	return found
}
