package testkit

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

// outcome is a test that notes how it would have ended.
type outcome struct {
	testing.TB
	skipped, failed bool
	text            string
}

func (o *outcome) Helper() {}

func (o *outcome) Skip(args ...any) {
	o.skipped, o.text = true, fmt.Sprint(args...)
	runtime.Goexit()
}

func (o *outcome) Fatalf(format string, args ...any) {
	o.failed, o.text = true, fmt.Sprintf(format, args...)
	runtime.Goexit()
}

// ending runs f as a test of its own would run and tells how it ended.
func ending(t *testing.T, f func(testing.TB)) *outcome {
	t.Helper()
	o := &outcome{TB: t}
	done := make(chan struct{})
	go func() {
		defer close(done)
		f(o)
	}()
	<-done
	return o
}

func TestAMissingNeedSkipsHereAndFailsInCI(t *testing.T) {
	needs := []Need{
		{Name: "air", How: "breathe", Check: func() error { return nil }},
		{Name: "unobtainium", How: "mine it", Check: func() error { return errors.New("not on this planet") }},
	}
	for _, test := range []struct {
		name, ci, all string
		fails         bool
	}{
		{"by default the test is skipped", "", "", false},
		{"CI=false is no CI", "false", "", false},
		{"in CI the test fails", "true", "", true},
		{"CI=1 is CI", "1", "", true},
		{"CI with a name of its own is CI", "woodpecker", "", true},
		{"everything was asked for", "", "1", true},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Setenv("CI", test.ci)
			t.Setenv("MESSAGING_KAFKA_REQUIRE_ALL", test.all)
			o := ending(t, func(t testing.TB) { Require(t, needs...) })
			if o.failed != test.fails || o.skipped == test.fails {
				t.Errorf("failed %t, skipped %t", o.failed, o.skipped)
			}
			for _, part := range []string{"unobtainium", "not on this planet", "mine it"} {
				if !strings.Contains(o.text, part) {
					t.Errorf("%q does not say %q", o.text, part)
				}
			}
			if strings.Contains(o.text, "breathe") {
				t.Errorf("%q names what is there", o.text)
			}
		})
	}
	if o := ending(t, func(t testing.TB) { Require(t, needs[0]) }); o.failed || o.skipped {
		t.Errorf("with nothing missing: %+v", o)
	}
}

func TestEventuallyFailsWithTheLastError(t *testing.T) {
	n := 0
	o := ending(t, func(t testing.TB) {
		Eventually(t, 20*time.Millisecond, func() error { n++; return fmt.Errorf("try %d", n) })
	})
	if !o.failed || !strings.HasSuffix(o.text, fmt.Sprintf("try %d", n)) || n < 2 {
		t.Errorf("failed %t after %d tries with %q", o.failed, n, o.text)
	}
	n = 0
	o = ending(t, func(t testing.TB) {
		Eventually(t, DefaultTimeout, func() error {
			if n++; n < 3 {
				return errors.New("not yet")
			}
			return nil
		})
	})
	if o.failed || n != 3 {
		t.Errorf("failed %t after %d tries", o.failed, n)
	}
}

func TestFreePortsAreFree(t *testing.T) {
	base, err := FreePorts(30)
	if err != nil {
		t.Fatal(err)
	}
	if !portsFree(base, 30) {
		t.Errorf("ports from %d on are not all free", base)
	}
	p := NewProxy(t, "127.0.0.1:1")
	var port int
	if _, err := fmt.Sscanf(p.Addr(), "127.0.0.1:%d", &port); err != nil {
		t.Fatal(err)
	}
	if portsFree(port, 1) {
		t.Error("a port that is listened on counts as free")
	}
}

func TestTheProjectsFolderIsFoundFromAModuleForTestsToo(t *testing.T) {
	want, err := ProjectRoot()
	if err != nil {
		t.Fatal(err)
	}
	nested := filepath.Join(want, "test", "page")
	if _, err := os.Stat(filepath.Join(nested, "go.mod")); err != nil {
		t.Fatal(err)
	}
	t.Chdir(nested)
	if got, err := ProjectRoot(); err != nil || got != want {
		t.Errorf("it is %s (%v), want %s", got, err, want)
	}
}
