package consume

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

func TestAStopBringsForwardAnEndThatIsUnderWay(t *testing.T) {
	half := func(left time.Duration) time.Duration { return left / 2 }
	ended := func(ctx context.Context) bool {
		synctest.Wait()
		return ctx.Err() != nil
	}
	for name, c := range map[string]struct {
		stops []time.Duration // of the contexts that are followed after a second
		step  time.Duration   // when a step is over that may take half of what is left
		all   time.Duration   // when all is
	}{
		"no stop":               {nil, 15 * time.Second, 30 * time.Second},
		"a stop":                {[]time.Duration{2 * time.Second}, 2 * time.Second, 3 * time.Second},
		"a stop with more time": {[]time.Duration{time.Minute}, 15 * time.Second, 30 * time.Second},
		"two stops":             {[]time.Duration{4 * time.Second, 2 * time.Second}, 2 * time.Second, 3 * time.Second},
		"two, the first sooner": {[]time.Duration{2 * time.Second, 4 * time.Second}, 2 * time.Second, 3 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e := newEnding()
				defer e.over()
				e.endBy(time.Now().Add(30 * time.Second))
				s, cancel := e.step(half)
				defer cancel()
				began := time.Now()
				time.Sleep(time.Second)
				for _, within := range c.stops {
					ctx, cancel := context.WithTimeout(t.Context(), within)
					defer cancel()
					e.follow(ctx)
				}
				if d, _ := s.Deadline(); d.Sub(began) != c.step {
					t.Errorf("the step has %v", d.Sub(began))
				}
				if d, _ := e.Deadline(); d.Sub(began) != c.all {
					t.Errorf("all of it has %v", d.Sub(began))
				}
				time.Sleep(time.Until(began.Add(c.step)) - 1)
				if ended(s) {
					t.Error("the step is over too soon")
				}
				time.Sleep(time.Nanosecond)
				if !ended(s) || ended(e) {
					t.Error("the step goes on, or all of it is over")
				}
				time.Sleep(time.Until(began.Add(c.all)))
				if !ended(e) {
					t.Error("the end goes on")
				}
			})
		})
	}
}

func TestAStopThatIsGivenUpEndsAnEndThatIsUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEnding()
		defer e.over()
		e.endBy(time.Now().Add(30 * time.Second))
		s, cancel := e.step(func(time.Duration) time.Duration { return time.Hour })
		defer cancel()
		ctx, giveUp := context.WithCancel(t.Context())
		e.follow(ctx)
		giveUp()
		synctest.Wait()
		if e.Err() == nil || s.Err() == nil {
			t.Error("it goes on")
		}
	})
}
