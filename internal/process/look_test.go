package process

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/messaging-kafka/messaging-kafka/internal/observe/control"
	"github.com/messaging-kafka/messaging-kafka/internal/observe/otlp"
	"github.com/messaging-kafka/messaging-kafka/internal/observe/status"
	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

// TestOperatorsLookAtRecordsAsFarAsTheyMay: by a token, in topics of the link, and at payloads where these are allowed.
func TestOperatorsLookAtRecordsAsFarAsTheyMay(t *testing.T) {
	k := testkit.Kfake(t)
	k.Topic("in", 1)
	k.Topic("dead", 1)
	k.Topic("other", 1)
	k.Topic("again-1h", 1)
	client := testkit.NewClient(t, k.Brokers())
	for _, value := range []string{`{"id":1}`, `{"id":2}`, "\xff"} {
		client.Produce(&kgo.Record{Topic: "in", Key: []byte("k\x1b"), Value: []byte(value),
			Headers: []kgo.RecordHeader{{Key: "trace", Value: []byte("top secret")}}})
	}
	client.Produce(&kgo.Record{Topic: "in"}) // neither key nor value
	for _, payloads := range []string{"false", "true"} {
		t.Run("payloads "+payloads, func(t *testing.T) {
			var log testkit.Log
			p := start(t, Options{
				Log: log.Logger(), Identity: otlp.Identity{ProviderKey: "kafka", HostID: "host", InstanceID: "copy"},
				Config: map[string]string{"provider_control_payloads": payloads},
			})
			reading(t, p, strings.Join(k.Brokers(), ","), "dead_letter_topic", "dead", "retry_topics", "1h",
				"retry_topic_prefix", "again-", "consumer_group", "of "+payloads)
			stateOf(t, p, status.Healthy)
			look := func(by Operator, view *control.View) control.Answer {
				return p.Control(t.Context(), by, control.Request{Action: control.Look, Link: "echo/default", Look: view})
			}
			got := look(alice, &control.View{})
			if !got.OK || len(got.Records) != 4 || got.More || got.Hidden != (payloads == "false") {
				t.Fatalf("%+v", got)
			}
			first, third, last := got.Records[0], got.Records[2], got.Records[3]
			if first.Topic != "in" || first.Offset != 0 || first.KeySize != 2 || first.ValueSize != 8 || first.Headers[0].Name != "trace" ||
				last.KeySize != -1 || last.ValueSize != -1 || last.Headers != nil {
				t.Errorf("the first and the last are %+v, %+v", first, last)
			}
			if got.Hidden {
				text, err := json.Marshal(got)
				if err != nil || strings.Contains(string(text), "secret") || strings.Contains(string(text), `\"id\"`) ||
					first.Key+first.Value+first.Headers[0].Value != "" {
					t.Errorf("what is hidden is told: %s (%v)", text, err)
				}
			} else if first.Key != `k\x1b` || first.Value != `{"id":1}` || third.Value != "0xff" || last.Value != "null" ||
				first.Headers[0].Value != "top secret" {
				t.Errorf("it shows %+v, %+v, %+v", first, third, last)
			}
			if got := look(alice, &control.View{Limit: 2}); !got.OK || len(got.Records) != 2 || !got.More {
				t.Errorf("two: %+v", got)
			}
			if got := look(alice, &control.View{From: "-1"}); !got.OK || len(got.Records) != 1 || got.Records[0].Offset != 3 {
				t.Errorf("the last: %+v", got)
			}
			if got := look(alice, &control.View{Topic: "dead"}); !got.OK || len(got.Records) != 0 {
				t.Errorf("dead letters: %+v", got)
			}
			if got := look(alice, &control.View{Topic: "again-1h"}); !got.OK || len(got.Records) != 0 {
				t.Errorf("a retry topic: %+v", got)
			}
			switch got := look(alice, &control.View{Filters: []string{"value.id=2"}}); {
			case payloads == "false" && got.Code != control.CodeRefused:
				t.Errorf("a filter tells what is in records: %+v", got)
			case payloads == "true" && (len(got.Records) != 1 || got.Records[0].Offset != 1):
				t.Errorf("a filter: %+v", got)
			}
			for name, c := range map[string]struct {
				by   Operator
				view control.View
				want control.Code
			}{
				"another topic":            {alice, control.View{Topic: "other"}, control.CodeRefused},
				"no place":                 {alice, control.View{From: "yesterday"}, control.CodeBad},
				"more than is shown":       {alice, control.View{Limit: control.MaxShown + 1}, control.CodeBad},
				"a partition that is none": {alice, control.View{Partition: new(int32(7))}, control.CodeFailed},
				"somebody over the lattice": {Operator{Name: "alice", Via: "lattice, by the name that he gives"}, control.View{},
					control.CodeRefused},
			} {
				if got := look(c.by, &c.view); got.OK || got.Code != c.want || got.Records != nil {
					t.Errorf("%s: %+v", name, got)
				}
			}
			if !log.Contains(`msg="an operator acted" action=look link=echo/default`) || !log.Contains("records=4") {
				t.Errorf("the log does not say who looked:\n%s", &log)
			}
		})
	}
}

// TestWhatIsShownIsBounded: of long texts the beginning is shown, and of many records as many as an answer holds.
func TestWhatIsShownIsBounded(t *testing.T) {
	k := testkit.Kfake(t)
	k.Topic("in", 1)
	client := testkit.NewClient(t, k.Brokers())
	long := strings.Repeat("x", 100_000)
	for range 200 {
		record := &kgo.Record{Topic: "in", Key: []byte(long[:5000]), Value: []byte(long[:8000])}
		for range 40 {
			record.Headers = append(record.Headers, kgo.RecordHeader{Key: "h", Value: []byte(long[:1000])})
		}
		client.Produce(record)
	}
	p := start(t, Options{Config: map[string]string{"provider_control_payloads": "true"}})
	reading(t, p, strings.Join(k.Brokers(), ","))
	stateOf(t, p, status.Healthy)
	got := p.Control(t.Context(), alice,
		control.Request{Action: control.Look, Link: "echo/default", Look: &control.View{From: "start"}})
	text, err := json.Marshal(got)
	if err != nil || !got.OK || !got.More || len(text) > 1<<20 || len(got.Records) < 5 {
		t.Fatalf("%d bytes, %d records, more %t, %v, %s", len(text), len(got.Records), got.More, err, got.Error)
	}
	if r := got.Records[0]; r.KeySize != 5000 || r.ValueSize != 8000 || len(r.Headers) != 32 || r.MoreHeaders != 8 ||
		len(r.Value) > 4200 || !strings.HasSuffix(r.Value, "(8000 bytes)") {
		t.Errorf("the first is %.200v", r)
	}
}
