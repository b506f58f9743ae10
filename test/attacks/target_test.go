package attacks

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"text/tabwriter"
)

// target is the program that is attacked, with what is measured of it.
type target struct {
	t   *testing.T
	pid func() int
	// serveOne has the bystander be served once.
	serveOne func()
	served   atomic.Int64 // how often it was
	table    strings.Builder
	rows     *tabwriter.Writer
}

// newTarget makes a target whose table is printed when the test ends.
func newTarget(t *testing.T) *target {
	w := &target{t: t}
	w.rows = tabwriter.NewWriter(&w.table, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w.rows, "attack\tsent\tpeak resident\tlid\tbystander's records")
	t.Cleanup(func() {
		_ = w.rows.Flush()
		fmt.Printf("\n%s\n", w.table.String())
	})
	return w
}

// settle serves the bystander until the program has not become larger while it was served 20 times.
func (w *target) settle() {
	w.t.Helper()
	for last, same := int64(0), 0; same < 20; {
		w.serveOne()
		if now := w.peak(); now != last {
			last, same = now, 0
		} else {
			same++
		}
	}
}

// peak is the most that the program had resident since forget.
func (w *target) peak() int64 {
	w.t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", w.pid()))
	if err != nil {
		w.t.Fatalf("the program's memory cannot be read; it may have ended: %v", err)
	}
	_, rest, _ := strings.Cut(string(text), "VmHWM:")
	var kilobytes int64
	if _, err := fmt.Sscanf(rest, "%d kB", &kilobytes); err != nil {
		w.t.Fatalf("the program has no peak of memory: %v", err)
	}
	return kilobytes << 10
}

// forget has the kernel count the peak anew.
func (w *target) forget() {
	w.t.Helper()
	if err := os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", w.pid()), []byte("5"), 0); err != nil {
		w.t.Fatalf("the peak of memory cannot be set back: %v", err)
	}
}

// attack runs one attack with the bystander served beside it and after it, and holds the peak against the lid.
func (w *target) attack(name, sent string, do func()) {
	w.t.Run(name, func(t *testing.T) {
		outer := w.t
		w.t = t
		defer func() { w.t = outer }()
		w.forget()
		before := w.served.Load()
		do()
		w.settle()
		peak := w.peak()
		fmt.Fprintf(w.rows, "%s\t%s\t%d MiB\t%d MiB\t%d\n", name, sent, peak>>20, lid>>20, w.served.Load()-before)
		if peak >= lid {
			t.Errorf("%s: %d MiB were resident where %d are allowed", name, peak>>20, lid>>20)
		}
	})
}

// meanwhile serves the bystander for as long as do takes.
func (w *target) meanwhile(do func()) {
	w.t.Helper()
	var doing sync.WaitGroup
	done := make(chan struct{})
	doing.Go(func() { defer close(done); do() })
	defer doing.Wait()
	for {
		w.serveOne()
		select {
		case <-done:
			return
		default:
		}
	}
}
