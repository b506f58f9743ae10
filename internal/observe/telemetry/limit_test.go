package telemetry

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

func lines(b *testkit.Log, parts ...string) []string {
	var found []string
lines:
	for line := range strings.Lines(b.String()) {
		for _, part := range parts {
			if !strings.Contains(line, part) {
				continue lines
			}
		}
		found = append(found, strings.TrimSpace(line))
	}
	return found
}

func TestRepeatsAreCountedAndToldOfLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out testkit.Log
		log, end := Limit(NewLogger(&out, "info", false))
		link := log.With("link", "default", "component", "echo")
		for i := range 1000 {
			link.Warn("a record was dead-lettered", "topic", "orders", "offset", i, "reason", errors.New("no"))
		}
		link.Warn("a record was dead-lettered", "topic", "returns", "offset", 7)
		log.With("link", "other", "component", "echo").Warn("a record was dead-lettered", "topic", "orders", "offset", 7)
		for range 50 {
			link.Info("routine")
		}
		if n := len(lines(&out, "dead-lettered", "topic=orders", "link=default")); n != repeatBurst {
			t.Errorf("%d of 1000 lines were written at once, want %d", n, repeatBurst)
		}
		if n := len(lines(&out, "dead-lettered", "offset=7")); n != 3 {
			t.Errorf("%d lines with offset 7, want those of three kinds", n)
		}
		if n := len(lines(&out, "routine")); n != 50 {
			t.Errorf("%d of 50 lines below a warning were written", n)
		}

		time.Sleep(repeatWindow)
		synctest.Wait()
		told := lines(&out, "repeats_left_out")
		if len(told) != 1 || !strings.Contains(told[0], "repeats_left_out=990") || !strings.Contains(told[0], "offset=999") ||
			!strings.Contains(told[0], "link=default") || !strings.Contains(told[0], "component=echo") {
			t.Errorf("after half a minute: %q", told)
		}

		// Where it goes on, each half minute has one line.
		for i := range 5 {
			link.Warn("a record was dead-lettered", "topic", "orders", "offset", 1000+i)
		}
		time.Sleep(repeatWindow)
		synctest.Wait()
		if told := lines(&out, "repeats_left_out"); len(told) != 2 || !strings.Contains(told[1], "repeats_left_out=5") {
			t.Errorf("after a minute: %q", told)
		}

		// Where it does not, the next one is news again.
		time.Sleep(2 * repeatWindow)
		synctest.Wait()
		link.Warn("a record was dead-lettered", "topic", "orders", "offset", 5000)
		if n := len(lines(&out, "offset=5000")); n != 1 {
			t.Errorf("after a quiet minute a line was written %d times", n)
		}

		for range 20 {
			link.Error("dead-lettering a record failed; the record waits")
		}
		end()
		if told := lines(&out, "repeats_left_out=10", "dead-lettering a record failed"); len(told) != 1 {
			t.Errorf("at the end: %q", told)
		}
		link.Error("the end")
		if len(lines(&out, "the end")) != 1 {
			t.Error("a line after the end is lost")
		}
	})
}

// A Kafka client warns at each attempt to reach a broker.
func TestEachBrokerIsNews(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out testkit.Log
		log, end := Limit(NewLogger(&out, "info", false))
		for range 100 {
			log.Warn("kafka client: unable to open connection to broker", "addr", "a:9092", "broker", "seed_0")
		}
		log.Warn("kafka client: unable to open connection to broker", "addr", "b:9092", "broker", "seed_0")
		if a, b := len(lines(&out, "addr=a:9092")), len(lines(&out, "addr=b:9092")); a != repeatBurst || b != 1 {
			t.Errorf("%d lines about one broker and %d about another were written", a, b)
		}
		end()
	})
}

func TestKindsOfLinesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out testkit.Log
		log, end := Limit(NewLogger(&out, "info", false))
		for i := range 3 * maxRepeatKeys {
			log.Warn(fmt.Sprint("message ", i))
		}
		if n := len(lines(&out, "message")); n != 3*maxRepeatKeys {
			t.Errorf("%d of %d different lines were written", n, 3*maxRepeatKeys)
		}
		if n := len(log.Handler().(*limited).limiter.kinds); n > maxRepeatKeys {
			t.Errorf("%d kinds are remembered", n)
		}
		end()
	})
}
