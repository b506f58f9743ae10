package bridge

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/messaging-kafka/messaging-kafka/internal/observe/status"
	"github.com/messaging-kafka/messaging-kafka/internal/record"
	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

// reads is a route of the name of its topic.
func reads(topic, url string, more ...string) string {
	return fmt.Sprintf("%s\ntopic: %s\ndeliver: http-records\nurl: %s\n%s", topic, topic, url, strings.Join(more, "\n"))
}

func TestAReloadMovesChangedRoutesOnly(t *testing.T) {
	t.Parallel()
	k := testkit.Kfake(t)
	for _, topic := range []string{"stays", "changes", "goes", "comes"} {
		k.Topic(topic, 1)
	}
	client := testkit.NewClient(t, k.Brokers())
	one, two := newApplication(t, nil), newApplication(t, nil)
	b := start(t, file(k.Brokers(), reads("stays", one.URL), reads("changes", one.URL), reads("goes", one.URL)), nil)
	for _, topic := range []string{"stays", "changes", "goes"} {
		client.ProduceText(topic, "first of "+topic)
	}
	one.await(t, 3)
	for _, topic := range []string{"stays", "changes", "goes"} {
		client.WaitDrained("bridge."+topic, topic)
	}
	before := client.MemberIDs("bridge.stays")
	if len(before) != 1 {
		t.Fatalf("the members are %q", before)
	}
	write(t, b.path, withAdmin(file(k.Brokers(), reads("stays", one.URL), reads("changes", two.URL), reads("comes", two.URL))))
	b.await(func(s *status.Provider) error {
		if len(s.Links) != 3 || slices.ContainsFunc(s.Links, func(l status.Link) bool { return l.Name == "goes" }) {
			return fmt.Errorf("the routes are %+v", s.Links)
		}
		return healthy(s)
	})
	client.WaitMembers("bridge.goes", 0)
	for _, topic := range []string{"stays", "changes", "goes", "comes"} {
		client.ProduceText(topic, "second of "+topic)
	}
	got := two.await(t, 2)
	slices.Sort(got)
	if !slices.Equal(got, []string{"second of changes", "second of comes"}) {
		t.Errorf("the other application got %q", got)
	}
	if got := one.await(t, 4); got[3] != "second of stays" || len(got) > 4 {
		t.Errorf("the first application got %q", got)
	}
	if after := client.MemberIDs("bridge.stays"); !slices.Equal(before, after) {
		t.Errorf("a route that was not changed has moved: its members were %q and are %q", before, after)
	}
}

func TestABadFileKeepsTheOldOne(t *testing.T) {
	t.Parallel()
	k := testkit.Kfake(t)
	k.Topic("orders", 1)
	client := testkit.NewClient(t, k.Brokers())
	app := newApplication(t, nil)
	good := withAdmin(file(k.Brokers(), reads("orders", app.URL)))
	signals := make(chan os.Signal)
	b := startWith(t, file(k.Brokers(), reads("orders", app.URL)), nil, Options{Reload: signals})
	b.await(healthy)
	for name, bad := range map[string]string{
		"an unknown key":    good + "    max_inflight: 3\n",
		"no YAML":           "routes: [",
		"another name":      "name: other\n" + good,
		"an unset variable": good + "    http_bearer_token: ${NOT_SET}\n",
	} {
		t.Run(name, func(t *testing.T) {
			write(t, b.path, bad)
			signals <- syscall.SIGHUP
			b.await(func(s *status.Provider) error {
				if s.Healthy || !s.Problems.Has(status.ProblemConfig) || !strings.Contains(s.Message, b.path) {
					return fmt.Errorf("the status says %q", s.Message)
				}
				return nil
			})
			if !b.log.Contains("the file cannot be used") {
				t.Error("the log does not say so")
			}
			if code, body := b.get("/readyz"); code == http.StatusOK {
				t.Errorf("readyz says %s", body)
			}
			n := len(app.records())
			client.ProduceText("orders", name)
			if got := app.await(t, n+1); got[n] != name {
				t.Errorf("it got %q", got)
			}
			write(t, b.path, good)
			b.await(healthy) // by the change alone
		})
	}
}

func TestASecretInAFileIsExchangedWithIt(t *testing.T) {
	t.Parallel()
	k := testkit.Kfake(t)
	k.Topic("orders", 1)
	client := testkit.NewClient(t, k.Brokers())
	app := newApplication(t, nil)
	token := filepath.Join(t.TempDir(), "token")
	write(t, token, "the first token\n")
	b := start(t, file(k.Brokers(), reads("orders", app.URL, "http_bearer_token_file: "+token)), nil)
	client.ProduceText("orders", "one")
	app.await(t, 1)
	before := client.MemberIDs("bridge.orders")
	write(t, token, "the second token\n")
	testkit.Eventually(t, testkit.DefaultTimeout, func() error {
		client.ProduceText("orders", "another")
		app.mu.Lock()
		defer app.mu.Unlock()
		if got := app.header[len(app.header)-1].Get("Authorization"); got != "Bearer the second token" {
			return fmt.Errorf("the token is %q", got)
		}
		return nil
	})
	app.mu.Lock()
	first := app.header[0].Get("Authorization")
	app.mu.Unlock()
	if after := client.MemberIDs("bridge.orders"); !slices.Equal(before, after) {
		t.Errorf("the route has moved for it: its members were %q and are %q", before, after)
	}
	if first != "Bearer the first token" {
		t.Errorf("the first token was %q", first)
	}
	if b.log.Contains("the first token") || b.log.Contains("the second token") {
		t.Error("the log tells a token")
	}
}

func TestOnceEndsWhenAllIsRead(t *testing.T) {
	t.Parallel()
	k := testkit.Kfake(t)
	k.Topic("orders", 3)
	k.Topic("bills", 1)
	client := testkit.NewClient(t, k.Brokers())
	app := newApplication(t, nil)
	const n = 300
	for i := range n {
		client.ProduceText("orders", fmt.Sprint(i))
	}
	b := startWith(t, file(k.Brokers(), reads("orders", app.URL), reads("bills", app.URL)), nil, Options{Once: true})
	if err := b.wait(); err != nil {
		t.Fatalf("it ended with %v\n%s", err, b.log)
	}
	if got := len(app.records()); got != n {
		t.Errorf("%d records of %d came", got, n)
	}
	var committed int64
	for _, offset := range client.Committed("bridge.orders", "orders") {
		committed += offset
	}
	if committed != n {
		t.Errorf("%d of %d are committed", committed, n)
	}
	client.WaitMembers("bridge.orders", 0)
}

func TestOnceFailsWhereItCannotEnd(t *testing.T) {
	t.Parallel()
	k := testkit.Kfake(t)
	k.Topic("orders", 1)
	client := testkit.NewClient(t, k.Brokers())
	client.ProduceText("orders", "bad")
	rejects := newApplication(t, func(*record.Record) record.Outcome {
		return record.Outcome{Kind: record.Reject, Err: errors.New("no")}
	})
	for name, c := range map[string]struct {
		file string
		want string
	}{
		"a record that is rejected": {file(k.Brokers(), reads("orders", rejects.URL, "on_reject: stop")), "cannot go on"},
		"a share group":             {file(k.Brokers(), reads("orders", rejects.URL, "group_protocol: share")), "group_protocol=share"},
		"nobody at the other end":   {file(k.Brokers(), reads("orders", "http://127.0.0.1:1/", "consumer_group: other")), "nothing has moved for"},
	} {
		t.Run(name, func(t *testing.T) {
			onceFails(t, c.file, c.want)
		})
	}
}
