package letters

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/messaging-kafka/messaging-kafka/internal/base/text"
	"github.com/messaging-kafka/messaging-kafka/internal/engine/browse"
)

// Line is the JSON form of a letter: that of its record, and what its headers say.
type Line struct {
	browse.Line
	Letter LineLetter `json:"letter"`
}

// LineLetter is the JSON form of what the headers of a letter say.
type LineLetter struct {
	Reason       string      `json:"reason"`
	Origin       *LineOrigin `json:"origin"`
	Group        string      `json:"group,omitempty"`
	Component    string      `json:"component,omitempty"`
	Attempts     int64       `json:"attempts"`
	Redrives     int         `json:"redrives"`
	RedrivenFrom string      `json:"redriven_from,omitempty"`
}

// LineOrigin is the JSON form of where a letter comes from.
type LineOrigin struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Offset    int64  `json:"offset"`
	Timestamp int64  `json:"timestamp"`
}

// NewLine makes the JSON form of a letter.
func NewLine(l *Letter, asHex bool) Line {
	line := Line{Line: browse.NewLine(l.Record, asHex), Letter: LineLetter{
		Reason: l.Reason, Group: l.Group, Component: l.Component, Attempts: l.Attempts,
		Redrives: l.Redrives, RedrivenFrom: l.RedrivenFrom,
	}}
	if l.Origin.Topic != "" {
		line.Letter.Origin = &LineOrigin{l.Origin.Topic, l.Origin.Partition, l.Origin.Offset, l.Sent.UnixMilli()}
	}
	return line
}

const (
	// page is how many letters are aligned with each other.
	page = 200
	// gap is the columns between two of the table.
	gap = 2
)

// Most bytes of a key and of a reason in a list.
const (
	mostKey    = 40
	mostReason = 300
)

// Table prints letters as a table, a page at a time.
type Table struct {
	out  io.Writer
	rows [][]string
	head bool
}

// NewTable makes a table that prints to out. Flush follows.
func NewTable(out io.Writer) *Table { return &Table{out: out} }

// Add adds a letter.
func (t *Table) Add(l *Letter) error {
	redrives := "-"
	if l.Redrives > 0 {
		redrives = fmt.Sprint(l.Redrives)
	}
	t.rows = append(t.rows, []string{
		browse.Position(l.Record), browse.ShowTime(l.Sent), origin(l), browse.Show(l.Key, false, mostKey),
		fmt.Sprint(l.Attempts), redrives, reason(l, mostReason),
	})
	if len(t.rows) < page {
		return nil
	}
	return t.Flush()
}

// Flush prints what is left.
func (t *Table) Flush() error {
	if !t.head && len(t.rows) > 0 {
		t.head = true
		t.rows = append([][]string{{"LETTER", "TIME", "FROM", "KEY", "ATTEMPTS", "REDRIVES", "REASON"}}, t.rows...)
	}
	var widths []int
	for _, row := range t.rows {
		widths = append(widths, make([]int, len(row)-len(widths))...)
		for i, value := range row {
			widths[i] = max(widths[i], text.Columns(value))
		}
	}
	for _, row := range t.rows {
		var line strings.Builder
		for i, value := range row {
			line.WriteString(value)
			if i < len(row)-1 {
				line.WriteString(strings.Repeat(" ", widths[i]-text.Columns(value)+gap))
			}
		}
		if _, err := fmt.Fprintln(t.out, line.String()); err != nil {
			return err
		}
	}
	t.rows = nil
	return nil
}

func origin(l *Letter) string {
	if l.Origin.Topic == "" {
		return "-"
	}
	return browse.Show(fmt.Appendf(nil, "%s/%d/%d", l.Origin.Topic, l.Origin.Partition, l.Origin.Offset), false, 0)
}

func reason(l *Letter, most int) string {
	if l.Reason == "" {
		return "-"
	}
	return browse.Show([]byte(l.Reason), false, most)
}

// Print prints all of a letter: what it is, its headers, its value, JSON over several lines.
func Print(out io.Writer, l *Letter, asHex bool) error {
	about := fmt.Sprintf("letter     %s\nfrom       %s, group %s\ntime       %s\nreason     %s\nattempts   %d", browse.Show([]byte(l.place()), false, 0),
		origin(l), browse.Show([]byte(cmp.Or(l.Group, "-")), false, 0), browse.ShowTime(l.Sent), reason(l, 0), l.Attempts)
	if l.Component != "" {
		about += ", by " + browse.Show([]byte(l.Component), false, 0)
	}
	if l.Redrives > 0 {
		about += fmt.Sprintf("\nredriven   %d times before, last from %s", l.Redrives,
			browse.Show([]byte(l.RedrivenFrom), false, 0))
	}
	if _, err := fmt.Fprintf(out, "%s\nkey        %s\nheaders\n", about, browse.Show(l.Key, asHex, 0)); err != nil {
		return err
	}
	if err := browse.PrintHeaders(out, l.Record, browse.Options{Hex: asHex}); err != nil {
		return err
	}
	value := browse.Show(l.Value, asHex, 0)
	var indented bytes.Buffer
	if !asHex && json.Indent(&indented, l.Value, "    ", "  ") == nil && bytes.ContainsRune(indented.Bytes(), '\n') {
		lines := strings.Split(indented.String(), "\n")
		for i := range lines {
			lines[i] = browse.Show([]byte(lines[i]), false, 0)
		}
		value = strings.Join(lines, "\n")
	}
	_, err := fmt.Fprintf(out, "value\n    %s\n", value)
	return err
}

// mostReasons is how many reasons are told apart; the letters of others are one group.
const mostReasons = 1000

// Reasons counts letters by their reasons.
type Reasons struct {
	counts map[string]int
	others int
}

// NewReasons counts letters by their reasons.
func NewReasons() *Reasons { return &Reasons{counts: make(map[string]int)} }

// Add counts a letter.
func (g *Reasons) Add(l *Letter) {
	text := reason(l, mostReason)
	if _, known := g.counts[text]; !known && len(g.counts) == mostReasons {
		g.others++
		return
	}
	g.counts[text]++
}

// ReasonCount is how many letters have a reason. Reason is "" for those of all reasons that were too many to be told
// apart.
type ReasonCount struct {
	Letters int    `json:"letters"`
	Reason  string `json:"reason"`
}

// Counts are the reasons, the most frequent ones first.
func (g *Reasons) Counts() []ReasonCount {
	counts := make([]ReasonCount, 0, len(g.counts)+1)
	for _, text := range slices.Sorted(maps.Keys(g.counts)) {
		counts = append(counts, ReasonCount{g.counts[text], text})
	}
	slices.SortStableFunc(counts, func(a, b ReasonCount) int { return cmp.Compare(b.Letters, a.Letters) })
	if g.others > 0 {
		counts = append(counts, ReasonCount{g.others, ""})
	}
	return counts
}

// Print prints the reasons.
func (g *Reasons) Print(out io.Writer) error {
	for _, c := range g.Counts() {
		text := c.Reason
		if text == "" {
			text = "(other reasons)"
		}
		if _, err := fmt.Fprintf(out, "%8d  %s\n", c.Letters, text); err != nil {
			return err
		}
	}
	return nil
}
