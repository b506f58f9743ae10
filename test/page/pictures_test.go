package page

import (
	"cmp"
	"encoding/base64"
	"errors"
	"fmt"
	"html"
	"image/png"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

// The pictures of the documentation.
const (
	ofPage   = "page.png"
	ofStatus = "status.png"
)

func TestPicturesOfTheDocumentationAreThere(t *testing.T) {
	root, err := testkit.ProjectRoot()
	if err != nil {
		t.Fatal(err)
	}
	folder := filepath.Join(root, "docs", "images")
	if *pictures > 0 {
		takePictures(t, folder)
	}
	for _, name := range []string{ofPage, ofStatus} {
		file, err := os.Open(filepath.Join(folder, name))
		if err != nil {
			t.Error(err)
			continue
		}
		picture, err := png.DecodeConfig(file)
		if err := cmp.Or(err, file.Close()); err != nil || picture.Width < 300 || picture.Height < 100 {
			t.Errorf("%s: %+v, %v", name, picture, err)
		}
	}
}

func takePictures(t *testing.T, folder string) {
	t.Helper()
	if err := os.MkdirAll(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	program := testkit.Program(t)
	r := newRig(t)
	keep := func(name string, picture []byte) {
		if err := os.WriteFile(filepath.Join(folder, name), picture, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("records flow for %s", *pictures)
	time.Sleep(*pictures) // what is to be seen is time
	tb := open(t, r.url, view{width: 1280, height: 1000, scale: 1})
	tb.until("it is there", path(0, 0)+" >= 2 && "+thereAre(3))
	keep(ofPage, run(tb, chromedp.CaptureScreenshot()))

	terminal := testkit.NewTerminal(t)
	command := exec.Command(program, "status", "--address", r.url)
	command.Stdout, command.Stderr = terminal.TTY, terminal.TTY
	if err := command.Run(); err != nil && command.ProcessState.ExitCode() != 1 { // one link is not well
		t.Fatal(err)
	}
	testkit.Eventually(t, testkit.DefaultTimeout, func() error {
		if !terminal.Screen.Contains("messaging-kafka: not healthy") {
			return errors.New("the terminal has not shown all of it")
		}
		return nil
	})
	keep(ofStatus, terminalPicture(t, "messaging-kafka status --address "+r.url, terminal.Screen.String()))
}

// terminalPicture is a picture of a terminal in which a command has said something, with its colours.
func terminalPicture(t *testing.T, command, said string) []byte {
	t.Helper()
	const page = `<!DOCTYPE html><meta charset="utf-8"><style>
		body { margin: 0; background: #fff; }
		pre { display: inline-block; margin: 0; padding: 18px 22px; background: #14181f; color: #dfe4ea;
			border-radius: 8px; font: 13px/1.5 "DejaVu Sans Mono", monospace; }
		.c31 { color: #ff8f87; font-weight: 700; } .c32 { color: #7ddba6; } .c33 { color: #f0c66b; }
		.c2 { color: #8f9bab; } .c1 { font-weight: 700; }
		.p { color: #86acff; }
	</style><pre id="t"><span class="p">$</span> %s
%s</pre>`
	colour := regexp.MustCompile("\x1b\\[([0-9]+)(;1)?m")
	text := html.EscapeString(strings.TrimSpace(strings.ReplaceAll(said, "\r\n", "\n")))
	text = colour.ReplaceAllStringFunc(text, func(sequence string) string {
		if code := colour.FindStringSubmatch(sequence)[1]; code != "0" {
			return `<span class="c` + code + `">`
		}
		return "</span>"
	})
	whole := fmt.Sprintf(page, html.EscapeString(command), text)
	tb := open(t, "data:text/html;base64,"+base64.StdEncoding.EncodeToString([]byte(whole)),
		view{width: 1400, height: 600, scale: 1.5})
	return run(tb, chromedp.Screenshot(chromedp.CSS("#t")))
}
