package bridge

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/messaging-kafka/messaging-kafka/internal/observe/status"
	"github.com/messaging-kafka/messaging-kafka/internal/payload/wit"
	"github.com/messaging-kafka/messaging-kafka/internal/record"
	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

// send posts records to a bridge's server, and returns the status and what became of them.
func send(url, token, route string, list ...record.Outgoing) (int, []record.Result, error) {
	req, err := http.NewRequest(http.MethodPost, url+"/v1/records/send", bytes.NewReader(wit.AppendOutgoings(nil, list)))
	if err != nil {
		return 0, nil, err
	}
	req.Header.Set("Content-Type", wit.RecordsType)
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	if route != "" {
		req.Header.Set("Messaging-Kafka-Route", route)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		return resp.StatusCode, nil, err
	}
	results, err := wit.DecodeSent(wit.NewBytesDecoder(body))
	return resp.StatusCode, results, err
}

func outgoing(topic, value string) record.Outgoing {
	return record.Outgoing{Topic: topic, Partition: record.AnyPartition, Value: []byte(value)}
}

// startListening runs a bridge whose callers are served on a free port.
func startListening(t *testing.T, content string, env map[string]string) (b *bench, url string) {
	t.Helper()
	listening := make(chan net.Addr, 1)
	b = startWith(t, "listen: 127.0.0.1:0\n"+content, env, Options{OnListen: func(a net.Addr) { listening <- a }})
	return b, "http://" + (<-listening).String()
}

func TestCallersPublishByTheirRoutes(t *testing.T) {
	t.Parallel()
	k := testkit.Kfake(t)
	for _, topic := range []string{"orders", "bills", "other"} {
		k.Topic(topic, 1)
	}
	client := testkit.NewClient(t, k.Brokers())
	app := newApplication(t, nil)
	env := map[string]string{"SHOP": "the token of the shop", "NEXT": "the next token of the shop"}
	callers := func(token string) string {
		return "callers:\n  shop:\n    token: " + token + "\n    routes: [orders, bills]\n    allowed_topics: [orders, bills]\n"
	}
	routes := file(k.Brokers(), reads("orders", app.URL), "bills\nallowed_topics: bills")
	b, url := startListening(t, callers("${SHOP}")+routes, env)
	b.await(func(s *status.Provider) error {
		if len(s.Links) != 3 {
			return fmt.Errorf("there are %d links: one that reads and two for callers", len(s.Links))
		}
		return healthy(s)
	})
	for name, c := range map[string]struct {
		token, route, topic string
		code                int
		stored              bool
	}{
		"what the route allows":         {env["SHOP"], "bills", "bills", 200, true},
		"a route that reads":            {env["SHOP"], "orders", "orders", 200, true},
		"what the caller may not":       {env["SHOP"], "orders", "other", 200, false},
		"what the route does not allow": {env["SHOP"], "bills", "orders", 200, false},
		"no token":                      {"", "bills", "bills", 401, false},
		"another token":                 {env["NEXT"], "bills", "bills", 401, false},
	} {
		t.Run(name, func(t *testing.T) {
			code, results, err := send(url, c.token, c.route, outgoing(c.topic, "one"))
			if err != nil || code != c.code {
				t.Fatalf("the answer is %d, %v", code, err)
			}
			if code == http.StatusOK && (results[0].Err == nil) != c.stored {
				t.Errorf("the result is %+v", results)
			}
		})
	}
	client.Read("bills", 1)
	if got := app.await(t, 1); got[0] != "one" {
		t.Errorf("the application got %q", got)
	}
	write(t, b.path, withAdmin("listen: 127.0.0.1:0\n"+callers("[\"${SHOP}\", \"${NEXT}\"]")+routes))
	testkit.Eventually(t, testkit.DefaultTimeout, func() error {
		code, _, err := send(url, env["NEXT"], "bills", outgoing("bills", "two"))
		if err == nil && code != http.StatusOK {
			err = fmt.Errorf("the answer is %d", code)
		}
		return err
	})
	if code, _, err := send(url, env["SHOP"], "bills", outgoing("bills", "three")); err != nil || code != http.StatusOK {
		t.Errorf("the token before answers %d, %v", code, err)
	}
	if b.log.Contains(env["SHOP"]) || b.log.Contains(env["NEXT"]) {
		t.Error("the log tells a token")
	}
}

// TestWhatIsBeingFinishedMayPublish: at a stop, an application that is at work on records still publishes by the
// bridge, and what it publishes is stored before the bridge has gone.
func TestWhatIsBeingFinishedMayPublish(t *testing.T) {
	k := testkit.Kfake(t)
	k.Topic("orders", 1)
	k.Topic("bills", 1)
	client := testkit.NewClient(t, k.Brokers())
	begun, ending, url := make(chan bool), make(chan bool), ""
	app := newApplication(t, func(r *record.Record) record.Outcome {
		close(begun)
		<-ending
		if code, results, err := send(url, "", "orders", outgoing("bills", "for "+string(r.Value))); err != nil || code != http.StatusOK || results[0].Err != nil {
			return record.Outcome{Kind: record.Retry, Err: fmt.Errorf("publishing: %d, %+v, %w", code, results, err)}
		}
		return record.Outcome{Kind: record.Done}
	})
	b, at := startListening(t, file(k.Brokers(), reads("orders", app.URL, "drain_timeout: 20s")), nil)
	url = at
	client.ProduceText("orders", "one")
	<-begun
	b.end()
	testkit.Eventually(t, testkit.DefaultTimeout, func() error {
		if !b.log.Contains("the bridge ends") {
			return fmt.Errorf("it does not end yet")
		}
		return nil
	})
	close(ending)
	if err := b.wait(); err != nil {
		t.Error(err)
	}
	if got := client.Read("bills", 1); string(got[0].Value) != "for one" {
		t.Errorf("the bill is %q", got[0].Value)
	}
	if committed := client.Committed("bridge.orders", "orders"); committed[0] != 1 {
		t.Errorf("committed is %v", committed)
	}
	if _, _, err := send(url, "", "orders", outgoing("bills", "late")); err == nil {
		t.Error("a bridge that has ended is still there")
	}
}

// TestNobodyPublishesUnasked: others reach a bridge only with tokens, or when the file says so.
func TestNobodyPublishesUnasked(t *testing.T) {
	app := newApplication(t, nil)
	for name, c := range map[string]struct{ content, want string }{
		"open to others":    {"listen: 0.0.0.0:0\n" + file([]string{"127.0.0.1:1"}, reads("orders", app.URL)), "listen_open"},
		"a guessable token": {"listen: 127.0.0.1:0\ncallers: {shop: {token: hidden, routes: orders}}\n" + file([]string{"127.0.0.1:1"}, reads("orders", app.URL)), "fewer than"},
	} {
		t.Run(name, func(t *testing.T) {
			path := t.TempDir() + "/bridge.yaml"
			write(t, path, c.content)
			err := Run(t.Context(), Options{Path: path, Lookup: func(string) (string, bool) { return "", false }})
			if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "hidden") {
				t.Errorf("it ended with %v, not with %q", err, c.want)
			}
		})
	}
}
