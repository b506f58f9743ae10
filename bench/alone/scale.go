package alone

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/messaging-kafka/messaging-kafka/bench"
)

// What grows.
const (
	Links      = "links"
	Partitions = "partitions"
	Copies     = "copies"
)

// ScaleReport is what a run finds out about the provider's size.
type ScaleReport struct {
	Started time.Time     `json:"started"`
	Version string        `json:"version"`
	Machine bench.Machine `json:"machine"`
	Goals   []bench.Goal  `json:"goals"`
	Points  []Point       `json:"points"`
	Slopes  []Slope       `json:"slopes"`
	Start   Start         `json:"start"`
}

// Point is one size, with what one copy of the provider takes for it.
type Point struct {
	Of string `json:"of"`
	N  int    `json:"n"`
	// Links, Partitions and Copies are all that there are: links, partitions of all topics, copies of the provider.
	Links      int `json:"links"`
	Partitions int `json:"partitions"`
	Copies     int `json:"copies"`
	// Ready is the milliseconds from the start of the first copy until the component has had a record of each
	// partition.
	Ready float64 `json:"ready_ms"`
	// Memory, in MiB, is what is resident; the rest is as it says. All are of one copy, idle, on average.
	Memory      float64 `json:"memory_mib"`
	Goroutines  float64 `json:"goroutines"`
	Descriptors float64 `json:"descriptors"`
	// Idle is the milliseconds of CPU that one copy takes for each second in which nothing comes.
	Idle float64 `json:"idle_ms_per_s"`
}

// Slope is what each further one costs, between the two largest sizes and over the smaller ones.
type Slope struct {
	Of     string  `json:"of"`
	What   string  `json:"what"`
	Unit   string  `json:"unit"`
	Each   float64 `json:"each"`   // from the second largest size to the largest
	Before float64 `json:"before"` // from the smallest size to the second largest
}

// Start is how the program starts.
type Start struct {
	Starts int `json:"starts"`
	// Healthy is the milliseconds from the start of the process until it answers that it is healthy, and OneLink the
	// same with a link that reads a topic.
	Healthy bench.Spread `json:"healthy_ms"`
	OneLink bench.Spread `json:"one_link_ms"`
}

// figures are what is looked at of each point.
var figures = []struct {
	what, unit string
	of         func(Point) float64
	// noise is how much of the unit two measurements of the same thing may differ by.
	noise float64
}{
	{"memory", "KiB", func(p Point) float64 { return p.Memory * 1024 }, 8192},
	{"goroutines", "", func(p Point) float64 { return p.Goroutines }, 10},
	{"descriptors", "", func(p Point) float64 { return p.Descriptors }, 10},
	{"time to ready", "ms", func(p Point) float64 { return p.Ready }, 1000},
	{"idle CPU", "ms/s", func(p Point) float64 { return p.Idle }, 10},
}

// tolerance is how much more each further one may cost at the end than before it and still count as linear.
const tolerance = 1.25

// Judge sets slopes and goals.
func (r *ScaleReport) Judge() {
	r.Slopes, r.Goals = nil, nil
	for _, of := range []string{Links, Partitions} {
		points := r.pointsOf(of)
		if len(points) < 3 {
			continue
		}
		first, middle, last := points[0], points[len(points)-2], points[len(points)-1]
		linear := true
		for _, f := range figures {
			slope := Slope{
				Of: of, What: f.what, Unit: f.unit,
				Each:   (f.of(last) - f.of(middle)) / float64(last.N-middle.N),
				Before: (f.of(middle) - f.of(first)) / float64(middle.N-first.N),
			}
			r.Slopes = append(r.Slopes, slope)
			expected := f.of(middle) + tolerance*max(slope.Before, 0)*float64(last.N-middle.N)
			linear = linear && f.of(last) <= expected+f.noise
		}
		r.Goals = append(r.Goals, bench.Goal{
			Text:  fmt.Sprintf("%s, %d to %d: nothing grows faster than they do", of, first.N, last.N),
			Value: float64(last.N), Reached: linear,
		})
	}
	s := &r.Start
	r.Goals = append(r.Goals,
		bench.Goal{Text: fmt.Sprintf("from the start to healthy under %d ms", goalStart), Value: s.Healthy.Median,
			Reached: s.Starts > 0 && s.Healthy.Median < goalStart})
}

func (r *ScaleReport) pointsOf(of string) []Point {
	var points []Point
	for _, p := range r.Points {
		if p.Of == of {
			points = append(points, p)
		}
	}
	return points
}

// Print prints the report for a person to read.
func (r *ScaleReport) Print(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "\nThe provider's size, for each copy of it and while nothing comes. Kafka is a stand-in of the benchmark. %s, %d cores.\n\n", r.Machine.CPU, r.Machine.Cores)
	table := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "copies\tlinks\tpartitions\tready ms\tmemory MiB\tgoroutines\tdescriptors\tidle CPU ms/s")
	for _, p := range r.Points {
		fmt.Fprintf(table, "%d\t%d\t%d\t%.0f\t%.1f\t%.0f\t%.0f\t%.1f\n", p.Copies, p.Links, p.Partitions, p.Ready, p.Memory,
			p.Goroutines, p.Descriptors, p.Idle)
	}
	fmt.Fprintln(table)
	fmt.Fprintln(table, "each further one of\tcosts at the end\tand before\tof")
	for _, s := range r.Slopes {
		fmt.Fprintf(table, "%s\t%.3g %s\t%.3g %s\t%s\n", s.Of, s.Each, s.Unit, s.Before, s.Unit, s.What)
	}
	fmt.Fprintln(table)
	fmt.Fprintf(table, "start to healthy, ms\t%s\n", r.Start.Healthy.Text(1))
	fmt.Fprintf(table, "with a link that reads\t%s\n\n", r.Start.OneLink.Text(1))
	if err := printGoals(table, r.Goals); err != nil {
		return err
	}
	_, err := io.WriteString(w, b.String())
	return err
}
