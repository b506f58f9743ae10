package provider

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/messaging-kafka/messaging-kafka/internal/observe/status"
	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

// askStatus asks the provider over the lattice.
func (b *bench) askStatus() status.Provider {
	b.t.Helper()
	msg, err := b.host.Conn().Request("wasmbus.rpc.default.kafka.status", nil, testkit.DefaultTimeout)
	if err != nil {
		b.t.Fatal(err)
	}
	var s status.Provider
	if err := json.Unmarshal(msg.Data, &s); err != nil {
		b.t.Fatalf("%v: %s", err, msg.Data)
	}
	return s
}

// awaitStatus asks until check is content.
func (b *bench) awaitStatus(check func(*status.Provider) error) status.Provider {
	b.t.Helper()
	var s status.Provider
	testkit.Eventually(b.t, testkit.DefaultTimeout, func() error {
		s = b.askStatus()
		return check(&s)
	})
	return s
}

func linkOf(s *status.Provider, id string) *status.Link {
	for i := range s.Links {
		if s.Links[i].ID() == id {
			return &s.Links[i]
		}
	}
	return &status.Link{}
}

func TestTheStatusTellsWhatALinkHasDone(t *testing.T) {
	b := newBench(t)
	b.topics("in", "in.reply", "dead")
	component := testkit.NewComponent(t, b.nats,
		testkit.ComponentOptions{Handler: func(ctx context.Context, c *testkit.Component, call testkit.Call) error {
			if string(call.Body) == "bad" {
				return errors.New("this one is bad")
			}
			return testkit.Echo(ctx, c, call)
		}})
	b.start()
	b.host.PutLink(testkit.TargetLink("echo", "kafka", b.config("in", "dead_letter_topic", "dead", "max_attempts", "1")))
	b.host.PutLink(testkit.SourceLink("kafka", "other", b.config("not-there")))
	b.kc.ProduceText("in", "a", "b", "bad", "c")
	b.kc.Read("in.reply", 3)
	b.kc.Read("dead", 1)
	b.kc.WaitDrained("wasmcloud.default.echo.default", "in")

	s := b.awaitStatus(func(s *status.Provider) error {
		l, other := linkOf(s, "echo/default"), linkOf(s, "other/default (as source)")
		lag, known := l.Lag()
		switch {
		case l.State != status.Healthy || other.State != status.Unhealthy:
			return fmt.Errorf("states %q and %q (%s)", l.State, other.State, l.Reason)
		case !known || lag != 0 || len(l.Partitions) != 3:
			return fmt.Errorf("lag %d (%v) in %+v", lag, known, l.Partitions)
		case len(other.RecentErrors) == 0:
			return errors.New("no errors are told yet")
		}
		return nil
	})
	if s.ProviderKey != "kafka" || s.Lattice != "default" || s.HostID != b.host.ID() || s.Version == "" || s.Healthy ||
		!strings.Contains(s.Message, "not-there") || s.Time.Before(s.Started) || len(s.Links) != 2 {
		t.Errorf("the provider tells of itself %+v", s)
	}
	l := linkOf(&s, "echo/default")
	c := l.Counters
	if c.RecordsIn != 4 || c.RecordsOut != 3 || c.DeadLetters != 1 || c.Deliveries["done"] != 3 ||
		c.HandleSeconds == nil || c.HandleSeconds.Count != 4 {
		t.Errorf("counters %+v", c)
	}
	if l.Group != "wasmcloud.default.echo.default" || len(l.Topics) != 1 || l.Topics[0] != "in" ||
		l.Interfaces[0] != "consumer" ||
		l.Package != "wasmcloud:messaging" || l.Direction != status.Target || l.Since.IsZero() {
		t.Errorf("the link is told as %+v", l)
	}
	total := int64(0)
	for _, part := range l.Partitions {
		total += part.Committed
		if known := part.End >= 0; known && (part.End != part.Committed || part.LagSeconds == nil || *part.LagSeconds != 0) {
			t.Errorf("partition %+v", part)
		}
	}
	if total != 4 {
		t.Errorf("%d offsets are committed", total)
	}
	if len(l.RecentDeadLetters) != 1 || !strings.Contains(l.RecentDeadLetters[0].Text, "this one is bad") ||
		l.RecentDeadLetters[0].Topic != "in" || l.RecentDeadLetters[0].Offset == nil {
		t.Errorf("dead letters %+v", l.RecentDeadLetters)
	}
	if len(l.DeadLetterReasons) != 1 || !strings.Contains(l.DeadLetterReasons[0].Text, "this one is bad") ||
		l.DeadLetterReasons[0].Count != 1 {
		t.Errorf("reasons of dead letters %+v", l.DeadLetterReasons)
	}
	if f := l.LastFailure; f == nil || !strings.Contains(f.Text, "this one is bad") || f.Topic != "in" ||
		f.Partition == nil ||
		*f.Offset != *l.RecentDeadLetters[0].Offset || f.Time.IsZero() || c.Failures() != 1 {
		t.Errorf("the last failure %+v, of %v", f, c.Failures())
	}
	other := linkOf(&s, "other/default (as source)")
	if !strings.Contains(other.Reason, "not-there") || !strings.Contains(other.RecentErrors[0].Text, "not-there") ||
		other.RecentErrors[0].Level != "WARN" {
		t.Errorf("the other link is told as %+v", other)
	}

	b.kc.ProduceText("in", "d", "e")
	b.awaitStatus(func(s *status.Provider) error {
		if r := linkOf(s, "echo/default").Rates; r.In <= 0 || r.Out <= 0 || r.HandleP99 == nil {
			return fmt.Errorf("rates %+v", r)
		}
		return nil
	})

	// It gets well by itself, which is told too.
	b.topics("not-there")
	b.awaitStatus(func(s *status.Provider) error {
		if other := linkOf(s, "other/default (as source)"); other.State != status.Healthy || !s.Healthy || s.Message != "" {
			return fmt.Errorf("%s: %s", other.State, other.Reason)
		}
		return nil
	})
	if component.Calls() != 6 {
		t.Errorf("%d calls", component.Calls())
	}
}

func TestLinksThatShareAConsumerAreCountedOnce(t *testing.T) {
	b := newBench(t)
	b.topics("in", "in.reply")
	testkit.NewComponent(t, b.nats, testkit.ComponentOptions{})
	b.start()
	b.host.PutLink(testkit.TargetLink("echo", "kafka", b.config("in")))
	b.host.PutLink(testkit.SourceLink("kafka", "echo", b.config("in")))
	b.kc.ProduceText("in", "a", "b")
	b.kc.Read("in.reply", 2)
	b.awaitStatus(func(s *status.Provider) error {
		target, source := linkOf(s, "echo/default"), linkOf(s, "echo/default (as source)")
		if target.Counters.RecordsIn != 2 || target.Counters.RecordsOut != 2 || len(target.Partitions) != 3 ||
			target.SharedWith != "" {
			return fmt.Errorf("target %+v", target)
		}
		if source.Counters.RecordsIn != 0 || source.Counters.RecordsOut != 0 || len(source.Partitions) != 0 ||
			source.SharedWith != "echo/default" {
			return fmt.Errorf("source %+v", source)
		}
		return nil
	})
}

func TestTheAdminAddressServesTheSameStatus(t *testing.T) {
	b := newBench(t)
	b.topics("in", "in.reply")
	testkit.NewComponent(t, b.nats, testkit.ComponentOptions{})
	port, err := testkit.FreePorts(1)
	if err != nil {
		t.Fatal(err)
	}
	address := fmt.Sprint("127.0.0.1:", port)
	p := b.host.StartProvider(testkit.ProviderSpec{Run: inProcess(t), Config: map[string]string{"admin_address": address}})
	p.WaitHealthy()
	b.host.PutLink(testkit.TargetLink("echo", "kafka", b.config("in")))
	p.WaitHealthy()
	b.kc.ProduceText("in", "a")
	b.kc.Read("in.reply", 1)
	get := func(path string) (int, string) {
		client := http.Client{Timeout: testkit.DefaultTimeout, Transport: &http.Transport{DisableKeepAlives: true}}
		response, err := client.Get("http://" + address + path)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		if err != nil {
			t.Fatal(err)
		}
		return response.StatusCode, string(body)
	}
	testkit.Eventually(t, testkit.DefaultTimeout, func() error {
		_, body := get("/links")
		var s status.Provider
		if err := json.Unmarshal([]byte(body), &s); err != nil {
			t.Fatal(err)
		}
		if l := linkOf(&s, "echo/default"); l.Counters.RecordsIn != 1 || l.State != status.Healthy {
			return errors.New(body)
		}
		return nil
	})
	if code, body := get("/readyz"); code != http.StatusOK {
		t.Errorf("readyz: %d %s", code, body)
	}
	b.host.PutLink(testkit.TargetLink("other", "kafka", b.config("not-there")))
	testkit.Eventually(t, testkit.DefaultTimeout, func() error {
		if code, body := get("/readyz"); code != http.StatusServiceUnavailable ||
			!strings.Contains(body, "link other/default: ") || !strings.Contains(body, "not-there") {
			return fmt.Errorf("readyz: %d %s", code, body)
		}
		return nil
	})
	if code, body := get("/healthz"); code != http.StatusOK {
		t.Errorf("healthz: %d %s", code, body)
	}
	if code, body := get("/metrics"); code != http.StatusOK ||
		!strings.Contains(body, `messaging_kafka_fetched_records_total{component="echo",link="default"} 1`) {
		t.Errorf("metrics: %d %.2000s", code, body)
	}
	if code, body := get("/"); code != http.StatusOK || !strings.Contains(body, "<!DOCTYPE html>") {
		t.Errorf("page: %d", code)
	}
}
