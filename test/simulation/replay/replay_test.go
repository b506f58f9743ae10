package replay

import (
	"reflect"
	"testing"
	"time"
)

func TestANameOfARunIsReadAsItWasWritten(t *testing.T) {
	for _, want := range []Run{
		Of(0), Of(1<<64 - 1), {Seed: 7}, {Seed: 7, Only: []int{0, 12}},
		{Seed: 7, Only: []int{3}, Records: 20, Copies: 1, Trouble: 1500 * time.Millisecond, Plain: []string{"order", "max_in_flight"}},
		{Seed: 7, All: true, Theme: "members come and go"},
	} {
		got, err := Parse(want.String())
		if err != nil {
			t.Errorf("%q: %v", want, err)
		} else if !reflect.DeepEqual(got, want) {
			t.Errorf("%q is read as %+v, not %+v", want, got, want)
		}
	}
	for _, bad := range []string{"", "x", "7/", "7/events=x", "7/records", "7/trouble=1", "7/events=1,"} {
		if got, err := Parse(bad); err == nil {
			t.Errorf("%q is read as %+v", bad, got)
		}
	}
}
