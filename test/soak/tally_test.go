package soak

import (
	"testing"
	"time"
)

func TestTheTallyMissesARecordThatDidNotCome(t *testing.T) {
	l := newTally()
	for range 200 {
		for _, s := range shares {
			l.next(s.topic)
		}
	}
	for i := range 200 {
		switch { // two orders went the way of dead letters, one of them was handled as well
		case i != 7 && i != 100:
			l.done[orders].Set(i)
		default:
			l.rejected.Set(i)
			l.seen[deadOrders].Set(i)
		}
		l.done[parcels].Set(i)
		l.seen[enriched].Set(i)
		l.seen[totals].Set(i)
	}
	l.done[orders].Set(7)
	l.published.Set(4)
	l.seen[shipped].Set(4)
	l.seen[shipped].Set(8) // its answer was lost
	for _, c := range l.counts() {
		if c.Got != c.Want || c.Want == 0 || c.Again != 0 || c.Once != (c.Topic == totals) {
			t.Errorf("with every record there: %+v", c)
		}
	}
	l.published.Set(9)
	l.rejected.Set(20)
	l.next(orders)
	l.next(parcels)
	l.next(lines)
	l.next(sums)
	l.seen[totals].Set(3)
	for _, c := range l.counts() {
		if c.Got != c.Want-1 || (c.Topic == totals) != (c.Again == 1) {
			t.Errorf("with one record of each missing, and one of the totals twice: %+v", c)
		}
	}
}

func TestAValueTellsItsNumber(t *testing.T) {
	for _, n := range []int{0, 1, 63, 64, 1_000_000} {
		if got, err := number(value(n)); err != nil || got != n {
			t.Errorf("number(value(%d)) = %d, %v", n, got, err)
		}
	}
	for _, text := range []string{"", "|", "x|1", "-1|", "1x|"} {
		if n, err := number([]byte(text)); err == nil {
			t.Errorf("%q has the number %d", text, n)
		}
	}
}

func TestTheLoadRisesAndFalls(t *testing.T) {
	c := config{rate: 200, cycle: time.Minute}
	perSecond := func(at time.Duration) float64 {
		return float64(c.due(at+time.Second/2) - c.due(at-time.Second/2))
	}
	for at, want := range map[time.Duration]float64{time.Minute: 20, 90 * time.Second: 200, 105 * time.Second: 110,
		2 * time.Minute: 20} {
		if got := perSecond(at); got < want-5 || got > want+5 {
			t.Errorf("at %v there are %v records per second, want %v", at, got, want)
		}
	}
	if got := c.due(10 * time.Minute); got < 65_999 || got > 66_001 {
		t.Errorf("10 cycles have %d records, want 66000", got)
	}
}
