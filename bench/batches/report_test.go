package batches

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/messaging-kafka/messaging-kafka/bench"
)

func cpu(d time.Duration) bench.CPU {
	return bench.CPU{Of: map[string]time.Duration{bench.Provider: d}}
}

func TestGoalsAreHeldAgainstTheSameRun(t *testing.T) {
	echo, processor := Result{Way: Way{Name: wayEcho}}, Result{Way: Way{Name: wayProcessor}}
	for _, n := range []int64{1000, 3000, 2000} {
		echo.Add(NewRound(n, time.Second, cpu(time.Second)))
	}
	processor.Add(NewRound(90_000, 2*time.Second, cpu(450*time.Millisecond)))
	behind := Result{Way: Way{Name: wayComponent}}
	behind.Add(NewRound(120_000, 2*time.Second, cpu(0)))
	r := Report{Ways: []Result{echo, processor, behind}, Partitions: 4}
	r.Judge()
	want := map[string]bool{"records of text a second": true, "provider's CPU": true, "times the 0.2.0 echo": true,
		"a component behind HTTP": true, "nothing lost": true}
	for _, goal := range r.Goals {
		for text := range want {
			if strings.Contains(goal.Text, text) && goal.Reached {
				delete(want, text)
			}
		}
	}
	if len(want) > 0 {
		t.Errorf("not reached: %v of %+v", want, r.Goals)
	}
	if got := r.Goals[2].Value; got != 22.5 {
		t.Errorf("%g times the echo, want 45,000 by the median of 2,000", got)
	}
	var b strings.Builder
	if err := r.Print(&b); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"45000", "22.5", "reached", wayProcessor} {
		if !strings.Contains(b.String(), text) {
			t.Errorf("the table does not tell %q:\n%s", text, b.String())
		}
	}
}

func TestWhatWasNotMeasuredReachesNoGoal(t *testing.T) {
	processor := Result{Way: Way{Name: wayProcessor}, Lost: 3}
	processor.Add(NewRound(0, time.Second, cpu(time.Second)))
	behind := Result{Way: Way{Name: wayComponent}}
	behind.Add(NewRound(0, time.Second, cpu(0)))
	r := Report{Ways: []Result{processor, behind}}
	r.Judge()
	for _, goal := range r.Goals {
		if goal.Reached {
			t.Errorf("reached: %+v", goal)
		}
	}
}

func TestValuesAreWhatTheirWaysSay(t *testing.T) {
	for _, w := range ways() {
		v := w.fill("0000000000000042", w.payload(100))
		if !strings.HasPrefix(string(v), "0000000000000042") || len(v) < 100 {
			t.Errorf("%s: %q", w.Name, v)
		}
		if isBytes := strings.Contains(w.Name, "bytes"); isBytes == utf8.Valid(v) {
			t.Errorf("%s: valid UTF-8 or not: %q", w.Name, v)
		}
	}
}
