package deadline

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

var errTooLong = errors.New("it takes too long")

func TestOperationsThatBeginTogetherShareAContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(t.Context(), 60*time.Second, 61*time.Second, errTooLong)
		a := s.Take()
		time.Sleep(time.Second)
		b := s.Take()
		if a != b {
			t.Error("the second one has another context")
		}
		time.Sleep(time.Nanosecond)
		c := s.Take()
		if a == c {
			t.Error("one that begins later would have less than the least time")
		}
		for _, l := range []*Lease{a, b, c} {
			l.Release()
		}
	})
}

func TestAContextEndsBetweenTheTwoTimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(t.Context(), 60*time.Second, 61*time.Second, errTooLong)
		first := s.Take()
		defer first.Release()
		time.Sleep(time.Second)
		begin := time.Now()
		l := s.Take()
		defer l.Release()
		<-l.Done()
		if took := time.Since(begin); took < 60*time.Second || took > 61*time.Second {
			t.Errorf("it ended after %s", took)
		}
		if err := context.Cause(l); !errors.Is(err, errTooLong) {
			t.Errorf("cause %v", err)
		}
		if next := s.Take(); next.Err() != nil {
			t.Error("the next one gets a context that has ended")
		} else {
			next.Release()
		}
	})
}

func TestTheEndOfTheParentEndsIt(t *testing.T) {
	parent, end := context.WithCancel(t.Context())
	s := New(parent, time.Hour, 2*time.Hour, errTooLong)
	l := s.Take()
	defer l.Release()
	end()
	<-l.Done()
	if err := context.Cause(l); !errors.Is(err, context.Canceled) {
		t.Errorf("cause %v", err)
	}
}

func TestAContextIsFreedOnceItsUsersAreDone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(t.Context(), time.Hour, time.Hour+time.Second, nil)
		a, b := s.Take(), s.Take()
		a.Release()
		b.Release()
		if a.Err() != nil {
			t.Error("it was freed although others may get it")
		}
		c := s.Take()
		time.Sleep(2 * time.Second)
		d := s.Take() // from now on nobody gets the first one
		if c.Err() != nil {
			t.Error("it was freed while it is used")
		}
		c.Release()
		if c.Err() == nil {
			t.Error("it was not freed")
		}
		d.Release()
	})
}

func TestManyMayTakeAndReleaseAtOnce(t *testing.T) {
	s := New(t.Context(), time.Hour, time.Hour+time.Microsecond, nil)
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			for range 1000 {
				l := s.Take()
				if l.Err() != nil {
					t.Error("it has ended")
				}
				l.Release()
			}
		})
	}
	all.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.current.users != 1 {
		t.Errorf("%d users are left", s.current.users-1)
	}
}

func BenchmarkTake(b *testing.B) {
	s := New(b.Context(), time.Minute, time.Minute+time.Second, nil)
	b.ReportAllocs()
	for b.Loop() {
		s.Take().Release()
	}
}
