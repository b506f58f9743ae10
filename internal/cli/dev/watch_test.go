package dev

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// TestAChangedFileIsNoticedSoon: two looks after it is whole, and not before; what was written before the watch began
// is noticed as well.
func TestAChangedFileIsNoticedSoon(t *testing.T) {
	path := filepath.Join(t.TempDir(), "component.wasm")
	write := func(content string) {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Error(err)
		}
	}
	write("first")
	known, there := stampOf(path)
	if !there {
		t.Fatal("the file is not there")
	}
	write("second, written while the first was being composed")
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		var mu sync.Mutex
		var noticed []time.Duration
		began, ended := time.Now(), make(chan struct{})
		go func() {
			defer close(ended)
			watchFile(ctx, path, known, func() {
				mu.Lock()
				defer mu.Unlock()
				noticed = append(noticed, time.Since(began))
			})
		}()
		time.Sleep(watchEvery / 2) // what follows is between two looks
		looks := func(n int, want ...time.Duration) {
			t.Helper()
			time.Sleep(time.Duration(n) * watchEvery)
			mu.Lock()
			defer mu.Unlock()
			if !slices.Equal(noticed, want) {
				t.Fatalf("after %s it has noticed changes at %s, want %s", time.Since(began), noticed, want)
			}
		}
		looks(1)
		looks(1, 2*watchEvery)
		looks(10, 2*watchEvery)
		if err := os.Remove(path); err != nil {
			t.Error(err)
		}
		looks(5, 2*watchEvery)
		write("a part")
		looks(1, 2*watchEvery)
		write("a part, and the rest") // it has grown since the last look
		looks(1, 2*watchEvery)
		looks(1, 2*watchEvery, 20*watchEvery)
		cancel()
		<-ended
	})
}
