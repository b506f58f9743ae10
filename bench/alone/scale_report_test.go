package alone

import (
	"strings"
	"testing"

	"github.com/messaging-kafka/messaging-kafka/bench"
)

// grown makes a report whose last point has so much memory in MiB.
func grown(last float64) ScaleReport {
	r := ScaleReport{Start: Start{Starts: 1, Healthy: bench.Spread{Median: 99}}}
	for _, p := range []Point{{N: 1, Memory: 20}, {N: 100, Memory: 119}, {N: 500, Memory: last}} {
		p.Of, p.Links, p.Partitions, p.Copies = Links, p.N, p.N, 1
		r.Points = append(r.Points, p)
	}
	r.Judge()
	return r
}

func TestGrowthIsLinearOrBetter(t *testing.T) {
	for _, test := range []struct {
		name   string
		memory float64
		want   bool
	}{
		{"less than before", 200, true},
		{"as before", 519, true},
		{"just within the tolerance", 119 + 500 + 8, true},
		{"faster", 119 + 500 + 9, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := grown(test.memory)
			if got := r.Goals[0].Reached; got != test.want {
				t.Errorf("reached: %t", got)
			}
			if s := r.Slopes[0]; s.What != "memory" || s.Before != 1024 || s.Each != (test.memory-119)/400*1024 {
				t.Errorf("%+v", s)
			}
		})
	}
}

func TestTheStartHasAGoal(t *testing.T) {
	r := grown(100)
	if goals := r.Goals[1:]; len(goals) != 1 || !goals[0].Reached {
		t.Errorf("%+v", goals)
	}
	r.Start = Start{Starts: 1, Healthy: bench.Spread{Median: 100}}
	r.Judge()
	if goals := r.Goals[1:]; goals[0].Reached {
		t.Errorf("%+v", goals)
	}
	r.Start = Start{}
	r.Judge()
	if goals := r.Goals[1:]; goals[0].Reached {
		t.Errorf("nothing was measured: %+v", goals)
	}
}

func TestAScaleReportIsPrinted(t *testing.T) {
	r := grown(519)
	var out strings.Builder
	if err := r.Print(&out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"memory MiB", "519.0", "goroutines", "reached"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in:\n%s", want, out.String())
		}
	}
}
