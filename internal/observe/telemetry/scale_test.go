package telemetry

import (
	"strconv"
	"testing"
	"time"

	"github.com/messaging-kafka/messaging-kafka/internal/record"
)

// Each link that goes must cost what the link has, not what all links have: 10,000 of them take moments then, and many
// minutes otherwise.
func TestTenThousandLinksComeAndGo(t *testing.T) {
	const links = 10_000
	m := NewMetrics()
	all := make([]*LinkMetrics, links)
	for i := range all {
		all[i] = m.Use("echo", strconv.Itoa(i))
		all[i].Published("timed_out", time.Millisecond)
		all[i].Answered(time.Millisecond)
		all[i].Delivered(record.Done, time.Millisecond)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for _, l := range all[1:] {
			l.Release()
		}
	}()
	select {
	case <-done:
	case <-time.After(time.Minute):
		t.Fatal("the metrics of the links have not gone after a minute")
	}
	if left, want := seriesOf(t, m, "echo"), len(all[0].counters)+len(all[0].histograms); left != want {
		t.Errorf("%d series are left, where the one link has %d", left, want)
	}
	all[0].Release()
	if left := seriesOf(t, m, "echo"); left != 0 || len(m.links) != 0 {
		t.Errorf("%d series and %d links are left", left, len(m.links))
	}
}

func TestMetricsStayUntilTheLastOfTheirLinksGoes(t *testing.T) {
	m := NewMetrics()
	a, b := m.Use("echo", "default"), m.Use("echo", "default")
	if a != b || m.Link("echo", "default") != a {
		t.Fatal("links of one component and name have metrics of their own")
	}
	a.Published("ok", time.Millisecond)
	a.Release()
	if seriesOf(t, m, "echo") == 0 {
		t.Error("the metrics went with the first of two links")
	}
	b.Release()
	if n := seriesOf(t, m, "echo"); n != 0 {
		t.Errorf("%d series are left", n)
	}
}
