package overview

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/messaging-kafka/messaging-kafka/internal/observe/status"
)

// Style says how a table is written.
type Style struct {
	// Colour has states in colour, by ANSI's sequences.
	Colour bool
	// Width cuts rows to so many characters; 0 leaves them as long as they are.
	Width int
	// Wrap breaks reasons, which are sentences, into lines of so many characters; 0 does not.
	Wrap int
}

// Table is the answer for a person: a table of links for each provider.
func Table(w io.Writer, a *Answer, style Style) error {
	p := &printer{style: style}
	for i := range a.Providers {
		if i > 0 {
			p.line("")
		}
		p.provider(&a.Providers[i])
	}
	if len(a.Silent) > 0 && len(a.Providers) > 0 {
		p.line("")
	}
	for _, text := range a.Silent {
		p.line(p.paint(bad, "no answer") + "  " + plain(text))
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
	text  strings.Builder
}

// paint colours a text. Sequences have no width, which line knows.
func (p *printer) paint(colour, text string) string {
	if !p.style.Colour || colour == "" || text == "" {
		return text
	}
	return "\x1b[" + colour + "m" + text + "\x1b[0m"
}

// line writes a line, cut to the width.
func (p *printer) line(text string) {
	p.text.WriteString(cut(strings.TrimRight(text, " "), p.style.Width))
	p.text.WriteByte('\n')
}

// cut leaves at most width characters, sequences of colour not counted. Characters are taken as one column wide.
func cut(text string, width int) string {
	if width <= 0 || visible(text) <= width {
		return text
	}
	var b strings.Builder
	n := 0
	for i := 0; i < len(text); {
		if end := sequence(text[i:]); end > 0 {
			b.WriteString(text[i : i+end])
			i += end
			continue
		}
		r, size := utf8.DecodeRuneInString(text[i:])
		if n == width-1 {
			b.WriteString("…")
		} else if n < width {
			b.WriteRune(r)
		}
		n++
		i += size
	}
	return b.String()
}

// sequence is the length of the colour sequence at the start of text, 0 where there is none.
func sequence(text string) int {
	if !strings.HasPrefix(text, "\x1b[") {
		return 0
	}
	return strings.IndexByte(text, 'm') + 1
}

func visible(text string) int {
	n := 0
	for i := 0; i < len(text); {
		if end := sequence(text[i:]); end > 0 {
			i += end
			continue
		}
		_, size := utf8.DecodeRuneInString(text[i:])
		n++
		i += size
	}
	return n
}

func (p *printer) provider(s *status.Provider) {
	sick := 0
	for i := range s.Links {
		if s.Links[i].State.Ill() {
			sick++
		}
	}
	total := fmt.Sprintf("%d links", len(s.Links))
	if len(s.Links) == 1 {
		total = "1 link"
	}
	said, colour := total+", all healthy", good
	switch {
	case sick > 0:
		said, colour = fmt.Sprintf("%d of %s not healthy", sick, total), bad
	case !s.Healthy && !slices.ContainsFunc(s.Links, func(l status.Link) bool { return l.State != status.Healthy }):
		said, colour = "not healthy", bad
	case slices.ContainsFunc(s.Links, func(l status.Link) bool { return l.State != status.Healthy }):
		said, colour = total+", not all of them ready", wait
	case len(s.Links) == 0:
		said, colour = "no links", ""
	}
	p.line(fmt.Sprintf("%s  %s", p.paint(bold, plain(s.ProviderKey)), p.paint(colour, said)))
	p.line(p.paint(faint, fmt.Sprintf("lattice %s, host %s, version %s, up %s%s",
		plain(s.Lattice), plain(s.HostID), plain(s.Version), ageWord(s.Time.Sub(s.Started)), memoryWords(&s.Memory))))
	for _, own := range s.Problems {
		p.sentence(bad, plain(own.Text))
	}
	if len(s.Problems) == 0 && sick == 0 && !s.Healthy && s.Message != "" && colour == bad {
		p.sentence(bad, plain(s.Message))
	}
	if len(s.Links) > 0 {
		p.line("")
		p.links(s)
	}
	if o := s.Omitted; o != nil {
		p.line(p.paint(faint, fmt.Sprintf("left out, for the answer was too long: %d links, %d partitions, %d events",
			o.Links, o.Partitions, o.Events)))
	}
}

// columns of the table of links. All but the first two are numbers.
var columns = []string{"STATE", "LINK", "IN/S", "OUT/S", "HANDLE P99", "IN FLIGHT", "WAITING", "LAG", "BEHIND", "FOR"}

func cells(l *status.Link, now time.Time) []string {
	return []string{
		stateWord(l.State), plain(l.ID()), rateWord(l.Rates.In), rateWord(l.Rates.Out), optionalSeconds(l.Rates.HandleP99),
		countWord(int64(l.InFlight)), countWord(int64(l.Waiting)), lagWord(l), behindWord(l), ageWord(now.Sub(l.Since)),
	}
}

func (p *printer) links(s *status.Provider) {
	links := slices.Clone(s.Links)
	urgency := map[status.State]int{status.Unhealthy: -4, status.Failing: -3, status.Starting: -2, status.Stopping: -1}
	slices.SortStableFunc(links, func(a, b status.Link) int {
		return cmp.Or(cmp.Compare(urgency[a.State], urgency[b.State]), cmp.Compare(a.ID(), b.ID()))
	})
	rows := [][]string{columns}
	for i := range links {
		rows = append(rows, cells(&links[i], s.Time))
	}
	widths := make([]int, len(columns))
	for _, row := range rows {
		for i, text := range row {
			widths[i] = max(widths[i], visible(text))
		}
	}
	for n, row := range rows {
		var b strings.Builder
		for i, text := range row {
			padding := strings.Repeat(" ", widths[i]-visible(text))
			if n == 0 {
				text = p.paint(faint, text)
			} else if i == 0 {
				text = p.paint(stateColour(links[n-1].State), text)
			}
			if i > 1 {
				b.WriteString(padding + text)
			} else {
				b.WriteString(text + padding)
			}
			b.WriteString("  ")
		}
		p.line(b.String())
		if n == 0 {
			continue
		}
		p.details(&links[n-1])
	}
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

// details are the lines below a link: why it is not well, and which partitions stand still.
func (p *printer) details(l *status.Link) {
	if l.Reason != "" && l.Reason != string(l.State) {
		p.sentence(stateColour(l.State), plain(l.Reason))
	}
	if l.Advice != "" {
		p.sentence(wait, plain(l.Advice))
	}
	for i := range l.Partitions {
		if part := &l.Partitions[i]; part.Held != "" {
			p.sentence(bad, fmt.Sprintf("%s/%d stands still: %s", plain(part.Topic), part.Partition, plain(part.Held)))
		}
	}
}

// sentence writes a text below what it is about, in as many lines as it takes.
func (p *printer) sentence(colour, text string) {
	const indent = "  "
	line := ""
	for word := range strings.FieldsSeq(text) {
		if p.style.Wrap > 0 && line != "" && visible(indent+line+" "+word) > p.style.Wrap {
			p.line(indent + p.paint(colour, line))
			line = ""
		}
		line = strings.TrimPrefix(line+" "+word, " ")
	}
	p.line(indent + p.paint(colour, line))
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
	for _, text := range a.Silent {
		fmt.Fprintf(&b, "%s no_answer=%q\n", at, text)
	}
	_, err := io.WriteString(w, b.String())
	return err
}
