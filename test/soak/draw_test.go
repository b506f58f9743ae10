package soak

import (
	"math"
	"strings"
	"testing"
	"time"
)

func TestThePlotInTextShowsTheMostOfEachTime(t *testing.T) {
	r := &Run{Every: time.Second, Spans: []Span{{Load, 0, 95 * time.Second}}}
	for i := range textWidth {
		a := Unknown()
		if i != 40 {
			a[Goroutines] = float64(i)
		}
		r.Samples = append(r.Samples, Sample{time.Duration(i) * time.Second, a})
	}
	var b strings.Builder
	if err := WriteText(&b, r); err != nil {
		t.Fatal(err)
	}
	_, plot, ok := strings.Cut(b.String(), "goroutines: at most 95\n")
	if !ok {
		t.Fatalf("no plot of the goroutines:\n%s", &b)
	}
	rows := strings.Split(plot, "\n")[:textHeight]
	top, bottom := []rune(rows[0]), []rune(rows[textHeight-1])
	if last := top[len(top)-1]; last != '█' {
		t.Errorf("the highest column ends with %q", last)
	}
	if bottom[3] != ' ' || bottom[4] == ' ' {
		t.Errorf("nothing and a little are drawn as %q and %q", bottom[3], bottom[4])
	}
	if strings.Count(rows[textHeight-1], " ") < 3 {
		t.Error("the time without a sample is not empty")
	}
	if !strings.Contains(b.String(), "|load") || !strings.Contains(b.String(), "(1m35s)") {
		t.Errorf("the phases or the time are missing:\n%s", &b)
	}
}

func TestEveryGaugeIsDrawn(t *testing.T) {
	for name, r := range map[string]*Run{"a whole run": steady(), "an empty run": {},
		"one sample": {Samples: []Sample{{0, Unknown()}}}} {
		var b strings.Builder
		if err := WriteSVG(&b, r); err != nil {
			t.Fatal(err)
		}
		for _, g := range Gauges() {
			if !strings.Contains(b.String(), ">"+g.String()+"<") {
				t.Errorf("%s: %v is not drawn", name, g)
			}
		}
		if lines := strings.Count(b.String(), "<polyline"); name == "a whole run" && lines < int(gauges) {
			t.Errorf("%d lines for %d gauges", lines, gauges)
		}
	}
}

func TestTheTableHasALineForEachSample(t *testing.T) {
	a := Unknown()
	a[Goroutines], a[Waiting] = 7, math.Inf(1)
	var b strings.Builder
	if err := WriteCSV(&b, &Run{Samples: []Sample{{1500 * time.Millisecond, a}}}); err != nil {
		t.Fatal(err)
	}
	want := "\n1.5,,,,,7,,,,,,,,+Inf\n"
	if got := b.String(); !strings.HasSuffix(got, want) || strings.Count(got, ",") != 2*int(gauges) {
		t.Errorf("got %q, want the end %q", got, want)
	}
}
