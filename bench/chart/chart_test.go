package chart

import (
	"encoding/xml"
	"errors"
	"io"
	"math"
	"strings"
	"testing"
)

// drawn counts the elements of a drawing, and returns its texts.
func drawn(t *testing.T, c Chart) (elements map[string]int, texts string) {
	t.Helper()
	var b strings.Builder
	if err := Write(&b, c); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(b.String(), "NaN") || strings.Contains(b.String(), "Inf") || strings.Contains(b.String(), "%!") {
		t.Errorf("the drawing has what is no number:\n%s", &b)
	}
	elements = make(map[string]int)
	for d := xml.NewDecoder(strings.NewReader(b.String())); ; {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return elements, texts
		}
		if err != nil {
			t.Fatalf("%v:\n%s", err, &b)
		}
		switch token := token.(type) {
		case xml.StartElement:
			elements[token.Name.Local]++
		case xml.CharData:
			texts += string(token)
		}
	}
}

func TestADrawingHasAllThatIsSaid(t *testing.T) {
	points := []Point{{X: 0, Y: 10, Low: 8, High: 12}, {X: 1, Y: math.NaN()}, {X: 2, Y: 900}}
	for name, logarithmic := range map[string]bool{"linear": false, "logarithmic": true} {
		elements, texts := drawn(t, Chart{Title: "a chart", Note: "a note", Columns: 2, Panels: []Panel{
			{Title: "one", Width: 300, Height: 200, To: 2, Logarithmic: logarithmic, Lines: []Line{
				{Name: "a line", Colour: "#777", Points: points}, {Name: "another", Dashed: true},
			}, Marks: []Mark{{From: 0, To: 2, Name: "a time", Shaded: true}, {From: 1, To: 1, Name: "a place"}}},
			{Title: "empty", Width: 300, Height: 200, Logarithmic: logarithmic},
		}})
		if elements["polyline"] != 2 || elements["g"] != 2 { // the line has a gap
			t.Errorf("%s: %v", name, elements)
		}
		for _, want := range []string{"a chart", "a note", "one", "empty", "a line", "another", "a time", "a place"} {
			if !strings.Contains(texts, want) {
				t.Errorf("%s: no %q among %q", name, want, texts)
			}
		}
		if strings.Contains(texts, "1000") != logarithmic {
			t.Errorf("%s: the powers of ten are %q", name, texts)
		}
	}
}
