package page

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/messaging-kafka/messaging-kafka/internal/observe/status"
)

// row is the JavaScript for the row of a link.
func row(link string) string {
	return fmt.Sprintf("[...document.querySelectorAll('#links tr')].find((e) => e.dataset.key === %q)", link)
}

// why is the JavaScript for the row below that of a link, which has the whole width for what is to be said of it.
func why(link string) string { return row(link + "\nwhy") }

// thereAre is the JavaScript for whether so many links are shown.
func thereAre(n int) string {
	return fmt.Sprintf("document.querySelectorAll('#links tr:not(.why)').length === %d", n)
}

// number is the JavaScript for a number in the row of a link, by the words above its column.
func number(link, column string) string {
	return fmt.Sprintf("Number(%s?.querySelector('[data-label=\"%s\"]').textContent)", row(link), column)
}

// path is the JavaScript for how many points the nth line of a chart has.
func path(chart, line int) string {
	return fmt.Sprintf("(document.querySelectorAll('#charts svg')[%d].querySelectorAll('.line')[%d].getAttribute('d').match(/[ML]/g) || []).length", chart, line)
}

func TestThePageShowsAProviderAtWork(t *testing.T) {
	r := newRig(t)
	tb := open(t, r.url, desk)
	tb.until("three links are there", thereAre(3))
	tb.until("a link is told to be well", row("shop-orders/default")+"?.querySelector('.pill').textContent === 'healthy'")
	tb.until("a link is told not to be well, and why",
		row("audit/default (as source)")+"?.innerText.includes('not healthy') && "+
			why("audit/default (as source)")+"?.querySelector('.reason').textContent.includes('audit-log')")
	tb.until("what is wrong stands first", "document.querySelector('#links .name').textContent === 'audit-log → audit'")
	tb.until("it leads to what to do", why("audit/default (as source)")+"?.querySelector('a').href.endsWith('/docs/operations.md#a-topic-is-missing')")
	tb.until("the whole is told",
		"document.querySelector('#overall').textContent === '1 of 3 links not healthy' && document.title.startsWith('1 not healthy')")
	tb.until("it is told once", "!document.querySelector('#errors').innerText.includes('the link is not healthy')")
	tb.until("rates are told", number("shop-orders/default", "In /s")+" > 0 && "+
		number("shop-orders/default", "Out /s")+" > 0")
	tb.until("the time of the handler is told", row("shop-orders/default")+
		".querySelector('[data-label=\"Handle p99\"]').textContent.endsWith(' ms')")
	tb.until("partitions are told",
		"document.querySelectorAll('#parts tr').length === 6 && document.querySelector('#parts').innerText.includes('orders / 2')")
	tb.until("dead letters are told",
		"document.querySelector('#dead').innerText.includes('the card has expired') && document.querySelector('#dead').innerText.includes('payments / ')")
	tb.until("those with one reason are one", "document.querySelectorAll('#dead li').length === 1 && document.querySelector('#dead .times').textContent === document.querySelectorAll('#dead-events li').length + ' ×'")
	tb.until("the last failure is told with its position", why("payments/default")+
		"?.innerText.includes('Last failure') && /payments \\/ \\d, offset \\d+: payment \\d+: the card has expired/.test("+why("payments/default")+".innerText)")
	tb.until("failures are told", number("payments/default", "Failed /s")+" > 0")

	// A chart moves: points come, and what stands on its right edge is another time.
	tb.until("the charts of rates, failures and handle times have lines", path(0, 0)+" >= 2 && "+path(0, 1)+" >= 2 && "+
		path(1, 0)+" >= 2 && "+path(2, 0)+" >= 1 && "+path(2, 1)+" >= 1")
	before := eval[int](tb, path(0, 0))
	shape := eval[string](tb, "document.querySelector('#charts .line').getAttribute('d')")
	tb.until("the charts move on",
		fmt.Sprintf("%s > %d && document.querySelector('#charts .line').getAttribute('d') !== %q", path(0, 0), before, shape))
	first := tb.text("#updated")
	tb.until("it says of when it is", fmt.Sprintf("document.querySelector('#updated').innerText !== %q", first))

	// By itself, when what is missing is there.
	r.kafka.Topic("audit-log", 1)
	tb.until("the link gets well by itself",
		row("audit/default (as source)")+".querySelector('.pill').textContent === 'healthy'")
	tb.until("and so does the whole", "document.querySelector('#overall').textContent === '3 links healthy'")
}

func TestALinkCanBeLookedAtAlone(t *testing.T) {
	url, _ := serve(t, busy())
	tb := open(t, url, desk)
	tb.until("all links are shown",
		thereAre(3)+" && document.querySelector('#scope').textContent === 'all links'")
	if got := tb.text("#parts-count"); !strings.HasPrefix(got, "60") {
		t.Errorf("partitions: %q", got)
	}
	if n := eval[int](tb, "document.querySelectorAll('#parts tr').length"); n != 10 {
		t.Errorf("%d partitions are shown at first", n)
	}
	if got := tb.text("#parts tr"); !strings.Contains(got, "orders / 5") ||
		!strings.Contains(got, "stands still: a record was rejected") {
		t.Errorf("the first partition is %q", got)
	}
	tb.do(chromedp.Click(chromedp.CSS("#parts-all")))
	tb.until("all partitions are shown", "document.querySelectorAll('#parts tr').length === 60")

	tb.do(chromedp.Click("//a[text()='orders → mailer']"))
	tb.until("one link is looked at",
		"document.querySelector('#scope').textContent === 'mailer/default' && document.querySelector('#parts-table').hidden")
	tb.until("its row says so", row("mailer/default")+
		".querySelector('.name').getAttribute('aria-current') === 'true'")
	// The address of the page can be given to somebody else.
	shared := eval[string](tb, "location.href")
	if want := url + "#link=mailer%2Fdefault"; shared != want {
		t.Errorf("the address is %s, want %s", shared, want)
	}
	other := open(t, shared, desk)
	other.until("who opens it sees the same", "document.querySelector('#scope').textContent === 'mailer/default'")
	other.do(chromedp.Evaluate[chromedp.Void]("location.hash = '#link=%E0%A4%A'"))
	other.until("an address that names no link shows all", "document.querySelector('#scope').textContent === 'all links'")
	if dead := tb.text("#dead-empty"); !strings.Contains(dead, "No dead letters of this link") {
		t.Errorf("dead letters of a link without any: %q", dead)
	}
	tb.do(chromedp.Click(chromedp.CSS("#all")))
	tb.until("all links are looked at again",
		"document.querySelector('#scope').textContent === 'all links' && !document.querySelector('#parts-table').hidden")
}

func TestChartsCanBeReadWithoutAMouse(t *testing.T) {
	url, _ := serve(t, busy())
	tb := open(t, url, desk)
	tb.until("there is a point",
		"document.querySelectorAll('#charts svg')[3].getAttribute('aria-label').includes('lag 10,620')")
	tb.do(chromedp.Evaluate[chromedp.Void]("document.querySelectorAll('#charts svg')[3].focus()"),
		chromedp.KeyEvent(kb.ArrowLeft))
	tb.until("the arrow keys tell the time of a point",
		"/^at \\d\\d:\\d\\d:\\d\\d$/.test(document.querySelectorAll('#charts .at')[3].textContent)")
	tb.do(chromedp.KeyEvent(kb.Escape))
	tb.until("escape ends that", "document.querySelectorAll('#charts .at')[3].textContent === ''")
}

func TestAProviderThatIsGoneIsTold(t *testing.T) {
	url, stop := serve(t, busy())
	tb := open(t, url, desk)
	tb.until("it is there", thereAre(3)+" && document.querySelector('#stale').hidden")
	tb.expectErrors()
	stop()
	tb.until("it is told that it is gone",
		"!document.querySelector('#stale').hidden && document.body.classList.contains('stale') && document.querySelector('#overall').textContent === 'no answer' && document.title.startsWith('No answer')")
	if got := tb.text("#stale"); !strings.Contains(got, "No answer from the provider since") ||
		!strings.Contains(got, "cannot be reached") {
		t.Errorf("it says %q", got)
	}
	if got := tb.text("#links"); !strings.Contains(got, "shop-orders/default") {
		t.Errorf("what was known is gone: %q", got)
	}
}

func TestAProviderWithoutLinksIsNoRiddle(t *testing.T) {
	url, _ := serve(t, status.Provider{ProviderKey: "kafka", Lattice: "default", HostID: "N", Version: "1", Healthy: true})
	tb := open(t, url, desk)
	tb.until("there are no links",
		"!document.querySelector('#links-empty').hidden && document.querySelector('#links-table').hidden")
	for selector, want := range map[string]string{
		"#links-empty": "as soon as the host puts it", "#parts-empty": "No partitions are assigned",
		"#errors-empty": "No errors or warnings",
		"#dead-empty":   "No dead letters", "#overall": "no links",
	} {
		if got := tb.text(selector); !strings.Contains(got, want) {
			t.Errorf("%s says %q, want %q", selector, got, want)
		}
	}
}

func TestTheProvidersOwnTroubleIsTold(t *testing.T) {
	url, _ := serve(t, status.Provider{ProviderKey: "kafka", Message: "provider config: max_in_flight is no number",
		Omitted: &status.Omitted{Links: 3}})
	tb := open(t, url, desk)
	tb.until("the trouble is told",
		"document.querySelector('#omitted').innerText.includes('max_in_flight is no number') && document.querySelector('#overall').textContent === 'the provider is not healthy'")
}

func TestMarkupInTextsStaysText(t *testing.T) {
	p := hostile()
	url, _ := serve(t, p)
	tb := open(t, url, desk)
	tb.until("all of it is shown",
		thereAre(1)+" && document.querySelectorAll('#errors li').length === 1 && document.querySelectorAll('#dead li').length === 1 && document.querySelectorAll('#parts tr').length === 1")
	tb.do(chromedp.Click(chromedp.CSS("#links .name")))
	tb.until("and in the scope", "document.querySelector('#scope').textContent.includes('<script>')")
	if eval[bool](tb, "'pwned' in window") {
		t.Error("a script of somebody else's has run")
	}
	if n := eval[int](tb, "document.querySelectorAll('main script, main img, .top script, .top img').length"); n != 0 {
		t.Errorf("%d elements of somebody else's", n)
	}
	whole := eval[string](tb, "document.body.textContent + document.title")
	l := p.Links[0]
	for name, text := range map[string]string{
		"version": p.Version, "lattice": p.Lattice, "component": l.Component, "name": l.Name, "package": l.Package,
		"interface": l.Interfaces[0],
		"state":     string(l.State), "problem": l.Problems[0].Text, "group": l.Group, "topic": l.Topics[0],
		"held":              l.Partitions[0].Held,
		"partition's topic": l.Partitions[0].Topic, "error": l.RecentErrors[0].Text, "error's topic": l.RecentErrors[0].Topic,
		"level": l.RecentErrors[0].Level, "dead letter": l.RecentDeadLetters[0].Text, "last failure": l.LastFailure.Text,
		"reason of dead letters": l.DeadLetterReasons[0].Text, "cause": p.Causes[0].Text,
		"silent": p.Silent[0], "copy": p.Copies[0].Name,
		"version of a copy": p.Copies[0].Version, "copy of a partition": l.Partitions[0].Copy,
		"provider's key, in the title": p.ProviderKey,
	} {
		if !strings.Contains(whole, text) {
			t.Errorf("the %s is not shown as it is", name)
		}
	}
}

func TestThePolicyLetsNothingElseRun(t *testing.T) {
	url, _ := serve(t, busy())
	tb := open(t, url, desk)
	tb.until("it runs", thereAre(3))
	tb.expectErrors()
	tb.do(chromedp.Evaluate[chromedp.Void](`(() => {
		const s = document.createElement('script'); s.textContent = 'window.pwned = 1'; document.body.append(s);
		const i = document.createElement('div'); i.setAttribute('onclick', 'window.pwned = 2');
		document.body.append(i); i.click();
	})()`))
	if eval[bool](tb, "'pwned' in window") {
		t.Error("the policy lets a script run that is not the page's")
	}
	for _, expression := range []string{
		"fetch('http://127.0.0.2:1/').then(() => 'came', (e) => 'refused')",
		"new Promise((done) => { document.addEventListener('securitypolicyviolation', (e) => done(e.effectiveDirective), { once: true }); fetch('https://example.com/').catch(() => {}); })",
	} {
		got := run(tb, chromedp.Evaluate[string](expression, chromedp.EvalAwaitPromise))
		if got != "refused" && got != "connect-src" {
			t.Errorf("a request to elsewhere: %q", got)
		}
	}
}

// narrow is the JavaScript for the elements that reach beyond the right edge.
const narrow = `(() => {
	const width = document.documentElement.clientWidth;
	const wide = [...document.querySelectorAll('body *')].filter((e) => !e.closest('.sr') && e.getClientRects().length &&
		e.getBoundingClientRect().right > width + 0.5 && getComputedStyle(e).position !== 'absolute' && !e.closest('thead'));
	return [document.documentElement.scrollWidth > width ? 'it scrolls sideways' : '',
		...wide.slice(0, 5).map((e) => e.tagName + '.' + e.className + '#' + e.id)].filter(Boolean);
})()`

func TestAPhoneShowsAllOfIt(t *testing.T) {
	for name, p := range map[string]status.Provider{"usual": busy(), "long names and many links": many(),
		"hostile": hostile(), "none": {ProviderKey: "k"}} {
		t.Run(name, func(t *testing.T) {
			url, _ := serve(t, p)
			for _, width := range []int64{390, 320, 760, 1024} {
				tb := open(t, url, view{width: width, height: 844, scale: 1})
				tb.until("it is there", thereAre(len(p.Links))+" && document.querySelector('#updated').textContent")
				if wide := eval[[]string](tb, narrow); len(wide) > 0 {
					t.Errorf("at %d pixels: %v", width, wide)
				}
			}
		})
	}
}

func TestOnAPhoneWhatIsWrongStandsAboveTheCharts(t *testing.T) {
	url, _ := serve(t, busy())
	tb := open(t, url, phone)
	tb.until("it is there", thereAre(3))
	if !eval[bool](tb, "document.querySelector('#links').getBoundingClientRect().top < document.querySelector('#charts').getBoundingClientRect().top") {
		t.Error("the charts come first")
	}
	if roles := eval[[]string](tb,
		"['#links-table', '#links', '#links tr', '#links th', '#links td'].map((s) => document.querySelector(s).getAttribute('role'))"); !slices.Equal(roles, []string{"table", "rowgroup", "row", "rowheader", "cell"}) {
		t.Errorf("as cards, the table has the roles %v", roles)
	}
}

// contrasts is the JavaScript for texts whose contrast with their ground is below WCAG's 4.5 (level AA).
const contrasts = `(() => {
	const canvas = new OffscreenCanvas(1, 1).getContext('2d', { willReadFrequently: true });
	const rgb = (c) => {
		canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = c; canvas.fillRect(0, 0, 1, 1);
		return [...canvas.getImageData(0, 0, 1, 1).data];
	};
	const light = ([r, g, b]) => [r, g, b].map((v) => v / 255)
		.map((v) => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
		.reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
	const ground = (e) => {
		for (; e; e = e.parentElement) {
			const c = rgb(getComputedStyle(e).backgroundColor);
			if (c[3] === 255) return c;
		}
		return [255, 255, 255];
	};
	const bad = [];
	for (const e of document.querySelectorAll('body *')) {
		const own = [...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
		if (!own || !e.getClientRects().length || e.tagName === 'SCRIPT' || e.tagName === 'STYLE') continue;
		const style = getComputedStyle(e);
		const a = light(rgb(e.namespaceURI.endsWith('svg') ? style.fill : style.color)), b = light(ground(e));
		const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
		if (ratio < 4.5) bad.push(
			e.tagName + '.' + (e.getAttribute('class') || '') + ' ' + ratio.toFixed(2) + ' ' +
			e.textContent.trim().slice(0, 30));
	}
	return bad;
})()`

func TestTextsAreLegibleInTheLightAndInTheDark(t *testing.T) {
	url, _ := serve(t, busy())
	grounds := map[bool]string{}
	for _, v := range []view{desk, night} {
		tb := open(t, url, v)
		tb.until("it is there", thereAre(3))
		if bad := eval[[]string](tb, contrasts); len(bad) > 0 {
			t.Errorf("dark %t: too little contrast: %v", v.dark, bad)
		}
		grounds[v.dark] = eval[string](tb, "getComputedStyle(document.body).backgroundColor")
	}
	if grounds[true] == grounds[false] {
		t.Errorf("the dark is as the light: %v", grounds)
	}
}

func TestEverythingHasAName(t *testing.T) {
	url, _ := serve(t, many())
	tb := open(t, url, desk)
	tb.until("it is there", thereAre(33))
	nameless := eval[[]string](tb,
		`[...document.querySelectorAll('button, input, a, svg, table, section')].filter((e) => !(e.getAttribute('aria-label') || e.getAttribute('aria-labelledby') || e.textContent.trim()) && e.getClientRects().length).map((e) => e.outerHTML.slice(0, 80))`)
	if len(nameless) > 0 {
		t.Errorf("without a name: %v", nameless)
	}
	headings := eval[[]string](tb, "[...document.querySelectorAll('h1, h2')].filter((e) => e.getClientRects().length).map((e) => e.tagName)")
	if !slices.Equal(headings, []string{"H1", "H2", "H2", "H2", "H2", "H2"}) {
		t.Errorf("headings %v", headings)
	}
	tb.do(chromedp.SendKeys(chromedp.CSS("#filter"), "number-17"))
	tb.until("the filter leaves one",
		thereAre(1)+" && document.querySelector('#links-count').textContent === '1 of 33'")
}
