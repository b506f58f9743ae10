package status

import (
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestCopiesAreToldAsOne(t *testing.T) {
	away := Problem{ProblemKafka, "nothing listens"}
	copyOf := func(host string, more ...Link) Provider {
		return Provider{ProviderKey: "kafka", Lattice: "default", HostID: host, InstanceID: "i" + host, Version: "1",
			Time:    noon,
			Started: noon.Add(-time.Hour), Healthy: true, Memory: Memory{ResidentBytes: 10}, Links: more}
	}
	link := func(state State, since time.Duration, in float64, parts ...int32) Link {
		l := Link{Component: "echo", Name: "default", State: state, Since: noon.Add(-since), Topics: []string{"orders"}, InFlight: 2,
			Waiting: 3, OldestCallSeconds: since.Seconds(), Rates: Rates{In: in, Failures: 1, HandleP99: &in},
			Counters: Counters{RecordsIn: in, DeadLetters: 1, Deliveries: map[string]float64{"done": in},
				HandleSeconds: histogram(in, 1, in)},
			LastFailure: &Event{Time: noon.Add(-since), Text: string(state)}}
		for _, n := range parts {
			l.Partitions = append(l.Partitions, Partition{Topic: "orders", Partition: n, Lag: 5})
		}
		for i := range 15 {
			l.RecentErrors = append(l.RecentErrors, Event{Time: noon.Add(-since - time.Duration(i)*time.Minute)})
		}
		l.DeadLetterReasons = []Reason{{Text: "order " + string(state) + "1", Count: 2, First: noon.Add(-since),
			Last: noon.Add(-since)}}
		return l
	}
	ill := link(Unhealthy, time.Second, 5, 1)
	ill.Problems, ill.Reason = Problems{away}, "nothing listens"
	other := Link{Component: "other", Name: "default", State: Unhealthy, Problems: Problems{away}, Since: noon}
	providers := []Provider{copyOf("NAAAAAAAAA1111", link(Healthy, time.Minute, 10, 2, 0)),
		copyOf("NAAAAAAAAA2222", ill, other)}
	providers[1].Healthy, providers[1].Problems = false, Problems{{ProblemConfig, "provider config: bad"}}
	before := providers[0].Links[0].Counters.Deliveries["done"]

	got := Merge(noon, providers, []string{"a third: no answer"})
	if got.Healthy || got.ProviderKey != "kafka" || got.Lattice != "default" || got.HostID != "" ||
		!got.Started.Equal(noon.Add(-time.Hour)) ||
		got.Memory.ResidentBytes != 20 || len(got.Silent) != 1 || got.Message != "NAAAAAAAAA2…: provider config: bad" {
		t.Errorf("the whole is %+v", got)
	}
	if len(got.Copies) != 2 || got.Copies[0].Name != "NAAAAAAAAA1…" || got.Copies[0].Partitions != 2 ||
		got.Copies[1].Ill != 2 ||
		got.Copies[1].Links != 2 || got.Copies[1].InFlight != 2 {
		t.Errorf("copies %+v", got.Copies)
	}
	if len(got.Links) != 2 {
		t.Fatalf("links %+v", got.Links)
	}
	l := got.Links[0]
	if l.ID() != "echo/default" || l.Copies != 2 || l.State != Unhealthy || !l.Since.Equal(noon.Add(-time.Second)) ||
		l.Reason != "nothing listens (NAAAAAAAAA2…)" || l.InFlight != 4 || l.Waiting != 6 || l.OldestCallSeconds != 60 ||
		l.Rates.In != 15 || l.Rates.Failures != 2 || *l.Rates.HandleP99 != 10 || l.Counters.RecordsIn != 15 ||
		l.Counters.Deliveries["done"] != 15 || l.Counters.HandleSeconds.Count != 15 ||
		l.LastFailure.Text != string(Unhealthy) ||
		len(l.RecentErrors) != MaxEvents || !l.RecentErrors[0].Time.Equal(noon.Add(-time.Second)) {
		t.Errorf("the link is %+v", l)
	}
	if lag, _ := l.Lag(); lag != 15 || !slices.Equal([]int32{0, 1, 2},
		[]int32{l.Partitions[0].Partition, l.Partitions[1].Partition, l.Partitions[2].Partition}) ||
		l.Partitions[1].Copy != "NAAAAAAAAA2…" {
		t.Errorf("partitions %+v", l.Partitions)
	}
	if want := []Reason{{Text: "order unhealthy1", Count: 4, First: noon.Add(-time.Minute),
		Last: noon.Add(-time.Second)}}; !reflect.DeepEqual(l.DeadLetterReasons, want) {
		t.Errorf("reasons of dead letters %+v", l.DeadLetterReasons)
	}
	if providers[0].Links[0].Counters.Deliveries["done"] != before {
		t.Error("what was merged is changed")
	}
}

func TestCopiesOfDifferentProvidersAreToldApart(t *testing.T) {
	providers := []Provider{
		{ProviderKey: "a", HostID: "N", InstanceID: "one", Healthy: true, Started: noon, Links: []Link{{Component: "echo", Name: "default", State: Healthy}}},
		{ProviderKey: "b", HostID: "N", InstanceID: "two", Healthy: true, Started: noon, Links: []Link{{Component: "echo", Name: "default", State: Starting}}},
	}
	got := Merge(noon, providers, nil)
	if len(got.Links) != 2 || got.Links[0].ID() != "echo/default of a" || got.Links[1].ID() != "echo/default of b" ||
		!got.Healthy ||
		got.ProviderKey != "a, b" {
		t.Errorf("got %+v", got)
	}
	if got.Copies[0].Name != "N (one)" || got.Copies[1].Name != "N (two)" {
		t.Errorf("copies %+v", got.Copies)
	}
	for i := range providers {
		providers[i].Words = OfRoutes
	}
	if got = Merge(noon, providers, nil); got.Words != OfRoutes {
		t.Errorf("routes are called %q", got.Words)
	}
	providers[0].Words = OfLinks
	if got = Merge(noon, providers, nil); got.Words != OfLinks {
		t.Errorf("links and routes are called %q", got.Words)
	}
	if nobody := Merge(noon, nil, []string{"x: no answer"}); nobody.Healthy || nobody.Links == nil ||
		nobody.Copies == nil {
		t.Errorf("nobody is %+v", nobody)
	}
}

func TestHostsAreToldApart(t *testing.T) {
	hosts := []string{"NABCDEFGHIJKLMNOP", "NABCDEFGHXYZLMNOP", "NZBCDEFGHXYZLMNOP", "short", "NABCDEFGHIJKLMNOP",
		strings.Repeat("ä", 30)}
	short := ShortHosts(hosts)
	for host, want := range map[string]string{hosts[0]: "NABCDEFGHI…", hosts[1]: "NABCDEFGHX…",
		hosts[2]: "NZBCDEFG…",
		"short":  "short", hosts[5]: "ääääääää…"} {
		if short[host] != want {
			t.Errorf("%s is told as %s, want %s", host, short[host], want)
		}
	}
}
