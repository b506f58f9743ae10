package record

import (
	"errors"
	"reflect"
	"testing"
	"time"
)

func TestEach(t *testing.T) {
	failed := errors.New("no")
	for _, o := range []Outcome{
		{}, {Kind: Done}, {Kind: Skipped}, {Kind: Unanswered}, {Kind: Reject, Err: failed}, {Err: failed, After: time.Second},
		{Kind: Done, Outputs: []Outgoing{{Topic: "out"}}},
	} {
		for _, n := range []int{0, 1, 3} {
			got := Each(n, o)
			if len(got) != n {
				t.Fatalf("%d outcomes for %d records", len(got), n)
			}
			for i := range got {
				if !reflect.DeepEqual(got[i], o) {
					t.Errorf("%d of %d is %+v, want %+v", i, n, got[i], o)
				}
			}
			if cap(got) != n {
				t.Errorf("what is appended to %d outcomes overwrites others", n)
			}
		}
	}
	for _, kind := range []Kind{Done, Skipped} {
		if n := testing.AllocsPerRun(100, func() { Each(1, Outcome{Kind: kind}) }); n != 0 {
			t.Errorf("%s of one record takes %v allocations", kind, n)
		}
	}
}

func TestKindsHaveNames(t *testing.T) {
	seen := map[string]bool{}
	for k := range Kind(Kinds) {
		name := k.String()
		if name == "unknown" || seen[name] {
			t.Errorf("kind %d is named %q", k, name)
		}
		seen[name] = true
		if label := k.Label(); label != name && (k != Unanswered || label != "retry") {
			t.Errorf("%s is shown as %q", name, label)
		}
	}
}
