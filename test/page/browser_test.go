package page

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

// chromium is a browser under one of the names that distributions give it.
var chromium = testkit.Need{
	Name: "chromium", How: "install it (Debian: apt-get install chromium)",
	Check: func() error { _, err := findChromium(); return err },
}

func findChromium() (string, error) {
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable"} {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", exec.ErrNotFound
}

// browsing is the browser of all tests: its start is what takes longest.
var browsing struct {
	once sync.Once
	ctx  context.Context
	err  error
}

// browserTimeout bounds the start of the browser and each action in it.
const browserTimeout = 30 * time.Second

func browser(t *testing.T) context.Context {
	t.Helper()
	testkit.Require(t, chromium)
	browsing.once.Do(func() {
		path, err := findChromium()
		if err != nil {
			browsing.err = err
			return
		}
		// Of the defaults: a new profile, headless, no first run, no background networking.
		options := append(chromedp.DefaultExecAllocatorOptions[:],
			chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.DisableGPU,
			chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true),
			chromedp.WSURLReadTimeout(browserTimeout))
		allocated, stop := chromedp.NewExecAllocator(context.Background(), options...)
		ctx, cancel := chromedp.NewContext(allocated)
		testkit.AtExit(t, func() error {
			within, done := context.WithTimeout(ctx, browserTimeout)
			defer done()
			err := chromedp.Cancel(within)
			cancel()
			stop()
			if errors.Is(err, context.Canceled) {
				err = nil
			}
			return err
		})
		browsing.ctx, browsing.err = ctx, chromedp.Do(ctx)
	})
	if browsing.err != nil {
		t.Fatalf("starting the browser: %v", browsing.err)
	}
	return browsing.ctx
}

// view is how a page is looked at.
type view struct {
	width, height int64
	scale         float64 // pixels of the picture for one of the page
	dark          bool
}

var (
	desk  = view{width: 1280, height: 1000, scale: 1}
	night = view{width: 1280, height: 1000, scale: 1, dark: true}
	phone = view{width: 390, height: 844, scale: 2}
)

// tab is one open page. What goes wrong in it, an exception or an error on the console (a breach of the page's own
// security policy among them), fails the test.
type tab struct {
	t   *testing.T
	ctx context.Context

	mu       sync.Mutex
	expected bool // errors are, from here on
}

// open opens a page.
func open(t *testing.T, url string, v view) *tab {
	t.Helper()
	tb := &tab{t: t}
	ctx, cancel := chromedp.NewContext(browser(t), chromedp.WithListener(tb.listen))
	t.Cleanup(cancel)
	tb.ctx = ctx
	tb.do() // opens the tab
	scheme := "light"
	if v.dark {
		scheme = "dark"
	}
	media := emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme",
		Value: scheme}}}
	if _, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, media); err != nil {
		t.Fatalf("choosing the colours: %v", err)
	}
	size := emulation.SetDeviceMetricsOverrideParams{Width: v.width, Height: v.height, DeviceScaleFactor: v.scale,
		Mobile: v.width < 500}
	if _, err := chromedp.Call(ctx, emulation.SetDeviceMetricsOverride, size); err != nil {
		t.Fatalf("choosing the size: %v", err)
	}
	// Each page has the focus, whichever tab the browser takes for the one that is looked at.
	focus := emulation.SetFocusEmulationEnabledParams{Enabled: true}
	if _, err := chromedp.Call(ctx, emulation.SetFocusEmulationEnabled, focus); err != nil {
		t.Fatalf("giving the page the focus: %v", err)
	}
	tb.do(chromedp.Navigate(url))
	return tb
}

func (tb *tab) listen(event any) {
	tb.mu.Lock()
	defer tb.mu.Unlock()
	if tb.expected {
		return
	}
	switch e := event.(type) {
	case *runtime.EventExceptionThrown:
		tb.t.Errorf("an exception in the page: %+v", *e.ExceptionDetails)
	case *runtime.EventConsoleAPICalled:
		if e.Type == runtime.ConsoleAPICalledTypeError {
			tb.t.Errorf("the page complains: %+v", e.Args)
		}
	case *log.EventEntryAdded:
		if e.Entry.Level == log.EntryLevelError {
			tb.t.Errorf("the browser complains: %s (%s)", e.Entry.Text, e.Entry.URL)
		}
	case *page.EventJavascriptDialogOpening:
		tb.t.Errorf("a dialog opened: %q", e.Message)
	}
}

func (tb *tab) do(steps ...chromedp.Action[chromedp.Void]) {
	tb.t.Helper()
	if len(steps) == 0 { // what opens a tab must not have a time limit: the tab would end with it
		if err := chromedp.Do(tb.ctx); err != nil {
			tb.t.Fatalf("in the browser: %v", err)
		}
	}
	for _, step := range steps {
		// Elements have other numbers from when the browser says that the document is another one, which may be between
		// the search for an element and what is done to it. Nothing has been done to it then.
		testkit.Eventually(tb.t, testkit.DefaultTimeout, func() error {
			ctx, cancel := context.WithTimeout(tb.ctx, browserTimeout)
			defer cancel()
			_, err := chromedp.Run(ctx, step)
			var refused *cdproto.Error
			if err != nil && !(errors.As(err, &refused) && refused.Code == unknownNode) {
				tb.t.Fatalf("in the browser: %v", err)
			}
			return err
		})
	}
}

// unknownNode is the code of the browser's refusal to do something to an element that is no longer there.
const unknownNode = -32000

// run runs one action and returns what it comes to.
func run[T any](tb *tab, action chromedp.Action[T]) T {
	tb.t.Helper()
	ctx, cancel := context.WithTimeout(tb.ctx, browserTimeout)
	defer cancel()
	value, err := chromedp.Run(ctx, action)
	if err != nil {
		tb.t.Fatalf("in the browser: %v", err)
	}
	return value
}

// expectErrors has the page's complaints pass from here on.
func (tb *tab) expectErrors() {
	tb.mu.Lock()
	defer tb.mu.Unlock()
	tb.expected = true
}

// eval evaluates an expression in the page.
func eval[T any](tb *tab, expression string) T {
	tb.t.Helper()
	return run(tb, chromedp.Evaluate[T](expression))
}

// picture is a picture of the whole page, however long it is.
func (tb *tab) picture() []byte {
	tb.t.Helper()
	size := eval[[]float64](tb, "[document.documentElement.clientWidth, document.documentElement.scrollHeight]")
	ctx, cancel := context.WithTimeout(tb.ctx, browserTimeout)
	defer cancel()
	r, err := chromedp.Call(ctx, page.CaptureScreenshot, page.CaptureScreenshotParams{
		CaptureBeyondViewport: ptr(true), Clip: &page.Viewport{Width: size[0], Height: size[1], Scale: 1},
	})
	if err != nil {
		tb.t.Fatalf("taking a picture: %v", err)
	}
	return r.Data
}

// text is the visible text of the first element that a selector finds, "" where there is none.
func (tb *tab) text(selector string) string {
	tb.t.Helper()
	return eval[string](tb, fmt.Sprintf("document.querySelector(%q)?.innerText ?? ''", selector))
}

// until waits until an expression is true. One that cannot be evaluated is not true yet: what it looks at may not be
// there before the first answer of the server is drawn.
func (tb *tab) until(what, expression string) {
	tb.t.Helper()
	testkit.Eventually(tb.t, testkit.DefaultTimeout, func() error {
		ctx, cancel := context.WithTimeout(tb.ctx, browserTimeout)
		defer cancel()
		is, err := chromedp.Run(ctx, chromedp.Evaluate[bool]("Boolean("+expression+")"))
		var thrown *chromedp.ExceptionError
		switch {
		case errors.As(err, &thrown):
			return fmt.Errorf("%s: not yet, %w; the page says %.1500q", what, err, tb.text("body"))
		case err != nil:
			tb.t.Fatalf("in the browser: %s: %v", what, err)
		case !is:
			return fmt.Errorf("%s: not yet; the page says %.1500q", what, tb.text("body"))
		}
		return nil
	})
}
