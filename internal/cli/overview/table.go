package overview

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/messaging-kafka/messaging-kafka/internal/base/text"
	"github.com/messaging-kafka/messaging-kafka/internal/observe/status"
)

// Style says how a table is written.
type Style struct {
	// Colour has states in colour, by ANSI's sequences.
	Colour bool
	// Width is how many columns there are: rows leave out what matters least until they fit, and sentences are broken
	// into lines. 0 leaves everything as long as it is.
	Width int
}

// Table is the answer for a person: a table of links for each provider.
func Table(w io.Writer, a *Answer, style Style) error {
	p := &printer{style: style, hosts: hostsOf(a)}
	for i := range a.Providers {
		if i > 0 {
			p.line("")
		}
		p.provider(&a.Providers[i])
	}
	if len(a.Silent) > 0 && len(a.Providers) > 0 {
		p.line("")
	}
	for _, said := range a.Silent {
		p.lines(p.paint(bad, "no answer")+"  ", "  ", "", plain(said))
	}
	_, err := io.WriteString(w, p.text.String())
	return err
}

// ANSI's colours of the first palette, which every terminal shows legibly on its own ground.
const (
	bad   = "31;1"
	wait  = "33"
	good  = "32"
	faint = "2"
	bold  = "1"
)

type printer struct {
	style Style
	hosts map[string]string // ids of hosts as they are told
	text  strings.Builder
}

// paint colours a text.
func (p *printer) paint(colour, said string) string {
	if !p.style.Colour || colour == "" || said == "" {
		return said
	}
	return "\x1b[" + colour + "m" + said + "\x1b[0m"
}

// line writes a line, cut to the width.
func (p *printer) line(said string) {
	p.text.WriteString(text.Cut(strings.TrimRight(said, " "), p.style.Width))
	p.text.WriteByte('\n')
}

// hostsOf are the ids of the hosts in short.
func hostsOf(a *Answer) map[string]string {
	ids := make([]string, len(a.Providers))
	for i := range a.Providers {
		ids[i] = a.Providers[i].HostID
	}
	return status.ShortHosts(ids)
}

func (p *printer) provider(s *status.Provider) {
	sick, paused, well := 0, 0, 0
	for i := range s.Links {
		switch state := s.Links[i].State; {
		case state.Ill():
			sick++
		case state == status.Paused:
			paused++
		case state == status.Healthy:
			well++
		}
	}
	one := s.Words.Link()
	total := fmt.Sprintf("%d %ss", len(s.Links), one)
	if len(s.Links) == 1 {
		total = "1 " + one
	}
	said, colour := total+", all healthy", good
	switch {
	case sick > 0:
		said, colour = fmt.Sprintf("%d of %s not healthy", sick, total), bad
	case !s.Healthy && well+paused == len(s.Links):
		said, colour = "not healthy", bad
	case well+paused < len(s.Links):
		said, colour = total+", not all of them ready", wait
	case paused > 0:
		said, colour = fmt.Sprintf("%d of %s paused", paused, total), wait
	case len(s.Links) == 0:
		said, colour = "no "+one+"s", ""
	}
	p.line(fmt.Sprintf("%s  %s", p.paint(bold, plain(s.ProviderKey)), p.paint(colour, said)))
	lattice := ""
	if s.Lattice != "" { // a bridge has none
		lattice = "lattice " + plain(s.Lattice) + ", "
	}
	p.wrapped(faint, fmt.Sprintf("%shost %s, version %s, up %s%s",
		lattice, plain(p.hosts[s.HostID]), plain(s.Version), ageWord(s.Time.Sub(s.Started)), memoryWords(&s.Memory)))
	d := details{printer: p, told: make(map[string]bool), causes: status.Causes(s.Links)}
	for _, own := range s.Problems {
		d.problem(bad, own, "")
	}
	if len(s.Problems) == 0 && sick == 0 && !s.Healthy && s.Message != "" && colour == bad {
		p.sentence(bad, plain(s.Message))
	}
	for i := range d.causes {
		d.problem(bad, d.causes[i].Problem, linkList(d.causes[i].Links))
	}
	if len(s.Links) > 0 {
		p.line("")
		p.links(s, &d)
	}
	if o := s.Omitted; o != nil {
		p.wrapped(faint, fmt.Sprintf("left out, for the answer was too long: %d %ss, %d partitions, %d events",
			o.Links, one, o.Partitions, o.Events))
	}
}

// linkList names some links, and how many more there are.
func linkList(links []string) string {
	const named = 3
	shown := make([]string, 0, named+1)
	for i, id := range links {
		if i == named && len(links) > named+1 {
			shown = append(shown, fmt.Sprintf("%d more", len(links)-named))
			break
		}
		shown = append(shown, plain(id))
	}
	return strings.Join(shown, ", ")
}

// column is one of the table of links.
type column struct {
	title string
	// need tells which columns stay where not all fit: those with the highest do.
	need   int
	number bool
	value  func(*status.Link) string // nil: what the table knows and a link does not
	colour func(*status.Link) string // nil: none
}

const (
	titleName = "LINK"
	titleAge  = "FOR"
	always    = 100 // the need of what is never left out
)

var columns = []column{
	{title: "STATE", need: always, value: func(l *status.Link) string { return stateWord(l.State) },
		colour: func(l *status.Link) string { return stateColour(l.State) }},
	{title: titleName, need: always},
	{title: "IN/S", need: 60, number: true, value: func(l *status.Link) string { return rateWord(l.Rates.In) }},
	{title: "OUT/S", need: 40, number: true, value: func(l *status.Link) string { return rateWord(l.Rates.Out) }},
	{title: "FAIL/S", need: 70, number: true, value: func(l *status.Link) string { return rateWord(l.Rates.Failures) },
		colour: func(l *status.Link) string { return colourIf(l.Rates.Failures > 0, bad) }},
	{title: "RETRY/S", need: 25, number: true, value: func(l *status.Link) string { return rateWord(l.Rates.Retries) },
		colour: func(l *status.Link) string { return colourIf(l.Rates.Retries > 0, wait) }},
	{title: "P99", need: 35, number: true,
		value: func(l *status.Link) string { return optionalSeconds(l.Rates.HandleP99) }},
	{title: "OLDEST CALL", need: 30, number: true, value: oldestCallWord},
	{title: "IN FLIGHT", need: 20, number: true,
		value: func(l *status.Link) string { return countWord(int64(l.InFlight)) }},
	{title: "WAITING", need: 10, number: true, value: func(l *status.Link) string { return countWord(int64(l.Waiting)) }},
	{title: "LAG", need: 90, number: true, value: lagWord, colour: lagColour},
	{title: "BEHIND", need: 80, number: true, value: behindWord, colour: lagColour},
	{title: titleAge, need: 50, number: true},
}

func colourIf(so bool, colour string) string {
	if so {
		return colour
	}
	return ""
}

// lagColour says by its colour how far a link is behind.
func lagColour(l *status.Link) string {
	switch s, known := l.LagSeconds(); {
	case known && s > status.LagFarSeconds:
		return bad
	case known && s > status.LagWarnSeconds:
		return wait
	default:
		return ""
	}
}

// gap is the space between two columns.
const gap = 2

func (p *printer) links(s *status.Provider, d *details) {
	links := slices.Clone(s.Links)
	urgency := map[status.State]int{
		status.Unhealthy: -5, status.Failing: -4, status.Starting: -3, status.Stopping: -2, status.Paused: -1,
	}
	slices.SortStableFunc(links, func(a, b status.Link) int {
		return cmp.Or(cmp.Compare(urgency[a.State], urgency[b.State]), cmp.Compare(a.ID(), b.ID()))
	})
	names := p.names(links)
	shown := slices.Clone(columns)
	rows := make([][]string, len(links)+1) // the first has the titles
	for _, c := range shown {
		title := c.title
		if title == titleName {
			title = strings.ToUpper(s.Words.Link())
		}
		rows[0] = append(rows[0], title)
		for i := range links {
			var value string
			switch {
			case c.value != nil:
				value = c.value(&links[i])
			case c.title == titleName:
				value = names[i]
			default:
				value = ageWord(s.Time.Sub(links[i].Since))
			}
			rows[i+1] = append(rows[i+1], value)
		}
	}
	shown, widths := p.fit(shown, rows)
	for n, row := range rows {
		var b strings.Builder
		for i, value := range row {
			padding := strings.Repeat(" ", max(0, widths[i]-text.Columns(value)))
			switch {
			case n == 0:
				value = p.paint(faint, value)
			case shown[i].colour != nil:
				value = p.paint(shown[i].colour(&links[n-1]), value)
			}
			if shown[i].number {
				value = padding + value
			} else {
				value += padding
			}
			b.WriteString(value + strings.Repeat(" ", gap))
		}
		p.line(b.String())
		if n > 0 {
			d.link(&links[n-1])
		}
	}
}

// names are those of the links in the table. Where room is short, they are no longer than it takes to tell them apart.
func (p *printer) names(links []status.Link) []string {
	short := make(map[string]int)
	name := func(l *status.Link) string { return l.Component + "/" + l.Name }
	for i := range links {
		short[name(&links[i])]++
	}
	names := make([]string, len(links))
	for i := range links {
		names[i] = plain(links[i].ID())
		if p.style.Width > 0 && short[name(&links[i])] == 1 {
			names[i] = plain(name(&links[i]))
		}
		if p.style.Width > 0 {
			names[i] = text.Cut(names[i], max(shortestName, p.style.Width*2/5))
		}
	}
	return names
}

// shortestName is what a link's name may take in any case.
const shortestName = 12

// fit takes out of rows the columns that matter least, until the others fit. It returns those, and their widths.
func (p *printer) fit(all []column, rows [][]string) (left []column, widths []int) {
	left = all
	for _, row := range rows {
		for i, value := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], text.Columns(value))
		}
	}
	for p.style.Width > 0 {
		total, least := -gap, 0
		for i := range left {
			total += widths[i] + gap
			if left[i].need < left[least].need {
				least = i
			}
		}
		if total <= p.style.Width || left[least].need == always {
			break
		}
		left, widths = slices.Delete(left, least, least+1), slices.Delete(widths, least, least+1)
		for i := range rows {
			rows[i] = slices.Delete(rows[i], least, least+1)
		}
	}
	return left, widths
}

func stateColour(s status.State) string {
	switch s {
	case status.Healthy:
		return good
	case status.Unhealthy, status.Failing:
		return bad
	default:
		return wait
	}
}

// details writes the lines below the rows of links. What was told once is not told again.
type details struct {
	*printer
	causes []status.Cause
	told   map[string]bool // sections of the runbook
}

// link says why a link is not well, and which partitions stand still.
func (d *details) link(l *status.Link) {
	colour := stateColour(l.State)
	switch {
	case len(l.Problems) > 0:
		for _, own := range l.Own(d.causes) {
			if own.Text != string(l.State) {
				d.problem(colour, own, "")
			}
		}
	case l.Reason != "" && l.Reason != string(l.State):
		d.sentence(colour, plain(l.Reason))
	}
	if l.Advice != "" {
		d.sentence(wait, plain(l.Advice))
	}
	if f := l.LastFailure; f != nil && l.Rates.Failures > 0 && !l.Problems.Has(status.ProblemFailing) {
		d.sentence(wait, fmt.Sprintf("last failure%s: %s", positionWords(f), plain(f.Text)))
	}
	if l.Problems.Has(status.ProblemHeld) {
		return // which says it
	}
	for i := range l.Partitions {
		if part := &l.Partitions[i]; part.Held != "" {
			d.sentence(bad, fmt.Sprintf("%s/%d stands still: %s", plain(part.Topic), part.Partition, plain(part.Held)))
		}
	}
}

// problem tells a problem, whose it is where that is not plain, and where the runbook says what to do about it.
func (d *details) problem(colour string, problem status.Problem, of string) {
	if of != "" {
		of = " (" + of + ")"
	}
	d.sentence(colour, plain(problem.Text)+of)
	if section := problem.Kind.Runbook(); problem.Kind != status.ProblemStarting && !d.told[section] {
		d.told[section] = true
		d.sentence(faint, "→ docs/operations.md#"+section)
	}
}

// positionWords say which record an event is about.
func positionWords(e *status.Event) string {
	if e.Topic == "" || e.Partition == nil || e.Offset == nil {
		return ""
	}
	return fmt.Sprintf(" (%s/%d, offset %d)", plain(e.Topic), *e.Partition, *e.Offset)
}

// sentence writes a text below what it is about, in as many lines as it takes.
func (p *printer) sentence(colour, said string) { p.lines("  ", "  ", colour, said) }

// wrapped does so without standing below anything.
func (p *printer) wrapped(colour, said string) { p.lines("", "", colour, said) }

// lines writes a text in as many lines as it takes, with something before the first and before the others.
func (p *printer) lines(before, indent, colour, said string) {
	line := ""
	for word := range strings.FieldsSeq(said) {
		if p.style.Width > 0 && line != "" && text.Columns(before+line+" "+word) > p.style.Width {
			p.line(before + p.paint(colour, line))
			before, line = indent, ""
		}
		for room := p.style.Width - text.Columns(before); p.style.Width > 0 && line == "" && text.Columns(word) > room; {
			head := headOf(word, room)
			p.line(before + p.paint(colour, head))
			before, word = indent, strings.TrimPrefix(word, head)
			room = p.style.Width - text.Columns(before)
		}
		line = strings.TrimPrefix(line+" "+word, " ")
	}
	p.line(before + p.paint(colour, line))
}

// headOf is as much of a word as has room, one character at least.
func headOf(word string, room int) string {
	keep := 0
	for i := range word {
		if keep > 0 && text.Columns(word[:i]) > room {
			return word[:keep]
		}
		keep = i
	}
	return word
}

// Lines is the answer as a line for each link and for each who did not answer, for logs and programs that read lines.
func Lines(w io.Writer, a *Answer) error {
	var b strings.Builder
	at := a.Time.Format(time.RFC3339)
	for i := range a.Providers {
		p := &a.Providers[i]
		for j := range p.Links {
			l := &p.Links[j]
			fmt.Fprintf(&b, "%s provider=%s host=%s link=%q state=%s in=%s/s out=%s/s in_flight=%d waiting=%d", at,
				plain(p.ProviderKey), plain(p.HostID),
				l.ID(), plain(string(l.State)), rateWord(l.Rates.In), rateWord(l.Rates.Out), l.InFlight, l.Waiting)
			if n, known := l.Lag(); known {
				fmt.Fprintf(&b, " lag=%d", n)
			}
			if s, known := l.LagSeconds(); known {
				fmt.Fprintf(&b, " lag_seconds=%.3g", s)
			}
			if s := l.Rates.HandleP99; s != nil {
				fmt.Fprintf(&b, " handle_p99_seconds=%.3g", *s)
			}
			if l.Rates.Failures > 0 || l.Rates.Retries > 0 {
				fmt.Fprintf(&b, " failures=%s/s retries=%s/s", rateWord(l.Rates.Failures), rateWord(l.Rates.Retries))
			}
			if l.OldestCallSeconds > 0 {
				fmt.Fprintf(&b, " oldest_call_seconds=%.3g", l.OldestCallSeconds)
			}
			if l.Reason != "" {
				fmt.Fprintf(&b, " reason=%q", l.Reason)
			}
			if l.Advice != "" {
				fmt.Fprintf(&b, " advice=%q", l.Advice)
			}
			b.WriteByte('\n')
		}
		if len(p.Links) == 0 {
			fmt.Fprintf(&b, "%s provider=%s host=%s links=0 healthy=%t\n", at, plain(p.ProviderKey), plain(p.HostID), p.Healthy)
		}
	}
	for _, said := range a.Silent {
		fmt.Fprintf(&b, "%s no_answer=%q\n", at, said)
	}
	_, err := io.WriteString(w, b.String())
	return err
}
