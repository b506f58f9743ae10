package cli

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/messaging-kafka/messaging-kafka/internal/cli/letters"
	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

func TestABarIsDrawnAtATerminal(t *testing.T) {
	terminal := testkit.NewTerminal(t)
	b := newBar(terminal.TTY)
	b.shown = time.Time{}
	b.show(letters.Progress{Sent: 50, Passed: 25, Total: 100})
	if _, err := b.Write([]byte("a note\n")); err != nil {
		t.Fatal(err)
	}
	b.end()
	testkit.Eventually(t, testkit.DefaultTimeout, func() error {
		screen := terminal.Screen.String()
		if !strings.Contains(screen, "[#######.......................]  25%  50 sent, ") ||
			!strings.Contains(screen, "\r\x1b[Ka note\r\n") {
			return fmt.Errorf("the screen has %q", screen)
		}
		return nil
	})
}
