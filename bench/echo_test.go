package bench

import (
	"strings"
	"testing"
	"time"
)

// twoWays makes rounds of both ways with the given rates and medians.
func twoWays(inFlight int, bare, kafka [][2]float64) []EchoRound {
	var rounds []EchoRound
	for i := range bare {
		for way, figures := range map[string][2]float64{Bare: bare[i], Kafka: kafka[i]} {
			rounds = append(rounds, EchoRound{
				Way: way, InFlight: inFlight, Round: i + 1, Echoes: 100, PerSecond: figures[0], P50: figures[1],
				CPU: map[string]float64{Provider: 0.1},
			})
		}
	}
	return rounds
}

func reached(s EchoSummary, text string) bool {
	for _, goal := range s.Goals {
		if strings.Contains(goal.Text, text) {
			return goal.Reached
		}
	}
	return false
}

func TestRoundsAreComparedWithinThemselves(t *testing.T) {
	// The machine was twice as fast in the second round, which must not show in the ratio.
	s := Summarise(16, twoWays(16, [][2]float64{{1000, 10}, {2000, 5}, {1000, 10}},
		[][2]float64{{700, 12}, {1400, 6}, {800, 11}}))
	if s.Ratio != (Spread{Median: 0.7, Low: 0.7, High: 0.8}) {
		t.Errorf("ratio %v", s.Ratio)
	}
	if s.Behind != (Spread{Median: 1, Low: 1, High: 2}) {
		t.Errorf("behind %v", s.Behind)
	}
	if !reached(s, "rate") || !reached(s, "CPU") || !reached(s, "lost") {
		t.Errorf("%+v", s.Goals)
	}
}

func TestGoalsAreMissedByAHair(t *testing.T) {
	slow := Summarise(16, twoWays(16, [][2]float64{{1000, 10}}, [][2]float64{{699, 12}}))
	if reached(slow, "rate") {
		t.Errorf("%+v", slow.Goals)
	}
	late := Summarise(1, twoWays(1, [][2]float64{{1000, 1}}, [][2]float64{{200, 4.01}}))
	if reached(late, "median") {
		t.Errorf("%+v", late.Goals)
	}
	rounds := twoWays(16, [][2]float64{{1000, 10}}, [][2]float64{{1000, 10}})
	rounds[0].Lost = 1
	if s := Summarise(16, rounds); reached(s, "lost") {
		t.Errorf("%+v", s.Goals)
	}
}

func TestNothingMeasuredReachesNoGoalOfSpeed(t *testing.T) {
	rounds := twoWays(1, [][2]float64{{0, 0}}, [][2]float64{{0, 0}})
	for i := range rounds {
		rounds[i].Echoes = 0
	}
	for _, s := range []EchoSummary{Summarise(1, rounds), Summarise(1, nil)} {
		if reached(s, "median") || reached(s, "CPU") {
			t.Errorf("%+v", s.Goals)
		}
	}
}

func TestAReportIsPrintedAndWritten(t *testing.T) {
	sample := &Sample{Took: time.Second, Echoes: []time.Duration{time.Millisecond, 3 * time.Millisecond}, Sent: 3, Lost: 1}
	used := CPU{Of: map[string]time.Duration{Provider: 4 * time.Millisecond, "broker": 0}, Machine: time.Second}
	report := EchoReport{Machine: ThisMachine(), Setup: EchoSetup{ValueBytes: 1024, Rounds: 1, Seconds: 1}}
	for _, way := range []string{Bare, Kafka, Alone} {
		report.Rounds = append(report.Rounds, NewEchoRound(way, 16, 1, sample, used))
	}
	if got := report.Rounds[0]; got.PerSecond != 2 || got.P50 != 1 || got.P99 != 3 ||
		got.CPU[Provider] != 2 || got.Lost != 1 {
		t.Errorf("%+v", got)
	}
	report.Summary = append(report.Summary, Summarise(16, report.Rounds))
	var out strings.Builder
	if err := report.Print(&out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"bare wRPC", "through Kafka", "Kafka alone", "provider", "not reached"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in:\n%s", want, out.String())
		}
	}
	if err := WriteJSON(t.TempDir()+"/results.json", report); err != nil {
		t.Error(err)
	}
}

func TestWhatBrokerAndLoadUseCanBeSetApart(t *testing.T) {
	rounds := []EchoRound{
		{Way: Bare, InFlight: 16, Echoes: 1, PerSecond: 10, CPU: map[string]float64{Host: 1, NATS: 1, Client: 1, Provider: 5, Broker: 5}},
		{Way: Kafka, InFlight: 16, Echoes: 1, PerSecond: 5, CPU: map[string]float64{Host: 1, NATS: 1, Client: 9, Provider: 2, Broker: 9}},
	}
	if s := Summarise(16, rounds); s.Apart.Median != 0.75 {
		t.Errorf("%v, want 3 ms of 4", s.Apart)
	}
}
