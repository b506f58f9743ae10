//go:build bench

package alone

import (
	"cmp"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
	"text/tabwriter"

	"github.com/messaging-kafka/messaging-kafka/bench"
	"github.com/messaging-kafka/messaging-kafka/bench/rig"
)

var (
	programA = flag.String("a", "", "provider `program` to compare")
	programB = flag.String("b", "", "provider `program` to compare it with")
	envB     = flag.String("env-b", "", "`KEY=VALUE,...`, the environment of the second one")
	linkB    = rig.Settings{}
	abWays   = flag.String("ways", strings.Join([]string{Handle, Publish, Echo, Request}, ","), "ways to compare")
	abFlight = flag.String("in-flight", "1,64", "numbers in flight to compare")
	abSize   = flag.Int("size", ordinarySize, "bytes of each value")
)

func init() { flag.Var(linkB, "link-b", "`key=value`, a setting of the second one's links") }

// TestAB compares two providers that run side by side and are loaded in turns.
func TestAB(t *testing.T) {
	if *programA == "" || *programB == "" {
		t.Fatal("want -a and -b")
	}
	flights := parseNumbers(t, *abFlight)
	second := subject{key: "b", binary: *programB, settings: linkB}
	if *envB != "" {
		second.env = strings.Split(*envB, ",")
	}
	b := setUp(t, flights, subject{key: "a", binary: *programA}, second)
	ways := strings.Split(*abWays, ",")
	say("warming up")
	for _, way := range ways {
		for _, p := range b.providers {
			b.load(way, p, Shape{flights[len(flights)-1], *abSize}, warmUp/2)
		}
	}
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "way\tin flight\ta /s\tb /s\tb/a rate\ta p50 ms\tb p50 ms\ta CPU µs\tb CPU µs\tb/a CPU\ta allocs\tb allocs")
	for _, n := range flights {
		shape := Shape{n, *abSize}
		for _, way := range ways {
			b.compare(table, way, shape)
		}
	}
	if err := table.Flush(); err != nil {
		t.Error(err)
	}
}

// compare loads both in turns, the second one first in every other round.
func (b *bed) compare(table *tabwriter.Writer, way string, shape Shape) {
	b.t.Helper()
	of := [2][]Round{}
	for round := 1; round <= *rounds; round++ {
		for turn := range 2 {
			i := (turn + round) % 2
			p := b.providers[i]
			stop := b.profile(p, p.key+"-"+way, shape, round)
			of[i] = append(of[i], NewRound(way, shape, round, b.load(way, p, shape, *duration)))
			stop()
		}
	}
	rows := [2]Row{newRow(way, shape, of[0]), newRow(way, shape, of[1])}
	var cpu []float64
	for i, r := range of[1] {
		cpu = append(cpu, r.CPU[bench.Provider]/cmp.Or(of[0][i].CPU[bench.Provider], 1))
	}
	fmt.Fprintf(table, "%s\t%d\t%s\t%s\t%s\t%.3f\t%.3f\t%.1f\t%.1f\t%s\t%.1f\t%.1f\n", way, shape.InFlight,
		rows[0].PerSecond.Text(0), rows[1].PerSecond.Text(0), bench.SpreadOf(ratiosOf(of[1], of[0])).Text(3),
		rows[0].P50.Median, rows[1].P50.Median,
		rows[0].CPU[bench.Provider], rows[1].CPU[bench.Provider], bench.SpreadOf(cpu).Text(3),
		rows[0].Objects.Median, rows[1].Objects.Median)
}
