package alone

import (
	"math"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/messaging-kafka/messaging-kafka/bench"
	"github.com/messaging-kafka/messaging-kafka/bench/rig"
)

// round makes a round in which so much was done in a second, with 10 µs of each process's CPU for each.
func round(way string, shape Shape, n, done int) Round {
	used := bench.Reading{CPU: bench.CPU{Of: map[string]time.Duration{}}, Runtimes: map[string]bench.Runtime{
		bench.Provider: {Objects: int64(50 * done), Bytes: int64(3000 * done)},
	}}
	for _, name := range Processes {
		used.CPU.Of[name] = time.Duration(done) * 10 * time.Microsecond
	}
	return NewRound(way, shape, n,
		rig.Result{Took: time.Second, Done: done, P50: time.Millisecond, P99: 3 * time.Millisecond, Used: used})
}

func TestAWayIsComparedWithItsLimitsWithinTheRounds(t *testing.T) {
	shape := Shape{64, 1024}
	// The machine was twice as fast in the second round, which must not show in the ratio.
	rows := Summarise(shape, []Round{
		round(NATS, shape, 1, 1000), round(Handle, shape, 1, 600), round(Handle, Shape{1, 1024}, 1, 5),
		round(Handle, shape, 2, 1200), round(NATS, shape, 2, 2000),
	})
	if len(rows) != 2 || rows[0].Way != NATS || rows[1].Way != Handle {
		t.Fatalf("rows %+v", rows)
	}
	row := rows[1]
	if got := row.Ratios[NATS]; got != (bench.Spread{Median: 0.6, Low: 0.6, High: 0.6}) {
		t.Errorf("ratio %v", got)
	}
	if row.PerSecond != (bench.Spread{Median: 900, Low: 600, High: 1200}) || row.P50.Median != 1 || row.P99.Median != 3 {
		t.Errorf("%+v", row)
	}
	if row.Objects.Median != 50 || row.Bytes.Median != 3000 || rows[0].Objects.Median != 0 {
		t.Errorf("allocations %v and %v, of a limit %v", row.Objects, row.Bytes, rows[0].Objects)
	}
	if math.Abs(row.CPU[bench.Provider]-10) > 0.01 || math.Abs(row.Apart-1) > 0.01 {
		t.Errorf("CPU %v, apart %v", row.CPU, row.Apart)
	}
}

func TestCPUIsOfAllRoundsTogether(t *testing.T) {
	shape := Shape{1, 100}
	few, many := round(Echo, shape, 1, 10), round(Echo, shape, 2, 990)
	few.CPU[bench.Provider] = 110
	if row := Summarise(shape, []Round{few, many})[0]; math.Abs(row.CPU[bench.Provider]-11) > 0.01 {
		t.Errorf("%v", row.CPU)
	}
}

func TestGoalsAreHeldAgainstTheRows(t *testing.T) {
	one, many := Shape{1, 1024}, Shape{64, 1024}
	rounds := func(handle, publish int, delay, echo, http float64, perSecond int) []Row {
		p := round(Publish, one, 1, 100)
		p.P50 = delay
		e := round(Echo, one, 1, 100)
		e.P50 = echo
		h := round(HTTP, one, 1, 100)
		h.P50 = http
		rows := Summarise(one, []Round{round(NATS, one, 1, 100), round(Produce, one, 1, 100), p, e, h,
			round(Handle, one, 1, handle)})
		return append(rows, Summarise(many,
			[]Round{round(NATS, many, 1, 100), round(Publish, many, 1, publish), round(Handle, many, 1, handle),
				round(HTTP, many, 1, perSecond)})...)
	}
	for _, test := range []struct {
		name string
		rows []Row
		want bool
	}{
		{"just reached", rounds(60, 50, 2.6, 1.99, 1.1, 7000), true},
		{"missed by a hair", rounds(59, 49, 2.61, 2, 1.11, 6999), false},
		{"nothing measured", nil, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := Report{Rows: test.rows}
			r.Judge([]int{1, 64}, 1024)
			if len(r.Goals) != 7 {
				t.Fatalf("goals %+v", r.Goals)
			}
			for _, goal := range r.Goals {
				if goal.Reached != test.want {
					t.Errorf("%+v", goal)
				}
			}
		})
	}
}

func TestARoundInWhichNothingWasDoneHasNoFigures(t *testing.T) {
	r := NewRound(Echo, Shape{1, 1}, 1, rig.Result{Took: time.Second})
	if r.PerSecond != 0 || len(r.CPU) != 0 || r.Objects != 0 {
		t.Errorf("%+v", r)
	}
}

func TestAReportIsPrintedWrittenAndRead(t *testing.T) {
	shape := Shape{64, 1024}
	report := Report{Machine: bench.ThisMachine(), Setup: Setup{Rounds: 1, Seconds: 1}}
	report.Rounds = []Round{round(NATS, shape, 1, 1000), round(Handle, shape, 1, 500)}
	report.Rows = Summarise(shape, report.Rounds)
	report.Judge([]int{64}, 1024)
	var out strings.Builder
	if err := report.Print(&out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"handle", "0.50 [0.50, 0.50] NATS", "not reached"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in:\n%s", want, out.String())
		}
	}
	path := filepath.Join(t.TempDir(), "results.json")
	if err := bench.WriteJSON(path, &report); err != nil {
		t.Fatal(err)
	}
	var read Report
	if err := bench.ReadJSON(path, &read); err != nil || !reflect.DeepEqual(read, report) {
		t.Errorf("%+v (%v), want %+v", read, err, report)
	}
}
