package memory

import (
	"errors"
	"testing"
)

func TestAShareGivesBackWhatItHolds(t *testing.T) {
	a := New(1000).Open("requests")
	s := a.Share()
	b, err := s.Grow(nil, 100)
	if err != nil || cap(b) != 100 || a.Used() != 100 {
		t.Fatalf("%v, a buffer of %d, %d bytes used", err, cap(b), a.Used())
	}
	b = append(b, "records"...)
	if b, err = s.Grow(b, 200); err != nil || string(b) != "records" || cap(b) != 200 || a.Used() != 200 {
		t.Fatalf("%v, %q, a buffer of %d, %d bytes used", err, b, cap(b), a.Used())
	}
	s.Must(5000)
	if a.Used() != 5200 {
		t.Fatalf("%d bytes used", a.Used())
	}
	s.Release()
	s.Release()
	if a.Used() != 0 {
		t.Fatalf("%d bytes used when all is over", a.Used())
	}
}

func TestAShareSaysWhetherThereCouldBeRoom(t *testing.T) {
	budget := New(1000)
	others, a := budget.Open("others"), budget.Open("requests")
	if !others.Take(500) {
		t.Fatal("no room for others")
	}
	s := a.Share()
	defer s.Release()
	if err := s.Hold(200); err != nil {
		t.Fatal(err)
	}
	for more, ever := range map[int64]bool{300: true, 301: false} { // 250 of its own, and 250 at most of what is for all
		_, err := s.Grow(nil, more)
		none, ok := errors.AsType[*NoRoomError](err)
		if !ok || none.Wanted != 200+more || none.Ever != ever {
			t.Errorf("%d bytes more: %v", more, err)
		}
	}
	if a.Used() != 200 {
		t.Errorf("%d bytes used", a.Used())
	}
	var unbounded *Account
	free := unbounded.Share()
	if err := free.Hold(1 << 40); err != nil {
		t.Error(err)
	}
	free.Release()
}
