package memory

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

func TestOneAccountCannotTakeWhatTheOthersHave(t *testing.T) {
	b := New(1000)
	flood, calm := b.Open("flood"), b.Open("calm")
	for flood.Take(10) {
	}
	// 250 of its own, and of the 500 for all no more than it leaves.
	if got := flood.Used(); got != 500 {
		t.Fatalf("a flood holds %d of 1000 where two share, want 500", got)
	}
	if !calm.Take(250) {
		t.Fatal("the other account cannot take its own part beside a flood")
	}
	if !calm.Take(100) {
		t.Fatal("nothing beyond its own part is left for the other account")
	}
	if s := b.Status(); s.Used > s.Limit {
		t.Fatalf("%d bytes of %d are taken", s.Used, s.Limit)
	}
	third := b.Open("third")
	if !third.Take(1000 / 2 / 3) {
		t.Fatal("an account that came later cannot take its own part")
	}
	if flood.Take(1) {
		t.Fatal("a flood that has more than its part since there are three takes still more")
	}
}

func TestWhatIsGivenBackWakesWhoWasRefused(t *testing.T) {
	b := New(1000)
	a, c := b.Open("a"), b.Open("c")
	a.Must(800)
	if c.Take(300) {
		t.Fatal("300 bytes more were taken where 800 of 1000 are taken and 250 are the account's own")
	}
	if c.Waits().IsZero() {
		t.Fatal("an account that was refused does not say that it waits")
	}
	select {
	case <-c.Freed():
		t.Fatal("woken although nothing was given back")
	default:
	}
	a.Give(800)
	select {
	case <-c.Freed():
	default:
		t.Fatal("not woken by what was given back")
	}
	if !c.Take(300) || !c.Waits().IsZero() {
		t.Fatal("what was given back cannot be taken")
	}
}

func TestWhatCanNeverBeHad(t *testing.T) {
	b := New(1000)
	a := b.Open("a")
	b.Open("other")
	if !a.FitsEver(500) || a.FitsEver(501) {
		t.Fatal("of 1000 for two, one can have 250 and half of the other 500")
	}
	if !a.Take(500) {
		t.Fatal("what can be had at all cannot be taken where nobody else has anything")
	}
}

func TestAnAccountThatIsClosedHoldsNothing(t *testing.T) {
	b := New(1000)
	a := b.Open("a")
	a.Must(700)
	a.Close()
	a.Close()
	a.Give(700)
	a.Must(5)
	if s := b.Status(); s.Used != 0 || len(s.Parts) != 0 {
		t.Fatalf("after the end of the only account: %+v", s)
	}
}

func TestNoLimit(t *testing.T) {
	var b *Budget
	a := b.Open("a")
	a.Must(1 << 40)
	if !a.Take(1<<60) || !a.Room(1<<60) || !a.FitsEver(1<<60) {
		t.Fatal("there is a limit where none was set")
	}
	a.Give(1)
	a.Close()
}

// The sums are kept along; what they say must be what the accounts hold, and Take must never go beyond the limit.
func TestSums(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	b := New(100_000)
	var open []*Account
	for step := range 20_000 {
		switch k := rnd.IntN(20); {
		case k == 0 && len(open) < 50:
			open = append(open, b.Open(fmt.Sprint(step)))
		case k == 1 && len(open) > 0:
			i := rnd.IntN(len(open))
			open[i].Close()
			open = append(open[:i], open[i+1:]...)
		case len(open) > 0:
			a := open[rnd.IntN(len(open))]
			if k%2 == 0 {
				a.Take(rnd.Int64N(5000))
			} else {
				a.Give(rnd.Int64N(a.Used() + 1))
			}
		}
		used, shared := int64(0), int64(0)
		for a := range b.accounts {
			used += a.used
			shared += max(0, a.used-b.own())
		}
		if used != b.used || shared != b.shared {
			t.Fatalf("step %d: the accounts hold %d, %d beyond their own; the sums say %d and %d", step, used, shared,
				b.used, b.shared)
		}
		if used > b.limit+b.limit/2 {
			t.Fatalf("step %d: %d bytes of %d are taken", step, used, b.limit)
		}
	}
}
