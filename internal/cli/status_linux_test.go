package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/messaging-kafka/messaging-kafka/internal/base/text"
	"github.com/messaging-kafka/messaging-kafka/internal/observe/status"
	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

func TestAWatchRedrawsATerminalAndGoesOnWhenNobodyAnswers(t *testing.T) {
	terminal := testkit.NewTerminal(t)
	var gone atomic.Bool
	p := oneLink(status.Healthy, "")
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if gone.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		p.Time = time.Now()
		_ = json.NewEncoder(w).Encode(p)
	}))
	t.Cleanup(server.Close)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	command := exec.CommandContext(ctx, program, "status", "--watch", "--every", "20ms", "--address", server.URL)
	command.Stdout, command.Stderr = terminal.TTY, terminal.TTY
	end := watching(t, command)
	// See that each picture is drawn over the one before, in colour, and in the terminal's 80 columns.
	see := func(what, said string) {
		t.Helper()
		testkit.Eventually(t, testkit.DefaultTimeout, func() error {
			if !strings.Contains(terminal.Screen.String(), said) {
				return errors.New(what + ": not yet")
			}
			return nil
		})
	}
	see("the first picture", "\x1b[2J\x1b[Hmessaging-kafka status, every 20ms")
	see("the link", "\x1b[32mhealthy\x1b[0m  echo/default")
	testkit.Eventually(t, testkit.DefaultTimeout, func() error {
		if n := strings.Count(terminal.Screen.String(), "\x1b[H"); n < 3 {
			return fmt.Errorf("%d pictures", n)
		}
		return nil
	})
	gone.Store(true)
	see("that nobody answers", "\x1b[31;1mno answer\x1b[0m  nobody could be asked")
	gone.Store(false)
	before := strings.Count(terminal.Screen.String(), "echo/default")
	testkit.Eventually(t, testkit.DefaultTimeout, func() error {
		if strings.Count(terminal.Screen.String(), "echo/default") == before {
			return errors.New("the link does not come back")
		}
		return nil
	})
	if err := end(); err != nil {
		t.Errorf("it ended with %v", err)
	}
	sequence := regexp.MustCompile(`\x1b\[[0-9;]*[A-Za-z]`)
	for line := range strings.SplitSeq(terminal.Screen.String(), "\r\n") {
		if n := text.Columns(sequence.ReplaceAllString(line, "")); n > 80 {
			t.Errorf("%d columns: %q", n, line)
		}
	}
}
