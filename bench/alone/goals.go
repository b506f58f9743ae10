package alone

import (
	"fmt"

	"github.com/messaging-kafka/messaging-kafka/bench"
)

// The goals.
const (
	goalHandle  = 0.6  // least share of bare NATS, at the same number in flight
	goalPublish = 0.5  // least share of bare NATS, at 64 in flight
	goalDelay   = 1.3  // most of a publish's median, in produces and one round trip over NATS
	goalEcho    = 2.0  // most milliseconds of an echo's median
	goalHTTP    = 1.1  // most milliseconds of an echo's median through the bridge
	goalHTTP64  = 7000 // least echoes a second through the bridge, at 64 in flight
	goalStart   = 100  // most milliseconds from the start of the program to healthy
)

// goals holds the rows against what they are meant to be.
func goals(rows []Row, inFlight []int, size int) []bench.Goal {
	var list []bench.Goal
	add := func(text string, value float64, measured, reached bool) {
		list = append(list, bench.Goal{Text: text, Value: value, Reached: measured && reached})
	}
	for _, n := range inFlight {
		row, found := Find(rows, Handle, Shape{n, size})
		ratio := row.Ratios[NATS].Median
		add(fmt.Sprintf("handle, %d in flight: at least %g of bare NATS", n, goalHandle), ratio, found, ratio >= goalHandle)
	}
	row, found := Find(rows, Publish, Shape{64, size})
	ratio := row.Ratios[NATS].Median
	add(fmt.Sprintf("publish, 64 in flight: at least %g of bare NATS", goalPublish), ratio, found, ratio >= goalPublish)

	one := Shape{1, size}
	publish, a := Find(rows, Publish, one)
	produce, b := Find(rows, Produce, one)
	nats, c := Find(rows, NATS, one)
	delay := 0.0
	if sum := produce.P50.Median + nats.P50.Median; sum > 0 {
		delay = publish.P50.Median / sum
	}
	add(fmt.Sprintf("publish, 1 in flight: median at most %g of a produce and a NATS round trip", goalDelay), delay, a &&
		b && c && delay > 0, delay <= goalDelay)

	echo, found := Find(rows, Echo, one)
	p50 := echo.P50.Median
	add(fmt.Sprintf("echo, 1 in flight: median under %g ms", goalEcho), p50, found && p50 > 0, p50 < goalEcho)

	http, found := Find(rows, HTTP, one)
	p50 = http.P50.Median
	add(fmt.Sprintf("HTTP, 1 in flight: median at most %g ms", goalHTTP), p50, found && p50 > 0, p50 <= goalHTTP)
	http, found = Find(rows, HTTP, Shape{64, size})
	rate := http.PerSecond.Median
	add(fmt.Sprintf("HTTP, 64 in flight: at least %d a second", goalHTTP64), rate, found, rate >= goalHTTP64)
	return list
}

// Judge sets the report's goals.
func (r *Report) Judge(inFlight []int, size int) { r.Goals = goals(r.Rows, inFlight, size) }
